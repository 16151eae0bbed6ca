"""What is worked on: a network with parameters, batches of images, and where and in which precision."""

import math
import os
from dataclasses import dataclass
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

import vit_jax
from vit_jax.data.workers import cores
from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

Batch = tuple[np.ndarray, np.ndarray]
"""Images float32 [B, H, W, C] and labels int32 [B]."""

CENTRES = {"scale": 1, "logit_scale": math.log(10)}
"""Of parameters that are not around 0: norms' scales, and those of Swin V2's cosines."""

KEY = ("measured", "model", "images")
"""Of entries that take one another's place: an epoch of fewer images does not take that of all."""

GPU_SHARE = 0.45
"""Of the GPU's memory, for JAX; PyTorch has as much, since both are measured in turn in one process."""


@dataclass(frozen=True)
class Setting:
    """How all implementations are measured.

    Attributes:
        device: where.
        steps: training steps that this project dispatches at once.
        dispatches: of these in one turn. The others do as many steps in a turn; inference is called as often.
    """

    device: Literal["cpu", "gpu"]
    steps: int
    dispatches: int

    @property
    def dtype(self) -> str:
        """Precision of the products: what one trains in there."""
        return {"cpu": "float32", "gpu": "bfloat16"}[self.device]

    @property
    def own_processes(self) -> bool:
        """Whether each implementation has a process of its own: not on a GPU, whose memory they would have to share."""
        return self.device == "cpu"

    @property
    def rest(self) -> float:
        """Seconds between turns, for the threads of the one before; none on a GPU, whose clock might fall."""
        return {"cpu": 0.2, "gpu": 0.0}[self.device]

    @property
    def turns(self) -> int:
        """How often each form of an implementation is tried: one turn on a CPU can be off by a tenth."""
        return {"cpu": 3, "gpu": 1}[self.device]


@dataclass(frozen=True)
class Workload:
    """A network and its parameters.

    Attributes:
        name: in the registry.
        model: the network, in the setting's precision.
        params: its parameters, float32 on the host.
    """

    name: str
    model: Network
    params: Any

    def batch(self, size: int) -> Batch:
        """Random images and labels; a smaller batch has the first images of a larger one."""
        images = np.random.default_rng(0).standard_normal((size, *self.model.input_shape), np.float32)
        return images, np.random.default_rng(1).integers(0, self.model.num_classes, size, np.int32)


def refuse_others(name: str) -> None:
    """Only classifiers that are a ViT or a Swin are measured: that others compute the same could not be checked.

    Raises:
        ValueError: for another network of the registry, or a name that it does not have.
    """
    model = vit_jax.create_model(name)
    if not isinstance(model, VisionTransformer | SwinTransformer) or not model.num_classes:
        raise ValueError(f"{name} is no ViT or Swin classifier, and only these are measured")


def make_workload(name: str, dtype: str, **fields: Any) -> Workload:
    """A network of the registry with random parameters, none of which has a value that would hide a difference."""
    model, rng = vit_jax.create_model(name, dtype=jnp.dtype(dtype), **fields), np.random.default_rng(0)

    def draw(path: tuple[Any, ...], leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        noise, kind = rng.standard_normal(leaf.shape, np.float32), path[-1].key
        if kind == "kernel":
            return noise * np.float32(math.prod(leaf.shape[:-1]) ** -0.5)
        return noise * np.float32(0.2) + np.float32(CENTRES.get(kind, 0))

    return Workload(name, model, jax.tree_util.tree_map_with_path(draw, parameter_shapes(model)))


def use_device(device: Literal["cpu", "gpu"]) -> None:
    """Makes JAX use a kind of device; to be called before it has used any."""
    if "XLA_PYTHON_CLIENT_MEM_FRACTION" not in os.environ:  # its former name: JAX refuses both together
        os.environ.setdefault("XLA_CLIENT_MEM_FRACTION", str(GPU_SHARE))
    jax.config.update("jax_platforms", {"cpu": "cpu", "gpu": "cuda"}[device])
    if device == "cpu":
        jax.config.update("jax_num_cpu_devices", cores())  # whose threads are the same, however many there are
    jax.config.update("jax_enable_compilation_cache", False)  # seconds of compilation are measured, too
