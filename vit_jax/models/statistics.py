"""What a network measures and does not learn, kept among its parameters."""

from collections.abc import Mapping
from typing import Any

from vit_jax.models.batch_norm import RUNNING

STATISTICS = (*RUNNING, "centre", "usage")
"""Their names: batch norm's, the centre of a self-distillation, and how much each token of a discrete autoencoder is
used. In training they go into the collection "statistics" under the same path."""


def with_statistics(params: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters with those that the collection "statistics" of a training pass holds in the place of the old."""
    new = {
        name: with_statistics(params[name], value) if isinstance(value, Mapping) else value
        for name, value in statistics.items()
    }
    return {**params, **new}
