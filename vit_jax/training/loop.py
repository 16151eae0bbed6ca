"""The training loop: restore, step, log, evaluate, save; in the end test and export."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
import numpy as np

from vit_jax.data.dataset import Source
from vit_jax.data.feed import make_feed
from vit_jax.evaluation.accuracy import Predictions, collect
from vit_jax.pretrained.native import save_pretrained
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.memory import peak_memory
from vit_jax.training.progress import Display
from vit_jax.training.recorder import Recorder, is_due
from vit_jax.training.run import Run
from vit_jax.training.step import TrainState, make_predict

Evaluate = Callable[[Any], Predictions]
"""From parameters to the predictions on all of a split."""


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        params: the trained parameters (their moving average, if the config has one), on the host.
        test: the predictions on the test split.
        rows: all of metrics.jsonl.
        seconds: of compilation, training and evaluation, earlier parts of a resumed run included.
    """

    params: Any
    test: Predictions
    rows: list[dict[str, Any]]
    seconds: float

    @property
    def images_per_second(self) -> float:
        """Training speed: the median of the rows, evaluation and compilation apart."""
        return float(np.median([row["images_per_second"] for row in self.rows if row.get("images_per_second")]))


def train(run: Run, display: Display) -> Result:
    """Trains a run from its latest checkpoint, or from the start, to its end.

    Writes metrics.jsonl, checkpoints/ and model/ into the workdir.
    """
    with Checkpoints(run.workdir / "checkpoints", run.config.keep_checkpoints) as checkpoints:
        state, start = restore(run, checkpoints)
        if start:
            display.say(f"continuing at step {start} of {run.total_steps}")
        recorder = Recorder(run, start, display)
        predict = run.parallel.compile_predict(make_predict(run.model))
        test = evaluator(run, run.dataset.test, predict)
        state = train_steps(run, state, start, recorder, checkpoints, test, predict)
        predictions = test(state.evaluated_params)
        # A finished run that is only tested again needed what its training needed.
        peak = max(peak_memory(), recorder.log.peak_memory_before)
        recorder.evaluation("test", run.total_steps, predictions, final=True, peak_memory=peak)
    params = jax.device_get(run.parallel.gather_state(state).evaluated_params)
    save_pretrained(run.workdir / "model", run.model, params, run.dataset.class_names)
    recorder.log.close()
    return Result(params, predictions, recorder.log.rows, recorder.seconds)


def train_steps(
    run: Run,
    state: TrainState,
    start: int,
    recorder: Recorder,
    checkpoints: Checkpoints,
    test: Evaluate,
    predict: Callable,
) -> TrainState:
    """Trains from step `start` to the end; logs, evaluates and saves at their times."""
    kind, evaluate = "test", test
    if run.dataset.validation is not None:
        kind, evaluate = "validation", evaluator(run, run.dataset.validation, predict)
    evaluate_every, checkpoint_every = run.steps(run.config.evaluate_every), run.steps(run.config.checkpoint_every)
    pending: deque[tuple[int, dict[str, jax.Array]]] = deque()
    for step, count, new_state, metrics in dispatches(run, state, start):
        state = new_state
        pending.append((step, metrics))
        to_evaluate = is_due(step, count, evaluate_every, run.total_steps)
        to_save = is_due(step, count, checkpoint_every, run.total_steps)
        to_compile = 0 < run.total_steps - step < run.config.steps_per_dispatch  # a shorter dispatch, the last
        # Metrics are fetched one dispatch late, so that the device always has work. At a boundary everything is logged
        # and evaluated before it is saved: a checkpoint is never ahead of the record.
        while len(pending) > (0 if to_evaluate or to_save or to_compile else 1):
            recorder.train(*pending.popleft())
        if to_evaluate and (kind == "validation" or step < run.total_steps):  # the final test comes after the loop
            recorder.evaluation(kind, step, evaluate(state.evaluated_params))
        if to_save:
            recorder.flush(step)
            checkpoints.save(run.parallel.gather_state(state))
        if to_compile:
            recorder.expect_compilation(step)
    return state


def restore(run: Run, checkpoints: Checkpoints) -> tuple[TrainState, int]:
    """The state of the latest checkpoint and its step, or a fresh state and 0."""
    fresh = run.initial_state()
    if checkpoints.latest is None:
        return fresh, 0
    return run.parallel.place_state(checkpoints.restore(run.parallel.gather_state(fresh))), checkpoints.latest


def dispatches(run: Run, state: TrainState, start: int) -> Iterator[tuple[int, int, TrainState, dict[str, jax.Array]]]:
    """Trains from step `start` to the end, `steps_per_dispatch` steps at a time.

    Yields, as soon as each dispatch is under way: the step after it, its number K of steps, the state after it (the one
    before is gone: its memory is reused), and its metrics [K].
    """
    steps = range(start, run.total_steps)
    if not steps:
        return
    config, parallel = run.config, run.parallel
    feed = make_feed(run.dataset.train, config.data, run.dataset.image_shape, run.share)
    arrays = parallel.place_arrays(feed.arrays)
    batches = feed.shuffled(config.seed, config.batch_size, steps)
    compiled = parallel.compile_train(run.step)
    key = jax.random.key(config.seed)
    step = start
    while group := list(islice(batches, config.steps_per_dispatch)):
        stacked = {name: np.stack([batch[name] for batch in group]) for name in group[0]}
        state, metrics = compiled(state, arrays, parallel.place_batch(stacked, stacked=True), key)
        step += len(group)
        yield step, len(group), state, metrics


def evaluator(run: Run, source: Source, predict: Callable) -> Evaluate:
    """A function from parameters to the predictions on all of a split, which stays on the device between calls."""
    feed = make_feed(source, run.config.data, run.dataset.image_shape, run.share)
    arrays = run.parallel.place_arrays(feed.arrays)

    def evaluate(params: Any) -> Predictions:
        batches = feed.in_order(run.config.batch_size)
        return collect(lambda batch: predict(params, arrays, run.parallel.place_batch(batch)), batches)

    return evaluate
