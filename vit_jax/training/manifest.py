"""What proves a checkpoint: `manifest.json`, with the size and the SHA-256 of every file in its directory.

Formats of arrays notice little of what disks do to them: of the bits of a file, most are read back flipped without a
word. The manifest has a digest of itself, too.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vit_jax.json_file import SEAL, sealed
from vit_jax.whole_file import replace_file

MANIFEST = "manifest.json"


def write_manifest(directory: Path, contents: Mapping[str, Any]) -> None:
    """Writes the manifest of a directory whose files are all there.

    Every file is on the disk, not only on its way there, when the manifest comes to be.

    Args:
        directory: of the checkpoint.
        contents: what else the manifest tells: numbers, strings, lists and dicts.
    """
    files = {}
    for path in files_below(directory):
        flush_to_disk(path)
        files[path.relative_to(directory).as_posix()] = {"bytes": path.stat().st_size, "sha256": digest(path)}
    for folder in (directory, *(path for path in directory.rglob("*") if path.is_dir())):  # their names, too
        flush_to_disk(folder)
    text = serialise({**contents, "files": files})

    def write(path: Path) -> None:
        path.write_text(text, encoding="utf-8")
        flush_to_disk(path)

    replace_file(directory / MANIFEST, write)
    for folder in (directory, directory.parent):  # their entries
        flush_to_disk(folder)


def read_manifest(directory: Path) -> dict[str, Any]:
    """What a checkpoint's manifest tells.

    Raises:
        FileNotFoundError: if it has none: saving it did not come to its end.
        ValueError: if the manifest is damaged.
    """
    written = (directory / MANIFEST).read_bytes()
    try:
        contents = json.loads(written)
        del contents[SEAL]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{MANIFEST} is damaged") from error
    if serialise(contents).encode() != written:
        raise ValueError(f"{MANIFEST} is damaged")
    return contents


def problems(directory: Path) -> list[str]:
    """What is wrong with a checkpoint, a line each; empty if every file is as it was written."""
    try:
        files = read_manifest(directory)["files"]
    except FileNotFoundError:
        return [f"it has no {MANIFEST}: saving it did not come to its end"]
    except ValueError as error:
        return [str(error)]
    except OSError as error:
        return [f"{MANIFEST} cannot be read: {error.strerror}"]
    return [line for name, entry in files.items() if (line := problem_of(directory / name, name, entry))]


def problem_of(path: Path, name: str, entry: Mapping[str, Any]) -> str | None:
    """What is wrong with a file, going by its entry in the manifest."""
    try:
        size = path.stat().st_size
        if size != entry["bytes"]:
            return f"{name} has {size:,} bytes, not {entry['bytes']:,}"
        return None if digest(path) == entry["sha256"] else f"{name} is damaged: its SHA-256 is another"
    except OSError as error:
        return f"{name} cannot be read: {error.strerror}"


def serialise(contents: Mapping[str, Any]) -> str:
    """The text of a manifest: one way to write the same contents."""
    return json.dumps(sealed(contents), indent=1) + "\n"


def files_below(directory: Path) -> Iterator[Path]:
    """The files of a checkpoint but for its manifest, sorted."""
    return (path for path in sorted(directory.rglob("*")) if path.is_file() and path != directory / MANIFEST)


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def flush_to_disk(path: Path) -> None:
    """Waits until the disk has what was written to a file or directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
