"""NumPy's .npz, as Google publishes its weights: a zip file with one .npy file per array."""

import io
from functools import partial
from math import prod
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.lib import format as npy

from vit_jax.pretrained.stored import StoredArray, Weights, check_shape
from vit_jax.pretrained.zip_members import Member, read_member, read_start, zip_members

LONGEST_HEADER = 2048
"""Bytes; that of a plain array has 128."""
BFLOAT16 = np.dtype("V2")
"""How NumPy writes bfloat16, which it does not know: as two bytes of anything."""


def open_npz(path: Path) -> Weights:
    """Opens an .npz; the names of its arrays are those of its members without ".npy".

    Nothing in it is ever unpickled. Flipped bits are found by the checksums that zip files have.

    Raises:
        ValueError: if it is damaged, claims more than it holds, or holds anything but arrays.
    """
    members = zip_members(path)
    others = sorted(name for name in members if not name.endswith(".npy"))
    if others or not members:
        what = f"it holds {others[0]!r}" if others else "it is empty"
        raise ValueError(f"{path} is a zip file but no .npz: {what}, not arrays (*.npy)")
    return Weights(path, {name.removesuffix(".npy"): stored_array(path, member) for name, member in members.items()})


def stored_array(path: Path, member: Member) -> StoredArray:
    """The array that a member's header describes, which must be as long as the member."""
    try:
        header = io.BytesIO(read_start(path, member, LONGEST_HEADER))
        version = npy.read_magic(header)
        read_header = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}[version]
        shape, fortran_order, dtype = read_header(header)
    except Exception as error:  # the header is a Python literal of a stranger: anything can be wrong with it
        raise ValueError(f"{path} is damaged: {member.name!r} has no header of a plain array: {error!r}") from error
    if dtype.kind not in "fiubcSU" and dtype != BFLOAT16:
        raise ValueError(f"{path}: {member.name!r} has dtype {dtype}; only numbers and text are read, no objects")
    check_shape(path, member.name, shape, dtype)
    start = header.tell()
    if prod(shape) * dtype.itemsize != member.size - start:
        raise ValueError(f"{path}: {member.name!r} claims {dtype} {list(shape)}, but has {member.size - start} bytes")
    native = np.dtype(ml_dtypes.bfloat16) if dtype == BFLOAT16 else dtype.newbyteorder("=")
    return StoredArray(shape, native, partial(read_array, path, member, start, shape, dtype, fortran_order, native))


def read_array(
    path: Path,
    member: Member,
    start: int,
    shape: tuple[int, ...],
    dtype: np.dtype,
    fortran_order: bool,
    native: np.dtype,
) -> np.ndarray:
    """The array in a member, from byte `start` of it on, in this machine's byte order."""
    content = read_member(path, member)
    array = np.ndarray(shape, dtype, content.data, start, order="F" if fortran_order else "C")
    return array.view(native) if dtype == BFLOAT16 else array.astype(native, copy=False)
