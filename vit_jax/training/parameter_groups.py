"""Which parameters decay, which layer each belongs to, which move by Muon, and which stay."""

import bisect
import fnmatch
import operator
import re
from typing import Any

import jax

from vit_jax.models.statistics import STATISTICS

Params = Any
"""A nested dict of arrays."""

TOKENS = ("cls_token", "dist_token", "reg_token", "mask_token")
EMBEDDINGS = ("patch_embed", "patch_norm", "pos_embed", "norm_pre", *TOKENS)
"""Parameters below the first block."""
INSIDE = re.compile(r"(?:^|/)(?:blocks_\d+|downsample)/")
"""Parameters of blocks, an encoder's and a decoder's, and of patch merging."""


def parameter_paths(params: Params) -> Params:
    """The tree of every parameter's path, e.g. "blocks_0/attn/qkv/kernel"."""
    return jax.tree_util.tree_map_with_path(
        lambda path, _: jax.tree_util.keystr(path, simple=True, separator="/"), params
    )


def decays(path: str, parameter: jax.Array) -> bool:
    """Whether weight decay applies: to matrices and patch kernels, not to vectors, tokens, positions or tables of
    position biases.

    As published, it does not apply to Swin V2's MLP that computes position biases either. Others' code spares less:
    DINO's only biases and vectors, BEiT's these, the class token and positions.
    """
    return parameter.ndim > 1 and path.endswith("kernel") and "relative_position_bias" not in path


def block_of(path: str) -> tuple[int, int] | None:
    """Stage and number of the block that a parameter belongs to; patch merging counts with the block before it.

    Of a network for pre-training, these are the encoder's blocks.
    """
    found = re.match(r"(?:encoder/)?(?:layers_(\d+)/)?(?:blocks_(\d+)|downsample)/", path)
    if not found:
        return None
    stage, block = found.groups()
    return int(stage or 0), int(block or -1)


def layers_of(params: Params) -> Params:
    """The tree of the layer that every parameter belongs to: embeddings 0, the first block 1, ..., the rest on top.

    A decoder is on top of its encoder, and so is BEiT's table of position biases that all blocks share. Sources:
    `optim_factory.py` of BEiT; `util/lr_decay.py` of MAE; for the patch merging of Swin, `optimizer.py` of SimMIM.

    Args:
        params: of a network of this package, the nested dict of `model.init(...)["params"]`.

    Returns:
        A tree of the same structure, of whole numbers.

    Raises:
        ValueError: if no parameter is of a block, as where the network is a part of something larger.
    """
    paths = parameter_paths(params)
    blocks = sorted({block for path in jax.tree.leaves(paths) if (block := block_of(path)) and block[1] >= 0})
    if not blocks:
        example = next(iter(jax.tree.leaves(paths)), "")
        raise ValueError(
            f"none of these parameters is of a block of a network of this package (the first is {example!r}): give the "
            'network\'s own, such as params["backbone"] of something larger'
        )

    def layer(path: str) -> int:
        block = block_of(path)
        if block:
            return bisect.bisect_right(blocks, block)
        return 0 if path.removeprefix("encoder/").split("/")[0] in EMBEDDINGS else len(blocks) + 1

    return jax.tree.map(layer, paths)


def muon_labels(params: Params) -> Params:
    """Which optimizer has each parameter: Muon the matrices inside blocks (Jordan et al., 2024), AdamW the rest."""
    return jax.tree.map(
        lambda path, p: "muon" if INSIDE.search(path) and p.ndim == 2 and decays(path, p) else "adamw",
        parameter_paths(params),
        params,
    )


def frozen_mask(params: Params, patterns: tuple[str, ...]) -> Params:
    """The tree that says which parameters are frozen.

    Raises:
        ValueError: if a pattern matches no parameter, or if all parameters that are learned are frozen.
    """
    paths = jax.tree.leaves(parameter_paths(params))
    for pattern in patterns:
        if not fnmatch.filter(paths, pattern):
            raise ValueError(f"optimizer.freeze pattern {pattern!r} matches no parameter; paths look like {paths[0]!r}")
    frozen = jax.tree.map(lambda path: any(fnmatch.fnmatch(path, p) for p in patterns), parameter_paths(params))
    measured = [path.split("/")[-1] in STATISTICS for path in paths]
    if all(map(operator.or_, jax.tree.leaves(frozen), measured)):
        raise ValueError(f"optimizer.freeze patterns {patterns} freeze every parameter: nothing is left to train")
    return frozen
