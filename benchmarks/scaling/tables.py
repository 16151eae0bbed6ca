"""What was measured, in Markdown. In brackets after a time or a ratio: the lowest and the highest round."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from benchmarks.markdown import between, table
from benchmarks.scaling.exponents import ALLOWED
from benchmarks.scaling.growth import COSTS, SMALLEST, Point, sweeps

EQUAL = 1e-5
"""Differences of loss and parameters up to which two runs are the same in float32."""
UNITS = {"multiply-adds": ("G", 1e9), "kept for the backward pass": ("MB", 1e6), "program's memory": ("MB", 1e6)}
UNITS |= {"time": ("ms", 1e-3)}


def of_devices(results: Sequence[Mapping[str, Any]]) -> str:
    """The same step on more and more devices."""
    header = ["devices", "way", "time (ms)", "times one device's", "ideal", "collectives", "their MB", "expected MB"]
    header += ["their cost (ms)", "loss and parameters differ by"]
    rows = []
    for result in results:
        cells = [
            str(result["devices"]),
            result["way"],
            between(result["seconds"], unit=1e-3),
            between(result["times_one"]),
        ]
        if "collectives" in result:
            operations = [f"{count} {kind}" for kind, count in result["collectives"].items()]
            cells += [f"{result['ideal_times_one']:.3g}", ", ".join(operations) or "none"]
            cells += [f"{result['collective_bytes'] / 1e6:.3g}", f"{result['expected_bytes'] / 1e6:.3g}"]
            cells += [between(result["collective_seconds"], unit=1e-3), equality(result)]
        rows.append(cells + [""] * (len(header) - len(cells)))
    return table(header, rows)


def equality(result: Mapping[str, Any]) -> str:
    """By how much a way's result differs from one device's, and whether that is rounding."""
    loss, params = result["loss_differs_by"], result["parameters_differ_by"]
    same = "met" if max(loss, params) <= EQUAL else "not met"
    moved = result["parameters_moved_by"]
    return f"{loss:.1g} and {params:.1g}, having moved by up to {moved:.1g} (target {EQUAL:.0e}: {same})"


def of_growth(points: Sequence[Point]) -> str:
    """Every cost at growing images and batches; in brackets, how many times that of the row above."""
    tables = []
    for title, kind, unit in (
        ("Gradient, one image:", "gradient", "image"),
        ("Forward pass, one image:", "forward", "image"),
        (f"Gradient, {SMALLEST} px:", "gradient", "batch"),
        (f"Forward pass, {SMALLEST} px:", "forward", "batch"),
    ):
        header = ["network", unit, *(f"{cost} ({name})" for cost, (name, _) in UNITS.items())]
        rows = []
        for grows_with, _, sweep in sweeps(points):
            if sweep[0].kind == kind and (grows_with == "images") == (unit == "batch"):
                rows += growth_rows(sweep, unit)
        tables.append(f"{title}\n\n{table(header, rows)}\n")
    return "\n".join(tables)


def growth_rows(sweep: Sequence[Point], unit: str) -> list[list[str]]:
    """The rows of one network."""
    rows, before = [], {}
    for point in sweep:
        size = f"{point.image_size} px" if unit == "image" else f"{point.batch}"
        cells, costs = [point.network, size], {cost: float(np.median(of(point))) for cost, of in COSTS.items()}
        for cost, value in costs.items():
            scaled = value / UNITS[cost][1]
            text = f"{scaled:.3g}" if scaled < 1000 else f"{scaled:,.0f}"
            cells.append(text + (f" ({value / before[cost]:.1f}x)" if before.get(cost) else ""))
        rows.append(cells)
        before = costs
    return rows


def of_exponents(results: Sequence[Mapping[str, Any]]) -> str:
    """The exponent of every cost beside its target."""
    rows = []
    for (network, kind, unit), group in groupby(results, lambda row: (row["network"], row["pass"], row["against"])):
        found = {result["cost"]: result for result in group}
        first = next(iter(found.values()))
        fitted = ", ".join(f"{size:,}" for size in first["fitted_at"])
        cells = [f"{exponent_text(found[cost])}: {found[cost]['verdict']}" if cost in found else "" for cost in COSTS]
        rows.append([network, kind, unit, fitted, f"at most {first['target']:g}", *cells])
    header = ["network", "pass", "grows with", "fitted at", f"target (+{ALLOWED:g})", *COSTS]
    return table(header, rows)


def exponent_text(result: Mapping[str, Any]) -> str:
    """An exponent, with its rounds where they differ."""
    found, form = result["exponent"], ".2f"
    same = format(found["min"], form) == format(found["max"], form)
    return format(found["median"], form) if same else between(found, form)
