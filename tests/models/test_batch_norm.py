"""Batch norm computes what torch's does, in training and out of it; its statistics are kept where they can be saved."""

from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vit_jax.models.batch_norm import BatchNorm
from vit_jax.models.statistics import with_statistics

EPS, MOMENTUM = 1e-5, 0.1


def make(shape: tuple[int, ...] = (4, 3, 5, 6)) -> tuple[dict[str, Any], np.ndarray]:
    """Random parameters and a map [B, H, W, C] whose channels have means and variances of their own."""
    random = np.random.default_rng(0)
    channels = shape[-1]
    params = {
        "scale": random.normal(1, 0.3, channels),
        "bias": random.normal(0, 0.3, channels),
        "running_mean": random.normal(0, 1, channels),
        "running_var": random.uniform(0.5, 2, channels),
    }
    x = random.normal(size=shape) * random.uniform(0.1, 3, channels) + random.normal(0, 2, channels)
    return {name: value.astype(np.float32) for name, value in params.items()}, x.astype(np.float32)


def normalised(x: np.ndarray, params: dict[str, Any], mean: Any, var: Any) -> np.ndarray:
    return (x - mean) / np.sqrt(var + EPS) * params["scale"] + params["bias"]


def apply(params: Any, x: Any, train: bool) -> jax.Array:
    return cast(jax.Array, BatchNorm().apply({"params": params}, x, train))


def train(params: dict[str, Any], x: np.ndarray, **fields: Any) -> tuple[np.ndarray, dict[str, Any]]:
    """The result in training, and the parameters after it."""
    y, changed = BatchNorm(**fields).apply({"params": params}, x, True, mutable=["statistics"])
    return np.asarray(y), with_statistics(params, changed["statistics"])


def test_outside_of_training_the_running_statistics_are_used():
    params, x = make()
    expected = normalised(x, params, params["running_mean"], params["running_var"])
    np.testing.assert_allclose(apply(params, x, False), expected, atol=1e-5)


def test_training_uses_the_batchs_statistics_and_moves_the_running_ones():
    """Biased variance in the result, unbiased in the running average; float64 by hand."""
    params, x = make()
    wide = x.astype(np.float64).reshape(-1, x.shape[-1])
    y, after = train(params, x)
    np.testing.assert_allclose(y, normalised(x, params, wide.mean(0), wide.var(0)), atol=1e-5)
    mean = (1 - MOMENTUM) * params["running_mean"] + MOMENTUM * wide.mean(0)
    var = (1 - MOMENTUM) * params["running_var"] + MOMENTUM * wide.var(0, ddof=1)
    np.testing.assert_allclose(after["running_mean"], mean, atol=1e-6)
    np.testing.assert_allclose(after["running_var"], var, atol=1e-5)
    assert after["scale"] is params["scale"]
    assert after["bias"] is params["bias"]


@pytest.mark.parity("torch")
def test_equals_torch():
    """Results, running statistics and gradients over two training batches, then a result outside of training."""
    import torch  # pyright: ignore[reportMissingImports]

    params, x = make()
    norm: Any = torch.nn.BatchNorm2d(x.shape[-1])
    names = {"weight": "scale", "bias": "bias", "running_mean": "running_mean", "running_var": "running_var"}
    norm.load_state_dict({theirs: torch.tensor(params[ours]) for theirs, ours in names.items()}, strict=False)

    def loss(params: Any, x: Any) -> Any:
        y, changed = BatchNorm().apply({"params": params}, x, True, mutable=["statistics"])
        return jnp.sin(y).sum(), (y, changed["statistics"])

    for batch in (x, x[:, :, ::-1] * 1.5 + 0.2):
        given: Any = torch.tensor(batch.transpose(0, 3, 1, 2).copy(), requires_grad=True)
        expected = norm.train()(given)
        norm.zero_grad()
        torch.sin(expected).sum().backward()
        (gradient, to_input), (y, statistics) = jax.grad(loss, argnums=(0, 1), has_aux=True)(params, batch)
        params = with_statistics(params, statistics)
        np.testing.assert_allclose(y, expected.detach().numpy().transpose(0, 2, 3, 1), atol=1e-5)
        np.testing.assert_allclose(to_input, given.grad.numpy().transpose(0, 2, 3, 1), atol=1e-5)
        np.testing.assert_allclose(gradient["scale"], norm.weight.grad.numpy(), atol=5e-5)  # sums over the map
        np.testing.assert_allclose(gradient["bias"], norm.bias.grad.numpy(), atol=5e-5)
        np.testing.assert_allclose(params["running_mean"], norm.running_mean.numpy(), atol=1e-5)
        np.testing.assert_allclose(params["running_var"], norm.running_var.numpy(), atol=1e-5)
    expected = norm.eval()(torch.tensor(x.transpose(0, 3, 1, 2))).detach().numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(apply(params, x, False), expected, atol=1e-5)


@pytest.mark.parametrize("training", [False, True])
def test_no_gradient_reaches_the_running_statistics(training: bool):
    """The optimizer would otherwise move them."""
    params, x = make()
    gradient = jax.grad(lambda p: jnp.sin(apply(p, x, training)).sum())(params)
    assert not gradient["running_mean"].any()
    assert not gradient["running_var"].any()
    assert gradient["scale"].all()


def test_training_without_the_mutable_collection_computes_the_same():
    """The public contract, `model.apply({"params": params}, images, train=True)`, needs no collections."""
    params, x = make()
    np.testing.assert_array_equal(apply(params, x, True), train(params, x)[0])


@pytest.mark.parametrize("training", [False, True])
def test_all_that_is_initialised_is_parameters(training: bool):
    """A fresh layer has seen nothing, the image it is initialised with included."""
    _, x = make()
    variables = BatchNorm().init(jax.random.key(0), x, training)
    assert set(variables) == {"params"}
    for name, value in dict(scale=1, bias=0, running_mean=0, running_var=1).items():
        np.testing.assert_array_equal(variables["params"][name], np.full(x.shape[-1], value, np.float32))


def test_statistics_are_float32_in_bfloat16():
    """Sums of bfloat16 maps lose small channels beside their mean."""
    params, x = make()
    x = (x + 100).astype(jnp.bfloat16)
    y, after = train(params, x, dtype=jnp.bfloat16)
    assert y.dtype == jnp.bfloat16
    assert {value.dtype for value in after.values()} == {np.dtype("float32")}
    wide = x.astype(np.float64).reshape(-1, x.shape[-1])
    mean = (1 - MOMENTUM) * params["running_mean"] + MOMENTUM * wide.mean(0)
    np.testing.assert_allclose(after["running_mean"], mean, rtol=1e-6)
    expected = normalised(wide, params, wide.mean(0), wide.var(0)).reshape(x.shape)
    np.testing.assert_allclose(y.astype(np.float32), expected, atol=0.05)


def test_one_value_a_channel_is_refused_in_training():
    params, _ = make()
    one = jnp.ones((1, 1, 1, 6))
    with pytest.raises(ValueError, match=r"one value a channel, \(1, 1, 1, 6\)"):
        apply(params, one, True)
    assert np.isfinite(apply(params, one, False)).all()
