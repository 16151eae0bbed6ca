"""JSON files: written whole, and a sealed one is never taken for what it was not."""

import json
from pathlib import Path

import pytest

from vit_jax.json_file import read_json, sealed, unsealed, write_json

CONTENT = {"eps": 1e-06, "heads": 3, "names": ("a cat", "d\u00f6g", "\udc80"), "deep": {"none": None, "on": True}}


def read_sealed(path: Path) -> dict:
    return unsealed(read_json(path), path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_json(tmp_path / "content.json", sealed(CONTENT))
    return tmp_path / "content.json"


def test_a_sealed_object_is_what_it_was(path: Path):
    assert read_sealed(path) == json.loads(json.dumps(CONTENT))
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_every_flipped_bit_is_refused_by_name_or_changes_nothing(path: Path):
    whole, refused = path.read_bytes(), 0
    for place in range(8 * len(whole)):
        copy = bytearray(whole)
        copy[place // 8] ^= 1 << place % 8
        path.write_bytes(copy)
        try:
            found = read_sealed(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            refused += 1
        else:  # of white space, of the case of a \\u escape, or of the seal's own name
            found.pop(next(iter(found))) if len(found) > len(CONTENT) else None
            assert found == json.loads(json.dumps(CONTENT))
    assert refused > 0.9 * 8 * len(whole)


def test_who_edits_one_is_told_how(path: Path):
    content = read_json(path)
    write_json(path, {**content, "heads": 4})
    with pytest.raises(ValueError, match=r"content\.json is not as it was written.*delete its entry 'sha256'"):
        read_sealed(path)
    del content["sha256"]
    write_json(path, {**content, "heads": 4})
    assert read_sealed(path)["heads"] == 4
