"""Which file is opened, and how: by what is in it, not by what it is called."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save, save_file

from tests.pretrained.damage import equal, read_all
from vit_jax.pretrained.weight_files import choose_weights, open_weights

ARRAYS = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "c": np.zeros(4, np.float32)}


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors", "x.pth", "x.bin", "x"])
def test_the_content_tells_the_kind(tmp_path, name):
    path = tmp_path / name
    with path.open("wb") as file:
        np.savez(file, **ARRAYS)
    assert equal(read_all(open_weights(path)), ARRAYS)
    save_file(ARRAYS, path)
    assert equal(read_all(open_weights(path)), ARRAYS)


@pytest.mark.parametrize("length", [0x4B50, 0x80, 0x0280], ids=["as zip's", "as pickle's", "as torch's"])
def test_a_safetensors_header_may_be_as_long_as_another_kinds_first_bytes(tmp_path, length):
    content = save(ARRAYS)
    header = content[8 : 8 + int.from_bytes(content[:8], "little")].ljust(length)
    path = tmp_path / "x"
    path.write_bytes(length.to_bytes(8, "little") + header + content[-40:])
    assert equal(read_all(open_weights(path)), ARRAYS)


@pytest.mark.parity("torch")
@pytest.mark.parametrize("zipped", [True, False])
def test_pytorchs_files_are_told_by_their_content(tmp_path, zipped):
    import torch  # pyright: ignore[reportMissingImports]

    content = {name: torch.from_numpy(x) for name, x in ARRAYS.items()}
    torch.save(content, tmp_path / "x.npz", _use_new_zipfile_serialization=zipped)
    assert equal(read_all(open_weights(tmp_path / "x.npz")), ARRAYS)


def png() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (9, 9)).save(file, "png")
    return file.getvalue()


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros(3))
    return file.getvalue()


def other_zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("readme.txt", "hello")
    return file.getvalue()


@pytest.mark.parametrize("name", ["x.npz", "x.safetensors", "x.pth"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"x", "is no file of weights"),
        (png(), r"is no file of weights .* begins with b'.x89PNG"),
        (b"<!DOCTYPE html><title>404</title>", r"is no file of weights .*DOCTYPE"),
        (npy(), r"is no file of weights .*NUMPY"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
        (b"PK\x03\x04" + bytes(60), "is damaged"),
        (bytes(60), "is no file of weights"),
        (b"{}", "is damaged or no index"),
        (bytes(7) + b"\x80{", "is no file of weights"),
    ],
)
def test_anything_else_is_refused_by_name(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=rf"{name}.* {message}"):
        open_weights(tmp_path / name)


@pytest.mark.parity("torch")
def test_other_zip_files_are_refused(tmp_path):
    """As PyTorch's: a zip file that is no .npz is taken for one."""
    (tmp_path / "x.pth").write_bytes(other_zip())
    with pytest.raises(ValueError, match=r"x\.pth is a zip file that holds neither"):
        open_weights(tmp_path / "x.pth")


def test_what_is_no_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is a folder"):
        open_weights(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no file of weights at .*x\.npz"):
        open_weights(tmp_path / "x.npz")


class TestIndex:
    @pytest.fixture
    def path(self, tmp_path):
        for i, (name, array) in enumerate(ARRAYS.items()):
            save_file({name: array}, tmp_path / f"part{i}.safetensors")
        return self.write(tmp_path, {"c": "part1.safetensors", "a/b": "part0.safetensors"})

    def write(self, folder, places):
        path = folder / "model.safetensors.index.json"
        path.write_text(json.dumps({"metadata": {"total_size": 40}, "weight_map": places}))
        return path

    def test_several_files_are_opened_as_one(self, path):
        weights = open_weights(path)
        assert (weights.path, list(weights.arrays)) == (path, ["c", "a/b"])
        assert equal(read_all(weights), ARRAYS)

    def test_a_missing_part_is_named(self, path):
        (path.parent / "part1.safetensors").unlink()
        with pytest.raises(FileNotFoundError, match=r"index\.json names part1\.safetensors, which is not beside it"):
            open_weights(path)

    def test_a_part_that_holds_other_arrays_is_refused(self, path):
        save_file({"d": ARRAYS["c"]}, path.parent / "part1.safetensors")
        with pytest.raises(ValueError, match=r"does not fit part1\.safetensors: only one of them has c, d"):
            open_weights(path)

    def test_a_part_that_is_damaged_is_named(self, path):
        part = path.parent / "part1.safetensors"
        part.write_bytes(part.read_bytes()[:-1])
        with pytest.raises(ValueError, match=r"part1\.safetensors is damaged"):
            open_weights(path)

    @pytest.mark.parametrize(
        "place", ["../secret.safetensors", "/etc/passwd", "", "..", "x.pth", "a/b.safetensors", "../x.bin"]
    )
    def test_a_part_elsewhere_is_not_opened(self, path, place):
        self.write(path.parent, {"a": place})
        with pytest.raises(ValueError, match=r"is no \.safetensors or \.bin file beside it"):
            open_weights(path)

    @pytest.mark.parametrize("text", ["{", '{"weight_map": []}', '{"weight_map": {}}', '{"a":' * 99_999])
    def test_a_damaged_index_is_refused(self, path, text):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"index\.json"):
            open_weights(path)


@pytest.mark.parity("torch")
class TestIndexOfPyTorch:
    @pytest.fixture
    def path(self, tmp_path):
        import torch  # pyright: ignore[reportMissingImports]

        for i, (name, array) in enumerate(ARRAYS.items()):
            torch.save({name: torch.from_numpy(array)}, tmp_path / f"pytorch_model-{i}.bin")
        path = tmp_path / "pytorch_model.bin.index.json"
        path.write_text(json.dumps({"weight_map": {"a/b": "pytorch_model-0.bin", "c": "pytorch_model-1.bin"}}))
        return path

    def test_several_files_are_opened_as_one(self, path):
        assert choose_weights(path.parent, [file.name for file in path.parent.iterdir()]) == path.name
        assert equal(read_all(open_weights(path)), ARRAYS)

    def test_a_part_that_would_run_code_is_refused(self, path):
        (path.parent / "pytorch_model-1.bin").write_bytes(pickle.dumps(print, protocol=2))
        with pytest.raises(ValueError, match=r"pytorch_model-1\.bin asks for .*print, .* nothing was run"):
            open_weights(path)


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["README.md", "config.json", "pytorch_model.bin", "model.safetensors"], "model.safetensors"),
        (
            ["model.safetensors.index.json", "m-1-of-2.safetensors", "m-2-of-2.safetensors"],
            "model.safetensors.index.json",
        ),
        (["pytorch_model.bin", "training_args.bin", "optimizer.pt", "tf_model.h5"], "pytorch_model.bin"),
        (
            ["pytorch_model-1.bin", "pytorch_model-2.bin", "pytorch_model.bin.index.json"],
            "pytorch_model.bin.index.json",
        ),
        (["pytorch_model.bin", "swin.safetensors"], "swin.safetensors"),
        (["ViT-B_16.npz", "pytorch_model.bin"], "ViT-B_16.npz"),
        (["deit.pth", "notes.txt"], "deit.pth"),
        (["README.md", "tf_model.h5", ".model.safetensors.123"], None),
        ([], None),
    ],
)
def test_the_weights_of_a_folder_are_those_that_need_no_code(names, chosen):
    assert choose_weights("folder", names) == chosen


def test_when_it_is_unclear_which_weights_are_meant_all_are_named():
    with pytest.raises(ValueError, match=r"folder has several files of weights: a\.npz, b\.npz"):
        choose_weights("folder", ["b.npz", "a.npz", "x.bin"])
