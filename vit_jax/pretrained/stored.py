"""What a file of weights holds, before anything big is read."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class StoredArray:
    """One array in a file.

    Attributes:
        shape: its shape.
        dtype: its type; bfloat16 and the float8s are those of `ml_dtypes`.
        read: reads this array and no other, as it is stored. Raises ValueError if the file is damaged there.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]


@dataclass(frozen=True)
class Weights:
    """A file of weights, opened.

    Attributes:
        path: the file, to be named in errors.
        arrays: what is in it, by its name there.
    """

    path: Path
    arrays: Mapping[str, StoredArray]


class OpenFile:
    """A file as it is now, whatever will take its place: a run that is training writes its model again and again.

    It is closed when nobody needs it any more. Not to be read by several threads.
    """

    def __init__(self, path: Path):
        self.path = path
        self.file = path.open("rb", buffering=0)
        weakref.finalize(self, self.file.close)

    def read(self, offset: int, count: int) -> np.ndarray:
        """Reads `count` bytes from `offset` on: uint8 [count].

        Raises:
            ValueError: if the file ends before.
        """
        data = np.empty(count, np.uint8)
        self.file.seek(offset)
        done = 0
        while done < count:  # one call reads 2 GiB at most
            got = self.file.readinto(data[done:].data)
            if not got:
                raise ValueError(f"{self.path} is damaged: it ends before byte {offset + count}")
            done += got
        return data


def check_shape(path: Path, name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raises ValueError if NumPy could not have an array of this shape. Takes no memory for it."""
    try:
        np.broadcast_to(np.empty((), dtype), shape)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{path}: {name!r} claims the shape {list(shape)}: {error}") from error


def most_bytes(file_size: int) -> int:
    """How many bytes the arrays of a file may have in memory, all together.

    Trained float32 weights shrink by a tenth or so when compressed, those that were rounded to bfloat16 by half, to
    8 bits by three quarters; eight times leaves room for these. Freshly initialised or tiny files have arrays of
    zeros and ones, which shrink a thousandfold: the constant leaves room for a whole base model of them.
    """
    return 8 * file_size + 2**29
