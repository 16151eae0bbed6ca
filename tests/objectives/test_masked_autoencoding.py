"""MAE's loss against its definition in float64, and against Hugging Face's with the same noise, gradients included."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import SMALL as SMALL_FIELDS
from tests.models.cases import random_images, random_params
from tests.models.huggingface_cases import HUGGINGFACE_CASES, small_network
from tests.objectives.cases import AS_IT_IS, examples
from vit_jax.models.layers import patchify
from vit_jax.models.mae import MaskedAutoencoder, Reconstruction
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding, normalised_patches, reconstruction_loss
from vit_jax.objectives.objective import Given

SMALL = dict(image_size=8, patch_size=2, embed_dim=16, depth=1, num_heads=2, in_channels=1)
DECODER = dict(decoder_embed_dim=8, decoder_depth=1, decoder_num_heads=2)


def small(**fields: Any) -> MaskedAutoencoder:
    return MaskedAutoencoder(**{**SMALL, **DECODER, **fields})


def test_targets_are_patches_less_their_mean_divided_by_the_unbiased_deviation():
    patches = np.random.default_rng(0).normal(3, 2, (2, 5, 12)).astype(np.float32)
    x = patches.astype(np.float64)
    expected = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, ddof=1, keepdims=True) + 1e-6)
    np.testing.assert_allclose(normalised_patches(jnp.asarray(patches)), expected, atol=1e-5)
    flat = normalised_patches(jnp.full((1, 1, 12), 7.0))  # nothing to divide by
    np.testing.assert_array_equal(flat, np.zeros((1, 1, 12)))


def test_only_masked_patches_count():
    rng = np.random.default_rng(0)
    prediction, target = rng.normal(size=(2, 3, 5, 4)).astype(np.float32)
    mask = (rng.random((3, 5)) < 0.6).astype(np.float32)
    reconstruction = Reconstruction(jnp.asarray(prediction), jnp.asarray(mask))
    squares = (prediction.astype(np.float64) - target) ** 2
    expected = (squares.mean(-1) * mask).sum() / mask.sum()
    assert float(reconstruction_loss(reconstruction, jnp.asarray(target))) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("normalise", [True, False])
def test_the_loss_is_that_of_the_network_s_reconstruction(normalise: bool):
    """With the noise that each example's own key gives."""
    model = small(preprocessing=AS_IT_IS)
    params, batch = random_params(model, 0), examples(random_images(model, 0))
    noise = jnp.stack([jax.random.uniform(key, (16,)) for key in batch.keys])
    made: Any = model.apply({"params": params}, batch.pixels, noise=noise)
    target = patchify(batch.pixels, (2, 2))
    target = normalised_patches(target) if normalise else target
    loss = MaskedAutoencoding(normalise).loss(model, params, batch, Given(jax.random.key(0)))
    assert float(loss.value) == pytest.approx(float(reconstruction_loss(made, target)), rel=1e-5)
    assert (loss.metrics, loss.statistics) == ({}, {})


def test_masks_depend_on_the_examples_keys():
    model = small(preprocessing=AS_IT_IS)
    params, pixels = random_params(model, 0), random_images(model, 0)
    objective = MaskedAutoencoding()
    losses = {
        float(objective.loss(model, params, examples(pixels, seed=seed), Given(jax.random.key(key))).value)
        for seed in (0, 1)
        for key in (0, 1)
    }
    assert len(losses) == 2  # the key of dropout, which there is none of, changes nothing


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            VisionTransformer(image_size=8, patch_size=2, embed_dim=16, depth=1, num_heads=2),
            "needs a MaskedAutoencoder",
        ),
        (small(mask_ratio=0.0), "masks none of 16 patches"),
        (small(patch_size=1), "patch of one pixel"),
    ],
)
def test_a_network_that_it_cannot_train_is_refused(model: Any, message: str):
    with pytest.raises(ValueError, match=message):
        MaskedAutoencoding().check(model)


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize("normalise", [True, False])
def test_loss_and_gradients_equal_hugging_face(normalise: bool):
    import torch  # pyright: ignore[reportMissingImports]

    from tests.models.huggingface_vit import MAE_DECODER_NAMES, encoder_parameters, mae, prefixed
    from tests.models.timm_swin import renamed

    case = HUGGINGFACE_CASES["mae"]
    model = small_network(case).clone(preprocessing=AS_IT_IS)
    params, batch = random_params(model, 1), examples(random_images(model, 1))
    noise = np.stack([jax.random.uniform(key, (16,)) for key in batch.keys])

    @jax.jit
    @jax.value_and_grad
    def loss(params: Any) -> jax.Array:
        with jax.default_matmul_precision("highest"):
            return MaskedAutoencoding(normalise).loss(model, params, batch, Given(jax.random.key(0))).value

    value, gradients = loss(params)
    theirs = mae({**SMALL_FIELDS, **case.fields}, params)
    theirs.config.norm_pix_loss = normalise
    their_loss = theirs(torch.tensor(np.array(batch.pixels)).permute(0, 3, 1, 2), noise=torch.tensor(noise)).loss
    their_loss.backward()
    np.testing.assert_allclose(value, their_loss.item(), rtol=1e-5)

    gradients = jax.device_get(gradients)
    decoder = {renamed(k, MAE_DECODER_NAMES): v for k, v in encoder_parameters(gradients["decoder"]).items()}
    ours = prefixed("vit", encoder_parameters(gradients["encoder"])) | prefixed("decoder", decoder)
    compared = {name: p.grad for name, p in theirs.named_parameters() if p.grad is not None}
    assert len(ours) - len(compared) == 2  # positions, which are not learned there
    for name, gradient in compared.items():
        np.testing.assert_allclose(ours[name], gradient, rtol=1e-4, atol=1e-5, err_msg=name)
