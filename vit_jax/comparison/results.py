"""What came of a comparison, read from its runs' workdirs; the table of it as CSV."""

import csv
import io
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.comparison.plan import Plan, run_workdir
from vit_jax.inspection.cost import Cost, cost
from vit_jax.json_file import read_json
from vit_jax.models.network import Network
from vit_jax.pretrained.native import read_module
from vit_jax.training.config import ModelConfig
from vit_jax.training.metrics import read_rows
from vit_jax.whole_file import replace_text


@dataclass(frozen=True, eq=False)
class RunResult:
    """One run that came to its end.

    Attributes:
        seed: of the run.
        accuracy: on the test images, in [0, 1].
        loss: mean cross-entropy on the test images; None where it is not finite.
        steps: trained.
        epochs: trained.
        clock: float64 [2, rows + 1]: the steps at which training was logged, and the seconds of training until then;
            compilation and evaluation apart.
        wall_seconds: of all, compilation and evaluation included.
        images_per_second: in training.
        peak_memory: of its process, or of its fullest accelerator, in bytes.
        rows: of metrics.jsonl.
    """

    seed: int
    accuracy: float
    loss: float | None
    steps: int
    epochs: float
    clock: np.ndarray
    wall_seconds: float
    images_per_second: float
    peak_memory: int
    rows: list[dict[str, Any]]

    @property
    def training_seconds(self) -> float:
        """Seconds of training, compilation and evaluation apart."""
        return float(self.clock[1, -1])

    @property
    def seconds_per_epoch(self) -> float:
        """Seconds of training an epoch takes."""
        return self.training_seconds / self.epochs


@dataclass(frozen=True)
class ConfigResult:
    """The finished runs of one config, at least one.

    Attributes:
        name: of the config's file.
        model: its network: the registered name, or the source that it was fine-tuned from.
        cost: of its network.
        runs: by their seeds.
    """

    name: str
    model: str
    cost: Cost
    runs: list[RunResult]

    def mean(self, figure: str) -> float:
        """The mean over the runs of one of their figures, by its name in `RunResult`."""
        return statistics.fmean(getattr(run, figure) for run in self.runs)

    @property
    def accuracy_text(self) -> str:
        """Mean test accuracy and, of several runs, the sample standard deviation: "66.92 ± 0.31%"."""
        accuracies = [100 * run.accuracy for run in self.runs]
        spread = f" ± {statistics.stdev(accuracies):.2f}" if len(accuracies) > 1 else ""
        return f"{statistics.fmean(accuracies):.2f}{spread}%"


def final_row(workdir: Path) -> dict[str, Any] | None:
    """The row of a run's last test; None if it did not get there."""
    return next((row for row in read_rows(workdir / "metrics.jsonl") if row.get("final")), None)


def read_results(workdir: Path, plan: Plan) -> list[ConfigResult]:
    """The results of the configs that have any, in the plan's order."""
    results = []
    for name in plan.entries:
        runs = {seed: run_workdir(workdir, name, seed) for of, seed in plan.runs if of == name}
        finished = {seed: run for seed, run in runs.items() if final_row(run) is not None}
        if finished:
            first, *_ = finished.values()
            config = read_json(first / "config.json")
            model, network = ModelConfig(**config["model"]), trained_model(first, config)
            runs = [read_run(run, seed, config["batch_size"]) for seed, run in finished.items()]
            results.append(ConfigResult(name, model.title, cost(network), runs))
    return results


def trained_model(workdir: Path, config: dict[str, Any]) -> Network:
    """The network of a run with the precision and the recomputation it was trained with, which its weights do not
    carry."""
    uses: dict[str, Any] = {name: value for name, value in config["model"]["fields"].items() if name == "remat"}
    return read_module(workdir / "model" / "config.json").clone(dtype=np.dtype(config["dtype"]), **uses)


def read_run(workdir: Path, seed: int, batch_size: int) -> RunResult:
    """The result of a finished run."""
    rows = read_rows(workdir / "metrics.jsonl")
    final = next(row for row in rows if row.get("final"))
    clock = training_clock(rows, batch_size)
    return RunResult(
        seed=seed,
        accuracy=final["accuracy"],
        loss=final["loss"],
        steps=final["step"],
        epochs=final["epoch"],
        clock=clock,
        wall_seconds=final["seconds"],
        images_per_second=final["step"] * batch_size / float(clock[1, -1]),
        peak_memory=final["peak_memory"],
        rows=rows,
    )


def training_clock(rows: list[dict[str, Any]], batch_size: int) -> np.ndarray:
    """The seconds of training until each logged step, from the speeds logged: `RunResult.clock`.

    A row of nothing but the first dispatch, whose time is the compiler's, has the speed of the others.
    """
    logged = [row for row in rows if row["kind"] == "train"]
    steps = np.array([0, *(row["step"] for row in logged)], float)
    speeds = np.array([row["images_per_second"] or np.nan for row in logged], float)
    if np.isfinite(speeds).any():
        speeds[np.isnan(speeds)] = np.nanmedian(speeds)
    seconds = np.cumsum([0, *(np.diff(steps) * batch_size / speeds)])
    return np.stack([steps, seconds])


COLUMNS: dict[str, Callable[[ConfigResult, RunResult], Any]] = {
    "config": lambda config, run: config.name,
    "model": lambda config, run: config.model,
    "seed": lambda config, run: run.seed,
    "test_accuracy_percent": lambda config, run: round(100 * run.accuracy, 4),
    "test_loss": lambda config, run: run.loss,
    "parameters": lambda config, run: config.cost.parameters,
    "multiply_adds_per_image": lambda config, run: config.cost.multiply_adds,
    "activation_bytes_per_image": lambda config, run: config.cost.activation_bytes,
    "peak_memory_bytes": lambda config, run: run.peak_memory,
    "steps": lambda config, run: run.steps,
    "epochs": lambda config, run: run.epochs,
    "training_seconds": lambda config, run: round(run.training_seconds, 3),
    "wall_clock_seconds": lambda config, run: run.wall_seconds,
    "seconds_per_epoch": lambda config, run: round(run.seconds_per_epoch, 4),
    "images_per_second": lambda config, run: round(run.images_per_second, 1),
}


def write_csv(path: Path, results: list[ConfigResult]) -> None:
    """Writes one row for each run, whole or not at all."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for config in results:
        table.writerows([[column(config, run) for column in COLUMNS.values()] for run in config.runs])
    replace_text(path, text.getvalue())
