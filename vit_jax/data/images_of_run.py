"""Which images a run has: its folder may lie elsewhere now, and another folder may be a part of it or a copy."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from vit_jax.data.folder import FOLDER, folder_root
from vit_jax.data.listing import LISTING, listed_root, read_listing
from vit_jax.json_file import read_json

SAME = 0.9
"""Share of a run's images that are in its folder still: some may have vanished since."""


def workdir_of(source: str) -> Path:
    """The workdir of a run that is named by it, by its model/, its best/ or a file there; any other source as it is."""
    path = Path(os.path.expanduser(source))
    folder = path.resolve().parent if path.is_file() else path.resolve()
    is_part = folder.name in ("model", "best") and (folder.parent / "config.json").is_file()
    return folder.parent if is_part else path


def root_of(workdir: Path, name: str) -> Path:
    """Where a run's folder lay when it began, absolute.

    Args:
        workdir: of the run.
        name: its set's name in its config. It may be relative to where the run was begun: the list of images has the
            whole path.
    """
    listing = workdir / LISTING
    return listed_root(listing) if listing.is_file() else folder_root(name).resolve()


def may_be_set_of(workdir: Path, trained: str, name: str) -> bool:
    """Whether a set can be the one that a run trained on: a folder, if it is the same or that is no more where it was.

    Args:
        workdir: of the run.
        trained: the set's name in the run's config.
        name: the name in question.
    """
    if not (trained.startswith(FOLDER) and name.startswith(FOLDER)):
        return trained == name
    root = root_of(workdir, trained)
    is_there = folder_root(name).resolve() == root.resolve()  # it may have been moved, and a link left in its place
    return is_there or ((workdir / LISTING).is_file() and not root.exists())


def is_set_of(workdir: Path, trained: str, name: str) -> bool:
    """Whether a set is the one that a run trained on: a folder that `may_be_set_of`, and has its images if it moved."""
    if not may_be_set_of(workdir, trained, name):
        return False
    if not name.startswith(FOLDER) or folder_root(name).resolve() == root_of(workdir, trained).resolve():
        return True
    splits, folder = read_listing(workdir / LISTING)["splits"].values(), folder_root(name)
    files = [file for split in splits for file in split["files"]]
    return sum((folder / file).exists() for file in files) >= SAME * len(files)


def describe_learned(source: str, files: Sequence[str]) -> tuple[int | None, str]:
    """How many of these files the run at `source` may have learned from, and that in words; None if it is not known.

    By where they lie, if that is in the run's folder. Elsewhere they may be copies: then by the names of the file and
    of its class's folder.
    """
    workdir = workdir_of(source)
    listing, config = workdir / LISTING, workdir / "config.json"
    if not listing.is_file() or not config.is_file():
        return None, f"whether {source} learned from some is not known"
    trained = read_json(config).get("data")
    if trained is None:  # a model's, written over the run's
        return None, f"whether {source} learned from some is not known"
    root, run = root_of(workdir, trained["name"]), f"the run in {source} learned from"
    learned = read_listing(listing)["splits"]["train"]["files"]
    folder_of = cache(os.path.realpath)  # a folder's once, and not each file's

    def place(file: str) -> str:
        return os.path.join(folder_of(os.path.dirname(file)), os.path.basename(file))

    places, called = {place(os.path.join(root, file)) for file in learned}, {file_and_class(file) for file in learned}
    elsewhere = [file for file in files if not place(file).startswith(f"{folder_of(root)}{os.sep}")]
    there = sum(place(file) in places for file in files)
    named = sum(file_and_class(file) in called for file in elsewhere)
    found = [f"{run} {f'{there:,}' if there else 'none'} of them"] if there or not elsewhere else []
    if elsewhere:
        found.append(f"{f'{named:,} have' if named else 'none has'} the name of an image that {run}")
    return there + named, "; ".join(found)


def file_and_class(file: str) -> tuple[str, str]:
    """The name of a file and that of its folder."""
    folder, name = os.path.split(file)
    return os.path.basename(folder), name
