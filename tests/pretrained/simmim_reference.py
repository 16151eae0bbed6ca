"""Hugging Face's networks for masked image modelling (SimMIM). Needs torch, timm and transformers (extra "parity")."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.timm_reference import torch_layout  # noqa: F401  prepares for torchvision's import

# isort: split
import transformers  # pyright: ignore[reportMissingImports]


def write_and_encode(kind: str, fields: Mapping[str, Any], directory: Path, images: np.ndarray) -> np.ndarray:
    """Writes a network of a kind ("Swin") with random parameters, and encodes images [B, H, W, C]: [B, N, D]."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(**fields)
    network = getattr(transformers, f"{kind}ForMaskedImageModeling")(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        parameter.normal_(std=0.1)
    network.save_pretrained(directory)
    return network.base_model(torch.tensor(images).permute(0, 3, 1, 2)).last_hidden_state.numpy()
