"""NumPy's files: what np.load reads is read, lazily; anything that could run code or fill the memory is refused."""

import io
import zipfile
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from numpy.lib import format as npy

from tests.pretrained.damage import cut, equal, flipped, outcome, read_all
from tests.pretrained.memory import allocating_less_than
from vit_jax.pretrained.npz_file import open_npz

RANDOM = np.random.default_rng(0)
ARRAYS = {
    "Transformer/encoderblock_0/LayerNorm_0/scale": RANDOM.normal(size=7).astype(np.float32),
    "embedding/kernel": np.asfortranarray(RANDOM.normal(size=(2, 3, 4))),
    "step": np.array(5),
    "none": np.zeros((0, 3), np.float16),
    "big_endian": RANDOM.normal(size=5).astype(">f4"),
    "kind": np.array("ViT"),
    "mask": RANDOM.random(9) < 0.5,
}


@pytest.fixture(params=[np.savez, np.savez_compressed])
def path(request, tmp_path):
    request.param(tmp_path / "x.npz", **ARRAYS)
    return tmp_path / "x.npz"


def write_member(path, header: bytes, data: bytes = b"", name: str = "w.npy"):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, header + data)


def npy_header(**fields) -> bytes:
    header = io.BytesIO()
    npy.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2,)} | fields)
    return header.getvalue()


def test_equals_numpys_own_reader(path):
    with np.load(path) as expected:
        weights = open_npz(path)
        assert list(weights.arrays) == expected.files
        for name, array in read_all(weights).items():
            np.testing.assert_array_equal(array, expected[name], strict=name != "big_endian")
    assert weights.path == path
    assert weights.arrays["big_endian"].dtype == np.float32  # jax takes no other byte order


def test_bfloat16_is_read_from_the_two_bytes_numpy_makes_of_it(tmp_path):
    """As in some of Google's SigLIP files."""
    x = RANDOM.normal(size=(3, 4)).astype(ml_dtypes.bfloat16)
    np.savez(tmp_path / "x.npz", x=x, f=np.asfortranarray(x))
    with np.load(tmp_path / "x.npz") as loaded:
        assert loaded["x"].dtype == "V2"
    arrays = read_all(open_npz(tmp_path / "x.npz"))
    np.testing.assert_array_equal(arrays["x"], x, strict=True)
    np.testing.assert_array_equal(arrays["f"], x, strict=True)


def test_a_compressed_new_model_is_read(tmp_path):
    """Its biases, position embeddings and head are zeros and its scales ones, which shrink a thousandfold."""
    arrays: dict[str, Any] = {f"{i}/bias": np.zeros(768, np.float32) for i in range(100)}
    arrays |= {f"{i}/scale": np.ones(768, np.float32) for i in range(25)}
    arrays["head/kernel"] = np.zeros((768, 21843), np.float32)
    np.savez_compressed(tmp_path / "x.npz", **arrays)
    assert (tmp_path / "x.npz").stat().st_size < sum(x.nbytes for x in arrays.values()) / 300
    assert equal(read_all(open_npz(tmp_path / "x.npz")), arrays)


def test_objects_are_refused_and_not_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (tmp_path / "ran").touch, ()

    np.savez(tmp_path / "x.npz", x=np.array([Bomb(), None], object))
    with pytest.raises(ValueError, match=r"x\.npz: 'x\.npy' has dtype object"):
        open_npz(tmp_path / "x.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (npy_header(shape=(10**15,)), r"x\.npz: 'w\.npy' claims float32 \[1000000000000000\], but has 8 bytes"),
        (npy_header(shape=(1,)), r"claims float32 \[1\], but has 8 bytes"),
        (npy_header(shape=(-1, -2)), "claims the shape"),
        (npy_header(shape=(0, 2**40, 2**40)), "claims the shape"),
        (npy_header(shape=(2**70, 0)), "claims the shape"),
        (npy_header(descr=[("a", "<f4")]), "only numbers and text"),
        (npy_header(descr="V4"), "only numbers and text"),
        (npy_header(descr="O"), "has dtype object"),
        (npy_header(descr="<f3"), "no header of a plain array"),
        (b"\x93NUMPY\x01\x00\xff\xff{", "no header of a plain array"),
        (b"\x93NUMPY\x09\x00\x00\x00", "no header of a plain array"),
        (b"\x93NUMPY\x01\x00\x20\x00" + b"(" * 32, "no header of a plain array"),
        (b"nonsense", "no header of a plain array"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path, header, message):
    write_member(tmp_path / "x.npz", header, bytes(8))
    with allocating_less_than(2**20), pytest.raises(ValueError, match=message):
        open_npz(tmp_path / "x.npz")


def test_other_zip_files_are_refused(tmp_path):
    write_member(tmp_path / "x.npz", b"hello", name="hello.txt")
    with pytest.raises(ValueError, match=r"x\.npz is a zip file but no \.npz: it holds 'hello\.txt'"):
        open_npz(tmp_path / "x.npz")
    np.savez(tmp_path / "x.npz")
    with pytest.raises(ValueError, match="it is empty"):
        open_npz(tmp_path / "x.npz")


def test_a_damaged_file_is_refused_or_read_right(path):
    content = path.read_bytes()
    expected = read_all(open_npz(path))
    results = [outcome(open_npz, path, copy) for _, copy in flipped(content, 500)]
    assert all(result is None or equal(result, expected) for result in results)
    assert results.count(None) > 250  # what is left are time stamps, padding and the like
    assert all(outcome(open_npz, path, copy) is None for copy in cut(content, 100))


def test_memory_is_that_of_one_array(tmp_path):
    """200 MB, of which opening takes nearly nothing and reading one array that array's size."""
    big, small = np.zeros(12 * 2**20, np.float32), np.arange(2**20, dtype=np.float32)
    np.savez(tmp_path / "x.npz", a=big, b=big, c=big, d=big, small=small)
    with allocating_less_than(2**20):
        weights = open_npz(tmp_path / "x.npz")
    with allocating_less_than(small.nbytes + 2**20):
        read = weights.arrays["small"].read()
    np.testing.assert_array_equal(read, small)
