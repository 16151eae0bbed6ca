"""Seconds of an epoch of CIFAR-10 with the full recipe's augmentation, evaluation included.

    python -m benchmarks.throughput.epoch --device gpu

ViT of width 192, depth 9 and 12 heads with patch 4, and Swin [2, 6, 4], trained as `configs/swin_cifar10.py` says, by
the project's own step: images lie on the device as uint8, and are gathered and augmented in the program. Random images
serve. An epoch is 50,000 of them trained on, rounded up to whole dispatches (the 391 steps are 17 of 23), and 10,000
evaluated.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

import vit_jax
from benchmarks.markdown import between
from benchmarks.measure import device_name, merge, positive, spread
from benchmarks.throughput.targets import CIFAR10, targets
from benchmarks.throughput.workload import KEY, use_device
from configs.swin_cifar10 import get_config
from vit_jax.data.dataset import ArraySource, Dataset
from vit_jax.data.feed import Batch, ResidentFeed
from vit_jax.durations import to_steps
from vit_jax.evaluation.accuracy import Predictions, collect
from vit_jax.models.initialise import init_params
from vit_jax.models.parameters import parameter_shapes
from vit_jax.training.config import Config, ModelConfig
from vit_jax.training.evaluating import make_predict
from vit_jax.training.parallel import fetched_late, make_parallel
from vit_jax.training.run import make_step
from vit_jax.training.step import start_state

MODELS = ("vit_cifar_patch4_32", "swin_cifar_patch2_window4_32")
CLASSES = 10


def random_dataset(images: int, test_images: int) -> Dataset:
    """A set of CIFAR-10's classes and size."""
    classes = tuple(map(str, range(CLASSES)))
    return Dataset("random", classes, (32, 32, 3), random_images(images, 0), None, random_images(test_images, 1), ())


def random_images(count: int, seed: int) -> ArraySource:
    """Images of CIFAR-10's size with labels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 32, 32, 3), np.uint8)
    return ArraySource(images, rng.integers(0, CLASSES, count, np.int32))


@dataclass
class Training:
    """A run without its records: the state, and the programs that change and evaluate it."""

    config: Config
    dataset: Dataset

    def __post_init__(self):
        config, fields = self.config, dict(num_classes=CLASSES, dtype=jnp.dtype(self.config.dtype))
        model = vit_jax.create_model(config.model.name, **config.model.fields, **fields)
        self.parallel = make_parallel(config.parallel, config.batch_size, config.accumulate_steps)
        self.train, self.test = ResidentFeed(self.dataset.train), ResidentFeed(self.dataset.test)
        examples = len(self.dataset.train)
        step = make_step(config, self.dataset, model, parameter_shapes(model), None, self.parallel.replicas)
        begin = partial(start_state, optimizer=step.optimizer, ema=config.keeps_average)
        self.state = self.parallel.build_state(begin, init_params(model, jax.random.key(config.seed)))
        self.step = self.parallel.compile_train(step)
        self.predict = self.parallel.compile_predict(make_predict(model))
        self.arrays, self.test_arrays = map(self.parallel.place_arrays, (self.train.arrays, self.test.arrays))
        self.dispatches = -(-to_steps("1 epochs", examples, config.batch_size) // config.steps_per_dispatch)
        self.batches = self.endless_batches()

    def endless_batches(self) -> Iterator[Batch]:
        """Batches of one epoch after the other."""
        return self.train.shuffled(self.config.seed, self.config.batch_size, range(2**31 - 1))

    def train_epoch(self) -> None:
        """At least an epoch: whole dispatches. Metrics are fetched one dispatch late, as the training loop does."""
        key, pending = jax.random.key(self.config.seed), None
        for _ in range(self.dispatches):
            group = list(islice(self.batches, self.config.steps_per_dispatch))
            stacked = {name: np.stack([batch[name] for batch in group]) for name in group[0]}
            placed = self.parallel.place_batch(stacked, stacked=True)
            self.state, metrics = self.step(self.state, self.arrays, placed, key)
            jax.device_get(pending)
            pending = metrics
        jax.block_until_ready(self.state)

    def evaluate(self) -> float:
        """Accuracy on all test images."""
        params, batches = self.state.evaluated_params, self.test.in_order(self.config.batch_size)
        results = (self.predict(params, self.test_arrays, self.parallel.place_batch(batch)) for batch in batches)
        return Predictions(**collect(fetched_late(results))).accuracy


def measured(config: Config, device: str, images: int, test_images: int, rounds: int) -> dict[str, Any]:
    """Times the first epoch, which compiles, and `rounds` more."""
    training = Training(config, random_dataset(images, test_images))
    seconds = []
    for _ in range(1 + rounds):
        times = [time.perf_counter()]
        training.train_epoch()
        times.append(time.perf_counter())
        training.evaluate()
        times.append(time.perf_counter())
        seconds.append(np.diff(times))
    first, *others = np.array(seconds)  # each [training, evaluation]
    return {
        "measured": "epoch",
        "model": config.model.name,
        "device": device,
        "dtype": config.dtype,
        "images": images,
        "test_images": test_images,
        "batch": config.batch_size,
        "steps_per_dispatch": config.steps_per_dispatch,
        "steps": training.dispatches * config.steps_per_dispatch,
        "seconds_of_the_first_epoch": float(f"{first.sum():.4g}"),
        "seconds_of_an_epoch": spread(np.sum(others, axis=1)),
        "seconds_of_training": spread(np.array(others)[:, 0]),
        "seconds_of_evaluation": spread(np.array(others)[:, 1]),
    }


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "gpu"), default="gpu")
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--images", type=positive, default=CIFAR10[0], help="trained on; a fifth as many are evaluated")
    parser.add_argument("--rounds", type=positive, default=5, help="epochs that are timed, after the first")
    parser.add_argument("--steps", type=positive, default=23, help="training steps that are dispatched at once")
    args = parser.parse_args()
    use_device(args.device)
    recipe = get_config()
    dtype = recipe.dtype if args.device == "gpu" else "float32"
    for name in args.models:
        model = ModelConfig(name, recipe.model.fields)
        config = replace(recipe, model=model, dtype=dtype, steps_per_dispatch=args.steps)
        entry = measured(config, args.device, args.images, args.images // 5, args.rounds)
        steps = f"{entry['steps']} steps of {entry['batch']} images"
        print(f"{name}: an epoch, {steps}, and its evaluation take {between(entry['seconds_of_an_epoch'], '.4g')} s")
        for target in targets(entry):
            print(target)
        path = merge(f"throughput_{device_name()}", "throughput.epoch", [entry], KEY)
        print("kept in", path, flush=True)


if __name__ == "__main__":
    main()
