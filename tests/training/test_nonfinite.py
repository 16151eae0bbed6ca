"""Updates that are not finite: nothing of them stays, they are counted, and too many in a row end the run."""

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vit_jax.data.order import ShuffledOrder
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.objective import Examples, Given, Loss
from vit_jax.training import loop
from vit_jax.training.errors import TrainingError
from vit_jax.training.feeding import feed_of
from vit_jax.training.nonfinite import NonFiniteGuard
from vit_jax.training.optimizer import OptimizerConfig, make_optimizer
from vit_jax.training.parallel import OnePerDevice, OneProgram, Parallel
from vit_jax.training.run import prepare
from vit_jax.training.step import Step, TrainState, start_state
from vit_jax.training.workdir import NOT_FINITE

CLASSES, POISONED = 4, 3
MODEL = create_model(
    "cnn_small_32", image_size=8, in_channels=1, widths=(4, 6), hidden_dim=8, preprocessing=Preprocessing()
)
PARALLEL = {
    "one": lambda: OneProgram(jax.devices()[:1], 1),
    "fsdp": lambda: OneProgram(jax.devices(), 2),
    "pmap": OnePerDevice,
}


@dataclasses.dataclass(frozen=True)
class Poisoned(Classification):
    """A loss that is not finite where a batch has an example of the class POISONED: its value and gradient, its
    gradient alone, or its statistics alone.
    """

    value: float = math.nan
    where: str = "value"

    def loss(self, model: Network, params: Any, examples: Examples, given: Given) -> Loss:
        loss = super().loss(model, params, examples, given)
        poison = jnp.where((jnp.argmax(examples.labels, -1) == POISONED).any(), self.value, 0.0)
        if self.where == "statistics":
            return loss._replace(statistics=jax.tree.map(lambda x: x + poison, loss.statistics))
        poison *= params["blocks_0"]["conv"]["kernel"].mean()
        poison = poison - jax.lax.stop_gradient(poison) if self.where == "gradient" else poison
        return loss._replace(value=loss.value + poison)


def batch(seed: int, poisoned: bool = False) -> dict[str, np.ndarray]:
    """One of 16 examples, of which the last may be poisoned."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, CLASSES - 1, 16).astype(np.int32)
    labels[-1] = POISONED if poisoned else labels[-1]
    return {"image": random.integers(0, 256, (16, 8, 8, 1), np.uint8), "label": labels}


Train = Callable[[list[dict]], tuple[TrainState, list[dict]]]


def make_train(parallel: Parallel, objective: Classification) -> Train:
    """Gives the state after batches, one a dispatch, and the metrics of each; the rate falls with every update."""
    schedule = optax.linear_schedule(0.1, 0.0, 10)
    params = jax.jit(MODEL.clone(num_classes=CLASSES).init)(jax.random.key(0), jnp.zeros((1, 8, 8, 1)))["params"]
    step = Step(
        model=MODEL.clone(num_classes=CLASSES),
        objective=objective,
        augment=(),
        optimizer=make_optimizer(OptimizerConfig("adamw"), schedule, params, 100),
        schedule=schedule,
        num_classes=CLASSES,
        accumulate_steps=2,
        ema_decay=0.9,
        replicas=parallel.replicas,
    )
    compiled = parallel.compile_train(step)

    def train(batches: list[dict]) -> tuple[TrainState, list[dict]]:
        state = parallel.place_state(start_state(jax.tree.map(jnp.array, params), step.optimizer, ema=True))
        seen = []
        for one in batches:
            placed = parallel.place_batch({name: x[None] for name, x in one.items()}, stacked=True)
            state, metrics = compiled(state, {}, placed, jax.random.key(3))
            seen.append(jax.device_get(metrics))
        return jax.device_get(parallel.gather_state(state)), seen

    return train


@pytest.mark.parametrize("mode", PARALLEL)
@pytest.mark.parametrize(
    ("value", "where"), [(math.nan, "value"), (math.inf, "value"), (math.inf, "gradient"), (math.nan, "statistics")]
)
def test_training_goes_on_as_if_the_batch_had_not_been(mode, value, where):
    """Parameters, optimizer, average and batch statistics, bit for bit; schedule and average go by updates done."""
    train = make_train(PARALLEL[mode](), Poisoned(value=value, where=where))
    skipping, metrics = train([batch(0), batch(1, poisoned=True), batch(2)])
    straight, expected = train([batch(0), batch(2)])
    assert [float(m["skipped"][0]) for m in metrics] == [0, 1, 0]
    assert (int(skipping.step), int(skipping.skipped)) == (3, 1)
    jax.tree.map(np.testing.assert_array_equal, skipping.params, straight.params)
    jax.tree.map(np.testing.assert_array_equal, skipping.opt_state, straight.opt_state)
    jax.tree.map(np.testing.assert_array_equal, skipping.ema_params, straight.ema_params)
    assert metrics[2]["learning_rate"] == expected[1]["learning_rate"]
    reported_finite = np.isfinite([metrics[1]["loss"][0], metrics[1]["gradient_norm"][0]]).all()
    assert reported_finite == (where == "statistics")


@pytest.fixture
def run(small_config, tmp_path):
    return prepare(dataclasses.replace(small_config, stop_after_skipped=3, steps_per_dispatch=2), tmp_path)


def metrics(*skipped: int) -> dict[str, np.ndarray]:
    flags = np.array(skipped, np.float32)
    return {"skipped": flags, "loss": flags * np.inf, "gradient_norm": flags * np.nan, "learning_rate": flags * 0.5}


@pytest.mark.filterwarnings("ignore:invalid value")
def test_too_many_in_a_row_end_the_run_with_their_examples(run):
    guard = NonFiniteGuard(run, ())
    guard.take(2, metrics(1, 1))
    guard.take(4, metrics(0, 1))
    guard.take(6, metrics(1, 0))
    guard.take(8, metrics(0, 1))
    with pytest.raises(
        TrainingError, match="3 updates in a row were not finite, the last at step 10: loss inf, "
    ) as error:
        guard.take(10, metrics(1, 1))
    reported = json.loads((run.workdir / NOT_FINITE).read_text())
    assert [entry["step"] for entry in reported] == [8, 9, 10]
    assert (reported[0]["loss"], reported[0]["gradient_norm"], reported[0]["learning_rate"]) == ("inf", "nan", 0.5)
    examples = reported[2]["examples"]
    assert len(examples) == run.config.batch_size
    assert f"begin with {examples[0]}, {examples[1]}, {examples[2]};" in str(error.value)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_examples_are_those_that_the_feed_gave_with_repeats_too(small_config, tmp_path):
    data = dataclasses.replace(small_config.data, repeats=3)
    run = prepare(dataclasses.replace(small_config, data=data, stop_after_skipped=2), tmp_path)
    with pytest.raises(TrainingError, match="2 updates in a row"):
        NonFiniteGuard(run, ()).take(2, metrics(1, 1))
    reported = json.loads((run.workdir / NOT_FINITE).read_text())
    fed = feed_of(run, run.dataset.train).shuffled(run.config.seed, run.config.batch_size, range(2))
    assert [entry["examples"] for entry in reported] == [batch["index"].tolist() for batch in fed]


@pytest.mark.filterwarnings("ignore:invalid value")
def test_the_count_goes_on_where_a_run_was_saved(run):
    before = NonFiniteGuard(run, ())
    before.take(2, metrics(1, 1))
    after = NonFiniteGuard(run, json.loads(json.dumps(before.figures)))  # as a checkpoint's record has them
    with pytest.raises(TrainingError, match="3 updates in a row"):
        after.take(4, metrics(1, 0))
    reported = json.loads((run.workdir / NOT_FINITE).read_text())
    assert [entry["step"] for entry in reported] == [1, 2, 3]


def test_a_run_that_diverges_ends_and_keeps_its_last_good_state(small_config, run_to_end, tmp_path, monkeypatch):
    """From step 15 on, every loss is no number: the run must end at step 18 and leave the checkpoint of step 10."""
    original = loop.dispatches

    def dispatches(*args):
        for step, count, state, metrics in original(*args):
            poison = {"skipped": 1.0, "loss": math.nan, "gradient_norm": math.nan} if step >= 15 else {}
            yield step, count, state, metrics | {name: jnp.full((count,), value) for name, value in poison.items()}

    monkeypatch.setattr(loop, "dispatches", dispatches)
    with pytest.raises(TrainingError, match="4 updates in a row were not finite, the last at step 18"):
        run_to_end(small_config, tmp_path, stop_after_skipped=4)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["10"]
    reported = json.loads((tmp_path / NOT_FINITE).read_text())
    seen = ShuffledOrder(small_config.seed, 1438).batch(14, small_config.batch_size)
    assert reported[0]["examples"] == seen.tolist()  # of update 15: the batch of step 14, counted from 0
