"""Files of weights of any kind, told apart by what is in them."""

import json
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

from vit_jax.pretrained.npz_file import open_npz
from vit_jax.pretrained.safetensors_file import open_safetensors
from vit_jax.pretrained.stored import StoredArray, Weights
from vit_jax.pretrained.torch_file import open_torch
from vit_jax.pretrained.zip_members import zip_members

PREFERRED = (
    "model.safetensors",
    "*.safetensors.index.json",
    "*.safetensors",
    "*.npz",
    "pytorch_model.bin",
    "*.bin.index.json",
    "*.pth",
    "*.pt",
    "*.bin",
)
"""Which file of a folder has the weights: those that cannot run code first, then by the publishers' names."""

STANDARD_NAMES = (
    *("model.safetensors", "model.safetensors.index.json"),
    *("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""Of timm, Hugging Face and this package, who write a config beside them."""

PARTS = {".safetensors": open_safetensors, ".bin": open_torch}
"""What an index names, by the ends of their names, and how each is opened."""


def open_weights(path: Path) -> Weights:
    """Opens a file of weights: .npz, .safetensors, .pth/.pt/.bin of PyTorch, or by its index several in parts.

    Only what describes the arrays is read. The kind is told by the first bytes, whatever the file is called.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is something else, damaged, claims more than it holds, or would run code.
        ModuleNotFoundError: for PyTorch's files, without torch.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"{path} is a folder, not a file of weights")
    if not path.is_file():
        raise FileNotFoundError(f"no file of weights at {path}")
    with path.open("rb") as file:
        start = file.read(64)
    if not start:
        raise ValueError(f"{path} is empty")
    if start[4:9] == b"\0\0\0\0{":  # the length of a header, which begins with "{"
        return open_safetensors(path)
    if start.startswith((b"PK\3\4", b"PK\5\6")):
        is_npz = all(name.endswith(".npy") for name in zip_members(path))
        return open_npz(path) if is_npz else open_torch(path)
    if start.startswith(b"\x80"):  # every pickle of protocol 2 and up
        return open_torch(path)
    if start.startswith(b"{"):
        return open_index(path)
    if start.startswith(b"version https://git-lfs"):
        raise ValueError(f"{path} is not the weights but Git LFS's note of where they are: run git lfs pull")
    raise ValueError(
        f"{path} is no file of weights (.npz, .safetensors, .pth, .pt, .bin, or an .index.json of several) or damaged: "
        f"it begins with {start[:16]!r}"
    )


def open_index(path: Path) -> Weights:
    """Opens the files beside a `*.safetensors.index.json`, or PyTorch's beside a `*.bin.index.json`, as one.

    Raises:
        FileNotFoundError: if one of them is missing.
        ValueError: if the index is damaged or does not fit them, or one of them is damaged or would run code.
        ModuleNotFoundError: for PyTorch's files, without torch.
    """
    try:
        index = json.loads(path.read_text())
        places = {str(name): str(place) for name, place in index["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is damaged or no index of files of weights: {error!r}") from error
    arrays: dict[str, StoredArray] = {}
    for place in sorted(set(places.values())):
        open_part = PARTS.get(Path(place).suffix)
        if Path(place).name != place or open_part is None:
            raise ValueError(f"{path} names {place!r}, which is no {' or '.join(PARTS)} file beside it")
        if not (path.parent / place).is_file():
            raise FileNotFoundError(f"{path} names {place}, which is not beside it")
        part = open_part(path.parent / place).arrays
        listed = {name for name in places if places[name] == place}
        if listed != part.keys():
            odd = sorted(listed ^ part.keys())
            raise ValueError(f"{path} does not fit {place}: only one of them has {', '.join(odd[:5])}")
        arrays |= part
    if not arrays:
        raise ValueError(f"{path} names no files")
    return Weights(path, {name: arrays[name] for name in places})


def is_weights(name: str) -> bool:
    """Whether a file of this name is one of weights."""
    return any(fnmatchcase(name, pattern) for pattern in PREFERRED)


def choose_weights(folder: str | Path, names: Collection[str]) -> str | None:
    """The name of the file with the weights, among the names of the files in a folder; None if there is none.

    Raises:
        ValueError: if there are several and no usual name tells which; `folder` is for this message.
    """
    for pattern in PREFERRED:
        found = sorted(name for name in names if fnmatchcase(name, pattern))
        if len(found) > 1:
            raise ValueError(f"{folder} has several files of weights: {', '.join(found)}. Name the one that is meant")
        if found:
            return found[0]
    return None
