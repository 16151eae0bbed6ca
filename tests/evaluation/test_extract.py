"""Features of many images are those of each, in order."""

import numpy as np
import pytest
from PIL import Image

import vit_jax
from tests.models.cases import random_params, small_model
from vit_jax.evaluation import extract
from vit_jax.evaluation.extract import compiled_features, extract_features

MODEL = small_model(num_classes=0, depth=1)


@pytest.mark.parametrize("count", [5, 4, 1])
def test_batches_are_preprocessed_filled_up_and_cut(count: int, monkeypatch: pytest.MonkeyPatch):
    """All of one size, for which one program is compiled."""
    params = random_params(MODEL, 0)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 20, 24, 3), np.uint8)
    shapes = []
    monkeypatch.setattr(
        extract, "compiled_features", lambda *args: shapes.append(args[2].shape) or compiled_features(*args)
    )
    found = extract_features(MODEL, params, pixels[:count], batch_size=2)
    assert shapes == [(2, 16, 16, 3)] * -(-count // 2)
    inputs = np.stack([vit_jax.preprocessing(MODEL)(image) for image in pixels])
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, vit_jax.features(MODEL, params, inputs).pooled[:count], atol=1e-5)


def test_images_of_any_sizes_come_one_by_one():
    params = random_params(MODEL, 0)
    pictures = [Image.new("RGB", (20 + i, 30), (40 * i, 0, 99)) for i in range(3)]
    alone = [extract_features(MODEL, params, [picture], batch_size=2)[0] for picture in pictures]
    np.testing.assert_allclose(extract_features(MODEL, params, iter(pictures), batch_size=2), alone, atol=1e-5)


@pytest.mark.parametrize(
    "one", [Image.new("RGB", (20, 16)), np.zeros((16, 20, 3), np.uint8), np.zeros((9, 9, 1), np.uint8)]
)
def test_one_image_is_no_list_of_strips(one):
    with pytest.raises(ValueError, match=r"give a list with it alone, \[image\]"):
        extract_features(MODEL, {}, one)


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="no images"):
        extract_features(MODEL, {}, [])
