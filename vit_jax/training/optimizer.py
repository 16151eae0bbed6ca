"""How parameters move: the optimizer and its learning-rate schedule."""

import fnmatch
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax.core import FrozenDict

from vit_jax import durations
from vit_jax.choices import check_fields
from vit_jax.pretrained.adapt import HEADS
from vit_jax.training.parameter_groups import (
    Params,
    decays,
    frozen_mask,
    layers_of,
    muon_labels,
    parameter_paths,
)


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over time: linear warm-up (its first step is at peak / its length), then one of four shapes.

    Attributes:
        kind: "cosine" or "linear" decay to `final`, "constant", or "rsqrt" (1 / sqrt(step), "Scaling ViT", appendix).
        warmup: duration of the linear rise.
        final: learning rate at the end, as a share of the peak (cosine and linear only).
        timescale: "rsqrt" halves its rate at 3 timescales after the warm-up.
    """

    kind: Literal["cosine", "linear", "constant", "rsqrt"] = "cosine"
    warmup: str = "5 epochs"
    final: float = 0.0
    timescale: str = "10000 steps"

    def __post_init__(self):
        check_fields(self, "schedule.")
        durations.parse(self.warmup, "schedule.warmup")
        durations.parse(self.timescale, "schedule.timescale")
        if not 0 <= self.final < math.inf:
            raise ValueError(f"schedule.final must not be negative, and be finite; not {self.final}")


@dataclass(frozen=True)
class OptimizerConfig:
    """The optimizer, from optax.

    Attributes:
        name: "adamw", "sgd" (Nesterov momentum), "lion", "lamb" (a classifier's head, which begins as zeros, by
            AdamW) or "muon" (matrices inside the blocks by Muon, scaled to AdamW's update size, those of queries, keys
            and values as one; all else by AdamW).
        learning_rate: at its peak, for the batch size of the run (not scaled by it).
        weight_decay: decoupled, multiplied by the learning rate; for SGD an L2 term in the gradient. Applied to
            matrices only: never to biases, norms, scales, tokens or position embeddings.
        final_weight_decay: at the end of the run; it goes there along a cosine (DINO). None: it stays the same.
        b1: decay of the gradient's average (SGD's and Muon's momentum; Lion's: share of that average in an update).
        b2: decay of the squared gradient's average (Lion's: of the gradient's average, 0.99 in its paper).
        eps: Adam's epsilon.
        clip_norm: largest norm of the gradient; None for no clipping.
        clip: "all": the norm over all parameters; "each": of each array by itself (DINO).
        layer_decay: factor on the learning rate from each layer to the one below (BEiT, MAE); None for the same
            rate everywhere. Embeddings are layer 0, the blocks of all stages 1, 2, ..., the rest is the top.
        freeze: shell patterns of parameter paths that stay as they are, e.g. "patch_embed/*", "blocks_[0-5]/*". Running
            statistics of batch norm follow the data all the same.
    """

    name: Literal["adamw", "sgd", "lion", "lamb", "muon"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    final_weight_decay: float | None = None
    b1: float = 0.9
    b2: float = 0.999
    eps: float = 1e-8
    clip_norm: float | None = 1.0
    clip: Literal["all", "each"] = "all"
    layer_decay: float | None = None
    freeze: tuple[str, ...] = ()

    def __post_init__(self):
        check_fields(self, "optimizer.")
        if not (0 < self.learning_rate < math.inf and 0 <= self.weight_decay < math.inf):  # which NaN is not, either
            raise ValueError(
                f"learning_rate must be positive and weight_decay not negative; got {self.learning_rate} and "
                f"{self.weight_decay}"
            )
        for name in ("b1", "b2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must be in [0, 1), not {getattr(self, name)}")
        if not 0 < np.float32(self.eps) < math.inf:  # 0 / 0 where a gradient is 0, as below a head of zeros
            raise ValueError(f"eps must be positive and finite in float32, not {self.eps}")
        final = self.final_weight_decay
        if final is not None and (self.name == "muon" or not 0 <= final < math.inf):
            raise ValueError(
                "final_weight_decay must not be negative, and is not for muon; got "
                f"{self.final_weight_decay} with {self.name}"
            )
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise ValueError(f"clip_norm must be positive, or None for no clipping; not {self.clip_norm}")
        if self.layer_decay is not None and not 0 < self.layer_decay <= 1:
            raise ValueError(f"layer_decay must be in (0, 1], not {self.layer_decay}")


def make_schedule(config: ScheduleConfig, peak: float, steps: int, in_steps: Callable[[str], int]) -> optax.Schedule:
    """The learning rate as a function of the step, for a run of `steps` steps.

    Args:
        config: what is wanted.
        peak: the highest learning rate.
        steps: of the run.
        in_steps: the steps of a duration ("10 epochs").

    Raises:
        ValueError: if the warm-up is longer than the run.
    """
    warmup = in_steps(config.warmup)
    durations.check_within_run("the schedule's warmup", config.warmup, warmup, steps)
    rest = max(steps - warmup, 1)
    timescale = in_steps(config.timescale)
    after = {
        "cosine": optax.cosine_decay_schedule(peak, rest, config.final),
        "linear": optax.linear_schedule(peak, peak * config.final, rest),
        "constant": optax.constant_schedule(peak),
        "rsqrt": lambda step: peak / jnp.sqrt(1 + step / max(timescale, 1)),
    }[config.kind]
    # The first update is at step 0: a warm-up from (1 / warmup) wastes none.
    return optax.join_schedules([lambda step: peak * (step + 1) / max(warmup, 1), after], [warmup])


def scale_layers(decay: float, params: Params) -> optax.GradientTransformation:
    """Multiplies the updates of layer l by decay^(top layer - l); frozen layers of all parameters count, too."""
    paths, layers = jax.tree.leaves(parameter_paths(params)), jax.tree.leaves(layers_of(params))
    scales = {path: decay ** (max(layers) - layer) for path, layer in zip(paths, layers, strict=True)}

    def scale(updates: Params, params: Params) -> Params:
        return jax.tree.map(lambda u, path: u * scales[path], updates, parameter_paths(updates))

    return optax.stateless(scale)


def clip_all(limit: float, norm: Callable[[Params], jax.Array]) -> optax.GradientTransformation:
    """Scales a gradient down to a norm over all of its arrays, at most: `optax.clip_by_global_norm` with this norm."""

    def clip(updates: Params, params: Params) -> Params:
        length = norm(updates)
        return jax.tree.map(lambda g: jnp.where(length < limit, g, g / length.astype(g.dtype) * limit), updates)

    return optax.stateless(clip)


def clip_each(limit: float) -> optax.GradientTransformation:
    """Scales each array of a gradient down to a norm, at most (DINO: `clip_gradients`)."""

    def clip(updates: Params, params: Params) -> Params:
        return jax.tree.map(lambda g: g * jnp.minimum(1.0, limit / (jnp.linalg.norm(g.ravel()) + 1e-6)), updates)

    return optax.stateless(clip)


def weight_decay_over(config: OptimizerConfig, steps: int, frozen_for: int) -> float | optax.Schedule:
    """The weight decay: a number, or a schedule that follows a cosine over a run of `steps` steps.

    A schedule counts from the end of the first `frozen_for` steps, in which these parameters do not move.
    """
    first, last = config.weight_decay, config.final_weight_decay
    if last is None:
        return first
    change = optax.cosine_decay_schedule(1.0, steps)
    return lambda step: last + (first - last) * change(step + frozen_for)


def base_optimizer(
    config: OptimizerConfig, schedule: optax.Schedule, weight_decay: float | optax.Schedule
) -> optax.GradientTransformation:
    """The optimizer by its name, with weight decay on the parameters that `decays` picks."""

    def decay_mask(params: Params) -> Params:
        return jax.tree.map(decays, parameter_paths(params), params)

    def scaled_mask(params: Params) -> Params:
        zeros = () if "encoder" in params else HEADS  # those of pre-training begin as other kernels
        paths = parameter_paths(params)
        return jax.tree.map(lambda path, p: decays(path, p) and not path.startswith(zeros), paths, params)

    if config.name == "sgd":
        decay = optax.add_decayed_weights(weight_decay, decay_mask)
        return optax.chain(decay, optax.sgd(schedule, momentum=config.b1, nesterov=True))
    b1, b2, eps = config.b1, config.b2, config.eps
    adamw = optax.adamw(schedule, b1, b2, eps, weight_decay=weight_decay, mask=decay_mask)
    if config.name == "muon":
        # consistent_rms makes updates as large as AdamW's, so that one learning rate serves both.
        muon = optax.contrib.muon(schedule, beta=b1, eps=eps, weight_decay=config.weight_decay, consistent_rms=0.2)
        return optax.partition({"muon": muon, "adamw": adamw}, muon_labels)
    if config.name == "lion":
        return optax.lion(schedule, b1, b2, weight_decay=weight_decay, mask=decay_mask)
    if config.name == "lamb":
        # As published code has it (apex, timm), and optax.lamb has not: what does not decay is not scaled either. By
        # the norms' ratio a layer scale of 1e-4 could hardly move, and a bias of zero hardly leave it; nor could the
        # heads here, which begin as zeros. (That code scales nothing where there is no decay at all; the paper does.)
        return optax.chain(
            optax.scale_by_adam(b1, b2, eps),
            optax.add_decayed_weights(weight_decay, decay_mask),
            optax.masked(optax.scale_by_trust_ratio(), scaled_mask),
            optax.scale_by_learning_rate(schedule),
        )
    return adamw


def make_optimizer(
    config: OptimizerConfig,
    schedule: optax.Schedule,
    params: Params,
    steps: int,
    frozen_steps: Mapping[str, int] = FrozenDict(),
    norm: Callable[[Params], jax.Array] = optax.tree.norm,
) -> optax.GradientTransformation:
    """Clipping, the optimizer, layer-wise decay and freezing in one transformation for these parameters and a run of
    so many steps.

    Clipping looks at the gradient of the parameters that move; frozen ones have no optimizer state.

    Args:
        config: what is wanted.
        schedule: the learning rate.
        params: the parameters, or their shapes.
        steps: of the run.
        frozen_steps: for how many steps parameters stay as they are at the beginning, by patterns of their paths; their
            optimizer's averages begin after that. They are clipped apart from the others.
        norm: the Euclidean norm over all arrays of a gradient.

    Raises:
        ValueError: if a pattern of `config.freeze` matches no parameter, nothing is left to train, or Muon finds no
            matrix.
    """
    clip = {"all": partial(clip_all, norm=norm), "each": clip_each}[config.clip]

    def optimizer(frozen_for: int) -> optax.GradientTransformation:
        parts = [] if config.clip_norm is None else [clip(config.clip_norm)]
        weight_decay = weight_decay_over(config, steps, frozen_for)
        parts.append(base_optimizer(config, lambda step: schedule(step + frozen_for), weight_decay))
        if config.layer_decay is not None:
            parts.append(scale_layers(config.layer_decay, params))
        return optax.chain(*parts)

    frozen = frozen_mask(params, config.freeze)
    if config.name == "muon":
        require_matrices(params, frozen)
    if not config.freeze and not frozen_steps:
        return optimizer(0)

    def label(path: str, is_frozen: bool) -> str:
        resting = (f"rest_{count}" for pattern, count in frozen_steps.items() if fnmatch.fnmatch(path, pattern))
        return "freeze" if is_frozen else next(resting, "train")

    transforms: dict[Hashable, optax.GradientTransformation] = {"train": optimizer(0), "freeze": optax.set_to_zero()}
    for count in frozen_steps.values():
        transforms[f"rest_{count}"] = optax.conditionally_mask(
            optimizer(count), lambda step, count=count, **_: step >= count
        )
    return optax.partition(transforms, jax.tree.map(label, parameter_paths(params), frozen))


def require_matrices(params: Params, frozen: Params) -> None:
    """Raises ValueError if Muon would have no matrix."""
    labels = zip(jax.tree.leaves(muon_labels(params)), jax.tree.leaves(frozen), strict=True)
    if ("muon", False) not in labels:
        raise ValueError(
            'optimizer.name="muon" needs matrices inside blocks that learn: this network has none, or optimizer.freeze '
            'freezes them all; try "adamw"'
        )
