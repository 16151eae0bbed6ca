"""Reading prepared TFDS sets."""

import errno
import multiprocessing
import os
import pickle
import resource
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.tiny_tfds import Example, encoded, examples, noise, prepared
from vit_jax.data import map_files, tfds_sets
from vit_jax.data.dataset import DataConfig, Dataset
from vit_jax.data.decoding import decode
from vit_jax.data.sources import load_dataset
from vit_jax.data.tfds_sets import PreparedSource, PreparedSplit


def unlabelled(count: int) -> list[Example]:
    return [{**example, "label": -1} for example in examples(noise(count, 6, 6, 3))]


def load(directory: Path, **config: Any) -> Dataset:
    return load_dataset(DataConfig(name="tfds:tiny", data_dir=str(directory), load_size=8, **config))


def test_images_of_one_size_are_given_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    images = noise(12, 6, 5, 3)
    splits = {"train": examples(images[:10]), "test": examples(images[10:])}
    prepared(tmp_path, tfds.features.Image(shape=(6, 5, 3)), splits)
    monkeypatch.setattr(tfds_sets, "CHUNK", 4)
    data = load(tmp_path)
    assert (data.class_names, data.image_shape) == (("cat", "dog"), (6, 5, 3))
    assert data.notes == ("TFDS set tiny/1.0.0",)
    read, labels = data.train.as_arrays()
    np.testing.assert_array_equal(read, images[:10])
    assert (read.dtype, labels.dtype, labels.tolist()) == (np.uint8, np.int32, [0, 1] * 5)
    np.testing.assert_array_equal(data.test.as_arrays()[0], images[10:])
    for index in (0, 7):
        image, label = data.train[index]
        np.testing.assert_array_equal(image, images[index])
        assert label == index % 2


def test_images_of_mixed_sizes_and_modes_are_loaded_as_colour_squares(tmp_path: Path):
    """TFDS's own decoder gives the grey image as one channel, whatever the feature says."""
    images = [*noise(1, 9, 20, 3), *noise(1, 30, 12)]
    splits = {"train": examples(images), "test": examples(images)}
    prepared(tmp_path, tfds.features.Image(), splits)
    data = load(tmp_path)
    assert data.image_shape == (8, 8, 3)
    expected = [decode(encoded(image), 3, (8, 8), "image") for image in images]
    np.testing.assert_array_equal(data.train.as_arrays()[0], expected)
    np.testing.assert_array_equal(data.train[1][0], expected[1])


def test_grey_images_stay_grey(tmp_path: Path):
    images = noise(4, 6, 6, 1)
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 1)), {"train": examples(images), "test": examples(images)})
    data = load(tmp_path)
    assert data.image_shape == (6, 6, 1)
    np.testing.assert_array_equal(data.train.as_arrays()[0], images)


def test_tensors_of_any_number_of_channels_are_images_too(tmp_path: Path):
    images = noise(4, 6, 6, 5)
    split = [{"image": image, "label": 0} for image in images]
    prepared(tmp_path, tfds.features.Tensor(shape=(6, 6, 5), dtype=np.uint8), {"train": split, "test": split})
    data = load(tmp_path)
    assert data.image_shape == (6, 6, 5)
    np.testing.assert_array_equal(data.train.as_arrays()[0], images)


def test_other_features_are_not_decoded(tmp_path: Path):
    """Masks and boxes cost time, and may need what is not installed."""
    split = [{**example, "mask": b"no image"} for example in examples(noise(4, 6, 6, 3))]
    splits = {"train": split, "test": split}
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), splits, mask=tfds.features.Image())
    assert load(tmp_path).train.as_arrays()[0].shape == (4, 6, 6, 3)


def test_a_set_of_train_only_is_divided_by_class(tmp_path: Path):
    images = noise(20, 6, 6, 3)
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": examples(images)})
    data = load(tmp_path, validation_fraction=0.2)
    assert data.validation is not None
    assert [len(split) for split in (data.train, data.validation, data.test)] == [12, 4, 4]
    parts = [split.as_arrays() for split in (data.train, data.validation, data.test)]
    for _, labels in parts:
        assert labels.mean() == 0.5
    seen = {image.tobytes(): label for split in parts for image, label in zip(*split, strict=True)}
    assert seen == {image.tobytes(): i % 2 for i, image in enumerate(images)}
    image, label = data.test[3]
    np.testing.assert_array_equal(image, parts[2][0][3])
    assert label == parts[2][1][3]


def test_a_subset_of_a_subset_is_in_the_order_asked_for(tmp_path: Path):
    images = noise(6, 6, 6, 3)
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {s: examples(images) for s in ("train", "test")})
    source = load(tmp_path).train
    assert isinstance(source, PreparedSource)
    subset = source.subset(np.array([5, 1, 2])).subset(np.array([2, 0]))
    np.testing.assert_array_equal(subset.as_arrays()[0], [images[2], images[5]])
    assert subset.labels.tolist() == [0, 1]


def test_no_label_is_read_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    """Those of a million records are minutes: all of them to divide a set, and again to weigh its classes."""
    images = {s: examples(noise(n, 6, 6, 3)) for s, n in (("train", 20), ("test", 4))}
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), images)
    monkeypatch.setattr(tfds_sets, "CHUNK", 4)
    read, original = [], PreparedSplit.read
    monkeypatch.setattr(PreparedSplit, "read", lambda self, places: read.extend(places) or original(self, places))
    source = tfds_sets.open_tfds("tiny", DataConfig(data_dir=str(tmp_path))).splits["train"]
    read.clear()
    monkeypatch.setattr(map_files, "MANY", 13)
    labels = source.subset(np.array([5, 2, 8, 10, 12, 15])).labels
    assert (labels.tolist(), labels.dtype, sorted(read)) == ([1, 0, 0, 0, 0, 1], np.int32, [2, 5, 8, 10, 12, 15])
    assert source.labels.tolist() == [0, 1] * 10
    assert caplog.messages == [f"reading the labels of {tmp_path}/tiny/1.0.0, train split: 14"]
    assert source.subset(np.array([7, 4])).labels.tolist() == [1, 0]
    assert sorted(read) == list(range(20))


def test_validation_stands_in_for_a_missing_test_and_unused_splits_are_told(tmp_path: Path):
    splits = {name: examples(noise(4, 6, 6, 3)) for name in ("train", "validation", "extra")}
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), splits)
    data = load(tmp_path)
    assert data.validation is None
    assert isinstance(data.test, PreparedSource)
    assert data.test.split.name == "validation"
    assert "splits not used: extra" in data.notes
    assert "no test split: the set's validation split is used as the test split" in data.notes


def test_a_label_out_of_range_is_named_before_training_where_it_is_first(tmp_path: Path):
    """TFDS marks what is not labelled with -1."""
    splits = {"train": unlabelled(3), "test": examples(noise(4, 6, 6, 3))}
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), splits)
    with pytest.raises(ValueError, match="train example 0 has label -1, outside 0 to 1"):
        load(tmp_path)


@pytest.mark.parametrize("validation", [True, False])
def test_a_test_split_without_labels_is_as_one_that_is_missing(validation: bool, tmp_path: Path):
    """As ImageNet's, whose labels its authors keep."""
    splits = {"train": examples(noise(20, 6, 6, 3)), "test": unlabelled(3)}
    splits |= {"validation": examples(noise(4, 6, 6, 3))} if validation else {}
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), splits)
    data = load(tmp_path)
    assert isinstance(data.test, PreparedSource)
    assert (data.test.split.name, len(data.test)) == (("validation", 4) if validation else ("train", 4))
    assert data.notes[:2] == ("TFDS set tiny/1.0.0", "test split not used: it has no labels")
    assert not any("splits not used" in note for note in data.notes)


def test_a_label_out_of_range_is_named_wherever_it_is_read(tmp_path: Path):
    split = examples(noise(4, 6, 6, 3))
    split[2]["label"] = -1
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": split, "test": examples(noise(4, 6, 6, 3))})
    data = load(tmp_path)
    for read in (lambda: data.train[2], lambda: data.train.as_arrays()):
        with pytest.raises(ValueError, match="train example 2 has label -1, outside 0 to 1"):
            read()
    with pytest.raises(ValueError, match="train split: example 2 has label -1"):
        load(tmp_path, validation_fraction=0.3)


def test_an_image_that_cannot_be_decoded_is_named(tmp_path: Path):
    split = examples(noise(4, 6, 6, 3))
    split[1]["image"] = b"no image"
    split[3]["image"] = encoded(noise(1, 7, 6, 3)[0])
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": split, "test": examples(noise(4, 6, 6, 3))})
    data = load(tmp_path)
    with pytest.raises(ValueError, match="train example 1 cannot be read as an image"):
        data.train.as_arrays()
    with pytest.raises(ValueError, match=r"train example 3 has shape \(7, 6, 3\), not \(6, 6, 3\)"):
        data.train[3]


def test_damaged_and_missing_files_are_named(tmp_path: Path):
    """Every record has a checksum: no damaged image is ever trained on."""
    prepared(
        tmp_path, tfds.features.Image(shape=(6, 6, 3)), {s: examples(noise(4, 6, 6, 3)) for s in ("train", "test")}
    )
    (file,) = (tmp_path / "tiny" / "1.0.0").glob("tiny-train*")
    whole = file.read_bytes()
    for at in (whole.index(b"PNG") + 30, whole.rindex(b"PNG") + 30):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(ValueError, match=r"tiny/1\.0\.0 is damaged: .*Delete it and prepare it anew"):
            load(tmp_path).train.as_arrays()
    file.unlink()
    with pytest.raises(ValueError, match=r"tiny/1\.0\.0 is damaged: .*tiny-train"):
        load(tmp_path)


def open_files() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def few_files() -> Iterator[int]:
    """The limit of open files, which is soon reached."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    few = open_files() + 20
    resource.setrlimit(resource.RLIMIT_NOFILE, (few, before[1]))
    yield few
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_set_of_more_files_than_may_be_open_raises_the_limit_and_opens_each_once(tmp_path: Path, few_files: int):
    """ImageNet's training images are 1,024 files, as many as the usual limit."""
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": examples(noise(60, 6, 6, 3))}, shards=60)
    before = open_files()
    source = tfds_sets.open_tfds("tiny", DataConfig(data_dir=str(tmp_path))).splits["train"]
    for part in (source, source.subset(np.arange(40)), source.subset(np.arange(60))):
        assert len(part.as_arrays()[0]) == len(part)
    assert 60 <= open_files() - before < 80
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    tfds_sets.allow_open_files(few_files)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits  # it is never lowered


def test_where_the_limit_cannot_be_raised_the_set_is_not_called_damaged(
    tmp_path: Path, few_files: int, monkeypatch: pytest.MonkeyPatch
):
    """A set of 150 GB must not be deleted for it; and no image be left out, which is what a ValueError may lead to."""
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": examples(noise(60, 6, 6, 3))}, shards=60)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    with pytest.raises(OSError, match=rf"more open files than the {few_files} .* ulimit -n, to 1084 or more") as error:
        load(tmp_path)
    assert error.value.errno == errno.EMFILE


def test_a_set_that_is_not_prepared_says_how_to_prepare_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        load_dataset(DataConfig(name="tfds:mnist"))
    assert f"tfds:mnist is not prepared in {tmp_path}.\n" in str(error.value)
    assert "vit-jax prepare tfds:mnist\n" in str(error.value)
    assert 'pip install -e ".[tensorflow]"' in str(error.value)
    with pytest.raises(FileNotFoundError, match=f"prepare tfds:mnist --data-dir {tmp_path}"):
        load_dataset(DataConfig(name="tfds:mnist", data_dir=str(tmp_path)))


def test_an_unknown_set_is_answered_with_the_nearest(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"tfds:mnst is not prepared in .* \(did you mean mnist or "):
        load_dataset(DataConfig(name="tfds:mnst", data_dir=str(tmp_path)))


def test_a_set_in_a_format_without_random_access_says_what_to_do(tmp_path: Path):
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": examples(noise(4, 6, 6, 3))})
    info = tmp_path / "tiny" / "1.0.0" / "dataset_info.json"
    info.write_text(info.read_text().replace("array_record", "tfrecord"))
    with pytest.raises(ValueError, match=r"tiny/1\.0\.0 is in the format tfrecord, .* prepare tfds:tiny --data-dir"):
        load(tmp_path)


UNUSABLE = {
    "has no class label: its features are": (tfds.features.Image(shape=(6, 6, 3)), {"label": np.int64}),
    "has no uint8 image": (tfds.features.Tensor(shape=(6, 6, 3), dtype=np.float32), {}),
    "has tensors of no fixed shape": (tfds.features.Tensor(shape=(None, 6, 3), dtype=np.uint8), {}),
    "has no train split, but test": (tfds.features.Image(shape=(6, 6, 3)), {}),
}


@pytest.mark.parametrize("reason", UNUSABLE)
def test_a_set_that_holds_no_labelled_images_is_refused_with_the_reason(reason: str, tmp_path: Path):
    feature, more = UNUSABLE[reason]
    if isinstance(feature, tfds.features.Image):
        split = examples(noise(2, 6, 6, 3))
    else:
        split = [{"image": np.zeros((6, 6, 3), feature.np_dtype), "label": 0}]
    prepared(tmp_path, feature, {"test" if "no train" in reason else "train": split}, **more)
    with pytest.raises(ValueError, match=f"tfds:tiny {reason}"):
        load(tmp_path)


def test_indices_out_of_range_raise_index_error(tmp_path: Path):
    """So that a source can be iterated over."""
    split = examples(noise(3, 6, 6, 3))
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": split, "test": examples(noise(3, 6, 6, 3))})
    train = load(tmp_path).train
    with pytest.raises(IndexError):
        train[3]


def read_in_worker(source: PreparedSource) -> int:
    return int(source[1][0].sum())


def test_a_source_can_be_sent_to_a_worker_process(tmp_path: Path):
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"train": examples(noise(10, 6, 6, 3))})
    source = load(tmp_path).test
    assert isinstance(source, PreparedSource)
    pickled = pickle.dumps(source)
    assert source.labels.tolist() == [0, 1]
    assert pickle.dumps(source) == pickled  # labels are left behind: those of a million images are megabytes
    copy = pickle.loads(pickled)
    np.testing.assert_array_equal(copy[1][0], source[1][0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_in_worker, (source,)) == read_in_worker(source)


def test_which_examples_a_part_has_takes_no_memory_beside_the_array_that_says_it():
    """In each worker process; a million Python numbers are 40 MB."""
    places = np.arange(10**5)
    source = PreparedSource(PreparedSplit(Path("nowhere"), "train"), (8, 8, 3), False, 2, places)
    tracemalloc.start()
    assert len(source) == 10**5
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 10**5
