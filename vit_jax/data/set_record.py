"""What tells a data set from another one of the same name: a version, sizes, digests.

A run goes on with the set that it began with, or not at all, and the runs of a comparison have the same. The data
directory may have another version by now, or one that was prepared from another archive; a folder other files.
"""

import os
from pathlib import Path
from typing import Any

from vit_jax.data.dataset import ArraySource, Dataset, Source
from vit_jax.data.folder import FOLDER, FolderSource, folder_root, names_within
from vit_jax.digest import digest_of
from vit_jax.json_file import read_json, sealed, unsealed, write_json

RECORD = "data.json"
"""The record's name in a run's workdir."""

LOOKED_AT = 500
"""Images of a split in memory whose pixels are in its digest, evenly spaced."""


def keep_record(dataset: Dataset, path: Path) -> None:
    """Writes to `path` what a run begins with; one that goes on must have the same. A folder has a list of its files.

    Raises:
        ValueError: as `check_record`.
    """
    if path.exists():
        check_record(dataset, path)
    elif not dataset.name.startswith(FOLDER):
        write_json(path, sealed(record_of(dataset)))


def check_record(dataset: Dataset, path: Path) -> None:
    """Compares a set with the record of a run at `path`, if there is one.

    Raises:
        ValueError: if the run began with another, or the record is damaged.
    """
    if not path.exists():
        return
    before, now = unsealed(read_json(path), path), record_of(dataset)
    if told := changes(before, now):
        raise ValueError(
            f"the run in {path.parent} began with other images called {dataset.name}, of another version or archive "
            f"({told}). Give the data directory that has them; a new run needs another --workdir"
        )


def changes(before: dict[str, Any], now: dict[str, Any]) -> str:
    """In words, how two records differ; empty if they are the same."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return "; ".join(f"{name}: {before.get(name)} -> {now.get(name)}" for name in changed)


def record_of(dataset: Dataset) -> dict[str, Any]:
    """What is recorded of a data set: cheap to find out, whatever its size."""
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    return {
        "class_names": list(dataset.class_names),
        "image_shape": list(dataset.image_shape),
        **{name: record_of_split(source, dataset.name) for name, source in splits.items() if source is not None},
    }


def record_of_split(source: Source, name: str) -> dict[str, Any]:
    """The number of its examples; of one in memory or in files a digest, of one of TFDS's its version and which it has
    of that. `name` is the set's."""
    record: dict[str, Any] = {"examples": len(source)}
    if isinstance(source, FolderSource):  # its files by their names, wherever the folder lies; not what is in them
        files = "\n".join(names_within(folder_root(name), source.files))
        record["sha256"] = digest_of({"labels": source.labels}, beside=os.fsencode(files).hex())  # perhaps no UTF-8
        return record
    if isinstance(source, ArraySource):
        step = max(len(source) // LOOKED_AT, 1)
        record["sha256"] = digest_of({"labels": source.labels, "images": source.images[::step]})
        return record
    from vit_jax.data.tfds_sets import PreparedSource  # imports TFDS, 0.3 s, which other sets need not wait for

    if isinstance(source, PreparedSource):
        record["version"] = source.split.directory.name
        if source.places is not None:
            record["sha256"] = digest_of({"places": source.places})
    return record
