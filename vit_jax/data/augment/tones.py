"""Tables from old to new grey levels, int32 [256] or [C, 256], exactly as Pillow's ImageOps builds them."""

import jax
import jax.numpy as jnp


def levels() -> jax.Array:
    """0 to 255: the table that changes nothing."""
    return jnp.arange(256)


def posterize_table(bits: jax.Array) -> jax.Array:
    """Keeps the `bits` most significant bits of every level; bits int32 in [0, 8]. -> [256]"""
    return levels() & -jnp.left_shift(1, 8 - bits)


def solarize_table(threshold: jax.Array) -> jax.Array:
    """Inverts the levels from `threshold` up. -> [256]"""
    return jnp.where(levels() < threshold, levels(), 255 - levels())


def solarize_add_table(addition: jax.Array) -> jax.Array:
    """Adds to the levels below 128 (TensorFlow's EfficientNet code). -> [256]"""
    return jnp.where(levels() < 128, jnp.minimum(levels() + addition, 255), levels())


def histogram(image: jax.Array) -> jax.Array:
    """How many pixels of each channel have each level. int32 [H, W, C] -> int32 [C, 256]"""
    channels = image.shape[-1]
    return jnp.zeros((channels, 256), jnp.int32).at[jnp.arange(channels), image].add(1)


def autocontrast_table(counts: jax.Array) -> jax.Array:
    """Stretches each channel's lowest and highest level to 0 and 255; a channel of one level stays. -> [C, 256]"""
    lowest = jnp.argmax(counts > 0, axis=-1, keepdims=True)  # [C, 1]
    highest = _highest_level(counts)
    span = highest - lowest
    stretched = jnp.clip((levels() - lowest) * 255 // jnp.maximum(span, 1), 0, 255)
    return jnp.where(span > 0, stretched, levels())


def equalize_table(counts: jax.Array) -> jax.Array:
    """Flattens each channel's histogram. -> [C, 256]

    A channel stays as it is where 255 levels would get no whole pixel each (small or nearly constant images), as in
    Pillow: images of fewer than 256 pixels are not changed at all.
    """
    cumulative = jnp.cumsum(counts, axis=-1)
    at_highest = jnp.take_along_axis(counts, _highest_level(counts), axis=-1)  # [C, 1]
    step = (cumulative[:, -1:] - at_highest) // 255
    below = cumulative - counts
    flattened = jnp.clip((step // 2 + below) // jnp.maximum(step, 1), 0, 255)
    return jnp.where(step > 0, flattened, levels())


def _highest_level(counts: jax.Array) -> jax.Array:
    """The highest level that occurs in each channel. [C, 256] -> [C, 1]"""
    return 255 - jnp.argmax(counts[:, ::-1] > 0, axis=-1, keepdims=True)
