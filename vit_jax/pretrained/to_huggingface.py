"""Networks as Hugging Face's: `config.json`, names of transformers' version 4 (the hub's) and its image processors'
settings, for `AutoModelForImageClassification.from_pretrained`.

Sources: `configuration_*.py`, `modeling_*.py` and `image_processing_*.py` of transformers 5.23.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vit_jax.models.beit import BeitPretraining
from vit_jax.models.layers import hidden_width
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network, pair
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.models.windows import WindowRule
from vit_jax.pretrained.fixed_positions import fixed_positions
from vit_jax.pretrained.folder import (
    Arrays,
    Folder,
    as_json,
    check_contents,
    encoder_hint,
    flat_arrays,
    is_beit,
    notes_on,
    other_crop,
    refuse,
    same_windows_by,
    theirs,
    unfit,
    with_all_positions,
)
from vit_jax.pretrained.image_processor import against_preprocessing, image_processor
from vit_jax.pretrained.publishers import huggingface
from vit_jax.pretrained.rules import Table

CLASSIFIER = ("classifier.", "cls_classifier.", "distillation_classifier.")


@dataclass(frozen=True)
class HuggingFaceNetwork:
    """One of transformers' networks.

    Attributes:
        model_type: as its config has it.
        architecture: the class.
        prefix: what names begin with, as the class has its encoder there; "" for an encoder by itself.
        table: of names, without the prefix.
        config: what is in `config.json` besides.
        reasons: why it cannot be the network at hand, a line each.
        outside: beginnings of the names that have no prefix.
        added: arrays that it has and the network at hand has not.
    """

    model_type: str
    architecture: str
    prefix: str
    table: Table
    config: Mapping[str, Any]
    reasons: list[str]
    outside: tuple[str, ...] = CLASSIFIER
    added: Mapping[str, np.ndarray] = field(default_factory=dict)


def to_huggingface(model: Network, params: Mapping[str, Any], class_names: tuple[str, ...]) -> Folder:
    """The folder of a network for transformers; see `vit_jax.save_pretrained`."""
    network = network_of(model)
    refuse("Hugging Face", model, network.reasons + against_preprocessing(model))
    check_contents(model, params, class_names)
    arrays = all_positions(model, flat_arrays(params))
    named = theirs(arrays, network.table) | dict(network.added)
    prefixed = {name if name.startswith(network.outside) else network.prefix + name: x for name, x in named.items()}
    config = {
        "architectures": [network.architecture],
        "model_type": network.model_type,
        "dtype": "float32",
        "image_size": as_json(model.image_size),
        "num_channels": model.in_channels,
        **network.config,
    }
    if not isinstance(model, PretrainingNetwork):
        labels = class_names or tuple(f"LABEL_{i}" for i in range(model.num_classes))
        config["id2label"] = {str(i): label for i, label in enumerate(labels)}
        config["label2id"] = {label: i for i, label in enumerate(labels)}
    beside = {"preprocessor_config.json": image_processor(model)}
    return Folder(config, prefixed, beside, notes_on(model) + other_form(model))


def network_of(model: Network) -> HuggingFaceNetwork:
    """The network that one of ours can be, or comes nearest to."""
    if isinstance(model, SwinTransformer):
        return swin(model)
    if isinstance(model, MaskedAutoencoder):
        return masked_autoencoder(model)
    if isinstance(model, BeitPretraining):
        return beit_pretraining(model)
    if not isinstance(model, VisionTransformer):
        name, hint = type(model).__name__, encoder_hint(model)
        raise ValueError(f"Hugging Face has no network such as {name}; nothing was written{hint}")
    if is_beit(model):
        return beit(model)
    if model.layer_scale is not None:
        return dinov2(model)
    return vit(model)


def shared(model: Any) -> dict[str, Any]:
    """What the configs of all but Swin have."""
    return dict(
        patch_size=as_json(model.patch_size),
        hidden_size=model.embed_dim,
        num_hidden_layers=model.depth,
        num_attention_heads=model.num_heads,
        layer_norm_eps=model.norm_eps,
        hidden_act={"erf": "gelu", "tanh": "gelu_pytorch_tanh", "quick": "quick_gelu"}[getattr(model, "gelu", "erf")],
    )


def encoder_conditions(model: VisionTransformer, whose: str) -> dict[str, tuple[bool, str]]:
    """What all of these ask for, by field."""
    return {
        "class_token": (model.class_token, f"{whose} has a class token"),
        "pre_norm": (not model.pre_norm, f"{whose} has no norm before its blocks"),
        "qk_norm": (not model.qk_norm, f"{whose} does not normalise queries and keys"),
        "representation_size": (model.representation_size == 0, f"{whose} has no layer between pooling and head"),
        "mask_token": (not model.mask_token, f"{whose}'s mask token is for pre-training; loading leaves it out"),
    }


def vit(model: VisionTransformer) -> HuggingFaceNetwork:
    """ViT, DeiT with its teacher's head, and DeiT without it, whose distillation token is a register here."""
    whose = "its DeiT" if model.distilled or model.num_registers else "its ViT"
    registers = int(model.num_registers == 1 and not model.no_embed_class and not model.distilled)
    reasons = unfit(
        model,
        encoder_conditions(model, whose)
        | {
            "pool": (model.pool == "token", f"{whose} reads the class token, as model.clone(pool='token') does"),
            "fc_norm": (not model.fc_norm, f"{whose} normalises before pooling"),
            "swiglu": (not model.swiglu, f"{whose} has no SwiGLU"),
            "num_registers": (
                model.num_registers == registers,
                "it has registers in DINOv2 only, beside layer scale (layer_scale is None here)",
            ),
            "pos_embed": (model.pos_embed != "none", f"{whose} always has positions"),
            "answer": (model.answer == "mean", f"{whose} answers by the mean of both heads"),
        },
    )
    config = shared(model) | dict(
        intermediate_size=hidden_width(model.embed_dim, model.mlp_ratio), qkv_bias=model.qkv_bias
    )
    if model.distilled:
        name = "DeiTForImageClassificationWithTeacher"
        return HuggingFaceNetwork("deit", name, "deit.", huggingface.DEIT, config, reasons)
    if registers:
        table = huggingface.DEIT_WITHOUT_TEACHER
        return HuggingFaceNetwork("deit", "DeiTForImageClassification", "deit.", table, config, reasons)
    return HuggingFaceNetwork("vit", "ViTForImageClassification", "vit.", huggingface.VIT, config, reasons)


def dinov2(model: VisionTransformer) -> HuggingFaceNetwork:
    """DINOv2, with registers and without. Its classifier reads class token and mean of the patches, side by side."""
    hidden = hidden_width(model.embed_dim, model.mlp_ratio)
    ratios = [ratio for ratio in range(1, 33) if dinov2_hidden(model.embed_dim, ratio, model.swiglu) == hidden]
    height, width = pair(model.image_size)
    covered = model.no_embed_class or model.pos_embed == "sincos"
    reasons = unfit(
        model,
        encoder_conditions(model, "its DINOv2")
        | {
            "layer_scale": (model.layer_scale != 0, "Hugging Face's initial layer scale is positive"),
            "distilled": (not model.distilled, "its DeiT has no layer scale, its DINOv2 no distillation token"),
            "pool": (
                model.pool == "token_avg" or (model.pool == "token" and model.num_classes == 0),
                "with layer scale it has DINOv2 only, whose classifier reads class token and mean (token_avg)",
            ),
            "mlp_ratio": (bool(ratios), "its DINOv2 has a whole ratio, of SwiGLU two thirds of it in multiples of 8"),
            "pos_embed": (model.pos_embed != "none", "its DINOv2 always has positions"),
            "no_embed_class": (covered or not model.num_registers, "its registers have no positions"),
            "image_size": (height == width, "its DINOv2 resizes positions as those of a square wherever it is not"),
        },
    )
    config = shared(model) | dict(
        mlp_ratio=ratios[0] if ratios else None,
        qkv_bias=model.qkv_bias,
        layerscale_value=model.layer_scale,
        use_swiglu_ffn=model.swiglu,
    )
    name = "Dinov2WithRegisters" if model.num_registers else "Dinov2"
    kind = "dinov2_with_registers" if model.num_registers else "dinov2"
    added = {}
    if model.num_registers:
        config |= dict(num_register_tokens=model.num_registers)
        added = {"embeddings.mask_token": np.zeros((1, model.embed_dim), np.float32)}  # it cannot do without
    else:
        config |= dict(use_mask_token=False)
    table = huggingface.DINOV2_SWIGLU if model.swiglu else huggingface.DINOV2
    if model.pool == "token":
        return HuggingFaceNetwork(kind, f"{name}Model", "", table, config, reasons, added=added)
    return HuggingFaceNetwork(kind, f"{name}ForImageClassification", f"{kind}.", table, config, reasons, added=added)


def dinov2_hidden(width: int, mlp_ratio: int, swiglu: bool) -> int:
    """Width of the hidden layer that Hugging Face's DINOv2 has."""
    hidden = width * mlp_ratio
    return (int(hidden * 2 / 3) + 7) // 8 * 8 if swiglu else hidden


def beit(model: VisionTransformer) -> HuggingFaceNetwork:
    """BEiT, fine-tuned."""
    height, width = pair(model.image_size)
    reasons = unfit(
        model,
        encoder_conditions(model, "its BEiT")
        | {
            "qkv_bias": (model.qkv_bias, "its BEiT has a bias on queries and values"),
            "key_bias": (not model.key_bias, "keys have no bias in its BEiT"),
            "distilled": (not model.distilled, "its BEiT has one class token only"),
            "num_registers": (model.num_registers == 0, "its BEiT has no registers"),
            "pool": (
                model.pool == ("avg" if model.fc_norm else "token"),
                "its BEiT normalises the mean (fc_norm) or every token",
            ),
            "swiglu": (not model.swiglu, "its BEiT has no SwiGLU"),
            "layer_scale": (
                model.layer_scale != 0 and (model.layer_scale is not None or model.relative_position != "none"),
                "its BEiT has layer scale or relative positions",
            ),
            "image_size": (height == width, "its BEiT mixes up the biases and positions of images that are not square"),
            "patch_size": (isinstance(model.patch_size, int), "its BEiT has square patches, told by one number"),
        },
    )
    config = shared(model) | dict(
        intermediate_size=hidden_width(model.embed_dim, model.mlp_ratio),
        use_absolute_position_embeddings=model.pos_embed != "none",
        use_relative_position_bias=model.relative_position == "per_block",
        use_shared_relative_position_bias=model.relative_position == "shared",
        layer_scale_init_value=model.layer_scale or 0.0,
        use_mean_pooling=model.pool == "avg",
    )
    return HuggingFaceNetwork("beit", "BeitForImageClassification", "beit.", huggingface.BEIT, config, reasons)


def beit_pretraining(model: BeitPretraining) -> HuggingFaceNetwork:
    """BEiT's masked image modelling."""
    height, width = pair(model.image_size)
    reasons = unfit(
        model,
        {
            "layer_scale": (bool(model.layer_scale), "its BEiT without layer scale could not be told from others"),
            "image_size": (height == width, "its BEiT mixes up the biases of images that are not square"),
            "patch_size": (isinstance(model.patch_size, int), "its BEiT has square patches, told by one number"),
        },
    )
    config = shared(model) | dict(
        intermediate_size=hidden_width(model.embed_dim, model.mlp_ratio),
        vocab_size=model.vocab_size,
        use_mask_token=True,
        use_shared_relative_position_bias=True,
        layer_scale_init_value=model.layer_scale,
    )
    table, outside = huggingface.BEIT_PRETRAINING, ("layernorm.", "lm_head.")
    return HuggingFaceNetwork("beit", "BeitForMaskedImageModeling", "beit.", table, config, reasons, outside)


def masked_autoencoder(model: MaskedAutoencoder) -> HuggingFaceNetwork:
    """MAE's pre-training network."""
    hidden = hidden_width(model.embed_dim, model.mlp_ratio)
    decoder_hidden = hidden_width(model.decoder_embed_dim, model.mlp_ratio)
    alike = hidden_width(model.decoder_embed_dim, hidden / model.embed_dim) == decoder_hidden
    reasons = unfit(model, {"mlp_ratio": (alike, "cut to whole widths, it is another one in encoder and decoder")})
    config = shared(model) | dict(
        intermediate_size=hidden,
        mask_ratio=model.mask_ratio,
        decoder_hidden_size=model.decoder_embed_dim,
        decoder_num_hidden_layers=model.decoder_depth,
        decoder_num_attention_heads=model.decoder_num_heads,
        decoder_intermediate_size=decoder_hidden,
    )
    table, name = huggingface.MAE, "ViTMAEForPreTraining"
    return HuggingFaceNetwork("vit_mae", name, "vit.", table, config, reasons, outside=("decoder.",))


def swin(model: SwinTransformer) -> HuggingFaceNetwork:
    """Swin and Swin V2."""
    window = model.window_sizes[0]
    whole = all(grid.window == (window, window) for grids in model.window_grids for grid in grids)
    alike = same_windows_by(model, rule_of(model))
    widths = [model.embed_dim * 2**stage for stage in range(len(model.depths))]
    reasons = unfit(
        model,
        {
            "norm_eps": (model.norm_eps == 1e-5, "its Swin has 1e-5 in some norms whatever its config says"),
            "window_size": (
                len(set(model.window_sizes)) == 1 and (model.version == 2 or whole),
                "its Swin has one size for all stages, no map smaller than a window",
            ),
            "window_rule": (alike, f"it pads or shifts the windows of a {model.image_size} px image in another way"),
            "pretrained_window_sizes": (1 not in model.pretrained_window_sizes, "it would divide by zero"),
            "mlp_ratio": (
                all(int(width * model.mlp_ratio) == hidden_width(width, model.mlp_ratio) for width in widths),
                "it would cut the hidden layer to another width",
            ),
        },
    )
    config: dict[str, Any] = dict(
        patch_size=as_json(model.patch_size),
        embed_dim=model.embed_dim,
        depths=list(model.depths),
        num_heads=list(model.num_heads),
        window_size=window,
        mlp_ratio=float(model.mlp_ratio),
        qkv_bias=model.qkv_bias,
        hidden_act="gelu",
        layer_norm_eps=model.norm_eps,
    )
    if model.version == 1:
        return HuggingFaceNetwork("swin", "SwinForImageClassification", "swin.", huggingface.SWIN, config, reasons)
    config["pretrained_window_sizes"] = list(model.pretrained_window_sizes or (0,) * len(model.depths))
    return HuggingFaceNetwork("swinv2", "Swinv2ForImageClassification", "swinv2.", huggingface.SWINV2, config, reasons)


def rule_of(model: SwinTransformer) -> WindowRule:
    """What its Swin of a version does with windows."""
    return "microsoft" if model.version == 1 else "huggingface_v2"


def all_positions(model: Network, arrays: Arrays) -> Arrays:
    """Parameters with a position for every token that has one in Hugging Face's network."""
    if isinstance(model, VisionTransformer):
        # Registers come after positions there: it is as if there were none.
        bare = model.clone(num_registers=0) if model.num_registers and model.layer_scale is not None else model
        return with_all_positions(bare, arrays)
    return arrays | fixed_positions(model)


def other_form(model: Network) -> tuple[str, ...]:
    """What has another form there, a line each."""
    notes = other_crop(model.preprocessing, "down")
    if isinstance(model, VisionTransformer) and model.no_embed_class and not model.num_registers:
        notes += ("the tokens without a position have one of zeros there",)
    if isinstance(model, SwinTransformer) and model.window_rule != rule_of(model):
        notes += (f"window_rule={model.window_rule!r} is {rule_of(model)!r} there, which is the same at this size",)
    return notes
