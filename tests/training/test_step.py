"""What batch norm measures in a training step: its running statistics, on any devices and parts of a batch."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.objectives.cases import examples
from vit_jax.data.augment import RandomHorizontalFlip
from vit_jax.data.augment.pipeline import draw_keys
from vit_jax.models.batch_norm import RUNNING
from vit_jax.models.network_input import network_input
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.models.statistics import with_statistics
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.objective import Given
from vit_jax.training.optimizer import OptimizerConfig, make_optimizer
from vit_jax.training.parallel import OnePerDevice, OneProgram
from vit_jax.training.step import Step, TrainState, start_state

BATCH, CLASSES, STEPS = 32, 10, 2
ONE = OneProgram(jax.devices()[:1], 1)
MODEL = create_model(
    "cnn_small_32", image_size=8, in_channels=1, widths=(4, 6), hidden_dim=8, preprocessing=Preprocessing()
)
SGD = OptimizerConfig("sgd")


@pytest.fixture(scope="module")
def params():
    params = jax.jit(MODEL.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    random = np.random.default_rng(0)
    return jax.tree.map(lambda p: (p + 0.1 * random.random(p.shape)).astype(np.float32), params)


BATCHES = {"index": np.random.default_rng(2).integers(0, 60, (STEPS, BATCH)).astype(np.int32)}


def make_step(parallel, params, optimizer=SGD, accumulate_steps=1, augment=()) -> Step:
    schedule = optax.constant_schedule(0.1)
    return Step(
        model=MODEL,
        objective=Classification(),
        augment=augment,
        optimizer=make_optimizer(optimizer, schedule, params, 100),
        schedule=schedule,
        num_classes=CLASSES,
        accumulate_steps=accumulate_steps,
        ema_decay=0.9,
        replicas=parallel.replicas,
    )


def train(parallel, params, arrays, **options) -> TrainState:
    """The state after all batches, on the host."""
    step = make_step(parallel, params, **options)
    state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
    batches = parallel.place_batch(BATCHES, stacked=True)
    state, _ = parallel.compile_train(step)(state, parallel.place_arrays(arrays), batches, jax.random.key(3))
    return jax.device_get(parallel.gather_state(state))


def first(state_or_params: Any) -> Any:
    """The first batch norm's parameters."""
    return state_or_params["blocks_0"]["norm"]


def expected_statistics(params, arrays, parts: list[np.ndarray]) -> dict[str, np.ndarray]:
    """By hand: the first batch norm's running statistics after the first batch, as the mean over parts (row numbers).

    Its input, unlike those above it, does not depend on how the batch is divided.
    """
    means, variances = [], []
    for rows in parts:
        images = network_input(MODEL, jnp.asarray(arrays["image"][BATCHES["index"][0][rows]]))
        kernel = params["blocks_0"]["conv"]["kernel"]
        maps = jax.lax.conv_general_dilated(
            images, kernel, (1, 1), [(1, 1), (1, 1)], dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
        values = np.asarray(maps, np.float64).reshape(-1, maps.shape[-1])
        means.append(values.mean(0))
        variances.append(values.var(0, ddof=1))
    new = np.mean(means, 0), np.mean(variances, 0)
    return {name: 0.9 * first(params)[name] + 0.1 * value for name, value in zip(RUNNING, new, strict=True)}


def one_step(params, arrays, **options):
    """As `train`, but the first batch alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BATCHES, "index", BATCHES["index"][:1])
        return train(options.pop("parallel", ONE), params, arrays, **options)


def test_the_step_moves_them_to_what_the_batch_says(params, arrays):
    after = first(one_step(params, arrays).params)
    for name, value in expected_statistics(params, arrays, [np.arange(BATCH)]).items():
        np.testing.assert_allclose(after[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("ways", ["accumulate", "pmap", "both"])
def test_they_are_the_mean_over_the_parts_of_the_batch(ways, params, arrays):
    """The running average of each part's own; parts of a device are interleaved."""
    rows = np.arange(BATCH)
    by_device = np.split(rows, 8)
    parallel, accumulate_steps, parts = {
        "accumulate": (ONE, 2, [rows[0::2], rows[1::2]]),
        "pmap": (OnePerDevice(), 1, by_device),
        "both": (OnePerDevice(), 2, [part[i::2] for part in by_device for i in range(2)]),
    }[ways]
    after = first(one_step(params, arrays, parallel=parallel, accumulate_steps=accumulate_steps).params)
    for name, value in expected_statistics(params, arrays, parts).items():
        np.testing.assert_allclose(after[name], value, atol=1e-5, err_msg=name)


@pytest.mark.parametrize("fsdp", [1, 2])
def test_eight_devices_in_one_program_equal_one(fsdp, params, arrays):
    """Each statistic is that of the whole batch, wherever its images are."""
    augment = (RandomHorizontalFlip(),)
    one = train(ONE, params, arrays, augment=augment)
    eight = train(OneProgram(jax.devices(), fsdp), params, arrays, augment=augment)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(b, a, atol=5e-6), one, eight)


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "lamb"])  # Muon refuses a CNN
def test_no_optimizer_moves_or_decays_them(name, params, arrays):
    """After the first batch they are what the batch says, whatever the optimizer; and it sees no gradient of them."""
    optimizer = OptimizerConfig(name, weight_decay=0.5, clip_norm=None)
    after = first(one_step(params, arrays, optimizer=optimizer).params)
    for statistic, value in expected_statistics(params, arrays, [np.arange(BATCH)]).items():
        np.testing.assert_allclose(after[statistic], value, atol=1e-5)
    zero = jax.tree.map(jnp.zeros_like, params)
    transformation = make_optimizer(optimizer, optax.constant_schedule(0.1), params, 100)
    updates, _ = transformation.update(zero, transformation.init(params), params)
    assert all(not first(updates)[statistic].any() for statistic in RUNNING)


def test_the_moving_average_averages_them_too(params, arrays):
    state = one_step(params, arrays)
    for name in RUNNING:
        expected = 0.1 * first(params)[name] + 0.9 * first(state.params)[name]  # its decay starts at 0.1
        np.testing.assert_allclose(first(state.ema_params)[name], expected, atol=1e-6)


def test_those_of_a_frozen_layer_go_on_following_the_data(params, arrays):
    """What is learned stays; training normalises by the batch in any case, and evaluation must fit it."""
    after = train(ONE, params, arrays, optimizer=OptimizerConfig("sgd", freeze=("blocks_0/*",))).params["blocks_0"]
    np.testing.assert_array_equal(after["conv"]["kernel"], params["blocks_0"]["conv"]["kernel"])
    np.testing.assert_array_equal(after["norm"]["scale"], first(params)["scale"])
    assert all(np.all(after["norm"][name] != first(params)[name]) for name in RUNNING)


def test_the_examples_keys_are_none_that_augmentation_used(params, arrays):
    """Else a mask or a crop of the objective would be drawn as a transform's draws were."""
    augment = (RandomHorizontalFlip(), RandomHorizontalFlip())
    step, key = make_step(ONE, params, augment=augment), jax.random.key(5)
    batch = {"index": BATCHES["index"][0]}
    keys = jax.random.key_data(step.examples(arrays, batch, key).keys)
    used = jax.random.key_data(draw_keys(key, len(augment), jnp.arange(BATCH)))
    together = np.concatenate([keys, *used])
    assert len(np.unique(together, axis=0)) == len(together) == 3 * BATCH


def test_a_network_without_batch_norm_has_none(arrays):
    """Nothing is then added to its step: the parameters are passed through."""
    model = create_model("vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=1)
    batch = examples(arrays["image"][:2].astype(jnp.float32), jnp.eye(10)[:2])
    params = jax.jit(model.init)(jax.random.key(0), batch.pixels)["params"]
    statistics = Classification().loss(model, params, batch, Given(jax.random.key(0))).statistics
    assert statistics == {}
    merged = with_statistics(params, statistics)
    assert jax.tree.structure(merged) == jax.tree.structure(params)
    assert all(a is b for a, b in zip(jax.tree.leaves(merged), jax.tree.leaves(params), strict=True))
