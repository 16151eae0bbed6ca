"""Convolutional networks compute what plain numpy does, with every parameter random, and refuse what cannot work."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from vit_jax.models.cnn import ConvNet, ConvolutionalNetwork, ResNet9, max_pool
from vit_jax.models.parameters import parameter_count, parameter_shapes
from vit_jax.models.statistics import with_statistics

NETWORKS = {
    "conv_net": ConvNet(num_classes=5, image_size=(70, 97), widths=(4, 6, 8), hidden_dim=12),
    "conv_net_stride_1": ConvNet(num_classes=5, image_size=32, widths=(4, 6, 8), stride=1, hidden_dim=12),
    "one_channel": ConvNet(num_classes=5, image_size=(9, 12), in_channels=1, widths=(4, 6), stride=1),
    "resnet9": ResNet9(num_classes=5, image_size=(16, 19), width=4),
}


def random_params(model: ConvolutionalNetwork) -> Any:
    """Values for every parameter that keep the maps of order 1: no parameter keeps a default that hides a mistake."""
    random = np.random.default_rng(0)

    def draw(path: Any, leaf: jax.ShapeDtypeStruct) -> np.ndarray:
        noise = random.normal(size=leaf.shape)
        kind = path[-1].key
        if kind == "kernel":
            noise *= math.prod(leaf.shape[:-1]) ** -0.5
        elif kind in ("scale", "running_var"):
            noise = np.exp(0.3 * noise)
        else:
            noise *= 0.3
        return noise.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, parameter_shapes(model))


def random_images(model: ConvolutionalNetwork, batch: int = 2) -> np.ndarray:
    """Images float32 [B, H, W, C] of the model's size, standard normal."""
    return np.random.default_rng(1).normal(size=(batch, *model.input_shape)).astype(np.float32)


@partial(jax.jit, static_argnums=(0, 3))
def apply(model: ConvolutionalNetwork, params: Any, images: jax.Array, train: bool = False) -> jax.Array:
    return model.apply({"params": params}, images, train)  # pyright: ignore[reportReturnType]


# --- The same in numpy, float64 ---


def conv(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """3x3, padded by 1."""
    padded = np.pad(x.astype(np.float64), ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, columns = range(0, x.shape[1], stride), range(0, x.shape[2], stride)
    windows = np.array([[padded[:, i : i + 3, j : j + 3] for j in columns] for i in rows])  # [H, W, B, 3, 3, C]
    return np.einsum("hwbijc,ijco->bhwo", windows, kernel)


def conv_block(x: np.ndarray, params: Any, train: bool, stride: int = 1, pool: bool = False) -> np.ndarray:
    x, norm = conv(x, params["conv"]["kernel"], stride), params["norm"]
    mean = x.mean((0, 1, 2)) if train else norm["running_mean"]
    var = x.var((0, 1, 2)) if train else norm["running_var"]
    x = np.maximum((x - mean) / np.sqrt(var + 1e-5) * norm["scale"] + norm["bias"], 0)
    if not pool:
        return x
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    corners = [x[:, i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
    return np.max(corners, axis=0)


def conv_net(model: ConvNet, params: Any, x: np.ndarray, train: bool) -> np.ndarray:
    for i in range(len(model.widths)):
        x = conv_block(x, params[f"blocks_{i}"], train, model.stride, pool=True)
    hidden = x.reshape(len(x), -1) @ params["hidden"]["kernel"] + params["hidden"]["bias"]
    return np.maximum(hidden, 0) @ params["head"]["kernel"] + params["head"]["bias"]


def resnet9(params: Any, x: np.ndarray, train: bool) -> np.ndarray:
    x = conv_block(x, params["blocks_0"], train)
    for i, residual in ((1, True), (2, False), (3, True)):
        stage = params[f"blocks_{i}"]
        x = conv_block(x, stage["down"], train, pool=True)
        if residual:
            x = x + conv_block(conv_block(x, stage["residual1"], train), stage["residual2"], train)
    return (x.max((1, 2)) @ params["head"]["kernel"] + params["head"]["bias"]) / 8


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_numpy(name: str, train: bool):
    model = NETWORKS[name]
    params, images = random_params(model), random_images(model, batch=3)
    expected = conv_net(model, params, images, train) if isinstance(model, ConvNet) else resnet9(params, images, train)
    logits = apply(model, params, images, train)
    assert np.std(expected) > 0.05
    np.testing.assert_allclose(logits, expected, rtol=0, atol=1e-5)


# --- Its parts ---


@pytest.mark.parametrize("name", NETWORKS)
def test_features_lead_to_the_logits(name: str):
    model = NETWORKS[name]
    params, images = random_params(model), random_images(model)
    features = vit_jax.features(model, params, images)
    last = features.stages[-1]
    np.testing.assert_array_equal(features.tokens, np.reshape(last, (2, -1, last.shape[-1])))
    logits = np.asarray(features.pooled) @ params["head"]["kernel"] + params["head"]["bias"]
    scale = model.logit_scale if isinstance(model, ResNet9) else 1
    np.testing.assert_allclose(apply(model, params, images), logits * scale, atol=1e-5)
    headless = model.clone(num_classes=0)
    without = {name: value for name, value in params.items() if name != "head"}
    assert set(parameter_shapes(headless)) == set(without)
    np.testing.assert_allclose(apply(headless, without, images), features.pooled, atol=1e-6)


def test_maps_have_the_sizes_of_the_recipe():
    """At 224 px three halvings by stride and three by pooling leave 3x3 places; at 32 px the pools alone leave 4x4."""
    shapes = {}
    for name in ("cnn_small_224", "cnn_small_32", "resnet9_32"):
        model = vit_jax.create_model(name)
        images = jax.ShapeDtypeStruct((2, *model.input_shape), jnp.float32)
        features = jax.eval_shape(
            lambda p, x, model=model: vit_jax.features(model, p, x), parameter_shapes(model), images
        )
        shapes[name] = [stage.shape[1:] for stage in features.stages]
    assert shapes["cnn_small_224"] == [(56, 56, 16), (14, 14, 32), (3, 3, 64)]
    assert shapes["cnn_small_32"] == [(16, 16, 16), (8, 8, 32), (4, 4, 64)]
    assert shapes["resnet9_32"] == [(32, 32, 64), (16, 16, 128), (8, 8, 256), (4, 4, 512)]


def test_number_of_parameters():
    """By hand, as published for ResNet-9 (6,573,120 and a bias of 10); running statistics are not among them."""
    convolutions = 9 * (3 * 16 + 16 * 32 + 32 * 64) + 2 * (16 + 32 + 64)
    head = 3 * 3 * 64 * 128 + 128 + 128 * 2 + 2
    assert parameter_count(vit_jax.create_model("cnn_small_224")) == convolutions + head
    assert parameter_count(vit_jax.create_model("resnet9_32")) == 6_573_130
    leaves = jax.tree.leaves(parameter_shapes(vit_jax.create_model("cnn_small_224")))
    assert sum(leaf.size for leaf in leaves) == convolutions + head + 2 * (16 + 32 + 64)


def test_initial_values():
    """He's for what a ReLU follows; a head of zeros gives every class the same chance."""
    model = ResNet9(num_classes=5, image_size=8, width=16, dtype=jnp.bfloat16)
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 8, 3)))["params"]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    assert np.std(params["blocks_2"]["down"]["conv"]["kernel"]) == pytest.approx((2 / (9 * 32)) ** 0.5, rel=0.05)
    assert not params["head"]["kernel"].any()
    small = ConvNet(num_classes=5, image_size=64)
    params = jax.jit(small.init)(jax.random.key(0), jnp.zeros((1, 64, 64, 3)))["params"]
    assert np.std(params["hidden"]["kernel"]) == pytest.approx((2 / 64) ** 0.5, rel=0.05)


@pytest.mark.parametrize("pool", [max_pool, ResNet9().pool], ids=["of four", "of all"])
def test_a_compiled_pool_passes_the_gradient_on_wherever_its_input_is_computed(pool: Any):
    """The compiler computes the input again, rounded otherwise: no gradient may ask which place equals the largest."""
    x, scale = random_images(ResNet9(), batch=4), jnp.linspace(0.5, 1.5, 3)

    def total(x: jax.Array, scale: jax.Array) -> jax.Array:
        return jnp.square(pool(jax.nn.relu(x * scale + 0.1 * scale))).sum()

    with jax.disable_jit():
        expected = jax.grad(total, (0, 1))(x, scale)
    for compiled, exact in zip(jax.jit(jax.grad(total, (0, 1)))(x, scale), expected, strict=True):
        np.testing.assert_allclose(compiled, exact, rtol=1e-5, atol=1e-6)


def test_gradient_of_a_pool_goes_to_the_largest_place():
    """Pooling by reshaping must not spread the gradient."""
    x = np.random.default_rng(0).permutation(2 * 5 * 6 * 3).reshape(2, 5, 6, 3).astype(np.float32)
    gradient = np.asarray(jax.grad(lambda x: max_pool(x).sum())(jnp.asarray(x)))
    assert sorted(np.unique(gradient)) == [0, 1]
    np.testing.assert_array_equal(np.sort(x[gradient == 1]), np.sort(np.asarray(max_pool(jnp.asarray(x))).ravel()))


# --- Precision ---


@pytest.mark.parametrize("name", ["conv_net_stride_1", "resnet9"])
def test_bfloat16_computes_low_and_keeps_high(name: str):
    """Products in bfloat16 but for the head's; logits and statistics float32, and near."""
    model = NETWORKS[name]
    params, images = random_params(model), random_images(model, batch=4)
    half = model.clone(dtype=jnp.bfloat16)

    def run(model: Any) -> Any:
        return jax.jit(lambda x: model.apply({"params": params}, x, True, mutable=["statistics"]))(images)

    (logits, changed), (low, low_changed) = run(model), run(half)
    assert low.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(low_changed)} == {jnp.dtype("float32")}
    assert 1e-5 < np.abs(low - logits).max() < 0.1
    for exact, near in zip(jax.tree.leaves(changed), jax.tree.leaves(low_changed), strict=True):
        np.testing.assert_allclose(near, exact, atol=0.02)
    equations: list[Any] = jax.make_jaxpr(lambda x: half.apply({"params": params}, x))(images).jaxpr.eqns
    products = [
        equation.invars[0].aval.dtype
        for equation in equations
        if equation.primitive.name in ("conv_general_dilated", "dot_general")
    ]
    assert set(products[:-1]) == {jnp.dtype("bfloat16")}
    assert products[-1] == jnp.float32


def test_training_changes_what_evaluation_computes():
    """The statistics of training batches reach the logits outside of training once they are among the parameters."""
    model = NETWORKS["resnet9"]
    params, images = random_params(model), random_images(model)
    _, changed = model.apply({"params": params}, images, True, mutable=["statistics"])
    after = with_statistics(params, changed["statistics"])
    assert np.abs(apply(model, after, images) - apply(model, params, images)).max() > 1e-3


# --- What it refuses ---


@pytest.mark.parametrize("name", NETWORKS)
def test_images_of_another_size_are_refused(name: str):
    model = NETWORKS[name]
    with pytest.raises(ValueError, match=r"this model takes images \[batch, .*got \(2, 20, 20, 3\)"):
        model.apply({"params": random_params(model)}, jnp.zeros((2, 20, 20, 3)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(image_size=32), "image_size 32x32 is too small for 3 convolutions of stride 2 .* Take stride=1"),
        (dict(image_size=(224, 30)), "image_size 224x30 is too small"),
        (dict(image_size=0), "image_size 0x0"),
        (dict(widths=()), "at least one convolution"),
        (dict(widths=(16, 0)), "widths must be at least 1, not 0"),
        (dict(stride=0), "stride must be at least 1, not 0"),
        (dict(hidden_dim=0), "hidden_dim must be at least 1"),
        (dict(in_channels=0), "in_channels must be at least 1"),
        (dict(num_classes=-1), "num_classes must not be negative, but is -1"),
    ],
)
def test_conv_nets_that_cannot_work_are_refused_when_built(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ConvNet(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(image_size=(32, 7)), "image_size 32x7 is too small to be halved three times"),
        (dict(width=0), "width must be at least 1, not 0"),
        (dict(in_channels=0), "in_channels must be at least 1"),
        (dict(num_classes=-1), "num_classes must not be negative"),
    ],
)
def test_resnets_that_cannot_work_are_refused_when_built(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        ResNet9(**fields)
