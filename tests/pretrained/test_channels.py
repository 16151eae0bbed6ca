"""Weights for images of other channels: grey instead of colour, and many."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from tests.models.cases import logits, random_images, random_params, small_model
from tests.models.swin_cases import small_swin
from tests.pretrained.publisher_cases import CASES, draw, golden_shapes, write
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.models.registry import create_model

IMAGENET = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, crop_fraction=0.875)
NETWORKS = {
    "vit": small_model(preprocessing=IMAGENET),
    "swin": small_swin(preprocessing=IMAGENET),
    "one_mean": small_model(pre_norm=True),
}


def stored(network: Network, directory: Path) -> tuple[Path, dict[str, Any]]:
    """A network with random parameters in a directory."""
    params = random_params(network, seed=0)
    vit_jax.save_pretrained(directory, network, params)
    return directory, params


@pytest.mark.parametrize("name", NETWORKS)
def test_of_grey_images_it_computes_what_it_computes_of_them_in_colour(name: str, tmp_path: Path):
    """From the pixels on, each prepared as its network says."""
    colour = NETWORKS[name]
    path, params = stored(colour, tmp_path)
    grey, grey_params = vit_jax.load_pretrained(path, in_channels=1)
    assert grey == colour.clone(in_channels=1, preprocessing=grey.preprocessing)

    pixels = np.random.default_rng(0).integers(0, 256, (2, *grey.input_shape), np.uint8)
    in_colour = jnp.stack([vit_jax.preprocessing(colour)(picture.repeat(3, axis=-1)) for picture in pixels])
    in_grey = jnp.stack([vit_jax.preprocessing(grey)(picture) for picture in pixels])
    expected = logits(colour, params, in_colour)
    np.testing.assert_allclose(logits(grey, grey_params, in_grey), expected, rtol=1e-5, atol=1e-5)
    assert np.std(expected) > 0.1


@pytest.mark.parametrize("in_channels", [2, 4, 7])
def test_other_channels_are_taken_in_turn(in_channels: int, tmp_path: Path):
    """Kernels, scaled, and normalisation; all else stays."""
    network = small_model(preprocessing=IMAGENET)
    path, params = stored(network, tmp_path)
    model, loaded = vit_jax.load_pretrained(path, in_channels=in_channels)
    kernel, before = loaded["patch_embed"]["kernel"], params["patch_embed"]["kernel"]
    for channel in range(in_channels):
        np.testing.assert_allclose(kernel[:, :, channel], before[:, :, channel % 3] * 3 / in_channels, rtol=1e-6)
        assert model.preprocessing.mean[channel] == IMAGENET_MEAN[channel % 3]
        assert model.preprocessing.std[channel] == IMAGENET_STD[channel % 3]
    assert model.preprocessing.crop_fraction == 0.875
    rest = [{**tree, "patch_embed": tree["patch_embed"]["bias"]} for tree in (params, loaded)]
    jax.tree.map(np.testing.assert_array_equal, *rest)


@pytest.mark.parity("torch", "timm", "torchvision")
@pytest.mark.parametrize("in_channels", [1, 2, 5])
def test_other_channels_are_timm_s(in_channels: int, tmp_path: Path):
    """By its `in_chans`; for grey images with one mean, as timm leaves normalisation to its user."""
    from tests.pretrained.timm_folder import timm_outputs

    network = create_model("vit_tiny_patch16_224", image_size=32, depth=2, num_classes=5)
    params = random_params(network, seed=0)
    vit_jax.save_pretrained(tmp_path, network, params, format="timm")
    model, params = vit_jax.load_pretrained(tmp_path, in_channels=in_channels)
    images = random_images(model, seed=1)
    expected = timm_outputs(tmp_path, images, in_chans=in_channels)
    np.testing.assert_allclose(logits(model, params, images), expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_what_is_missing_is_said_to_be(tmp_path: Path):
    """Not that there is no bias."""
    arrays = draw(golden_shapes()["timm"], seed=0)
    del arrays["patch_embed.proj.bias"]
    path = write(CASES["timm"], arrays, tmp_path)
    with pytest.raises(ValueError, match=r"\n  missing: patch_embed/bias \(patch_embed.proj.bias\)"):
        vit_jax.load_pretrained(path, in_channels=1)


@pytest.mark.parametrize("network", [small_model(preprocessing=IMAGENET), create_model("resnet9_narrow_32")])
def test_its_own_channels_change_nothing(network: Network, tmp_path: Path):
    path, params = stored(network, tmp_path)
    model, loaded = vit_jax.load_pretrained(path, in_channels=3)
    assert model == network
    jax.tree.map(np.testing.assert_array_equal, loaded, params)


def test_a_new_head_and_another_size_beside_it(tmp_path: Path):
    path, _ = stored(small_model(preprocessing=IMAGENET), tmp_path)
    model, params = vit_jax.load_pretrained(path, in_channels=1, num_classes=2, image_size=24)
    assert logits(model, params, random_images(model, seed=0)).shape == (2, 2)


def test_a_module_that_is_given_has_its_own_channels(tmp_path: Path):
    path, _ = stored(small_model(), tmp_path)
    with pytest.raises(ValueError, match="in_channels is for a network that the file tells"):
        vit_jax.load_pretrained(path, model=small_model(in_channels=1), in_channels=1)


@pytest.mark.parametrize(
    ("network", "in_channels", "message"),
    [
        (small_model(), 0, "in_channels must be a positive whole number, not 0"),
        (small_model(), "1", "in_channels must be a positive whole number, not '1'"),
        (create_model("resnet9_narrow_32"), 1, "is for a ViT or Swin, not for a ResNet9"),
        (create_model("mae_cifar_patch4_32", depth=1), 1, "MaskedAutoencoder; .* num_classes asks for the encoder"),
        (small_model(pre_norm=True, preprocessing=IMAGENET), 1, "has no bias, .* repeat grey images three times"),
    ],
    ids=["none", "text", "cnn", "pretraining", "no_bias"],
)
def test_what_cannot_be_done_is_refused(network: Network, in_channels: int, message: str, tmp_path: Path):
    path, _ = stored(network, tmp_path)
    with pytest.raises(ValueError, match=message):
        vit_jax.load_pretrained(path, in_channels=in_channels)
