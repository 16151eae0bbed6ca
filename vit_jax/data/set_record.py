"""What a run began with, if that is no folder of images: it goes on with the same set, or not at all.

The data directory may have another version of it by now, or one that was prepared from another archive.
"""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.data.dataset import ArraySource, Dataset, Source
from vit_jax.data.folder import FOLDER
from vit_jax.json_file import read_json, sealed, unsealed, write_json

RECORD = "data.json"
"""The record's name in a run's workdir."""

LOOKED_AT = 500
"""Images of a split in memory whose pixels are in its digest, evenly spaced."""


def keep_record(dataset: Dataset, path: Path) -> None:
    """Writes to `path` what a run begins with; one that goes on must have the same. A folder has a list of its files.

    Raises:
        ValueError: if it has another, or the record is damaged.
    """
    if dataset.name.startswith(FOLDER):
        return
    now = record_of(dataset)
    if not path.exists():
        write_json(path, sealed(now))
        return
    before = unsealed(read_json(path), path)
    if before != now:
        changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
        told = "; ".join(f"{name}: {before.get(name)} -> {now.get(name)}" for name in changed)
        raise ValueError(
            f"{path.parent} holds a run that began with other images called {dataset.name}, of another version or "
            f"archive ({told}). Give the --data.data_dir that has them, or another --workdir for a new run"
        )


def record_of(dataset: Dataset) -> dict[str, Any]:
    """What is recorded of a data set: cheap to find out, whatever its size."""
    splits = {name: getattr(dataset, name) for name in ("train", "validation", "test")}
    return {
        "class_names": list(dataset.class_names),
        "image_shape": list(dataset.image_shape),
        **{name: record_of_split(source) for name, source in splits.items() if source is not None},
    }


def record_of_split(source: Source) -> dict[str, Any]:
    """The number of its examples; of one in memory a digest, of one of TFDS's its version and which it has of that."""
    record: dict[str, Any] = {"examples": len(source)}
    if isinstance(source, ArraySource):
        step = max(len(source) // LOOKED_AT, 1)
        record["sha256"] = digest(source.labels, source.images[::step])
        return record
    from vit_jax.data.tfds_sets import PreparedSource  # imports TFDS, 0.3 s, which other sets need not wait for

    if isinstance(source, PreparedSource):
        record["version"] = source.directory.name
        if source.places is not None:
            record["sha256"] = digest(source.places)
    return record


def digest(*arrays: np.ndarray) -> str:
    """The SHA-256 of arrays' bytes; of whole numbers, whatever type they have."""
    sha256 = hashlib.sha256()
    for array in arrays:
        sha256.update(np.ascontiguousarray(array if array.dtype == np.uint8 else array.astype("<i8")).tobytes())
    return sha256.hexdigest()
