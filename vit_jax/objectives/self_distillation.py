"""Self-distillation without labels (DINO: Caron et al., 2021): a student learns what its own average says of an image.

Each image is seen in two large crops and several small ones. The teacher, an exponential moving average of the student,
compares the large ones with prototypes; the student is to give the same answer for every other crop. Two things keep
both from giving one answer to everything: the teacher's outputs are centred, and sharpened by a low temperature.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import jax
import jax.numpy as jnp
import optax

from vit_jax import durations
from vit_jax.data.augment.views import View
from vit_jax.models.dino import DinoNetwork
from vit_jax.models.network import Network, pair
from vit_jax.models.network_input import network_input
from vit_jax.models.other_size import at_size
from vit_jax.objectives.objective import Examples, Given, Loss, Objective, Params

LARGE = 2
"""Crops that the teacher sees."""


def self_distillation_loss(student: jax.Array, target: jax.Array, temperature: float) -> jax.Array:
    """The mean cross-entropy over all pairs of a teacher's crop and another crop of the student's (DINO, equation 3).

    Args:
        student: outputs [B, crops, prototypes], those for the teacher's crops first.
        target: the teacher's probabilities [B, 2, prototypes].
        temperature: of the student.
    """
    log_probabilities = jax.nn.log_softmax(student / temperature)
    # In float32 where accelerators multiply float32 in fewer bits: a loss is no product of a layer.
    products = jnp.einsum("btk,bsk->ts", target, log_probabilities, precision="highest")
    entropies = -products / len(student)
    others = 1 - jnp.eye(entropies.shape[0], entropies.shape[1])
    return (entropies * others).sum() / others.sum()


def entropy(probabilities: jax.Array) -> jax.Array:
    """The mean entropy, in nats, of distributions [..., prototypes]."""
    return -jax.scipy.special.xlogy(probabilities, probabilities).sum(-1).mean()


@dataclass(frozen=True)
class SelfDistillation(Objective):
    """Trains a network to agree with its moving average about different crops of an image.

    Published values are for 224 px; the crops come out of the data set's images as augmentation leaves them.

    Attributes:
        local_crops: small crops of each image.
        local_size: their height and width in pixels; the network's patches must divide it.
        local_scale: range of their area, as a share of the image's.
        global_scale: range of the large crops' area.
        blur_sigma: range of the blur's standard deviation, in pixels.
        student_temperature: what the student's outputs are divided by.
        teacher_temperature: what the teacher's are divided by, after the warm-up.
        first_teacher_temperature: at its beginning.
        temperature_warmup: duration of the linear rise between them, which is of each step. (Published, of each epoch:
            it ends an epoch earlier.)
        teacher_momentum: decay of the average that is the teacher at the beginning; it rises to 1 along a cosine.
        centre_momentum: decay of the running mean of the teacher's outputs.
        frozen_prototypes: duration at the beginning in which the head's prototypes stay as they are.
    """

    learns_classes = False
    taught_by_average = True

    local_crops: int = 8
    local_size: int = 96
    local_scale: tuple[float, float] = (0.05, 0.4)
    global_scale: tuple[float, float] = (0.4, 1.0)
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    first_teacher_temperature: float = 0.04
    temperature_warmup: str = "0 epochs"
    teacher_momentum: float = 0.996
    centre_momentum: float = 0.9
    frozen_prototypes: str = "1 epochs"

    def __post_init__(self):
        for name in ("temperature_warmup", "frozen_prototypes"):
            durations.parse(getattr(self, name), f"objective.{name}")
        if self.local_crops < 0:
            raise ValueError(f"objective.local_crops must not be negative, not {self.local_crops}")
        temperatures = self.student_temperature, self.teacher_temperature, self.first_teacher_temperature
        if min(temperatures) <= 0:
            raise ValueError(f"the objective's temperatures must be positive; got {temperatures}")
        for name in ("teacher_momentum", "centre_momentum"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"objective.{name} must be in [0, 1], not {getattr(self, name)}")
        for name in ("local_scale", "global_scale", "blur_sigma"):
            low, high = getattr(self, name)
            if not 0 < low <= high or (name != "blur_sigma" and high > 1):
                raise ValueError(
                    f"objective.{name} must be (low, high) with 0 < low <= high, a scale at most 1; not {low, high}"
                )

    def check(self, model: Network) -> None:
        """Raises ValueError if a network has no head for it, or the small crops are no images for it."""
        if not isinstance(model, DinoNetwork):
            raise ValueError(
                f'self-distillation needs a network with a projection head ("dino_pretraining_..."), not a '
                f"{type(model).__name__}"
            )
        if self.local_crops and not 0 < self.local_size <= min(pair(model.image_size)):
            raise ValueError(
                f"objective.local_size {self.local_size} must be positive and at most the network's image_size "
                f"{model.image_size}"
            )
        if self.local_crops:
            try:
                model.make_encoder().clone(image_size=self.local_size)
            except ValueError as error:
                raise ValueError(f"objective.local_size {self.local_size} does not fit the network: {error}") from None

    def schedules(self, steps: int, in_steps: Callable[[str], int]) -> dict[str, optax.Schedule]:
        """The teacher's temperature and momentum.

        Raises:
            ValueError: if the run ends before the warm-up does, or before the prototypes learn anything.
        """
        warmup, frozen = in_steps(self.temperature_warmup), in_steps(self.frozen_prototypes)
        durations.check_within_run("objective.temperature_warmup", self.temperature_warmup, warmup, steps)
        if frozen >= steps:
            raise ValueError(
                f"objective.frozen_prototypes ({self.frozen_prototypes}: {frozen} steps) is not shorter than the run "
                f"of {steps} steps: the prototypes would never learn"
            )
        rise = optax.linear_schedule(self.first_teacher_temperature, self.teacher_temperature, warmup)
        momentum = optax.cosine_decay_schedule(1 - self.teacher_momentum, steps)
        return {
            "teacher_temperature": rise if warmup else optax.constant_schedule(self.teacher_temperature),
            "teacher_momentum": lambda step: 1 - momentum(step),
        }

    def frozen_steps(self, in_steps: Callable[[str], int]) -> dict[str, int]:
        """The prototypes are frozen at first (DINO, appendix: the last layer in the first epoch)."""
        steps = in_steps(self.frozen_prototypes)
        return {"head/last_layer/*": steps} if steps else {}

    def views(self, model: Network) -> tuple[View, ...]:
        """The crops of an image: two large ones, then the small ones."""
        large = pair(model.image_size)
        return (
            View(large, self.global_scale, blur=1.0, sigma=self.blur_sigma),
            View(large, self.global_scale, blur=0.1, solarize=0.2, sigma=self.blur_sigma),
            *(View(pair(self.local_size), self.local_scale, blur=0.5, sigma=self.blur_sigma),) * self.local_crops,
        )

    def crops(self, model: Network, examples: Examples) -> tuple[jax.Array, jax.Array | None]:
        """Large crops [B, 2, H, W, C] and small ones [B, N, h, w, C], normalised; None for no small ones."""
        views = self.views(model)
        keys = jax.vmap(lambda key: jax.random.split(key, len(views)))(examples.keys)  # [B, views]
        _, height, width, channels = examples.pixels.shape

        def cut(chosen: slice) -> jax.Array:
            seen = []
            for view, view_keys in zip(views[chosen], keys.swapaxes(0, 1)[chosen], strict=True):
                drawn = jax.vmap(lambda key, view=view: view.draw(key, (height, width, channels)))(view_keys)
                pixels = jax.vmap(view.apply)(examples.pixels, drawn)
                seen.append(network_input(model.clone(image_size=view.size), pixels))
            return jnp.stack(seen, axis=1)

        return cut(slice(LARGE)), cut(slice(LARGE, None)) if self.local_crops else None

    def loss(self, model: Network, params: Params, examples: Examples, given: Given) -> Loss:
        """The loss; "teacher_entropy" and "centre_norm" show whether it collapses: to the same answer for all images.

        That is an entropy of log(prototypes), every prototype alike, or of 0 with a centre that grows, always the same.
        """
        assert isinstance(model, DinoNetwork)
        assert given.teacher is not None
        large, small = self.crops(model, examples)
        taught = outputs_of(model, given.teacher.params, large)  # [B, 2, prototypes]
        centre = jax.lax.stop_gradient(params["centre"])
        target = jax.nn.softmax((taught - centre) / given.scheduled["teacher_temperature"])

        answers = [outputs_of(model, params, large, given.key)]
        if small is not None:
            answers.append(outputs_of(model, params, small, jax.random.fold_in(given.key, 1)))
        value = self_distillation_loss(jnp.concatenate(answers, axis=1), target, self.student_temperature)

        moved = self.centre_momentum * centre + (1 - self.centre_momentum) * taught.mean((0, 1))
        # The norm before this batch: what devices or parts of a batch have in common.
        metrics = {"teacher_entropy": entropy(target), "centre_norm": jnp.linalg.norm(centre)}
        return Loss(value, metrics, {"centre": moved})


def outputs_of(model: DinoNetwork, params: Params, crops: jax.Array, key: jax.Array | None = None) -> jax.Array:
    """Compares crops [B, V, h, w, C] with the prototypes: float32 [B, V, prototypes]; with a key, in training."""
    batch, views, height, width, _ = crops.shape
    encoder, encoder_params = at_size(model.make_encoder(), params["encoder"], (height, width))
    images, rngs = crops.reshape(batch * views, *crops.shape[2:]), {} if key is None else {"dropout": key}
    features = encoder.apply({"params": encoder_params}, images, key is not None, rngs=rngs)
    outputs = model.make_head().apply({"params": params["head"]}, features)
    return cast(jax.Array, outputs).reshape(batch, views, -1)
