"""What a person names is what is read: in order, each file once, nothing matched is an error."""

import os

import pytest

from vit_jax.inference.image_files import image_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.PNG", "notes.txt", "in/c.webp", "in/deep/d.tiff", "in/.e.png", "x[1].bmp", "empty/f.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (["b.jpg", "a.PNG"], ["b.jpg", "a.PNG"]),
        (["."], ["./a.PNG", "./b.jpg", "./in/c.webp", "./in/deep/d.tiff", "./x[1].bmp"]),
        (["in"], ["in/c.webp", "in/deep/d.tiff"]),
        (["*"], ["a.PNG", "b.jpg", "in/c.webp", "in/deep/d.tiff", "x[1].bmp"]),
        (["in/*.webp"], ["in/c.webp"]),
        (["**/*.tiff"], ["in/deep/d.tiff"]),
        (["in/**"], ["in/c.webp", "in/deep/d.tiff"]),
        (["notes.txt"], ["notes.txt"]),  # named itself: it will be found to be no image
        (["x[1].bmp"], ["x[1].bmp"]),  # a name before a pattern
        (["b.jpg", "*.jpg", "./b.jpg"], ["b.jpg"]),
    ],
)
def test_files_folders_and_patterns(here, named, expected):
    assert image_files(named).images == expected


def test_a_link_to_an_image_is_that_image(here):
    os.symlink(here / "b.jpg", here / "link.jpg")
    assert image_files(["link.jpg", "b.jpg"]).images == ["link.jpg"]


def test_an_image_in_a_folder_that_is_linked_is_that_image(here):
    os.symlink(here / "in", here / "way")
    assert image_files(["way/c.webp", "in", "way"]).images == ["way/c.webp", "in/deep/d.tiff"]


def test_where_a_folder_leads_is_asked_once(here, monkeypatch):
    """Of a million files it would be most of the time that it takes to find them."""
    for i in range(50):
        (here / "in" / f"{i}.png").touch()
    asked, realpath = [], os.path.realpath
    monkeypatch.setattr(os.path, "realpath", lambda path, **kwargs: asked.append(path) or realpath(path, **kwargs))
    assert len(image_files(["in"]).images) == 52
    assert len(asked) < 10


def test_a_link_to_nothing_is_found_to_be_no_image_later(here):
    os.symlink("gone.jpg", here / "link.jpg")
    assert image_files(["*.jpg", "link.jpg"]).images == ["b.jpg", "link.jpg"]


def test_files_of_a_folder_that_are_no_images_by_their_names_are_told(here):
    (here / "in" / "photo.HEIC").touch()
    (here / "in" / "scan").touch()
    assert image_files(["b.jpg", "notes.txt"]).others == []
    found = image_files(["notes.txt", "."])
    assert found.others == ["./empty/f.txt", "./in/photo.HEIC", "./in/scan"]
    assert found.describe() == "left out of folders, as their suffix is no image's: 3 files (.heic .txt none)"


def test_nothing_is_no_answer():
    with pytest.raises(ValueError, match="no image was named"):
        image_files([])


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("*.gif", r"no image matches '\*\.gif': looked for .*\.jpeg"),
        ("*.txt", r"no image matches '\*\.txt'"),
        ("empty", r"no image in the folder empty: looked for"),
        ("nowhere.jpg", r"no image at nowhere\.jpg: there is no such file"),
    ],
)
def test_what_gives_nothing_is_named(here, named, message):
    with pytest.raises(FileNotFoundError, match=message):
        image_files(["b.jpg", named])
