"""Files that are there whole or not at all, whatever stops their writing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Calls `write` with a temporary path, then puts that file in the place of `path`: never half a file.

    Raises:
        OSError: the directory is missing, full or read-only; names `path`.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with errors_name(path):
            write(temporary)
            os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def errors_name(path: Path) -> Iterator[None]:
    """Errors of the system name this file: that of a full disk names none, others a temporary one. Those that name
    another file by this function keep its name."""
    try:
        yield
    except OSError as error:
        if error.errno is None or isinstance(error.__cause__, OSError):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def remove_unfinished(folder: Path) -> None:
    """Removes what `replace_file` left in a folder when it was killed. Nobody may be writing there."""
    for path in filter(is_unfinished, folder.glob(".*")):
        path.unlink()


def is_unfinished(path: Path) -> bool:
    """Whether a file has a name that `replace_file` gives until it is whole."""
    return path.name.startswith(".") and path.suffix[1:].isdecimal()


def replace_text(path: Path, text: str) -> None:
    """Writes a file of text in the place of `path`, whole or not at all.

    Names of files that are no UTF-8, which Python reads as surrogates, are written as escapes.

    Raises:
        OSError: as `replace_file`.
    """
    replace_file(path, lambda temporary: temporary.write_text(text, encoding="utf-8", errors="backslashreplace"))
