"""A whole run of a network with batch norm: its running statistics are trained, saved, resumed and evaluated."""

import dataclasses

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

import vit_jax
from vit_jax.models.initialise import init_params
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.statistics import STATISTICS
from vit_jax.training.config import ModelConfig
from vit_jax.training.optimizer import OptimizerConfig


@pytest.fixture(scope="module")
def config(small_config):
    """A CNN on digits, with mixing, random crops and a moving average."""
    fields = dict(image_size=8, widths=(8, 16), hidden_dim=16, preprocessing=Preprocessing())
    return dataclasses.replace(
        small_config,
        model=ModelConfig("cnn_small_32", fields),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-2),
        duration="20 steps",
    )


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    return run_to_end(config, tmp_path_factory.mktemp("straight"))


def test_statistics_move_and_are_saved_and_loaded(trained):
    run, result, _ = trained
    _, params = vit_jax.load_pretrained(run.workdir)
    jax.tree.map(np.testing.assert_array_equal, params, result.params)
    start = flatten_dict(init_params(run.model, jax.random.key(run.config.seed)), sep="/")
    statistics = {path: x for path, x in flatten_dict(params, sep="/").items() if path.endswith(STATISTICS)}
    assert len(statistics) == 2 * 2
    for path, value in statistics.items():
        assert np.all(np.asarray(value) != start[path]), path


def test_evaluation_uses_the_running_statistics(trained):
    """The loaded model scores what the run reported; in batches of another size, which their statistics would show."""
    run, result, _ = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    preprocess = vit_jax.preprocessing(model)
    images, _ = run.dataset.test.as_arrays()
    inputs = np.stack([preprocess(image) for image in images])
    for part in (slice(None), slice(0, 7)):
        predicted = np.argmax(jax.jit(model.apply)({"params": params}, inputs[part]), -1)
        np.testing.assert_array_equal(predicted, result.test.predicted[part])
    assert result.test.accuracy > 0.4  # of ten classes


def test_a_run_cut_off_and_continued_equals_one_that_was_not(trained, config, run_to_end, cut_off, tmp_path):
    """Bit for bit, the statistics and their moving average included."""
    _, straight, _ = trained
    cut_off(config, tmp_path, killed_after=13)
    _, continued, lines = run_to_end(config, tmp_path)
    assert lines[0] == "continuing at step 10 of 20"
    jax.tree.map(np.testing.assert_array_equal, continued.params, straight.params)
    np.testing.assert_array_equal(continued.test.loss, straight.test.loss)
