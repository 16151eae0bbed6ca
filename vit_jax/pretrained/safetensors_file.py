"""The safetensors format: a JSON header, then the arrays one after the other. Big models have several such files.

It has no checksum, and a flipped bit among the numbers is read without a word. So what is written here has the SHA-256
of each array in the header's metadata, which others need not know of.
"""

import errno
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from vit_jax.pretrained.stored import OpenFile, StoredArray, Weights, check_shape
from vit_jax.whole_file import replace_file

DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "U32": np.uint32,
    "I32": np.int32,
    "U64": np.uint64,
    "I64": np.int64,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "BF16": ml_dtypes.bfloat16,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "C64": np.complex64,
}
METADATA = "__metadata__"
DIGEST = "sha256:"
"""In the metadata, before the name of the array whose digest it is."""


def write_safetensors(
    path: Path, arrays: Mapping[str, np.ndarray], format: str, once_written: Callable[[], None] = lambda: None
) -> None:
    """Writes a .safetensors file, in the place of one that may be there.

    Args:
        path: of the file.
        arrays: by their names, each contiguous.
        format: said in its metadata; transformers reads files of "pt".
        once_written: called when the new file is whole, before it takes its place.

    Raises:
        OSError: as `replace_file`.
    """
    digests = {DIGEST + name: digest(array.dtype, array.shape, array) for name, array in arrays.items()}
    metadata = {"format": format, **digests}

    def write(path: Path) -> None:
        try:
            save_file(dict(arrays), path, metadata=metadata)
        except SafetensorError as error:  # its own, also where the disk is full
            raise OSError(errno.EIO, str(error)) from error
        once_written()

    replace_file(path, write)


def open_safetensors(path: Path) -> Weights:
    """Opens a .safetensors file.

    Its package checks the header: the arrays must fill the file exactly, without holes or overlaps. Where the metadata
    has their digests, an array that is not as it was written is refused when it is read. In any other file a flipped
    bit among the numbers cannot be seen, nor one in a name.

    Raises:
        ValueError: if the header does not fit the file, or its digests are not those of its arrays.
    """
    try:
        file = OpenFile(path)
        with safe_open(path, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged, truncated perhaps: {error}") from error
    length = int.from_bytes(file.read(0, 8).tobytes(), "little")
    text = file.read(8, length).tobytes().decode()
    header = json.loads(text, object_pairs_hook=partial(unique, path))
    metadata = header.pop(METADATA, {})
    digests = {name.removeprefix(DIGEST): value for name, value in metadata.items() if name.startswith(DIGEST)}
    if digests and digests.keys() != header.keys():
        odd = sorted(digests.keys() ^ header.keys())
        raise ValueError(f"{path} is damaged: its arrays and their digests have different names: {', '.join(odd[:5])}")
    arrays = {name: stored_array(file, 8 + length, name, entry, digests.get(name)) for name, entry in header.items()}
    return Weights(path, arrays)


def digest(dtype: np.dtype, shape: tuple[int, ...], data: np.ndarray) -> str:
    """The SHA-256 of an array, its type and shape before its bytes."""
    result = hashlib.sha256(f"{dtype.name}{list(shape)}".encode())
    result.update(data.reshape(-1).view(np.uint8).data)
    return result.hexdigest()


def unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict, if no name is in it twice."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"{path} holds {name!r} twice")
        result[name] = value
    return result


def stored_array(file: OpenFile, start: int, name: str, entry: dict[str, Any], expected: str | None) -> StoredArray:
    """The array that an entry of the header describes, and its digest, if that is known.

    `start` is where the arrays begin in the file.
    """
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"{file.path}: {name!r} has dtype {entry['dtype']}; those that are read: {', '.join(DTYPES)}")
    shape, dtype = tuple(entry["shape"]), np.dtype(DTYPES[entry["dtype"]])
    check_shape(file.path, name, shape, dtype)
    first, last = entry["data_offsets"]

    def read() -> np.ndarray:
        data = file.read(start + first, last - first)
        if expected is not None and digest(dtype, shape, data) != expected:
            raise ValueError(f"{file.path} is damaged: {name!r} is not as it was written, its SHA-256 is another")
        return data.view(dtype).reshape(shape)

    return StoredArray(shape, dtype, read)
