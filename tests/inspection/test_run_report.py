"""What a run's report says of its test images, which of them it shows, and what the last block attends to in these."""

from types import SimpleNamespace
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from tests.models.cases import random_params, small_model
from vit_jax.data.dataset import ArraySource
from vit_jax.evaluation.accuracy import Predictions
from vit_jax.inspection.attention_image import layer_attention
from vit_jax.inspection.pictures import overlay
from vit_jax.inspection.run_report import (
    MISTAKES,
    RECONSTRUCTIONS,
    RIGHT_ANSWERS,
    attention_pictures,
    attention_strips,
    chosen_examples,
    examples,
    notes,
    shown_images,
)
from vit_jax.models.cnn import ConvNet
from vit_jax.models.dino import DinoSwinTransformer, DinoVisionTransformer
from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input
from vit_jax.models.registry import create_model

DINO: dict[str, Any] = dict(
    image_size=8, patch_size=2, embed_dim=8, prototypes=12, head_hidden_dim=16, head_bottleneck_dim=8
)


def random_pixels(count: int, *shape: int) -> np.ndarray:
    """Images, uint8 [count, H, W, C]."""
    return np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)


def overlaid(image: np.ndarray, attended: Any, extent: tuple[float, float] = (1.0, 1.0)) -> Any:
    """What a heat map over an image must be, but for its rounding."""
    return pytest.approx(np.asarray(overlay(image, attended, extent), int), abs=1)


def test_the_last_layer_s_heads_are_averaged():
    model, images = small_model(image_size=(8, 16)), random_pixels(3, 8, 16, 3)
    params = random_params(model, 0)
    weights = np.asarray(vit_jax.attention_maps(model, params, network_input(model, jnp.asarray(images)))[-1])
    drawn = attention_pictures(model, params, images)
    for image, found, expected in zip(images, drawn, weights.mean(1)[:, 0, 1:], strict=True):
        assert np.ptp(expected) > 1e-3
        assert found == overlaid(image, expected.reshape(2, 4))


@pytest.mark.parametrize(("channels", "shown"), [(2, [0]), (4, [0, 1, 2])])
def test_over_images_of_other_channels_it_is_drawn_as_they_are(channels: int, shown: list[int]):
    settings = vit_jax.Preprocessing((0.5,), (0.5,))
    model, images = small_model(in_channels=channels, preprocessing=settings), random_pixels(1, 8, 8, channels)
    params = random_params(model, 0)
    attended = layer_attention(model, params, network_input(model, jnp.asarray(images)), -1)[0].mean(0)
    assert attention_pictures(model, params, images)[0] == overlaid(images[0][..., shown], attended)


def test_attention_that_is_not_finite_is_none():
    model, images = small_model(), random_pixels(1, 8, 8, 3)
    broken = jax.tree.map(lambda x: np.full_like(x, np.nan), random_params(model, 0))
    assert attention_pictures(model, broken, images)[0] == overlaid(images[0], np.zeros((2, 2)))


def test_a_convolutional_network_has_none():
    assert attention_pictures(ConvNet(image_size=32, stride=1), {}, random_pixels(2, 32, 32, 3)) == [None, None]


def predictions(right: np.ndarray) -> Predictions:
    """Answers of which these are right, with confidences in no order."""
    count = len(right)
    confidence = np.random.default_rng(0).permutation(count) / count
    return Predictions(np.arange(count), np.zeros(count, int), np.where(right, 0, 1), confidence, np.ones(count))


def test_the_most_confident_mistakes_are_shown_and_right_answers_from_the_whole_split():
    test = predictions(np.arange(100) % 3 == 0)
    chosen = chosen_examples(test)
    mistakes, right = chosen[:MISTAKES], chosen[MISTAKES:]
    wrong = [index for index in range(100) if index % 3]
    assert mistakes == sorted(wrong, key=lambda index: -test.confidence[index])[:MISTAKES]
    assert right == sorted(right)
    assert (right[0], right[-1], len(set(right))) == (0, 99, RIGHT_ANSWERS)
    assert all(index % 3 == 0 for index in right)


@pytest.mark.parametrize(
    "model",
    [
        DinoVisionTransformer(**DINO, depth=1, num_heads=2),
        DinoSwinTransformer(**DINO, depths=(1, 1), num_heads=(1, 2), window_size=2),
        DinoSwinTransformer(**DINO, depths=(1, 1), num_heads=(1, 2), window_size=2).clone(image_size=6),  # padded
    ],
)
def test_a_run_of_self_distillation_shows_what_its_encoder_attends_to(model: Any):
    """Over each image, that of its own: DINO is known by its maps."""
    params, images = random_params(model, 0), random_pixels(6, 8, 8, 3)
    run: Any = SimpleNamespace(model=model, dataset=SimpleNamespace(test=ArraySource(images, np.zeros(6, np.int32))))
    shown = examples(run, params, predictions(np.arange(6) % 2 == 0))
    assert len(shown) == 6
    encoder, pixels = model.make_encoder(), jnp.asarray(np.stack([example.image for example in shown]))
    attention = vit_jax.attention_maps(encoder, params["encoder"], network_input(model, pixels))
    maps = vit_jax.attention_to_image(encoder, attention)[-1]
    for example, expected in zip(shown, np.asarray(maps).mean(1), strict=True):
        assert example.attention == overlaid(example.image, expected, vit_jax.attention_extent(model, -1))
        assert np.ptp(expected) > 1e-3


def test_few_examples_are_all_shown():
    assert chosen_examples(predictions(np.array([True, False, True]))) == [1, 0, 2]
    assert chosen_examples(predictions(np.array([False, False]))) == [1, 0]


def test_test_images_that_could_not_be_read_are_told():
    """A score over fewer images than there are is another score."""
    run: Any = SimpleNamespace(dataset=SimpleNamespace(test=range(1203), notes=("a folder",)))
    for scored, told in (
        (1203, []),
        (3, ["1,200 test images could not be read any more: they are not counted, right or wrong"]),
    ):
        result: Any = SimpleNamespace(test=predictions(np.ones(scored, bool)))
        assert notes(run, result) == ["a folder", *told]


def unlabelled(model: Network, count: int = 30) -> Any:
    """A run of that network on so many images without labels."""
    images = random_pixels(count, 8, 8, 3)
    return SimpleNamespace(model=model, dataset=SimpleNamespace(test=ArraySource(images, np.zeros(count, np.int32))))


def test_of_few_images_each_is_shown_once():
    run, result = unlabelled(small_model(), 5), cast(Any, SimpleNamespace(test=None))
    np.testing.assert_array_equal(shown_images(run, result), run.dataset.test.images)


def test_without_labels_it_is_shown_what_the_encoder_attends_to():
    fields = dict(image_size=8, patch_size=2, embed_dim=16, depth=1, num_heads=2, prototypes=8)
    model = create_model("dino_pretraining_vit_cifar_patch4_32", **fields)
    params, run = random_params(model, 0), unlabelled(model)
    result: Any = SimpleNamespace(test=None, params=params)
    shown = attention_strips(run, result)
    assert shown is not None
    assert len(shown.images) == RECONSTRUCTIONS
    images = np.stack([image for image, _ in shown.images])
    np.testing.assert_array_equal(images[[0, -1]], run.dataset.test.images[[0, -1]])
    for (_, drawn), expected in zip(shown.images, attention_pictures(model, params, images), strict=True):
        np.testing.assert_array_equal(drawn, cast(Any, expected))
    with_labels: Any = SimpleNamespace(test=predictions(np.ones(30, bool)), params=params)
    assert attention_strips(run, with_labels) is None
    assert attention_strips(unlabelled(ConvNet(image_size=8, stride=1)), result) is None
