"""The curves of a comparison: each config has a colour, its mean over the seeds a line and each seed a thin one."""

from collections.abc import Sequence

import numpy as np

from vit_jax.comparison.results import ConfigResult, RunResult
from vit_jax.inspection.charts import Along, Chart, Quantity, Series, as_float, draw

EPOCHS, SECONDS = Along("epochs", "epoch", whole=False), Along("seconds of training", "second", whole=False)
COLOURS = 6  # in the page's style; further configs have them again, with dashed lines


def curves(results: Sequence[ConfigResult]) -> list[Chart]:
    """Accuracy on the images watched, and loss in training, each against epochs and against seconds of training."""
    watched = sorted({watched_kind(run) for result in results for run in result.runs})
    accuracy = Quantity("accuracy", f"Accuracy on {' or '.join(watched)} images", style="percent")
    loss = Quantity("loss", "Loss in training", may_be_log=True)
    return [
        draw(quantity, every_series(results, quantity, along), along, labelled=True)
        for quantity in (accuracy, loss)
        for along in (EPOCHS, SECONDS)
    ]


def watched_kind(run: RunResult) -> str:
    """The kind of the rows in which a run was evaluated on its way: "validation", or "test" where there is no such."""
    return "validation" if any(row["kind"] == "validation" for row in run.rows) else "test"


def every_series(results: Sequence[ConfigResult], quantity: Quantity, along: Along) -> list[Series]:
    """The lines of a chart: the seeds' first, so that the means are drawn over them."""
    names = short_names([result.name for result in results])
    seeds, means = [], []
    for place, (name, result) in enumerate(zip(names, results, strict=True)):
        colour = series_class(place)
        lines = common_steps([points(run, quantity, along) for run in result.runs])
        means.append(Series(f"{colour} mean", name, np.mean(lines, axis=0)[:, 1:]))
        if len(lines) > 1:
            seeds += [Series(f"{colour} seed", "", line[:, 1:]) for line in lines]
    return seeds + means


def series_class(place: int) -> str:
    """The CSS classes of the config at a place."""
    return f"series{place % COLOURS}" + (" dashed" if place >= COLOURS else "")


def points(run: RunResult, quantity: Quantity, along: Along) -> np.ndarray:
    """Float64 [rows, 3]: step, place along the axis and value."""
    kind = watched_kind(run) if quantity.key == "accuracy" else "train"
    rows = {row["step"]: row for row in run.rows if row["kind"] == kind}  # of two at a step, the final one
    steps = np.array(sorted(rows), float)
    places = [rows[step]["epoch"] for step in steps] if along is EPOCHS else np.interp(steps, *run.clock)
    values = [as_float(rows[step][quantity.key]) for step in steps]
    return np.stack([steps, places, values], axis=1)


def common_steps(lines: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The rows of each line at the steps that all of them have."""
    steps = set.intersection(*(set(line[:, 0]) for line in lines))
    return [line[np.isin(line[:, 0], list(steps))] for line in lines]


def short_names(names: Sequence[str]) -> list[str]:
    """Names without the words that all begin or all end with: "cnn_cifar10_cpu", "vit_cifar10_cpu" are "cnn", "vit"."""
    words = [name.split("_") for name in names]
    for end in (-1, 0):
        while len(words) > 1 and all(len(one) > 1 for one in words) and len({one[end] for one in words}) == 1:
            for one in words:
                one.pop(end)
    return ["_".join(one) for one in words]
