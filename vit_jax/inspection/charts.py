"""The geometry of a line chart: from logged rows to SVG paths and tick marks, which the pages' templates draw.

Written out rather than left to a plotting library so that the curves follow the page: its fonts, its colours in light
and dark, its width on a phone. It costs no import and a few kilobytes a chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

WIDTH, HEIGHT = 400, 220  # of the whole drawing, in SVG user units
LEFT, RIGHT, TOP, BOTTOM = 48, 380, 10, 194  # of the plotting area
LABEL_HEIGHT, LETTER_WIDTH = 12, 7.2  # of the names beside the ends of lines
LONGEST_LABEL = 15  # characters of such a name that are shown

MOST_POINTS = 400  # drawn in one line; longer histories are thinned
MOST_DOTS = 60  # lines with more points than this are drawn without dots
LOG_RATIO = 30.0  # quantities whose largest value is this many times the smallest get a logarithmic axis


@dataclass(frozen=True)
class Quantity:
    """A number that training logs, and how to show it."""

    key: str  # in the rows of metrics.jsonl
    title: str
    style: Literal["number", "percent"] = "number"
    may_be_log: bool = False

    def text(self, value: float) -> str:
        return f"{100 * value:g}%" if self.style == "percent" else f"{value:g}"

    def precise_text(self, value: float) -> str:
        return f"{100 * value:.2f}%" if self.style == "percent" else f"{value:.3g}"


QUANTITIES = (
    Quantity("loss", "Loss", may_be_log=True),
    Quantity("accuracy", "Accuracy", style="percent"),
    Quantity("learning_rate", "Learning rate"),
    Quantity("gradient_norm", "Gradient norm", may_be_log=True),
)


@dataclass(frozen=True)
class Along:
    """What the horizontal axis counts."""

    title: str
    unit: str  # of one
    whole: bool = True  # whether ticks between whole numbers would mean nothing


STEPS = Along("training steps", "step")


@dataclass(frozen=True)
class Series:
    """The values that make one line."""

    kind: str  # the line's CSS classes: what it looks like
    name: str  # in the legend; a line without a name is not in it
    rows: np.ndarray  # float64 [rows, 2]: place along the horizontal axis, and value


@dataclass(frozen=True)
class Axis:
    """A range of values laid along a range of the drawing."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def place(self, values: np.ndarray) -> np.ndarray:
        low, high = self.low, self.high
        if self.log:
            low, high, values = math.log10(low), math.log10(high), np.log10(values)
        return self.start + (values - low) / (high - low) * (self.end - self.start)


@dataclass(frozen=True)
class Tick:
    """A labelled place along an axis, in units of the drawing."""

    place: float
    label: str


@dataclass(frozen=True)
class Line:
    """One series, in units of the drawing."""

    kind: str
    name: str
    path: str  # the `d` of an SVG path; it breaks where a value is not finite
    dots: tuple[tuple[float, float], ...]
    broken: tuple[float, ...]  # x of the values that are not finite
    last: str  # the last value, for the legend


@dataclass(frozen=True)
class Label:
    """A line's name beside its end, in units of the drawing."""

    kind: str  # the line's
    text: str
    y: float


@dataclass(frozen=True)
class Chart:
    """One quantity, ready to be drawn."""

    title: str
    along: str
    lines: tuple[Line, ...]
    labels: tuple[Label, ...]
    right: float  # where the plotting area ends
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    log: bool
    warning: str  # empty unless something logged is not finite


def charts(history: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """One chart for each of QUANTITIES that is in the rows of `metrics.jsonl`, with one line for each kind of row."""
    drawn = []
    for quantity in QUANTITIES:
        rows: dict[str, list[tuple[float, float]]] = {}
        for row in history:
            if quantity.key in row:
                rows.setdefault(row["kind"], []).append((float(row["step"]), as_float(row[quantity.key])))
        if rows:
            drawn.append(draw(quantity, [Series(kind, kind, np.array(points)) for kind, points in rows.items()]))
    return drawn


def as_float(value: float | None) -> float:
    """A value of a row as a number: JSON has no NaN, metrics.jsonl has null for what is not finite."""
    return math.nan if value is None else value


def draw(quantity: Quantity, series: Sequence[Series], along: Along = STEPS, labelled: bool = False) -> Chart:
    """A chart with one line for each series; `labelled` puts the names beside the lines' ends, too."""
    every = np.concatenate([one.rows for one in series])
    letters = max((len(shortened(one.name)) for one in series), default=0) if labelled else 0
    right = min(RIGHT, WIDTH - 8 - LETTER_WIDTH * letters)
    x_axis, places = along_axis(float(every[:, 0].max()), along.whole, right)
    y_axis, values = value_axis(quantity, every[np.isfinite(every[:, 1]), 1])
    x_text = "{:,.0f}" if along.whole else "{:g}"
    return Chart(
        title=quantity.title,
        along=along.title,
        lines=tuple(draw_line(one, quantity, x_axis, y_axis) for one in series),
        labels=end_labels(series, y_axis) if labelled else (),
        right=right,
        x_ticks=tuple(Tick(round(float(x_axis.place(place)), 1), x_text.format(place)) for place in places),
        y_ticks=tuple(Tick(round(float(y_axis.place(value)), 1), quantity.text(value)) for value in values),
        log=y_axis.log,
        warning=broken_warning(series, along),
    )


def draw_line(series: Series, quantity: Quantity, x_axis: Axis, y_axis: Axis) -> Line:
    """The line of one series."""
    last = quantity.precise_text(series.rows[-1, 1])
    rows = thin(series.rows)
    finite = np.isfinite(rows[:, 1])
    x = x_axis.place(rows[:, 0])
    y = y_axis.place(np.where(finite, rows[:, 1], y_axis.low))
    places = [(round(float(a), 1), round(float(b), 1)) for a, b in zip(x, y, strict=True)]
    path, pen_down = [], False
    for (a, b), drawable in zip(places, finite, strict=True):
        if drawable:
            path.append(f"L{a:g} {b:g}" if pen_down else f"M{a:g} {b:g}h0")  # h0: a point alone is a dot, not nothing
        pen_down = bool(drawable)
    dots = [place for place, drawable in zip(places, finite, strict=True) if drawable]
    return Line(
        kind=series.kind,
        name=series.name,
        path="".join(path),
        dots=tuple(dots) if len(dots) <= MOST_DOTS else (),
        broken=tuple(round(float(a), 1) for a in x[~finite]),
        last=last,
    )


def end_labels(series: Sequence[Series], y_axis: Axis) -> tuple[Label, ...]:
    """The names beside the heights at which their lines end, moved apart where they would cover each other."""
    ends = []
    for one in series:
        finite = one.rows[np.isfinite(one.rows[:, 1]), 1]
        if one.name and finite.size:
            ends.append((float(y_axis.place(finite[-1])), one))
    ends.sort(key=lambda end: end[0])
    heights, lowest = [], -math.inf
    for height, _ in ends:
        lowest = max(height, lowest + LABEL_HEIGHT)
        heights.append(lowest)
    highest = float(BOTTOM)
    for place in reversed(range(len(heights))):
        heights[place] = min(heights[place], highest)
        highest = heights[place] - LABEL_HEIGHT
    return tuple(
        Label(one.kind, shortened(one.name), round(height, 1)) for height, (_, one) in zip(heights, ends, strict=True)
    )


def shortened(name: str) -> str:
    """A name of at most LONGEST_LABEL characters."""
    return name if len(name) <= LONGEST_LABEL else f"{name[: LONGEST_LABEL - 1]}…"


def thin(rows: np.ndarray) -> np.ndarray:
    """At most about MOST_POINTS of the rows [rows, 2]: of each stretch its lowest, its highest and its first broken
    value, so that no spike and no NaN disappears."""
    if len(rows) <= MOST_POINTS:
        return rows
    keep = {0, len(rows) - 1}
    for stretch in np.array_split(np.arange(len(rows)), MOST_POINTS // 2):
        values = rows[stretch, 1]
        finite = np.isfinite(values)
        if finite.any():
            keep |= {int(stretch[finite][values[finite].argmin()]), int(stretch[finite][values[finite].argmax()])}
        keep |= {int(place) for place in stretch[~finite][:1]}
    return rows[sorted(keep)]


def broken_warning(series: Sequence[Series], along: Along) -> str:
    """Where each named series is not finite, in words; empty if nowhere."""
    parts = []
    for one in series:
        broken = one.rows[~np.isfinite(one.rows[:, 1]), 0]
        if one.name and broken.size:
            where = f"first at {along.unit} {broken[0]:,.0f}"
            parts.append(f"{one.name}: not finite in {broken.size} of {len(one.rows)} rows, {where}")
    return "; ".join(parts)


def value_axis(quantity: Quantity, finite: np.ndarray) -> tuple[Axis, np.ndarray]:
    """The vertical axis for the finite values [rows]: from zero, but for percentages, which begin near the lowest."""
    if not finite.size:
        return linear_axis(0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    if quantity.may_be_log and low > 0 and high > LOG_RATIO * low:
        return log_axis(low, high)
    return linear_axis(low if quantity.style == "percent" else min(low, 0.0), high)


def along_axis(last: float, whole: bool, right: float) -> tuple[Axis, np.ndarray]:
    """The horizontal axis, from 0 to the last place, with at most six ticks; at whole numbers, where they must be."""
    last = max(last, 1.0 if whole else 1e-3)
    step = round_step(last / 5)
    return Axis(0.0, last, LEFT, right), np.arange(0.0, last * (1 + 1e-9), max(step, 1.0) if whole else step)


def linear_axis(low: float, high: float) -> tuple[Axis, np.ndarray]:
    """A vertical axis that holds both values, begins and ends on a tick, and has at most seven."""
    if low == high:
        low, high = min(low, 0.0), max(high, 0.0) or 1.0
    step = round_step((high - low) / 5)
    first, last = math.floor(low / step + 1e-6), math.ceil(high / step - 1e-6)
    return Axis(first * step, last * step, BOTTOM, TOP), step * np.arange(first, last + 1)


def log_axis(low: float, high: float) -> tuple[Axis, np.ndarray]:
    """A vertical axis a little wider than the values, with ticks at powers of ten and, where few, between."""
    axis = Axis(low / 1.15, high * 1.15, BOTTOM, TOP, log=True)
    first, last = math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high))
    stride = math.ceil((last - first) / 6)
    factors = (1, 2, 5) if last - first <= 2 else (1, 3) if last - first <= 4 else (1,)
    ticks = np.array([factor * 10.0**power for power in range(first, last + 1, stride) for factor in factors])
    return axis, ticks[(ticks >= axis.low) & (ticks <= axis.high)]


def round_step(least: float) -> float:
    """The smallest of ..., 0.1, 0.2, 0.5, 1, 2, 5, 10, ... that is not below `least`."""
    decade = 10.0 ** math.floor(math.log10(least))
    return next(decade * factor for factor in (1, 2, 5, 10) if decade * factor >= least * (1 - 1e-9))


def class_ticks(classes: int, side: float) -> tuple[Tick, ...]:
    """Numbers along a heat map of `side` units with one cell a class: at most eleven, at the middles of their cells."""
    stride = max(int(round_step(classes / 10)), 1)
    return tuple(Tick(round((i + 0.5) * side / classes, 1), str(i)) for i in range(0, classes, stride))
