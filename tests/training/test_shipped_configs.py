"""Every config in configs/ can be prepared; those for a GPU start, step and go on after they were killed."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from tests.models.cases import random_params
from vit_jax.data.dataset import DataConfig
from vit_jax.models.initialise import init_params
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.objectives.distillation import Distillation
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.pretrained.native import save_native
from vit_jax.training.command_line import load_config
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.run import prepare

DIRECTORY = Path(__file__).parents[2] / "configs"
CONFIGS = sorted(DIRECTORY.glob("*.py"))
FOR_A_GPU = [path for path in CONFIGS if load_config(path).dtype == "bfloat16"]
SHALLOW = dict(depth=2, decoder_depth=1)
NARROW = dict(embed_dim=12, num_heads=3, decoder_embed_dim=12, decoder_num_heads=3, head_hidden_dim=16, vocab_size=32)
AT_FIRST = ("annealing", "temperature_warmup", "frozen_prototypes")
"""Durations with which runs of some objectives begin."""


def trained_in(run: str) -> ModelConfig:
    """The network of a run that has a config's name."""
    return load_config(DIRECTORY / f"{Path(run).name}.py").model


def with_sizes(model: ModelConfig, sizes: dict[str, int]) -> ModelConfig:
    """A network with those of these sizes that it has."""
    module = create_model(model.name, **model.fields, in_channels=1)
    fields: dict[str, Any] = {name: size for name, size in sizes.items() if hasattr(module, name)}
    if hasattr(module, "depths"):
        fields["depths"] = (1,) * len(module.depths)
    return ModelConfig(model.name, {**model.fields, **fields})


@pytest.fixture(scope="module")
def narrow_deit(tmp_path_factory):
    """Weights of two blocks with the names of DeiT's, for grey images."""
    fields = dict(embed_dim=4, depth=2, num_heads=1, num_classes=10, in_channels=1, preprocessing=Preprocessing())
    model = create_model("deit_tiny_patch16_224", **fields)
    directory = tmp_path_factory.mktemp("weights")
    save_native(directory, model, init_params(model, jax.random.key(0)))
    return directory


@pytest.fixture(scope="module")
def narrow_swin(tmp_path_factory):
    """Weights of a Swin of two stages, for grey images."""
    fields = dict(embed_dim=4, depths=(1, 2), num_heads=(1, 2), image_size=32, window_size=4, num_classes=10)
    model = create_model("swin_tiny_patch4_window7_224", **fields, in_channels=1, preprocessing=Preprocessing())
    directory = tmp_path_factory.mktemp("swin")
    save_native(directory, model, init_params(model, jax.random.key(0)))
    return directory


@pytest.fixture(scope="module")
def narrow_cnn(tmp_path_factory):
    """Weights of a teacher for grey images."""
    model = create_model("resnet9_narrow_32", in_channels=1, preprocessing=Preprocessing())
    directory = tmp_path_factory.mktemp("teacher")
    save_native(directory, model, init_params(model, jax.random.key(0)))
    return directory


@pytest.fixture
def on_digits(narrow_deit, narrow_swin, narrow_cnn, tmp_path):
    """Reads a config and gives it for digits: grey images at the size of its network.

    Weights are those of narrow networks in the place of the pretrained ones and of teachers. What another config trains
    is as that one makes it: a tokenizer, and, narrow and of two blocks, the network that a fine-tuning starts from.
    """

    def weights_in(source: str) -> str:
        if not source.startswith("runs/"):
            return str(narrow_swin if "swin" in source else narrow_deit)
        trained = with_sizes(trained_in(source), SHALLOW | NARROW)
        network = create_model(trained.name, **trained.fields, in_channels=1)
        save_native(tmp_path / "pretrained", network, random_params(network, 0))
        return str(tmp_path / "pretrained")

    def on_digits(path: Path) -> Config:
        config = dataclasses.replace(load_config(path), data=DataConfig("digits"))
        if isinstance(config.objective, Distillation):
            objective = dataclasses.replace(config.objective, teacher=str(narrow_cnn))
            config = dataclasses.replace(config, objective=objective)
        if isinstance(config.objective, MaskedImageModelling):
            trained = trained_in(config.objective.tokenizer)
            tokenizer = create_model(trained.name, **trained.fields, in_channels=1)
            save_native(tmp_path / "tokenizer", tokenizer, init_params(tokenizer, jax.random.key(0)))
            objective = dataclasses.replace(config.objective, tokenizer=str(tmp_path / "tokenizer"))
            config = dataclasses.replace(config, objective=objective)
        pretrained = config.model.pretrained and weights_in(config.model.pretrained)
        fields = {**config.model.fields, "preprocessing": Preprocessing()}
        return dataclasses.replace(
            config, model=dataclasses.replace(config.model, pretrained=pretrained, fields=fields)
        )

    return on_digits


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_can_be_prepared(path, on_digits, tmp_path):
    """Its network can be built, its batch divided, its optimizer told which parameters are whose."""
    config = dataclasses.replace(on_digits(path), duration="1000 steps")
    assert prepare(config, tmp_path / "run").total_steps == 1000


def shallow(config: Config) -> Config:
    """The config with two blocks, or one in each stage, if its network is made of blocks and is not pretrained."""
    if config.model.pretrained is not None:
        return config
    return dataclasses.replace(config, model=with_sizes(config.model, SHALLOW))


@pytest.mark.slow
@pytest.mark.parametrize("path", FOR_A_GPU, ids=lambda path: path.stem)
def test_one_for_a_gpu_starts_steps_and_goes_on(path, on_digits, assert_killed_comes_to_the_same):
    """Two steps of its network, augmentation, objective and optimizer; killed after the first, it comes to the same.

    As shipped, but for the data, the durations, the batch of eight images for each of its parts, the training images
    that are looked for neighbours in, and the number of blocks, which decides for how long XLA compiles.
    """
    given = shallow(on_digits(path))
    at_first: dict[str, Any] = {name: "1 steps" for name in AT_FIRST if hasattr(given.objective, name)}
    config = dataclasses.replace(
        given,
        objective=dataclasses.replace(given.objective, **at_first),
        batch_size=8 * given.accumulate_steps,
        schedule=dataclasses.replace(given.schedule, warmup="1 steps"),
        steps_per_dispatch=1,
        log_every="1 steps",
        evaluate_every="2 steps",
        neighbours=dataclasses.replace(given.neighbours, examples=64),
    )
    straight = assert_killed_comes_to_the_same(config, (), steps=2, checkpoint_every=1, killed_after=1)
    losses = [row["loss"] for row in straight.rows if row["kind"] == "train"]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
