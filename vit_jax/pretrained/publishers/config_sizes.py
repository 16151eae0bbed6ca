"""Sizes of images and windows as `config.json` writes them, Hugging Face's and timm's alike."""

from collections.abc import Mapping, Sequence
from typing import Any


def size(value: Any) -> Any:
    """A number, a list of height and width, or a dict of them as `image_size` has it."""
    if isinstance(value, Mapping):
        value = (value["height"], value["width"])
    if isinstance(value, list | tuple):
        return value[0] if len(value) == 1 or value[0] == value[1] else tuple(value)
    return value


def pretrained_windows(sizes: Sequence[int]) -> tuple[int, ...]:
    """Windows that Swin V2's biases are scaled by, of zeros where they are each stage's own."""
    return tuple(sizes) if any(sizes) else ()
