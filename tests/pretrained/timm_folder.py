"""What timm makes of a folder, and its and torchvision's settings. Importing it needs both (the extra "parity")."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.timm_reference import torch_layout  # noqa: F401  prepares for timm's import

# isort: split
import timm  # pyright: ignore[reportMissingImports]
from timm.data.config import resolve_model_data_config  # pyright: ignore[reportMissingImports]
from timm.data.transforms_factory import create_transform  # pyright: ignore[reportMissingImports]
from timm.models._hub import _parse_model_cfg  # pyright: ignore[reportMissingImports]
from torchvision.models import get_weight  # pyright: ignore[reportMissingImports]


def timm_model(folder: Path, **options: Any) -> Any:
    """The network in a folder, with nothing else said but `options`."""
    return timm.create_model(f"local-dir:{folder}", pretrained=True, **options).eval()


def timm_outputs(folder: Path, images: np.ndarray, **options: Any) -> np.ndarray:
    """What the network in a folder, made with `options`, gives for images [B, H, W, C]."""
    with torch.no_grad():
        return timm_model(folder, **options)(torch.tensor(images).permute(0, 3, 1, 2)).numpy()


def timm_intermediates(folder: Path, images: np.ndarray, blocks: int) -> list[np.ndarray]:
    """All tokens [B, N, D] of so many of the last blocks, each normalised, for images [B, H, W, C]."""
    asked = dict(indices=blocks, norm=True, return_prefix_tokens=True, output_fmt="NLC", intermediates_only=True)
    with torch.no_grad():
        found = timm_model(folder).forward_intermediates(torch.tensor(images).permute(0, 3, 1, 2), **asked)
    return [torch.cat([prefix, patches], dim=1).numpy() for patches, prefix in found]


def timm_pixels(folder: Path, image: Any) -> np.ndarray:
    """What timm's transform for the network makes of an image: [H, W, C]."""
    transform: Any = create_transform(**resolve_model_data_config(timm_model(folder)), is_training=False)
    return transform(image).numpy().transpose(1, 2, 0)


def timm_names() -> list[str]:
    """Every architecture that timm has."""
    return timm.list_models()


def torchvision_preset(weights: str) -> Any:
    """How torchvision prepares images for the weights of a name, such as "ViT_B_16_Weights.IMAGENET1K_V1"."""
    return get_weight(weights).transforms()


def timm_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the weights as timm reads them from a `config.json`."""
    return _parse_model_cfg(dict(config), {})[0]


def timm_networks() -> Iterator[tuple[str, Any]]:
    """Every Vision Transformer, DeiT and EVA of timm's by its name, its first block only, with shapes but no values."""
    modules = ("vision_transformer", "deit", "eva")
    for name in (name for module in modules for name in timm.list_models(module=module)):
        if "sapiens2" in name:  # which takes no other depth; its queries and keys have names of their own
            continue
        with torch.device("meta"):
            yield name, timm.create_model(name, depth=1)
