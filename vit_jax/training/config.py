"""An experiment, written down: a tree of frozen dataclasses."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from vit_jax.data.augment import Transform
from vit_jax.data.dataset import DataConfig
from vit_jax.objectives.classification import Classification
from vit_jax.training import durations
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.parallel import ParallelConfig


@dataclass(frozen=True)
class ModelConfig:
    """A network by its registered name, with some of its fields replaced.

    Attributes:
        name: see `vit_jax.list_models()`.
        fields: of the module, e.g. {"image_size": 64, "drop_path_rate": 0.1}. The data set decides `num_classes` and
            `in_channels`, the config's `dtype` the precision: they are not set here.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """One experiment. Durations are written "30 epochs" or "500 steps".

    Attributes:
        model: the network.
        data: the images.
        augment: what is done to training images, in this order.
        objective: what is minimised.
        optimizer: how.
        schedule: the learning rate over time.
        parallel: over which devices.
        duration: of the training.
        batch_size: examples in an update, over all devices.
        accumulate_steps: parts a batch is differentiated in, to save memory; the update is the same.
        steps_per_dispatch: updates that the device does in one go; more hide the host's delays when steps are short. On
            a CPU, ten make transformers up to half again as fast (working memory is taken once for all), but
            convolutions several times slower (XLA computes them differently inside a loop).
        ema_decay: of the moving average of parameters that is evaluated and kept; None for none.
        dtype: precision of the computation (parameters, optimizer, softmax and loss are float32 always).
        seed: of everything random.
        log_every: between rows of metrics.
        evaluate_every: between evaluations on the validation split (on the test split where there is none).
        checkpoint_every: between checkpoints.
        keep_checkpoints: how many of the latest checkpoints stay on disk.
    """

    model: ModelConfig
    data: DataConfig = DataConfig()
    augment: tuple[Transform, ...] = ()
    objective: Classification = Classification()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    parallel: ParallelConfig = ParallelConfig()
    duration: str = "30 epochs"
    batch_size: int = 128
    accumulate_steps: int = 1
    steps_per_dispatch: int = 1
    ema_decay: float | None = None
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    log_every: str = "50 steps"
    evaluate_every: str = "1 epochs"
    checkpoint_every: str = "1 epochs"
    keep_checkpoints: int = 2

    def __post_init__(self):
        for name in ("duration", "log_every", "evaluate_every", "checkpoint_every"):
            number, _ = durations.parse(getattr(self, name))
            if number == 0:
                raise ValueError(f"{name} must be longer than {getattr(self, name)!r}")
        for name in ("batch_size", "accumulate_steps", "steps_per_dispatch", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1, not {self.ema_decay}")


def to_json(value: Any) -> Any:
    """A config as plain dicts, lists, strings and numbers. Transforms of the pipeline carry their class's name."""
    if isinstance(value, Transform):
        return {"transform": type(value).__name__, **fields_to_json(value)}
    if dataclasses.is_dataclass(value):
        return fields_to_json(value)
    if isinstance(value, Mapping):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    return value


def fields_to_json(value: Any) -> dict[str, Any]:
    """The fields of a dataclass, as `to_json` has them."""
    return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """One line for each value in which two configs (as `to_json` has them) differ: "optimizer.b1: 0.9 -> 0.95"."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in {**old, **new}:
            inner = f"{path}.{key}" if path else key
            yield from differences(old.get(key, "(unset)"), new.get(key, "(unset)"), inner)
    elif old != new:
        yield f"{path}: {old} -> {new}"
