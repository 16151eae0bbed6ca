"""How a masked autoencoder masks, begins and refuses: what numerics against Hugging Face cannot see."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import SMALL, random_images, random_params
from tests.models.huggingface_cases import MAE, outputs
from vit_jax.models.layers import patchify, sincos_position_embedding, unpatchify
from vit_jax.models.mae import MaskedAutoencoder, random_masking

SMALL_MAE = {**SMALL, **MAE, "depth": 1}


def make(**fields: Any) -> tuple[MaskedAutoencoder, dict[str, Any], np.ndarray, np.ndarray]:
    """A small model with random parameters, images and noise."""
    model = MaskedAutoencoder(**{**SMALL_MAE, **fields})
    rows, columns = model.grid
    noise = np.random.RandomState(0).uniform(size=(2, rows * columns)).astype(np.float32)
    return model, random_params(model, seed=0), random_images(model, seed=0), noise


# --- Patches and masks ---


def test_the_patches_of_lowest_noise_are_kept():
    noise = jnp.array([[0.3, 0.1, 0.9, 0.2], [0.5, 0.6, 0.0, 0.7]])
    visible, place, mask = random_masking(noise, kept=2)
    np.testing.assert_array_equal(visible, [[1, 3], [2, 0]])
    np.testing.assert_array_equal(place, [[2, 0, 3, 1], [1, 2, 0, 3]])
    np.testing.assert_array_equal(mask, [[1, 0, 1, 0], [0, 1, 0, 1]])


def test_masked_pixels_are_not_seen():
    """Other pixels in a masked patch change no prediction; in a visible one, they do."""
    model, params, images, noise = make()
    prediction, mask = outputs(model, params, images, {"noise": noise})
    assert mask.sum(axis=1).tolist() == [12, 12]
    for kind, moves in ((1, False), (0, True)):
        patches = np.array(patchify(jnp.asarray(images), (4, 4)))
        patches[0, np.flatnonzero(mask[0] == kind)[0]] += 1
        changed = unpatchify(jnp.asarray(patches), model.grid, (4, 4))
        difference = np.abs(outputs(model, params, changed, {"noise": noise}).prediction - prediction)
        assert (difference[0].max() > 1e-3) == moves
        assert difference[1].max() < 1e-5


def test_noise_is_drawn_from_its_own_stream():
    """The same key masks alike, another otherwise."""
    model, params, images, _ = make()

    @jax.jit
    def mask(seed: int) -> Any:
        output: Any = model.apply({"params": params}, images, train=True, rngs={"masking": jax.random.key(seed)})
        return output.mask

    np.testing.assert_array_equal(mask(0), mask(0))
    assert np.any(mask(0) != mask(1))
    assert np.any(mask(0)[0] != mask(0)[1])


# --- Encoder and decoder ---


def test_sincos_positions_are_the_published_tables_with_zeros_for_the_class_token():
    """The same as learned positions that hold them; they are no parameters."""
    learned, params, images, noise = make(image_size=(8, 16))
    fixed = learned.clone(pos_embed="sincos")
    for part, width in (("encoder", 48), ("decoder", 24)):
        table = np.pad(sincos_position_embedding((2, 4), width), ((1, 0), (0, 0)))
        params[part]["pos_embed"] = table[None]
    expected = outputs(learned, params, images, {"noise": noise}).prediction
    rest = {part: {k: v for k, v in params[part].items() if k != "pos_embed"} for part in params}
    np.testing.assert_allclose(outputs(fixed, rest, images, {"noise": noise}).prediction, expected, atol=1e-5)


@pytest.mark.parametrize("pos_embed", ["sincos", "learned"])
def test_the_encoder_is_a_vision_transformer(pos_embed: str):
    """It takes the parameters "encoder", and has the features of whole images, pooled by the mean of its patches."""
    model, params, images, _ = make(pos_embed=pos_embed)
    encoder = model.make_encoder()
    ours = jax.jit(partial(model.apply, {"params": params}, method="features"))(images)
    theirs = jax.jit(partial(encoder.apply, {"params": params["encoder"]}, method="features"))(images)
    close = partial(np.testing.assert_allclose, atol=1e-5)
    jax.tree.map(close, tuple(ours), tuple(theirs))
    close(ours.pooled, np.asarray(theirs.tokens[:, model.num_prefix_tokens :]).mean(1))
    assert model.num_prefix_tokens == 1
    assert (ours.tokens.shape, ours.pooled.shape) == ((2, 17, 48), (2, 48))


def test_bfloat16_predictions_are_float32_and_near():
    model, params, images, noise = make()
    half = outputs(model.clone(dtype=jnp.bfloat16), params, images, {"noise": noise})
    full = outputs(model, params, images, {"noise": noise})
    assert half.prediction.dtype == half.mask.dtype == jnp.float32
    assert 1e-4 < np.abs(half.prediction - full.prediction).max() < 0.2
    np.testing.assert_array_equal(half.mask, full.mask)


def test_initial_values():
    """As published: matrices Xavier-uniform, the mask token small."""
    model = MaskedAutoencoder(**{**SMALL_MAE, "pos_embed": "sincos"})
    images = random_images(model, seed=0)
    params: Any = jax.jit(model.init)(jax.random.key(0), images)["params"]
    for name, (inputs, width) in {"embed": (48, 24), "pred": (24, 48)}.items():
        limit = np.sqrt(6 / (inputs + width))
        assert np.abs(params["decoder"][name]["kernel"]).max() == pytest.approx(limit, rel=0.02)
    assert np.std(params["decoder"]["mask_token"]) == pytest.approx(0.02, rel=0.4)


# --- What it refuses ---


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(num_classes=10), "num_classes must be 0, not 10: a MaskedAutoencoder has no classes"),
        (dict(image_size=18), "image_size 18x18 is not a whole number of patches"),
        (dict(num_heads=5), "num_heads must divide embed_dim"),
        (dict(pos_embed="none"), "pos_embed must be one of sincos, learned; not 'none'"),
        (dict(decoder_num_heads=5), "decoder_num_heads 5 must be positive, and the heads must divide the width"),
        (dict(decoder_depth=0), "decoder_depth 0"),
        (dict(decoder_embed_dim=22, pos_embed="sincos"), "decoder_embed_dim to be a multiple of 4, not 22"),
        (dict(mask_ratio=1.0), "mask_ratio must be in"),
        (dict(mask_ratio=-0.1), "mask_ratio must be in"),
        (dict(mask_ratio=0.95), "0.95 leaves none of 16"),
    ],
)
def test_fields_that_cannot_work_are_refused_when_built(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        MaskedAutoencoder(**{**SMALL_MAE, **fields})


def test_noise_of_another_size_is_refused():
    model, params, images, noise = make()
    with pytest.raises(ValueError, match=r"noise must be \[2, 16\], one number a patch; got \[2, 15\]"):
        jax.eval_shape(partial(model.apply, {"params": params}, noise=noise[:, 1:]), images)
