"""Data sets that are folders of images."""

import multiprocessing
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_jax.data import folder, map_files
from vit_jax.data.dataset import DataConfig
from vit_jax.data.decoding import read_centre
from vit_jax.data.folder import FolderSource, load_folder, names_within

MakeFolder = Callable[..., Path]
CONFIG = DataConfig(name="folder:images", load_size=8, test_fraction=0.25)


def files(source: object) -> list[str]:
    assert isinstance(source, FolderSource)
    return ["/".join(Path(file).parts[-3:]) for file in source.files]


def test_a_folder_of_classes_is_divided(make_folder: MakeFolder):
    root = make_folder({"dog": 8, "cat": 4})
    data = load_folder(root, replace(CONFIG, validation_fraction=0.25))
    assert data.class_names == ("cat", "dog")
    assert data.image_shape == (8, 8, 3)
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (6, 3, 3)
    parts = [set(files(split)) for split in (data.train, data.validation, data.test)]
    assert len(set.union(*parts)) == 12
    for split in (data.train, data.validation, data.test):
        for file, label in zip(files(split), split.as_arrays()[1], strict=True):
            assert file.split("/")[1] == data.class_names[label]


def test_images_are_the_files_images_whichever_way_they_are_read(make_folder: MakeFolder, monkeypatch):
    data = load_folder(make_folder({"a": 90, "b": 90}), CONFIG)
    assert isinstance(data.train, FolderSource)
    monkeypatch.setattr(map_files, "WORTH_THREADS", 0.0)
    images, labels = data.train.as_arrays()
    assert (images.dtype, labels.dtype) == (np.uint8, np.int32)
    for index in (0, 50, len(data.train) - 1):
        np.testing.assert_array_equal(images[index], read_centre(data.train.files[index], (8, 8)))
        np.testing.assert_array_equal(images[index], data.train[index][0])
        assert data.train[index][1] == labels[index]


@pytest.mark.parametrize("validation", ["validation", "val"])
def test_a_divided_folder_is_kept_as_it_is(validation: str, make_folder: MakeFolder):
    root = make_folder({f"{s}/{c}": n for s, n in (("train", 4), (validation, 3), ("test", 2)) for c in ("x", "y")})
    data = load_folder(root, CONFIG)
    assert data.validation is not None
    for split, name, count in ((data.train, "train", 8), (data.validation, validation, 6), (data.test, "test", 4)):
        assert len(split) == count
        assert {file.split("/")[0] for file in files(split)} == {name}


def test_validation_is_taken_from_train_where_only_the_test_is_fixed(make_folder: MakeFolder):
    root = make_folder({f"{s}/{c}": 8 for s in ("train", "test") for c in ("x", "y")})
    data = load_folder(root, replace(CONFIG, validation_fraction=0.25))
    assert data.validation is not None
    assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 16)
    assert not set(files(data.train)) & set(files(data.validation))


def test_validation_is_the_test_where_there_is_no_other_and_that_is_told(make_folder: MakeFolder):
    data = load_folder(make_folder({f"{s}/{c}": 4 for s in ("train", "val") for c in ("x", "y")}), CONFIG)
    assert data.validation is None
    assert {file.split("/")[0] for file in files(data.test)} == {"val"}
    assert any("validation split is used as the test split" in note for note in data.notes)


def test_train_alone_is_divided(make_folder: MakeFolder):
    data = load_folder(make_folder({"train/x": 4, "train/y": 4}), CONFIG)
    assert (len(data.train), len(data.test)) == (6, 2)


def test_splits_by_other_names_are_told(make_folder: MakeFolder):
    """As they are often found: else train would be told from test, and nobody would see it."""
    root = make_folder({"training_set/cats": 6, "training_set/dogs": 6, "test_set/cats": 4, "test_set/dogs": 4})
    (note,) = [note for note in load_folder(root, CONFIG).notes if "are splits" in note]
    assert note.startswith("the classes are 'test_set', 'training_set', and each holds the folders 'cats', 'dogs': if")
    shutil.copy(root / "test_set" / "cats" / "0.png", root / "test_set")
    assert not [note for note in load_folder(root, CONFIG).notes if "are splits" in note]


def test_a_class_may_be_called_train(make_folder: MakeFolder):
    assert load_folder(make_folder({"bus": 4, "train": 4, "tram": 4}), CONFIG).class_names == ("bus", "train", "tram")


def test_folders_within_a_class_belong_to_it(make_folder: MakeFolder):
    root = make_folder({"a/2019": 3, "a/2020/may": 3, "b": 6})
    (root / "c").symlink_to(root / "b", target_is_directory=True)
    data = load_folder(root, CONFIG)
    labels = np.concatenate([data.train.as_arrays()[1], data.test.as_arrays()[1]])
    assert np.bincount(labels).tolist() == [6, 6, 6]


def test_a_folder_that_holds_itself_does_not_go_on_forever(make_folder: MakeFolder):
    root = make_folder({"a": 2, "b": 2})
    (root / "a" / "again").symlink_to(root / "a", target_is_directory=True)
    with pytest.raises(ValueError, match="a/again is a link to a folder that it lies in"):
        load_folder(root, CONFIG)


def test_a_link_to_itself_is_a_file_that_cannot_be_read(make_folder: MakeFolder):
    root = make_folder({"a": 4, "b": 4})
    (root / "a" / "loop.png").symlink_to("loop.png")
    with pytest.raises(ValueError, match=r"a/loop\.png cannot be read as an image"):
        load_folder(root, CONFIG)
    data = load_folder(root, replace(CONFIG, skip_unreadable=True))
    assert len(data.train) + len(data.test) == 8


def test_what_systems_leave_behind_is_ignored(make_folder: MakeFolder):
    root = make_folder({"a": 4, "b": 4})
    thumbnail = root / "a" / "@eaDir" / "0.png" / "SYNOPHOTO_THUMB_M.png"
    thumbnail.parent.mkdir(parents=True)
    shutil.copy(next(iter((root / "a").glob("*.*"))), thumbnail)  # an image, and one that is there already
    for clutter in (".DS_Store", "a/.DS_Store", "a/Thumbs.db", "b/desktop.ini"):
        (root / clutter).write_bytes(b"no image")
    (root / ".git").mkdir()
    (root / "__MACOSX").mkdir()
    data = load_folder(root, CONFIG)
    assert (len(data.train), len(data.test), data.class_names) == (6, 2, ("a", "b"))
    assert len(data.notes) == 1  # how it was divided


def test_files_beside_the_class_folders_are_told(make_folder: MakeFolder):
    root = make_folder({"a": 4, "b": 4})
    (root / "labels.csv").write_text("")
    assert f"not used, beside the class folders in {root}: 'labels.csv'" in load_folder(root, CONFIG).notes


def test_load_size_larger_than_all_images_is_told(make_folder: MakeFolder):
    """Enlarged images cost memory and show nothing more."""
    root = make_folder({"a": 4, "b": 4}, size=(12, 10))
    note = "every image is enlarged to load_size 16; 10 would hold each in full"
    assert note in load_folder(root, replace(CONFIG, load_size=16)).notes
    assert len(load_folder(root, replace(CONFIG, load_size=10)).notes) == 1


@pytest.mark.parametrize(("skip", "what"), [(False, "the header of every image"), (True, "every image")])
def test_that_many_files_are_looked_at_is_said_before(
    skip: bool, what: str, make_folder: MakeFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    """It takes minutes, in which nothing else is seen."""
    monkeypatch.setattr(map_files, "MANY", 9)
    said: list[list[str]] = []
    monkeypatch.setattr(folder, "image_size", lambda *_, **__: said.append(caplog.messages.copy()) or (8, 8))
    root = make_folder({"train/a": 5, "train/b": 5, "test/a": 4, "test/b": 4})
    load_folder(root, replace(CONFIG, skip_unreadable=skip))
    assert said == 8 * [[]] + 10 * [[f"reading {what} of train: 10"]]


@pytest.mark.parametrize("root", ["pictures", "/data/pictures/", "../pictures", "~/a/../pictures", "."])
def test_names_within_a_folder_are_its_files_paths_from_there(root: str, monkeypatch: pytest.MonkeyPatch):
    paths = [os.path.join(root, name) for name in ("loose.png", "a/1.png", "a/2.png", "a/b/3.png", "a/..png", "4.png")]
    expected = [os.path.relpath(path, root) for path in paths]
    seen, relpath = [], os.path.relpath
    monkeypatch.setattr(os.path, "relpath", lambda path, start: seen.append(path) or relpath(path, start))
    assert names_within(Path(root), paths) == expected
    assert len(seen) == 3  # of each folder once: of a million files that alone took seconds


BAD = {"text": b"not an image", "empty": b"", "pdf": b"%PDF-1.4 and so on"}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_image_stops_the_run_and_is_named(kind: str, make_folder: MakeFolder):
    root = make_folder({"a": 4, "b": 4})
    (root / "a" / "bad.jpg").write_bytes(BAD[kind])
    (root / "b" / "worse.jpg").write_bytes(BAD[kind])
    with pytest.raises(ValueError, match=r"a/bad\.jpg cannot be read .*1 more in train\)\. .* ask for skip_unreadable"):
        load_folder(root, CONFIG)


def test_unreadable_files_are_skipped_where_asked_counted_and_named(make_folder: MakeFolder):
    """Those too whose header is sound."""
    root = make_folder({"a": 5, "b": 5})
    (root / "a" / "bad.jpg").write_bytes(b"not an image")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(root / "b" / "cut.png")
    (root / "b" / "cut.png").write_bytes((root / "b" / "cut.png").read_bytes()[:5000])
    data = load_folder(root, replace(CONFIG, skip_unreadable=True))
    assert f"skipped 2 files that are not readable images: '{root}/a/bad.jpg', '{root}/b/cut.png'" in data.notes
    assert len(data.train.as_arrays()[0]) + len(data.test.as_arrays()[0]) == 10


def test_an_image_found_damaged_when_it_is_read_is_named(make_folder: MakeFolder):
    root = make_folder({"a": 4, "b": 4})
    file = root / "a" / "0.png"
    file.write_bytes(file.read_bytes()[:200])
    data = load_folder(root, CONFIG)
    with pytest.raises(ValueError, match=r"a/0\.png cannot be read as an image"):
        [split.as_arrays() for split in (data.train, data.test)]


def test_a_class_of_which_nothing_can_be_read_is_an_error(make_folder: MakeFolder):
    root = make_folder({"a": 4, "b": 0})
    (root / "b" / "bad.jpg").write_bytes(b"not an image")
    with pytest.raises(ValueError, match=r"class folder .*/b has no images"):
        load_folder(root, replace(CONFIG, skip_unreadable=True))


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        load_folder(tmp_path / "nowhere", CONFIG)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        load_folder(tmp_path / "file", CONFIG)


WRONG_LAYOUTS = {
    "is empty": {},
    "has only one class, 'a'": {"a": 3},
    "class folder .*/b has no images": {"a": 3, "b": 0},
    "class folder .*/train/b has no images": {"train/a": 3, "train/b": 0, "test/a": 3, "test/b": 3},
    "folder .*/test has no images": {"train/a": 3, "train/b": 3, "test/a": 0},
    "val.* has classes that train has not: 'z'": {"train/a": 3, "train/b": 3, "val/a": 3, "val/b": 3, "val/z": 3},
    "has 'test', 'val', but no 'train'": {"test/a": 3, "val/a": 3},
    "has both 'val' and 'validation'": {"train/a": 3, "val/a": 3, "validation/a": 3},
    "split folders, 'train', and others beside them: 'tset'": {"train/a": 3, "train/b": 3, "tset/a": 3},
    "train holds 3 files but no folders": {"train": 3},
    "test holds 3 files but no folders": {"train/a": 3, "train/b": 3, "test": 3},
    "test is empty": {"train/a": 3, "train/b": 3, "test": 0},
}


def test_a_split_may_lack_a_class_which_is_told(make_folder: MakeFolder):
    """Of a rare class all images may be needed to learn from: its folder is empty there, or missing."""
    root = make_folder({"train/a": 3, "train/b": 3, "train/c": 3, "val/b": 0, "val/c": 2, "test/a": 2, "test/c": 1})
    data = load_folder(root, CONFIG)
    assert data.class_names == ("a", "b", "c")
    assert data.validation is not None
    assert [split.as_arrays()[1].tolist() for split in (data.validation, data.test)] == [[2, 2], [0, 0, 2]]
    assert data.notes[:2] == (
        "test: no images of 1 of 3 classes: 'b'",
        "validation: no images of 2 of 3 classes: 'a', 'b'",
    )


def test_split_folders_may_be_called_otherwise(make_folder: MakeFolder):
    data = load_folder(make_folder({"Training/a": 5, "Training/b": 4, "Testing/a": 3, "Testing/b": 2}), CONFIG)
    assert (len(data.train), len(data.test), data.class_names) == (9, 5, ("a", "b"))


def test_class_names_that_are_no_text_are_refused(make_folder: MakeFolder):
    root = make_folder({"a": 3, "b": 3})
    (root / "b").rename(root / os.fsdecode(b"\xc4pfel"))
    with pytest.raises(ValueError, match=r"names are no text \(UTF-8\), '\\udcc4pfel': rename them"):
        load_folder(root, CONFIG)


@pytest.mark.parametrize("reason", WRONG_LAYOUTS)
def test_a_folder_that_is_no_data_set_is_refused_with_the_reason(reason: str, make_folder: MakeFolder, tmp_path: Path):
    (tmp_path / "images").mkdir()
    with pytest.raises(ValueError, match=reason):
        load_folder(make_folder(WRONG_LAYOUTS[reason]), CONFIG)


def test_images_without_class_folders_are_refused(make_folder: MakeFolder):
    root = make_folder({"a": 3})
    for file in list((root / "a").iterdir()):
        file.rename(root / file.name)
    (root / "a").rmdir()
    with pytest.raises(ValueError, match="holds 3 files but no folders: put the images of each class into a folder"):
        load_folder(root, CONFIG)


def test_the_order_of_files_is_that_of_their_names(make_folder: MakeFolder):
    """And not that of the file system: a split by seed must be the same on every machine."""
    root = make_folder({"train/a": 12, "train/b": 1, "test/a": 1, "test/b": 1})
    names = files(load_folder(root, CONFIG).train)
    assert names == sorted(names)


def read_in_worker(source: FolderSource) -> int:
    return int(source[0][0].sum())


def test_a_source_can_be_sent_to_a_worker_process(make_folder: MakeFolder):
    source = load_folder(make_folder({"a": 4, "b": 4}), CONFIG).train
    assert isinstance(source, FolderSource)
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[2][0], source[2][0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(read_in_worker, (source,)) == read_in_worker(source)


def test_without_labels_every_image_below_is_taken(make_folder: MakeFolder):
    root = make_folder({"2024/summer": 3, "2024/autumn": 2, "2025": 4, "loose": 3})
    for file in (root / "loose").iterdir():
        file.rename(root / file.name)
    (root / "2025" / ".thumbnail.png").write_bytes(b"")
    data = load_folder(root, replace(CONFIG, labels=False))
    assert data.class_names == ()
    assert (len(data.train), len(data.test)) == (9, 3)
    parts = {*files(data.train), *files(data.test)}
    assert len(parts) == 12
    assert not any(split.as_arrays()[1].any() for split in (data.train, data.test))
    assert data.notes == ("test: 3 of 12 images held out, seed 0",)


def test_without_labels_a_test_split_is_none_to_learn_from(make_folder: MakeFolder):
    data = load_folder(make_folder({"train/a": 4, "train/b": 3, "test/a": 2}), replace(CONFIG, labels=False))
    assert (len(data.train), len(data.test)) == (7, 2)


def test_without_labels_a_folder_without_images_is_refused(make_folder: MakeFolder):
    with pytest.raises(ValueError, match=r"images has no images$"):
        load_folder(make_folder({"a": 0}), replace(CONFIG, labels=False))


def test_without_labels_a_folder_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"folder .*nowhere does not exist; data\.name folder:DIR"):
        load_folder(tmp_path / "nowhere", replace(CONFIG, labels=False))


def test_without_labels_a_split_without_images_is_refused(make_folder: MakeFolder):
    with pytest.raises(ValueError, match="images/test has no images"):
        load_folder(make_folder({"train/a": 1, "test/b": 0}), replace(CONFIG, labels=False))


@pytest.mark.parametrize("below", ["", "one"])
def test_images_without_classes_may_be_meant_for_pre_training(below: str, make_folder: MakeFolder):
    with pytest.raises(ValueError, match=r"for pre-training without labels, set data\.labels False"):
        load_folder(make_folder({"one": 3}) / ("one" if not below else ""), CONFIG)


@pytest.mark.parametrize("others", [{}, {"beach": 3}])
@pytest.mark.parametrize("name", ["train", "test"])
def test_without_labels_photos_beside_a_folder_called_as_a_split_count(
    name: str, others: dict[str, int], make_folder: MakeFolder
):
    """Photos of trains, or of a test: the folder is no split where there is anything else."""
    root = make_folder({f"{name}/2024": 5, "loose": 4, **others})
    for file in (root / "loose").iterdir():
        file.rename(root / file.name)
    (root / "loose").rmdir()
    data = load_folder(root, replace(CONFIG, labels=False))
    assert len({*files(data.train), *files(data.test)}) == 9 + sum(others.values())
