"""The module for the shapes of a file and what is known besides."""

from collections.abc import Mapping
from typing import Any

from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.architecture import Shapes, below, depth_of, swin_fields, vit_fields

Fields = Mapping[str, Any]


def vision_transformer(shapes: Shapes, known: Fields) -> VisionTransformer:
    """A Vision Transformer of these shapes."""
    return VisionTransformer(**complete(vit_fields(shapes, **known), ("num_heads", "image_size")))


def swin_transformer(shapes: Shapes, known: Fields) -> SwinTransformer:
    """A Swin Transformer of these shapes."""
    return SwinTransformer(**complete(swin_fields(shapes, **known), ("window_size", "image_size")))


def complete(fields: dict[str, Any], needed: tuple[str, ...]) -> dict[str, Any]:
    """Fields, if those that shapes may leave open are there.

    Raises:
        ValueError: with those that are not.
    """
    missing = [name for name in needed if fields.get(name) is None]
    if missing:
        raise ValueError(
            f"neither its shapes nor a config.json beside it tell its {' and '.join(missing)}; give "
            "model=, a network made by vit_jax.create_model (train.py: --model.name), or a config.json that does"
        )
    return fields


SHARED = ("image_size", "in_channels", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "norm_eps")
"""Fields that a network for pre-training has of its encoder."""


def masked_autoencoder(shapes: Shapes, known: Fields) -> MaskedAutoencoder:
    """A masked autoencoder of these shapes, with its positions as they are stored."""
    decoder = below(shapes, "decoder/")
    known = dict(known)
    decoder_heads = known.pop("decoder_num_heads", 16 if decoder["embed/kernel"][-1] == 512 else None)
    encoder = vit_fields(below(shapes, "encoder/"), **known)
    fields = {name: encoder.get(name) for name in SHARED}
    fields |= dict(
        num_classes=0,
        pos_embed="learned",
        decoder_embed_dim=decoder["embed/kernel"][-1],
        decoder_depth=depth_of(decoder),
        decoder_num_heads=decoder_heads,
        mask_ratio=known.get("mask_ratio", MaskedAutoencoder.mask_ratio),
    )
    return MaskedAutoencoder(**complete(fields, ("num_heads", "decoder_num_heads", "image_size")))


def beit_pretraining(shapes: Shapes, known: Fields) -> BeitPretraining:
    """BEiT's network of masked image modelling."""
    fields = vit_fields(below(shapes, "encoder/"), **known)
    fields = {name: fields.get(name) for name in (*SHARED, "layer_scale")}
    return BeitPretraining(**complete(fields, ("num_heads", "image_size")), vocab_size=shapes["head/kernel"][-1])
