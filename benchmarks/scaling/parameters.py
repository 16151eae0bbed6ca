"""Random parameters, drawn by numpy: compiling a network's initialisation takes seconds for each image size."""

from typing import Any

import jax
import numpy as np

from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes


def random_parameters(model: Network) -> Any:
    """Every parameter float32 and normal with deviation 0.1, so that none has a zero gradient."""
    random = np.random.default_rng(0)
    return jax.tree.map(lambda p: 0.1 * random.standard_normal(p.shape, np.float32), parameter_shapes(model))
