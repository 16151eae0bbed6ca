"""Protects that files are there whole or not at all, and that errors name them."""

import errno
import os
from pathlib import Path

import pytest

from vit_jax.whole_file import remove_unfinished, replace_file, replace_text


def test_what_fails_leaves_the_file_as_it_was_and_names_it(tmp_path: Path):
    """The error of a full disk names no file, others a temporary one."""
    path = tmp_path / "model.bin"
    path.write_text("before")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError, match=r"No space left on device.*model\.bin'$"):
        replace_file(path, fail)
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("model.bin", "before")]
    with pytest.raises(FileNotFoundError, match=r"'[^']*nowhere/page\.html'$"):
        replace_text(tmp_path / "nowhere" / "page.html", "text")
    with pytest.raises(FileNotFoundError, match=r"'[^']*nowhere/page\.html'$"):  # while another is written
        replace_file(path, lambda temporary: replace_text(tmp_path / "nowhere" / "page.html", "text"))


def test_names_that_are_no_utf_8_are_written_as_escapes(tmp_path: Path):
    """As of a folder from an old share: a report must not fail for it after the training."""
    replace_text(tmp_path / "page.html", os.fsdecode(b"b\xfcld"))
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == r"b\udcfcld"


def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path: Path):
    for name in (".model.safetensors.4242", ".hidden", "model.safetensors", "notes.2024"):
        (tmp_path / name).write_text("")
    remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "model.safetensors", "notes.2024"]
