"""The archives that CIFAR-10 and CIFAR-100 are published as (Krizhevsky, "Learning Multiple Layers of Features", 2009).

An archive is a gzipped tar of a few files of records. A record is the label, one byte (CIFAR-100: two, the coarse
label and the fine one), and then the pixels, 32 x 32 bytes each of red, green and blue.
"""

import gzip
import hashlib
import tarfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from vit_jax.data.dataset import check_labels

IMAGE_SHAPE = (32, 32, 3)

PLAIN_MEMBER_BYTES = 2**20
"""The most that an archive's other members (class names, a readme) may hold."""


@dataclass(frozen=True)
class RecordFile:
    """A file of an archive that holds images, all of one split."""

    name: str
    split: str
    images: int


@dataclass(frozen=True)
class CifarLayout:
    """What a published archive holds and how to know it.

    Attributes:
        name: of the data set here.
        title: of the data set in sentences.
        address: that it is published at.
        archive_bytes: size of the archive.
        sha256: of the archive.
        folder: in the archive, that holds its files.
        files: that hold the images.
        names_file: that holds the classes' names, a line each.
        label_bytes: at the start of every record; the last of them is the label.
        num_classes: labels are below this.
    """

    name: str
    title: str
    address: str
    archive_bytes: int
    sha256: str
    folder: str
    files: tuple[RecordFile, ...]
    names_file: str
    label_bytes: int
    num_classes: int

    @property
    def record_bytes(self) -> int:
        return self.label_bytes + int(np.prod(IMAGE_SHAPE))


CIFAR10 = CifarLayout(
    name="cifar10",
    title="CIFAR-10",
    address="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    archive_bytes=170_052_171,
    sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    folder="cifar-10-batches-bin",
    files=(
        *(RecordFile(f"data_batch_{batch}.bin", "train", 10_000) for batch in range(1, 6)),
        RecordFile("test_batch.bin", "test", 10_000),
    ),
    names_file="batches.meta.txt",
    label_bytes=1,
    num_classes=10,
)

CIFAR100 = CifarLayout(
    name="cifar100",
    title="CIFAR-100",
    address="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
    archive_bytes=168_513_733,
    sha256="58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    folder="cifar-100-binary",
    files=(RecordFile("train.bin", "train", 50_000), RecordFile("test.bin", "test", 10_000)),
    names_file="fine_label_names.txt",
    label_bytes=2,
    num_classes=100,
)

LAYOUTS = {layout.name: layout for layout in (CIFAR10, CIFAR100)}


@dataclass(frozen=True, eq=False)
class CifarArchive:
    """What was read from an archive.

    Attributes:
        layout: that it has.
        file: name of the archive.
        sha256: of the archive.
        class_names: one for each label.
        splits: "train" and "test": images, uint8 [N, 32, 32, 3], and labels, uint8 [N], in the archive's order.
    """

    layout: CifarLayout
    file: str
    sha256: str
    class_names: tuple[str, ...]
    splits: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def official(self) -> bool:
        return self.sha256 == self.layout.sha256


def read_archive(path: Path, layout: CifarLayout) -> CifarArchive:
    """Reads an archive into memory; nothing is unpacked to disk.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an archive of this layout; says what is wrong with it. Its checksum is not looked at.
    """
    try:
        with open(path, "rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            members = _read_members(file, layout)
            class_names = _class_names(members[layout.names_file], layout)
            splits = {split: _read_split(members, layout, split) for split in ("train", "test")}
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise _not_this(path, layout, f"it is not a gzipped tar file, or is cut off ({error})") from error
    except ValueError as error:
        raise _not_this(path, layout, str(error)) from error
    return CifarArchive(layout, path.name, sha256, class_names, splits)


def _not_this(path: Path, layout: CifarLayout, reason: str) -> ValueError:
    return ValueError(f"{path} is not the {layout.title} archive that {layout.address} is: {reason}")


def _read_members(file: BinaryIO, layout: CifarLayout) -> dict[str, bytes]:
    """The files that the layout names, by name. Every size is looked at before anything is read."""
    sizes = {record.name: record.images * layout.record_bytes for record in layout.files}
    members: dict[str, bytes] = {}
    with gzip.open(file) as unzipped, tarfile.open(fileobj=unzipped, mode="r:") as tar:
        for member in tar:
            place = PurePosixPath(member.name)
            wanted = place.parent == PurePosixPath(layout.folder) and place.name in (*sizes, layout.names_file)
            size = sizes.get(place.name) if wanted else None
            if size is not None and member.size != size:
                raise ValueError(f"{member.name} has {member.size:,} bytes, not {size:,}")
            if size is None and member.size > PLAIN_MEMBER_BYTES:
                raise ValueError(f"it holds {member.name}, {member.size:,} bytes, which does not belong there")
            if wanted and (content := tar.extractfile(member)) is not None:
                members[place.name] = content.read()
        while unzipped.read(2**20):  # to the end, where gzip's own checksum is
            pass
    if missing := [name for name in (*sizes, layout.names_file) if name not in members]:
        raise ValueError(f"it lacks {', '.join(f'{layout.folder}/{name}' for name in missing)}")
    return members


def _class_names(content: bytes, layout: CifarLayout) -> tuple[str, ...]:
    names = tuple(line.strip() for line in content.decode("utf-8", "replace").splitlines() if line.strip())
    if not len(names) == len(set(names)) == layout.num_classes:
        raise ValueError(f"{layout.names_file} does not name {layout.num_classes} different classes")
    return names


def _read_split(members: dict[str, bytes], layout: CifarLayout, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8 [N, 32, 32, 3], and labels, uint8 [N], of one split."""
    files = [record.name for record in layout.files if record.split == split]
    records = [np.frombuffer(members[name], np.uint8).reshape(-1, layout.record_bytes) for name in files]
    for name, part in zip(files, records, strict=True):
        check_labels(part[:, layout.label_bytes - 1], layout.num_classes, name)
    joined = np.concatenate(records)  # [N, label_bytes + 3072]
    height, width, channels = IMAGE_SHAPE
    planes = joined[:, layout.label_bytes :].reshape(-1, channels, height, width)
    return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), joined[:, layout.label_bytes - 1].copy()
