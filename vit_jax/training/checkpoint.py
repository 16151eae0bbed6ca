"""Checkpoints of a run: written by Orbax in the background, proved by a manifest, restored to any devices there are.

A checkpoint counts from the moment that it has a manifest; it is verified before it is restored. Which is the latest is
read from the disk, always.
"""

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any, Self, cast

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from jax.experimental import multihost_utils

from vit_jax.training.errors import TrainingError
from vit_jax.training.manifest import MANIFEST, problems, read_manifest, write_manifest
from vit_jax.training.processes import is_first
from vit_jax.training.step import TrainState

UNFINISHED = ".orbax-checkpoint-tmp"
"""In a checkpoint's name while it is being written, or if the process was killed then."""
MERGED = "manifest.ocdbt"
"""The file that Orbax writes last, when it joins what the processes have written; without it nothing can be read."""
SET_ASIDE = ".damaged"
"""What a checkpoint's name ends with when it was found unusable."""
DELETING = ".deleting"
"""What its name ends with while its files are deleted, one after the other."""

NOTHING_SAVED, NONE_WHOLE = -1, -2
"""In the place of a step, as the first process tells the others."""

PATIENCE_SECONDS = 10**7
"""How long Orbax waits for its own work. It goes by a clock that can be set, and that runs while a laptop sleeps."""


def steps_of(directory: Path) -> list[int]:
    """The steps that were saved in a directory, verified or not, in order."""
    if not directory.is_dir():
        return []
    return sorted(int(path.name) for path in directory.iterdir() if path.name.isdecimal() and path.is_dir())


def has_checkpoint(directory: Path) -> bool:
    """Whether a directory has a checkpoint that was saved to its end."""
    return any((directory / str(step) / MANIFEST).is_file() for step in steps_of(directory))


class Checkpoints:
    """The checkpoints in `directory`, named by their step.

    Args:
        directory: absolute or relative; made if need be.
        keep: how many undamaged checkpoints to keep, the latest ones; at least 2.
        say: tells the person who runs this what was found damaged.
    """

    def __init__(self, directory: Path, keep: int, say: Callable[[str], None]):
        self.directory = directory.absolute()
        self.keep = keep
        self.say = say
        # For directories that are made in the background it has a patience of its own, five minutes by the same clock.
        patient = ocp.options.AsyncOptions(timeout_secs=PATIENCE_SECONDS, create_directories_asynchronously=False)
        self.checkpointer = ocp.AsyncCheckpointer(ocp.StandardCheckpointHandler(), async_options=patient)
        self.thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self.saving: Future[None] | None = None
        if is_first():
            self.directory.mkdir(parents=True, exist_ok=True)
            for pattern in (f"*{UNFINISHED}*", f"*{DELETING}"):  # not yet, or no longer a checkpoint
                for remains in self.directory.glob(pattern):
                    shutil.rmtree(remains)

    def restore(self, like: TrainState) -> tuple[TrainState, dict[str, Any]] | None:
        """The state in the latest checkpoint that is whole, placed on devices as `like` is, and its record, as it was
        given to `save`; None if nothing was saved yet.

        `like` is a state, or what describes one: `jax.ShapeDtypeStruct`s with shardings.

        What is found damaged or incomplete is set aside, under another name, and said.

        Raises:
            TrainingError: if checkpoints were saved, but none is whole, or it is one of another network.
        """
        step, error = NOTHING_SAVED, None
        if is_first():
            try:
                step = self.latest_whole()
            except TrainingError as none_whole:
                step, error = NONE_WHOLE, none_whole
        step = int(multihost_utils.broadcast_one_to_all(jnp.int32(step)))
        if step == NONE_WHOLE:
            raise error or TrainingError(f"no checkpoint in {self.directory} is whole")
        if step == NOTHING_SAVED:
            return None
        manifest = read_manifest(self.path(step))
        other = sorted({*manifest["tree"].items()} ^ {*tree_of(like).items()})
        if other:
            names = ", ".join(dict.fromkeys(name for name, _ in other[:10]))
            raise TrainingError(f"checkpoint {step} in {self.directory} is of another network or optimizer: {names}")
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        state = self.checkpointer.restore(self.path(step), args=ocp.args.StandardRestore(abstract))
        return cast(TrainState, state), manifest["record"]

    def latest_whole(self) -> int:
        """The latest step that is whole, verified; `NOTHING_SAVED` if there is none. Sets aside what is not."""
        for step in reversed(steps_of(self.directory)):
            wrong = problems(self.path(step))
            if not wrong:
                return step
            aside = self.set_aside(step)
            self.say(f"checkpoint {step} is not used, and kept as {aside.name}: {listed(wrong)}")
        # Without a manifest, the first save of all was cut off. With one, there was something to go on from.
        lost = sorted(path.name for path in self.directory.glob(f"*{SET_ASIDE}*") if (path / MANIFEST).exists())
        if lost:
            raise TrainingError(
                f"no checkpoint in {self.directory} is whole: {', '.join(lost)}. Bring back a copy of one, under its "
                "step as its name; or give another --workdir, to start from the beginning"
            )
        return NOTHING_SAVED

    def set_aside(self, step: int) -> Path:
        """Gives a checkpoint a name that is no step, and returns it."""
        names = (f"{step}{SET_ASIDE}{number or ''}" for number in count())
        free = next(name for name in names if not (self.directory / name).exists())
        return self.path(step).rename(self.directory / free)

    def save(self, step: int, state: TrainState, record: Mapping[str, Any]) -> None:
        """Starts saving a state; its arrays may be reused as soon as this returns.

        Args:
            step: of the state.
            state: whole arrays.
            record: of the run: numbers, strings, lists and dicts.

        Raises:
            TrainingError: if a value of the state is not finite, or if the save before failed.
        """
        self.wait()
        refuse_not_finite(step, state)
        try:
            self.checkpointer.save(self.path(step), args=ocp.args.StandardSave(state))
        except Exception as error:  # of Orbax, TensorStore and the file system: there is no one class
            raise failed(step, error) from error
        contents = {"step": step, "tree": tree_of(state), "record": dict(record)}
        self.saving = self.thread.submit(self.finish, step, contents)

    def finish(self, step: int, contents: Mapping[str, Any]) -> None:
        """Waits for a save, proves it, and deletes the oldest ones; in a thread of its own."""
        try:
            self.checkpointer.wait_until_finished()
            if is_first():
                if not (self.path(step) / MERGED).is_file():  # Orbax passes over it with a line in its log
                    raise FileNotFoundError(f"Orbax has not joined its files to {MERGED}")
                write_manifest(self.path(step), contents)
                self.delete_old()
        except Exception as error:
            raise failed(step, error) from error

    def delete_old(self) -> None:
        """Deletes what is older than the latest ones to keep, each of which is verified first."""
        steps, whole = steps_of(self.directory), 0
        if len(steps) <= self.keep:
            return  # nothing is to go, so nothing need be read
        for step in reversed(steps):
            if whole == self.keep:
                shutil.rmtree(self.path(step).rename(self.directory / f"{step}{DELETING}"))
            elif not problems(self.path(step)):
                whole += 1

    def check(self) -> None:
        """Raises the error of the save under way as soon as it has one."""
        if self.saving is not None and self.saving.done():
            self.wait()

    def wait(self) -> None:
        """Waits for the save under way; raises its error if it had one."""
        saving, self.saving = self.saving, None
        if saving is not None:
            saving.result()

    def path(self, step: int) -> Path:
        """The directory of a step."""
        return self.directory / str(step)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for the save under way, also when the run is cut off; raises its error if it had one."""
        try:
            self.wait()
        except TrainingError:
            with suppress(Exception):  # Orbax would raise the same again, in its own words
                self.checkpointer.close()
            raise
        else:
            self.checkpointer.close()
        finally:
            self.thread.shutdown()


def tree_of(state: TrainState) -> dict[str, str]:
    """What a state is made of: the path of every array with its dtype and shape, such as "float32[3,64]"."""
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {path_name(path): f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]" for path, leaf in leaves}


def path_name(path: tuple[Any, ...]) -> str:
    """The path of an array in a state, such as "params/head/bias"."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


@jax.jit
def are_finite(leaves: list[jax.Array]) -> list[jax.Array]:
    """Whether all values of each array are finite."""
    return [jnp.isfinite(leaf).all() for leaf in leaves]


def refuse_not_finite(step: int, state: TrainState) -> None:
    """Raises a TrainingError if a value of a state is infinite or no number."""
    finite = jax.device_get(are_finite(jax.tree.leaves(state)))
    bad = [path for path, is_finite in zip(tree_of(state), finite, strict=True) if not is_finite]
    if bad:
        raise TrainingError(f"the state of step {step} is not saved: not every value is finite in {listed(bad)}")


def failed(step: int, error: Exception) -> TrainingError:
    """The error of a run whose checkpoint could not be saved."""
    return TrainingError(f"saving checkpoint {step} failed, so the run stops: {error}")


def listed(lines: list[str]) -> str:
    """Lines as part of a sentence, at most three of them."""
    return "; ".join(lines[:3]) + (f" (and {len(lines) - 3:,} more)" if len(lines) > 3 else "")
