"""The record of a run: `metrics.jsonl` always, TensorBoard where it is installed."""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

from vit_jax.training.errors import TrainingError
from vit_jax.training.processes import is_first
from vit_jax.training.tensorboard import event_file
from vit_jax.whole_file import errors_name, replace_text

TENSORBOARD = "tensorboard"
"""The folder of TensorBoard's files in a workdir."""


class MetricsLog:
    """Appends rows to `workdir`/metrics.jsonl, one JSON object a line; numbers that are not finite become null.

    Of several processes the first writes; the others only keep the rows.

    Args:
        workdir: of the run.
        step: at which the run goes on; rows of later steps, from a run cut off after its last checkpoint, are dropped,
            because those steps are done again. The final test of a finished run stays until there is a new one.

    Attributes:
        rows: all of them.
        peak_memory_before: what earlier processes of the run needed, in bytes; 0 if none came to its end.

    Raises:
        TrainingError: if a line of the file is damaged.
    """

    def __init__(self, workdir: Path, step: int):
        self.path = workdir / "metrics.jsonl"
        try:
            before = read_rows(self.path)
        except ValueError as error:
            raise TrainingError(str(error)) from error
        kept = [row for row in before if row["step"] <= step]
        self.rows = [row for row in kept if not row.get("final")]
        self.tested_before = len(kept) > len(self.rows)
        self.peak_memory_before = max((row.get("peak_memory", 0) for row in before), default=0)
        self.file = self.tensorboard = None
        if is_first():
            self.file = self.with_rows(kept)
            self.tensorboard = event_file(workdir / TENSORBOARD)

    def with_rows(self, rows: Iterable[dict[str, Any]]) -> TextIO:
        """The file with these rows, opened for more."""
        replace_text(self.path, "".join(map(to_line, rows)))
        return self.path.open("a", buffering=1)

    def write(self, kind: str, step: int, **values: Any) -> None:
        """Appends a row: its kind ("train", "validation", "test" or "end"), its step and its values."""
        row = {"kind": kind, "step": step, **values}
        self.rows.append(row)
        if self.file and self.tested_before:  # a finished run is tested again: now its last test may go
            self.file.close()
            self.file, self.tested_before = self.with_rows(self.rows), False
        elif self.file:
            with errors_name(self.path):
                self.file.write(to_line(row))
        if self.tensorboard:
            finite = only_finite(values)
            self.tensorboard.write(kind, step, {name: value for name, value in finite.items() if value is not None})

    def flush_to_disk(self) -> None:
        """Waits until the disk has every row: a checkpoint is never ahead of them."""
        if self.file:
            os.fsync(self.file.fileno())

    def close(self) -> None:
        """Closes the files."""
        if self.file:
            self.file.close()
        if self.tensorboard:
            self.tensorboard.close()


def to_line(row: dict[str, Any]) -> str:
    """A row as one line of JSON."""
    return json.dumps(only_finite(row)) + "\n"


def only_finite(row: dict[str, Any]) -> dict[str, Any]:
    """A row with None for numbers that are not finite, which JSON has not."""
    return {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; none if there is no such file. A last line cut off in mid-write is passed over.

    Raises:
        ValueError: if another line is no row: an object in JSON with a kind and a step.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_text(errors="replace").split("\n")[:-1], 1):
        try:
            rows.append(read_row(line))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"line {number} of {path} is damaged; mend or delete it: {line[:80]!r}") from error
    return rows


def read_row(line: str) -> dict[str, Any]:
    """The row in a line; raises a ValueError if it is none."""
    row = json.loads(line)
    if not isinstance(row, dict) or not isinstance(row.get("kind"), str) or not isinstance(row.get("step"), int):
        raise ValueError("a row is an object with a kind and a step")
    return row
