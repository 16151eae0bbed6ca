"""What every objective is: a loss of a network on a batch."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import optax
from flax.core import FrozenDict

from vit_jax.models.network import Network
from vit_jax.models.network_input import network_input

Params = Any
"""A nested dict of arrays."""


class Examples(NamedTuple):
    """A batch of augmented training examples.

    Attributes:
        pixels: float32 [B, h, w, C] in [0, 255], of the data set's own size.
        labels: float32 [B, classes], each row a distribution (mixed labels have several classes).
        keys: [B], one for all that is random in an example. It depends on the example's place in the batch of all
            devices, and so does not on how many there are.
    """

    pixels: jax.Array
    labels: jax.Array
    keys: jax.Array


class Teacher(NamedTuple):
    """A network that teaches and is not trained: of a distillation, of a self-distillation, or a tokenizer.

    Attributes:
        model: the network.
        params: its parameters.
        outputs: int32 [classes], its output for each label; None where the network trained learns no classes.
    """

    model: Network
    params: Params
    outputs: jax.Array | None


class Given(NamedTuple):
    """What an objective is given besides a network and a batch.

    Attributes:
        key: of dropout and drop path.
        teacher: of an objective that has one.
        scheduled: float32 scalars, the values of the objective's `schedules` at this step.
        class_weights: float32 [classes], for an objective that `weighs_classes`; 1 on average over the training images.
    """

    key: jax.Array
    teacher: Teacher | None = None
    scheduled: Mapping[str, jax.Array] = FrozenDict()
    class_weights: jax.Array | None = None


class Loss(NamedTuple):
    """What an objective makes of a batch.

    Attributes:
        value: the mean loss, a float32 scalar.
        metrics: further means over the batch to report.
        statistics: the running statistics after this batch, a nested dict that is empty where there is no batch norm.
    """

    value: jax.Array
    metrics: dict[str, jax.Array]
    statistics: Mapping[str, Any]


def outputs_in_training(model: Network, params: Params, pixels: jax.Array, key: jax.Array) -> tuple[Any, Any]:
    """What a network says of a batch [B, h, w, C] in training, and its running statistics after it, a nested dict.

    Args:
        model: the network.
        params: its parameters.
        pixels: in [0, 255]; they are brought to its size and normalised.
        key: of dropout and drop path.
    """
    images, rngs = network_input(model, pixels), {"dropout": key}
    outputs, changed = model.apply({"params": params}, images, train=True, rngs=rngs, mutable=["statistics"])
    return outputs, changed.get("statistics", {})


@dataclass(frozen=True)
class Objective(ABC):
    """What is minimised; its fields are those of the config.

    Attributes:
        learns_classes: whether the network has an output for each class of the data set. One that has not is evaluated
            by the nearest neighbours of its features.
        taught_by_average: whether the teacher is the moving average of the parameters, which the run then keeps.
    """

    learns_classes: ClassVar[bool] = True
    taught_by_average: ClassVar[bool] = False

    @property
    def weighs_classes(self) -> bool:
        """Whether it is to be given the weights by which all classes count alike."""
        return False

    @abstractmethod
    def check(self, model: Network) -> None:
        """Raises ValueError if it cannot train this network."""

    def schedules(self, steps: int, in_steps: Callable[[str], int]) -> dict[str, optax.Schedule]:
        """What of the objective changes over a run of so many steps, by name; none does by default.

        Args:
            steps: of the run.
            in_steps: the steps of a duration ("10 epochs").
        """
        return {}

    def frozen_steps(self, in_steps: Callable[[str], int]) -> dict[str, int]:
        """For how many steps parameters stay as they are at the beginning, by shell patterns of their paths; none do by
        default.

        Args:
            in_steps: the steps of a duration ("10 epochs").
        """
        return {}

    @abstractmethod
    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The loss of a training batch.

        Args:
            model: the network.
            params: its parameters.
            examples: the batch, or one device's part of it.
            given: the key, and what the objective asks for.
        """
