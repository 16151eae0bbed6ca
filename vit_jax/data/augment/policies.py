"""Augmentation policies: which operations an image gets, and how strongly.

RandAugment (Cubuk et al. 2019) in timm's form, TrivialAugment (Müller and Hutter 2021), and the policy that AutoAugment
(Cubuk et al. 2018) found on CIFAR-10. All bring `FILL` in where a warp looks outside the image, and interpolate
linearly, where timm draws linear or cubic each time and torchvision takes the nearest pixel. Images are rounded to
whole levels on the way in, see `operations`.
"""

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vit_jax.data.augment.checks import require
from vit_jax.data.augment.draws import sign, whole_number
from vit_jax.data.augment.operations import Operation, apply_operation
from vit_jax.data.augment.pipeline import ImageShape, ImageTransform

FILL = 128.0
"""The level outside the image, for all channels: the middle grey."""


class Steps(NamedTuple):
    """The operations of one image in their order: operation int32 [n], argument float32 [n]."""

    operation: jax.Array
    argument: jax.Array


class Policy(ImageTransform[Steps]):
    """Applies the operations drawn."""

    def apply(self, image: jax.Array, params: Steps) -> jax.Array:
        def step(image: jax.Array, drawn: Steps) -> tuple[jax.Array, None]:
            return apply_operation(image, drawn.operation, drawn.argument, FILL), None

        return jax.lax.scan(step, jnp.clip(jnp.round(image), 0, 255), params)[0]


GREATEST_LEVEL = 10
"""RandAugment's magnitudes go from 0 to this in timm and in TensorFlow's EfficientNet code (in torchvision, to 30)."""


@dataclass(frozen=True)
class RandAugment(Policy):
    """`num_ops` operations drawn uniformly, with replacement, from fifteen, at a common magnitude (Cubuk et al. 2019).

    As timm runs it; the defaults are its `rand-m9-mstd0.5-inc1`, which DeiT, Swin and MAE's fine-tuning use: every
    operation distorts more as its magnitude grows ("inc1"). Note that timm skips each operation with probability 0.5;
    the paper skips none. Posterize keeps at least one bit (none would make the image black).

    Attributes:
        num_ops: operations per image.
        magnitude: mean magnitude in [0, 10].
        magnitude_std: standard deviation of a normal draw of each operation's magnitude, clipped to [0, 10]; or 0.
        probability: of applying each operation.
    """

    num_ops: int = 2
    magnitude: float = 9.0
    magnitude_std: float = 0.5
    probability: float = 0.5

    def __post_init__(self) -> None:
        require(isinstance(self.num_ops, int) and self.num_ops >= 1, self, "num_ops", "a whole number, 1 or more")
        require(0 <= self.magnitude <= GREATEST_LEVEL, self, "magnitude", f"in [0, {GREATEST_LEVEL}]")
        require(0 <= self.magnitude_std < float("inf"), self, "magnitude_std", "0 or more, and finite")
        require(0 <= self.probability <= 1, self, "probability", "in [0, 1]")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Steps:
        uniform_key, level_key = jax.random.split(key)
        for_choice, for_sign, for_apply = jax.random.uniform(uniform_key, (3, self.num_ops))
        level = self.magnitude + self.magnitude_std * jax.random.normal(level_key, (self.num_ops,))
        arguments = rand_arguments(jnp.clip(level, 0, GREATEST_LEVEL), sign(for_sign), image_shape)

        choice = whole_number(for_choice, len(arguments))
        operation = jnp.where(for_apply < self.probability, jnp.array(list(arguments))[choice], Operation.IDENTITY)
        by_operation = jnp.stack([jnp.broadcast_to(each, level.shape) for each in arguments.values()])
        return Steps(operation, by_operation[choice, jnp.arange(self.num_ops)])


def rand_arguments(
    level: jax.Array, direction: jax.Array, image_shape: ImageShape
) -> dict[Operation, jax.Array | float]:
    """RandAugment's operations and their arguments at a level in [0, 10], in direction -1 or 1 where they have one."""
    height, width, _ = image_shape
    strength = level / GREATEST_LEVEL
    factor = jnp.maximum(1 + direction * 0.9 * strength, 0.1)
    return {
        Operation.AUTO_CONTRAST: 0.0,
        Operation.EQUALIZE: 0.0,
        Operation.INVERT: 0.0,
        Operation.ROTATE: direction * 30 * strength,
        Operation.POSTERIZE: jnp.maximum(4 - jnp.floor(4 * strength), 1),
        Operation.SOLARIZE: 256 - jnp.floor(256 * strength),
        Operation.SOLARIZE_ADD: jnp.floor(110 * strength),
        Operation.COLOR: factor,
        Operation.CONTRAST: factor,
        Operation.BRIGHTNESS: factor,
        Operation.SHARPNESS: factor,
        Operation.SHEAR_X: direction * 0.3 * strength,
        Operation.SHEAR_Y: direction * 0.3 * strength,
        Operation.TRANSLATE_X: direction * 0.45 * width * strength,
        Operation.TRANSLATE_Y: direction * 0.45 * height * strength,
    }


class Magnitudes(NamedTuple):
    """Every operation's argument at every magnitude bin: centre + direction * reach, float32 [operations, bins]."""

    centre: np.ndarray
    reach: np.ndarray

    def argument(self, operation: jax.Array, magnitude_bin: jax.Array, direction: jax.Array) -> jax.Array:
        centre, reach = jnp.asarray(self.centre), jnp.asarray(self.reach)
        return centre[operation, magnitude_bin] + direction * reach[operation, magnitude_bin]


def magnitude_table(
    bins: int, *, shear: float, translate_x: float, translate_y: float, rotate: float, enhance: float, bits_dropped: int
) -> Magnitudes:
    """torchvision's augmentation space: evenly spaced from no effect to the greatest value given.

    Args:
        bins: number of magnitudes.
        shear: pixels per pixel; translate_x, translate_y: pixels, truncated to whole ones; rotate: degrees.
        enhance: reach of the brightness, contrast, colour and sharpness factor around 1.
        bits_dropped: by posterize.
    """
    steps = np.linspace(0, 1, bins)
    centre = np.zeros((len(Operation), bins), np.float32)
    reach = np.zeros((len(Operation), bins), np.float32)
    reach[[Operation.SHEAR_X, Operation.SHEAR_Y]] = shear * steps
    reach[Operation.TRANSLATE_X] = np.trunc(translate_x * steps)
    reach[Operation.TRANSLATE_Y] = np.trunc(translate_y * steps)
    reach[Operation.ROTATE] = rotate * steps
    enhancements = [Operation.BRIGHTNESS, Operation.CONTRAST, Operation.COLOR, Operation.SHARPNESS]
    centre[enhancements] = 1
    reach[enhancements] = enhance * steps
    centre[Operation.POSTERIZE] = 8 - np.round(bits_dropped * steps)
    centre[Operation.SOLARIZE] = 255 - 255 * steps
    return Magnitudes(centre, reach)


TRIVIAL_OPERATIONS = (
    Operation.IDENTITY,
    Operation.SHEAR_X,
    Operation.SHEAR_Y,
    Operation.TRANSLATE_X,
    Operation.TRANSLATE_Y,
    Operation.ROTATE,
    Operation.BRIGHTNESS,
    Operation.COLOR,
    Operation.CONTRAST,
    Operation.SHARPNESS,
    Operation.POSTERIZE,
    Operation.SOLARIZE,
    Operation.AUTO_CONTRAST,
    Operation.EQUALIZE,
)
TRIVIAL_BINS = 31


@dataclass(frozen=True)
class TrivialAugment(Policy):
    """One operation of fourteen at one magnitude of 31, both uniform (Müller and Hutter 2021).

    The wide space, torchvision's TrivialAugmentWide: shear 0.99, translation 32 pixels whatever the image's size,
    rotation 135 degrees, enhancement 1 ± 0.99, posterize to 2 bits. There is nothing to tune.
    """

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Steps:
        table = magnitude_table(
            TRIVIAL_BINS, shear=0.99, translate_x=32, translate_y=32, rotate=135, enhance=0.99, bits_dropped=6
        )
        for_choice, for_bin, for_sign = jax.random.uniform(key, (3, 1))
        operation = jnp.array(TRIVIAL_OPERATIONS)[whole_number(for_choice, len(TRIVIAL_OPERATIONS))]
        magnitude_bin = whole_number(for_bin, TRIVIAL_BINS)
        return Steps(operation, table.argument(operation, magnitude_bin, sign(for_sign)))


class SubPolicyStep(NamedTuple):
    """An operation, the probability that it is applied, and its magnitude bin (0 where it has no magnitude)."""

    operation: Operation
    probability: float
    magnitude_bin: int = 0


CIFAR10_BINS = 10
CIFAR10_POLICY = (
    (SubPolicyStep(Operation.INVERT, 0.1), SubPolicyStep(Operation.CONTRAST, 0.2, 6)),
    (SubPolicyStep(Operation.ROTATE, 0.7, 2), SubPolicyStep(Operation.TRANSLATE_X, 0.3, 9)),
    (SubPolicyStep(Operation.SHARPNESS, 0.8, 1), SubPolicyStep(Operation.SHARPNESS, 0.9, 3)),
    (SubPolicyStep(Operation.SHEAR_Y, 0.5, 8), SubPolicyStep(Operation.TRANSLATE_Y, 0.7, 9)),
    (SubPolicyStep(Operation.AUTO_CONTRAST, 0.5), SubPolicyStep(Operation.EQUALIZE, 0.9)),
    (SubPolicyStep(Operation.SHEAR_Y, 0.2, 7), SubPolicyStep(Operation.POSTERIZE, 0.3, 7)),
    (SubPolicyStep(Operation.COLOR, 0.4, 3), SubPolicyStep(Operation.BRIGHTNESS, 0.6, 7)),
    (SubPolicyStep(Operation.SHARPNESS, 0.3, 9), SubPolicyStep(Operation.BRIGHTNESS, 0.7, 9)),
    (SubPolicyStep(Operation.EQUALIZE, 0.6), SubPolicyStep(Operation.EQUALIZE, 0.5)),
    (SubPolicyStep(Operation.CONTRAST, 0.6, 7), SubPolicyStep(Operation.SHARPNESS, 0.6, 5)),
    (SubPolicyStep(Operation.COLOR, 0.7, 7), SubPolicyStep(Operation.TRANSLATE_X, 0.5, 8)),
    (SubPolicyStep(Operation.EQUALIZE, 0.3), SubPolicyStep(Operation.AUTO_CONTRAST, 0.4)),
    (SubPolicyStep(Operation.TRANSLATE_Y, 0.4, 3), SubPolicyStep(Operation.SHARPNESS, 0.2, 6)),
    (SubPolicyStep(Operation.BRIGHTNESS, 0.9, 6), SubPolicyStep(Operation.COLOR, 0.2, 8)),
    (SubPolicyStep(Operation.SOLARIZE, 0.5, 2), SubPolicyStep(Operation.INVERT, 0.0)),
    (SubPolicyStep(Operation.EQUALIZE, 0.2), SubPolicyStep(Operation.AUTO_CONTRAST, 0.6)),
    (SubPolicyStep(Operation.EQUALIZE, 0.2), SubPolicyStep(Operation.EQUALIZE, 0.6)),
    (SubPolicyStep(Operation.COLOR, 0.9, 9), SubPolicyStep(Operation.EQUALIZE, 0.6)),
    (SubPolicyStep(Operation.AUTO_CONTRAST, 0.8), SubPolicyStep(Operation.SOLARIZE, 0.2, 8)),
    (SubPolicyStep(Operation.BRIGHTNESS, 0.1, 3), SubPolicyStep(Operation.COLOR, 0.7, 0)),
    (SubPolicyStep(Operation.SOLARIZE, 0.4, 5), SubPolicyStep(Operation.AUTO_CONTRAST, 0.9)),
    (SubPolicyStep(Operation.TRANSLATE_Y, 0.9, 9), SubPolicyStep(Operation.TRANSLATE_Y, 0.7, 9)),
    (SubPolicyStep(Operation.AUTO_CONTRAST, 0.9), SubPolicyStep(Operation.SOLARIZE, 0.8, 3)),
    (SubPolicyStep(Operation.EQUALIZE, 0.8), SubPolicyStep(Operation.INVERT, 0.1)),
    (SubPolicyStep(Operation.TRANSLATE_Y, 0.7, 9), SubPolicyStep(Operation.AUTO_CONTRAST, 0.9)),
)


@dataclass(frozen=True)
class CifarAutoAugment(Policy):
    """One of the 25 sub-policies that AutoAugment found on CIFAR-10, uniformly (Cubuk et al. 2018, appendix A).

    Ranges are the paper's, read as torchvision does: magnitudes 0 to 9 run from no effect to shear 0.3, translation
    150/331 of the side, rotation 30 degrees, enhancement 1 ± 0.9, posterize to 4 bits, solarize from level 0.
    """

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Steps:
        height, width, _ = image_shape
        table = magnitude_table(
            CIFAR10_BINS,
            shear=0.3,
            translate_x=150 / 331 * width,
            translate_y=150 / 331 * height,
            rotate=30,
            enhance=0.9,
            bits_dropped=4,
        )
        policy = np.array(CIFAR10_POLICY, np.float32)  # [25, 2 steps, (operation, probability, magnitude bin)]
        uniform = jax.random.uniform(key, (5,))
        for_choice, for_apply, for_sign = uniform[0], uniform[1:3], uniform[3:5]
        operation, probability, magnitude_bin = jnp.asarray(policy)[whole_number(for_choice, len(policy))].T
        operation = jnp.where(for_apply < probability, operation, Operation.IDENTITY).astype(jnp.int32)
        return Steps(operation, table.argument(operation, magnitude_bin.astype(jnp.int32), sign(for_sign)))
