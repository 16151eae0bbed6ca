"""A pretrained model from wherever it is."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from vit_jax.models.network import Network
from vit_jax.pretrained.native import load_pretrained, model_directory


class Pretrained(NamedTuple):
    """A model with its weights.

    Attributes:
        model: the module.
        params: its parameters, float32 jax arrays in a nested dict.
        class_names: what the outputs mean; empty where this is not known.
    """

    model: Network
    params: dict[str, Any]
    class_names: tuple[str, ...]


def load(source: str | Path, revision: str | None = None) -> Pretrained:
    """Loads a model with its parameters and the names of its classes.

    Args:
        source: a run's workdir, or a directory written by `save_pretrained`.
        revision: of a model on a hub; directories have none.

    Raises:
        FileNotFoundError: if there is no model at `source`.
        ValueError: if a file is damaged, parameters do not fit, or a directory is asked for a revision.
    """
    if revision is not None:
        raise ValueError(f"{source} is a directory: it has no revision {revision!r}")
    model, params = load_pretrained(source)
    config = json.loads((model_directory(Path(source)) / "config.json").read_text())
    return Pretrained(model, params, tuple(config.get("class_names", ())))
