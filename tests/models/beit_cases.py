"""Small BEiTs: relative position biases of both kinds, keys without a bias, the norm on either side of pooling."""

from pathlib import Path
from typing import Any

from vit_jax.models.vit import VisionTransformer

BEIT_GOLDEN_FILE = Path(__file__).with_name("golden") / "beit.npz"

SMALL_BEIT = dict(
    num_classes=7, image_size=16, patch_size=4, embed_dim=48, depth=2, num_heads=3, key_bias=False, pool="avg"
)

# Each sets what timm's `Beit` has another default for.
BEIT_CASES: dict[str, dict[str, Any]] = {
    "fine_tuned": dict(pos_embed="none", relative_position="per_block", fc_norm=True, layer_scale=0.1),
    "wide_image": dict(image_size=(12, 20), pos_embed="none", relative_position="per_block", fc_norm=True),
    "shared_table": dict(image_size=(20, 12), pos_embed="none", relative_position="shared", fc_norm=False),
    "with_positions": dict(pos_embed="learned", relative_position="per_block", pool="token", fc_norm=False),
    "keys_without_bias_only": dict(pos_embed="learned", fc_norm=False),
    "swiglu_apart": dict(pos_embed="none", relative_position="shared", fc_norm=True, swiglu=True, mlp_ratio=2.5),
}


def small_beit(**fields: Any) -> VisionTransformer:
    """A network that compiles in about a second."""
    return VisionTransformer(**{**SMALL_BEIT, **fields})
