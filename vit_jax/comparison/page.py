"""comparison.html: what was compared and how, the table, the curves, and what others have published."""

import datetime
from collections.abc import Sequence
from pathlib import Path

from vit_jax.comparison.curves import curves, series_class, short_names
from vit_jax.comparison.plan import Plan, run_workdir
from vit_jax.comparison.results import ConfigResult
from vit_jax.inspection.pages import page
from vit_jax.inspection.published import published_results
from vit_jax.inspection.run_report import megabytes
from vit_jax.whole_file import replace_text


def write_page(path: Path, plan: Plan, results: Sequence[ConfigResult]) -> None:
    """Writes the page as one HTML file that needs nothing beside itself, whole or not at all.

    Args:
        path: of the file; an older one is replaced.
        plan: of the comparison.
        results: of the configs that have any, at least one.

    Raises:
        OSError: the directory is missing, full or read-only.
    """
    replace_text(path, render(plan, results))


def render(plan: Plan, results: Sequence[ConfigResult]) -> str:
    """The page as text."""
    entry = plan.entries[results[0].name]
    finished = {(result.name, run.seed) for result in results for run in result.runs}
    return page(
        "comparison.html.jinja",
        title=f"{', '.join(short_names(list(plan.entries)))} on {data_name(plan)}",
        results=[(series_class(place), result) for place, result in enumerate(results)],
        lines=facts(plan, len(entry.images["class_names"]), entry.images["test"]["examples"]),
        notes=list(dict.fromkeys(note for one in plan.entries.values() for note in one.notes)),
        unfinished=[run_workdir(Path(), *run).name for run in plan.runs if run not in finished],
        charts=curves(results),
        published=published_results(entry.images["class_names"]),
        ours={result.name: result.accuracy_text for result in results},
        several=plan.asked["seeds"] > 1,
        large=large,
        megabytes=megabytes,
        duration=lambda seconds: str(datetime.timedelta(seconds=round(seconds))),
    )


def data_name(plan: Plan) -> str:
    """The data set's name in the configs, which all have the same."""
    return next(iter(plan.asked["configs"].values()))["data"]["name"]


def facts(plan: Plan, classes: int, test_images: int) -> dict[str, str]:
    """What was compared, by name."""
    seeds = plan.asked["seeds"]
    machines = {name: list(dict.fromkeys(e.machine[name] for e in plan.entries.values())) for name in MACHINE}
    return {
        "Budget of each run": plan.asked["budget"] or "what each config says",
        "Seeds": ", ".join(map(str, range(seeds))),
        "Data": f"{data_name(plan)}: {classes} classes, {test_images:,} test images",
        **{name: "; ".join(found) for name, found in machines.items()},
        "Date": plan.date,
        "Command": plan.command,
    }


MACHINE = ("Machine", "Versions")


def large(count: float) -> str:
    """A number with a thousand, million or billion as its unit: 1,234,567 as "1.23 M"."""
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count:.3g}"
