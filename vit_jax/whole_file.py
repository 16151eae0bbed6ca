"""Files that are there whole or not at all, whatever stops their writing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Calls `write` with a temporary path, then puts that file in the place of `path`: never half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_unfinished(folder: Path) -> None:
    """Removes what `replace_file` left in a folder when it was killed. Nobody may be writing there."""
    for path in folder.glob(".*"):
        if path.suffix[1:].isdecimal():
            path.unlink()


def replace_text(path: Path, text: str) -> None:
    """Writes a file of text in the place of `path`, whole or not at all.

    Raises:
        OSError: the directory is missing, full or read-only.
    """
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))
