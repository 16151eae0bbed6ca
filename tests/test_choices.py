"""A value that is no choice is refused where it is made, in a config file and a notebook, not taken for another."""

from typing import Any

import numpy as np
import pytest

from vit_jax.choices import nearest
from vit_jax.data.dataset import DataConfig
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.parallel import ParallelConfig


@pytest.mark.parametrize(
    ("make", "fields", "message"),
    [
        (OptimizerConfig, {"name": "adam"}, r"optimizer\.name must be one of adamw, sgd, lion, lamb, muon; not 'adam'"),
        (ScheduleConfig, {"kind": "cos"}, r"schedule\.kind must be one of cosine, linear, constant, rsqrt; not 'cos'"),
        (ParallelConfig, {"mode": "gspmd"}, r"parallel\.mode must be one of jit, pmap; not 'gspmd'"),
        (DataConfig, {"feed": "residnt"}, r"data\.feed must be one of auto, resident, streaming; not 'residnt'"),
        (Preprocessing, {"interpolation": "area"}, "interpolation must be one of nearest, bilinear, bicubic, lanczos"),
    ],
)
def test_another_value_is_refused(make: type, fields: dict[str, str], message: str):
    with pytest.raises(ValueError, match=message):
        make(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_classes": "10"}, "num_classes must be a whole number, not '10'"),
        ({"embed_dim": 192.0}, r"embed_dim must be a whole number, not 192\.0"),
        ({"depth": True}, "depth must be a whole number, not True"),
        ({"drop_path_rate": "0.1"}, r"drop_path_rate must be a number, not '0\.1'"),
        ({"layer_scale": "x"}, "layer_scale must be a number, not 'x'"),
        ({"qkv_bias": "no"}, "qkv_bias must be True or False, not 'no'"),
        ({"patch_size": 4.0}, r"patch_size must be a whole number or a pair of them, \(height, width\), not 4\.0"),
    ],
)
def test_a_field_of_a_network_has_its_type(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        create_model("vit_tiny_patch4_32", **fields)
    create_model("vit_tiny_patch4_32", depth=np.int64(2), drop_path_rate=0, layer_scale=np.float32(1), qkv_bias=False)


def test_sizes_are_numbers_or_pairs_of_them():
    ModelConfig(pretrained="x", fields={"image_size": (96, 128), "window_size": (7, 7, 7, 7)})
    ModelConfig(pretrained="x", fields={"image_size": 96, "window_size": None})


def test_a_config_s_precision_is_one_of_two():
    with pytest.raises(ValueError, match="dtype must be one of float32, bfloat16; not 'float16'"):
        Config(ModelConfig("vit_digits_patch2_8"), dtype="float16")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("field", "value"), [("pool", "map"), ("attention", "flash")])
def test_fields_of_pretrained_networks_that_may_be_left_as_they_are(field: str, value: str):
    """By attention a new head of zeros could not learn anything."""
    with pytest.raises(ValueError, match=f"model.fields.{field} must be one of .*; not '{value}'"):
        ModelConfig(pretrained="facebook/deit-tiny-patch16-224", fields={field: value})
    ModelConfig(pretrained="facebook/deit-tiny-patch16-224", fields={field: None})


def test_names_that_begin_with_the_given_one_are_offered_first():
    known = ["rate_of_drop", "drop", "drop_rate", "drop_path_rate_of_blocks", "crop"]
    assert nearest("drop_", known) == " (did you mean drop_rate or drop_path_rate_of_blocks or drop?)"
    assert nearest("", known) == nearest("xyz", known) == ""
