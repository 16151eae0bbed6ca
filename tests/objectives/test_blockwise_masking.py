"""BEiT's blockwise masks: the published algorithm, replayed with the same draws, and exactly so many patches."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from benchmarks.scaling.collectives import exchange
from vit_jax.objectives.blockwise_masking import blocks, blockwise_mask, filled_up

CASES = [((14, 14), 75, 16, 0.3), ((8, 8), 26, 4, 0.3), ((6, 11), 30, 5, 0.5)]


def published_blocks(key: jax.Array, grid: tuple[int, int], masked: int, smallest: int, narrowest: float) -> np.ndarray:
    """`MaskingGenerator` of BEiT's code, whose numbers come from our keys, in its order."""
    height, width = grid
    low, high = math.log(narrowest), math.log(1 / narrowest)
    mask, count = np.zeros(grid, bool), 0
    while count < masked:
        delta, most = 0, masked - count
        for _ in range(10):
            key, now = jax.random.split(key)
            u = np.asarray(jax.random.uniform(now, (4,)), np.float64)
            target_area = smallest + (most - smallest) * u[0]
            aspect_ratio = math.exp(low + (high - low) * u[1])
            h = round(math.sqrt(target_area * aspect_ratio))
            w = round(math.sqrt(target_area / aspect_ratio))
            if w < width and h < height:
                top, left = int(u[2] * (height - h + 1)), int(u[3] * (width - w + 1))
                num_masked = mask[top : top + h, left : left + w].sum()
                if 0 < h * w - num_masked <= most:
                    mask[top : top + h, left : left + w] = True
                    delta = h * w - num_masked
                if delta > 0:
                    break
        if delta == 0:
            break
        count += delta
    return mask


@pytest.mark.parametrize("case", CASES)
def test_blocks_are_the_published_ones(case: tuple[tuple[int, int], int, int, float]):
    """But for draws that rounding in float32 decides, of which there are none in these."""
    grid, masked, smallest, narrowest = case
    keys = jax.random.split(jax.random.key(0), 30)
    ours = jax.jit(jax.vmap(lambda key: blocks(key, grid, masked, smallest, narrowest)))(keys)
    theirs = np.stack([published_blocks(key, grid, masked, smallest, narrowest) for key in keys])
    np.testing.assert_array_equal(ours, theirs)
    counts = theirs.sum((1, 2))
    assert counts.max() <= masked
    assert counts.min() > masked // 2
    assert len({mask.tobytes() for mask in theirs}) == 30


@pytest.mark.parametrize("case", CASES)
def test_every_image_has_so_many_masked_patches_the_blocks_among_them(case: tuple[tuple[int, int], int, int, float]):
    grid, masked, smallest, narrowest = case
    keys = jax.random.split(jax.random.key(1), 200)
    masks = np.asarray(jax.vmap(lambda key: blockwise_mask(key, grid, masked, smallest, narrowest))(keys))
    assert (masks.dtype, masks.shape) == (bool, (200, *grid))
    assert set(masks.sum((1, 2)).tolist()) == {masked}
    blocks_keys = jax.vmap(jax.random.split)(keys)[:, 0]
    by_blocks = np.asarray(jax.vmap(lambda key: blocks(key, grid, masked, smallest, narrowest))(blocks_keys))
    assert (masks | ~by_blocks).all()
    assert (by_blocks.sum((1, 2)) < masked).any()  # some were filled up
    assert masks.any(0).all()  # anywhere
    assert not masks.all(0).any()


def test_what_is_lacking_is_drawn_evenly():
    mask = jnp.zeros((2, 3), bool).at[0, 0].set(True)
    keys = jax.random.split(jax.random.key(0), 600)
    filled = np.asarray(jax.vmap(lambda key: filled_up(key, mask, 3))(keys))
    shares = filled.mean(0)
    assert shares[0, 0] == 1
    np.testing.assert_allclose(np.delete(shares.reshape(-1), 0), 0.4, atol=0.08)  # two of five


def test_a_block_larger_than_the_grid_is_no_endless_loop():
    """Nothing but single patches is left."""
    mask = blockwise_mask(jax.random.key(0), (1, 8), 3, 3, 1.0)
    assert int(mask.sum()) == 3
    assert not np.asarray(blocks(jax.random.key(0), (1, 8), 3, 3, 1.0)).any()


def test_devices_that_share_a_batch_do_not_wait_for_one_another():
    """Otherwise each attempt would be exchanged, and programs that also exchange something else stood still."""
    by_device = NamedSharding(Mesh(np.array(jax.devices()), ("data",)), PartitionSpec("data"))
    keys = jax.device_put(jax.random.split(jax.random.key(0), 16), by_device)
    masks = jax.jit(jax.vmap(lambda key: blockwise_mask(key, (8, 8), 26, 4, 0.3)), out_shardings=by_device)
    assert exchange(str(masks.lower(keys).compile().as_text())).operations == {}
