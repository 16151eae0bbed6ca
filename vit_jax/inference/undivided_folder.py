"""Folders of images that come in one piece. To be scored they need not be divided: nothing is learned from them."""

from pathlib import Path
from typing import NamedTuple

from vit_jax.data.dataset import DataConfig
from vit_jax.data.folder import SPLIT_FOLDERS, FolderSource, contents, labelled_splits, split_folders, visible


class UndividedFolder(NamedTuple):
    """A folder with a folder a class.

    Attributes:
        path: of it.
        split: which split its name says it is: "test" of DIR/test/<class>/<image>, where DIR has nothing else; None
            where its name says nothing.
    """

    path: Path
    split: str | None


def undivided_folder(root: Path) -> UndividedFolder | None:
    """The one folder of images in `root`, or `root` itself; None where there are several splits.

    Raises:
        FileNotFoundError, NotADirectoryError, ValueError: as `split_folders`.
    """
    folders = [Path(entry) for entry in contents(root) if entry.is_dir()]
    if len(folders) == 1 and any(entry.is_dir() for entry in visible(folders[0])):
        (folder,) = folders
        if split := SPLIT_FOLDERS.get(folder.name.casefold()):
            return UndividedFolder(folder, split)
    return UndividedFolder(root, None) if split_folders(root) == {"train": root} else None


def load_undivided(folder: Path, config: DataConfig) -> tuple[FolderSource, tuple[str, ...], list[str]]:
    """All images of a folder with a folder a class, the names of its classes, and notes.

    Raises:
        ValueError: no classes; a class without images; a file that is not a readable image, unless these
            are skipped.
    """
    notes: list[str] = []
    class_names, splits = labelled_splits(folder, {"train": folder}, config, notes)
    return splits["train"], class_names, notes
