"""PyTorch's files: tensors are read, whatever surrounds them; no code in them is run and no false size believed."""

import argparse
import os
import pickle
import sys
import tracemalloc
import types
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from tests.pretrained.damage import cut, equal, flipped, outcome, read_all
from vit_jax.pretrained.safetensors_file import open_safetensors
from vit_jax.pretrained.torch_file import DTYPES, open_torch

torch: Any = pytest.importorskip("torch", reason="reading PyTorch's files needs torch: pip install '.[parity]'")
pytestmark = pytest.mark.parity

WEIGHT = torch.arange(6.0).reshape(2, 3)
FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])


def save(path: Path, content: object, zipped: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def rewrite(path: Path, change) -> Path:
    """Changes the members of a zip file: `change` takes and gives name and content."""
    with zipfile.ZipFile(path) as archive:
        members = [change(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def in_pickle(old: bytes, new: bytes):
    def change(name, content):
        if not name.endswith("data.pkl"):
            return name, content
        assert old in content
        return name, content.replace(old, new)

    return change


class Runs:
    """Unpickled by an unwary reader, makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@FORMATS
def test_nested_containers_are_flattened_and_the_rest_left_out(tmp_path, zipped):
    content = {
        "model": OrderedDict(cls_token=WEIGHT, head=torch.nn.Parameter(WEIGHT * 2)),
        "optimizer": {"state": {0: {"exp_avg": WEIGHT + 1, "step": 7}}, "param_groups": [{"betas": (0.9, 0.99)}]},
        "epoch": 3,
        "best": np.float64(0.5),
        "count": np.int64(3),
        "args": argparse.Namespace(lr=0.1, output=None),
        "none": None,
        "list": [torch.ones(2), "text"],
    }
    arrays = read_all(open_torch(save(tmp_path / "x.pth", content, zipped)))
    expected = {
        "model/cls_token": WEIGHT.numpy(),
        "model/head": WEIGHT.numpy() * 2,
        "optimizer/state/0/exp_avg": WEIGHT.numpy() + 1,
        "list/0": np.ones(2, np.float32),
    }
    assert list(arrays) == list(expected)
    assert equal(arrays, expected)


@FORMATS
def test_a_config_of_yacs_is_read_past_without_its_code(tmp_path, zipped, monkeypatch):
    """As in the checkpoints of Swin's `main.py`: a class of dictionaries, in one another, with attributes."""
    yacs = types.ModuleType("yacs.config")
    yacs.CfgNode = type("CfgNode", (dict,), {"__module__": "yacs.config", "__setstate__": refuse})  # pyright: ignore[reportAttributeAccessIssue]
    with monkeypatch.context() as installed:
        installed.setitem(sys.modules, "yacs", types.ModuleType("yacs"))
        installed.setitem(sys.modules, "yacs.config", yacs)
        config = yacs.CfgNode(MODEL=yacs.CfgNode(NAME="swin"), LR=0.1)
        config.__dict__.update(__immutable__=True, __deprecated_keys__={"OLD"}, __renamed_keys__={})
        save(tmp_path / "x.pth", {"model": {"w": WEIGHT}, "config": config, "epoch": 3}, zipped)
    assert equal(read_all(open_torch(tmp_path / "x.pth")), {"model/w": WEIGHT.numpy()})


def refuse(config: object, state: object) -> None:
    raise AssertionError("a class's own code has run")


@FORMATS
def test_views_are_read_as_they_were_seen(tmp_path, zipped):
    base = torch.arange(24.0).reshape(2, 3, 4)
    content = {
        "base": base,
        "row": base[1, 2],
        "transposed": base.transpose(0, 2),
        "scalar": base[1, 1, 1],
        "none": base[:0],
        "none, beyond": torch.empty(0).set_(base.untyped_storage(), 100, (0, 3)),
        "empty": torch.zeros(0, 3),
        "expanded": torch.ones(1).expand(5),
    }
    arrays = read_all(open_torch(save(tmp_path / "x.pth", content, zipped)))
    assert equal(arrays, {name: x.contiguous().numpy() for name, x in content.items()})


@FORMATS
def test_every_dtype_keeps_its_bits(tmp_path, zipped):
    """bfloat16 and float8 without a way over float32. The old format is older than float8 and unsigned integers."""
    random = torch.Generator().manual_seed(0)
    names = [name for name in DTYPES if zipped or not name.startswith(("torch.float8", "torch.uint"))]
    bits = torch.randint(0, 2, (64,), generator=random, dtype=torch.uint8)
    content = {name: bits.clone().view(getattr(torch, name.removeprefix("torch."))) for name in names}
    for name, array in read_all(open_torch(save(tmp_path / "x.pth", content, zipped))).items():
        assert array.dtype == DTYPES[name]
        assert array.tobytes() == bits.numpy().tobytes()
    assert DTYPES["torch.bfloat16"] is ml_dtypes.bfloat16


@FORMATS
def test_code_is_refused_and_not_run(tmp_path, zipped):
    path = save(tmp_path / "x.pth", {"model": {"w": WEIGHT}, "extra": Runs(tmp_path / "ran")}, zipped)
    with pytest.raises(ValueError, match=r"x\.pth asks for (posix|os|nt)\.system, .* nothing was run.* safetensors"):
        open_torch(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)  # it would have run
    assert (tmp_path / "ran").exists()


def test_a_bare_pickle_is_refused_and_not_run(tmp_path):
    (tmp_path / "x.bin").write_bytes(pickle.dumps(Runs(tmp_path / "ran"), protocol=2))
    with pytest.raises(ValueError, match=r"x\.bin asks for \w+\.system"):
        open_torch(tmp_path / "x.bin")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (torch.nn.Linear(2, 2), "torch.nn.modules.linear.Linear"),
        ({"w": np.zeros(3)}, "numpy._core.multiarray._reconstruct"),
        ({"path": Path("x")}, "pathlib.PosixPath"),
        ({"eval": eval}, "eval"),
    ],
)
def test_anything_but_tensors_is_refused_by_its_name(tmp_path, content, name):
    with pytest.raises(ValueError, match=rf"x\.pth asks for {name}, .* convert it"):
        open_torch(save(tmp_path / "x.pth", content))


def test_what_is_advised_of_a_checkpoint_makes_a_file_that_loads(tmp_path):
    path = save(tmp_path / "x.pth", {"model": {"w": WEIGHT}, "optimizer": {"state": {}}, "path": Path("x")})
    with pytest.raises(ValueError, match=r"save_file\(x, 'model\.safe.* its \['model'\] or \['state_dict'\]"):
        open_torch(path)
    from safetensors.torch import save_file

    save_file(torch.load(path, weights_only=False)["model"], tmp_path / "model.safetensors")
    assert equal(read_all(open_safetensors(tmp_path / "model.safetensors")), {"w": WEIGHT.numpy()})


def test_allowed_names_are_not_the_real_things(tmp_path):
    """numpy's own scalar and dtype have states that a stranger should not set; nothing stays allowed afterwards."""
    before = torch.serialization.get_safe_globals()
    open_torch(save(tmp_path / "x.pth", {"w": WEIGHT, "best": np.float64(0.5), "args": argparse.Namespace()}))
    assert set(torch.serialization.get_safe_globals()) == set(before)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"K\x06tq", b"J\0\0\0\x7ftq", "which the file does not have"),  # elements of the storage: 2**31
        (b"K\x06tq", b"K\x08tq", "which the file does not have"),  # two more: the bytes that follow in the file
        (b"K\x06tq", b"K\x02tq", r"x\.pth"),
        (b"K\x06tq", b"J\xff\xff\xff\xfftq", r"x\.pth is damaged"),
        (b"K\x02K\x03\x86", b"K\x02J\0\0\0\x7f\x86", r"x\.pth is damaged"),  # shape, beyond the storage
        (b"K\x03K\x01\x86", b"K\x03J\0\0\0\x7f\x86", r"x\.pth is damaged"),  # stride, beyond the storage
        (b"FloatStorage", b"DoubleStorage", r"x\.pth"),
    ],
)
def test_a_tensor_that_claims_more_than_its_data_is_refused(tmp_path, old, new, message):
    path = rewrite(save(tmp_path / "x.pth", {"w": WEIGHT}), in_pickle(old, new))
    with pytest.raises(ValueError, match=message):
        open_torch(path)


@FORMATS
def test_one_number_expanded_to_terabytes_is_refused(tmp_path, zipped):
    path = save(tmp_path / "x.pth", {"w": torch.ones(1).expand(2**40)}, zipped)
    with pytest.raises(ValueError, match=r"'w' claims float32 \[1099511627776\], more than the whole file"):
        open_torch(path)


def test_many_tensors_in_the_same_bytes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("vit_jax.pretrained.torch_file.most_bytes", lambda file_size: 8 * file_size)
    path = save(tmp_path / "x.pth", {"base": (base := torch.zeros(50_000))} | {str(i): base[i:] for i in range(9)})
    with pytest.raises(ValueError, match=r"x\.pth claims 1999856 bytes of tensors; .* at most"):
        open_torch(path)


def test_other_tensors_are_refused(tmp_path):
    for odd in (WEIGHT.to_sparse(), WEIGHT.to("meta"), torch.complex(WEIGHT, WEIGHT).conj()):
        with pytest.raises(ValueError, match="not a plain tensor"):
            open_torch(save(tmp_path / "x.pth", {"w": odd}))
    with pytest.raises(ValueError, match=r"'w' has dtype torch\.complex32"):
        open_torch(save(tmp_path / "x.pth", {"w": torch.zeros(2, dtype=torch.complex32)}))


@pytest.mark.parametrize("content", [WEIGHT, {}, {"epoch": 3}, [1, "two"]])
def test_a_file_without_named_tensors_is_refused(tmp_path, content):
    with pytest.raises(ValueError, match=r"x\.pth holds no tensors by name"):
        open_torch(save(tmp_path / "x.pth", content))


def test_two_tensors_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"x\.pth holds 'a/b' twice"):
        open_torch(save(tmp_path / "x.pth", {"a": {"b": WEIGHT}, "a/b": WEIGHT}))


def test_containers_without_end_are_refused(tmp_path):
    endless: dict = {"w": WEIGHT}
    endless["self"] = endless
    shared: list = [0]
    for _ in range(40):
        shared = [shared, shared]
    for content in (endless, shared):
        with pytest.raises(ValueError, match="too many containers in containers"):
            open_torch(save(tmp_path / "x.pth", content))


def test_zip_files_that_torch_save_did_not_write_are_refused(tmp_path):
    path = tmp_path / "x.pth"
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path)
    with pytest.raises(ValueError, match="TorchScript"):
        open_torch(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(ValueError, match=r"neither arrays .* nor a data\.pkl"):
        open_torch(path)
    save(path, {"w": torch.zeros(1000)})
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="is compressed, which"):
        open_torch(path)


def test_files_without_checksums_are_read(tmp_path):
    torch.serialization.set_crc32_options(False)
    try:
        save(tmp_path / "x.pth", {"w": WEIGHT})
    finally:
        torch.serialization.set_crc32_options(True)
    np.testing.assert_array_equal(open_torch(tmp_path / "x.pth").arrays["w"].read(), WEIGHT.numpy())


def test_a_damaged_zip_file_is_refused_or_read_right(tmp_path):
    path = save(tmp_path / "x.pth", {"model": {"w": torch.randn(20, 20), "b": torch.randn(20)}, "epoch": 3})
    content, expected = path.read_bytes(), read_all(open_torch(path))
    results = [outcome(open_torch, path, copy) for _, copy in flipped(content, 600)]
    assert all(result is None or equal(result, expected) for result in results)
    assert results.count(None) > 300
    assert all(outcome(open_torch, path, copy) is None for copy in cut(content, 100))


def test_a_damaged_legacy_file_ends_in_arrays_or_a_refusal(tmp_path):
    """It has no checksums; what is left is that nothing but a ValueError comes of it."""
    path = save(tmp_path / "x.pth", {"model": {"w": torch.randn(6, 6), "b": torch.randn(6)}, "epoch": 3}, False)
    content = path.read_bytes()
    for _, copy in flipped(content, 400):
        outcome(open_torch, path, copy)
    assert all(outcome(open_torch, path, copy) is None for copy in cut(content, 100))


def test_memory_is_that_of_one_array(tmp_path):
    """Of the process, as torch's memory is not Python's: 200 MB are opened, 4 MB read."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        pytest.skip("the memory of the process is measured on Linux")
    big, small = torch.zeros(12 * 2**20), torch.arange(2**20)
    path = save(tmp_path / "x.pth", {"a": big, "b": big.clone(), "c": big.clone(), "d": big.clone(), "small": small})

    def resident() -> int:
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    tracemalloc.start()
    weights = open_torch(path)
    read = weights.arrays["small"].read()
    assert tracemalloc.get_traced_memory()[1] < read.nbytes + 2**20
    tracemalloc.stop()
    assert resident() - before < 2**25
    np.testing.assert_array_equal(read, small.numpy())


def test_without_torch_it_says_what_to_do(tmp_path, monkeypatch):
    save(tmp_path / "x.pth", {"w": WEIGHT})
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"x\.pth is a PyTorch file: pip install torch, or convert"):
        open_torch(tmp_path / "x.pth")
