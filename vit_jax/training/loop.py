"""The training loop: restore, step, log, evaluate, save; in the end test."""

from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

import jax
import numpy as np

from vit_jax.data.feed import Batch
from vit_jax.evaluation.accuracy import Predictions
from vit_jax.pretrained.native import save_native
from vit_jax.training.best import BEST, forget_best, is_better, write_reached
from vit_jax.training.checkpoint import Checkpoints
from vit_jax.training.errors import Stopped
from vit_jax.training.evaluating import CutShort, Evaluate, make_evaluator
from vit_jax.training.feeding import feed_of, reading
from vit_jax.training.memory import peak_memory
from vit_jax.training.nonfinite import NonFiniteGuard
from vit_jax.training.parallel import on_host
from vit_jax.training.processes import decided_by_first, is_first
from vit_jax.training.progress import Display
from vit_jax.training.recorder import Recorder, is_due
from vit_jax.training.run import Run
from vit_jax.training.step import TrainState
from vit_jax.training.stop_signals import StopSignals


@dataclass(frozen=True)
class Result:
    """What came of a run.

    Attributes:
        params: the trained parameters (their moving average, if the config has one), on the host.
        test: the predictions on the test split; None where the images have no labels.
        rows: all of metrics.jsonl.
        seconds: of compilation, training and evaluation, earlier parts of a resumed run included.
    """

    params: Any
    test: Predictions | None
    rows: list[dict[str, Any]]
    seconds: float

    @property
    def images_per_second(self) -> float | None:
        """Training speed: the median of the rows, evaluation and compilation apart; None if nothing else was done."""
        speeds = [row["images_per_second"] for row in self.rows if row.get("images_per_second")]
        return float(np.median(speeds)) if speeds else None


def train(run: Run, display: Display, stop: StopSignals | None = None) -> Result:
    """Trains a run from its latest checkpoint, or from the start, to its end.

    Writes metrics.jsonl, checkpoints/ and model/ into the workdir, and where there is a validation split best/, the
    model of the best evaluation on it.

    Args:
        run: from `prepare`.
        display: for whoever watches.
        stop: ends the run early, saved; without it, an interrupt loses what was done since the last checkpoint.

    Raises:
        Stopped: when `stop` asked for it; what was trained is saved.
        TrainingError: if a checkpoint could not be saved or none is whole, an example not read, or too many updates in
            a row were not finite.
    """
    stop = stop or StopSignals()
    directory, keep = run.workdir / "checkpoints", run.config.keep_checkpoints
    with run.lock or nullcontext(), Checkpoints(directory, keep, display.say) as checkpoints:
        state, start, before = restore(run, checkpoints)
        if start:
            display.say(f"continuing at step {start} of {run.total_steps}")
        elif is_first():
            forget_best(run.workdir)
        recorder = Recorder(run, start, before.get("recorder", {}), display)
        evaluator, validation = make_evaluator(run, stop), run.dataset.validation
        test = watched = None  # where the images have no labels
        if evaluator is not None:
            test = evaluator(run.dataset.test)
            watched = test if validation is None else evaluator(validation)
        course = Course(
            run=run,
            recorder=recorder,
            guard=NonFiniteGuard(run, before.get("skipped", ())),
            checkpoints=checkpoints,
            stop=stop,
            kind="test" if validation is None else "validation",
            evaluate=watched,
        )
        state = course.train_steps(state, start)
        try:
            evaluation = test and test(state.evaluated_params)
        except CutShort:
            raise Stopped(run.total_steps, str(stop.received)) from None
        # A finished run that is only tested again needed what its training needed.
        peak = max(peak_memory(), recorder.log.peak_memory_before)
        recorder.end(evaluation, peak)
        params = write_model(run, state)
        recorder.log.close()
        return Result(params, evaluation and evaluation.predictions, recorder.log.rows, recorder.seconds)


@dataclass(frozen=True)
class Course:
    """The course of a run: its steps, and what is done at the times between them.

    Attributes:
        run: the run.
        recorder: of what is measured.
        guard: against updates that are not finite.
        checkpoints: where it is saved.
        stop: whether it is to stop.
        kind: the split that is looked at during training: "validation", or "test" where there is none.
        evaluate: on that split; None where there are no labels.
    """

    run: Run
    recorder: Recorder
    guard: NonFiniteGuard
    checkpoints: Checkpoints
    stop: StopSignals
    kind: str
    evaluate: Evaluate | None

    def train_steps(self, state: TrainState, start: int) -> TrainState:
        """Trains from step `start` to the end; logs, evaluates and saves at their times."""
        run, total = self.run, self.run.total_steps
        evaluate_every, checkpoint_every = run.steps(run.config.evaluate_every), run.steps(run.config.checkpoint_every)
        if start and is_due(start, run.config.steps_per_dispatch, evaluate_every, total):
            self.evaluate_once(start, state)  # if the run was stopped before or in it
        pending: deque[tuple[int, dict[str, jax.Array]]] = deque()
        for step, count, new_state, metrics in dispatches(run, state, start):
            state = new_state
            pending.append((step, metrics))
            stops = self.stop.after_dispatch()
            to_evaluate = is_due(step, count, evaluate_every, total)
            to_save = is_due(step, count, checkpoint_every, total) or stops
            to_compile = 0 < total - step < run.config.steps_per_dispatch  # a shorter dispatch, the last
            # Metrics are fetched one dispatch late, so that the device always has work. At a boundary everything is
            # logged and evaluated before it is saved: a checkpoint is never ahead of the record.
            while len(pending) > (0 if to_evaluate or to_save or to_compile else 1):
                self.take(*pending.popleft())
            if to_evaluate:
                self.evaluate_once(step, state)
            # A request that comes just now waits for the next dispatch: the metrics of this one may not be taken yet.
            cut_short = to_evaluate and self.stop.stops
            if to_save or cut_short:
                self.save(step, state)
            if stops or cut_short:
                raise Stopped(step, str(self.stop.received))
            if to_compile:
                self.recorder.expect_compilation()
            self.checkpoints.check()
        return state

    def take(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of one dispatch, as soon as it has been computed."""
        fetched = jax.device_get(metrics)
        self.recorder.train(step, fetched)
        self.guard.take(step, fetched)

    def evaluate_once(self, step: int, state: TrainState) -> None:
        """Evaluates, unless that was done before, is the final test, which comes later, or the run is to stop."""
        if self.evaluate is None or (self.kind == "test" and step == self.run.total_steps):
            return
        with suppress(CutShort):
            if self.recorder.row(self.kind, step) is None:
                self.recorder.evaluation(self.kind, step, self.evaluate(state.evaluated_params))
            if self.kind == "validation":
                self.keep_if_best(step, state)

    def keep_if_best(self, step: int, state: TrainState) -> None:
        """Writes the model of an evaluation to best/, if it did better than any before.

        A run that goes on looks again at the evaluation at its start: it may have been killed between the two.
        """
        workdir, evaluation = self.run.workdir, self.recorder.row(self.kind, step)
        assert evaluation is not None
        if decided_by_first(lambda: is_better(workdir, evaluation)):
            write_model(self.run, state, BEST)
            if is_first():
                write_reached(workdir, evaluation)
            self.recorder.resume_clock()

    def save(self, step: int, state: TrainState) -> None:
        """Saves what a run needs to go on from here, and the model as it is."""
        record = {"recorder": self.recorder.record(), "skipped": self.guard.figures}
        self.recorder.log.flush_to_disk()
        self.checkpoints.save(step, self.run.parallel.gather_state(state), record)
        if step < self.run.total_steps:  # in the end it is written in any case
            write_model(self.run, state)


def write_model(run: Run, state: TrainState, folder: str = "model") -> Any:
    """Writes the model for others to read; returns its parameters, on the host."""
    params = on_host(run.parallel.gather_state(state).evaluated_params)
    if is_first():
        save_native(run.workdir / folder, run.model, params, run.dataset.class_names)
    return params


def restore(run: Run, checkpoints: Checkpoints) -> tuple[TrainState, int, dict[str, Any]]:
    """The state of the latest checkpoint, its step and record; or a fresh state, 0 and {}."""
    saved = checkpoints.restore(run.describe_saved())
    if saved is None:
        return run.initial_state(), 0, {}
    state, record = saved
    return run.parallel.place_state(state), int(state.step), record


def dispatches(run: Run, state: TrainState, start: int) -> Iterator[tuple[int, int, TrainState, dict[str, jax.Array]]]:
    """Trains from step `start` to the end, `steps_per_dispatch` steps at a time.

    Yields, as soon as each dispatch is under way: the step after it, its number K of steps, the state after it (the one
    before is gone: its memory is reused), and its metrics [K].
    """
    steps = range(start, run.total_steps)
    if not steps:
        return
    config, parallel = run.config, run.parallel
    feed = feed_of(run, run.dataset.train)
    taught = {} if run.teacher is None else {"teacher": run.teacher.arrays}
    arrays = parallel.place_arrays({**feed.arrays, **taught})
    batches = reading(feed.shuffled(config.seed, config.batch_size, steps))
    compiled = parallel.compile_train(run.step)
    key = jax.random.key(config.seed)
    step = start
    while group := list(islice(batches, config.steps_per_dispatch)):
        state, metrics = compiled(state, arrays, parallel.place_batch(stacked(group), stacked=True), key)
        step += len(group)
        yield step, len(group), state, metrics


def stacked(batches: Sequence[Batch]) -> dict[str, np.ndarray]:
    """K batches [B, ...] as one, [K, B, ...]; a single one is not copied, which would cost the step time."""
    if len(batches) == 1:
        return {name: x[None] for name, x in batches[0].items()}
    return {name: np.stack([batch[name] for batch in batches]) for name in batches[0]}
