"""The Swin Transformer's parts, options and refusals; its numbers are in test_numerics.py."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import traverse_util

import vit_jax
from tests.models.cases import GOLDEN_SEED, logits, random_images, random_params
from tests.models.jaxprs import drawn_masks
from tests.models.swin_cases import small_swin
from vit_jax.models.swin import PatchMerging, SwinTransformer


@pytest.mark.parametrize("version", [1, 2])
def test_features_are_the_maps_of_every_stage(version):
    """For detection and segmentation heads: of an odd, non-square map too, rounded up at each merge."""
    model = small_swin(version=version, image_size=(36, 44), depths=(1, 2, 1), num_heads=(2, 3, 4))
    params, images = random_params(model, 0), random_images(model, 0)
    features = vit_jax.features(model, params, images)
    assert [stage.shape for stage in features.stages] == [(2, 18, 22, 24), (2, 9, 11, 48), (2, 5, 6, 96)]
    assert features.tokens.shape == (2, 30, 96)
    np.testing.assert_allclose(features.pooled, features.tokens.mean(1), atol=1e-6)
    head = params["head"]
    np.testing.assert_allclose(
        logits(model, params, images), features.pooled @ head["kernel"] + head["bias"], atol=1e-5
    )


@pytest.mark.parametrize("version", [1, 2])
def test_merging_takes_the_four_in_the_published_order(version):
    """(0, 0), (1, 0), (0, 1), (1, 1) as (row, column); the norm is before the reduction in version 1, after it in 2."""
    module = PatchMerging(version=version)
    x = np.random.default_rng(0).normal(size=(1, 3, 4, 2)).astype(np.float32)
    params = jax.tree.map(
        lambda p: np.random.default_rng(1).normal(size=p.shape).astype(np.float32),
        module.init(jax.random.key(0), x)["params"],
    )
    padded = np.concatenate([x, np.zeros((1, 1, 4, 2), np.float32)], axis=1)
    parts = [padded[:, 0::2, 0::2], padded[:, 1::2, 0::2], padded[:, 0::2, 1::2], padded[:, 1::2, 1::2]]

    def norm(y: np.ndarray) -> np.ndarray:
        normed = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
        return normed * params["norm"]["scale"] + params["norm"]["bias"]

    merged, kernel = np.concatenate(parts, -1), params["reduction"]["kernel"]
    expected = norm(merged) @ kernel if version == 1 else norm(merged @ kernel)
    np.testing.assert_allclose(jnp.asarray(module.apply({"params": params}, x)), expected, atol=1e-5)


def test_every_second_block_is_shifted():
    """Without a shift, no information crosses the border of a window in the first stage."""
    for depth, crosses in ((1, False), (2, True)):
        model = small_swin(image_size=32, depths=(depth,), num_heads=(2,))
        params, images = random_params(model, 0), random_images(model, 0)
        changed = images.copy()
        changed[:, 0, 0] += 1  # a pixel of the first 4x4 window, which is 8x8 pixels
        before, after = (vit_jax.features(model, params, x).stages[0] for x in (images, changed))
        difference = np.abs(np.asarray(after - before)).max((0, 3))
        assert (difference[4:, :].max() > 0) == crosses
        assert difference[:4, :4].max() > 0
        assert difference[6:, 6:][:-2, :-2].max() == 0  # beyond the shifted window, and not around the edge either


def test_attention_maps_are_of_windows():
    model = small_swin(image_size=24, depths=(1, 12), num_heads=(2, 3))
    maps = vit_jax.attention_maps(model, random_params(model, 0), random_images(model, 0))
    assert [m.shape for m in maps] == [(2, 9, 2, 16, 16)] + [(2, 4, 3, 16, 16)] * 12
    for weights in maps:
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_masked_tokens_are_not_attended_to():
    model = small_swin(image_size=32, depths=(2,), num_heads=(2,))
    weights = np.asarray(vit_jax.attention_maps(model, random_params(model, 0), random_images(model, 0))[1])
    last = weights[:, -1].reshape(2, 2, 4, 4, 4, 4)  # the window where all four corners of the image meet
    assert last[..., :2, :2, 2:, :].max() < 1e-10
    assert last[..., :2, :2, :2, :2].max() > 0.1


@pytest.mark.parametrize("version", [1, 2])
def test_masks_and_indices_are_no_parameters(version):
    model = small_swin(version=version, image_size=20)
    variables = model.init(jax.random.key(0), jnp.zeros((1, *model.input_shape)))
    assert set(variables) == {"params"}
    names = traverse_util.flatten_dict(variables["params"], sep="/")
    assert not [name for name in names if "mask" in name or "index" in name]


def test_version_2_starts_as_the_identity():
    """Res-post-norm: every block adds nothing until its norms' scales have moved from 0."""
    model = small_swin(version=2, image_size=16, depths=(2,), num_heads=(2,))
    params = model.init(jax.random.key(0), jnp.zeros((1, *model.input_shape)))["params"]
    images = random_images(model, 0)
    deep = vit_jax.features(model, params, images).stages[0]
    of_first = {**params, "layers_0": {path: x for path, x in params["layers_0"].items() if path != "blocks_1"}}
    shallow = vit_jax.features(model.clone(depths=(1,)), of_first, images).stages[0]
    np.testing.assert_allclose(deep, shallow, atol=1e-6)


@pytest.mark.parametrize("version", [1, 2])
def test_remat_changes_nothing(version):
    plain = small_swin(version=version, image_size=20)
    params, images = random_params(plain, 0), random_images(plain, 0)

    def gradient(model: SwinTransformer) -> Any:
        return jax.jit(jax.grad(lambda p: jnp.square(jnp.asarray(model.apply({"params": p}, images))).mean()))(params)

    again = gradient(plain.clone(remat=True))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), gradient(plain), again)


@pytest.mark.parametrize("version", [1, 2])
def test_bfloat16_stays_near_float32(version):
    """Logits are float32 and attention's weights too; only products are rounded."""
    model = small_swin(version=version, image_size=20)
    params, images = random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)
    half = model.clone(dtype=jnp.bfloat16)
    low, high = np.asarray(logits(half, params, images)), np.asarray(logits(model, params, images))
    assert low.dtype == np.float32
    assert 1e-5 < np.abs(low - high).max() < 0.1
    assert all(m.dtype == jnp.float32 for m in vit_jax.attention_maps(half, params, images))


def test_drop_path_grows_over_the_blocks_of_all_stages():
    model = small_swin(image_size=16, depths=(2, 3), drop_path_rate=0.4)
    bound = model.bind({"params": random_params(model, 0)})
    rates = [rate for stage in bound.layers for rate in stage.drop_path_rates]
    np.testing.assert_allclose(rates, [0, 0.1, 0.2, 0.3, 0.4])


def block_masks(tokens: int, width: int) -> list[tuple[int, ...]]:
    """Of a block: after attention's projection, after the GELU, after the MLP; for two images."""
    return [(2 * tokens, width), (2 * tokens, 4 * width), (2 * tokens, width)]


MASKS = {  # of two stages of two blocks: 8x8 tokens, 24 wide, in 4 windows with 2 heads; 4x4, 48 wide, in 1 with 3
    "drop_rate": [(2, 48)],
    "proj_drop_rate": block_masks(64, 24) * 2 + block_masks(16, 48) * 2,
    "attn_drop_rate": [(2, 4, 2, 16, 16)] * 2 + [(2, 1, 3, 16, 16)] * 2,
    "drop_path_rate": [(2, 1, 1, 1)] * 6,  # of the first block it is 0
}


@pytest.mark.parametrize("rate", MASKS)
def test_each_rate_draws_the_masks_of_its_places(rate: str):
    """Dropped alike: single weights and channels; for drop path, an example's branch. In evaluation, nothing."""
    model = small_swin(image_size=16, **{rate: 0.5})
    params, images = random_params(model, 0), random_images(model, 0)
    assert drawn_masks(model, params, images, train=True) == MASKS[rate]
    assert drawn_masks(model, params, images, train=False) == []


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        (dict(image_size=30, patch_size=4), "30x30 is not a whole number of patches of patch_size 4x4"),
        (dict(depths=2), "depths must be a tuple of whole numbers, one for each stage; not 2"),
        (dict(num_heads=3), "num_heads must be a tuple of whole numbers"),
        (dict(num_heads=(2, 4.0)), "num_heads must be a tuple of whole numbers, one for each stage; not (2, 4.0)"),
        (dict(window_size=7.0), "window_size must be a tuple of whole numbers, one for each stage or one for all"),
        (dict(version=2, pretrained_window_sizes=4), "pretrained_window_sizes must be a tuple of whole numbers"),
        (dict(num_heads=(2,)), r"depths (2, 2) has 2 stages; num_heads (2,) is for 1"),
        (dict(window_size=(4, 4, 4)), "depths (2, 2) has 2 stages; window_size (4, 4, 4) is for 3"),
        (dict(num_heads=(2, 5)), "stage 1 is 48 wide (embed_dim 24, doubled 1 times), which its 5 heads do not divide"),
        (dict(num_heads=(7, 3)), "stage 0 is 24 wide"),
        (dict(window_size=0), "window_size 0 must be at least 1"),
        (dict(depths=(), num_heads=()), "there must be a stage"),
        (dict(depths=(2, 0)), "must be positive"),
        (dict(mlp_ratio=0.01), "must leave a hidden layer"),
        (dict(version=3), "version must be one of 1, 2; not 3"),
        (dict(pretrained_window_sizes=(4, 4)), "pretrained_window_sizes belongs to version=2"),
        (dict(version=2, pretrained_window_sizes=(4,)), "pretrained_window_sizes (4,) is for 1"),
        (
            dict(window_rule="keras"),
            "window_rule must be one of microsoft, huggingface_v2, huggingface_backbone, timm, torchvision; "
            "not 'keras'",
        ),
        (dict(drop_path_rate=1.0), "drop_path_rate must be in [0, 1), not 1.0"),
    ],
)
def test_fields_that_cannot_work_are_refused(fields: dict[str, Any], told: str):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 the whole text is compared
        small_swin(**{"image_size": 16, **fields})
    assert told in str(caught.value)


def test_numpy_s_whole_numbers_are_whole_numbers():
    model = small_swin(image_size=16, window_size=np.int64(4), num_heads=[np.int8(2), 4])
    assert (model.window_sizes, model.num_heads) == ((4, 4), (2, 4))
    assert type(model.window_size) is type(model.num_heads[0]) is int  # as they are saved


def test_images_of_another_size_are_refused():
    model = small_swin(image_size=16)
    with pytest.raises(ValueError, match="this model takes images"):
        model.apply({"params": random_params(model, 0)}, jnp.zeros((1, 20, 16, 3)))


def test_a_saved_swin_is_loaded_exactly(tmp_path):
    model = small_swin(image_size=(16, 24), version=2, pretrained_window_sizes=(4, 2), window_size=(4, 2))
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model, params)
    loaded, loaded_params = vit_jax.load_pretrained(tmp_path)
    assert loaded == model
    jax.tree.map(np.testing.assert_array_equal, loaded_params, params)
