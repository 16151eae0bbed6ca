"""A few steps of an objective on given devices, by a constant rate: what tests of several objectives share."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import optax

from vit_jax.data.augment import Transform
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.objectives.objective import Objective, Teacher
from vit_jax.training.optimizer import OptimizerConfig, make_optimizer
from vit_jax.training.parallel import OnePerDevice, OneProgram, Parallel
from vit_jax.training.step import Step, TrainState, start_state

MAE = dict(
    image_size=8, patch_size=2, embed_dim=16, depth=2, num_heads=2, decoder_embed_dim=16, decoder_depth=1,
    decoder_num_heads=2, preprocessing=Preprocessing(),
)  # fmt: skip
"""Fields of a masked autoencoder for images of 8 x 8 pixels."""

WAYS: dict[str, Callable[[], tuple[Parallel, int]]] = {
    "one device": lambda: (OneProgram(jax.devices()[:1], 1), 1),
    "eight devices": lambda: (OneProgram(jax.devices(), 1), 1),
    "fsdp": lambda: (OneProgram(jax.devices(), 2), 1),
    "pmap": lambda: (OnePerDevice(), 1),
    "accumulated": lambda: (OneProgram(jax.devices()[:1], 1), 2),
}
"""Devices, and the parts that a batch is differentiated in."""


def after_steps(
    model: Network,
    objective: Objective,
    ways: str,
    params: Any,
    steps: int,
    augment: tuple[Transform, ...] = (),
    teacher: Teacher | None = None,
) -> tuple[TrainState, np.ndarray]:
    """The state, on the host, after so many steps of 16 images of 8x8 pixels in one of the `WAYS`, the loss of each."""
    parallel, accumulate_steps = WAYS[ways]()
    rng, schedule = np.random.default_rng(0), optax.constant_schedule(0.01)
    arrays = {"image": rng.integers(0, 256, (40, 8, 8, 1), np.uint8), "label": rng.integers(0, 10, 40).astype(np.int32)}
    taught = {} if teacher is None else {"teacher": {"params": teacher.params, "outputs": teacher.outputs}}
    arrays: dict[str, Any] = {**arrays, **taught}
    batches = {"index": rng.integers(0, 40, (steps, 16)).astype(np.int32)}
    frozen_steps = objective.frozen_steps(lambda duration: 1)
    step = Step(
        model=model,
        objective=objective,
        augment=augment,
        optimizer=make_optimizer(OptimizerConfig("sgd", clip="each"), schedule, params, steps, frozen_steps),
        schedule=schedule,
        num_classes=10,
        accumulate_steps=accumulate_steps,
        replicas=parallel.replicas,
        teacher=teacher and teacher.model,
        schedules=tuple(objective.schedules(steps, lambda duration: 1).items()),
    )
    begun = start_state(jax.tree.map(jax.numpy.array, params), step.optimizer, objective.taught_by_average)
    placed, batch = parallel.place_arrays(arrays), parallel.place_batch(batches, stacked=True)
    state, metrics = parallel.compile_train(step)(parallel.place_state(begun), placed, batch, jax.random.key(3))
    return jax.device_get(parallel.gather_state(state)), np.asarray(metrics["loss"])


def assert_same_on(ways: str, train: Callable[[str], tuple[Any, np.ndarray]]) -> None:
    """Checks that one of the `WAYS` comes to the same as one device: `train` gives the end's arrays and the losses."""
    (ends, losses), (other_ends, other_losses) = train("one device"), train(ways)
    assert losses[0] != losses[1]
    np.testing.assert_allclose(other_losses, losses, rtol=0, atol=5e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=0, atol=5e-6), other_ends, ends)
