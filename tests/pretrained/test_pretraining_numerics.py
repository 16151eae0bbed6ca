"""MAE's and BEiT's pre-training networks, from Hugging Face's files and the authors', compute what theirs do."""

from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
import pytest

import vit_jax
from tests.models.huggingface_cases import outputs
from tests.pretrained.pretraining_cases import (
    GOLDEN_OUTPUTS,
    OWN_SIZE,
    PRETRAINING_CASES,
    SIZES,
    golden_names,
    images_and_noise,
    write_authors,
    write_hugging_face,
    write_legacy,
)
from tests.pretrained.publisher_cases import GOLDEN_SEED, Size
from vit_jax.models.vit import VisionTransformer

WRITERS: dict[str, Callable[[str, Path, int], Path]] = {
    "huggingface": write_hugging_face,
    "legacy": write_legacy,
    "authors": write_authors,
}
WRITTEN = [
    pytest.param(name, writer, size, id=f"{name} {writer} {size}")
    for name, case in PRETRAINING_CASES.items()
    for writer in WRITERS
    for size in (case.authors_sizes if writer == "authors" else SIZES)
]


def loaded_output(name: str, writer: str, size: Size, seed: int, directory: Path) -> np.ndarray:
    """What the loaded network computes."""
    case = PRETRAINING_CASES[name]
    source, wanted = WRITERS[writer](name, directory, seed), case.model if writer == "authors" else None
    model, params = vit_jax.load_pretrained(source, model=wanted, image_size=size)
    assert type(model) is type(case.model)
    images, noise = images_and_noise(size, seed)
    masks = {"noise": noise} if name == "mae" else {"mask": noise < 0.4}
    return np.asarray(jax.tree.leaves(outputs(model, params, images, masks))[0])


def assert_equal(output: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "writer", "size"), WRITTEN)
def test_equals_golden_outputs(name: str, writer: str, size: Size, tmp_path: Path):
    expected = np.load(GOLDEN_OUTPUTS)[f"{name} {size}"]
    assert_equal(loaded_output(name, writer, size, GOLDEN_SEED, tmp_path), expected)


@pytest.mark.parametrize(
    ("writer", "size"), [("huggingface", SIZES[0]), ("huggingface", SIZES[1]), ("authors", OWN_SIZE)]
)
def test_a_classifier_of_beit_s_encoder_has_the_shared_bias_in_each_block(writer: str, size: Size, tmp_path: Path):
    """It computes the same tokens, at its own size and resized."""
    case = PRETRAINING_CASES["beit"]
    source, wanted = WRITERS[writer]("beit", tmp_path, GOLDEN_SEED), case.model if writer == "authors" else None
    whole, expected = vit_jax.load_pretrained(source, model=wanted, image_size=size)
    model, params = vit_jax.load_pretrained(source, model=wanted, image_size=size, num_classes=3)
    assert isinstance(model, VisionTransformer)
    assert model.relative_position == "per_block"
    table = expected["encoder"]["relative_position_bias"]["table"]
    for i in range(model.depth):
        np.testing.assert_array_equal(params[f"blocks_{i}"]["attn"]["relative_position_bias"]["table"], table)
    images, _ = images_and_noise(size, GOLDEN_SEED)
    tokens = np.asarray(vit_jax.features(whole, expected, images).tokens)
    assert_equal(np.asarray(vit_jax.features(model, params, images).tokens), tokens)


@pytest.mark.parity("torch", "timm", "transformers")
@pytest.mark.parametrize("name", PRETRAINING_CASES)
def test_equals_hugging_face(name: str, tmp_path: Path):
    from tests.pretrained.pretraining_reference import names_written, reference_output

    assert names_written(name, tmp_path / "written") == golden_names()[name], "transformers writes other names now"
    seed = GOLDEN_SEED + 1
    for size in SIZES:
        expected = reference_output(name, write_hugging_face(name, tmp_path / "drawn", seed), size, seed)
        assert_equal(loaded_output(name, "huggingface", size, seed, tmp_path / "loaded"), expected)


@pytest.mark.parity("torch", "timm", "transformers")
def test_a_masked_autoencoder_s_encoder_with_a_new_head(tmp_path: Path):
    import torch  # pyright: ignore[reportMissingImports]

    from tests.pretrained.pretraining_reference import load

    folder = write_hugging_face("mae", tmp_path, GOLDEN_SEED)
    images, noise = images_and_noise(OWN_SIZE, GOLDEN_SEED)
    network = load("mae", folder)
    network.config.mask_ratio = 0.0
    with torch.no_grad():
        every = network.vit(torch.tensor(images).permute(0, 3, 1, 2), noise=torch.tensor(np.sort(noise, axis=1)))
    model, params = vit_jax.load_pretrained(folder, num_classes=3)
    assert isinstance(model, VisionTransformer)
    assert not params["head"]["kernel"].any()
    assert_equal(np.asarray(vit_jax.features(model, params, images).tokens), every.last_hidden_state.numpy())
