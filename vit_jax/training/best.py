"""The model that did best on the validation split so far, kept beside the last one."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vit_jax.json_file import read_json, sealed, unsealed, write_json
from vit_jax.training.errors import TrainingError
from vit_jax.training.metrics import only_finite

BEST = "best"
"""The folder in a workdir that has it, and beside its files `REACHED`."""
REACHED = "validation.json"
"""When it was evaluated, and what it reached: "step", "epoch", "accuracy", "loss" and "examples"."""


def read_best(workdir: Path) -> dict[str, Any] | None:
    """What the best model so far reached; None if there is none yet.

    Raises:
        TrainingError: if the file is damaged.
    """
    path = workdir / BEST / REACHED
    try:
        return dict(unsealed(read_json(path), path)) if path.is_file() else None
    except ValueError as error:
        raise TrainingError(f"{error}. Without the folder {path.parent}, the next evaluation is the best") from error


def is_better(workdir: Path, evaluation: Mapping[str, Any]) -> bool:
    """Whether an evaluation, a row of metrics.jsonl, is better than the best so far: of higher accuracy, or of the same
    and with a lower loss."""
    best = read_best(workdir)
    return best is None or rank(evaluation) > rank(best)


def rank(evaluation: Mapping[str, Any]) -> tuple[float, float]:
    """Orders evaluations; a loss that is not finite, null in a file, comes last."""
    accuracy, loss = evaluation["accuracy"], evaluation["loss"]
    return accuracy, -math.inf if loss is None or not math.isfinite(loss) else -loss


def write_reached(workdir: Path, evaluation: Mapping[str, Any]) -> None:
    """Writes what the best model reached, after the model: who is killed in between does not take it for better."""
    reached = {name: evaluation[name] for name in ("step", "epoch", "accuracy", "loss", "examples")}
    write_json(workdir / BEST / REACHED, sealed(only_finite(reached)))


def forget_best(workdir: Path) -> None:
    """Removes the best model of a run that begins anew: it is that of another one."""
    shutil.rmtree(workdir / BEST, ignore_errors=True)
