"""What transformers makes of a folder. Importing this module needs torch, timm and transformers (extra "parity")."""

from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.timm_reference import torch_layout  # noqa: F401  prepares for torchvision's import

# isort: split
from transformers import (  # pyright: ignore[reportMissingImports]
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    BeitConfig,
    BeitForImageClassification,
    BeitForMaskedImageModeling,
    ViTMAEForPreTraining,
)
from transformers.utils import logging  # pyright: ignore[reportMissingImports]

from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network

logging.disable_progress_bar()


def huggingface_outputs(folder: Path, model: Network, images: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What the network in a folder gives, loaded by what transformers itself takes for it: every name must be used.

    Args:
        folder: with the saved network.
        model: ours, which tells the kind.
        images: [B, H, W, C].
        mask: of patches, float [B, N]: noise for MAE, of which the positive ones are masked for BEiT.
    """
    pixels, noise = torch.tensor(images).permute(0, 3, 1, 2), torch.tensor(mask)
    if isinstance(model, MaskedAutoencoder):
        network = loaded(ViTMAEForPreTraining, folder)
        return network(pixels, noise=noise).logits.numpy()
    if isinstance(model, BeitPretraining):
        return loaded(BeitForMaskedImageModeling, folder)(pixels, bool_masked_pos=noise > 0).logits.numpy()
    if model.num_classes == 0 and getattr(model, "layer_scale", None) and getattr(model, "pool", None) == "token":
        return loaded(AutoModel, folder)(pixels).pooler_output.numpy()
    return loaded(AutoModelForImageClassification, folder)(pixels).logits.numpy()


def loaded(kind: Any, folder: Path) -> Any:
    """The network, if nothing of it is missing in the folder and nothing left over."""
    model, told = kind.from_pretrained(folder, output_loading_info=True)
    assert not any(told.values()), told
    return model.eval().requires_grad_(False)


def huggingface_labels(folder: Path) -> list[str]:
    """The class names that its config gives."""
    config = AutoModelForImageClassification.from_pretrained(folder).config
    return [config.id2label[i] for i in range(config.num_labels)]


def huggingface_pixels(folder: Path, image: Any) -> np.ndarray:
    """What its image processor makes of an image: [H, W, C]."""
    pixels = AutoImageProcessor.from_pretrained(folder)(image, return_tensors="np")["pixel_values"]
    return np.asarray(pixels)[0].transpose(1, 2, 0)


def random_beit(folder: Path, size: tuple[int, int], images: np.ndarray) -> np.ndarray:
    """Writes a small BEiT of random parameters for images of a size; returns its logits of images [B, H, W, C]."""
    config = BeitConfig(
        image_size=size, patch_size=8, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        use_relative_position_bias=True,
    )  # fmt: skip
    config.num_labels = 5
    torch.manual_seed(0)
    network = BeitForImageClassification(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.5)
        network.save_pretrained(folder)
        return network(torch.tensor(images).permute(0, 3, 1, 2)).logits.numpy()
