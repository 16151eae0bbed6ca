"""The images that a run began with: it goes on with these, divided as they were, whatever has become of the folder.

Without this list a file that vanished, or one that was added, would be a change of everything: how the rest is divided,
and so which images are tested on that were trained on before.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.data.dataset import DataConfig, Dataset
from vit_jax.data.folder import FOLDER, FolderSource, check_files, contents, files_below, folder_root, names_within
from vit_jax.json_file import read_json, sealed, unsealed, write_json

LISTING = "images.json"
"""The list's name in a run's workdir."""


def write_listing(dataset: Dataset, path: Path) -> None:
    """Lists the files of a folder's splits and their labels, by their names within the folder, and where that lies.

    A list that is there already stays, but for the place, if the folder has been moved. Does nothing for a set that is
    no folder.

    Raises:
        OSError: it cannot be written.
    """
    if not dataset.name.startswith(FOLDER):
        return
    root = folder_root(dataset.name)
    if path.exists():
        if listed_root(path) != root.resolve():
            write_json(path, sealed({**read_listing(path), "root": str(root.resolve())}))
        return
    splits = {
        name: {"files": names_within(root, source.files), "labels": source.labels.tolist()}
        for name in ("train", "validation", "test")
        if isinstance(source := getattr(dataset, name), FolderSource)
    }
    about = {"root": str(root.resolve()), "class_names": dataset.class_names, "notes": dataset.notes}
    write_json(path, sealed({**about, "splits": splits}))


def read_listing(path: Path) -> dict[str, Any]:
    """What `write_listing` wrote.

    Raises:
        ValueError: if it is damaged.
    """
    return unsealed(read_json(path), path)


def listed_root(path: Path) -> Path:
    """Where a folder lay when its list was written to `path`, absolute.

    The list's seal is not looked at, which takes four times as long as to read it: `read_listing` does.

    Raises:
        ValueError: the list is damaged, so that it does not tell.
    """
    root = read_json(path).get("root")
    return Path(root if isinstance(root, str) else read_listing(path)["root"])


def load_listed(config: DataConfig, path: Path) -> Dataset:
    """The folder of images that a config names, as `write_listing` wrote its list to `path`.

    Each file keeps its place. Reading it finds out whether it is a readable image still; here it is only seen to be
    there, by listing the folder, where unreadable ones are not to be skipped (see `vit_jax.data.unreadable`).

    Raises:
        ValueError: the list is damaged; or a file is not there any more, unless these are skipped.
    """
    content = read_listing(path)
    root = folder_root(config.name)
    splits = {
        name: FolderSource(
            tuple(os.path.join(root, file) for file in split["files"]),
            np.array(split["labels"], np.int32),
            config.load_shape,
        )
        for name, split in content["splits"].items()
    }
    notes = [*content["notes"], f"the images are those of the run's beginning, as {path.name} lists them"]
    unseen, others = {file for source in splits.values() for file in source.files}, 0
    contents(root)  # says so if it is not there
    with suppress(OSError, ValueError):  # what is of no use to the run must not end it
        for file in files_below(root):
            others += file not in unseen
            unseen.discard(file)
        if others:
            notes.append(f"other files in {root} are not used, left out then or come since: {others:,}")
    if not config.skip_unreadable:
        gone = {name: [i for i, file in enumerate(source.files) if file in unseen] for name, source in splits.items()}
        check_files({name: splits[name].subset(np.array(places, int)) for name, places in gone.items()}, config, [])
    return Dataset(
        name=config.name,
        class_names=tuple(content["class_names"]),
        image_shape=(*config.load_shape, 3),
        train=splits["train"],
        validation=splits.get("validation"),
        test=splits["test"],
        notes=tuple(notes),
    )
