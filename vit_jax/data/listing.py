"""The images that a run began with: it goes on with these, divided as they were, whatever has become of the folder.

Without this list a file that vanished, or one that was added, would be a change of everything: how the rest is divided,
and so which images are tested on that were trained on before.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.data.dataset import DataConfig, Dataset
from vit_jax.data.folder import FOLDER, FolderSource, check_files, folder_root
from vit_jax.json_file import read_json, sealed, unsealed, write_json

LISTING = "images.json"
"""The list's name in a run's workdir."""


def write_listing(dataset: Dataset, path: Path) -> None:
    """Lists the files of a folder's splits and their labels, by their names within the folder.

    Does nothing where there is a list already, or for a set that is no folder.

    Raises:
        OSError: it cannot be written.
    """
    if not dataset.name.startswith(FOLDER) or path.exists():
        return
    root = folder_root(dataset.name)
    splits = {
        name: {"files": [os.path.relpath(file, root) for file in source.files], "labels": source.labels.tolist()}
        for name in ("train", "validation", "test")
        if isinstance(source := getattr(dataset, name), FolderSource)
    }
    write_json(path, sealed({"class_names": dataset.class_names, "notes": dataset.notes, "splits": splits}))


def read_listing(path: Path) -> dict[str, Any]:
    """What `write_listing` wrote.

    Raises:
        ValueError: if it is damaged.
    """
    return unsealed(read_json(path), path)


def load_listed(config: DataConfig, path: Path) -> Dataset:
    """The folder of images that a config names, as `write_listing` wrote its list to `path`.

    Files are looked at only where unreadable ones are not to be skipped: where they are, each keeps its place, and
    reading it finds out (see `vit_jax.data.unreadable`).

    Raises:
        ValueError: the list is damaged; or a file is not a readable image any more, unless these are skipped.
    """
    content = read_listing(path)
    root = folder_root(config.name)
    splits = {
        name: FolderSource(
            tuple(os.path.join(root, file) for file in split["files"]),
            np.array(split["labels"], np.int32),
            config.load_size,
        )
        for name, split in content["splits"].items()
    }
    if not config.skip_unreadable:
        check_files(splits, config, [])
    return Dataset(
        name=config.name,
        class_names=tuple(content["class_names"]),
        image_shape=(config.load_size, config.load_size, 3),
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        notes=(*content["notes"], f"the images are those of the run's beginning, as {path.name} lists them"),
    )
