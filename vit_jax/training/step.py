"""One training step: gather, augment, differentiate, average, update. The same function for jit and pmap."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import struct

from vit_jax.data.augment import Transform, augment
from vit_jax.data.feed import gather
from vit_jax.models.network import Network
from vit_jax.models.statistics import with_statistics
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Teacher
from vit_jax.training.parallel import Replicas
from vit_jax.training.parameter_groups import frozen_mask

Tree = Any


@struct.dataclass
class TrainState:
    """All that changes during training; float32 throughout.

    Attributes:
        step: int32 scalar, the number of batches seen.
        skipped: int32 scalar, how many of these left everything as it was, because something in them was not finite.
        params: the network's parameters, a nested dict; batch norm's running statistics are among them.
        opt_state: of the optimizer.
        ema_params: exponential moving average of the parameters; None where nothing asks for it.
    """

    step: jax.Array
    skipped: jax.Array
    params: Tree
    opt_state: Tree
    ema_params: Tree | None

    @property
    def updates(self) -> jax.Array:
        """The number of updates done: what schedules and averages go by."""
        return self.step - self.skipped

    @property
    def evaluated_params(self) -> Tree:
        """The parameters that are evaluated and exported: the average where there is one."""
        return self.params if self.ema_params is None else self.ema_params


def start_state(params: Tree, optimizer: optax.GradientTransformation, ema: bool) -> TrainState:
    """The state before the first update of given parameters."""
    average = jax.tree.map(jnp.copy, params) if ema else None
    return TrainState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32), params, optimizer.init(params), average)


@dataclass(frozen=True)
class Step:
    """What the training step is made of.

    Attributes:
        model: the network.
        objective: what is minimised.
        augment: the augmentation pipeline, on pixels of the data set's own size.
        optimizer: from `make_optimizer`.
        schedule: its learning rate, for the report.
        num_classes: of the labels.
        accumulate_steps: parts in which a batch is differentiated, one after the other.
        ema_decay: of the parameters' moving average; None for none, or for that of an objective's teacher.
        replicas: the other devices.
        freeze: patterns of the parameters that the optimizer leaves as they are: no gradient is computed for them.
        teacher: a network that is not trained; None where the objective needs none.
        schedules: of the objective, with their names.
        class_weights: for an objective that weighs classes, one for each.
    """

    model: Network
    objective: Objective
    optimizer: optax.GradientTransformation
    schedule: optax.Schedule
    num_classes: int
    replicas: Replicas
    augment: tuple[Transform, ...] = ()
    accumulate_steps: int = 1
    ema_decay: float | None = None
    freeze: tuple[str, ...] = ()
    teacher: Network | None = None
    schedules: tuple[tuple[str, optax.Schedule], ...] = ()
    class_weights: tuple[float, ...] | None = None

    def __call__(
        self, state: TrainState, arrays: Tree, batches: Mapping[str, jax.Array], key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """K updates.

        Args:
            state: before.
            arrays: of the feed; what is known of the teacher, too, as "teacher".
            batches: of the feed, with a leading axis of K steps.
            key: of the run; every step derives its own from it and its number.

        Returns:
            The state after, and metrics, each float32 [K].
        """
        if len(jax.tree.leaves(batches)[0]) == 1:  # a loop of one costs XLA optimisations on a CPU
            state, metrics = self.update(state, arrays, jax.tree.map(lambda x: x[0], batches), key)
            return state, jax.tree.map(lambda x: x[None], metrics)
        return jax.lax.scan(lambda state, batch: self.update(state, arrays, batch, key), state, batches)

    def update(
        self, state: TrainState, arrays: Tree, batch: Mapping[str, jax.Array], key: jax.Array
    ) -> tuple[TrainState, dict[str, jax.Array]]:
        """One update from one batch of this device's examples; none, but for the step's number, if it is not finite."""
        augment_key, dropout_key = jax.random.split(jax.random.fold_in(key, state.step))
        examples = self.examples(arrays, batch, augment_key)
        scheduled = {name: jnp.asarray(value(state.updates), jnp.float32) for name, value in self.schedules}
        weights = None if self.class_weights is None else jnp.array(self.class_weights, jnp.float32)
        given = Given(self.replicas.key(dropout_key), self.given_teacher(state, arrays), scheduled, weights)
        results = self.differentiate(state.params, examples, given)
        loss, metrics, statistics, gradient = self.replicas.mean(results)
        updates, opt_state = self.optimizer.update(gradient, state.opt_state, state.params)
        params: Tree = optax.apply_updates(state.params, updates)
        params = with_statistics(params, statistics)
        ema_params = state.ema_params and self.average(state, params, scheduled)

        gradient_norm = self.replicas.norm(gradient)
        finite = all_finite((loss, gradient_norm, statistics))
        old = (state.params, state.opt_state, state.ema_params)
        params, opt_state, ema_params = jax.tree.map(
            lambda new, old: jnp.where(finite, new, old), (params, opt_state, ema_params), old
        )
        skipped = (~finite).astype(jnp.int32)
        metrics |= dict(
            loss=loss,
            gradient_norm=gradient_norm,
            learning_rate=jnp.asarray(self.schedule(state.updates), jnp.float32),
            skipped=skipped.astype(jnp.float32),
        )
        return TrainState(state.step + 1, state.skipped + skipped, params, opt_state, ema_params), metrics

    def examples(self, arrays: Tree, batch: Mapping[str, jax.Array], key: jax.Array) -> Examples:
        """A batch, gathered and augmented; no draw depends on how it is spread over the devices."""
        images, labels = gather(arrays, batch)
        positions = self.replicas.positions(len(images))
        pixels, labels = augment(
            self.augment,
            key,
            images.astype(jnp.float32),
            jax.nn.one_hot(labels, self.num_classes),
            positions,
            self.replicas.reverse,
        )
        after_augmentation = jax.random.fold_in(key, len(self.augment))  # which uses the keys before
        keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(after_augmentation, positions)
        return Examples(pixels, labels, keys)

    def given_teacher(self, state: TrainState, arrays: Tree) -> Teacher | None:
        """The objective's teacher: a network of its own, or the average of the one that is trained."""
        if self.objective.taught_by_average:
            return Teacher(self.model, self.replicas.whole(state.ema_params), None)
        return None if self.teacher is None else Teacher(self.teacher, **arrays["teacher"])

    def differentiate(
        self, params: Tree, examples: Examples, given: Given
    ) -> tuple[jax.Array, dict[str, jax.Array], Tree, Tree]:
        """Loss, metrics, running statistics and gradient of a batch: the mean over `accumulate_steps` parts of it."""

        def part(examples: Examples, key: jax.Array) -> Tree:
            def loss(params: Tree) -> tuple[jax.Array, Loss]:
                found = self.objective.loss(self.model, self.trained(params), examples, given._replace(key=key))
                return found.value, found

            (_, found), gradient = jax.value_and_grad(loss, has_aux=True)(params)
            return (*found, gradient)

        if self.accumulate_steps == 1:
            return part(examples, given.key)

        def split(x: jax.Array) -> jax.Array:  # interleaved, so that each device keeps the rows it has
            return x.reshape(len(x) // self.accumulate_steps, self.accumulate_steps, *x.shape[1:]).swapaxes(0, 1)

        parts = (jax.tree.map(split, examples), jax.random.split(given.key, self.accumulate_steps))
        zeros = jax.tree.map(
            lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(part, *jax.tree.map(lambda x: x[0], parts))
        )
        sums, _ = jax.lax.scan(lambda sums, p: (jax.tree.map(jnp.add, sums, part(*p)), None), zeros, parts)
        return jax.tree.map(lambda x: x / self.accumulate_steps, sums)

    def trained(self, params: Tree) -> Tree:
        """The whole parameters; the backward pass ends above the layers that are frozen from the lowest up."""
        params = self.replicas.whole(params)
        if not self.freeze:
            return params
        frozen = frozen_mask(params, self.freeze)
        return jax.tree.map(lambda p, stays: jax.lax.stop_gradient(p) if stays else p, params, frozen)

    def average(self, state: TrainState, params: Tree, scheduled: Mapping[str, jax.Array]) -> Tree:
        """The new moving average.

        Its decay is the objective's, if that learns from it; else it rises as (1 + n) / (10 + n), so that a young
        average forgets its start.
        """
        if self.objective.taught_by_average:
            decay = scheduled["teacher_momentum"]
        else:
            assert self.ema_decay is not None
            decay = jnp.minimum(self.ema_decay, (1 + state.updates) / (10 + state.updates))
        return jax.tree.map(lambda old, new: decay * old + (1 - decay) * new, state.ema_params, params)


def all_finite(tree: Tree) -> jax.Array:
    """Whether every value is finite, bool scalar. A sum of squares is finite only if all of its terms are."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]).all()
