"""Which program computes attention: matrix products of our own, `jax.nn.dot_product_attention`, or cuDNN's.

- "matmul": products over [batch, heads] with a softmax between them (`row_sums`); does all that is asked of attention.
- "xla": `jax.nn.dot_product_attention`, whose products JAX writes as einsums. No dropout on the weights.
- "cudnn": cuDNN's flash attention, which never writes the weights [B, heads, N, N] to memory. On NVIDIA GPUs, in 16
  bits; no dropout on the weights, no position bias.
"""

import logging
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

Kernel = Literal["auto", "matmul", "xla", "cudnn"]

FLASH_TOKENS = 64
"""Tokens from which "auto" takes cuDNN's flash attention. On an H200, an epoch at 65 tokens went from 2.56 to 2.00 s
with it and two other changes (docs/performance.md); alone, and with fewer tokens, it was not measured. On a CPU
"matmul" is the fastest everywhere (`python -m benchmarks.attention`)."""


class Choice(NamedTuple):
    """A kernel, and why that one."""

    kernel: Literal["matmul", "xla", "cudnn"]
    reason: str


def choose_kernel(
    kernel: Kernel, tokens: int, head_dim: int, dtype: Any, has_bias: bool, attn_drop_rate: float
) -> Choice:
    """The kernel for attention among `tokens` tokens in heads of `head_dim` channels, on the devices at hand.

    Args:
        kernel: what is asked for; "auto" picks the fastest that serves, and never one that does not.
        tokens: N.
        head_dim: channels of a head.
        dtype: of the computation.
        has_bias: whether a position bias is added to the logits.
        attn_drop_rate: dropout on the weights.

    Raises:
        ValueError: if the kernel that is asked for by name cannot do it here.
    """
    if kernel == "matmul":
        return Choice("matmul", "as asked")
    if kernel == "xla":
        if attn_drop_rate:
            raise ValueError('attention="xla" has no dropout on attention weights: set attn_drop_rate to 0')
        return Choice("xla", "as asked")
    obstacle = obstacle_to_flash(tokens, head_dim, np.dtype(dtype).name, has_bias, attn_drop_rate)
    if kernel == "cudnn":
        if obstacle:
            raise ValueError(f'attention="cudnn" is not possible here: {obstacle}. "auto" takes what is')
        return Choice("cudnn", "as asked")
    if obstacle:
        return Choice("matmul", obstacle)
    if tokens < FLASH_TOKENS:
        return Choice("matmul", f"{tokens} tokens are too few for flash attention to gain")
    return Choice("cudnn", f"flash attention, {tokens} tokens")


def obstacle_to_flash(tokens: int, head_dim: int, dtype: str, has_bias: bool, attn_drop_rate: float) -> str | None:
    """Why cuDNN's flash attention cannot do it, in a few words; None if it can."""
    if jax.default_backend() != "gpu":
        return f"flash attention is for NVIDIA GPUs, not for a {jax.default_backend()}"
    if dtype not in ("bfloat16", "float16"):
        return f"flash attention computes in 16 bits, not in {dtype}"
    if has_bias:
        return "flash attention has no position bias here"
    if attn_drop_rate:
        return "flash attention has no dropout on the weights here"
    return compilation_error(tokens, head_dim, dtype)


@cache
def compilation_error(tokens: int, head_dim: int, dtype: str) -> str | None:
    """What the compiler says against flash attention of this size and its gradient; None if it compiles.

    cuDNN's version, the GPU's generation and the size of the heads decide: nobody knows these rules better.
    """

    def loss(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        return flash_attention(q, k, v).astype(jnp.float32).sum()

    qkv = (jax.ShapeDtypeStruct((1, tokens, 1, head_dim), dtype),) * 3
    try:
        for function in (loss, jax.grad(loss, argnums=(0, 1, 2))):
            jax.jit(function).lower(*qkv).compile()
    except Exception as error:  # of many kinds: NotImplementedError, RuntimeError, XLA's own
        logging.getLogger(__name__).debug("cuDNN's flash attention does not compile", exc_info=True)
        return f"flash attention does not compile: {' '.join(str(error).split())[:200]}"
    return None


@jax.custom_vjp
def flash_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """cuDNN's flash attention of queries, keys and values [B, N, heads, d]: [B, N, heads, d]."""
    return jax.nn.dot_product_attention(q, k, v, implementation="cudnn")


def padded_flash_attention(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
    """`flash_attention` with one more token, which nobody attends to. Most of what that copies is copied anyway, to
    take queries, keys and values apart."""
    batch, tokens = q.shape[:2]
    q, k, v = (jnp.pad(x, ((0, 0), (0, 1), (0, 0), (0, 0))) for x in (q, k, v))
    lengths = jnp.full(batch, tokens, jnp.int32)
    out = jax.nn.dot_product_attention(q, k, v, key_value_seq_lengths=lengths, implementation="cudnn")
    return out[:, :tokens]


def flash_attention_and_gradient(q: jax.Array, k: jax.Array, v: jax.Array) -> tuple[jax.Array, Any]:
    """`flash_attention`, and the function that gives its gradient.

    JAX 0.10 to 0.12 refuses odd numbers of tokens, as with a class token, where there is a gradient. It means to do so
    beside a bias alone, but takes the placeholder for no bias as one (`_dot_product_attention_fwd_rule` in its
    `fused_attention_stablehlo.py`). A JAX that takes them gets them without padding.
    """
    try:
        return jax.vjp(partial(jax.nn.dot_product_attention, implementation="cudnn"), q, k, v)
    except NotImplementedError:
        return jax.vjp(padded_flash_attention, q, k, v)


flash_attention.defvjp(flash_attention_and_gradient, lambda gradient, out: gradient(out))
