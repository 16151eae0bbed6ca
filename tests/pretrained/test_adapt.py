"""A network in memory for other classes, images or windows: what saving and loading it again would make of it."""

import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from tests.models.cases import logits, random_images, random_params, small_model
from tests.models.swin_cases import small_swin
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.models.resizing import Resizing

SMALL = dict(image_size=16, patch_size=4, embed_dim=24, depth=2, num_heads=3)
BEIT = create_model("beit_base_patch16_224", **SMALL)
BEIT_PRETRAINING = create_model("beit_pretraining_base_patch16_224", **SMALL, vocab_size=5)
MAE = MaskedAutoencoder(
    image_size=16, patch_size=4, embed_dim=24, depth=1, num_heads=3,
    decoder_embed_dim=12, decoder_depth=1, decoder_num_heads=3,
)  # fmt: skip
COLOURS = Preprocessing(IMAGENET_MEAN, IMAGENET_STD)


@pytest.mark.parametrize(
    ("network", "asked"),
    [
        (small_model(), {}),
        (small_model(preprocessing=COLOURS), dict(num_classes=3, image_size=(24, 16), in_channels=1)),
        (small_model(resizing=Resizing("bilinear_aligned", "bicubic")), dict(image_size=24)),
        (small_swin(version=2), dict(num_classes=3, image_size=64, window_size=8)),
        (small_swin(), dict(window_size=2, in_channels=5)),
        (small_model(distilled=True), dict(num_classes=3)),
        (small_model(distilled=True), dict(num_classes=0)),
        (BEIT, dict(image_size=(16, 32))),
        (BEIT_PRETRAINING, dict(num_classes=3)),
        (MAE, dict(image_size=(24, 16))),
        (MAE, dict(num_classes=0, in_channels=2)),
        (create_model("resnet9_narrow_32", width=4), dict(num_classes=3, image_size=16)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Network) else "-".join(value) or "nothing",
)
def test_it_makes_what_saving_and_loading_makes(
    network: Network, asked: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    """Fields, what is no part of equality among them, parameters, and what is said of a new head."""
    params = random_params(network, seed=0)
    vit_jax.save_pretrained(tmp_path, network, params)
    caplog.clear()
    expected, loaded = vit_jax.load_pretrained(tmp_path, **asked)
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    caplog.clear()
    model, adapted = vit_jax.adapt(network, params, **asked)
    assert [record.getMessage() for record in caplog.records] == said
    assert (model, model.resizing) == (expected, expected.resizing)
    jax.tree.map(np.testing.assert_array_equal, adapted, loaded)


def test_how_it_is_computed_is_kept_and_so_is_what_it_was_made_of():
    """The old parameters may be given away to a step (`donate_argnums`): the new ones are arrays of their own."""
    network = small_model(dtype=jnp.bfloat16, remat=True, attention="matmul")
    params = jax.device_put(random_params(network, seed=0))
    model, adapted = vit_jax.adapt(network, params, num_classes=3)
    assert model == network.clone(num_classes=3)
    before = jax.device_get(adapted)
    jax.jit(lambda params: jax.tree.map(lambda x: x + 1, params), donate_argnums=0)(params)
    jax.tree.map(np.testing.assert_array_equal, adapted, before)
    mine = jax.tree.map(np.array, random_params(network, seed=0))
    _, adapted = vit_jax.adapt(network, mine, num_classes=3)
    jax.tree.map(lambda x: x.fill(7), mine)
    jax.tree.map(np.testing.assert_array_equal, adapted, before)
    assert (logits(model, adapted, random_images(model, seed=0)) == 0).all(), "the head is new, of zeros"


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (dict(window_size=7), "^this VisionTransformer: window_size is for Swin; a VisionTransformer has no windows$"),
        (dict(image_size=18), "^this VisionTransformer: image_size 18x18 is not a whole number of patches"),
        (dict(image_size="18"), "^this VisionTransformer: image_size must be a whole number or a pair"),
        (dict(num_classes=-1), "^this VisionTransformer: num_classes -1, .* must not be negative"),
        (dict(in_channels=0), "^this VisionTransformer: in_channels must be a positive whole number"),
    ],
)
def test_what_cannot_be_done_is_refused(asked: dict[str, Any], message: str):
    network = small_model()
    with pytest.raises(ValueError, match=message):
        vit_jax.adapt(network, random_params(network, seed=0), **asked)


def test_parameters_of_another_network_are_refused():
    network = small_model()
    params = random_params(network.clone(embed_dim=24), seed=0)
    del params["norm"]
    with pytest.raises(ValueError, match="these are no parameters of this VisionTransformer:") as error:
        vit_jax.adapt(network, params, num_classes=3)
    assert "\n  misshapen: cls_token is [1, 1, 24], not [1, 1, 48]" in str(error.value)
    assert "\n  missing: norm/scale" in str(error.value)
    with pytest.raises(ValueError, match=r'of model.init\(...\) its \["params"\]'):
        vit_jax.adapt(network, {"params": params}, num_classes=3)
