"""The names of torchvision's Vision Transformer and Swin Transformers.

Sources: `vision_transformer.py` and `swin_transformer.py` of torchvision 0.29. Swin's `features` are the stem (0), the
stages (1, 3, ...) and the patch mergings between them (2, 4, ...): `SWIN_SPELLINGS` turns their names into timm's.
"""

import re
from collections.abc import Mapping

from vit_jax.pretrained.layouts import LINEAR
from vit_jax.pretrained.rules import Rule, array, convolution, linear, norm, table
from vit_jax.pretrained.spelling import respelled
from vit_jax.pretrained.stored import StoredArray

BLOCK = "encoder.layers.encoder_layer_{i}."

VIT = table(
    convolution("conv_proj", "patch_embed"),
    array("class_token", "cls_token"),
    array("encoder.pos_embedding", "pos_embed"),
    norm(f"{BLOCK}ln_1", "blocks_{i}/norm1"),
    Rule((f"{BLOCK}self_attention.in_proj_weight",), "blocks_{i}/attn/qkv/kernel", LINEAR),
    array(f"{BLOCK}self_attention.in_proj_bias", "blocks_{i}/attn/qkv/bias"),
    linear(f"{BLOCK}self_attention.out_proj", "blocks_{i}/attn/proj"),
    norm(f"{BLOCK}ln_2", "blocks_{i}/norm2"),
    linear(f"{BLOCK}mlp.0", "blocks_{i}/mlp/fc1"),
    linear(f"{BLOCK}mlp.3", "blocks_{i}/mlp/fc2"),
    norm("encoder.ln", "norm"),
    linear("heads.head", "head"),
)

OLD_SPELLINGS = ((r"\.mlp\.linear_1\.", ".mlp.0."), (r"\.mlp\.linear_2\.", ".mlp.3."))
"""Names in its published files of the Vision Transformer, which it changes while loading (`MLPBlock`)."""

SWIN_SPELLINGS = (
    (r"^features\.0\.0\.", "patch_embed.proj."),
    (r"^features\.0\.2\.", "patch_embed.norm."),
    (r"\.mlp\.0\.", ".mlp.fc1."),
    (r"\.mlp\.3\.", ".mlp.fc2."),
    (r"^head\.", "head.fc."),
)


def respell_swin(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Arrays by timm's names. Version 2 stores a bias of the keys that its network sets to zero: it is left out."""
    spelled: dict[str, StoredArray] = {}
    version2 = any(name.endswith("logit_scale") for name in arrays)
    for name, stored in respelled(arrays, SWIN_SPELLINGS).items():
        found = re.match(r"features\.(\d+)\.(?:(\d+)\.)?(.*)", name)
        if found:
            part, block, rest = int(found[1]), found[2], found[3]
            stage = part // 2
            name = f"layers.{stage}.blocks.{block}.{rest}" if part % 2 else f"layers.{stage}.downsample.{rest}"
        if version2 and name.endswith("attn.qkv.bias") and len(stored.shape) == 1:
            q_bias, _, v_bias = thirds(stored)
            spelled |= {name.replace("qkv.bias", "q_bias"): q_bias, name.replace("qkv.bias", "v_bias"): v_bias}
        else:
            spelled[name] = stored
    return spelled


def thirds(stored: StoredArray) -> list[StoredArray]:
    """The three parts of a vector of queries, keys and values."""
    width = stored.shape[0] // 3

    def part(number: int) -> StoredArray:
        return StoredArray((width,), stored.dtype, lambda: stored.read()[number * width : (number + 1) * width])

    return [part(number) for number in range(3)]
