"""Turns what the steps and evaluations return into rows of metrics.jsonl and into what a person sees."""

import math
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from vit_jax.training.evaluating import Evaluation
from vit_jax.training.metrics import MetricsLog
from vit_jax.training.progress import Display
from vit_jax.training.run import Run


class Recorder:
    """Records a run that goes on at step `start`.

    Args:
        run: that is recorded.
        start: the step it goes on from.
        before: what `record` gave when that step was saved; {} at the start.
        display: for whoever watches.

    Attributes:
        log: the rows so far.
    """

    def __init__(self, run: Run, start: int, before: Mapping[str, Any], display: Display):
        self.run = run
        self.display = display
        self.log = MetricsLog(run.workdir, start)
        self.log_every = run.steps(run.config.log_every)
        recent = {name: np.array(values, np.float32) for name, values in before.get("recent", {}).items()}
        self.recent: list[Mapping[str, np.ndarray]] = [recent] if recent else []
        self.seconds_before = before.get("seconds", 0.0)
        self.began = time.perf_counter()
        self.compiles = True  # the first dispatch
        self.timed_steps, self.timed_seconds = 0, 0.0
        self.resume_clock()

    def record(self) -> dict[str, Any]:
        """What a run that goes on from here needs: metrics of the steps since the last row, and the time so far."""
        names = self.recent[0] if self.recent else ()
        recent = {name: np.concatenate([metrics[name] for metrics in self.recent]).tolist() for name in names}
        return {"recent": recent, "seconds": self.seconds}

    def resume_clock(self) -> None:
        """Goes on to measure training speed, after something that is no training."""
        self.clock = time.perf_counter()

    def expect_compilation(self) -> None:
        """Keeps the time of the next dispatch, which is compiled first, out of the measured speed."""
        self.compiles = True

    @property
    def seconds(self) -> float:
        """Seconds of the run so far, earlier parts of a resumed one included."""
        return round(self.seconds_before + time.perf_counter() - self.began, 3)

    def when(self, step: int) -> dict[str, float]:
        """The epoch after `step` steps."""
        return {"epoch": round(step * self.run.config.batch_size / len(self.run.dataset.train), 4)}

    def row(self, kind: str, step: int) -> dict[str, Any] | None:
        """The row of this kind for this step; None if there is none."""
        return next((row for row in self.log.rows if row["kind"] == kind and row["step"] == step), None)

    def train(self, step: int, metrics: Mapping[str, np.ndarray]) -> None:
        """Takes the metrics of one dispatch, [K] each, that ended with `step` and has been computed."""
        now = time.perf_counter()
        count = len(metrics["loss"])
        if not self.compiles:
            self.timed_steps += count
            self.timed_seconds += now - self.clock
        self.compiles = False
        self.clock = now
        self.recent.append(metrics)
        if is_due(step, count, self.log_every, self.run.total_steps):
            self.write_row(step)

    def write_row(self, step: int) -> None:
        """Writes the means since the last row as a row."""
        joined = {name: np.concatenate([metrics[name] for metrics in self.recent]) for name in self.recent[0]}
        skipped = joined.pop("skipped").astype(bool)
        means = {name: float(np.mean(x[~skipped])) if not skipped.all() else math.nan for name, x in joined.items()}
        images = self.timed_steps * self.run.config.batch_size
        speed = round(images / self.timed_seconds, 1) if images else None
        measured = {"images_per_second": speed, "seconds": self.seconds}
        row = {**self.when(step), **means, "skipped": int(skipped.sum()), **measured}
        self.log.write("train", step, **row)
        images_left = (self.run.total_steps - step) * self.run.config.batch_size
        self.display.train(step, row, images_left / speed if speed else None)
        self.recent = []
        self.timed_steps, self.timed_seconds = 0, 0.0

    def evaluation(self, kind: str, step: int, evaluation: Evaluation, **extra: Any) -> None:
        """Takes the evaluation on the split `kind` after `step` steps; of neighbours it says how many."""
        predictions, judged = evaluation
        figures: dict[str, Any] = dict(
            loss=predictions.mean_loss, accuracy=predictions.accuracy, examples=len(predictions.label)
        )
        if not self.run.config.objective.learns_classes:
            figures["neighbours"] = min(self.run.config.neighbours.k, len(self.run.dataset.train))
        figures |= {f"accuracy_by_{how}": accuracy for how, accuracy in judged.items()}
        row = {**self.when(step), **figures, "seconds": self.seconds, **extra}
        self.log.write(kind, step, **row)
        self.display.evaluate(kind, step, row)
        self.resume_clock()

    def end(self, test: Evaluation | None, peak_memory: int) -> None:
        """Takes what the whole run came to: its final test, if there are labels."""
        last = dict(final=True, peak_memory=peak_memory)
        if test is None:
            self.log.write("end", self.run.total_steps, **self.when(self.run.total_steps), seconds=self.seconds, **last)
        else:
            self.evaluation("test", self.run.total_steps, test, **last)


def is_due(step: int, done: int, every: int, total: int) -> bool:
    """Whether something that happens every so many steps falls in the last `done` of `step` steps, or at the end."""
    return step // every > (step - done) // every or step == total
