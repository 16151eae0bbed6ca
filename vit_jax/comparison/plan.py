"""What a comparison does: what was asked for, and what was decided before the first run. Kept as plan.json."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_jax.json_file import read_json, write_json
from vit_jax.training.config import differences


@dataclass(frozen=True)
class Entry:
    """What was decided for one config.

    Attributes:
        changes: fields of the config that its runs have otherwise, beside the seed: durations.
        steps: of each run.
        seconds_per_step: as measured, where the budget is one of time.
        notes: of the data set.
        images: what tells the data set from another (`vit_jax.data.set_record`); every run of the config has the same.
        machine: device, processor cores and versions, by what they are called on the page.
    """

    changes: dict[str, str]
    steps: int
    seconds_per_step: float | None
    notes: list[str]
    images: dict[str, Any]
    machine: dict[str, str]

    def describe(self) -> str:
        """The length of the runs in words."""
        measured = f", {self.seconds_per_step:.4g} s each as measured" if self.seconds_per_step else ""
        return f"{self.steps:,} steps{measured}"


@dataclass(frozen=True)
class Plan:
    """A comparison, decided: the same plan gives the same runs.

    Attributes:
        asked: what was asked for, the configs' contents included; a comparison goes on only where it is the same.
        command: that asked for it first.
        date: of the start.
        entries: by the configs' names.
    """

    asked: dict[str, Any]
    command: str
    date: str
    entries: dict[str, Entry]

    @property
    def runs(self) -> list[tuple[str, int]]:
        """Every run as (config's name, seed), a seed of every config before the next seed."""
        return [(name, seed) for seed in range(self.asked["seeds"]) for name in self.entries]


def run_workdir(workdir: Path, name: str, seed: int) -> Path:
    """Where a run of the comparison in `workdir` is kept."""
    return workdir / f"{name}-seed{seed}"


def read_plan(workdir: Path) -> Plan | None:
    """The plan in a workdir; None if there is none."""
    path = workdir / "plan.json"
    if not path.exists():
        return None
    try:
        plan = read_json(path)
        entries = {name: Entry(**entry) for name, entry in plan.pop("entries").items()}
        return Plan(**plan, entries=entries)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path} is no plan of this version: {error!r}. Give another --workdir") from error


def write_plan(workdir: Path, plan: Plan) -> None:
    """Writes the plan into the workdir, which is made if need be."""
    workdir.mkdir(parents=True, exist_ok=True)
    write_json(workdir / "plan.json", dataclasses.asdict(plan))


def check_same(plan: Plan, asked_now: dict[str, Any], workdir: Path) -> None:
    """Raises ValueError with the differences if the plan in `workdir` was made for something else."""
    changed = list(differences(plan.asked, asked_now))
    if changed:
        raise ValueError(
            f"{workdir} holds another comparison:\n  " + "\n  ".join(changed) + "\n"
            "Give another --workdir for a new comparison, or ask for the same to continue that one."
        )
