"""Small Swin Transformers that between them meet every way in which maps and windows can fail to fit.

Each case's window rule names the implementation it is compared with.
"""

from pathlib import Path
from typing import Any

from vit_jax.models.swin import SwinTransformer

SWIN_GOLDEN_FILE = Path(__file__).with_name("golden") / "swin.npz"

SMALL_SWIN = dict(num_classes=7, patch_size=2, embed_dim=24, depths=(2, 2), num_heads=(2, 3), window_size=4)

TIMM = dict(window_rule="timm")
HUGGINGFACE = dict(window_rule="microsoft")
TORCHVISION = dict(window_rule="torchvision")

SWIN_CASES: dict[str, dict[str, Any]] = {
    "whole_windows": dict(**TIMM, image_size=32),
    "three_stages": dict(**TIMM, image_size=32, depths=(2, 1, 3), num_heads=(2, 3, 4), mlp_ratio=2.0),
    "padded": dict(**TIMM, image_size=20),
    "odd_map_merged": dict(**TIMM, image_size=(22, 26), window_size=3),
    "wide_image": dict(**TIMM, image_size=(16, 40)),
    "one_axis_smaller_than_a_window": dict(**TIMM, image_size=(12, 40), window_size=7),
    "map_smaller_than_a_window": dict(**TIMM, image_size=8, window_size=7),
    "a_window_for_each_stage": dict(**TIMM, image_size=32, window_size=(4, 3)),
    "window_of_one": dict(**TIMM, image_size=8, window_size=1),
    "no_bias_four_channels": dict(**TIMM, image_size=16, in_channels=4, qkv_bias=False),
    "no_head": dict(**TIMM, image_size=16, num_classes=0),
    "v2": dict(**TIMM, version=2, image_size=32),
    "v2_padded": dict(**TIMM, version=2, image_size=20),
    "v2_odd_map_merged": dict(**TIMM, version=2, image_size=(22, 26), window_size=3),
    "v2_wide_image": dict(**TIMM, version=2, image_size=(12, 40), window_size=7),
    "v2_window_of_one": dict(**TIMM, version=2, image_size=8, window_size=(4, 1)),
    "v2_larger_window": dict(**TIMM, version=2, image_size=32, window_size=8, pretrained_window_sizes=(4, 3)),
    "v2_no_bias": dict(**TIMM, version=2, image_size=16, qkv_bias=False),
    "padded_before_the_shift": dict(**HUGGINGFACE, image_size=20),
    "padded_before_the_shift_wide": dict(**HUGGINGFACE, image_size=(22, 36), window_size=4),
    "v2_padded_before_the_shift": dict(**HUGGINGFACE, version=2, image_size=20),
    "v2_padded_before_the_shift_wide": dict(**HUGGINGFACE, version=2, image_size=(22, 36), window_size=4),
    "windows_larger_than_the_map": dict(**TORCHVISION, image_size=(12, 40), window_size=7),
    "windows_that_keep_their_size": dict(**TORCHVISION, image_size=(20, 22), window_size=3),
    "v2_windows_larger_than_the_map": dict(**TORCHVISION, version=2, image_size=(12, 40), window_size=7),
}


def small_swin(**fields: Any) -> SwinTransformer:
    """A network that compiles in about a second."""
    return SwinTransformer(**{**SMALL_SWIN, **fields})
