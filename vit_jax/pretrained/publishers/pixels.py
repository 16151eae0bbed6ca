"""How each publisher prepares images where nothing beside its weights says so, by the network that it has trained.

Sources: `datasets.py` of DeiT, MAE and BEiT, `data/build.py` of Swin, `eval_linear.py` of DINO, `*_Weights` of
torchvision, `_cfg` of timm. From 384 px on all but torchvision's Swin take the whole image.
"""

from dataclasses import replace
from functools import partial

from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import GOOGLE, IMAGENET, full_size
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

AUTHORS = replace(IMAGENET, crop_fraction=224 / 256)
"""224 of 256 px, as most authors crop; timm crops less, as the registry does."""

SWIN_RESIZES = {
    (96, 6, 1): 232,
    (96, 18, 1): 246,
    (128, 18, 1): 238,
    (96, 6, 2): 260,
    (96, 18, 2): 260,
    (128, 18, 2): 272,
}
"""torchvision's, chosen for each network: by width, depth of the third stage and version."""


def torchvision_vit(network: Network) -> Preprocessing:
    """torchvision's. Of its weights called SWAG only the end-to-end ones and ViT-H have shapes of their own.

    SWAG_LINEAR's ViT-B and ViT-L at 224 px are taken for IMAGENET1K_V1's. (They have bicubic whole images.)
    """
    assert isinstance(network, VisionTransformer)
    if side(network) >= 384 or network.embed_dim == 1280:
        return full_size(AUTHORS)
    resized = 242 if (network.embed_dim, network.patch_size) == (1024, 16) else 256
    return replace(AUTHORS, crop_fraction=224 / resized, interpolation="bilinear")


def torchvision_swin(network: Network) -> Preprocessing:
    """torchvision's; that of ImageNet for a network it has not."""
    assert isinstance(network, SwinTransformer)
    depth = network.depths[2] if len(network.depths) > 2 else 0
    resized = SWIN_RESIZES.get((network.embed_dim, depth, network.version))
    return replace(AUTHORS, crop_fraction=(224, 256)[network.version - 1] / resized) if resized else AUTHORS


def at_size(smaller: Preprocessing, network: Network) -> Preprocessing:
    """Preprocessing of smaller images, from 384 px on without a margin."""
    return full_size(smaller) if side(network) >= 384 else smaller


def side(network: Network) -> int:
    """The shorter side of a network's images."""
    height, width, _ = network.input_shape
    return min(height, width)


google = partial(at_size, GOOGLE)
"""Google's and BEiT's: mean and standard deviation 0.5."""
imagenet = partial(at_size, AUTHORS)
"""DeiT's, DINO's, DINOv2's, MAE's and Swin's: ImageNet's mean and standard deviation."""
timm = partial(at_size, IMAGENET)
"""timm's of most networks, and BEiT v2's: ImageNet's mean and standard deviation, and a smaller margin."""
