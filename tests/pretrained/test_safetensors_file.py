"""The safetensors format: every dtype, lazily; a header that does not fit the file is refused."""

import json
import tracemalloc
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from tests.pretrained.damage import cut, equal, flipped, outcome, read_all
from vit_jax.pretrained import safetensors_file
from vit_jax.pretrained.safetensors_file import DTYPES, open_safetensors, write_safetensors

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "blocks.0.attn.qkv.weight": RANDOM.normal(size=(6, 2)).astype(np.float32),
    "cls_token": RANDOM.normal(size=(1, 1, 5)).astype(np.float16),
    "relative_position_index": RANDOM.integers(9, size=(3, 3)),
    "scalar": np.array(0.5, np.float32),
    "none": np.zeros((0, 3), np.float32),
    "mask": RANDOM.random(9) < 0.5,
}


@pytest.fixture
def path(tmp_path):
    save_file(ARRAYS, tmp_path / "model.safetensors", metadata={"format": "pt"})
    return tmp_path / "model.safetensors"


def write(path: Path, header: dict | bytes, data: bytes) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def entry(first=0, last=8, dtype="F32", shape=(2,)) -> dict:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [first, last]}


def test_arrays_are_what_was_written(path):
    weights = open_safetensors(path)
    assert weights.path == path
    assert equal(read_all(weights), ARRAYS)


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_has_its_own_bits(tmp_path, name):
    dtype = np.dtype(DTYPES[name])
    data = RANDOM.integers(2, size=6 * dtype.itemsize, dtype=np.uint8).tobytes()
    path = write(tmp_path / "x", {"w": entry(0, len(data), name, (2, 3))}, data)
    array = read_all(open_safetensors(path))["w"]
    assert (array.dtype, array.shape, array.tobytes()) == (dtype, (2, 3), data)


def test_bfloat16_is_that_of_ml_dtypes(tmp_path):
    path = write(tmp_path / "x", {"w": entry(0, 4, "BF16")}, b"\x80\x3f\x00\xc0")
    np.testing.assert_array_equal(
        open_safetensors(path).arrays["w"].read(), np.array([1, -2], ml_dtypes.bfloat16), strict=True
    )


@pytest.mark.parametrize(
    ("header", "size"),
    [
        ({"a": entry(), "b": entry(4, 12)}, 12),  # overlap
        ({"a": entry(), "b": entry()}, 8),  # the same bytes
        ({"a": entry(), "b": entry(12, 20)}, 20),  # hole
        ({"a": entry()}, 9),  # trailing bytes
        ({"a": entry()}, 7),  # truncated
        ({"a": entry(0, 2**50, shape=(2**48,))}, 8),  # more than the file
        ({"a": entry(shape=(2**62, 2**62))}, 8),
        ({"a": entry(shape=(0, 2**40, 2**40), last=0)}, 0),  # nothing, but of a shape no array can have
        ({"a": entry(shape=(-2,))}, 8),
        ({"a": entry(dtype="F31")}, 8),
        ({"a": entry(0, 4, "F4", (8,))}, 4),
        (
            b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}',
            8,
        ),
        (b"{}}", 0),
        (b"[" * 100_000, 0),
        (b'{"\xff": 0}', 0),
    ],
)
def test_a_header_that_does_not_fit_is_refused(tmp_path, header, size):
    path = write(tmp_path / "x.safetensors", header, bytes(size))
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"x\.safetensors"):
        open_safetensors(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_a_damaged_file_is_refused_where_it_can_be_seen(path):
    """Without checksums a flipped bit among the numbers is read; the header must then still be whole, but for names."""
    content = path.read_bytes()
    data = 8 + int.from_bytes(content[:8], "little")
    expected = read_all(open_safetensors(path))
    for place, copy in flipped(content, len(content)):
        result = outcome(open_safetensors, path, copy)
        if place >= data:
            assert result is not None
            assert sum(result[name].tobytes() != expected[name].tobytes() for name in expected) == 1
        elif result is not None:
            in_order = sorted(x.tobytes() for x in expected.values())
            assert sorted(x.tobytes() for x in result.values()) == in_order
    assert all(outcome(open_safetensors, path, copy) is None for copy in cut(content, 100))


def test_a_file_that_shrinks_after_it_was_opened_is_refused(path):
    stored = open_safetensors(path).arrays["blocks.0.attn.qkv.weight"]
    path.write_bytes(path.read_bytes()[:-80])
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged: it ends before"):
        stored.read()


def test_memory_is_that_of_one_array(tmp_path):
    big, small = np.zeros(12 * 2**20, np.float32), np.arange(2**20, dtype=np.float32)
    save_file({"a": big, "b": big, "c": big, "d": big, "small": small}, tmp_path / "x")
    tracemalloc.start()
    weights = open_safetensors(tmp_path / "x")
    opening = tracemalloc.get_traced_memory()[1]
    read = weights.arrays["small"].read()
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_array_equal(read, small)
    assert opening < 2**20
    assert reading < small.nbytes + 2**20


@pytest.fixture
def with_digests(tmp_path: Path) -> Path:
    write_safetensors(tmp_path / "ours.safetensors", ARRAYS, "pt")
    return tmp_path / "ours.safetensors"


def test_others_read_what_has_digests(with_digests: Path):
    assert equal(read_all(open_safetensors(with_digests)), ARRAYS)
    assert equal(load_file(with_digests), ARRAYS)


def test_with_digests_every_flipped_bit_is_refused_or_changes_nothing(with_digests: Path):
    """All of them: in the header, its metadata and the numbers. Without digests most are read wrong."""
    whole, refused, places = with_digests.read_bytes(), 0, range(0, 8 * with_digests.stat().st_size, 3)
    for place in places:
        copy = bytearray(whole)
        copy[place // 8] ^= 1 << place % 8
        found = outcome(open_safetensors, with_digests, bytes(copy))
        refused += found is None
        assert found is None or equal(found, ARRAYS)
    assert refused > 0.95 * len(places)


def test_an_array_that_another_took_the_place_of_is_named(with_digests: Path):
    header, data = parts(with_digests)
    with_digests.write_bytes(header + data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ValueError, match=r"ours\.safetensors is damaged: 'mask' is not as it was written"):
        read_all(open_safetensors(with_digests))


def test_digests_of_other_arrays_are_refused(with_digests: Path):
    header, data = parts(with_digests)
    with_digests.write_bytes(header.replace(b'"scalar":{', b'"scalbr":{') + data)
    with pytest.raises(ValueError, match="its arrays and their digests have different names: scalar, scalbr"):
        open_safetensors(with_digests)


def parts(path: Path) -> tuple[bytes, bytes]:
    """A file's header, with its length before it, and its arrays."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return content[:end], content[end:]


def test_a_file_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    """safetensors has an error of its own for it, which is no OSError: a full disk would end in a traceback."""

    def fail(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors_file, "save_file", fail)
    with pytest.raises(OSError, match=r"No space left on device.*model\.safetensors"):
        write_safetensors(tmp_path / "model.safetensors", ARRAYS, "pt")
    assert not list(tmp_path.iterdir())
