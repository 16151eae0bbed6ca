"""A run goes on with the images that it began with."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vit_jax.data import folder, listing
from vit_jax.data.dataset import DataConfig, Dataset
from vit_jax.data.folder import FolderSource
from vit_jax.data.listing import LISTING, read_listing, write_listing
from vit_jax.data.sources import load_dataset


@pytest.fixture
def config(make_folder: Callable[..., Path]) -> DataConfig:
    root = make_folder({"a": 20, "b": 20})
    return DataConfig(name=f"folder:{root}", load_size=8, test_fraction=0.25, skip_unreadable=True)


def files(dataset: Dataset) -> list[tuple[str, ...]]:
    splits = [split for split in (dataset.train, dataset.validation, dataset.test) if isinstance(split, FolderSource)]
    return [split.files for split in splits]


@pytest.mark.parametrize("validation_fraction", [0.0, 0.2])
def test_whatever_becomes_of_the_folder(validation_fraction: float, config: DataConfig, tmp_path: Path):
    config = replace(config, validation_fraction=validation_fraction)
    before = load_dataset(config, tmp_path / LISTING)
    write_listing(before, tmp_path / LISTING)
    images, labels = before.test.as_arrays()
    Path(files(before)[0][3]).unlink()
    Path(files(before)[0][5]).write_bytes(b"")
    Path(files(before)[0][0]).with_name("another.png").write_bytes(Path(files(before)[0][0]).read_bytes())

    after = load_dataset(config, tmp_path / LISTING)
    assert files(after) == files(before)
    assert files(load_dataset(config)) != files(before)
    assert (after.validation is None) == (not validation_fraction)
    assert (after.name, after.class_names, after.image_shape) == (before.name, before.class_names, before.image_shape)
    others = f"other files in {tmp_path / 'images'} are not used, left out then or come since: 1"
    beginning = "the images are those of the run's beginning, as images.json lists them"
    assert after.notes == (*before.notes, beginning, others)
    for one, other in zip(after.test.as_arrays(), (images, labels), strict=True):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype


def test_a_file_that_is_gone_stops_the_run_where_it_may_not_be_left_out(config: DataConfig, tmp_path: Path):
    config = replace(config, skip_unreadable=False)
    dataset = load_dataset(config)
    write_listing(dataset, tmp_path / LISTING)
    gone = Path(files(dataset)[0][3])
    gone.unlink()
    Path(files(dataset)[0][5]).unlink()
    told = rf"{gone} cannot be read as an image: .*No such file.* \(and 1 more in train\)\. Put it back, or ask"
    with pytest.raises(ValueError, match=told):
        load_dataset(config, tmp_path / LISTING)
    (tmp_path / "images" / "a" / "0").symlink_to("..")  # the folder cannot be listed to its end
    with pytest.raises(ValueError, match=told):
        load_dataset(config, tmp_path / LISTING)


@pytest.mark.parametrize("skip", [True, False])
def test_files_are_not_opened_before_they_are_read(
    skip: bool, config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A million headers are minutes; and what has gone bad is told by the same words later."""
    config = replace(config, skip_unreadable=skip)
    before = load_dataset(config)
    write_listing(before, tmp_path / LISTING)
    bad = Path(files(before)[0][3])
    bad.write_text("not an image")
    with monkeypatch.context() as patch:
        patch.setattr(folder, "image_size", None)
        after = load_dataset(config, tmp_path / LISTING)
    assert files(after) == files(before)
    assert after.notes[: len(before.notes)] == before.notes
    with pytest.raises(ValueError, match=f"{bad} cannot be read as an image: not a JPEG"):
        after.train.as_arrays()


def test_a_list_that_rotted_is_refused(config: DataConfig, tmp_path: Path):
    """Another digit would be another class, and nobody would see it."""
    write_listing(load_dataset(config), tmp_path / LISTING)
    text = (tmp_path / LISTING).read_text()
    place = text.index("1", text.index('"labels"'))
    (tmp_path / LISTING).write_text(f"{text[:place]}0{text[place + 1 :]}")
    with pytest.raises(ValueError, match=r"images\.json is not as it was written"):
        load_dataset(config, tmp_path / LISTING)
    (tmp_path / LISTING).write_text(text.replace('"root"', '"roof"'))
    with pytest.raises(ValueError, match=r"images\.json is not as it was written"):
        listing.listed_root(tmp_path / LISTING)


def test_the_folder_may_be_moved(config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_listing(load_dataset(config), tmp_path / LISTING)
    (tmp_path / "images").rename(tmp_path / "pictures")
    monkeypatch.chdir(tmp_path)
    dataset = load_dataset(replace(config, name="folder:pictures"), tmp_path / LISTING)
    assert len(dataset.train.as_arrays()[0]) == 30


def test_a_list_is_written_anew_only_where_the_folder_was_moved(
    config: DataConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """That of a million images takes seconds to write, and to see that it is as it was written."""
    path = tmp_path / LISTING
    write_listing(load_dataset(config), path)
    with monkeypatch.context() as patch:
        patch.setattr(listing, "sealed", None)
        patch.setattr(listing, "unsealed", None)
        write_listing(load_dataset(config), path)
    before = read_listing(path)
    (tmp_path / "images").rename(tmp_path / "pictures")
    write_listing(load_dataset(replace(config, name=f"folder:{tmp_path / 'pictures'}"), path), path)
    assert read_listing(path) == {**before, "root": str(tmp_path / "pictures")}


def test_the_first_list_stays_and_other_sets_have_none(config: DataConfig, tmp_path: Path):
    write_listing(load_dataset(DataConfig("digits")), tmp_path / LISTING)
    assert not (tmp_path / LISTING).exists()
    dataset = load_dataset(config)
    write_listing(dataset, tmp_path / LISTING)
    write_listing(replace(dataset, class_names=("x", "y")), tmp_path / LISTING)
    assert load_dataset(config, tmp_path / LISTING).class_names == ("a", "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["images", LISTING]
