"""A run's directory: whose it is, and whether it has room."""

import glob
import json
import math
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import optax

from vit_jax.data.images_of_run import may_be_set_of, root_of
from vit_jax.data.listing import LISTING
from vit_jax.data.set_record import RECORD
from vit_jax.json_file import read_json, write_json
from vit_jax.training.best import BEST
from vit_jax.training.checkpoint import UNFINISHED, steps_of
from vit_jax.training.config import Config, differences, to_json
from vit_jax.training.metrics import TENSORBOARD
from vit_jax.training.start import NETWORK
from vit_jax.training.step import start_state
from vit_jax.training.teacher import TEACHER
from vit_jax.training.workdir_lock import WorkdirLock
from vit_jax.whole_file import remove_unfinished

NOT_FINITE = "not_finite.json"
"""Of a run that ended for too many updates that were not finite: their steps, figures and examples."""

ANY_MACHINE = (
    *("parallel.", "data.data_dir:", "data.feed:", "data.workers:", "model.fields.attention:"),
    *("keep_checkpoints:", "checkpoint_every:", "evaluate_every:", "log_every:", "judge_features:"),
)
"""Fields of a config that may be others when a run goes on: they say where it runs and what it tells, not what it
computes."""


def config_there(workdir: Path) -> dict[str, Any] | None:
    """The config of the run in a workdir, as it was written; None if there is none.

    Raises:
        ValueError: if the config.json there is not a run's, but a model's: it would be overwritten.
    """
    path = workdir / "config.json"
    if not path.exists():
        return None
    content = read_json(path)
    if not {"model", "data", "objective", "optimizer"} <= content.keys():
        raise ValueError(f"{path} is not the config of a run; a model is kept there? Give another --workdir")
    return content


def forget_unbegun(workdir: Path) -> None:
    """Forgets what a run wrote down at its beginning, if it never came to a checkpoint: there is nothing to go on with.

    Such a run may have ended at a damaged image, which has been taken away since, or at a mistake in its config.

    Raises:
        ValueError: as `config_there`.
    """
    if config_there(workdir) is None:
        return
    with suppress(BlockingIOError), WorkdirLock(workdir):  # else it has just begun, in another process
        if has_ever_saved(workdir) or any((workdir / name).exists() for name in ("model", "report.html")):
            return
        for name in ("config.json", LISTING, RECORD, NETWORK, TEACHER, NOT_FINITE):
            (workdir / name).unlink(missing_ok=True)
        shutil.rmtree(workdir / TENSORBOARD, ignore_errors=True)


def has_ever_saved(workdir: Path) -> bool:
    """Whether a run has saved a checkpoint, which may have been set aside since."""
    return any(UNFINISHED not in path.name for path in (workdir / "checkpoints").glob("*"))


def refuse_lost_checkpoints(workdir: Path) -> None:
    """A run whose checkpoints were deleted cannot go on: it would start over, in the place of what there is of it.

    One that was killed while it saved its first checkpoint has a model, too, and starts over: nothing is lost by that.

    Raises:
        ValueError: if it is so.
    """
    saved_before = (workdir / "report.html").exists() or (
        (workdir / "model").exists() and not (workdir / "checkpoints").exists()
    )
    if config_there(workdir) is not None and saved_before and not has_ever_saved(workdir):
        raise ValueError(
            f"{workdir} has a trained model, but none of the checkpoints to go on from. Bring {workdir}/checkpoints "
            "back; or give another --workdir, to train from the beginning"
        )


def refuse_pattern(workdir: Path) -> None:
    """Orbax takes the path of a checkpoint for a pattern when it joins what it has written: characters that mean
    something there would leave checkpoints that cannot be read.

    Raises:
        ValueError: if the path of a workdir has one.
    """
    path = str(workdir.absolute())
    if glob.escape(path) != path or "\\" in path:
        raise ValueError(f"checkpoints cannot be kept in {path}: give a --workdir whose path has none of * ? [ \\")


def refuse_other_config(config: Config, workdir: Path) -> None:
    """An existing run in the workdir must have the same config, but for the fields of ANY_MACHINE, the place of its
    folder of images, and whether files there that went bad are skipped: a run may go on elsewhere.

    Raises:
        ValueError: if it has another; the differences are listed. Or as `config_there`.
    """
    old = config_there(workdir)
    if old is None:
        return
    try:
        was = old["data"]["name"]
    except (KeyError, TypeError) as error:
        raise ValueError(f"{workdir / 'config.json'} is damaged: {error} is not there") from error
    new = json.loads(json.dumps(to_json(config)))
    may_change = (*ANY_MACHINE, "data.name:")
    may_change += ("data.skip_unreadable:",) if (workdir / LISTING).exists() else ()  # the images stay the same
    changed = [line for line in differences(old, new) if not line.startswith(may_change)]
    now = new["data"]["name"]
    if not may_be_set_of(workdir, was, now):
        changed += [f"data.name: {was} -> {now}" if was != now else f"{now}: {root_of(workdir, was)} is another folder"]
    if changed:
        raise ValueError(
            f"{workdir} holds a run with another config:\n  " + "\n  ".join(changed) + "\n"
            "Give another --workdir for a new run, or the old values to continue that one."
        )


def claim_workdir(config: Config, workdir: Path) -> WorkdirLock:
    """Makes the workdir, locks it, removes what a killed run was writing of its models, and writes the config.

    Raises:
        BlockingIOError: if another process is training there.
        ValueError: as `refuse_other_config`, if another process has trained there since that was asked.
        OSError: if it cannot be written to.
    """
    try:
        workdir.mkdir(parents=True, exist_ok=True)
        lock = WorkdirLock(workdir)
        try:
            refuse_other_config(config, workdir)
        except ValueError:
            lock.close()
            raise
        for folder in (workdir / "model", workdir / BEST):
            remove_unfinished(folder)
        write_json(workdir / "config.json", to_json(config))
    except BlockingIOError:
        raise
    except OSError as error:
        raise type(error)(error.errno, f"cannot write to the workdir {workdir}: {error.strerror}") from error
    return lock


def existing_parent(path: Path) -> Path:
    """The path itself, or the nearest directory above it that exists."""
    return next(parent for parent in (path.absolute(), *path.absolute().parents) if parent.exists())


def require_room(workdir: Path, bytes_each: int, keep: int) -> None:
    """Raises OSError if a workdir's disk has no room for the checkpoints to come: one more than are kept, but for
    those that are there.
    """
    kept = [workdir / "checkpoints" / str(step) for step in steps_of(workdir / "checkpoints")]
    files = [os.path.join(folder, name) for step in kept for folder, _, names in os.walk(step) for name in names]
    there = sum(os.path.getsize(file) for file in files if os.path.exists(file))
    needed = max(bytes_each, bytes_each * (keep + 1) - there)
    free = shutil.disk_usage(existing_parent(workdir)).free
    if free < needed:
        raise OSError(
            f"{workdir} has {free / 2**20:,.0f} MiB free; this run's {keep} checkpoints need {needed / 2**20:,.0f} MiB "
            "more. Free some space, give another --workdir or a smaller keep_checkpoints"
        )


def checkpoint_bytes(params: Any, optimizer: optax.GradientTransformation, config: Config) -> int:
    """Size of one checkpoint."""
    state = jax.eval_shape(lambda params: start_state(params, optimizer, config.keeps_average), params)
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
