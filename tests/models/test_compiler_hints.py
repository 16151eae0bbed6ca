"""Hints for GPUs are in the programs for them, where they are meant to be, in no others, and change no result."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import vit_jax
from vit_jax.models.compiler_hints import computed_once, row_major
from vit_jax.models.layer_norm import LayerNorm
from vit_jax.models.parameters import parameter_shapes

ROW_MAJOR = "result_layouts = [dense<[2, 1, 0]> : tensor<3xindex>]"


def program(function: Callable[..., Any], *inputs: Any, platform: str) -> str:
    """The program that JAX hands to XLA."""
    return jax.jit(function).trace(*inputs).lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize(("platform", "told"), [("cuda", True), ("cpu", False), ("tpu", False)])
def test_in_training_tokens_are_row_major_on_a_gpu_both_ways(
    platform: str, told: bool, monkeypatch: pytest.MonkeyPatch
):
    """Without, XLA writes the tokens [B, N, D] of every block as [N, D, B], and transposes them for each product."""
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    model = vit_jax.create_model("vit_cifar_patch4_32", depth=2, embed_dim=24, num_heads=2)
    images = jax.ShapeDtypeStruct((2, *model.input_shape), jnp.float32)

    def apply(params: Any, images: jax.Array, train: bool = False) -> Any:
        return model.apply({"params": params}, images, train)

    def training(params: Any, images: jax.Array) -> Any:
        return jax.grad(lambda params: apply(params, images, train=True).sum())(params)

    found = program(training, parameter_shapes(model), images, platform=platform)
    assert found.count("@LayoutConstraint") == found.count(ROW_MAJOR) == 2 * told
    assert "@LayoutConstraint" not in program(apply, parameter_shapes(model), images, platform=platform)


@pytest.mark.parametrize(("platform", "told"), [("cuda", True), ("cpu", False), ("tpu", False)])
def test_the_backward_pass_of_layer_norm_reads_its_sums_on_a_gpu(platform: str, told: bool):
    """Inference computes them where they are used: one kernel, not three."""
    norm = LayerNorm(1e-6, jnp.bfloat16)
    x = jax.ShapeDtypeStruct((6, 8), jnp.bfloat16)
    params = jax.eval_shape(norm.init, jax.random.key(0), x)

    def apply(params: Any, x: jax.Array) -> Any:
        return norm.apply(params, x)

    def training(params: Any, x: jax.Array) -> Any:
        return jax.grad(lambda *inputs: apply(*inputs).astype(jnp.float32).sum(), argnums=(0, 1))(params, x)

    assert ("optimization_barrier" in program(training, params, x, platform=platform)) == told
    assert "optimization_barrier" not in program(apply, params, x, platform=platform)


@pytest.fixture(params=["a GPU's", "other devices'"])
def branch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hints as for a GPU, but on the devices at hand, or as for these."""
    chosen = "cuda" if request.param == "a GPU's" else "default"
    monkeypatch.setattr(jax.lax, "platform_dependent", lambda *args, **branches: branches[chosen](*args))


def test_hints_change_nothing(branch: None, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(jax, "device_count", lambda: 1)
    x, y = jax.random.normal(jax.random.key(0), (2, 3, 4, 5))
    for hint in (row_major, lambda x: computed_once(x, y)[0], lambda x: computed_once(y, x)[1]):
        np.testing.assert_array_equal(jax.jit(hint)(x), x)
        np.testing.assert_array_equal(jax.jit(jax.vmap(hint, in_axes=1))(x), x.swapaxes(0, 1))
        np.testing.assert_array_equal(jax.jit(jax.grad(lambda x, hint=hint: (hint(x) ** 2).sum()))(x), 2 * x)


def test_hints_bring_nothing_together_that_is_spread_over_devices(branch: None):
    """XLA of jax 0.10 gives every device the whole of an array that is told a layout."""

    def loss(x: jax.Array, w: jax.Array) -> jax.Array:
        return (jnp.sin(computed_once(row_major(jnp.cos(x)))[0] @ w) ** 2).sum()

    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    rows, whole = NamedSharding(mesh, PartitionSpec("data")), NamedSharding(mesh, PartitionSpec())
    x = jax.ShapeDtypeStruct((16, 5, 8), jnp.float32, sharding=rows)
    w = jax.ShapeDtypeStruct((8, 8), jnp.float32, sharding=whole)
    text = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(x, w).compile().as_text()
    assert text is not None
    assert "all-reduce" in text
    assert "all-gather" not in text
