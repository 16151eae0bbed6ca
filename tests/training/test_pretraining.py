"""Networks without classes through the whole of training: as any other, but that neighbours evaluate them."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

import vit_jax
from tests.models.cases import random_params
from tests.training.pretraining_steps import MAE, after_steps, assert_same_on
from vit_jax.data.augment import RandomCrop, RandomHorizontalFlip
from vit_jax.evaluation.nearest_neighbours import Neighbours
from vit_jax.inspection.run_report import strips, write_run_report
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.registry import create_model
from vit_jax.models.vit import VisionTransformer
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.pretrained.convert import convert
from vit_jax.training.config import ModelConfig
from vit_jax.training.description import describe
from vit_jax.training.optimizer import OptimizerConfig
from vit_jax.training.run import prepare


@pytest.fixture(scope="module")
def config(small_config):
    return dataclasses.replace(
        small_config,
        model=ModelConfig("mae_cifar_patch2_32", MAE),
        augment=(RandomCrop(padding=1),),
        objective=MaskedAutoencoding(),
        optimizer=OptimizerConfig("adamw", learning_rate=3e-3),
        neighbours=Neighbours(k=5, examples=500),
    )


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    return run_to_end(config, tmp_path_factory.mktemp("mae"))


def test_it_learns_without_labels(trained):
    run, result, lines = trained
    losses = [row["loss"] for row in result.rows if row["kind"] == "train"]
    assert losses[-1] < losses[0] - 0.1
    assert all("accuracy" not in row for row in result.rows if row["kind"] == "train")
    tests = [row for row in result.rows if row["kind"] == "test"]
    assert [(row["step"], row["neighbours"]) for row in tests] == [(20, 5), (40, 5)]
    assert result.test.accuracy > 0.3  # of ten classes
    np.testing.assert_array_equal(result.test.label, run.dataset.test.as_arrays()[1])
    assert any("test accuracy by 5 nearest neighbours" in line for line in lines)


def test_its_accuracy_is_that_of_the_neighbours_of_its_features(trained):
    """By hand, from what `load_pretrained` gives: all of 500 training examples, drawn once."""
    run, result, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    assert isinstance(model, MaskedAutoencoder)
    preprocess = vit_jax.preprocessing(model)
    voters = np.sort(np.random.default_rng(0).permutation(len(run.dataset.train))[:500])

    def features_of(source, places):
        images = np.stack([preprocess(source[int(i)][0]) for i in places])
        pooled = np.asarray(vit_jax.features(model, params, images).pooled, np.float64)
        return pooled / np.linalg.norm(pooled, axis=1, keepdims=True)

    known = features_of(run.dataset.train, voters)
    labels = np.array([run.dataset.train[int(i)][1] for i in voters])
    similarity = features_of(run.dataset.test, range(len(run.dataset.test))) @ known.T
    nearest = np.argsort(-similarity, axis=1)[:, :5]
    votes = np.zeros((len(similarity), 10))
    for row, places in enumerate(nearest):
        np.add.at(votes[row], labels[places], np.exp(similarity[row, places] / 0.07))
    agreement = np.mean(votes.argmax(1) == result.test.predicted)
    assert agreement > 0.99  # where rounding does not decide
    shares = np.take_along_axis(votes / votes.sum(1, keepdims=True), result.test.label[:, None], 1)[:, 0]
    assert np.median(np.abs(-np.log(np.maximum(shares, 1e-6)) - result.test.loss)) < 1e-3


def test_it_has_no_names_for_outputs_and_is_converted(trained, tmp_path):
    run, result, _ = trained
    assert vit_jax.class_names(run.workdir) == ()
    convert(str(run.workdir), tmp_path / "converted", "vit_jax")
    jax.tree.map(np.testing.assert_array_equal, vit_jax.load_pretrained(tmp_path / "converted")[1], result.params)


def test_its_report_shows_reconstructions(trained):
    run, result, _ = trained
    shown = strips(run, result)
    assert shown is not None
    image, seen, filled = shown.images[0]
    assert image.shape == seen.shape == filled.shape == (8, 8, 1)
    assert (seen != filled).any()
    page = write_run_report(run, result, "python train.py").read_text()
    assert "Reconstructions" in page
    assert "vit_jax.features" in page
    assert "by 5 nearest neighbours" in page


def test_a_classifier_is_fine_tuned_from_it(trained, small_config, run_to_end, tmp_path):
    """Its encoder, decoder left out, which pools as its features do: what the first step starts from."""
    run, result, _ = trained
    model = ModelConfig(pretrained=str(run.workdir))
    tuned = prepare(dataclasses.replace(small_config, model=model), tmp_path)
    assert isinstance(tuned.model, VisionTransformer)
    assert (tuned.model.pool, tuned.model.num_classes) == ("avg", 10)
    state = jax.device_get(tuned.parallel.gather_state(tuned.initial_state()))
    encoder = dict(result.params["encoder"])
    head = state.params.pop("head")
    jax.tree.map(np.testing.assert_array_equal, dict(state.params), encoder)
    assert not np.any(head["kernel"])
    masking = dataclasses.replace(model, fields=dict(mask_ratio=0.5))
    with pytest.raises(ValueError, match=r"the VisionTransformer in .* has no field 'mask_ratio' to set"):
        prepare(dataclasses.replace(small_config, model=masking), tmp_path / "masking")


def test_fine_tuned_as_published_it_has_a_new_norm_behind_the_mean(trained, small_config, run_to_end, tmp_path):
    """MAE's and BEiT's `fc_norm`: the stored norm, which is of every token, is left out."""
    run, result, _ = trained
    model = ModelConfig(pretrained=str(run.workdir), fields=dict(pool="avg", fc_norm=True))
    tuned = prepare(dataclasses.replace(small_config, model=model), tmp_path)
    assert isinstance(tuned.model, VisionTransformer)
    assert tuned.model.fc_norm
    state = jax.device_get(tuned.parallel.gather_state(tuned.initial_state()))
    norm = state.params.pop("fc_norm")
    assert np.all(norm["scale"] == 1)
    assert not np.any(norm["bias"])
    assert not np.any(state.params.pop("head")["kernel"])
    encoder = {name: value for name, value in result.params["encoder"].items() if name != "norm"}
    jax.tree.map(np.testing.assert_array_equal, dict(state.params), encoder)
    assert "new: fc_norm/bias, fc_norm/scale, head/bias, head/kernel" in "\n".join(describe(tuned))


def test_it_goes_on_from_its_own_weights(trained, config, tmp_path):
    """Pre-training that starts from a masked autoencoder has all of it, decoder included, and may mask more or less."""
    run, result, _ = trained
    model = ModelConfig(pretrained=str(run.workdir), fields=dict(mask_ratio=0.5))
    again = prepare(dataclasses.replace(config, model=model), tmp_path)
    assert isinstance(again.model, MaskedAutoencoder)
    assert (run.model.mask_ratio, again.model.mask_ratio) == (0.75, 0.5)
    state = jax.device_get(again.parallel.gather_state(again.initial_state()))
    jax.tree.map(np.testing.assert_array_equal, dict(state.params), result.params)


def test_killed_it_comes_to_the_same(config, assert_killed_comes_to_the_same):
    """Masks and all."""
    assert_killed_comes_to_the_same(config, ())


@functools.cache
def train_on(ways):
    """The parameters after two steps, and the losses."""
    model = create_model("mae_cifar_patch2_32", **MAE, in_channels=1)
    params, augment = random_params(model, 0), (RandomHorizontalFlip(),)
    state, losses = after_steps(model, MaskedAutoencoding(), ways, params, 2, augment)
    return state.params, losses


@pytest.mark.parametrize("ways", ["fsdp", "pmap", "accumulated"])
def test_masks_do_not_depend_on_the_devices(ways):
    assert_same_on(ways, train_on)


def test_what_cannot_be_pre_trained_is_refused(small_config, tmp_path):
    with pytest.raises(ValueError, match="needs a MaskedAutoencoder"):
        prepare(dataclasses.replace(small_config, objective=MaskedAutoencoding()), tmp_path / "run")
    assert not (tmp_path / "run").exists()
