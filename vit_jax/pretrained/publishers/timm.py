"""The names of timm, which DeiT, DINO, DINOv2, MAE, BEiT and Swin share but for a few spellings.

Sources: `vision_transformer.py`, `deit.py`, `beit.py`, `swin_transformer.py` and `swin_transformer_v2.py` of timm
1.0.31; the papers' own repositories.
"""

from collections.abc import Mapping

from vit_jax.pretrained.rules import Table, array, convolution, linear, norm, table, within
from vit_jax.pretrained.stored import StoredArray

BLOCK = table(
    norm("blocks.{i}.norm1", "blocks_{i}/norm1"),
    linear("blocks.{i}.attn.qkv", "blocks_{i}/attn/qkv"),
    array("blocks.{i}.attn.q_bias", "blocks_{i}/attn/q_bias"),
    array("blocks.{i}.attn.v_bias", "blocks_{i}/attn/v_bias"),
    norm("blocks.{i}.attn.q_norm", "blocks_{i}/attn/q_norm"),
    norm("blocks.{i}.attn.k_norm", "blocks_{i}/attn/k_norm"),
    array("blocks.{i}.attn.relative_position_bias_table", "blocks_{i}/attn/relative_position_bias/table"),
    linear("blocks.{i}.attn.proj", "blocks_{i}/attn/proj"),
    array("blocks.{i}.ls1.gamma", "blocks_{i}/ls1/gamma"),
    array("blocks.{i}.gamma_1", "blocks_{i}/ls1/gamma"),  # BEiT, and the paper's code of DeiT-III
    norm("blocks.{i}.norm2", "blocks_{i}/norm2"),
    linear("blocks.{i}.mlp.fc1", "blocks_{i}/mlp/fc1"),
    linear("blocks.{i}.mlp.fc2", "blocks_{i}/mlp/fc2"),
    array("blocks.{i}.ls2.gamma", "blocks_{i}/ls2/gamma"),
    array("blocks.{i}.gamma_2", "blocks_{i}/ls2/gamma"),
)

ENCODER = table(
    convolution("patch_embed.proj", "patch_embed"),
    array("cls_token", "cls_token"),
    array("dist_token", "dist_token"),
    array("reg_token", "reg_token"),
    array("pos_embed", "pos_embed"),
    array("rel_pos_bias.relative_position_bias_table", "relative_position_bias/table"),
    norm("norm_pre", "norm_pre"),  # CLIP
    BLOCK,
    norm("norm", "norm"),
)

VIT = table(
    ENCODER,
    norm("fc_norm", "fc_norm"),
    array("attn_pool.latent", "attn_pool/latent"),
    linear("attn_pool.q", "attn_pool/q"),
    linear("attn_pool.kv", "attn_pool/kv"),
    linear("attn_pool.proj", "attn_pool/proj"),
    norm("attn_pool.norm", "attn_pool/norm"),
    linear("attn_pool.mlp.fc1", "attn_pool/mlp/fc1"),
    linear("attn_pool.mlp.fc2", "attn_pool/mlp/fc2"),
    linear("pre_logits.fc", "pre_logits"),
    linear("head", "head"),
    linear("head_dist", "head_dist"),
)


def fields_in_arrays(arrays: Mapping[str, StoredArray]) -> dict[str, float]:
    """The epsilon of CLIP's networks, which alone have a norm before their blocks; a config may say otherwise."""
    return {"norm_eps": 1e-5} if "norm_pre.weight" in arrays else {}


def swin(merging: str, head: str) -> Table:
    """Swin and Swin V2: timm merges patches at the start of a stage, the paper's code at the end of the one before."""
    block, ours = "layers.{i}.blocks.{j}.", "layers_{i}/blocks_{j}/"
    return table(
        convolution("patch_embed.proj", "patch_embed"),
        norm("patch_embed.norm", "patch_norm"),
        norm(f"{merging}.norm", "layers_{i+1}/downsample/norm"),
        linear(f"{merging}.reduction", "layers_{i+1}/downsample/reduction"),
        norm(f"{block}norm1", f"{ours}norm1"),
        linear(f"{block}attn.qkv", f"{ours}attn/qkv"),
        array(f"{block}attn.q_bias", f"{ours}attn/q_bias"),
        array(f"{block}attn.v_bias", f"{ours}attn/v_bias"),
        array(f"{block}attn.logit_scale", f"{ours}attn/logit_scale"),
        array(f"{block}attn.relative_position_bias_table", f"{ours}attn/relative_position_bias/table"),
        linear(f"{block}attn.cpb_mlp.0", f"{ours}attn/relative_position_bias/fc1"),
        linear(f"{block}attn.cpb_mlp.2", f"{ours}attn/relative_position_bias/fc2"),
        linear(f"{block}attn.proj", f"{ours}attn/proj"),
        norm(f"{block}norm2", f"{ours}norm2"),
        linear(f"{block}mlp.fc1", f"{ours}mlp/fc1"),
        linear(f"{block}mlp.fc2", f"{ours}mlp/fc2"),
        norm("norm", "norm"),
        linear(head, "head"),
    )


SWIN = swin(merging="layers.{i+1}.downsample", head="head.fc")
SWIN_OF_THE_PAPER = swin(merging="layers.{i}.downsample", head="head")

BEIT = table(
    array("blocks.{i}.gamma_1", "blocks_{i}/ls1/gamma"),
    array("blocks.{i}.gamma_2", "blocks_{i}/ls2/gamma"),
    VIT,
)

MAE = table(
    within("encoder/", ENCODER),
    linear("decoder_embed", "decoder/embed"),
    array("mask_token", "decoder/mask_token"),
    array("decoder_pos_embed", "decoder/pos_embed"),
    within("decoder/", BLOCK, theirs="decoder_"),
    norm("decoder_norm", "decoder/norm"),
    linear("decoder_pred", "decoder/pred"),
)
"""MAE's pre-training network, encoder and decoder (`models_mae.py`)."""

BEIT_PRETRAINING = table(
    within("encoder/", table(array("mask_token", "mask_token"), ENCODER)),
    linear("lm_head", "head"),
)
"""BEiT's masked image modelling (`modeling_pretrain.py`)."""
