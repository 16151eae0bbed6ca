"""An experiment, written down: a tree of frozen dataclasses."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from vit_jax import durations
from vit_jax.choices import check_fields
from vit_jax.data.augment import Transform
from vit_jax.data.dataset import DataConfig
from vit_jax.evaluation.judge import How
from vit_jax.evaluation.nearest_neighbours import Neighbours
from vit_jax.models.attention_kernel import Kernel
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.objectives.classification import Classification
from vit_jax.objectives.discrete_autoencoding import DiscreteAutoencoding
from vit_jax.objectives.distillation import Distillation
from vit_jax.objectives.masked_autoencoding import MaskedAutoencoding
from vit_jax.objectives.masked_image_modelling import MaskedImageModelling
from vit_jax.objectives.objective import Objective
from vit_jax.objectives.self_distillation import SelfDistillation
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig
from vit_jax.training.parallel import ParallelConfig

AnyObjective = (
    Classification | Distillation | MaskedAutoencoding | SelfDistillation | DiscreteAutoencoding | MaskedImageModelling
)
"""Any of the objectives."""

DECIDED = {
    "num_classes": "the data's classes decide it",
    "in_channels": "the data's channels decide it",
    "dtype": "it is the config's own, --dtype",
}
"""Fields of a network that one may look for among the model's, and who decides them."""


@dataclass(frozen=True)
class Adapted:
    """The fields of a pretrained network that may be set; all others are what its parameters were made for.

    None leaves a field as the source has it. Rates of dropout are no matter of the parameters; they are 0 where the
    source does not tell.

    Attributes:
        image_size: height and width in pixels; position embeddings and bias tables are resized as the publisher does.
        window_size: of a Swin, in tokens; resized likewise.
        preprocessing: what the input pixels must look like. By default the source's mean, standard deviation and
            interpolation, with nothing cropped: a run shows the network whole images, and so does its evaluation.
        pool: of a ViT, what its head reads: "token", the class token, or "avg", the mean of the patches, as MAE and
            BEiT are fine-tuned.
        fc_norm: of a ViT, whether the last norm comes after pooling, as MAE's and BEiT's fine-tuning has it. Where the
            source has it in the other place, it is new.
        drop_rate: dropout before the head.
        pos_drop_rate: dropout after adding position embeddings.
        proj_drop_rate: dropout after the MLP's two layers and after attention's projection.
        attn_drop_rate: dropout on the attention weights.
        drop_path_rate: stochastic depth, growing linearly over the blocks from 0 to this rate.
        attention: the program that computes a ViT's attention.
        remat: recompute each block in the backward pass: about a third more work, far less memory.
        answer: of a distilled ViT, which of its heads answers.
        mask_ratio: of a masked autoencoder whose pre-training goes on, the share of the patches that are masked.
    """

    image_size: int | tuple[int, int] | None = None
    window_size: int | tuple[int, ...] | None = None
    preprocessing: Preprocessing | None = None
    pool: Literal["token", "avg"] | None = None
    fc_norm: bool | None = None
    drop_rate: float | None = None
    pos_drop_rate: float | None = None
    proj_drop_rate: float | None = None
    attn_drop_rate: float | None = None
    drop_path_rate: float | None = None
    attention: Kernel | None = None
    remat: bool | None = None
    answer: Literal["mean", "class", "distillation"] | None = None
    mask_ratio: float | None = None


@dataclass(frozen=True)
class ModelConfig:
    """A network by its registered name, or pretrained, with some of its fields replaced.

    Attributes:
        name: see `vit_jax.list_models()`. Of pretrained weights only where a bare file does not tell their network.
        fields: of the module, e.g. {"image_size": 64, "drop_path_rate": 0.1}. The data set decides `num_classes` and
            `in_channels`, the config's `dtype` the precision: they are not set here. Of a pretrained network, those of
            `Adapted`.
        pretrained: where the network and its parameters come from: a file, a folder or an id of the Hugging Face Hub,
            as `vit_jax.load_pretrained` takes it. The head is new, of zeros, unless its classes are those of the data,
            in their order. None: all is new.
        publisher: whose weights they are, where a bare file does not tell; see `vit_jax.load_pretrained`.
        revision: branch, tag or commit on the Hub.
    """

    name: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)
    pretrained: str | None = None
    publisher: str | None = None
    revision: str | None = None

    def __post_init__(self):
        if not self.name and self.pretrained is None:
            raise ValueError("model needs a name (vit_jax.list_models() lists all) or a pretrained source")
        for name in DECIDED:
            if name in self.fields:
                raise ValueError(f"model.fields must not set {name}: {DECIDED[name]}")
        settable = [field.name for field in dataclasses.fields(Adapted)]
        refused = [name for name in self.fields if name not in settable]
        if self.pretrained is not None and refused:
            raise ValueError(
                f"model.fields must not set {', '.join(refused)}: the pretrained parameters decide that. "
                f"One can set {', '.join(settable)}"
            )
        if self.pretrained is not None:
            check_fields(Adapted(**self.fields), "model.fields.")
        if self.pretrained is None and (self.publisher or self.revision):
            raise ValueError("model.publisher and model.revision are of pretrained weights: set model.pretrained, too")

    @property
    def title(self) -> str:
        """The network in a word or two."""
        return self.name if self.pretrained is None else f"{Path(self.pretrained).name}, fine-tuned"


@dataclass(frozen=True)
class Config:
    """One experiment. Durations are written "30 epochs" or "500 steps".

    Attributes:
        model: the network.
        data: the images.
        augment: what is done to training images, in this order.
        objective: what is minimised.
        optimizer: the optimizer and its settings.
        schedule: the learning rate over time.
        parallel: how the work is spread over devices.
        duration: of the training.
        batch_size: examples in an update, over all devices.
        accumulate_steps: gradient accumulation: micro-batches in which a batch is differentiated, one after the other,
            to save memory; the update is the same up to rounding, but for batch norm, which normalises each by itself,
            and dropout and stochastic depth, which draw other numbers.
        steps_per_dispatch: updates that the device does in one go; more hide the host's delays when steps are short. On
            a CPU, more than one make convolutions several times slower (XLA computes them differently inside a loop).
        ema_decay: decay of the exponential moving average (EMA) of the parameters, which is then what is evaluated and
            saved; None for no average. After n updates it is (1 + n) / (10 + n) if that is less, so that the average
            is never over more than the last ninth of a run or so.
        neighbours: how a network without classes is evaluated.
        judge_features: by what else each evaluation judges a network, with classes or without: its pooled features,
            as `vit-jax evaluate --how` does by "knn", "probe" or "few-shot", from `neighbours.examples` images.
        dtype: precision of the computation (parameters, optimizer, softmax and loss are float32 always). Accelerators
            multiply float32 in fewer bits, TPUs in bfloat16 and NVIDIA's GPUs since Ampere in TF32, unless
            `jax_default_matmul_precision` says otherwise.
        seed: random seed of the run.
        log_every: between rows of metrics.
        evaluate_every: between evaluations on the validation split, the best of which is kept (on the test split where
            there is none).
        checkpoint_every: between checkpoints.
        keep_checkpoints: how many of the latest checkpoints stay on disk, at least 2: a damaged one leaves another.
        stop_after_skipped: updates that are not finite are skipped; after this many in a row the run ends.
    """

    model: ModelConfig
    data: DataConfig = DataConfig()
    augment: tuple[Transform, ...] = ()
    objective: AnyObjective = Classification()
    optimizer: OptimizerConfig = OptimizerConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    parallel: ParallelConfig = ParallelConfig()
    duration: str = "30 epochs"
    batch_size: int = 128
    accumulate_steps: int = 1
    steps_per_dispatch: int = 1
    ema_decay: float | None = None
    neighbours: Neighbours = Neighbours()
    judge_features: tuple[How, ...] = ()
    dtype: Literal["float32", "bfloat16"] = "float32"
    seed: int = 0
    log_every: str = "50 steps"
    evaluate_every: str = "1 epochs"
    checkpoint_every: str = "1 epochs"
    keep_checkpoints: int = 2
    stop_after_skipped: int = 10

    def __post_init__(self):
        check_fields(self)
        for name in ("duration", "log_every", "evaluate_every", "checkpoint_every"):
            number, _ = durations.parse(getattr(self, name), name)
            if number == 0:
                raise ValueError(f"{name} must be longer than {getattr(self, name)!r}")
        least = dict(
            batch_size=1,
            accumulate_steps=1,
            steps_per_dispatch=1,
            seed=0,
            keep_checkpoints=2,
            stop_after_skipped=1,
        )
        for name, bound in least.items():
            if getattr(self, name) < bound:
                raise ValueError(f"{name} must be at least {bound}, not {getattr(self, name)}")
        if self.seed >= 2**32:
            raise ValueError(f"seed must be below 2**32, as JAX takes the rest of that, not {self.seed}")
        if self.ema_decay is not None and not 0 < self.ema_decay < 1:
            raise ValueError(f"ema_decay must be between 0 and 1, not {self.ema_decay}")
        if self.ema_decay is not None and self.objective.taught_by_average:
            raise ValueError(
                "the average of the parameters is the teacher: set objective.teacher_momentum, and no ema_decay"
            )

    @property
    def keeps_average(self) -> bool:
        """Whether a moving average of the parameters is kept: it is what is evaluated then."""
        return self.ema_decay is not None or self.objective.taught_by_average


def to_json(value: Any) -> Any:
    """A config as plain dicts, lists, strings and numbers. Transforms and objectives carry their class's name."""
    if isinstance(value, Transform):
        return {"transform": type(value).__name__, **fields_to_json(value)}
    if isinstance(value, Objective):
        return {"objective": type(value).__name__, **fields_to_json(value)}
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
