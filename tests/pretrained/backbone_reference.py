"""Hugging Face's `SwinBackbone`. Importing this module needs torch, timm and transformers (extra "parity")."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.timm_reference import torch_layout  # noqa: F401  prepares for torchvision's import

# isort: split
from transformers import SwinBackbone, SwinConfig  # pyright: ignore[reportMissingImports]


def write_and_map(fields: Mapping[str, Any], directory: Path, images: np.ndarray) -> list[np.ndarray]:
    """Writes a backbone with random parameters; its maps [B, H, W, C] of images [B, H, W, C]."""
    torch.manual_seed(0)
    network = SwinBackbone(SwinConfig(**fields)).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(std=0.3)
    network.save_pretrained(directory)
    maps = network(torch.tensor(images).permute(0, 3, 1, 2)).feature_maps
    return [found.permute(0, 2, 3, 1).numpy() for found in maps]
