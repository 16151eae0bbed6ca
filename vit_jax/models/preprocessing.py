"""What a network expects of its input pixels; travels with the model and its weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean
from types import MappingProxyType
from typing import Any, Literal, overload

import jax
import numpy as np

from vit_jax.choices import check_fields

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Interpolation = Literal["nearest", "bilinear", "bicubic", "lanczos"]

RESIZE_METHODS: Mapping[Interpolation, str] = MappingProxyType(
    {"nearest": "nearest", "bilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos3"}
)
"""Pillow's resizes by their names in `jax.image.resize`; with antialias they are the same, but for its 8 bits."""


@dataclass(frozen=True)
class Preprocessing:
    """How pixels become the network's input.

    Attributes:
        mean: of each channel, in units of the full range 0 to 1; one value serves all channels. Google's: 0.5. Any
            sequence or a number may be given; kept is a tuple of floats.
        std: likewise.
        crop_fraction: share of the resized image's shorter side that the centre crop keeps ("crop_pct" in timm).
        interpolation: of the resize.
        squash: scale height and width each by itself, so that nothing but the margin is cropped (Hugging Face's ViT);
            otherwise the shape is kept and the longer side is cropped.
        crop_rounding: where the centre crop begins if half the margin is no whole number: at the nearest "even" one
            (torchvision, hence timm and the papers' code) or the next one "down" (Hugging Face).

    Raises:
        ValueError: when built, if `crop_fraction` is not in (0, 1], a choice is none of its values, or `mean` and `std`
            are not finite numbers that go together.
    """

    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.5,)
    crop_fraction: float = 1.0
    interpolation: Interpolation = "bicubic"
    squash: bool = False
    crop_rounding: Literal["even", "down"] = "even"

    def __post_init__(self):
        check_fields(self)
        if not 0 < self.crop_fraction <= 1:
            raise ValueError(f"crop_fraction must be in (0, 1], not {self.crop_fraction}")
        for name in ("mean", "std"):
            object.__setattr__(self, name, of_channels(getattr(self, name), name))
        if min(self.std, default=0) <= 0 or len(self.std) != len(self.mean):
            raise ValueError(f"mean and std need one value a channel, std positive; got {self.mean} and {self.std}")

    def check_channels(self, channels: int) -> None:
        """Raises ValueError if there are neither one nor so many means; proposes one, the mean of those there are."""
        if len(self.mean) not in (1, channels):
            mean, std = fmean(self.mean), fmean(self.std)
            raise ValueError(
                f"preprocessing has {len(self.mean)} channel means for images of {channels} channels: make the model "
                f"with another, such as preprocessing=vit_jax.Preprocessing(mean={mean:.3g}, std={std:.3g})"
            )

    @overload
    def normalise(self, pixels: np.ndarray) -> np.ndarray: ...

    @overload
    def normalise(self, pixels: jax.Array) -> jax.Array: ...

    def normalise(self, pixels: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
        """Maps pixel values [..., C] in [0, 255] to float32 [..., C] of about zero mean and unit variance.

        NumPy's arrays are computed with by NumPy: a single image is not worth the way to a device and back.

        Raises:
            ValueError: if there are neither one nor C means.
        """
        self.check_channels(pixels.shape[-1])
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return (pixels.astype(np.float32) / 255 - mean) / std


def of_channels(values: Any, name: str) -> tuple[float, ...]:
    """A number, or a sequence of them, as a tuple of floats.

    Raises:
        ValueError: if it is something else, or not finite; says the name.
    """
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite numbers, one a channel, not {values!r}")
    return tuple(map(float, array))
