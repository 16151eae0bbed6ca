"""Small data sets that the tests of `vit_jax.data` make for themselves."""

import hashlib
import io
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vit_jax.data import cifar

Members = dict[str, bytes]


@dataclass(frozen=True)
class TinyCifar:
    """An archive of CIFAR-10's layout with 50 random images, and what it holds."""

    layout: cifar.CifarLayout
    archive: Path
    members: Members
    splits: Mapping[str, tuple[np.ndarray, np.ndarray]]


def write_tar(path: Path, members: Members) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def tiny_cifar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyCifar:
    """Stands in for CIFAR-10: the layout with 20 images in a training file and 10 for testing, and its archive."""
    files = tuple(replace(file, images=10 if file.split == "test" else 20) for file in cifar.CIFAR10.files[-3:])
    layout = replace(cifar.CIFAR10, files=files)
    rng = np.random.default_rng(0)
    members: Members = {}
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {"train": [], "test": []}
    for file in files:
        images = rng.integers(0, 256, (file.images, 32, 32, 3), np.uint8)
        labels = np.tile(np.arange(10, dtype=np.uint8), file.images // 10)
        parts[file.split].append((images, labels))
        planes = images.transpose(0, 3, 1, 2).reshape(file.images, -1)
        members[f"{layout.folder}/{file.name}"] = np.concatenate([labels[:, None], planes], axis=1).tobytes()
    members[f"{layout.folder}/{layout.names_file}"] = "".join(f"class {i}\n" for i in range(10)).encode() + b"\n"
    archive = write_tar(tmp_path / "cifar-10-binary.tar.gz", members)
    layout = replace(layout, sha256=hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setitem(cifar.LAYOUTS, "cifar10", layout)
    splits = {
        split: (np.concatenate([x for x, _ in files]), np.concatenate([y for _, y in files]))
        for split, files in parts.items()
    }
    return TinyCifar(layout, archive, members, splits)


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[..., Path]:
    """Writes a folder of images: `make_folder({"train/cat": 3})` makes train/cat/0.png to 2.png."""

    def make(classes: Mapping[str, int], size: tuple[int, int] = (12, 10)) -> Path:
        rng = np.random.default_rng(0)
        for name, count in classes.items():
            (tmp_path / "images" / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(0, 256, (size[1], size[0], 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
        return tmp_path / "images"

    return make
