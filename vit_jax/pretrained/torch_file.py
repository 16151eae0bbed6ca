"""PyTorch's .pth, .pt and .bin: pickles, which can run code. Only tensors are read from them, and nothing is run."""

import functools
import re
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from vit_jax.pretrained.stored import StoredArray, Weights, most_bytes
from vit_jax.pretrained.zip_members import Member, read_member, zip_members

DTYPES = {
    "torch.bool": np.bool_,
    "torch.uint8": np.uint8,
    "torch.int8": np.int8,
    "torch.uint16": np.uint16,
    "torch.int16": np.int16,
    "torch.uint32": np.uint32,
    "torch.int32": np.int32,
    "torch.uint64": np.uint64,
    "torch.int64": np.int64,
    "torch.float8_e4m3fn": ml_dtypes.float8_e4m3fn,
    "torch.float8_e5m2": ml_dtypes.float8_e5m2,
    "torch.bfloat16": ml_dtypes.bfloat16,
    "torch.float16": np.float16,
    "torch.float32": np.float32,
    "torch.float64": np.float64,
    "torch.complex64": np.complex64,
    "torch.complex128": np.complex128,
}
LEFT_OUT = ("argparse.Namespace", "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype")
"""What published checkpoints (DeiT, MAE, DINO) hold beside tensors: the command line, the best accuracy."""
DICTIONARIES = ("yacs.config.CfgNode",)
"""Classes of dictionaries that are read as such: the config that Swin's training code puts into its checkpoints."""
DEEPEST, MOST_ENTRIES = 64, 10**6
"""Of nested containers. A pickle can put one into itself, or share one so often that no one sees the end."""


class LeftOut:
    """Stands for anything in `LEFT_OUT`: takes what such an object is made of, and forgets it."""

    def __init__(self, *args: Any) -> None: ...

    def __setstate__(self, state: Any) -> None: ...


class PlainDictionary:
    """Stands for anything in `DICTIONARIES`: what is unpickled is a dictionary with its entries, and none of its code.

    An `OrderedDict`, which torch's loader fills and takes attributes for.
    """

    def __new__(cls, *args: Any) -> OrderedDict[Any, Any]:
        return OrderedDict()


STAND_INS = dict.fromkeys(LEFT_OUT, LeftOut) | dict.fromkeys(DICTIONARIES, PlainDictionary)
"""What takes the place of a class that a file asks for, by its name."""


def open_torch(path: Path) -> Weights:
    """Opens a file written by `torch.save`, in the zip format or the one before PyTorch 1.6.

    Names are those of the nested containers with "/" between: {"model": {"cls_token": t}} has "model/cls_token".
    What is no tensor is left out. In the zip format arrays are read when asked for and their checksums are compared;
    the old format is read at once and has no checksums, so a flipped bit among its numbers cannot be seen.

    Raises:
        ModuleNotFoundError: without torch.
        ValueError: if the file is damaged, claims more than it holds, or needs code to be run.
    """
    try:
        import torch  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{path} is a PyTorch file: pip install torch, or convert it to safetensors where torch is installed"
        ) from error
    with path.open("rb") as file:
        is_zip = file.read(4) == b"PK\3\4"
    checksums = data_checksums(path, zip_members(path)) if is_zip else None
    try:
        with torch.serialization.safe_globals([(kind, name) for name, kind in STAND_INS.items()]):
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except Exception as error:  # a stranger's pickle can make torch raise anything
        raise ValueError(refusal(path, error)) from error
    file_size = path.stat().st_size
    arrays: dict[str, StoredArray] = {}
    intact: dict[tuple[int, int], Callable[[], np.ndarray]] = {}
    for name, tensor in tensors(path, content, torch.Tensor):
        if name in arrays:
            raise ValueError(f"{path} holds {name!r} twice")
        dtype = checked_dtype(path, name, tensor, file_size)
        storage = tensor.untyped_storage()
        if checksums is not None and storage.nbytes() and storage.nbytes() not in checksums:
            raise ValueError(f"{path}: {name!r} claims {storage.nbytes()} bytes of data, which the file does not have")
        data = torch.empty(0, dtype=torch.uint8).set_(storage).numpy()
        once = functools.cache(functools.partial(checked, path, data, checksums))
        check = intact.setdefault((storage.data_ptr(), data.nbytes), once)
        shape = tuple(tensor.shape)
        strides = tuple(step * dtype.itemsize for step in tensor.stride())
        offset = tensor.storage_offset() * dtype.itemsize
        arrays[name] = StoredArray(shape, dtype, functools.partial(read_array, check, shape, dtype, offset, strides))
    total, most = sum(prod(x.shape) * x.dtype.itemsize for x in arrays.values()), most_bytes(file_size)
    if total > most:
        raise ValueError(f"{path} claims {total} bytes of tensors; a file of its size has at most {most}")
    if not arrays:
        raise ValueError(f"{path} holds no tensors by name")
    return Weights(path, arrays)


def data_checksums(path: Path, members: Mapping[str, Member]) -> dict[int, set[int]]:
    """The CRC-32s of the tensors' bytes in torch's zip format, by their number.

    Raises:
        ValueError: if the other members, the pickle among them, are damaged, or if it is another zip file.
    """
    prefix = next((name.removesuffix("data.pkl") for name in members if name.endswith("data.pkl")), None)
    if prefix is None or f"{prefix}constants.pkl" in members:
        what = "neither arrays (*.npy) nor a data.pkl" if prefix is None else "TorchScript, which is code"
        raise ValueError(f"{path} is a zip file that holds {what}; save a state_dict")
    found: dict[int, set[int]] = {}
    for name, member in members.items():
        if member.deflated:
            raise ValueError(f"{path}: {name!r} is compressed, which torch.save never does")
        if name.startswith(f"{prefix}data/"):
            found.setdefault(member.size, set()).add(member.crc)
        elif member.crc:  # 0: written without checksums, torch.serialization.set_crc32_options(False)
            read_member(path, member)
    return found


def refusal(path: Path, error: Exception) -> str:
    """What to say when torch would not load a file; torch itself advises to trust it."""
    forbidden = re.search(r"GLOBAL (\S+) (?:was not|whose module)", str(error))
    if forbidden is None:
        reason = str(error).partition("WeightsUnpickler error:")[2].strip() or str(error) or repr(error)
        return f"{path} is damaged, truncated perhaps, or holds more than tensors: {reason.splitlines()[0]}"
    return (
        f"{path} asks for {forbidden[1]}, and a file that may ask for anything may run any code; nothing was run. Only "
        "tensors in plain containers are read. If you trust the file, convert it where nothing can be harmed: "
        "safetensors.torch.save_file(x, 'model.safetensors'), where x is torch.load(path, weights_only=False), or the "
        "dictionary of tensors in it: its ['model'] or ['state_dict'] or, where it is a module, its .state_dict()"
    )


def tensors(path: Path, content: Any, kind: type) -> Iterator[tuple[str, Any]]:
    """The tensors in nested containers, with their names, in their order.

    Raises:
        ValueError: if the containers go deeper, or have more entries, than those of any checkpoint.
    """
    seen, left = 0, [("", 0, content)]
    while left:
        name, depth, value = left.pop()
        seen += 1
        if seen > MOST_ENTRIES or depth > DEEPEST:
            raise ValueError(f"{path} has too many containers in containers, at {name[:80]!r}")
        if isinstance(value, kind) and name:
            yield name, value
        elif isinstance(value, Mapping | list | tuple):
            inner = value.items() if isinstance(value, Mapping) else enumerate(value)
            below = [(f"{name}/{key}" if depth else str(key), depth + 1, entry) for key, entry in inner]
            left.extend(reversed(below))


def checked_dtype(path: Path, name: str, tensor: Any, file_size: int) -> np.dtype:
    """The dtype of a tensor that is what it seems: numbers in memory, no more than the file has."""
    kind = type(tensor).__name__
    plain = str(tensor.layout) == "torch.strided" and tensor.device.type == "cpu" and not tensor.is_quantized
    if kind not in ("Tensor", "Parameter") or not plain or tensor.is_conj() or tensor.is_neg():
        raise ValueError(
            f"{path}: {name!r} is a {kind} of layout {tensor.layout} on {tensor.device}, not a plain tensor"
        )
    if str(tensor.dtype) not in DTYPES:
        raise ValueError(f"{path}: {name!r} has dtype {tensor.dtype}; those that are read: {', '.join(DTYPES)}")
    dtype = np.dtype(DTYPES[str(tensor.dtype)])
    if prod(tensor.shape) * dtype.itemsize > file_size:
        raise ValueError(f"{path}: {name!r} claims {dtype} {list(tensor.shape)}, more than the whole file")
    return dtype


def checked(path: Path, data: np.ndarray, checksums: Mapping[int, set[int]] | None) -> np.ndarray:
    """The bytes behind some tensors, uint8, if they are the bytes that were written: one of the file's members."""
    known = None if checksums is None else checksums.get(data.nbytes, set())
    if known is not None and data.nbytes and 0 not in known and zlib.crc32(data.data) not in known:
        raise ValueError(f"{path} is damaged: the checksum of {data.nbytes} bytes in it is wrong")
    return data


def read_array(
    data: Callable[[], np.ndarray], shape: tuple[int, ...], dtype: np.dtype, offset: int, strides: tuple[int, ...]
) -> np.ndarray:
    """A copy of the array that lies in `data()` with these strides, in bytes."""
    if not prod(shape):
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, data().data, offset, strides).copy()
