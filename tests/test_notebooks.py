"""The notebooks run from their first cell to their last, with stand-ins for the weights and data that they name."""

import re
from pathlib import Path

import jax
import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import vit_jax
from vit_jax.data.builders import write_prepared
from vit_jax.data.cifar import CIFAR10, CifarArchive
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.models.registry import create_model

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXPECTED = {
    "1_predict": ["%  class ", r"\(1, 197, 24\) -> \(1, 295, 24\)", r"\(24, 10\) 0\.0", "missing: ", "True"],
    "2_finetune_cifar10": ["new: head/bias, head/kernel", "test accuracy ", "taken for kind "],
    "3_look_inside": ["9 layers of", "of 10 test images"],
}
"""What each says somewhere."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a small network by the name of DeiT-Ti, and 50 images of noise by the name of CIFAR-10."""
    place = tmp_path_factory.mktemp("notebooks")
    preprocessing = Preprocessing(IMAGENET_MEAN, IMAGENET_STD)
    # The epsilon is that of its config at Hugging Face, and not timm's.
    fields = dict(embed_dim=24, depth=9, norm_eps=1e-12, preprocessing=preprocessing)
    model = create_model("deit_tiny_patch16_224", **fields)
    random = np.random.default_rng(0)
    params = jax.tree.map(lambda x: random.normal(0, 0.2, x.shape).astype(np.float32), parameter_shapes(model))
    names = tuple(f"class {i}" for i in range(1000))
    vit_jax.save_pretrained(place / "facebook/deit-tiny-patch16-224", model, params, names, format="huggingface")
    splits = {
        split: (random.integers(0, 256, (images, 32, 32, 3), np.uint8), np.arange(images, dtype=np.uint8) % 10)
        for split, images in (("train", 40), ("test", 10))
    }
    write_prepared(
        CifarArchive(CIFAR10, "noise.tar.gz", "0" * 64, tuple(f"kind {i}" for i in range(10)), splits), place / "data"
    )
    return place


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=[pytest.mark.slow] if "finetune" in path.stem else []) for path in NOTEBOOKS],
    ids=lambda path: path.stem,
)
def test_a_notebook_runs(path: Path, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TFDS_DATA_DIR", str(place / "data"))
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(place)}}).execute()
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    # A line that is printed may come in pieces, if the machine is busy.
    said = "".join(output.get("text", "") or f"{output.get('data', '')}\n" for output in outputs)
    for pattern in EXPECTED[path.stem]:
        assert re.search(pattern, said), f"{pattern!r} is not in what it says:\n{said[:3000]}"


def test_every_notebook_is_tested():
    assert [path.stem for path in NOTEBOOKS] == list(EXPECTED)
