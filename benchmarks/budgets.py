"""What more time gives each network: runs of several lengths on CIFAR-10, in a table and a drawing.

    python -m benchmarks.budgets

Reads benchmarks/results/budgets, where the metrics.jsonl of each run is kept as CONFIG_MINUTES_SEED.jsonl. Prints a
table in Markdown and draws docs/budgets.svg. Time is counted at the speed that each config had in one
comparison, benchmarks/results/cifar10_600_seconds.csv, as most runs had other work beside them: the steps are the
same, however long they took.
"""

import argparse
import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import markdown
from benchmarks.measure import RESULTS

RUNS, COMPARISON = RESULTS / "budgets", RESULTS / "cifar10_600_seconds.csv"
DRAWING = Path(__file__).parents[1] / "docs" / "budgets.svg"
TRAINING_IMAGES = 50_000
NAMES = {"resnet9_cifar10_cpu": "ResNet-9", "swin_cifar10_cpu": "Swin", "vit_cifar10_cpu": "ViT"}


@dataclass(frozen=True)
class BudgetRun:
    """One run.

    Attributes:
        config: its name.
        budget: minutes that its length was chosen for.
        seed: of the run.
        rows: of its metrics.jsonl.
    """

    config: str
    budget: int
    seed: int
    rows: Sequence[dict[str, Any]]

    @property
    def tests(self) -> np.ndarray:
        """Epoch and accuracy of each test, float64 [tests, 2]."""
        return np.array([(row["epoch"], row["accuracy"]) for row in self.rows if row["kind"] == "test"])


def read_runs(directory: Path) -> list[BudgetRun]:
    """The runs kept in a directory, by config, length and seed.

    Raises:
        FileNotFoundError: if there is none.
    """
    runs = []
    for path in directory.glob("*.jsonl"):
        config, minutes, seed = path.stem.rsplit("_", 2)
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        runs.append(BudgetRun(config, int(minutes), int(seed), rows))
    if not runs:
        raise FileNotFoundError(f"{directory} has no runs, CONFIG_MINUTES_SEED.jsonl")
    return sorted(runs, key=lambda run: (run.config, run.budget, run.seed))


def by_length(runs: Sequence[BudgetRun]) -> list[list[BudgetRun]]:
    """Those of the same config and length together, by seed."""
    return [list(alike) for _, alike in groupby(runs, key=lambda run: (run.config, run.budget))]


def read_speeds(comparison: Path = COMPARISON) -> dict[str, float]:
    """Training images a second of each config, from the table of a comparison."""
    with comparison.open(newline="") as file:
        return {row["config"]: float(row["images_per_second"]) for row in csv.DictReader(file)}


def minutes(epochs: np.ndarray, speed: float) -> np.ndarray:
    """Minutes of training that epochs take at a speed in images a second."""
    return epochs * TRAINING_IMAGES / speed / 60


def table(runs: Sequence[BudgetRun], speeds: Mapping[str, float]) -> str:
    """Epochs, minutes at each config's speed and the final accuracy with each seed, in Markdown."""
    rows = []
    for alike in by_length(runs):
        config, epochs = alike[0].config, alike[0].tests[-1, 0]
        accuracies = ", ".join(f"{run.tests[-1, 1]:.2%}" for run in alike)
        taken = minutes(epochs, speeds[config])
        rows.append((NAMES.get(config, config), f"{epochs:.1f}", f"{taken:.1f}", accuracies))
    return markdown.table(("network", "epochs", "minutes of training", "test accuracy"), rows)


def draw(runs: Sequence[BudgetRun], speeds: Mapping[str, float], path: Path) -> None:
    """Draws accuracy along the minutes of training: a colour for each config, a line for each run; in the legend the
    end of each length, the mean over seeds."""
    import matplotlib as mpl  # the table does without
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for place, config in enumerate(dict.fromkeys(run.config for run in runs)):
        colour, of_config = f"C{place}", [run for run in runs if run.config == config]
        for run in of_config:
            epochs, accuracy = run.tests.T
            along, percent = minutes(epochs, speeds[config]), 100 * accuracy
            axes.plot(along, percent, color=colour, linewidth=1)
            axes.plot(along[-1], percent[-1], "o", color=colour, markersize=4)
        ends = [f"{np.mean([run.tests[-1, 1] for run in alike]):.1%}" for alike in by_length(of_config)]
        axes.plot([], color=colour, label=f"{NAMES.get(config, config)}: {', '.join(ends)}")
    axes.set(xlabel="minutes of training on two CPU cores", ylabel="test accuracy, %", xlim=0)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    with mpl.rc_context({"svg.hashsalt": path.name}):  # the same runs give the same file
        figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    found, speed_of = read_runs(RUNS), read_speeds()
    print(table(found, speed_of))
    draw(found, speed_of, DRAWING)
    print("drawn in", DRAWING)
