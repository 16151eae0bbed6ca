"""Shapes of parameters, found without computing anything."""

from typing import Any

import pytest
from flax.traverse_util import flatten_dict

from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes, shapes_by_path
from vit_jax.models.registry import create_model
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

VIT = VisionTransformer(num_classes=5, image_size=16, patch_size=4, embed_dim=24, depth=3, num_heads=3)
SWIN = SwinTransformer(num_classes=5, image_size=32, embed_dim=12, depths=(3, 2), num_heads=(2, 3), window_size=4)


@pytest.mark.parametrize(
    "model",
    [
        VIT.clone(relative_position="per_block", layer_scale=0.1),
        SWIN,
        SWIN.clone(depths=(2, 3), version=2),
        create_model("beit_pretraining_base_patch16_224", embed_dim=24, num_heads=3, depth=3),
        create_model("discrete_vae_patch4_32", width=12, depth=3),
        create_model("mae_base_patch16_224", embed_dim=24, num_heads=3, depth=3, decoder_depth=2),
        create_model("dino_pretraining_small_patch16_224", embed_dim=24, num_heads=3, depth=3),
        create_model("dino_pretraining_swin_cifar_patch2_window4_32", embed_dim=12, depths=(3, 2), num_heads=(2, 3)),
        create_model("resnet9_narrow_32"),
    ],
    ids=lambda model: type(model).__name__,
)
def test_shapes_are_those_of_all_blocks(model: Network):
    traced: dict[str, Any] = flatten_dict(parameter_shapes(model), sep="/")
    assert shapes_by_path(model) == {path: leaf.shape for path, leaf in traced.items()}
