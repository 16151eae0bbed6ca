"""A config's training step for devices that need not be there: what `benchmarks.tpu` and `benchmarks.gpu` compile."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

import vit_jax
from benchmarks.throughput.epoch import CLASSES, random_dataset
from benchmarks.throughput.targets import CIFAR10
from vit_jax.models.parameters import parameter_shapes
from vit_jax.training.config import Config
from vit_jax.training.parallel import OneProgram
from vit_jax.training.run import make_step
from vit_jax.training.step import start_state


def training_program(config: Config, devices: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """A config's training step for devices that need not be there, and the shapes of its arguments, placed on these."""
    parallel, dataset = OneProgram(devices, config.parallel.fsdp), random_dataset(*CIFAR10)
    examples = len(dataset.train)
    fields = dict(config.model.fields, dtype=jnp.dtype(config.dtype))
    if config.objective.learns_classes:
        fields["num_classes"] = CLASSES
    model = vit_jax.create_model(config.model.name, **fields)
    shapes = parameter_shapes(model)
    step = make_step(config, dataset, model, shapes, None, parallel.replicas)
    begin = partial(start_state, optimizer=step.optimizer, ema=config.keeps_average)
    state = jax.eval_shape(begin, shapes)
    images = {
        "image": jax.ShapeDtypeStruct((examples, *model.input_shape), jnp.uint8),
        "label": jax.ShapeDtypeStruct((examples,), jnp.int32),
    }
    index = {"index": jax.ShapeDtypeStruct((config.steps_per_dispatch, config.batch_size), jnp.int32)}
    key = jax.eval_shape(lambda: jax.random.key(0))
    rows = NamedSharding(parallel.mesh, PartitionSpec(None, ("data", "fsdp")))

    def placed(tree: Any, where: Callable[[Any], NamedSharding]) -> Any:
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where(x)), tree)

    everywhere = partial(placed, where=lambda x: parallel.replicated)
    inputs = placed(state, parallel.sharding), everywhere(images), placed(index, lambda x: rows), everywhere(key)
    return parallel.compile_train(step), inputs
