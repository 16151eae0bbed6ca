"""The teacher of a distillation: loaded, and checked against the data."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from vit_jax.data.dataset import Dataset
from vit_jax.evaluation.class_order import match_classes
from vit_jax.models.network import Network, pair
from vit_jax.models.parameters import parameter_count
from vit_jax.objectives.distillation import Distillation
from vit_jax.pretrained.converted import read_parameters
from vit_jax.pretrained.load import open_stored
from vit_jax.training.config import Config


@dataclass(frozen=True)
class Teacher:
    """A network that is not trained.

    Attributes:
        model: the network.
        params: its parameters, on the host.
        outputs: int32 [classes], its output for each label of the data set.
        told: what it is, in a line.
    """

    model: Network
    params: Any
    outputs: np.ndarray
    told: str

    @property
    def arrays(self) -> dict[str, Any]:
        """What the step needs of it on the devices."""
        return {"params": self.params, "outputs": self.outputs}


def load_teacher(config: Config, dataset: Dataset) -> Teacher | None:
    """The teacher that a config asks for; None if its objective has none.

    Raises:
        ValueError: if the teacher has other classes than the data set, takes images of other channels, or is damaged.
        FileNotFoundError: if it is not there.
        ModuleNotFoundError: if reading it needs a package that is not installed.
    """
    objective = config.objective
    if not isinstance(objective, Distillation):
        return None
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
    channels = dataset.image_shape[2]
    if model.in_channels != channels:
        raise ValueError(
            f"the teacher in {objective.teacher} takes images of {model.in_channels} channels; those of {dataset.name} "
            f"have {channels}"
        )
    size, its_own = dataset.image_shape[:2], pair(model.image_size)
    resized = "" if size == its_own else f", to which images are resized to {its_own[0]}x{its_own[1]}"
    told = f"{type(model).__name__} of {objective.teacher}: {parameter_count(model):,} parameters{resized}; "
    told += f"classes {order.told}"
    params = read_parameters(stored.converted.parameters)
    return Teacher(model.clone(dtype=np.dtype(config.dtype)), params, order.outputs, told)
