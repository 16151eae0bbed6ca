"""The names that transformers writes to disk: those of its versions 4 and 5 alike.

Sources: `modeling_{vit,deit,ijepa,beit,data2vec_vision,dinov2,dinov2_with_registers,vit_mae,swin,swinv2}.py` of
transformers 5.23 and 4.57. Names stand below the network's own ("vit.", "swin.") but for heads; files of a bare network
have no such prefix.
"""

import re
from collections.abc import Mapping

from vit_jax.pretrained.layouts import LINEAR
from vit_jax.pretrained.publishers.facebook import fold_class_position
from vit_jax.pretrained.rules import Rule, Table, array, convolution, joined, linear, norm, table, within
from vit_jax.pretrained.spelling import respelled
from vit_jax.pretrained.stored import StoredArray

ATTENTION = "attention.attention."


def block(base: str, norms: tuple[str, str], mlp: tuple[str, str]) -> Table:
    """An encoder block; its norms and the layers of its MLP are named differently."""
    return table(
        norm(f"{base}{norms[0]}", "blocks_{i}/norm1"),
        joined([f"{base}{ATTENTION}{part}" for part in ("query", "key", "value")], "blocks_{i}/attn/qkv"),
        linear(f"{base}attention.output.dense", "blocks_{i}/attn/proj"),
        norm(f"{base}{norms[1]}", "blocks_{i}/norm2"),
        linear(f"{base}{mlp[0]}", "blocks_{i}/mlp/fc1"),
        linear(f"{base}{mlp[1]}", "blocks_{i}/mlp/fc2"),
    )


NORMS, MLP = ("layernorm_before", "layernorm_after"), ("intermediate.dense", "output.dense")
BLOCK = block("encoder.layer.{i}.", NORMS, MLP)
EMBEDDINGS = table(
    convolution("embeddings.patch_embeddings.projection", "patch_embed"),
    array("embeddings.cls_token", "cls_token"),
    array("embeddings.position_embeddings", "pos_embed"),
)

VIT = table(
    EMBEDDINGS,
    BLOCK,
    norm("layernorm", "norm"),
    linear("classifier", "head"),
)

DEIT = table(
    array("embeddings.distillation_token", "dist_token"),
    linear("cls_classifier", "head"),
    linear("distillation_classifier", "head_dist"),
    VIT,
)

DEIT_WITHOUT_TEACHER = table(array("embeddings.distillation_token", "reg_token"), VIT)
"""DeiT with the distillation token but not its head: the token is a register that has a position."""

BEIT_ENCODER = table(
    EMBEDDINGS,
    array("encoder.relative_position_bias.relative_position_bias_table", "relative_position_bias/table"),
    Rule(
        tuple(f"encoder.layer.{{i}}.{ATTENTION}{part}.weight" for part in ("query", "key", "value")),
        "blocks_{i}/attn/qkv/kernel",
        LINEAR,
    ),
    array(f"encoder.layer.{{i}}.{ATTENTION}query.bias", "blocks_{i}/attn/q_bias"),
    array(f"encoder.layer.{{i}}.{ATTENTION}value.bias", "blocks_{i}/attn/v_bias"),
    array(
        f"encoder.layer.{{i}}.{ATTENTION}relative_position_bias.relative_position_bias_table",
        "blocks_{i}/attn/relative_position_bias/table",
    ),
    array("encoder.layer.{i}.lambda_1", "blocks_{i}/ls1/gamma"),
    array("encoder.layer.{i}.lambda_2", "blocks_{i}/ls2/gamma"),
    BLOCK,
    norm("layernorm", "norm"),
)
BEIT = table(BEIT_ENCODER, norm("pooler.layernorm", "fc_norm"), linear("classifier", "head"))
BEIT_PRETRAINING = table(
    within("encoder/", table(array("embeddings.mask_token", "mask_token"), BEIT_ENCODER)),
    linear("lm_head", "head"),
)


def dinov2(mlp: tuple[str, str]) -> Table:
    """DINOv2; the layers of its SwiGLU are named differently."""
    return table(
        EMBEDDINGS,
        array("embeddings.register_tokens", "reg_token"),
        array("encoder.layer.{i}.layer_scale1.lambda1", "blocks_{i}/ls1/gamma"),
        array("encoder.layer.{i}.layer_scale2.lambda1", "blocks_{i}/ls2/gamma"),
        block("encoder.layer.{i}.", ("norm1", "norm2"), mlp),
        norm("layernorm", "norm"),
        linear("classifier", "head"),
    )


DINOV2 = dinov2(("mlp.fc1", "mlp.fc2"))
"""Either's, in the names that `respell` gives."""
DINOV2_SWIGLU = dinov2(("mlp.weights_in", "mlp.weights_out"))
"""For saving."""

MAE = table(
    within("encoder/", table(EMBEDDINGS, BLOCK, norm("layernorm", "norm"))),
    linear("decoder.decoder_embed", "decoder/embed"),
    array("decoder.mask_token", "decoder/mask_token"),
    array("decoder.decoder_pos_embed", "decoder/pos_embed"),
    within("decoder/", block("decoder.decoder_layers.{i}.", NORMS, MLP)),
    norm("decoder.decoder_norm", "decoder/norm"),
    linear("decoder.decoder_pred", "decoder/pred"),
)

SWIN_BLOCK, OUR_SWIN_BLOCK = "encoder.layers.{i}.blocks.{j}.", "layers_{i}/blocks_{j}/"
SWIN_EDGES = table(
    convolution("embeddings.patch_embeddings.projection", "patch_embed"),
    norm("embeddings.norm", "patch_norm"),
    norm("encoder.layers.{i}.downsample.norm", "layers_{i+1}/downsample/norm"),
    linear("encoder.layers.{i}.downsample.reduction", "layers_{i+1}/downsample/reduction"),
    norm("layernorm", "norm"),
    linear("classifier", "head"),
)
SWIN_MLP = table(
    norm(f"{SWIN_BLOCK}layernorm_before", f"{OUR_SWIN_BLOCK}norm1"),
    linear(f"{SWIN_BLOCK}attention.output.dense", f"{OUR_SWIN_BLOCK}attn/proj"),
    norm(f"{SWIN_BLOCK}layernorm_after", f"{OUR_SWIN_BLOCK}norm2"),
    linear(f"{SWIN_BLOCK}intermediate.dense", f"{OUR_SWIN_BLOCK}mlp/fc1"),
    linear(f"{SWIN_BLOCK}output.dense", f"{OUR_SWIN_BLOCK}mlp/fc2"),
)
QKV = [f"{SWIN_BLOCK}attention.self.{part}" for part in ("query", "key", "value")]
SWIN_TABLE = f"{SWIN_BLOCK}attention.self.relative_position_bias_table"
SWIN = table(
    SWIN_EDGES,
    SWIN_MLP,
    joined(QKV, f"{OUR_SWIN_BLOCK}attn/qkv"),
    array(SWIN_TABLE, f"{OUR_SWIN_BLOCK}attn/relative_position_bias/table"),
)

CPB = f"{SWIN_BLOCK}attention.self.continuous_position_bias_mlp."
SWINV2 = table(
    SWIN_EDGES,
    SWIN_MLP,
    Rule(tuple(f"{name}.weight" for name in QKV), f"{OUR_SWIN_BLOCK}attn/qkv/kernel", LINEAR),
    array(f"{QKV[0]}.bias", f"{OUR_SWIN_BLOCK}attn/q_bias"),
    array(f"{QKV[2]}.bias", f"{OUR_SWIN_BLOCK}attn/v_bias"),
    array(f"{SWIN_BLOCK}attention.self.logit_scale", f"{OUR_SWIN_BLOCK}attn/logit_scale"),
    linear(f"{CPB}0", f"{OUR_SWIN_BLOCK}attn/relative_position_bias/fc1"),
    linear(f"{CPB}2", f"{OUR_SWIN_BLOCK}attn/relative_position_bias/fc2"),
)

SPELLINGS = (
    (r"^(vit|deit|beit|data2vec_vision|ijepa|swin|swinv2|dinov2|dinov2_with_registers)\.", ""),
    # In memory, version 5 has other names; files made of a state_dict() have these.
    (r"^layers\.(\d+)\.", r"encoder.layer.\1."),
    (r"^decoder\.decoder_encoder\.layer\.", "decoder.decoder_layers."),
    (r"((?:layer|decoder_layers)\.\d+)\.attention\.([qkv])_proj\.", r"\1.attention.attention.\2_proj."),
    (r"(blocks\.\d+)\.attention\.([qkv])_proj\.", r"\1.attention.self.\2_proj."),
    (r"\.q_proj\.", ".query."),
    (r"\.k_proj\.", ".key."),
    (r"\.v_proj\.", ".value."),
    (r"\.o_proj\.", ".output.dense."),
    (r"^relative_position_bias\.", "encoder.relative_position_bias."),
    (r"(layer\.\d+)\.relative_position_bias\.", r"\1.attention.attention.relative_position_bias."),
    (r"(blocks\.\d+)\.attention\.relative_position_bias\.", r"\1.attention.self."),
)
MLP_OF_VERSION_5 = (
    (r"((?:layer|decoder_layers|blocks)\.\d+)\.mlp\.fc1\.", r"\1.intermediate.dense."),
    (r"((?:layer|decoder_layers|blocks)\.\d+)\.mlp\.fc2\.", r"\1.output.dense."),
)
SWIGLU = (
    (r"\.mlp\.weights_in\.", ".mlp.fc1."),
    (r"\.mlp\.weights_out\.", ".mlp.fc2."),
)


def respell(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Names as version 4 writes them to disk, without the network's own prefix; DINOv2's class position is folded."""
    arrays = respelled(arrays, SPELLINGS)
    if not any(name.endswith("layer_scale1.lambda1") for name in arrays):
        return respelled(arrays, MLP_OF_VERSION_5)
    arrays = respelled(arrays, SWIGLU)
    if "embeddings.register_tokens" not in arrays:
        return arrays
    return fold_class_position(arrays, "embeddings.cls_token", "embeddings.position_embeddings")


def respell_backbone(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """As `respell`; of a Swin's backbone the norm of the last stage's map is the network's.

    Version 5 writes another one by that name, which its backbone does not compute.
    """
    arrays = respell(arrays)
    stages = {found[0] for name in arrays if (found := re.match(r"encoder\.layers\.\d+\.", name))}
    last = rf"^hidden_states_norms\.stage{len(stages)}\."
    return respelled(arrays, ((r"^layernorm\.", "swin.layernorm."), (last, "layernorm.")))
