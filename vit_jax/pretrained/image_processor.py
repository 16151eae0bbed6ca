"""Preprocessing as Hugging Face's image processors have it in `preprocessor_config.json`."""

import math
from typing import Any

from vit_jax.models.network import Network
from vit_jax.pretrained.publishers.huggingface_config import RESAMPLING


def against_preprocessing(model: Network) -> list[str]:
    """Why its image processors cannot do what a model's preprocessing does, a line each."""
    height, width, _ = model.input_shape
    fits = model.preprocessing.squash or height == width
    return [] if fits else ["preprocessing: its image processors crop to squares only; squash=True fits any image"]


def image_processor(model: Network) -> dict[str, Any]:
    """`preprocessor_config.json`. It has the cropped share as `crop_pct`, too, which whole pixels do not give exactly,
    and `crop_rounding`, so that both come back: Hugging Face knows neither."""
    settings = model.preprocessing
    height, width, channels = model.input_shape
    covering_height, covering_width = (math.floor(side / settings.crop_fraction) for side in (height, width))
    covering = {"height": covering_height, "width": covering_width}
    cropped = not settings.squash or settings.crop_fraction < 1
    kind = "BitImageProcessor" if not settings.squash else "DeiTImageProcessor" if cropped else "ViTImageProcessor"
    config: dict[str, Any] = {
        "image_processor_type": kind,
        "do_convert_rgb": channels == 3,
        "do_resize": True,
        "size": covering if settings.squash else {"shortest_edge": covering_height},
        "resample": {name: number for number, name in RESAMPLING.items()}[settings.interpolation],
        "do_center_crop": cropped,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": channel_values(settings.mean, channels),
        "image_std": channel_values(settings.std, channels),
    }
    if cropped:
        config |= {"crop_size": {"height": height, "width": width}, "crop_pct": settings.crop_fraction}
    return config | {"crop_rounding": settings.crop_rounding}


def channel_values(values: tuple[float, ...], channels: int) -> Any:
    """One value for all channels as a number, as it is here; otherwise one for each."""
    return values[0] if len(values) == 1 < channels else list(values)
