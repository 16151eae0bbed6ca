"""Windows and image of Swin V2's own files are told by their buffers, also by those of a network of larger windows."""

from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

import vit_jax
from tests.pretrained.publisher_cases import CASES, SWIN, coordinates, draw, golden_shapes, images_for, write
from vit_jax.models.swin import SwinTransformer

V2 = SWIN.clone(version=2)


def file(tmp_path: Path, name: str = "swinv2", scale: int | None = None) -> Path:
    """A file of a case, its offsets with another scale than their own."""
    arrays = draw(golden_shapes()[name], 0)
    tables = {name: coordinates(x.shape[1] // 2, scale) for name, x in arrays.items() if name.endswith("coords_table")}
    return write(CASES[name], arrays | tables, tmp_path)


@pytest.mark.parametrize("name", ["swinv2", "torchvision_swinv2"])
@pytest.mark.parametrize(("scale", "pretrained"), [(None, ()), (2, (3, 3)), (5, (6, 6)), (3, ())])
def test_offsets_tell_windows_and_their_scale(name: str, scale: int | None, pretrained, tmp_path: Path):
    model, _ = vit_jax.load_pretrained(file(tmp_path, name, scale))
    assert isinstance(model, SwinTransformer)
    assert (model.image_size, model.window_size, model.pretrained_window_sizes) == (32, 4, pretrained)


@pytest.mark.parametrize("own", [(), (2, 2)])
def test_a_module_gets_the_scale_of_the_file(own: tuple[int, ...], tmp_path: Path):
    """Its shapes are those of any scale: it would be wrong in silence."""
    for scale, expected in ((2, (3, 3)), (None, ())):
        model, _ = vit_jax.load_pretrained(file(tmp_path, scale=scale), model=V2.clone(pretrained_window_sizes=own))
        assert isinstance(model, SwinTransformer)
        assert model.pretrained_window_sizes == expected


def test_a_module_gets_the_scale_of_one_s_own_folder(tmp_path: Path):
    loaded, params = vit_jax.load_pretrained(file(tmp_path, scale=2))
    vit_jax.save_pretrained(tmp_path / "own", loaded, params)
    model, _ = vit_jax.load_pretrained(tmp_path / "own", model=V2)
    assert isinstance(model, SwinTransformer)
    assert model.pretrained_window_sizes == (3, 3)


def test_a_larger_image_is_told_by_the_mask(tmp_path: Path):
    arrays: dict[str, Any] = draw(golden_shapes()["swinv2"], 0)
    mask = np.zeros((9, 16, 16), np.float32)
    model, _ = vit_jax.load_pretrained(write(CASES["swinv2"], arrays | {"layers.1.blocks.1.attn_mask": mask}, tmp_path))
    assert isinstance(model, SwinTransformer)
    assert model.image_size == 96


def test_a_table_without_offsets_is_refused(tmp_path: Path):
    arrays = draw(golden_shapes()["swinv2"], 0)
    table = "layers.1.blocks.0.attn.relative_coords_table"
    path = write(CASES["swinv2"], arrays | {table: np.zeros((1, 7, 7, 2), np.float32)}, tmp_path)
    with pytest.raises(ValueError, match=r"\(swin\): a relative_coords_table of \[1, 7, 7, 2\] holds no offsets"):
        vit_jax.load_pretrained(path)


@pytest.mark.parity("torch", "timm", "torchvision", "transformers")
def test_networks_of_other_pretrained_windows_give_their_logits(tmp_path: Path):
    """With the tables and masks that the publisher's code makes, as its files have them."""
    from tests.pretrained.publisher_reference import swinv2_of_windows

    images = images_for("swinv2", None, 1)
    for pretrained in ((3, 2), (8, 4), (0, 0)):
        arrays, expected = swinv2_of_windows(pretrained, images)
        path = write(CASES["swinv2"], arrays, tmp_path / str(pretrained))
        for model in (None, V2):
            loaded, params = vit_jax.load_pretrained(path, model=model)
            with jax.default_matmul_precision("highest"):
                logits = np.asarray(jax.jit(loaded.apply)({"params": params}, images))
            np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
