"""The comparison itself: decide, train every run, write the page. Started again, it goes on where it stopped."""

import dataclasses
import datetime
import sys
from pathlib import Path

from vit_jax.comparison.decide import decide
from vit_jax.comparison.page import write_page
from vit_jax.comparison.plan import Entry, Plan, check_same, read_plan, run_workdir, write_plan
from vit_jax.comparison.processes import in_own_process
from vit_jax.comparison.request import Request, asked, read_configs
from vit_jax.comparison.results import final_row, read_results, write_csv
from vit_jax.data.set_record import changes, record_of
from vit_jax.inspection.train_and_report import train_and_report
from vit_jax.training import compilation_cache
from vit_jax.training.config import Config, differences
from vit_jax.training.errors import Stopped, TrainingError, explaining_full_memory
from vit_jax.training.progress import make_display
from vit_jax.training.run import prepare
from vit_jax.training.workdir import existing_parent, refuse_pattern


def compare(request: Request, workdir: Path, command: str) -> bool:
    """Trains every config with every seed, each run in a process of its own, and writes the page and the CSV.

    This process computes nothing itself: it would keep the accelerators from the runs.

    Args:
        request: what to compare.
        workdir: of the comparison; it has plan.json, a workdir for each run, comparison.html and comparison.csv.
        command: that asks for it, as the page and the reports name it.

    Returns:
        Whether every run came to its end. What went wrong with the others is told on stderr.

    Raises:
        ValueError, FileNotFoundError, OSError: with what is wrong, before anything is trained; or if `workdir` holds
            another comparison, with the differences.
        TrainingError: if the process that measures a config's speed was ended, or the device's memory was full.
    """
    plan = plan_of(request, workdir, command)
    paths = {path.stem: path for path in request.configs}
    failures = {}
    for place, (name, seed) in enumerate(plan.runs, 1):
        run_name = run_workdir(workdir, name, seed).name
        done = is_finished(run_workdir(workdir, name, seed))
        print(f"\n[{place}/{len(plan.runs)}] {run_name}" + (": done before" if done else ""), flush=True)
        if done:
            continue
        try:
            in_own_process(train_one, request, paths[name], plan, seed, workdir)
        except Stopped as stopped:  # a signal is meant for the whole comparison
            raise KeyboardInterrupt from stopped
        except Exception as error:  # whatever it was: the other runs are not lost for it
            failures[run_name] = f"{type(error).__name__}: {error}"
            print(f"{run_name} failed: {failures[run_name]}", file=sys.stderr, flush=True)
    if any(is_finished(run_workdir(workdir, *run)) for run in plan.runs):
        for line in in_own_process(write_results, workdir, plan):
            print(line)
    for run_name, failure in failures.items():
        print(f"{run_name} failed: {failure}", file=sys.stderr)
    return not failures


def plan_of(request: Request, workdir: Path, command: str) -> Plan:
    """The plan in the workdir, which must be for the same, or a new one, kept there."""
    configs = read_configs(request)
    asked_now = asked(request, configs)
    for path in request.configs:
        refuse_pattern(run_workdir(workdir, path.stem, 0))
    plan = read_plan(workdir)
    if plan is not None:
        check_same(plan, asked_now, workdir)
        return plan
    entries = {}
    for path in request.configs:
        try:
            entries[path.stem] = in_own_process(decide_one, request, path, existing_parent(workdir))
        except TrainingError as error:
            raise TrainingError(f"{path.stem}: {error}") from error
        print(f"{path.stem}: {entries[path.stem].describe()}", flush=True)
    today = datetime.date.today().isoformat()
    plan = Plan(asked=asked_now, command=command, date=today, entries=entries)
    write_plan(workdir, plan)
    return plan


def decide_one(request: Request, path: Path, scratch: Path) -> Entry:
    """`decide`, in a process of its own."""
    compilation_cache.enable()
    with explaining_full_memory():
        return decide(request, path, scratch)


def is_finished(run: Path) -> bool:
    """Whether the run kept there came to its end; the report is what a run writes last."""
    return (run / "report.html").exists() and final_row(run) is not None


def config_of(request: Request, path: Path, plan: Plan, seed: int) -> Config:
    """The config of one run.

    Raises:
        ValueError: if the file has changed since the plan was made.
    """
    config = request.config(path)
    now = asked(request, {path.stem: config})["configs"][path.stem]
    changed = list(differences(plan.asked["configs"][path.stem], now))
    if changed:
        raise ValueError(f"{path} has changed since the comparison began:\n  " + "\n  ".join(changed))
    return dataclasses.replace(config, seed=seed, **plan.entries[path.stem].changes)


def train_one(request: Request, path: Path, plan: Plan, seed: int, workdir: Path) -> None:
    """Trains one run from its last checkpoint, or from the start, and writes its report.

    Raises:
        ValueError: if its images are no longer those of the comparison's beginning; or as `config_of` and `prepare`.
    """
    compilation_cache.enable()
    run = prepare(config_of(request, path, plan, seed), run_workdir(workdir, path.stem, seed))
    if told := changes(plan.entries[path.stem].images, record_of(run.dataset)):
        raise ValueError(
            f"the images of {run.dataset.name} are not those that the comparison began with ({told}): its runs could "
            "not be compared. Bring them back; a comparison of the new ones needs another --workdir"
        )
    train_and_report(run, make_display(run.total_steps), plan.command)


def write_results(workdir: Path, plan: Plan) -> list[str]:
    """Writes comparison.html and comparison.csv; returns lines that tell of them."""
    results = read_results(workdir, plan)
    write_csv(workdir / "comparison.csv", results)
    write_page(workdir / "comparison.html", plan, results)
    lines = [f"{result.name:20} {result.accuracy_text}" for result in results]
    return ["", *lines, f"page     {workdir / 'comparison.html'}", f"table    {workdir / 'comparison.csv'}"]
