"""A listed result once more: trains it, and says whether it lies where the listed ones say that it should."""

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy.stats import t as student

from vit_jax import durations
from vit_jax.choices import nearest
from vit_jax.comparison.results import final_row
from vit_jax.data.listing import LISTING
from vit_jax.data.sources import load_dataset
from vit_jax.inspection.train_and_report import train_and_report
from vit_jax.training import compilation_cache
from vit_jax.training.config import Config
from vit_jax.training.errors import Stopped
from vit_jax.training.progress import make_display
from vit_jax.training.run import prepare

SHARE = 0.95
"""Of further runs that lie within the spread, if nothing has changed."""


@dataclass(frozen=True)
class Listed:
    """The listed runs of one config.

    Attributes:
        table: the file that lists them.
        config: name of the config's file.
        seeds: of the runs.
        accuracies: on the test images, in percent, in the order of the seeds.
        steps: that each was trained.
    """

    table: Path
    config: str
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]
    steps: int

    @property
    def spread(self) -> tuple[float, float]:
        """Between which accuracies 95% of further runs lie: Student's prediction interval for one more of a normal
        distribution.

        Raises:
            ValueError: if one run is listed, which has no spread.
        """
        count = len(self.accuracies)
        if count < 2:
            raise ValueError(f"{self.table} lists one run of {self.config}, which says nothing of the spread")
        quantile = float(student.ppf((1 + SHARE) / 2, count - 1))
        reach = quantile * statistics.stdev(self.accuracies) * math.sqrt(1 + 1 / count)
        middle = statistics.fmean(self.accuracies)
        return middle - reach, middle + reach

    def describe(self) -> str:
        """The listed accuracies and their spread, in a line."""
        low, high = self.spread
        listed = ", ".join(f"{accuracy:.2f}%" for accuracy in self.accuracies)
        seeds = ", ".join(map(str, self.seeds))
        return f"{self.config}: {listed} (seeds {seeds}); {SHARE:.0%} of further runs lie in {low:.2f}% to {high:.2f}%"


def read_listed(tables: Sequence[Path]) -> dict[str, Listed]:
    """The results in tables as `vit-jax compare` writes them, by config.

    Raises:
        ValueError: if a file is no such table, or two list the same config.
    """
    found: dict[str, Listed] = {}
    for table in tables:
        with table.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        for name in dict.fromkeys(row.get("config", "") for row in rows):
            if name in found:
                raise ValueError(f"{name} is listed in both {found[name].table} and {table}: say which is meant")
            runs = [row for row in rows if row.get("config", "") == name]
            try:
                seeds = tuple(int(row["seed"]) for row in runs)
                accuracies = tuple(float(row["test_accuracy_percent"]) for row in runs)
                found[name] = Listed(table, name, seeds, accuracies, int(runs[0]["steps"]))
            except (KeyError, ValueError) as error:
                raise ValueError(f"{table} is no table of results as vit-jax compare writes them: {error}") from None
    return found


def listed_as(name: str, tables: Sequence[Path]) -> Listed:
    """The listed results of a config.

    Raises:
        ValueError: if there are none; names those there are. Or if there are no tables.
    """
    if not tables:
        raise ValueError("there is no table below docs/ here: call it in a copy of the repository, or give --tables")
    listed = read_listed(tables)
    if name not in listed:
        where = ", ".join(map(str, tables))
        known = ", ".join(sorted(listed)) or "none"
        raise ValueError(f"no result {name!r} is listed in {where}{nearest(name, listed)}; there are {known}")
    return listed[name]


def reproduce(listed: Listed, config: Config, workdir: Path, command: str) -> bool:
    """Trains a listed result and tells whether it lies within the listed ones' spread.

    Args:
        listed: the result.
        config: that it is of, with the seed to train.
        workdir: of the run; one that is there goes on.
        command: for its report.

    Raises:
        ValueError: if the config is trained for another number of steps than was listed, or as `prepare`.
        KeyboardInterrupt: if a signal ended it; it is saved, and the same call goes on.
        TrainingError: if it came to something that it could not go on from.
    """
    print(f"listed   {listed.describe()}", flush=True)
    low, high = listed.spread
    steps = durations.to_steps(
        config.duration, len(load_dataset(config.data, workdir / LISTING).train), config.batch_size
    )
    if steps != listed.steps:  # before the workdir is this config's
        raise ValueError(
            f"{listed.config} was trained for {listed.steps:,} steps when it was listed, now for {steps:,}"
        )
    compilation_cache.enable()
    run = prepare(config, workdir)
    try:
        train_and_report(run, make_display(run.total_steps), command)
    except Stopped as stopped:
        raise KeyboardInterrupt from stopped
    final = final_row(workdir)
    assert final is not None
    accuracy = round(100 * final["accuracy"], 4)  # as tables have it
    within = low <= accuracy <= high
    print(f"{'within' if within else 'OUTSIDE'} the spread: {accuracy:.2f}%, of {low:.2f}% to {high:.2f}%")
    return within
