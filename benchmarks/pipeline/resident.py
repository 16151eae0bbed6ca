"""The resident feed and the full recipe for CIFAR, as a share of the training step that they are part of."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.measure import in_turn, spread
from vit_jax.data.augment import Transform, augment
from vit_jax.data.dataset import ArraySource
from vit_jax.data.feed import Batch, ResidentFeed, gather
from vit_jax.models.initialise import init_params
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.registry import create_model
from vit_jax.training.config import Config
from vit_jax.training.optimizer import make_optimizer
from vit_jax.training.parallel import Parallel, ParallelConfig, make_parallel
from vit_jax.training.step import Step, TrainState, start_state

CLASSES = 10


@dataclass(frozen=True)
class ResidentSize:
    """How much is measured.

    Attributes:
        batch_size: examples of a step.
        steps: training steps timed as one.
        repeats: of a program of augmentation alone, timed as one.
        target: the greatest share of the step that gathering and augmentation may take.
        dtype: of the computation.
        examples: of the data set.
        fields: in which the network differs from ViT 192/9/12 with patch 4 at 32 px.
    """

    batch_size: int
    steps: int
    repeats: int
    target: float
    dtype: Literal["float32", "bfloat16"] = "float32"
    examples: int = 50_000
    fields: Mapping[str, Any] = field(default_factory=dict)


class Work:
    """The project's training step on images on the device, with one augmentation or another.

    Args:
        size: how much is measured.
        recipe: whose objective, optimizer and augmentation are used.
    """

    def __init__(self, size: ResidentSize, recipe: Config):
        self.size = size
        self.recipe = recipe
        self.parallel: Parallel = make_parallel(ParallelConfig(), size.batch_size, 1)
        self.model = create_model("vit_cifar_patch4_32", **size.fields, dtype=jnp.dtype(size.dtype))
        self.schedule = optax.constant_schedule(1e-5)
        shapes, norm = parameter_shapes(self.model), self.parallel.replicas.norm
        self.optimizer = make_optimizer(self.recipe.optimizer, self.schedule, shapes, 1, norm=norm)
        self.begin = jax.jit(partial(start_state, optimizer=self.optimizer, ema=False))
        random = np.random.default_rng(0)
        images = random.integers(0, 256, (size.examples, *self.model.input_shape), np.uint8)
        self.feed = ResidentFeed(ArraySource(images, random.integers(0, CLASSES, size.examples, np.int32)))
        self.arrays = self.parallel.place_arrays(self.feed.arrays)

    def batches(self) -> Iterator[Batch]:
        """The feed's batches without end, each placed when it is asked for, as the training loop does."""
        for batch in self.feed.shuffled(0, self.size.batch_size, range(10**9)):
            yield self.parallel.place_batch({name: x[None] for name, x in batch.items()}, stacked=True)

    def fixed(self) -> Batch:
        """One batch of images, on the device."""
        count = self.size.batch_size
        batch = {name: x[None, :count] for name, x in self.feed.arrays.items()}
        return self.parallel.place_batch(batch, stacked=True)

    def training(self, transforms: tuple[Transform, ...], batches: Iterator[Batch]) -> Callable[[], None]:
        """A function that goes on for `size.steps` steps of training."""
        step = Step(
            model=self.model,
            objective=self.recipe.objective,
            augment=transforms,
            optimizer=self.optimizer,
            schedule=self.schedule,
            num_classes=CLASSES,
            replicas=self.parallel.replicas,
        )
        compiled = self.parallel.compile_train(step)
        key = jax.random.key(0)
        state: TrainState = self.parallel.place_state(self.begin(init_params(self.model, key)))

        def train() -> None:
            nonlocal state
            for _ in range(self.size.steps):
                state, _ = compiled(state, self.arrays, next(batches), key)
            jax.block_until_ready(state)

        return train

    def alone(self, transforms: tuple[Transform, ...]) -> Callable[[], None]:
        """A function that gathers and transforms `size.repeats` batches, and does nothing else."""

        @jax.jit
        def program(arrays: Any, batches: Any, key: jax.Array) -> tuple[jax.Array, jax.Array]:
            images, labels = gather(arrays, {name: x[0] for name, x in batches.items()})
            images, labels = images.astype(jnp.float32), jax.nn.one_hot(labels, CLASSES)
            replicas = self.parallel.replicas
            return augment(transforms, key, images, labels, replicas.positions(len(images)), replicas.reverse)

        batches, key = self.batches(), jax.random.key(0)

        def transform() -> None:
            jax.block_until_ready([program(self.arrays, next(batches), key) for _ in range(self.size.repeats)])

        return transform


def resident(size: ResidentSize, recipe: Config, rounds: int) -> list[dict[str, Any]]:
    """Measures the share of the step, and then each transform by itself."""
    work, transforms = Work(size, recipe), recipe.augment
    steps = {
        "recipe": work.training(transforms, work.batches()),
        "gathering": work.training((), work.batches()),
        "fixed": work.training((), repeat(work.fixed())),
    }
    seconds = {name: times / size.steps for name, times in in_turn(steps, rounds).items()}
    alone = {"gathering": work.alone(())} | {type(each).__name__: work.alone((each,)) for each in transforms}
    alone["whole recipe"] = work.alone(transforms)
    alone_seconds = {name: times / size.repeats for name, times in in_turn(alone, rounds).items()}
    step = float(np.median(seconds["recipe"]))
    by_itself = [
        {
            "part": "transforms",
            "what": name if name in ("gathering", "whole recipe") else f"gathering, {name}",
            "batch": size.batch_size,
            "images_per_second": spread(size.batch_size / times),
            "of_step": spread(times / step),
        }
        for name, times in alone_seconds.items()
    ]
    return [shares(seconds, size), *by_itself]


def shares(seconds: Mapping[str, np.ndarray], size: ResidentSize) -> dict[str, Any]:
    """What gathering and augmentation take of a step, from the seconds [rounds] of steps with and without them."""
    share = spread((seconds["recipe"] - seconds["fixed"]) / seconds["recipe"])
    return {
        "part": "resident",
        "batch": size.batch_size,
        "dtype": size.dtype,
        "images_per_second": {name: spread(size.batch_size / times) for name, times in seconds.items()},
        "share": share,
        "share_of_gathering": spread((seconds["gathering"] - seconds["fixed"]) / seconds["recipe"]),
        "target": size.target,
        "met": share["median"] <= size.target,
    }
