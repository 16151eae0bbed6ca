"""What a run says of itself before it trains is what it is going to do."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from vit_jax.data.dataset import DataConfig
from vit_jax.models.parameters import parameter_count
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.description import describe
from vit_jax.training.optimizer import ScheduleConfig
from vit_jax.training.run import prepare


@pytest.fixture
def config():
    return Config(model=ModelConfig("vit_digits_patch2_8"), schedule=ScheduleConfig(warmup="1 epoch"))


def test_the_description_says_what_is_going_to_happen(config, tmp_path):
    run = prepare(config, tmp_path)
    text = "\n".join(describe(run))
    for part in ("1,438 training, 359 test", "8x8x1", "450,730 parameters", "8 x cpu", "30 epochs: 338 steps of 128"):
        assert part in text, text
    assert parameter_count(run.model) == 450_730


def test_the_description_says_how_images_are_resized(config, tmp_path):
    """What is trained on may be smaller than what the data set has, or larger than what was read of it."""
    for name in ("dark", "light"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for i in range(40):
            Image.fromarray(np.full((8, 8, 3), i, np.uint8)).save(tmp_path / "pictures" / name / f"{i}.png")

    def model_line(load_size, image_size):
        fields = {"embed_dim": 8, "num_heads": 2, "depth": 1, "image_size": image_size}
        model, data = ModelConfig("vit_digits_patch2_8", fields), DataConfig(f"folder:{tmp_path}/pictures")
        changes = dict(model=model, data=dataclasses.replace(data, load_size=load_size), batch_size=16)
        run = prepare(dataclasses.replace(config, **changes), tmp_path / f"{load_size}_{image_size}")
        return next(line for line in describe(run) if line.startswith("model"))

    assert "resized" not in model_line(8, 8)
    assert model_line(16, 8).endswith("parameters; images are resized to 8x8")
    assert model_line(16, (8, 12)).endswith(
        "; the centres of images, of load_size 16, are squashed to 8x12: a data.load_size of these proportions would "
        "keep them"
    )
    assert model_line((16, 24), (8, 12)).endswith("parameters; images are resized to 8x12")
    assert model_line(8, 16).endswith(
        "resized to 16x16 after load_size 8: a larger data.load_size would keep more of them"
    )


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (dict(), "kernel   attention by matmul (flash attention is for NVIDIA GPUs, not for a cpu)"),
        (dict(model=ModelConfig("vit_digits_patch2_8", {"attention": "xla"})), "kernel   attention by xla (as asked)"),
        (dict(model=ModelConfig("cnn_small_32", {"preprocessing": Preprocessing()})), None),
    ],
)
def test_the_log_says_which_kernel_computes_attention_and_why(changes, line, config, tmp_path):
    lines = describe(prepare(dataclasses.replace(config, **changes), tmp_path))
    assert [found for found in lines if found.startswith("kernel")] == ([line] if line else [])
