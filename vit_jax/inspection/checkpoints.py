"""`vit-jax checkpoints`: what a run has saved, whether it is whole, and how two states differ."""

import datetime
from collections.abc import Iterable
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp

from vit_jax.training.checkpoint import path_name, steps_of
from vit_jax.training.manifest import MANIFEST, problems


def directory_of(workdir: Path) -> Path:
    """Where a run keeps its checkpoints.

    Raises:
        FileNotFoundError: if it has none.
    """
    directory = workdir / "checkpoints"
    if not directory.is_dir() or not any(directory.iterdir()):
        raise FileNotFoundError(f"{workdir} has no checkpoints: name the --workdir of a run")
    return directory


def list_checkpoints(workdir: Path) -> int:
    """Prints a line for each checkpoint, and for what was set aside; returns the exit status."""
    directory = directory_of(workdir)
    steps_of_run = [str(step) for step in steps_of(directory)]
    others = sorted(path.name for path in directory.iterdir() if path.is_dir() and path.name not in steps_of_run)
    for name in steps_of_run + others:
        path = directory / name
        try:
            size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
            saved = datetime.datetime.fromtimestamp(path.stat().st_mtime).isoformat(" ", "seconds")
        except FileNotFoundError:  # the run has deleted it meanwhile
            continue
        state = "" if name in steps_of_run and (path / MANIFEST).exists() else "  not used"
        print(f"{name:>10}  {size / 2**20:10,.1f} MiB  {saved}{state}")
    return 0


def verify(workdir: Path, steps: tuple[int, ...]) -> int:
    """Reads every file of the checkpoints, prints what is wrong; returns 1 if something is.

    One that a run in training deletes meanwhile, as it keeps the latest, is not damaged; nor is one that it is saving,
    or was when it was killed.
    """
    directory = directory_of(workdir)
    status = 0
    for step in chosen(directory, steps):
        path = directory / str(step)
        if not steps and path.exists() and not (path / MANIFEST).exists():
            print(f"{step:>10}  not saved to its end; not used")
            continue
        wrong = problems(path)
        if wrong and step not in steps_of(directory):
            print(f"{step:>10}  deleted by the run meanwhile")
            continue
        status = 1 if wrong else status
        print(f"{step:>10}  {'whole' if not wrong else 'DAMAGED: ' + '; '.join(wrong)}")
    return status


def diff(workdir: Path, steps: tuple[int, ...], other: Path | None) -> int:
    """Prints how the arrays of two checkpoints differ; returns 0 if they do not, else 1."""
    directory = directory_of(workdir)
    if other is None:
        first, second = two_of(directory, steps)
    elif len(steps) > 1:
        raise ValueError("of two runs one step is compared: give one number with --steps and --other, or none")
    else:
        first, second = (where / str(comparable(where, steps)[-1]) for where in (directory, directory_of(other)))
    one, two = arrays_of(first), arrays_of(second)
    lines = [line for name in sorted(one.keys() & two.keys()) if (line := difference(name, one, two))]
    alone = [*only_in("first", one.keys() - two.keys()), *only_in("second", two.keys() - one.keys())]
    differing = len(lines) + len(one.keys() ^ two.keys())
    print(f"{first} and {second}: {differing:,} of {len(one.keys() | two.keys()):,} arrays differ")
    for line in (*lines, *alone):
        print(f"  {line}")
    return 1 if differing else 0


def only_in(which: str, names: Iterable[str]) -> list[str]:
    """A line for each part of a state ("params", "opt_state") that has arrays which the other checkpoint has not."""
    parts: dict[str, list[str]] = {}
    for name in sorted(names):
        parts.setdefault(name.split("/")[0], []).append(name)
    return [f"{part}: {len(of_part):,} only in the {which}, as {of_part[0]}" for part, of_part in parts.items()]


def chosen(directory: Path, steps: tuple[int, ...]) -> list[int]:
    """These steps, or all.

    Raises:
        FileNotFoundError: if one was not saved, or none is.
    """
    there = steps_of(directory)
    if not there:
        raise FileNotFoundError(f"every checkpoint in {directory} was set aside, or is not saved yet: see `list`")
    for step in steps:
        if step not in there:
            raise FileNotFoundError(f"{directory} has no checkpoint {step}; it has {', '.join(map(str, there))}")
    return list(steps) or there


def comparable(directory: Path, steps: tuple[int, ...]) -> list[int]:
    """These steps; or those that were saved to their end: a run may be saving the very latest just now.

    Raises:
        FileNotFoundError: if one was not saved, or none was to its end.
    """
    saved = [step for step in chosen(directory, steps) if steps or (directory / str(step) / MANIFEST).exists()]
    if not saved:
        raise FileNotFoundError(f"{directory} has no checkpoint that was saved to its end")
    return saved


def two_of(directory: Path, steps: tuple[int, ...]) -> tuple[Path, Path]:
    """The two checkpoints to compare.

    Raises:
        ValueError: if there are not two.
    """
    both = comparable(directory, steps)
    both = both if steps else both[-2:]
    if len(both) != 2:
        given = "--steps names" if steps else f"{directory} has"
        raise ValueError(f"two checkpoints are compared; {given} {', '.join(map(str, both))}")
    return directory / str(both[0]), directory / str(both[1])


def arrays_of(checkpoint: Path) -> dict[str, np.ndarray]:
    """The arrays of a checkpoint by their paths, on the host.

    Raises:
        ValueError: if it is damaged.
        FileNotFoundError: if a run in training deleted it meanwhile.
    """
    checkpoint = checkpoint.absolute()  # for Orbax
    try:
        if wrong := problems(checkpoint):
            raise ValueError(f"{checkpoint} is damaged: {wrong[0]}")
        with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
            metadata = checkpointer.metadata(checkpoint).item_metadata
            as_numpy = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), metadata.tree)  # on any machine
            state = checkpointer.restore(checkpoint, ocp.args.PyTreeRestore(restore_args=as_numpy))
    except Exception as error:  # whatever it was that could not be read
        if checkpoint.exists():
            raise
        raise FileNotFoundError(f"{checkpoint} was deleted by its run meanwhile: compare again") from error
    return {path_name(path): np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(state)}


def difference(name: str, one: dict[str, np.ndarray], two: dict[str, np.ndarray]) -> str | None:
    """How an array of both checkpoints differs, in a line; None if it is the same to the last bit."""
    a, b = one[name], two[name]
    if a.shape != b.shape or a.dtype != b.dtype:
        return f"{name}: {a.dtype}{list(a.shape)} and {b.dtype}{list(b.shape)}"
    if a.tobytes() == b.tobytes():
        return None
    apart = np.abs(a.astype(np.float64) - b.astype(np.float64))
    return f"{name}: {np.count_nonzero(a != b):,} of {a.size:,} values, by at most {apart.max():.3g}"
