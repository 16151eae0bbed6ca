"""Batch normalisation (Ioffe and Szegedy, 2015), its running statistics kept among the parameters."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

RUNNING = ("running_mean", "running_var")

MOMENTUM = 0.1
"""Share of the newest batch in the running averages: PyTorch's (Keras and Flax count the other way round)."""

EPS = 1e-5
"""Added to the variance."""


class BatchNorm(nn.Module):
    """Normalises each channel by its mean and variance: the batch's in training, running averages otherwise.

    Computes what `torch.nn.BatchNorm2d` does, and like its state_dict keeps all in one place: the parameters are
    "scale", "bias", "running_mean" and "running_var", float32 [C]. No gradient reaches the running ones. In training
    their new values go under the same path into the collection "statistics", if that is mutable; the training step puts
    them back among the parameters (`with_statistics`). Whoever freezes a layer freezes what the optimizer moves: the
    running statistics go on following the data, as in PyTorch, since training normalises by the batch all the same.

    Attributes:
        dtype: of the result; the statistics and the normalisation are float32 always.
    """

    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array, train: bool) -> jax.Array:
        """Maps [B, ..., C] to the same shape.

        Raises:
            ValueError: in training, if there is but one value a channel: it has no variance.
        """
        channels = (x.shape[-1],)
        scale = self.param("scale", nn.initializers.ones, channels, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, channels, jnp.float32)
        running_mean = jax.lax.stop_gradient(self.param("running_mean", nn.initializers.zeros, channels, jnp.float32))
        running_var = jax.lax.stop_gradient(self.param("running_var", nn.initializers.ones, channels, jnp.float32))

        x = x.astype(jnp.float32)
        if train:
            mean, var = self.batch_statistics(x, running_mean, running_var)
        else:
            mean, var = running_mean, running_var
        y = (x - mean) * (jax.lax.rsqrt(var + EPS) * scale) + bias
        return y.astype(self.dtype)

    def batch_statistics(
        self, x: jax.Array, running_mean: jax.Array, running_var: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Mean and variance [C] of a batch [B, ..., C]; hands out the running ones that follow from them."""
        values = x.size // x.shape[-1]
        if values == 1:
            raise ValueError(f"batch norm cannot train on one value a channel, {x.shape}: it takes more images at once")
        axes = tuple(range(x.ndim - 1))
        mean = x.mean(axes)
        var = jnp.square(x - mean).mean(axes)
        if self.is_mutable_collection("statistics") and not self.is_initializing():
            unbiased = var * (values / (values - 1))
            for name, old, new in zip(RUNNING, (running_mean, running_var), (mean, unbiased), strict=True):
                moved = (1 - MOMENTUM) * old + MOMENTUM * jax.lax.stop_gradient(new)
                self.put_variable("statistics", name, moved)
        return mean, var
