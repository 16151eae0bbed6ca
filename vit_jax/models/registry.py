"""Published networks by name, timm's where it has the network; counts of learned parameters are the publishers'."""

import dataclasses
import fnmatch
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from vit_jax.models.beit import BeitPretraining
from vit_jax.models.cnn import ConvNet, ResNet9
from vit_jax.models.dino import DinoNetwork, DinoSwinTransformer, DinoVisionTransformer
from vit_jax.models.discrete_vae import DiscreteVae
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.other_names import about_field, about_model
from vit_jax.models.preprocessing import IMAGENET_MEAN, IMAGENET_STD, Preprocessing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer

# ViT, table 1, and "Scaling Vision Transformers" (Zhai et al., 2022), table 2, for g and G; Ti and S are DeiT's.
VIT_SIZES = {
    "tiny": dict(embed_dim=192, depth=12, num_heads=3),
    "small": dict(embed_dim=384, depth=12, num_heads=6),
    "base": dict(embed_dim=768, depth=12, num_heads=12),
    "large": dict(embed_dim=1024, depth=24, num_heads=16),
    "huge": dict(embed_dim=1280, depth=32, num_heads=16),
    "giant": dict(embed_dim=1408, depth=40, num_heads=16, mlp_ratio=48 / 11),
    "gigantic": dict(embed_dim=1664, depth=48, num_heads=16, mlp_ratio=64 / 13),
}
VIT_AT_224 = (
    *(("tiny", 16), ("small", 32), ("small", 16), ("base", 32), ("base", 16), ("base", 8), ("large", 32)),
    *(("large", 16), ("large", 14), ("huge", 14), ("giant", 14), ("gigantic", 14)),
)
VIT_AT_384 = (("tiny", 16), ("small", 32), ("small", 16), ("base", 32), ("base", 16), ("large", 32), ("large", 16))
VIT_AT_32 = (("tiny", 4), ("tiny", 2), ("small", 4), ("small", 2), ("base", 4))

# Swin, section 3.3.
SWIN_SIZES = {
    "tiny": dict(embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24)),
    "small": dict(embed_dim=96, depths=(2, 2, 18, 2), num_heads=(3, 6, 12, 24)),
    "base": dict(embed_dim=128, depths=(2, 2, 18, 2), num_heads=(4, 8, 16, 32)),
    "large": dict(embed_dim=192, depths=(2, 2, 18, 2), num_heads=(6, 12, 24, 48)),
}

GOOGLE = Preprocessing(crop_fraction=0.9)
IMAGENET = Preprocessing(IMAGENET_MEAN, IMAGENET_STD, crop_fraction=0.9)
CIFAR = Preprocessing((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


def full_size(preprocessing: Preprocessing) -> Preprocessing:
    """The publishers' crop at 384 px: the whole image."""
    return dataclasses.replace(preprocessing, crop_fraction=1.0)


def vit_variants() -> dict[str, dict[str, Any]]:
    """Fields of every plain Vision Transformer, by name."""
    variants = {}
    for size, patch in VIT_AT_224:
        variants[f"vit_{size}_patch{patch}_224"] = dict(**VIT_SIZES[size], patch_size=patch, preprocessing=GOOGLE)
    for size, patch in VIT_AT_384:
        fields = dict(**VIT_SIZES[size], patch_size=patch, image_size=384, preprocessing=full_size(GOOGLE))
        variants[f"vit_{size}_patch{patch}_384"] = fields

    # CIFAR-10 from scratch: 32 px, 10 classes. The smallest is that of SPT_LSA and of Gani et al., 2022.
    for size, patch in VIT_AT_32:
        fields = dict(**VIT_SIZES[size], patch_size=patch, image_size=32, num_classes=10, preprocessing=CIFAR)
        variants[f"vit_{size}_patch{patch}_32"] = fields
    variants["vit_cifar_patch4_32"] = dict(
        embed_dim=192, depth=9, num_heads=12, mlp_ratio=2.0, patch_size=4, image_size=32, num_classes=10,
        preprocessing=CIFAR,
    )  # fmt: skip
    variants["vit_digits_patch2_8"] = dict(
        embed_dim=96, depth=4, num_heads=4, patch_size=2, image_size=8, num_classes=10, in_channels=1
    )
    return variants


def deit_variants() -> dict[str, dict[str, Any]]:
    """Fields of DeiT (Touvron et al., 2021), its distilled form, and DeiT-III (Touvron et al., 2022), by name."""
    variants = {}
    for size in ("tiny", "small", "base"):
        fields = dict(**VIT_SIZES[size], preprocessing=IMAGENET, kernel_init="normal")
        variants[f"deit_{size}_patch16_224"] = fields
        variants[f"deit_{size}_distilled_patch16_224"] = dict(**fields, distilled=True)
    at_384 = dict(**VIT_SIZES["base"], image_size=384, preprocessing=full_size(IMAGENET), kernel_init="normal")
    variants["deit_base_patch16_384"] = at_384
    variants["deit_base_distilled_patch16_384"] = dict(**at_384, distilled=True)

    for size, patch in (("small", 16), ("base", 16), ("large", 16), ("huge", 14)):
        deit3 = dict(**VIT_SIZES[size], patch_size=patch, layer_scale=1e-4, no_embed_class=True, kernel_init="normal")
        variants[f"deit3_{size}_patch{patch}_224"] = dict(**deit3, preprocessing=IMAGENET)
        if size != "huge":
            variants[f"deit3_{size}_patch{patch}_384"] = dict(
                **deit3, image_size=384, preprocessing=full_size(IMAGENET)
            )
    return variants


def dino_variants() -> dict[str, dict[str, Any]]:
    """Fields of the backbones of DINO (Caron et al., 2021), by name: no head."""
    crop = dataclasses.replace(IMAGENET, crop_fraction=224 / 256)
    return {
        f"dino_{size}_patch{patch}_224": dict(
            **VIT_SIZES[size], patch_size=patch, num_classes=0, preprocessing=crop, kernel_init="normal"
        )
        for size in ("small", "base")
        for patch in (16, 8)
    }


def dinov2_variants() -> dict[str, dict[str, Any]]:
    """Fields of the backbones of DINOv2 (Oquab et al., 2024), by name: no head.

    Those with registers have positions for the patches only (timm's form: the class token holds the sum with its own).
    """
    sizes = {
        **{size: VIT_SIZES[size] for size in ("small", "base", "large")},
        "giant": dict(embed_dim=1536, depth=40, num_heads=24, mlp_ratio=8 / 3, swiglu=True),
    }
    variants = {}
    for size, fields in sizes.items():
        common = dict(
            **fields, patch_size=14, image_size=518, layer_scale=1e-5, num_classes=0, kernel_init="normal",
            preprocessing=full_size(IMAGENET),
        )  # fmt: skip
        variants[f"dinov2_{size}_patch14_518"] = common
        variants[f"dinov2_{size}_patch14_reg4_518"] = dict(**common, num_registers=4, no_embed_class=True)
    return variants


def beit_variants() -> dict[str, dict[str, Any]]:
    """Fields of the classifiers fine-tuned from BEiT (Bao et al., 2022), by name."""
    variants = {}
    for size, layer_scale, image_sizes in (("base", 0.1, (224, 384)), ("large", 1e-5, (224, 384, 512))):
        for image_size in image_sizes:
            variants[f"beit_{size}_patch16_{image_size}"] = dict(
                **VIT_SIZES[size],
                image_size=image_size,
                layer_scale=layer_scale,
                key_bias=False,
                pos_embed="none",
                relative_position="per_block",
                pool="avg",
                fc_norm=True,
                kernel_init="normal",
                preprocessing=GOOGLE if image_size == 224 else full_size(GOOGLE),
            )
    return variants


def beit_pretraining_variants() -> dict[str, dict[str, Any]]:
    """Fields of the networks that BEiT was pre-trained as, by name."""
    variants: dict[str, dict[str, Any]] = {
        f"beit_pretraining_{size}_patch16_224": dict(
            **VIT_SIZES[size], layer_scale=layer_scale, preprocessing=full_size(GOOGLE)
        )
        for size, layer_scale in (("base", 0.1), ("large", 1e-5))
    }
    # CIFAR-10: the encoder of vit_cifar_patch4_32 as BEiT has it, and the tokens of discrete_vae_patch4_32.
    variants["beit_pretraining_cifar_patch4_32"] = dict(
        embed_dim=192, depth=9, num_heads=12, mlp_ratio=2.0, patch_size=4, image_size=32, preprocessing=CIFAR,
        vocab_size=1024,
    )  # fmt: skip
    return variants


def discrete_vae_variants() -> dict[str, dict[str, Any]]:
    """Fields of tokenizers for BEiT, by name; the first has the view, the grid and the tokens of the published one."""
    lanczos = Preprocessing(interpolation="lanczos")
    return {
        "discrete_vae_patch8_112": dict(image_size=112, patch_size=8, preprocessing=lanczos),
        "discrete_vae_patch4_32": dict(image_size=32, patch_size=4, vocab_size=1024, width=128, preprocessing=lanczos),
    }


def mae_variants() -> dict[str, dict[str, Any]]:
    """Fields of the masked autoencoders (He et al., 2022), encoder and decoder, by name."""
    sizes = (("base", 16), ("large", 16), ("huge", 14))
    variants: dict[str, dict[str, Any]] = {
        f"mae_{size}_patch{patch}_224": dict(**VIT_SIZES[size], patch_size=patch, preprocessing=IMAGENET)
        for size, patch in sizes
    }
    # CIFAR-10: the encoder of vit_cifar_patch4_32, in patches of 4 and of 2 pixels, with a decoder as wide.
    for patch in (4, 2):
        variants[f"mae_cifar_patch{patch}_32"] = dict(
            embed_dim=192, depth=9, num_heads=12, mlp_ratio=2.0, patch_size=patch, image_size=32, preprocessing=CIFAR,
            decoder_embed_dim=192, decoder_depth=2, decoder_num_heads=12,
        )  # fmt: skip
    return variants


def dino_pretraining_variants() -> dict[str, tuple[type[DinoNetwork], dict[str, Any]]]:
    """Modules and fields of DINO's students (Caron et al., 2021), encoder and head, by name."""
    variants: dict[str, tuple[type[DinoNetwork], dict[str, Any]]] = {
        f"dino_pretraining_{size}_patch{patch}_224": (
            DinoVisionTransformer,
            dict(**VIT_SIZES[size], patch_size=patch, preprocessing=IMAGENET),
        )
        for size in ("small", "base")
        for patch in (16, 8)
    }
    # CIFAR-10: the networks of Gani et al., 2022, and their head, narrower and of fewer prototypes than DINO's.
    cifar = dict(image_size=32, preprocessing=CIFAR, mlp_ratio=2.0, prototypes=1024, head_hidden_dim=512)
    variants["dino_pretraining_vit_cifar_patch4_32"] = (
        DinoVisionTransformer,
        dict(**cifar, patch_size=4, embed_dim=192, depth=9, num_heads=12),
    )
    variants["dino_pretraining_swin_cifar_patch2_window4_32"] = (
        DinoSwinTransformer,
        dict(**cifar, patch_size=2, window_size=4, embed_dim=96, depths=(2, 6, 4), num_heads=(3, 6, 12)),
    )
    return variants


def swin_variants() -> dict[str, dict[str, Any]]:
    """Fields of every Swin Transformer (Liu et al., 2021), by name."""
    variants = {}
    for size, fields in SWIN_SIZES.items():
        variants[f"swin_{size}_patch4_window7_224"] = dict(**fields, preprocessing=IMAGENET)
        if size in ("base", "large"):
            at_384 = dict(image_size=384, window_size=12, preprocessing=full_size(IMAGENET))
            variants[f"swin_{size}_patch4_window12_384"] = dict(**fields, **at_384)

    # CIFAR-10 from scratch: 32 px, 10 classes. The smallest is that of SPT_LSA and of Gani et al., 2022; patch 1 with
    # window 2 is that of NesT's comparison (Zhang et al., 2021).
    cifar = dict(image_size=32, num_classes=10, preprocessing=CIFAR)
    variants["swin_cifar_patch2_window4_32"] = dict(
        **cifar, patch_size=2, window_size=4, embed_dim=96, depths=(2, 6, 4), num_heads=(3, 6, 12), mlp_ratio=2.0
    )
    for patch, window in ((2, 4), (1, 2)):
        fields = dict(**SWIN_SIZES["tiny"], **cifar, patch_size=patch, window_size=window)
        variants[f"swin_tiny_patch{patch}_window{window}_32"] = fields
    return variants


def swinv2_variants() -> dict[str, dict[str, Any]]:
    """Fields of every Swin Transformer V2 (Liu et al., 2022) whose weights were published, by name."""
    variants = {}
    for size in ("tiny", "small", "base"):
        for window in (8, 16):
            fields = dict(**SWIN_SIZES[size], version=2, image_size=256, window_size=window, preprocessing=IMAGENET)
            variants[f"swinv2_{size}_window{window}_256"] = fields
    for size in ("base", "large"):  # trained at 192 px on ImageNet-22k, then fine-tuned with larger windows
        fields = dict(**SWIN_SIZES[size], version=2)
        variants[f"swinv2_{size}_window12_192"] = dict(
            **fields, image_size=192, window_size=12, num_classes=21841, preprocessing=IMAGENET
        )
        for window, image_size, preprocessing in ((16, 256, IMAGENET), (24, 384, full_size(IMAGENET))):
            variants[f"swinv2_{size}_window12to{window}_192to{image_size}"] = dict(
                **fields,
                image_size=image_size,
                window_size=window,
                pretrained_window_sizes=(12, 12, 12, 6),
                preprocessing=preprocessing,
            )
    return variants


def cnn_variants() -> dict[str, tuple[type[Network], dict[str, Any]]]:
    """Modules and fields of the convolutional networks, by name."""
    cifar = dict(image_size=32, num_classes=10, preprocessing=CIFAR)
    return {
        "cnn_small_224": (ConvNet, dict(num_classes=2, preprocessing=full_size(IMAGENET))),
        "cnn_small_32": (ConvNet, dict(**cifar, stride=1)),
        "resnet9_32": (ResNet9, cifar),
        "resnet9_narrow_32": (ResNet9, dict(**cifar, width=8)),
    }


OF_FLAX = frozenset({"parent", "name"})
"""Fields that every Flax module has: the module that it is part of, and its name there."""

MODELS: Mapping[str, tuple[type[Network], Mapping[str, Any]]] = MappingProxyType(
    {name: (VisionTransformer, fields) for name, fields in (vit_variants() | deit_variants()).items()}
    | {name: (VisionTransformer, fields) for name, fields in (dino_variants() | dinov2_variants()).items()}
    | {name: (VisionTransformer, fields) for name, fields in beit_variants().items()}
    | {name: (BeitPretraining, fields) for name, fields in beit_pretraining_variants().items()}
    | {name: (DiscreteVae, fields) for name, fields in discrete_vae_variants().items()}
    | {name: (MaskedAutoencoder, fields) for name, fields in mae_variants().items()}
    | dino_pretraining_variants()
    | {name: (SwinTransformer, fields) for name, fields in (swin_variants() | swinv2_variants()).items()}
    | cnn_variants()
)


def list_models(pattern: str | Iterable[str] = "*") -> list[str]:
    """Names of the registry's models that match a shell pattern such as "vit*_32", or one of several, sorted."""
    patterns = (pattern,) if isinstance(pattern, str) else pattern
    return sorted({name for one in patterns for name in fnmatch.filter(MODELS, one)})


def model_fields(name: str) -> dict[str, Any]:
    """All fields of a registered model, but those of Flax, with the values it has by that name.

    Raises:
        ValueError: if there is no such model; names the nearest.
    """
    if name not in MODELS:
        raise ValueError(about_model(name, MODELS))
    module, fields = MODELS[name]
    defaults = {f.name: f.default for f in dataclasses.fields(module) if f.name not in OF_FLAX}
    return {**defaults, **fields}


def create_model(model: str, /, **fields: Any) -> Network:
    """Makes a model by its registered name, with any of its fields replaced.

    >>> create_model("vit_base_patch16_224", num_classes=10, image_size=384, drop_path_rate=0.1)

    In a module of your own, `name="backbone"` is its name there, as of every Flax module.

    Raises:
        ValueError: if there is no such model or field (the nearest names are offered), or if the fields cannot work.
    """
    known = model_fields(model)
    for field in fields:
        if field not in known and field not in OF_FLAX:
            raise ValueError(about_field(model, field, known))
    return MODELS[model][0](**{**known, **fields})
