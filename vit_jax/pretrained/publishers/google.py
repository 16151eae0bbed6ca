"""The names of Google's `.npz` files: vision_transformer ("vit_jax") and big_vision.

Sources: `models_vit.py` and `checkpoint.py` of vision_transformer, `models/vit.py` of big_vision. The table has the
names of vision_transformer; `SPELLINGS` turns those of big_vision into these. Kernels are [in, out] as here;
attention's have their heads on an axis of their own.
"""

from collections.abc import Mapping
from functools import cache

from vit_jax.pretrained.layouts import Layout
from vit_jax.pretrained.rules import Rule, Table, array, table
from vit_jax.pretrained.spelling import respelled
from vit_jax.pretrained.stored import StoredArray

HEADS_OUT = Layout(merge_heads=1)  # [D, heads, D / heads] to [D, D]
HEADS_IN = Layout(merge_heads=0)  # [heads, D / heads, ...] to [D, ...]


def dense(theirs: str, ours: str) -> Table:
    """Flax's Dense, or patch embedding: kernel and bias."""
    return (array(f"{theirs}/kernel", f"{ours}/kernel"), array(f"{theirs}/bias", f"{ours}/bias"))


def norm(theirs: str, ours: str) -> Table:
    """Flax's LayerNorm: scale and bias."""
    return (array(f"{theirs}/scale", f"{ours}/scale"), array(f"{theirs}/bias", f"{ours}/bias"))


def heads(theirs: str, parts: tuple[str, ...], ours: str) -> Table:
    """Queries, keys or values of Flax's attention, joined."""
    return (
        Rule(tuple(f"{theirs}/{part}/kernel" for part in parts), f"{ours}/kernel", HEADS_OUT),
        Rule(tuple(f"{theirs}/{part}/bias" for part in parts), f"{ours}/bias", HEADS_IN),
    )


def out(theirs: str, ours: str) -> Table:
    """The projection of Flax's attention."""
    return (Rule((f"{theirs}/out/kernel",), f"{ours}/kernel", HEADS_IN), array(f"{theirs}/out/bias", f"{ours}/bias"))


POSITIONS = "Transformer/posembed_input/pos_embedding"
BLOCK = "Transformer/encoderblock_{i}/"
ATTENTION = f"{BLOCK}MultiHeadDotProductAttention_1"
MAP_ATTENTION = "MAPHead_0/MultiHeadDotProductAttention_0"

VIT = table(
    dense("embedding", "patch_embed"),
    array("cls", "cls_token"),
    array(POSITIONS, "pos_embed"),
    norm(f"{BLOCK}LayerNorm_0", "blocks_{i}/norm1"),
    heads(ATTENTION, ("query", "key", "value"), "blocks_{i}/attn/qkv"),
    out(ATTENTION, "blocks_{i}/attn/proj"),
    norm(f"{BLOCK}LayerNorm_2", "blocks_{i}/norm2"),
    dense(f"{BLOCK}MlpBlock_3/Dense_0", "blocks_{i}/mlp/fc1"),
    dense(f"{BLOCK}MlpBlock_3/Dense_1", "blocks_{i}/mlp/fc2"),
    norm("Transformer/encoder_norm", "norm"),
    array("MAPHead_0/probe", "attn_pool/latent"),
    heads(MAP_ATTENTION, ("query",), "attn_pool/q"),
    heads(MAP_ATTENTION, ("key", "value"), "attn_pool/kv"),
    out(MAP_ATTENTION, "attn_pool/proj"),
    norm("MAPHead_0/LayerNorm_0", "attn_pool/norm"),
    dense("MAPHead_0/MlpBlock_0/Dense_0", "attn_pool/mlp/fc1"),
    dense("MAPHead_0/MlpBlock_0/Dense_1", "attn_pool/mlp/fc2"),
    dense("pre_logits", "pre_logits"),
    dense("head", "head"),
)

SPELLINGS = (
    (r"^(opt/target/|params/img/|params/|img/)", ""),
    (r"^pos_embedding$", POSITIONS),
    (r"(encoderblock(_\d+)?)/MultiHeadDotProductAttention_0/", r"\1/MultiHeadDotProductAttention_1/"),
    (r"(encoderblock(_\d+)?)/LayerNorm_1/", r"\1/LayerNorm_2/"),
    (r"(encoderblock(_\d+)?)/MlpBlock_0/", r"\1/MlpBlock_3/"),
)


def fields_in_arrays(arrays: Mapping[str, StoredArray]) -> dict[str, int]:
    """The number of heads, which these files have as an axis.

    Raises:
        ValueError: if there are no positions: they are then computed in a way that no network here has.
    """
    if POSITIONS not in arrays:
        raise ValueError(
            'there are no position embeddings in it, as in big_vision\'s files of fixed ones (posemb="sincos2d", '
            'SimpleViT): their formula is another than the "sincos" of a VisionTransformer here, so they are not read'
        )
    query = arrays.get(f"{ATTENTION}/query/kernel".format(i=0))
    return {"num_heads": query.shape[1]} if query is not None and len(query.shape) == 3 else {}


def respell(arrays: Mapping[str, StoredArray]) -> dict[str, StoredArray]:
    """Arrays by the names of the table; the blocks that big_vision stacked for its scan, [depth, ...], one by one."""
    apart = {}
    for name, stored in respelled(arrays, SPELLINGS).items():
        if not name.startswith("Transformer/encoderblock/") or not stored.shape:
            apart[name] = stored
            continue
        read = cache(stored.read)
        for i in range(stored.shape[0]):
            one = StoredArray(stored.shape[1:], stored.dtype, lambda i=i, read=read: read()[i])
            apart[name.replace("encoderblock/", f"encoderblock_{i}/")] = one
    return apart
