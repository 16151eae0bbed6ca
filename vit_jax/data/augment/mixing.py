"""Mixup (Zhang et al. 2017) and cutmix (Yun et al. 2019), with a lambda for every example.

The partner of an example is the one at the mirrored place of the global batch (timm's "elem" mode), as it is before
this transform. Labels are mixed with the same weights as the pixels, so their mass stays what it was.
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp

from vit_jax.data.augment.boxes import Box, inside
from vit_jax.data.augment.checks import require
from vit_jax.data.augment.draws import whole_number
from vit_jax.data.augment.pipeline import Example, ImageShape, MixingTransform


def draw_weight(key: jax.Array, alpha: float | jax.Array, probability: float) -> jax.Array:
    """lambda, the example's own weight: from Beta(alpha, alpha) with `probability`, else 1.

    If x is a variate of Student's t with 2 alpha degrees of freedom, divided by their root, then x / sqrt(1 + x^2) is
    one of Beta(alpha, alpha), stretched over [-1, 1]; and x comes from two uniform numbers (Bailey, 1994: the polar
    method of Box and Muller). The usual way, by gamma variates, draws until one is accepted: a loop whose end devices
    that share a batch would have to agree on.
    """
    radius, angle, apply = jax.random.uniform(key, (3,))
    log_share = jnp.log1p(-radius) / alpha
    # x = above / sqrt(share): so written, a share that is almost 0 does no harm.
    above = jnp.sqrt(-jnp.expm1(log_share)) * jnp.cos(2 * jnp.pi * angle)
    stretched = above / jnp.sqrt(jnp.exp(log_share) + above**2)
    return jnp.where(apply < probability, (1 + jnp.clip(stretched, -1, 1)) / 2, 1.0)


def mixup(example: Example, partner: Example, weight: jax.Array) -> Example:
    """weight * example + (1 - weight) * partner."""
    (image, label), (partner_image, partner_label) = example, partner
    return weight * image + (1 - weight) * partner_image, weight * label + (1 - weight) * partner_label


def draw_pasted_box(key: jax.Array, weight: jax.Array, image_size: tuple[int, int]) -> Box:
    """A rectangle of the image's aspect ratio and 1 - weight of its area, its centre uniform over the pixels.

    What falls outside the image is cut off. Where the side is odd, the box has it all, as in timm; CutMix's code
    rounds it down to an even one.
    """
    side = jnp.sqrt(1 - weight)  # of the image's
    uniform = jax.random.uniform(key, (2,))

    def interval(uniform_centre: jax.Array, size: int) -> tuple[jax.Array, jax.Array]:
        length = jnp.floor(size * side).astype(jnp.int32)
        centre = whole_number(uniform_centre, size)
        start = jnp.maximum(centre - length // 2, 0)
        return start, jnp.minimum(centre + (length + 1) // 2, size) - start

    top, height = interval(uniform[0], image_size[0])
    left, width = interval(uniform[1], image_size[1])
    return Box(top, left, height, width)


def cutmix(example: Example, partner: Example, box: Box) -> Example:
    """Pastes the partner's `box` over the example. Labels are weighted by the area that is really pasted."""
    (image, label), (partner_image, partner_label) = example, partner
    height, width, _ = image.shape
    pasted = box.height * box.width / (height * width)
    mixed_image = jnp.where(inside(box, (height, width)), partner_image, image)
    return mixed_image, (1 - pasted) * label + pasted * partner_label


@dataclass(frozen=True)
class Mixup(MixingTransform[jax.Array]):
    """lambda * example + (1 - lambda) * partner, lambda ~ Beta(alpha, alpha).

    Attributes:
        alpha: 0.8 in DeiT and Swin; the paper has 0.1 to 0.4 on ImageNet and 1 on CIFAR-10.
        probability: of mixing an example.
    """

    alpha: float = 0.8
    probability: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.alpha < math.inf, self, "alpha", "above 0, and finite")
        require(0 <= self.probability <= 1, self, "probability", "in [0, 1]")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> jax.Array:
        return draw_weight(key, self.alpha, self.probability)

    def apply(self, example: Example, partner: Example, params: jax.Array) -> Example:
        return mixup(example, partner, params)


@dataclass(frozen=True)
class Cutmix(MixingTransform[Box]):
    """Pastes a rectangle of the partner over the same place of the example.

    The rectangle has the image's aspect ratio and, before it is cut off at the border, 1 - lambda of its area,
    lambda ~ Beta(alpha, alpha). Labels are weighted by the area that is really pasted.

    Attributes:
        alpha: 1 in the paper, DeiT and Swin.
        probability: of mixing an example.
    """

    alpha: float = 1.0
    probability: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.alpha < math.inf, self, "alpha", "above 0, and finite")
        require(0 <= self.probability <= 1, self, "probability", "in [0, 1]")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> Box:
        weight_key, box_key = jax.random.split(key)
        weight = draw_weight(weight_key, self.alpha, self.probability)
        return draw_pasted_box(box_key, weight, image_shape[:2])

    def apply(self, example: Example, partner: Example, params: Box) -> Example:
        return cutmix(example, partner, params)


class MixupOrCutmixParams(NamedTuple):
    """Which of the two is used (bool), mixup's lambda and cutmix's rectangle."""

    use_cutmix: jax.Array
    weight: jax.Array
    box: Box


@dataclass(frozen=True)
class MixupOrCutmix(MixingTransform[MixupOrCutmixParams]):
    """Mixup or cutmix, chosen for every example. The defaults are DeiT's and Swin's, whose code draws one
    lambda, and one of the two, for a whole batch.

    Attributes:
        mixup_alpha: of mixup's lambda; see `Mixup`.
        cutmix_alpha: of cutmix's lambda; see `Cutmix`.
        switch_probability: of cutmix rather than mixup.
        probability: of mixing an example at all.
    """

    mixup_alpha: float = 0.8
    cutmix_alpha: float = 1.0
    switch_probability: float = 0.5
    probability: float = 1.0

    def __post_init__(self) -> None:
        require(0 < self.mixup_alpha < math.inf, self, "mixup_alpha", "above 0, and finite")
        require(0 < self.cutmix_alpha < math.inf, self, "cutmix_alpha", "above 0, and finite")
        require(0 <= self.switch_probability <= 1, self, "switch_probability", "in [0, 1]")
        require(0 <= self.probability <= 1, self, "probability", "in [0, 1]")

    def draw(self, key: jax.Array, image_shape: ImageShape) -> MixupOrCutmixParams:
        switch_key, weight_key, box_key = jax.random.split(key, 3)
        use_cutmix = jax.random.uniform(switch_key) < self.switch_probability
        alpha = jnp.where(use_cutmix, self.cutmix_alpha, self.mixup_alpha)
        weight = draw_weight(weight_key, alpha, self.probability)
        return MixupOrCutmixParams(use_cutmix, weight, draw_pasted_box(box_key, weight, image_shape[:2]))

    def apply(self, example: Example, partner: Example, params: MixupOrCutmixParams) -> Example:
        forms = cutmix(example, partner, params.box), mixup(example, partner, params.weight)
        return jax.tree.map(partial(jnp.where, params.use_cutmix), *forms)
