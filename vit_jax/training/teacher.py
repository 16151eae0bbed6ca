"""A network that is not trained: the teacher of a distillation or a tokenizer, loaded and checked against the data."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vit_jax.data.dataset import Dataset
from vit_jax.digest import digest_of
from vit_jax.evaluation.class_order import match_classes
from vit_jax.json_file import read_json, write_json
from vit_jax.models.network import Network, pair
from vit_jax.models.network_input import fits_channels
from vit_jax.models.parameters import parameter_count
from vit_jax.objectives.distillation import Distillation
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.pretrained.converted import read_parameters
from vit_jax.pretrained.load import open_stored
from vit_jax.training.config import Config

TEACHER = "teacher.json"
"""What tells of a run's teacher in its workdir."""


@dataclass(frozen=True)
class LoadedTeacher:
    """A teacher or tokenizer, read.

    Attributes:
        model: the network.
        params: its parameters, on the host.
        outputs: int32 [classes], its output for each label of the data set; None for a tokenizer.
        description: what it is, in a line.
        source: where it comes from, as the config names it.
    """

    model: Network
    params: Any
    outputs: np.ndarray | None
    description: str
    source: str

    @property
    def arrays(self) -> dict[str, Any]:
        """What the step needs of it on the devices."""
        return {"params": self.params, "outputs": self.outputs}

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its parameters, with their names and shapes, and of the order of its outputs."""
        return digest_of(self.params, repr(None if self.outputs is None else self.outputs.tolist()))


def load_teacher(config: Config, dataset: Dataset, model: Network) -> LoadedTeacher | None:
    """The teacher or tokenizer that a config asks for; None if its objective has none.

    Args:
        config: the experiment.
        dataset: its images.
        model: the network that it is to teach.

    Raises:
        ValueError: if the teacher has other classes than the data set or the tokenizer another grid than the network;
            if it takes images of other channels, or is damaged.
        FileNotFoundError: if it is not there.
        ModuleNotFoundError: if reading it needs a package that is not installed.
    """
    if isinstance(config.objective, Distillation):
        return load_distillation_teacher(config.objective, config.dtype, dataset)
    if isinstance(config.objective, MaskedImageModelling):
        return load_tokenizer(config.objective, config.dtype, dataset, model)
    return None


def load_distillation_teacher(objective: Distillation, dtype: str, dataset: Dataset) -> LoadedTeacher:
    """The teacher of a distillation."""
    stored = open_stored(objective.teacher, publisher=objective.publisher, revision=objective.revision)
    model = stored.model
    if model.num_classes == 0:
        raise ValueError(f"the teacher in {objective.teacher} has no classes to teach: take one that classifies")
    try:
        order = match_classes(stored.class_names, model.num_classes, dataset.class_names)
    except ValueError as error:
        raise ValueError(
            f"the teacher in {objective.teacher} cannot teach the classes of {dataset.name}: {error}"
        ) from None
    check_channels(model, f"the teacher in {objective.teacher}", dataset)
    description = f"{described(model, objective.teacher, dataset)}; classes {order.description}"
    params = read_parameters(stored.converted.parameters)
    return LoadedTeacher(model.clone(dtype=np.dtype(dtype)), params, order.outputs, description, objective.teacher)


def load_tokenizer(objective: MaskedImageModelling, dtype: str, dataset: Dataset, model: Network) -> LoadedTeacher:
    """The tokenizer of masked image modelling."""
    stored = open_stored(objective.tokenizer)
    objective.check_tokenizer(model, stored.model)
    check_channels(stored.model, f"the tokenizer in {objective.tokenizer}", dataset)
    params = read_parameters(stored.converted.parameters)
    description = described(stored.model, objective.tokenizer, dataset)
    tokenizer = stored.model.clone(dtype=np.dtype(dtype))
    return LoadedTeacher(tokenizer, params, None, description, objective.tokenizer)


def check_channels(model: Network, named: str, dataset: Dataset) -> None:
    """Raises ValueError if the data set's images cannot be shown to a network."""
    channels = dataset.image_shape[2]
    if not fits_channels(channels, model.in_channels):
        raise ValueError(
            f"{named} takes images of {model.in_channels} channels; those of {dataset.name} have {channels}"
        )


def described(model: Network, source: str, dataset: Dataset) -> str:
    """What a network is and where it comes from, in a line."""
    size, its_own = dataset.image_shape[:2], pair(model.image_size)
    resized = "" if size == its_own else f", to which images are resized to {its_own[0]}x{its_own[1]}"
    return f"{type(model).__name__} of {source}: {parameter_count(model):,} parameters{resized}"


def keep_teacher(teacher: LoadedTeacher, path: Path) -> None:
    """Writes to `path` which teacher a run begins with; one that goes on must have the same.

    Its parameters are not in the run's checkpoints, and the file they come from may have become another since.

    Raises:
        ValueError: if it has another.
    """
    now = {"told": teacher.description, "sha256": teacher.sha256}
    if not path.exists():
        write_json(path, now)
    elif (began_with := read_json(path)).keys() != now.keys():
        raise ValueError(f"{path} is damaged: it should have {' and '.join(now)}")
    elif began_with["sha256"] != teacher.sha256:
        raise ValueError(
            f"{path.parent} holds a run with another teacher: it began with\n"
            f"  {began_with['told']} (SHA-256 {began_with['sha256'][:12]}...), and now there is\n"
            f"  {teacher.description} (SHA-256 {teacher.sha256[:12]}...)\n"
            "Give another --workdir for a new run, or put the old weights back to continue that one."
        )
