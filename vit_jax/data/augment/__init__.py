"""Batched augmentation on the accelerator, inside the jitted training step.

    augment = (RandomCrop(padding=4), RandomHorizontalFlip(), RandAugment(), MixupOrCutmix())

The list of a config is a tuple of these frozen dataclasses. Images are float32 pixel values in [0, 255] before and
after each of them; normalisation comes later.
"""

from vit_jax.data.augment.blur import ThreeAugment
from vit_jax.data.augment.color import ColorJitter
from vit_jax.data.augment.crop import RandomCrop, RandomHorizontalFlip, RandomResizedCrop
from vit_jax.data.augment.erasing import RandomErasing
from vit_jax.data.augment.mixing import Cutmix, Mixup, MixupOrCutmix
from vit_jax.data.augment.pipeline import ImageTransform, MixingTransform, augment
from vit_jax.data.augment.policies import CifarAutoAugment, RandAugment, TrivialAugment

Transform = (
    RandomCrop
    | RandomHorizontalFlip
    | RandomResizedCrop
    | ColorJitter
    | ThreeAugment
    | RandAugment
    | TrivialAugment
    | CifarAutoAugment
    | RandomErasing
    | Mixup
    | Cutmix
    | MixupOrCutmix
)
"""Any of the transforms, for the config."""

__all__ = [
    "CifarAutoAugment",
    "ColorJitter",
    "Cutmix",
    "ImageTransform",
    "MixingTransform",
    "Mixup",
    "MixupOrCutmix",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomHorizontalFlip",
    "RandomResizedCrop",
    "ThreeAugment",
    "Transform",
    "TrivialAugment",
    "augment",
]
