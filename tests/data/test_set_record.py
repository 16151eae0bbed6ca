"""A run goes on with the images it began with: another version of a set, or another archive, is no silent change."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.tiny_tfds import Tiny, examples, noise, prepared
from vit_jax.data.dataset import ArraySource, DataConfig, Dataset
from vit_jax.data.set_record import changes, keep_record, record_of
from vit_jax.data.sources import load_dataset

IMAGE = tfds.features.Image(shape=(8, 8, 3))


def load(directory: Path, **config) -> Dataset:
    return load_dataset(DataConfig("tfds:tiny", data_dir=str(directory), **config))


def test_another_version_of_a_set_is_refused_and_the_same_one_elsewhere_taken(tmp_path: Path, monkeypatch):
    images = examples(noise(20, 8, 8, 3))
    for folder in ("here", "there"):
        prepared(tmp_path / folder, IMAGE, {"train": images})
    record = tmp_path / "data.json"
    keep_record(load(tmp_path / "here"), record)
    keep_record(load(tmp_path / "here"), record)
    keep_record(load(tmp_path / "there"), record)
    with pytest.raises(ValueError, match="began with other images called tfds:tiny"):
        keep_record(load(tmp_path / "here", test_fraction=0.4), record)  # which the config refuses before
    monkeypatch.setattr(Tiny, "VERSION", tfds.core.Version("2.0.0"))
    prepared(tmp_path / "here", IMAGE, {"train": examples(noise(30, 8, 8, 3))})
    with pytest.raises(ValueError, match=r"other images called tfds:tiny.*'version': '1\.0\.0'.*'version': '2\.0\.0'"):
        keep_record(load(tmp_path / "here"), record)


@pytest.fixture
def in_memory() -> Dataset:
    train, test = (
        ArraySource(np.stack(noise(count, 4, 4, 3)), np.arange(count, dtype=np.int32) % 2) for count in (1200, 30)
    )
    return Dataset("cifar10", ("cat", "dog"), (4, 4, 3), train, None, test, ())


@pytest.mark.parametrize("changed", ["pixels", "labels", "images", "names"])
def test_other_images_in_memory_are_refused(changed: str, in_memory: Dataset, tmp_path: Path):
    keep_record(in_memory, tmp_path / "data.json")
    keep_record(dataclasses.replace(in_memory, notes=("said otherwise",)), tmp_path / "data.json")
    train = in_memory.train
    assert isinstance(train, ArraySource)
    others = {
        "pixels": dict(train=ArraySource(train.images // 2, train.labels)),
        "labels": dict(train=ArraySource(train.images, train.labels[::-1])),
        "images": dict(train=train.subset(np.arange(1199))),
        "names": dict(class_names=("dog", "cat")),
    }
    with pytest.raises(ValueError, match="began with other images called cifar10"):
        keep_record(dataclasses.replace(in_memory, **others[changed]), tmp_path / "data.json")


def test_a_record_that_was_changed_is_damaged(in_memory: Dataset, tmp_path: Path):
    path = tmp_path / "data.json"
    keep_record(in_memory, path)
    path.write_text(json.dumps({**json.loads(path.read_text()), "class_names": ["a", "b"]}))
    with pytest.raises(ValueError, match=r"data\.json is not as it was written"):
        keep_record(in_memory, path)


def record_of_folder(folder: Path) -> dict[str, Any]:
    return record_of(load_dataset(DataConfig(f"folder:{folder}", load_size=8)))


def test_folders_differ_by_the_names_and_labels_of_their_files(make_folder: Callable[..., Path], tmp_path: Path):
    folder = make_folder({"cat": 20, "dog": 20})
    record = record_of_folder(folder)
    folder = folder.rename(tmp_path / "moved")
    assert not changes(record, record_of_folder(folder))
    (folder / "cat" / "0.png").rename(folder / "cat" / "new.png")
    assert changes(record, record_of_folder(folder))
    (folder / "cat" / "new.png").rename(folder / "cat" / "0.png")
    assert not changes(record, record_of_folder(folder))
    (folder / "dog" / "0.png").unlink()
    assert changes(record, record_of_folder(folder))
