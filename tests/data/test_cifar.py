"""Reading the archives that CIFAR is published as."""

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tests.data.conftest import Members, TinyCifar, write_tar
from vit_jax.data.cifar import CIFAR10, CIFAR100, CifarLayout, RecordFile, read_archive


@pytest.mark.parametrize("layout", [CIFAR10, CIFAR100], ids=lambda layout: layout.name)
def test_the_published_archives_are_those_that_tfds_knows(layout: CifarLayout):
    checksums = Path(tfds.__file__).parent / "url_checksums" / f"{layout.name}.txt"
    address, num_bytes, sha256, _ = checksums.read_text().split()
    assert (layout.address, layout.archive_bytes, layout.sha256) == (address, int(num_bytes), sha256)


def test_the_published_archives_hold_what_the_paper_says():
    for layout, record_bytes in ((CIFAR10, 3073), (CIFAR100, 3074)):
        assert layout.record_bytes == record_bytes
        images = {split: sum(f.images for f in layout.files if f.split == split) for split in ("train", "test")}
        assert images == {"train": 50_000, "test": 10_000}


def test_images_and_labels_are_read_exactly(tiny_cifar: TinyCifar):
    archive = read_archive(tiny_cifar.archive, tiny_cifar.layout)
    for split, (images, labels) in tiny_cifar.splits.items():
        np.testing.assert_array_equal(archive.splits[split][0], images)
        np.testing.assert_array_equal(archive.splits[split][1], labels)
        assert archive.splits[split][0].dtype == np.uint8
    assert archive.class_names == tuple(f"class {i}" for i in range(10))
    assert archive.official
    assert archive.sha256 == hashlib.sha256(tiny_cifar.archive.read_bytes()).hexdigest()


def test_cifar_100_s_label_is_the_fine_one(tmp_path: Path):
    files = (RecordFile("train.bin", "train", 2), RecordFile("test.bin", "test", 1))
    records = {
        "train.bin": bytes([19, 99, *([7] * 3072)]) + bytes([3, 0, *([8] * 3072)]),
        "test.bin": bytes([4, 42, *([9] * 3072)]),
        "fine_label_names.txt": "\n".join(f"fine {i}" for i in range(100)).encode(),
        "coarse_label_names.txt": b"coarse",
    }
    members = {f"cifar-100-binary/{name}": content for name, content in records.items()}
    archive = read_archive(write_tar(tmp_path / "a.tar.gz", members), replace(CIFAR100, files=files))
    assert archive.splits["train"][1].tolist() == [99, 0]
    assert archive.splits["test"][1].tolist() == [42]
    assert archive.class_names[42] == "fine 42"


def test_another_archive_of_the_layout_is_read_but_not_official(tiny_cifar: TinyCifar, tmp_path: Path):
    """Whether to take it is the caller's to decide; a readme, "./" and the order of members do not matter."""
    members = {f"./{name}": content for name, content in reversed(tiny_cifar.members.items())}
    copy = write_tar(tmp_path / "copy.tar.gz", {"./cifar-10-batches-bin/readme.html": b"<html>", **members})
    archive = read_archive(copy, tiny_cifar.layout)
    assert not archive.official
    np.testing.assert_array_equal(archive.splits["train"][0], tiny_cifar.splits["train"][0])


def changed(members: Members, name: str, content: bytes | None) -> Members:
    place = f"cifar-10-batches-bin/{name}"
    assert place in members
    kept = {key: value for key, value in members.items() if key != place}
    return kept if content is None else {**kept, place: content}


BATCH = 20 * 3073
WRONG_MEMBERS = {
    "lacks cifar-10-batches-bin/test_batch.bin": ("test_batch.bin", None),
    "lacks cifar-10-batches-bin/batches.meta.txt": ("batches.meta.txt", None),
    "data_batch_4.bin has 61,459 bytes, not 61,460": ("data_batch_4.bin", bytes(BATCH - 1)),
    "data_batch_5.bin has 64,533 bytes, not 61,460": ("data_batch_5.bin", bytes(BATCH + 3073)),
    "data_batch_5.bin: example 1 has label 10, outside 0 to 9": (
        "data_batch_5.bin",
        bytes(3073) + bytes([10]) + bytes(BATCH - 3074),
    ),
    r"batches.meta.txt does not name 10 different classes": ("batches.meta.txt", b"cat\ndog\n"),
}


@pytest.mark.parametrize("reason", WRONG_MEMBERS)
def test_an_archive_with_wrong_contents_is_refused_with_the_reason(reason: str, tiny_cifar: TinyCifar, tmp_path: Path):
    wrong = write_tar(tmp_path / "wrong.tar.gz", changed(tiny_cifar.members, *WRONG_MEMBERS[reason]))
    with pytest.raises(ValueError, match=rf"wrong\.tar\.gz is not the CIFAR-10 archive that https://www\..*{reason}"):
        read_archive(wrong, tiny_cifar.layout)


def test_sizes_are_looked_at_before_anything_large_is_read(tiny_cifar: TinyCifar, tmp_path: Path):
    bomb = write_tar(tmp_path / "bomb.tar.gz", {"zeros": bytes(2**21), **tiny_cifar.members})
    with pytest.raises(ValueError, match="it holds zeros, 2,097,152 bytes, which does not belong there"):
        read_archive(bomb, tiny_cifar.layout)


def test_files_that_are_no_archives_are_refused(tiny_cifar: TinyCifar, tmp_path: Path):
    whole = tiny_cifar.archive.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    contents = {
        "empty": b"",
        "text": b"this is not an archive" * 100,
        "gzip of no tar": gzip.compress(b"this is not a tar" * 100),
        "cut off": whole[: len(whole) // 2],
        "damaged": bytes(flipped),
        "damaged over and over": whole[:40_000] + bytes([255] * 60_000) + whole[100_000:],
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=f"{name} is not the CIFAR-10 archive that .*"):
            read_archive(tmp_path / name, tiny_cifar.layout)


def test_a_missing_archive_is_named(tiny_cifar: TinyCifar, tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"nowhere\.tar\.gz"):
        read_archive(tmp_path / "nowhere.tar.gz", tiny_cifar.layout)
