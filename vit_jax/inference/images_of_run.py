"""Which images a run learned from: a set may lie elsewhere now, and a folder may be a part of another."""

import os
from collections.abc import Sequence
from pathlib import Path

from vit_jax.data.folder import folder_root, may_have_moved
from vit_jax.data.listing import LISTING, read_listing
from vit_jax.json_file import read_json

SAME = 0.9
"""Share of a run's images that are in its folder still: some may have vanished since."""


def is_moved_set(workdir: Path, old: str, name: str) -> bool:
    """Whether a folder is the one that the run in a workdir trained on, which is no more where it was.

    Args:
        workdir: of the run, with the list of its images.
        old: the set's name in the run's config.
        name: the folder's.
    """
    if not may_have_moved(old, name) or not (workdir / LISTING).is_file():
        return False
    splits = read_listing(workdir / LISTING)["splits"].values()
    files = [file for split in splits for file in split["files"]]
    return sum((folder_root(name) / file).exists() for file in files) >= SAME * len(files)


def learned_from(workdir: Path, files: Sequence[str]) -> int | None:
    """How many of these files the run in a workdir learned from; None where that is not known."""
    listing, config = workdir / LISTING, workdir / "config.json"
    if not listing.is_file() or not config.is_file():
        return None
    root = folder_root(read_json(config)["data"]["name"])
    learned = {os.path.realpath(root / file) for file in read_listing(listing)["splits"]["train"]["files"]}
    return sum(os.path.realpath(file) in learned for file in files)
