"""BEiT through the whole of training: visual tokens are learned, then guessed behind masks, then classes."""

import dataclasses
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from tests.models.cases import random_params
from tests.training.pretraining_steps import after_steps, assert_same_on
from vit_jax.evaluation.nearest_neighbours import Neighbours
from vit_jax.inspection.run_report import strips, write_run_report
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.discrete_vae import DiscreteVae, TokenEncoder
from vit_jax.models.initialise import init_params
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.discrete_autoencoding import DiscreteAutoencoding
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.objectives.objective import Teacher
from vit_jax.training.config import ModelConfig
from vit_jax.training.description import describe
from vit_jax.training.optimizer import OptimizerConfig
from vit_jax.training.run import prepare

SMALL = dict(image_size=8, patch_size=2, preprocessing=Preprocessing(), vocab_size=16)
TOKENIZER = ModelConfig("discrete_vae_patch4_32", dict(**SMALL, code_dim=8, width=16, depth=1))
BEIT = ModelConfig("beit_pretraining_cifar_patch4_32", dict(**SMALL, embed_dim=16, depth=2, num_heads=2))


@pytest.fixture(scope="module")
def tokenizing(small_config):
    return dataclasses.replace(
        small_config,
        model=TOKENIZER,
        augment=(),
        ema_decay=None,
        objective=DiscreteAutoencoding(annealing="12 steps", divergence_weight=1e-3),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-2, weight_decay=0.0),
        neighbours=Neighbours(k=5, examples=500),
    )


@pytest.fixture(scope="module")
def tokenizer(tokenizing, run_to_end, tmp_path_factory):
    return run_to_end(tokenizing, tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def config(tokenizing, tokenizer):
    objective = MaskedImageModelling(str(tokenizer[0].workdir), masked_patches=6, smallest_block=2)
    optimizer = OptimizerConfig("muon", learning_rate=1e-2)
    return dataclasses.replace(tokenizing, model=BEIT, objective=objective, optimizer=optimizer, ema_decay=0.9)


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    return run_to_end(config, tmp_path_factory.mktemp("beit"))


def training_rows(result):
    return [row for row in result.rows if row["kind"] == "train"]


def test_a_tokenizer_learns_to_make_images_of_tokens(tokenizer):
    run, result, _ = tokenizer
    rows = training_rows(result)
    assert rows[-1]["squared_error"] < 0.6 * rows[0]["squared_error"]
    assert rows[-1]["tokens_used"] > 2
    shown = strips(run, result)
    assert shown is not None
    image, made = shown.images[0]
    assert image.shape == made.shape == (8, 8, 1)
    errors = [np.square(made.astype(float) - image).mean() for image, made in shown.images]
    assert np.mean(errors) < 0.7 * np.var([image for image, _ in shown.images])
    model, params = vit_jax.load_pretrained(run.workdir)
    assert isinstance(model, DiscreteVae)
    jax.tree.map(np.testing.assert_array_equal, params, result.params)


def test_a_classifier_can_be_made_of_the_tokenizer_s_encoder(tokenizer):
    run, result, _ = tokenizer
    model, params = vit_jax.load_pretrained(run.workdir, num_classes=10)
    assert isinstance(model, TokenEncoder)
    encoder = {name: x for name, x in params.items() if name != "head"}
    assert params["head"]["kernel"].shape == (16, 10)
    jax.tree.map(np.testing.assert_array_equal, encoder, dict(result.params["encoder"]))


def test_it_learns_without_labels(trained, tokenizer):
    run, result, _ = trained
    rows = training_rows(result)
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.1
    assert rows[-1]["token_accuracy"] > rows[0]["token_accuracy"]
    assert result.test.accuracy > 0.2  # of ten classes, by neighbours
    told = next(line for line in describe(run) if line.startswith("teacher"))
    assert f"DiscreteVae of {tokenizer[0].workdir}" in told
    saved, params = vit_jax.load_pretrained(run.workdir)
    assert isinstance(saved, BeitPretraining)
    jax.tree.map(np.testing.assert_array_equal, params, result.params)


def test_the_tokenizer_computes_in_the_run_s_dtype(config, tmp_path):
    teacher = prepare(dataclasses.replace(config, dtype="bfloat16"), tmp_path).step.teacher
    assert teacher is not None
    assert teacher.dtype == jnp.bfloat16


def test_its_report_shows_what_was_guessed(trained):
    run, result, _ = trained
    shown = strips(run, result)
    assert shown is not None
    image, seen, guessed = shown.images[0]
    assert image.shape == seen.shape == guessed.shape == (8, 8, 1)
    hidden = (seen == 127).all(-1) | (seen == 128).all(-1)
    assert hidden.sum() >= 6 * 4
    page = write_run_report(run, result, "python train.py").read_text()
    assert "Reconstructions" in page
    assert "the 6 tokens that were guessed" in page


def test_fine_tuned_each_block_has_the_shared_bias_as_its_own(trained, small_config, tmp_path):
    """The classifier begins as the encoder was, and computes the same."""
    run, result, _ = trained
    model = ModelConfig(pretrained=str(run.workdir))
    tuned = prepare(dataclasses.replace(small_config, model=model), tmp_path)
    assert isinstance(tuned.model, VisionTransformer)
    assert (tuned.model.relative_position, tuned.model.mask_token) == ("per_block", False)
    state = jax.device_get(tuned.parallel.gather_state(tuned.initial_state()))
    shared = result.params["encoder"]["relative_position_bias"]["table"]
    assert np.abs(shared).max() > 1e-3
    for i in range(2):
        np.testing.assert_array_equal(state.params[f"blocks_{i}"]["attn"]["relative_position_bias"]["table"], shared)
    images = np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype(np.float32)
    features: Any = tuned.model.apply({"params": state.params}, images, method="features")
    expected: Any = run.model.apply({"params": result.params}, images, method="features")
    np.testing.assert_allclose(features.tokens, expected.tokens, atol=1e-5)
    np.testing.assert_allclose(features.pooled, expected.pooled, atol=1e-5)


def test_a_tokenizer_that_is_killed_comes_to_the_same(tokenizing, assert_killed_comes_to_the_same):
    """Noise, temperature and usage included."""
    assert_killed_comes_to_the_same(tokenizing, ("tokens_used",))


@pytest.mark.slow
def test_killed_it_comes_to_the_same(config, assert_killed_comes_to_the_same):
    """Masks included."""
    assert_killed_comes_to_the_same(config, ("token_accuracy",))


@cache
def train_on(what, ways):
    """The parameters after two steps, and the losses."""
    fields = dict(drop_path_rate=0.0, in_channels=1)
    tokenizer = create_model(TOKENIZER.name, **TOKENIZER.fields, in_channels=1)
    if what == "tokenizer":
        model, objective, teacher = tokenizer, DiscreteAutoencoding(), None
    else:
        model = create_model(BEIT.name, **BEIT.fields, **fields)
        objective = MaskedImageModelling("somewhere", masked_patches=6, smallest_block=2)
        teacher = Teacher(tokenizer, init_params(tokenizer, jax.random.key(1)), None)
    params = random_params(model, 0)
    state, losses = after_steps(model, objective, ways, params, 2, teacher=teacher)
    return state.params, losses


@pytest.mark.parametrize(
    ("what", "ways"),
    [("tokenizer", "fsdp"), ("tokenizer", "accumulated"), ("beit", "fsdp"), ("beit", "pmap"), ("beit", "accumulated")],
)
def test_devices_do_not_matter(what, ways):
    assert_same_on(ways, partial(train_on, what))


def saved(folder, name, **fields):
    """A tokenizer of fresh parameters in a folder."""
    model = create_model(name, **{**TOKENIZER.fields, "in_channels": 1, **fields})
    vit_jax.save_pretrained(folder, model, init_params(model, jax.random.key(0)))
    return str(folder)


def test_what_cannot_be_pre_trained_is_refused(config, tmp_path):
    def refused(message, objective=config.objective, **changes):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            prepare(dataclasses.replace(config, objective=objective, **changes), tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def told(tokenizer):
        return dataclasses.replace(config.objective, tokenizer=tokenizer)

    name = TOKENIZER.name
    refused("4 x 4 patches", told(saved(tmp_path / "grid", name, patch_size=4)))
    refused("knows 9 tokens; set model.vocab_size", told(saved(tmp_path / "vocabulary", name, vocab_size=9)))
    refused("takes images of 4 channels; those of digits have 1", told(saved(tmp_path / "rgbi", name, in_channels=4)))
    refused("nowhere", told(str(tmp_path / "nowhere")))
    refused("needs a BeitPretraining", model=TOKENIZER)
    refused("needs a DiscreteVae", DiscreteAutoencoding())
    refused("leaves none of 16 patches", dataclasses.replace(config.objective, masked_patches=16))
