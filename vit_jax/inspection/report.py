"""The report of a run: one HTML file with its figures, curves, confusion matrix and example predictions.

The file needs nothing beside itself: pictures are inside it, nothing is fetched, no script runs, and it follows the
reader's light or dark setting and width of window.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.inspection import charts, figures
from vit_jax.inspection.confusion import Confusion, class_accuracies, confused_pairs, overall_accuracy, row_shares
from vit_jax.inspection.pages import page
from vit_jax.inspection.published import PublishedResults
from vit_jax.whole_file import replace_text

MOST_NUMBERED_CLASSES = 20  # up to this many, the matrix is a table of numbers; beyond, a heat map
MOST_DRAWN_CLASSES = 2000  # beyond, there is no matrix: one pixel a cell, it would be a picture of many megabytes
MOST_LISTED = 10  # hardest classes and confused pairs shown without unfolding
LONGEST_FIGURE = 16  # characters: short values of the summary are shown large, longer ones as lines below them


@dataclass(frozen=True)
class Example:
    """One test image with the model's answer."""

    image: np.ndarray  # uint8 [H, W, C]
    label: int
    predicted: int
    confidence: float  # probability of the predicted class, in [0, 1]
    attention: np.ndarray | None = None  # uint8 [H, W, 3]: the image under what the last block attends to


@dataclass(frozen=True)
class Strips:
    """Pictures side by side, a strip for each test image."""

    title: str
    explanation: str  # of what is beside what
    images: Sequence[tuple[np.ndarray, ...]]  # uint8 [H, W, C] each


@dataclass(frozen=True)
class Report:
    """Everything a report shows."""

    title: str
    summary: Mapping[str, str]  # in the order shown; the first is the main result
    history: Sequence[Mapping[str, Any]]  # the rows of metrics.jsonl
    confusion: Confusion | None  # None: no labels
    class_names: tuple[str, ...]
    examples: Sequence[Example] = ()  # about two dozen; each adds some 10 kB
    notes: Sequence[str] = ()  # where the data came from and what was skipped
    config: Mapping[str, Any] = field(default_factory=dict)  # nested, as in config.json
    published: PublishedResults | None = None  # results of others to compare with
    strips: Sequence[Strips] = ()  # what a network for pre-training makes of images, and attends to in them
    classifies: bool = True  # whether the model itself has the classes; otherwise its nearest neighbours answer


def write_report(path: Path, report: Report) -> None:
    """Writes the report as one HTML file, whole or not at all.

    Args:
        path: of the file, in the run's workdir: the page says how to load the model from its directory. An older
            report there is replaced.
        report: what to show.

    Raises:
        OSError: the directory is missing, full or read-only.
    """
    replace_text(path, render(report, workdir=path.parent))


def render(report: Report, workdir: Path) -> str:
    """The page as text."""
    return page(
        "report.html.jinja",
        title=report.title,
        notes=report.notes,
        report=report,
        headline={name: value for name, value in report.summary.items() if len(value) <= LONGEST_FIGURE},
        lines={name: value for name, value in report.summary.items() if len(value) > LONGEST_FIGURE},
        charts=charts.charts(report.history),
        **({} if report.confusion is None else by_class(report.confusion)),
        galleries=galleries(report.examples),
        config=list(flatten(report.config)),
        workdir=json.dumps(workdir.as_posix(), ensure_ascii=False),
    )


def by_class(confusion: Confusion) -> dict[str, Any]:
    """What the page says of the classes."""
    classes = class_accuracies(confusion)
    return dict(
        overall=overall_accuracy(confusion),
        **(drawn_matrix(confusion) if confusion.classes <= MOST_DRAWN_CLASSES else {}),
        hardest=classes[:MOST_LISTED],
        other_classes=classes[MOST_LISTED:],
        pairs=confused_pairs(confusion, MOST_LISTED),
    )


def drawn_matrix(confusion: Confusion) -> dict[str, Any]:
    """The matrix as the page shows it: of few classes a table of numbers, of many a heat map."""
    matrix = confusion.matrix()
    shares = row_shares(matrix)
    shades = np.where(np.eye(len(shares), dtype=bool), shares, np.cbrt(shares))  # rare mistakes can be seen too
    if confusion.classes <= MOST_NUMBERED_CLASSES:
        return {"counts": matrix.tolist(), "shades": shades.tolist()}
    return {"heat_map": figures.heat_map(shades), "heat_ticks": charts.class_ticks(confusion.classes, 400)}


def galleries(examples: Sequence[Example]) -> dict[str, list[Example]]:
    """Mistakes before right answers, each the most confident first; a gallery without examples is left out."""
    ordered = sorted(examples, key=lambda example: -example.confidence)
    both = {
        "Mistakes": [example for example in ordered if example.predicted != example.label],
        "Right answers": [example for example in ordered if example.predicted == example.label],
    }
    return {title: chosen for title, chosen in both.items() if chosen}


def flatten(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names, as on the command line, and values as JSON."""
    for name, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value, default=str, ensure_ascii=False)
