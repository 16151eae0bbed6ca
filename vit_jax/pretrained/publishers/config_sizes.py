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


def swin_sizes(written: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a `SwinTransformer` that both libraries write by the same names.

    Raises:
        ValueError: if its windows are not square.
    """
    fields: dict[str, Any] = {}
    if "window_size" in written:
        fields["window_size"] = windows(written["window_size"])
    if "mlp_ratio" in written:
        fields["mlp_ratio"] = written["mlp_ratio"]
    if "pretrained_window_sizes" in written:
        fields["pretrained_window_sizes"] = pretrained_windows(written["pretrained_window_sizes"])
    return fields


def windows(value: Any) -> Any:
    """Windows: a number or a pair (height, width) for all stages, or a list of either with one for each.

    Raises:
        ValueError: if they are not square.
    """
    if isinstance(value, int):
        return value
    if len(value) == 2 and isinstance(value[0], int):
        value = [value]
    sides = [tuple(stage) if isinstance(stage, list | tuple) else (stage, stage) for stage in value]
    if any(height != width for height, width in sides):
        raise ValueError(f"window_size {value} is not supported; windows must be square")
    return sides[0][0] if len(sides) == 1 else tuple(height for height, _ in sides)


def pretrained_windows(sizes: Sequence[int]) -> tuple[int, ...]:
    """Windows that Swin V2's biases are scaled by, of zeros where they are each stage's own."""
    return tuple(sizes) if any(sizes) else ()
