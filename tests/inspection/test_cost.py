"""The cost of a network is what its papers say and what its arithmetic is."""

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from tests.models.cases import small_model
from vit_jax.inspection.cost import cost, multiply_adds
from vit_jax.models import attention
from vit_jax.models.attention import Attention
from vit_jax.models.attention_kernel import Choice, Kernel
from vit_jax.models.registry import create_model
from vit_jax.models.window_attention import WindowAttention
from vit_jax.models.windows import window_grid


def counted(module: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of a module on input of a shape, without dropout."""
    x = jax.ShapeDtypeStruct(shape, jnp.float32)
    variables = jax.eval_shape(lambda key, x: module.init(key, x, False), jax.random.key(0), x)
    return multiply_adds(lambda variables, x: module.apply(variables, x, False), variables, x)


@pytest.mark.parametrize(
    ("name", "giga"),
    [
        *(("vit_tiny_patch16_224", 1.25), ("vit_small_patch16_224", 4.60), ("vit_base_patch16_224", 17.56)),
        *(("vit_large_patch16_224", 61.56), ("vit_base_patch32_224", 4.41), ("vit_tiny_patch4_32", 0.365)),
        *(("swin_tiny_patch4_window7_224", 4.49), ("swin_small_patch4_window7_224", 8.74)),
        *(("swin_base_patch4_window12_384", 47.08), ("swin_cifar_patch2_window4_32", 0.241)),
        *(("swin_tiny_patch2_window4_32", 0.358), ("swinv2_tiny_window8_256", 5.94)),
    ],
)
def test_multiply_adds_are_the_published_ones(name: str, giga: float):
    """To the last digit that is printed, counted in torch by others."""
    digits = 3 if giga < 1 else 2
    assert cost(create_model(name)).multiply_adds / 1e9 == pytest.approx(giga, abs=0.6 * 10**-digits)


def test_cost_of_attention_over_the_whole_map():
    """Equation 1 of Swin: 4 h w C^2 + 2 (h w)^2 C, for h = w = 64 and C = 96."""
    assert counted(Attention(num_heads=3), (1, 64 * 64, 96)) == 3_372_220_416


def test_attention_is_counted_whichever_program_computes_it(monkeypatch: pytest.MonkeyPatch):
    """On a GPU "auto" takes cuDNN's flash attention, in which JAX sees no products."""

    def as_on_a_gpu(kernel: Kernel, *rest: Any) -> Choice:
        return Choice("cudnn" if kernel == "auto" else "matmul", "pretended")

    monkeypatch.setattr(attention, "choose_kernel", as_on_a_gpu)
    monkeypatch.setattr(attention, "flash_attention", lambda q, k, v: v)
    auto, matmul = (cost(small_model(depth=1, pool="avg", attention=kernel)) for kernel in ("auto", "matmul"))
    assert auto.multiply_adds == matmul.multiply_adds
    assert auto.activation_bytes < matmul.activation_bytes  # it was pretended


@pytest.mark.parametrize("shifted", [False, True])
def test_cost_of_attention_within_windows(shifted: bool):
    """Equation 2 of Swin: 4 h w C^2 + 2 M^2 h w C, with windows of M = 4; a shift costs no products."""
    grid = window_grid(64, 64, window_size=4, shifted=shifted, rule="microsoft")
    assert counted(WindowAttention(num_heads=3, grid=grid), (1, 64, 64, 96)) == 163_577_856


def test_cost_of_a_masked_autoencoder():
    """The encoder's blocks see a quarter of the patches, the decoder's all: 12 n D^2 + 2 n^2 D for each block."""
    model = create_model(
        "mae_base_patch16_224", image_size=64, embed_dim=32, depth=3, num_heads=2,
        decoder_embed_dim=16, decoder_depth=2, decoder_num_heads=2,
    )  # fmt: skip

    def blocks(depth: int, tokens: int, width: int) -> int:
        return depth * (12 * tokens * width**2 + 2 * tokens**2 * width)

    pixels = 16 * 16 * 3
    ends = 16 * pixels * 32 + 5 * 32 * 16 + 16 * 16 * pixels  # patches; to the decoder's width; to pixels
    assert cost(model).multiply_adds == ends + blocks(3, 5, 32) + blocks(2, 17, 16)


def test_convolutions_and_groups_are_counted():
    """Output places x kernel size x inputs of a group x outputs."""
    assert counted_conv(groups=1) == 4 * 4 * 3 * 3 * 6 * 8
    assert counted_conv(groups=2) == 4 * 4 * 3 * 3 * 3 * 8


def counted_conv(groups: int) -> int:
    class Convolution(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, train: bool) -> jax.Array:
            return nn.Conv(8, (3, 3), feature_group_count=groups)(x)

    return counted(Convolution(), (1, 4, 4, 6))


def test_loops_count_as_often_as_they_run():
    def looped(x: jax.Array, w: jax.Array) -> Any:
        return jax.lax.scan(lambda x, _: (x @ w, None), x, None, length=5)[0]

    x, w = jax.ShapeDtypeStruct((3, 4), jnp.float32), jax.ShapeDtypeStruct((4, 4), jnp.float32)
    assert multiply_adds(looped, x, w) == 5 * 3 * 4 * 4


def test_activations_grow_with_the_square_of_the_tokens_in_vit_and_linearly_in_swin():
    """From 64 px to 128 px there are four times the tokens."""

    def growth(name: str, **fields: Any) -> float:
        small, large = (cost(create_model(name, image_size=size, **fields)) for size in (64, 128))
        return large.activation_bytes / small.activation_bytes

    assert growth("vit_tiny_patch4_32", depth=2) > 6  # towards 16: what is linear in the tokens still weighs
    assert growth("swin_cifar_patch2_window4_32") == pytest.approx(4, rel=0.02)


def test_remat_keeps_less_and_bfloat16_about_half():
    model = small_model(image_size=32, depth=4)
    full = cost(model).activation_bytes
    assert cost(model.clone(remat=True)).activation_bytes < full / 4
    assert 0.4 < cost(model.clone(dtype=jnp.bfloat16)).activation_bytes / full < 0.8


def test_running_statistics_are_no_parameters():
    """Scale and bias of batch norm are, as a thousand classes more are a thousand rows more."""
    one, two = (cost(create_model("cnn_small_32", num_classes=classes)).parameters for classes in (10, 11))
    assert two - one == 129
