"""The safetensors format: a JSON header, then the arrays one after the other. Big models have several such files."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open

from vit_jax.pretrained.stored import OpenFile, StoredArray, Weights, check_shape

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


def open_safetensors(path: Path) -> Weights:
    """Opens a .safetensors file.

    Its package checks the header: the arrays must fill the file exactly, without holes or overlaps. The format has no
    checksum, so a flipped bit among the numbers cannot be seen, nor one in a name.

    Raises:
        ValueError: if the header does not fit the file.
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
    entries = {name: entry for name, entry in header.items() if name != METADATA}
    return Weights(path, {name: stored_array(file, 8 + length, name, entry) for name, entry in entries.items()})


def unique(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object as a dict, if no name is in it twice."""
    result: dict[str, Any] = {}
    for name, value in pairs:
        if name in result:
            raise ValueError(f"{path} holds {name!r} twice")
        result[name] = value
    return result


def stored_array(file: OpenFile, start: int, name: str, entry: dict[str, Any]) -> StoredArray:
    """The array that an entry of the header describes; `start` is where the arrays begin in the file."""
    if entry["dtype"] not in DTYPES:
        raise ValueError(f"{file.path}: {name!r} has dtype {entry['dtype']}; those that are read: {', '.join(DTYPES)}")
    shape, dtype = tuple(entry["shape"]), np.dtype(DTYPES[entry["dtype"]])
    check_shape(file.path, name, shape, dtype)
    first, last = entry["data_offsets"]

    def read() -> np.ndarray:
        return file.read(start + first, last - first).view(dtype).reshape(shape)

    return StoredArray(shape, dtype, read)
