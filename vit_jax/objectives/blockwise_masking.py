"""Masking by blocks of patches (BEiT: Bao et al., 2022, algorithm 1)."""

import math

import jax
import jax.numpy as jnp

ATTEMPTS = 10
"""How often a block is drawn again that does not fit, before no more are tried."""

ALL_ATTEMPTS = 64
"""How many blocks are drawn for an image, with those that do not fit. For the paper's 75 of 14x14 patches the algorithm
ends after 11 on average, and after 43 in the longest of 100,000 images. A number that is given, instead of a loop until
the last image has its blocks, spares devices that share a batch having to agree on its end after each."""


def blockwise_mask(
    key: jax.Array, grid: tuple[int, int], masked: int, smallest_block: int, narrowest: float
) -> jax.Array:
    """Masks so many patches of an image, rectangle by rectangle.

    As published (`masking_generator.py` of BEiT), but for one thing: the patches that are lacking once no rectangle
    fits, there left out, are drawn one by one, so that every image has the same number. So are those of an image that
    would need more than `ALL_ATTEMPTS` draws.

    Args:
        key: of all draws.
        grid: rows and columns of patches.
        masked: number of patches to mask.
        smallest_block: patches of a rectangle, at least; near the end it may be fewer.
        narrowest: a rectangle's height and width have a ratio between this and its inverse.

    Returns:
        bool [rows, columns], true for `masked` patches.
    """
    blocks_key, rest_key = jax.random.split(key)
    return filled_up(rest_key, blocks(blocks_key, grid, masked, smallest_block, narrowest), masked)


def blocks(key: jax.Array, grid: tuple[int, int], masked: int, smallest_block: int, narrowest: float) -> jax.Array:
    """Rectangles of altogether at most `masked` patches: bool [rows, columns]."""
    row, column = jnp.arange(grid[0])[:, None], jnp.arange(grid[1])[None, :]

    def attempt(_: int, state: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        mask, failures, key = state
        key, now = jax.random.split(key)
        lacking = masked - mask.sum()
        height, width, top, left = rectangle(jax.random.uniform(now, (4,)), grid, lacking, smallest_block, narrowest)
        inside = (row >= top) & (row < top + height) & (column >= left) & (column < left + width)
        new = (inside & ~mask).sum()
        fits = (height < grid[0]) & (width < grid[1]) & (new > 0) & (new <= lacking)
        taken = fits & (failures < ATTEMPTS)
        return mask | (inside & taken), jnp.where(taken, 0, failures + 1), key

    return jax.lax.fori_loop(0, ALL_ATTEMPTS, attempt, (jnp.zeros(grid, bool), jnp.int32(0), key))[0]


def rectangle(
    uniform: jax.Array, grid: tuple[int, int], lacking: jax.Array, smallest_block: int, narrowest: float
) -> tuple[jax.Array, ...]:
    """Height, width, first row and first column of a rectangle from four numbers in [0, 1): int scalars.

    Its area is between `smallest_block` and what is lacking, the logarithm of its aspect ratio is uniform. One that is
    larger than the grid has no meaningful place.
    """
    area = smallest_block + uniform[0] * (lacking - smallest_block)
    aspect = jnp.exp((1 - 2 * uniform[1]) * math.log(narrowest))
    height, width = jnp.round(jnp.sqrt(area * aspect)), jnp.round(jnp.sqrt(area / aspect))
    top, left = jnp.floor(uniform[2] * (grid[0] - height + 1)), jnp.floor(uniform[3] * (grid[1] - width + 1))
    return tuple(x.astype(jnp.int32) for x in (height, width, top, left))


def filled_up(key: jax.Array, mask: jax.Array, masked: int) -> jax.Array:
    """A mask [rows, columns] of at most `masked` patches with others, drawn evenly, until there are so many."""
    order = jnp.where(mask, -1.0, jax.random.uniform(key, mask.shape)).reshape(-1)
    places = jnp.argsort(order)[:masked]
    return jnp.zeros(mask.size, bool).at[places].set(True).reshape(mask.shape)
