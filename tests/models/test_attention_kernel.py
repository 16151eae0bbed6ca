"""The choice among the programs that compute attention: equal results, and never one that cannot serve."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax import attention_maps
from vit_jax.models import attention_kernel
from vit_jax.models.attention import Attention
from vit_jax.models.attention_kernel import FLASH_TOKENS, Kernel, choose_kernel, compilation_error, flash_attention
from vit_jax.models.vit import VisionTransformer


def randomised(tree: Any) -> Any:
    rng = np.random.default_rng(0)
    return jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape), jnp.float32) * 0.3, tree)


@pytest.fixture
def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """JAX says it has a GPU, whose compiler takes flash attention."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(attention_kernel, "compilation_error", lambda *_: None)


@pytest.mark.parametrize("fields", [{}, {"qk_norm": True}, {"bias_grid": (2, 3), "key_bias": False}])
def test_xla_computes_what_matmul_does(fields: dict[str, Any]):
    """Values and gradients, of the input and of every parameter."""
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 7, 12)), jnp.float32)
    shapes = jax.eval_shape(lambda: Attention(num_heads=3, **fields).init(jax.random.key(0), x, False))
    variables = randomised(shapes)

    def loss(kernel: Kernel) -> Callable[..., jax.Array]:
        layer: Any = Attention(num_heads=3, kernel=kernel, **fields)
        return lambda variables, x: (layer.apply(variables, x, True) ** 2).sum()

    (ours, ours_gradient), (xla, xla_gradient) = (
        jax.jit(jax.value_and_grad(loss(kernel), argnums=(0, 1)))(variables, x) for kernel in ("matmul", "xla")
    )
    np.testing.assert_allclose(ours, xla, rtol=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours_gradient, xla_gradient)


def test_xla_is_another_program():
    """The test before compares two things."""
    x = jnp.zeros((2, 7, 12))
    variables = Attention(num_heads=3).init(jax.random.key(0), x, False)
    programs = {
        kernel: str(jax.make_jaxpr(lambda x: Attention(num_heads=3, kernel=kernel).apply(variables, x, False))(x))  # noqa: B023
        for kernel in ("auto", "matmul", "xla")
    }
    assert programs["auto"] == programs["matmul"] != programs["xla"]


@pytest.mark.parametrize(("tokens", "takes_odd", "trained"), [(6, False, 6), (7, False, 8), (7, True, 7)])
def test_flash_attention_is_attention(tokens: int, takes_odd: bool, trained: int, monkeypatch: pytest.MonkeyPatch):
    """With cuDNN's place taken by XLA: in training an odd number of tokens is padded and cut if JAX does not take it,
    and nobody attends to the padding; in inference it is taken as it is."""
    asked = []

    def without_cudnn(q: jax.Array, k: jax.Array, v: jax.Array, implementation: str, **kwargs: Any) -> jax.Array:
        attention = partial(dot_product_attention, implementation="xla", **kwargs)

        @jax.custom_vjp
        def computed(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
            asked.append((implementation, q.shape[1]))
            return attention(q, k, v)

        def with_gradient(q: jax.Array, k: jax.Array, v: jax.Array) -> Any:
            if q.shape[1] % 2 and not takes_odd:
                raise NotImplementedError
            asked.append((implementation, q.shape[1]))
            return jax.vjp(attention, q, k, v)

        computed.defvjp(with_gradient, lambda gradient, out: gradient(out))
        return computed(q, k, v)

    dot_product_attention = jax.nn.dot_product_attention
    monkeypatch.setattr(jax.nn, "dot_product_attention", without_cudnn)
    q, k, v, cotangent = jnp.asarray(np.random.default_rng(0).normal(size=(4, 2, tokens, 3, 8)), jnp.float32)

    def plain(q: jax.Array, k: jax.Array, v: jax.Array) -> jax.Array:
        weights = jax.nn.softmax(jnp.einsum("bnhd,bmhd->bhnm", q, k) / np.sqrt(8))
        return jnp.einsum("bhnm,bmhd->bnhd", weights, v)

    expected, gradient = jax.vjp(plain, q, k, v)
    np.testing.assert_allclose(flash_attention(q, k, v), expected, atol=1e-5)
    assert set(asked) == {("cudnn", tokens)}
    asked.clear()
    out, flash_gradient = jax.vjp(flash_attention, q, k, v)
    for f, g in zip((out, *flash_gradient(cotangent)), (expected, *gradient(cotangent)), strict=True):
        np.testing.assert_allclose(f, g, atol=1e-5)
    assert set(asked) == {("cudnn", trained)}


def test_attention_maps_are_there_whatever_the_kernel():
    """They are kept by matmul alone, which takes over where they are asked for."""
    sizes: dict[str, Any] = dict(image_size=8, patch_size=4, embed_dim=12, depth=2, num_heads=3, num_classes=2)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 3)), jnp.float32)
    model = VisionTransformer(**sizes, attention="xla")
    params = randomised(jax.eval_shape(model.init, jax.random.key(0), images))["params"]
    maps = attention_maps(model, params, images)
    expected = attention_maps(VisionTransformer(**sizes), params, images)
    assert len(maps) == 2
    for ours, plain in zip(maps, expected, strict=True):
        np.testing.assert_array_equal(ours, plain)


def test_auto_takes_flash_attention_where_it_serves(on_a_gpu: None):
    assert choose_kernel("auto", FLASH_TOKENS, 64, jnp.bfloat16, False, 0.0).kernel == "cudnn"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (dict(tokens=FLASH_TOKENS - 1), "too few"),
        (dict(dtype=jnp.float32), "not in float32"),
        (dict(has_bias=True), "position bias"),
        (dict(attn_drop_rate=0.1), "dropout"),
    ],
)
def test_auto_takes_matmul_where_flash_attention_does_not_serve(on_a_gpu: None, changed: dict[str, Any], reason: str):
    needs: dict[str, Any] = dict(
        tokens=FLASH_TOKENS, head_dim=64, dtype=jnp.bfloat16, has_bias=False, attn_drop_rate=0.0
    )
    choice = choose_kernel("auto", **(needs | changed))
    assert choice.kernel == "matmul"
    assert reason in choice.reason


def test_auto_asks_the_compiler(monkeypatch: pytest.MonkeyPatch):
    """Here there is no cuDNN: what the compiler says is the reason, and the network works all the same."""
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    choice = choose_kernel("auto", FLASH_TOKENS, 64, jnp.bfloat16, False, 0.0)
    assert choice.kernel == "matmul"
    assert "does not compile: " in choice.reason
    assert str(compilation_error(FLASH_TOKENS, 64, "bfloat16")) in choice.reason


def test_auto_on_a_cpu_is_matmul():
    choice = choose_kernel("auto", 1024, 64, jnp.bfloat16, False, 0.0)
    assert choice.kernel == "matmul"
    assert "not for a cpu" in choice.reason


@pytest.mark.parametrize(
    ("kernel", "rate", "message"),
    [("cudnn", 0.0, "is not possible here: flash attention is for NVIDIA GPUs"), ("xla", 0.1, "attn_drop_rate")],
)
def test_a_kernel_by_name_that_cannot_serve_is_refused(kernel: Kernel, rate: float, message: str):
    model = VisionTransformer(
        image_size=8, patch_size=4, embed_dim=12, depth=1, num_heads=3, attention=kernel, attn_drop_rate=rate
    )
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(model.init, jax.random.key(0), jnp.zeros((1, 8, 8, 3)))
