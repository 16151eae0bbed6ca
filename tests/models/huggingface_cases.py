"""Small networks that Hugging Face has and timm has not: pre_logits, DINOv2's classifier and mask, BEiT's and MAE's
pre-training.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from tests.models.cases import SMALL
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.vit import VisionTransformer

HUGGINGFACE_GOLDEN_FILE = Path(__file__).with_name("golden") / "huggingface.npz"


class HuggingFaceCase(NamedTuple):
    """A module of `SMALL` fields with these changed; a random "mask", or the order of "noise", masks patches."""

    module: type[Network]
    fields: Mapping[str, Any]
    masked_by: str | None = None


DINOV2 = dict(layer_scale=0.1, pool="token_avg", mask_token=True)
MAE = dict(num_classes=0, decoder_embed_dim=24, decoder_depth=1, decoder_num_heads=2, pos_embed="learned")

HUGGINGFACE_CASES = {
    "pre_logits": HuggingFaceCase(VisionTransformer, dict(num_classes=0, representation_size=40)),
    "dinov2": HuggingFaceCase(VisionTransformer, DINOV2),
    "dinov2_masked": HuggingFaceCase(VisionTransformer, DINOV2, "mask"),
    "dinov2_swiglu": HuggingFaceCase(VisionTransformer, dict(**DINOV2, swiglu=True, mlp_ratio=8 / 3)),
    "beit_masked": HuggingFaceCase(BeitPretraining, dict(num_classes=0, vocab_size=11), "mask"),
    "mae": HuggingFaceCase(MaskedAutoencoder, MAE, "noise"),
    "mae_wide": HuggingFaceCase(MaskedAutoencoder, dict(**MAE, image_size=(8, 32), mask_ratio=0.6), "noise"),
}


def small_network(case: HuggingFaceCase) -> Any:
    """A network that compiles in about a second."""
    return case.module(**{**SMALL, **case.fields})


def random_masks(case: HuggingFaceCase, seed: int) -> dict[str, np.ndarray]:
    """What masks the two images of a case, by the name of the argument: "mask" or "noise", [B, N]; or nothing."""
    if case.masked_by is None:
        return {}
    rows, columns = small_network(case).grid
    noise = np.random.RandomState(seed).uniform(size=(2, rows * columns)).astype(np.float32)
    return {"noise": noise} if case.masked_by == "noise" else {"mask": noise < 0.4}


@partial(jax.jit, static_argnums=0)
def outputs(model: Network, params: Mapping[str, Any], images: jax.Array, masks: Mapping[str, Any]) -> Any:
    """The model's output with full float32 products; a masked autoencoder's `Reconstruction`.

    Of masked images, a Vision Transformer has features alone: its head is applied to them here.
    """
    with jax.default_matmul_precision("highest"):
        if not (masks and isinstance(model, VisionTransformer)):
            return model.apply({"params": params}, images, **masks)
        features: Any = model.apply({"params": params}, images, **masks, method="features")
        return features.pooled @ params["head"]["kernel"] + params["head"]["bias"]
