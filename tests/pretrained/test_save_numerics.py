"""What is saved for timm and Hugging Face loads there with nothing missing or left over, and computes the same."""

from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

import vit_jax
from tests.models.cases import random_images, random_params
from tests.pretrained.save_cases import SAVE_CASES, SAVED, save_case
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.pretrained.to_timm import ITS_NAMES

pytestmark = pytest.mark.parity("torch", "timm", "transformers")

TOLERANCE = 1e-5
"""On outputs of about 1."""


def random_mask(name: str) -> np.ndarray:
    """Of the patches of two images, float32 [B, N], of mean 0."""
    model = save_case(name)
    rows, columns = getattr(model, "grid", (1, 1))
    return np.random.RandomState(2).standard_normal((2, rows * columns)).astype(np.float32)


@cache
def our_outputs(name: str) -> np.ndarray:
    model, mask = save_case(name), random_mask(name)
    masks: dict[str, Any] = {MaskedAutoencoder: {"noise": mask}, BeitPretraining: {"mask": mask > 0}}.get(
        type(model), {}
    )
    compute = jax.jit(lambda params, images: model.apply({"params": params}, images, **masks))
    return np.asarray(jax.tree.leaves(compute(random_params(model, 0), random_images(model, 1)))[0])


def saved(name: str, format: Any, directory: Path) -> Path:
    model = save_case(name)
    names = tuple(f"class {i}" for i in range(model.num_classes))
    vit_jax.save_pretrained(directory, model, random_params(model, 0), names, format)
    return directory


@pytest.mark.parametrize(("name", "format"), SAVED)
def test_computes_the_same_there(name: str, format: Any, tmp_path: Path):
    folder, images = saved(name, format, tmp_path), random_images(save_case(name), 1)
    if format == "timm":
        from tests.pretrained.timm_folder import timm_outputs

        theirs = timm_outputs(folder, images)
    else:
        from tests.pretrained.huggingface_folder import huggingface_outputs

        theirs = huggingface_outputs(folder, save_case(name), images, random_mask(name))
    ours = our_outputs(name)
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=TOLERANCE * max(1, np.abs(ours).max()))


def test_hugging_face_has_the_class_names(tmp_path: Path):
    from tests.pretrained.huggingface_folder import huggingface_labels

    assert huggingface_labels(saved("vit", "huggingface", tmp_path)) == [f"class {i}" for i in range(5)]


PREPROCESSING = {
    "cropped": Preprocessing((0.4, 0.5, 0.6), (0.2, 0.3, 0.4), 0.8, "bilinear"),
    "whole": Preprocessing(interpolation="bicubic"),
    "squashed": Preprocessing(squash=True),
    "squashed_and_cropped": Preprocessing((0.4,), (0.3,), 0.8, "bilinear", squash=True),
}


@pytest.mark.parametrize("format", ["timm", "huggingface"])
@pytest.mark.parametrize("name", PREPROCESSING)
def test_images_are_prepared_the_same_way_there(name: str, format: Any, tmp_path: Path):
    """But for rounding: Pillow and torchvision resample by different code."""
    model = save_case("vit").clone(preprocessing=PREPROCESSING[name], image_size=64)
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), format=format)
    rows, columns = np.mgrid[:100, :150]
    smooth = np.stack([rows * 2, columns, 255 - rows - columns], axis=-1).clip(0, 255).astype(np.uint8)
    if format == "timm":
        from tests.pretrained.timm_folder import timm_pixels as pixels
    else:
        from tests.pretrained.huggingface_folder import huggingface_pixels as pixels
    ours, theirs = vit_jax.preprocessing(model)(Image.fromarray(smooth)), pixels(tmp_path, Image.fromarray(smooth))
    assert np.abs(ours - theirs).max() < 0.1
    assert np.abs(ours - theirs).mean() < 0.02


@pytest.mark.parametrize(("format", "rounding"), [("timm", "even"), ("huggingface", "down")])
def test_half_a_pixel_of_margin_is_rounded_as_there(format: Any, rounding: Any, tmp_path: Path):
    """43 columns are cut away, 21 or 22 of them on the left; of an image of that height nothing is resampled."""
    settings = Preprocessing((0.4,), (0.3,), crop_rounding=rounding)
    model = save_case("vit").clone(preprocessing=settings, image_size=64)
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0), format=format)
    if format == "timm":
        from tests.pretrained.timm_folder import timm_pixels as pixels
    else:
        from tests.pretrained.huggingface_folder import huggingface_pixels as pixels
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 107, 3), np.uint8))
    for picture in (image, image.transpose(Image.Transpose.TRANSPOSE)):
        np.testing.assert_allclose(vit_jax.preprocessing(model)(picture), pixels(tmp_path, picture), atol=1e-5)
    assert vit_jax.load_pretrained(tmp_path)[0].preprocessing.crop_rounding == rounding


def test_names_that_are_kept_are_timm_s():
    from tests.pretrained.timm_folder import timm_names

    kept = {name for name in vit_jax.list_models() if ITS_NAMES.fullmatch(name)}
    assert kept <= set(timm_names())
    assert {name.split("_")[0] for name in kept} == {"vit", "deit", "deit3", "swin", "swinv2"}


def test_every_kind_is_compared():
    assert {name for name, _ in SAVED} == set(SAVE_CASES)
