"""Turns what the steps and evaluations return into rows of metrics.jsonl and into what a person sees."""

import time
from typing import Any

import jax
import numpy as np

from vit_jax.evaluation.accuracy import Predictions
from vit_jax.training.metrics import MetricsLog
from vit_jax.training.progress import Display
from vit_jax.training.run import Run


class Recorder:
    """Records a run that goes on at step `start`.

    Attributes:
        log: the rows so far.
    """

    def __init__(self, run: Run, start: int, display: Display):
        self.run = run
        self.display = display
        self.log = MetricsLog(run.workdir, start)
        self.log_every = run.steps(run.config.log_every)
        self.compiled = False
        self.recent: list[dict[str, np.ndarray]] = []
        self.seconds_before = self.log.rows[-1]["seconds"] if self.log.rows else 0.0
        self.began = time.perf_counter()
        self.resume_clock()

    def resume_clock(self) -> None:
        """Starts to measure training speed anew, after something that is no training."""
        self.clock = time.perf_counter()
        self.timed_steps = 0

    @property
    def seconds(self) -> float:
        """Seconds of the run so far, earlier parts of a resumed one included."""
        return round(self.seconds_before + time.perf_counter() - self.began, 3)

    def when(self, step: int) -> dict[str, float]:
        """The epoch after `step` steps."""
        return {"epoch": round(step * self.run.config.batch_size / len(self.run.dataset.train), 4)}

    def train(self, step: int, metrics: dict[str, jax.Array]) -> None:
        """Takes the metrics of one dispatch, [K] each, that ended with `step`; waits until it has been computed."""
        self.recent.append(jax.device_get(metrics))
        count = len(self.recent[-1]["loss"])
        self.timed_steps += count
        if not self.compiled:  # the first dispatch includes compilation: no measure of speed
            self.compiled = True
            self.resume_clock()
        if is_due(step, count, self.log_every, self.run.total_steps):
            self.flush(step)

    def flush(self, step: int) -> None:
        """Writes the means since the last row as a row, if there were steps since.

        Called before every checkpoint too: no mean then spans one, and a resumed run writes the rows of an
        uninterrupted one.
        """
        if not self.recent:
            return
        means = {name: float(np.mean(np.concatenate([m[name] for m in self.recent]))) for name in self.recent[0]}
        images = self.timed_steps * self.run.config.batch_size
        speed = round(images / (time.perf_counter() - self.clock), 1) if images else None
        row = {**self.when(step), **means, "images_per_second": speed, "seconds": self.seconds}
        self.log.write("train", step, **row)
        images_left = (self.run.total_steps - step) * self.run.config.batch_size
        self.display.train(step, row, images_left / speed if speed else None)
        self.recent.clear()
        self.resume_clock()

    def expect_compilation(self, step: int) -> None:
        """Keeps the time that the dispatch after `step` takes, which is compiled first, out of the measured speed."""
        self.flush(step)
        self.compiled = False

    def evaluation(self, kind: str, step: int, predictions: Predictions, **extra: Any) -> None:
        """Takes the predictions on the split `kind` after `step` steps."""
        figures = dict(loss=predictions.mean_loss, accuracy=predictions.accuracy, examples=len(predictions.label))
        row = {**self.when(step), **figures, "seconds": self.seconds, **extra}
        self.log.write(kind, step, **row)
        self.display.evaluate(kind, step, row)
        self.resume_clock()


def is_due(step: int, done: int, every: int, total: int) -> bool:
    """Whether something that happens every so many steps falls in the last `done` of `step` steps, or at the end."""
    return step // every > (step - done) // every or step == total
