"""Names to data sets."""

import re
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from vit_jax.data.dataset import DataConfig
from vit_jax.data.folder import FolderSource
from vit_jax.data.sources import load_dataset


def test_digits_are_scikit_learn_s_and_their_levels_come_back_exactly():
    data = load_dataset(DataConfig(validation_fraction=0.1))
    assert data.validation is not None
    assert (data.image_shape, data.class_names) == ((8, 8, 1), tuple("0123456789"))
    splits = [split.as_arrays() for split in (data.train, data.validation, data.test)]
    images = np.concatenate([images for images, _ in splits])
    assert (images.dtype, images.shape, images.min(), images.max()) == (np.uint8, (1797, 8, 8, 1), 0, 255)
    assert np.unique(images).tolist() == np.round(np.arange(17) * 255 / 16).tolist()
    levels = np.round(images * (16 / 255)).astype(int)
    labels = np.concatenate([labels for _, labels in splits])
    given, targets = load_digits(return_X_y=True)
    ours = sorted((level.ravel().tolist(), label) for level, label in zip(levels, labels, strict=True))
    assert ours == sorted(zip(given.astype(int).tolist(), targets, strict=True))


def test_digits_hold_a_fifth_out_for_testing_stratified():
    data = load_dataset(DataConfig())
    assert data.validation is None
    assert (len(data.train), len(data.test)) == (1438, 359)
    ratio = np.bincount(data.test.as_arrays()[1]) / np.bincount(load_digits(return_X_y=True)[1])
    np.testing.assert_allclose(ratio, 0.2, atol=0.005)
    assert "test: 359 of 1,797 images held out, stratified by class, seed 0" in data.notes


def test_the_split_is_drawn_by_its_seed():
    tests = [load_dataset(DataConfig(split_seed=seed)).test.as_arrays()[0].tobytes() for seed in (0, 0, 1)]
    assert tests[0] == tests[1] != tests[2]


@pytest.mark.parametrize(
    ("name", "near"), [("digit", "digits"), ("cifar", "cifar10"), ("CIFAR-10", "cifar10"), ("folder", "folder:DIR")]
)
def test_an_unknown_name_is_answered_with_the_nearest(name: str, near: str):
    with pytest.raises(ValueError, match=rf"no data set '{name}' \(did you mean .*{near}"):
        load_dataset(DataConfig(name=name))


def test_a_folder_s_path_is_answered_with_its_name(tmp_path):
    with pytest.raises(ValueError, match=f"did you mean folder:{tmp_path}"):
        load_dataset(DataConfig(name=str(tmp_path)))


@pytest.mark.parametrize("name", ["imagenet", "", "tfds:", "folder:", "files:x"])
def test_an_unknown_name_is_answered_with_what_there_is(name: str):
    with pytest.raises(ValueError, match="digits, cifar10, cifar100, folder:DIR, tfds:NAME"):
        load_dataset(DataConfig(name=name))


def test_folders_are_found_by_name(make_folder, monkeypatch: pytest.MonkeyPatch):
    root = make_folder({"a": 5, "b": 5})
    monkeypatch.setenv("HOME", str(root.parent))
    for name in (f"folder:{root}", f"folder:~/{root.name}"):
        data = load_dataset(DataConfig(name=name, load_size=4))
        assert (data.name, data.class_names, data.image_shape) == (name, ("a", "b"), (4, 4, 3))


@pytest.mark.parametrize("size", [0, -1, (8, 0), (8,), (8, 8, 3), 8.5, "8"])
def test_a_load_size_of_no_pixels_is_refused(size: Any):
    with pytest.raises(ValueError, match=re.escape(f"or two, (height, width), of at least 1, not {size!r}")):
        DataConfig(load_size=size)


def test_images_may_be_loaded_in_other_proportions(make_folder):
    """Spectrograms, pages, panoramas: the squares in their centres would be a part of them."""
    root = make_folder({"a": 5, "b": 5}, size=(12, 8))
    data = load_dataset(DataConfig(name=f"folder:{root}", load_size=[4, 6]))  # pyright: ignore[reportArgumentType]
    assert data.image_shape == (4, 6, 3)
    assert isinstance(data.train, FolderSource)
    (images, _), (first, _) = data.train.as_arrays(), data.train[0]
    with Image.open(data.train.files[0]) as file:
        whole = np.asarray(file.convert("RGB").resize((6, 4), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(first, whole)
    np.testing.assert_array_equal(images[0], whole)


def test_sets_with_labels_are_not_read_without():
    with pytest.raises(ValueError, match=r"data\.labels False is for folders of images; digits has labels"):
        load_dataset(DataConfig(name="digits", labels=False))
