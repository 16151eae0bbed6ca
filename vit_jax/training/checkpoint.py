"""Checkpoints of a run, by Orbax: saved in the background, restored to whatever devices there are."""

from pathlib import Path
from typing import Self, cast

import jax
import orbax.checkpoint as ocp

from vit_jax.training.step import TrainState


def has_checkpoint(directory: Path) -> bool:
    """Whether a directory has a checkpoint that is complete: Orbax names those by their step alone."""
    return directory.is_dir() and any(path.name.isdecimal() for path in directory.iterdir())


class Checkpoints:
    """The checkpoints in `directory`, named by their step.

    Args:
        directory: absolute or relative; made if need be.
        keep: how many of the latest to keep.
    """

    def __init__(self, directory: Path, keep: int):
        options = ocp.CheckpointManagerOptions(max_to_keep=keep, enable_async_checkpointing=True)
        self.manager = ocp.CheckpointManager(directory.absolute(), options=options)

    @property
    def latest(self) -> int | None:
        """The last step saved; None if there is none."""
        return self.manager.latest_step()

    def save(self, state: TrainState) -> None:
        """Starts saving a state; its arrays may be reused as soon as this returns."""
        self.manager.save(int(state.step), args=ocp.args.StandardSave(state))

    def restore(self, like: TrainState) -> TrainState:
        """The latest state, placed on devices as `like` is."""
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        return cast(TrainState, self.manager.restore(self.latest, args=ocp.args.StandardRestore(abstract)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        """Waits for the save under way, also when the run is cut off; raises its error if it had one."""
        self.manager.wait_until_finished()
        self.manager.close()
