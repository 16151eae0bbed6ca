"""A run's images are known again: where they were, from another directory, moved, copied, and in part."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_jax.data.dataset import DataConfig
from vit_jax.data.images_of_run import describe_learned, is_set_of, may_be_set_of
from vit_jax.data.listing import LISTING, write_listing
from vit_jax.data.sources import load_dataset


@pytest.fixture
def begun_in(tmp_path, monkeypatch):
    """A run, begun in a directory on "folder:pictures" there: 16 of 20 images are learned from."""
    here = tmp_path / "here"
    random = np.random.default_rng(0)
    for number in range(20):
        path = here / "pictures" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(path)
    monkeypatch.chdir(here)
    workdir = here / "run"
    workdir.mkdir()
    (workdir / "config.json").write_text(json.dumps({"data": {"name": "folder:pictures"}}))
    write_listing(load_dataset(DataConfig("folder:pictures", load_size=8)), workdir / LISTING)
    return here


def told(run: Path, folder: Path) -> str:
    return describe_learned(str(run), sorted(map(str, folder.glob("*/*.png"))))[1].replace(str(run), "RUN")


def test_a_folder_is_known_from_another_directory(begun_in, tmp_path, monkeypatch):
    """And another one there of the same name is not taken for it."""
    run, elsewhere = begun_in / "run", tmp_path / "elsewhere"
    shutil.copytree(begun_in / "pictures", elsewhere / "pictures")
    monkeypatch.chdir(elsewhere)
    assert is_set_of(run, "folder:pictures", f"folder:{begun_in / 'pictures'}/")
    assert is_set_of(run, "folder:pictures", "folder:../here/pictures")
    assert not may_be_set_of(run, "folder:pictures", "folder:pictures")
    assert not may_be_set_of(run, "folder:pictures", "tfds:pictures")
    assert is_set_of(run, "digits", "digits")
    assert told(run, begun_in / "pictures") == "the run in RUN learned from 16 of them"


def test_a_run_is_found_at_home(begun_in, monkeypatch):
    """Weights are, by load_pretrained: what they learned from must not go unnoticed there."""
    monkeypatch.setenv("HOME", str(begun_in))
    files = sorted(map(str, (begun_in / "pictures").glob("*/*.png")))
    assert describe_learned("~/run", files)[0] == 16


def test_a_folder_that_was_moved_is_known_by_its_images(begun_in, tmp_path):
    moved = (begun_in / "pictures").rename(tmp_path / "moved")
    (moved / "a" / "0.png").unlink()
    assert is_set_of(begun_in / "run", "folder:pictures", f"folder:{moved}")
    for file in sorted((moved / "a").iterdir())[:4]:
        file.unlink()
    assert not is_set_of(begun_in / "run", "folder:pictures", f"folder:{moved}")
    assert may_be_set_of(begun_in / "run", "folder:pictures", f"folder:{moved}")  # for a run that is to go on there


def test_a_folder_that_was_moved_and_linked_is_the_same(begun_in, tmp_path):
    moved = (begun_in / "pictures").rename(tmp_path / "moved")
    (begun_in / "pictures").symlink_to(moved)
    assert may_be_set_of(begun_in / "run", "folder:pictures", "folder:pictures")
    assert is_set_of(begun_in / "run", "folder:pictures", "folder:pictures")
    assert is_set_of(begun_in / "run", "folder:pictures", f"folder:{moved}")


def test_what_was_learned_from_is_known_by_its_place_or_else_by_its_name(begun_in, tmp_path):
    run, pictures = begun_in / "run", begun_in / "pictures"
    named = "the name of an image that the run in RUN learned from"
    shutil.copy(pictures / "a" / "0.png", pictures / "a" / "new.png")
    assert told(run, pictures) == "the run in RUN learned from 16 of them"
    assert describe_learned(str(run), [str(pictures / "a" / "new.png")])[0] == 0
    copy = shutil.copytree(pictures, tmp_path / "copy" / "train")
    assert told(run, copy) == f"16 have {named}"
    both = sorted(str(file) for folder in (pictures, copy) for file in folder.glob("*/*.png"))
    count, both_told = describe_learned(str(run), both)
    assert (count, both_told.replace(str(run), "RUN")) == (
        32,
        f"the run in RUN learned from 16 of them; 16 have {named}",
    )
    pictures.rename(tmp_path / "moved")
    assert told(run, tmp_path / "moved") == f"16 have {named}"
    for file in copy.glob("*/*.png"):
        file.rename(file.with_name(f"of_another_{file.name}"))
    assert told(run, copy) == f"none has {named}"
    assert describe_learned("google/vit", []) == (None, "whether google/vit learned from some is not known")
