"""Hugging Face's networks with our parameters. Importing this module needs torch, timm and transformers (the extra
"parity").
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]

from tests.models.cases import SMALL
from tests.models.huggingface_cases import HuggingFaceCase
from tests.models.timm_reference import torch_layout
from tests.models.timm_swin import renamed
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.mae import MaskedAutoencoder

# isort: split
# After timm_reference, which prepares for torchvision's import: transformers imports it as well.
from transformers import (  # pyright: ignore[reportMissingImports]
    BeitConfig,
    BeitForMaskedImageModeling,
    Dinov2Config,
    Dinov2ForImageClassification,
    ViTConfig,
    ViTMAEConfig,
    ViTMAEForPreTraining,
    ViTModel,
)

# Our parameter names in the words of Hugging Face's modules.
ENCODER_NAMES = (
    (r"^((?:cls|mask)_token)", r"embeddings.\1"),
    (r"^pos_embed", "embeddings.position_embeddings"),
    (r"^patch_embed\.", "embeddings.patch_embeddings.projection."),
    (r"^relative_position_bias\.table", "shared_position_bias.relative_position_bias_table"),
    (r"^norm\.", "layernorm."),
    (r"^pre_logits\.", "pooler.dense."),
    (r"^blocks_(\d+)", r"layers.\1"),
    (r"\.norm1\.", ".layernorm_before."),
    (r"\.norm2\.", ".layernorm_after."),
    (r"\.attn\.proj", ".attention.o_proj"),
    (r"\.attn\.([qkv])_bias", r".attention.\1_proj.bias"),
    (r"\.attn\.", ".attention."),
    (r"\.ls(\d)\.gamma", r".lambda_\1"),
    (r"\b(kernel|scale)$", "weight"),
)
DINOV2_NAMES = (
    (r"^layers\.", "encoder.layer."),
    (r"\.layernorm_before\.", ".norm1."),
    (r"\.layernorm_after\.", ".norm2."),
    (r"\.lambda_(\d)", r".layer_scale\1.lambda1"),
)
MAE_DECODER_NAMES = (
    (r"^layernorm\.", "decoder_norm."),
    (r"^layers\.", "decoder_layers."),
    (r"^embeddings\.mask_token", "mask_token"),
    (r"^embeddings\.position_embeddings", "decoder_pos_embed"),
    (r"^(embed|pred)\.", r"decoder_\1."),
)


def encoder_parameters(params: Mapping[str, Any], swiglu: bool = False) -> dict[str, torch.Tensor]:
    """Our encoder's parameters by Hugging Face's names, which keep apart what we have side by side."""
    apart = {}
    for name, value in torch_layout(params).items():
        parts = {name: value}
        if ".qkv." in name:
            parts = {name.replace("qkv", f"{part}_proj"): x for part, x in zip("qkv", value.chunk(3), strict=True)}
        elif swiglu and ".fc1." in name:
            names = (name.replace("fc1", part) for part in ("gate_proj", "up_proj"))
            parts = dict(zip(names, value.chunk(2), strict=True))
        elif swiglu:
            parts = {name.replace("fc2", "down_proj"): value}
        apart |= parts
    return {renamed(name, ENCODER_NAMES): value for name, value in apart.items()}


def prefixed(prefix: str, parameters: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"{prefix}.{name}": value for name, value in parameters.items()}


def shape_of(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a configuration that all of these networks have."""
    return dict(
        hidden_size=fields["embed_dim"],
        num_hidden_layers=fields["depth"],
        num_attention_heads=fields["num_heads"],
        intermediate_size=4 * fields["embed_dim"],
        image_size=fields["image_size"],
        patch_size=fields["patch_size"],
        layer_norm_eps=1e-6,
    )


def reference_outputs(
    case: HuggingFaceCase, params: Mapping[str, Any], images: np.ndarray, masks: Mapping[str, np.ndarray]
) -> list[np.ndarray]:
    """What Hugging Face computes with our parameters for images [B, H, W, C]: one array, or prediction and mask."""
    fields = {**SMALL, **case.fields}
    pixels = torch.tensor(images).permute(0, 3, 1, 2)
    tensors = {name: torch.tensor(value) for name, value in masks.items()}
    with torch.no_grad():
        if case.module is MaskedAutoencoder:
            model = mae(fields, params)
            encoded = model.vit(pixels, noise=tensors["noise"])  # the whole computes a loss, of square images only
            prediction = model.decoder(encoded.last_hidden_state, encoded.ids_restore).logits
            return [prediction.numpy(), encoded.mask.numpy()]
        if case.module is BeitPretraining:
            return [beit(fields, params)(pixels, bool_masked_pos=tensors["mask"]).logits.numpy()]
        if "representation_size" in fields:
            return [vit(fields, params)(pixels).pooler_output.numpy()]
        model = dinov2(fields, params)
        if not tensors:
            return [model(pixels).logits.numpy()]
        tokens = model.dinov2(pixels, bool_masked_pos=tensors["mask"]).last_hidden_state
        return [model.classifier(torch.cat([tokens[:, 0], tokens[:, 1:].mean(1)], dim=1)).numpy()]


def loaded(model: torch.nn.Module, parameters: Mapping[str, torch.Tensor]) -> Any:
    model.load_state_dict(parameters, strict=True)
    return model.eval()


def vit(fields: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """Its pooler is the dense layer with tanh on the class token."""
    config = ViTConfig(**shape_of(fields), pooler_output_size=fields["representation_size"], pooler_act="tanh")
    return loaded(ViTModel(config), encoder_parameters(params))


def dinov2(fields: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    """Its SwiGLU is two thirds as wide as the MLP that `mlp_ratio` names."""
    swiglu = fields.get("swiglu", False)
    config = Dinov2Config(**shape_of(fields), mlp_ratio=4, use_swiglu_ffn=swiglu)
    config.num_labels = fields["num_classes"]
    encoder = {name: value for name, value in params.items() if name != "head"}
    parameters = {renamed(name, DINOV2_NAMES): x for name, x in encoder_parameters(encoder, swiglu).items()}
    parameters["embeddings.mask_token"] = parameters["embeddings.mask_token"][0]
    parameters = prefixed("dinov2", parameters) | prefixed("classifier", encoder_parameters(params["head"]))
    return loaded(Dinov2ForImageClassification(config), parameters)


def beit(fields: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    config = BeitConfig(
        **shape_of(fields),
        vocab_size=fields["vocab_size"],
        use_mask_token=True,
        use_shared_relative_position_bias=True,
    )
    parameters = prefixed("beit", encoder_parameters(params["encoder"]))
    parameters = {name.replace("beit.layernorm", "layernorm"): value for name, value in parameters.items()}
    parameters |= prefixed("lm_head", encoder_parameters(params["head"]))
    return loaded(BeitForMaskedImageModeling(config), parameters)


def mae(fields: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
    config = ViTMAEConfig(
        **shape_of(fields),
        decoder_hidden_size=fields["decoder_embed_dim"],
        decoder_num_hidden_layers=fields["decoder_depth"],
        decoder_num_attention_heads=fields["decoder_num_heads"],
        decoder_intermediate_size=4 * fields["decoder_embed_dim"],
        mask_ratio=fields.get("mask_ratio", 0.75),
    )
    decoder = {renamed(k, MAE_DECODER_NAMES): v for k, v in encoder_parameters(params["decoder"]).items()}
    parameters = prefixed("vit", encoder_parameters(params["encoder"])) | prefixed("decoder", decoder)
    return loaded(ViTMAEForPreTraining(config), parameters)
