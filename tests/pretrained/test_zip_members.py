"""A zip file that claims more than it holds is refused before memory is taken for it."""

import struct
import warnings
import zipfile

import numpy as np
import pytest

from tests.pretrained.memory import allocating_less_than
from vit_jax.pretrained.stored import most_bytes
from vit_jax.pretrained.zip_members import read_member, read_start, zip_members

CONTENT = np.random.default_rng(0).bytes(200_000) + bytes(200_000)


@pytest.fixture(params=[zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def path(request, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", request.param) as archive:
        archive.writestr("a/b", CONTENT)
        archive.writestr("empty", b"")
    return tmp_path / "x.zip"


def patch(path, entry: int, field: str, value: int):
    """Overwrites a field of an entry of a file's directory, and of the header before the member's content too."""
    central = {"method": (10, "H"), "flags": (8, "H"), "stored": (20, "I"), "size": (24, "I"), "offset": (42, "I")}
    local = {"method": (8, "H"), "flags": (6, "H"), "stored": (18, "I"), "size": (22, "I")}
    content = bytearray(path.read_bytes())
    directory = struct.unpack_from("<I", content, len(content) - 6)[0]
    for _ in range(entry):
        directory += 46 + sum(struct.unpack_from("<3H", content, directory + 28))
    header = struct.unpack_from("<I", content, directory + 42)[0]
    for fields, start in ((central, directory), (local, header)):
        if field in fields:
            place, kind = fields[field]
            struct.pack_into("<" + kind, content, start + place, value)
    path.write_bytes(content)


def test_content_is_what_was_written(path):
    members = zip_members(path)
    assert list(members) == ["a/b", "empty"]
    assert read_member(path, members["a/b"]).tobytes() == CONTENT
    assert read_member(path, members["empty"]).tobytes() == b""
    assert read_start(path, members["a/b"], 100) == CONTENT[:100]
    assert read_start(path, members["empty"], 100) == b""


def test_a_flipped_bit_is_seen_by_the_checksum(path):
    content = bytearray(path.read_bytes())
    content[100_000] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.zip is damaged"):
        read_member(path, zip_members(path)["a/b"])


def test_a_size_beyond_what_deflate_reaches_is_refused(path):
    patch(path, 0, "size", 2**32 - 2)
    with pytest.raises(ValueError, match=r"x\.zip: 'a/b' claims 4294967294 bytes, which its \d+ bytes .* cannot be"):
        zip_members(path)


def test_content_longer_than_its_claim_is_refused(path):
    """A stored member's two sizes differ then; a deflated one's stream goes on after what it should give."""
    patch(path, 0, "size", 1000)
    with pytest.raises(ValueError, match=r"a/b"):
        read_member(path, zip_members(path)["a/b"])


def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, monkeypatch):
    """Each member is possible, all of them together are too much. The limit is made small, as the test's file is."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for i in range(4):
            archive.writestr(f"{i}", bytes(2**21))
    monkeypatch.setattr("vit_jax.pretrained.zip_members.most_bytes", lambda file_size: most_bytes(file_size) - 2**29)
    message = r"bomb\.zip claims 8388608 bytes when unpacked; .* at most"
    with allocating_less_than(2**20), pytest.raises(ValueError, match=message):
        zip_members(path)


def test_an_entry_that_hides_others_is_refused(path):
    """A flipped bit in the length of a comment makes the next entry a part of it."""
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 32] = 46 + len("empty")
    path.write_bytes(content)
    with pytest.raises(ValueError, match="its directory should have 2 entries, not 1"):
        zip_members(path)


def test_members_in_the_same_bytes_are_refused(tmp_path):
    """The second entry of the directory is made to point into the first one's content, where a header is, too."""
    path, inner = tmp_path / "x.zip", tmp_path / "inner.zip"
    with zipfile.ZipFile(inner, "w") as archive:
        archive.writestr("b", b"4321")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", inner.read_bytes())
        archive.writestr("b", b"1234")
    patch(path, 1, "offset", 31)
    with pytest.raises(ValueError, match="'a' and 'b' overlap"):
        zip_members(path)


def test_a_name_twice_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr("a", b"1")
        archive.writestr("a", b"2")
    with pytest.raises(ValueError, match=r"x\.zip holds 'a' twice"):
        zip_members(tmp_path / "x.zip")


def test_a_directory_that_contradicts_the_headers_is_refused(path):
    content = path.read_bytes()
    path.write_bytes(content[::-1].replace(b"b/a", b"c/a", 1)[::-1])  # the last mention: in the directory
    with pytest.raises(ValueError, match="its directory has 'a/c' where 'a/b' is"):
        zip_members(path)
    path.write_bytes(content)
    patch(path, 1, "offset", 5)
    with pytest.raises(ValueError, match="'empty' is not where its directory says"):
        zip_members(path)


@pytest.mark.parametrize(("field", "value"), [("method", zipfile.ZIP_LZMA), ("flags", 1)])
def test_other_compression_and_encryption_are_refused(path, field, value):
    patch(path, 0, field, value)
    with pytest.raises(ValueError, match="is encrypted or compressed by another method"):
        zip_members(path)
