"""The manifest of a checkpoint notices whatever happens to its files."""

import json
import os
import shutil
from pathlib import Path

import pytest

from vit_jax.training.manifest import MANIFEST, problems, read_manifest, write_manifest

CONTENTS = {"step": 7, "tree": {"params/x": "float32[3]"}, "record": {"recent": {"loss": [0.1, 2e-30]}, "none": None}}


@pytest.fixture
def directory(tmp_path):
    directory = tmp_path / "7"
    (directory / "d").mkdir(parents=True)
    (directory / "d" / "data").write_bytes(bytes(range(256)))
    (directory / "empty").write_bytes(b"")
    write_manifest(directory, CONTENTS)
    return directory


def test_a_whole_directory_has_no_problems_and_gives_its_contents_back(directory):
    assert problems(directory) == []
    read = read_manifest(directory)
    assert {name: read[name] for name in CONTENTS} == CONTENTS
    assert list(read["files"]) == ["d/data", "empty"]
    assert read["files"]["d/data"]["bytes"] == 256


def test_what_the_manifest_proves_is_on_the_disk_before_it(directory, monkeypatch):
    """After a power cut there is no manifest whose files, or their names, are not there; then its own name is kept."""
    (directory / MANIFEST).unlink()
    paths = [directory.parent, directory, *directory.rglob("*")]
    names = {path.stat().st_ino: path.relative_to(directory.parent).as_posix() for path in paths}
    events, fsync, replace = [], os.fsync, os.replace

    def record_fsync(descriptor):
        events.append(names.get(os.fstat(descriptor).st_ino, "new manifest"))
        fsync(descriptor)

    def record_replace(source, target):
        events.append(f"replaced {Path(target).name}")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", record_fsync)
    monkeypatch.setattr(os, "replace", record_replace)
    write_manifest(directory, CONTENTS)
    at = events.index(f"replaced {MANIFEST}")
    assert {"7/d/data", "7/empty", "7/d", "7", "new manifest"} <= set(events[:at])
    assert set(events[at + 1 :]) == {"7", "."}


@pytest.mark.parametrize("name", ["d/data", MANIFEST])
def test_every_single_flipped_bit_is_noticed(directory, name):
    whole = (directory / name).read_bytes()
    for bit in range(8 * len(whole)):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (directory / name).write_bytes(damaged)
        assert problems(directory), f"bit {bit}"


@pytest.mark.parametrize(
    ("name", "size", "problem"),
    [
        ("d/data", 255, "d/data has 255 bytes, not 256"),
        ("d/data", 257, "d/data has 257 bytes, not 256"),
        ("empty", 1, "empty has 1 bytes, not 0"),
        (MANIFEST, 0, "manifest.json is damaged"),
        (MANIFEST, 100, "manifest.json is damaged"),
    ],
)
def test_a_file_of_another_size_is_named(directory, name, size, problem):
    path = directory / name
    path.write_bytes(path.read_bytes()[:size].ljust(size, b"\0"))
    assert problems(directory) == [problem]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("d/data", "d/data cannot be read: No such file or directory"),
        ("empty", "empty cannot be read: No such file or directory"),
        (MANIFEST, "it has no manifest.json: saving it did not come to its end"),
    ],
)
def test_a_file_that_is_gone_is_named(directory, name, problem):
    (directory / name).unlink()
    assert problems(directory) == [problem]


def test_a_manifest_that_cannot_be_read_is_a_problem(directory):
    """As on a disk with a bad sector: the checkpoint before is used then."""
    (directory / MANIFEST).unlink()
    (directory / MANIFEST).mkdir()
    assert problems(directory) == ["manifest.json cannot be read: Is a directory"]


def test_all_damaged_files_are_named_at_once(directory):
    (directory / "d" / "data").write_bytes(bytes(256))
    (directory / "empty").unlink()
    assert problems(directory) == [
        "d/data is damaged: its SHA-256 is another",
        "empty cannot be read: No such file or directory",
    ]


def test_a_manifest_whose_digest_was_left_out_is_damaged(directory):
    contents = read_manifest(directory)
    (directory / MANIFEST).write_text(json.dumps(contents, indent=1))
    assert problems(directory) == ["manifest.json is damaged"]


def test_a_copy_is_as_good(directory, tmp_path):
    assert problems(shutil.copytree(directory, tmp_path / "copy")) == []
