"""DINO's networks: the head by its published formula, the encoders, and what cannot be built."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf

from tests.models.cases import random_images, random_params
from vit_jax.models.dino import DinoSwinTransformer, DinoVisionTransformer, ProjectionHead
from vit_jax.models.layers import sincos_position_embedding
from vit_jax.training.parameter_groups import decays

HEAD: dict[str, Any] = dict(prototypes=12, head_hidden_dim=24, head_bottleneck_dim=8)
VIT = DinoVisionTransformer(image_size=8, patch_size=2, embed_dim=16, depth=2, num_heads=2, **HEAD)
SWIN = DinoSwinTransformer(
    image_size=16, patch_size=2, embed_dim=8, depths=(2, 2), num_heads=(2, 4), window_size=4, **HEAD
)


def test_the_head_is_the_published_one():
    """`DINOHead` with norm_last_layer, in float64: three layers, a unit vector, prototypes of norm 1."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 10))
    head = ProjectionHead(prototypes=7, hidden_dim=6, bottleneck_dim=4)
    shapes = jax.eval_shape(head.init, jax.random.key(0), x)["params"]
    params: Any = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape), shapes)

    y = x
    for name in ("fc1", "fc2", "fc3"):
        y = y @ params[name]["kernel"] + params[name]["bias"]
        y = y * 0.5 * (1 + erf(y / np.sqrt(2))) if name != "fc3" else y
    y = y / np.linalg.norm(y, axis=-1, keepdims=True)
    v = params["last_layer"]["kernel"]
    expected = y @ (v / np.linalg.norm(v, axis=0, keepdims=True))
    found: Any = head.apply({"params": params}, jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("model", [VIT, SWIN])
def test_the_network_is_its_encoder_and_its_head(model: Any):
    params, images = random_params(model, 0), random_images(model, 0)
    assert set(params) == {"centre", "encoder", "head"}
    pooled = model.make_encoder().apply({"params": params["encoder"]}, images)
    expected = model.make_head().apply({"params": params["head"]}, pooled)
    np.testing.assert_allclose(model.apply({"params": params}, images), expected, atol=1e-6)
    features = model.apply({"params": params}, images, method="features")
    np.testing.assert_allclose(features.pooled, pooled, atol=1e-6)


def test_its_centre_changes_no_output():
    """It is subtracted from the teacher's alone, by the objective."""
    params, images = random_params(VIT, 0), random_images(VIT, 0)
    other = {**params, "centre": params["centre"] + 1}
    np.testing.assert_array_equal(VIT.apply({"params": params}, images), VIT.apply({"params": other}, images))


def test_fixed_positions_are_those_of_learned_ones_with_their_table():
    fixed, params = VIT.clone(pos_embed="sincos"), random_params(VIT, 0)
    table = np.pad(sincos_position_embedding((4, 4), 16), ((1, 0), (0, 0)))
    params["encoder"]["pos_embed"] = table[None]
    images, rest = random_images(VIT, 0), {**params, "encoder": {**params["encoder"]}}
    del rest["encoder"]["pos_embed"]
    expected: Any = VIT.apply({"params": params}, images)
    found: Any = fixed.apply({"params": rest}, images)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_prototypes_decay_as_matrices():
    assert decays("head/last_layer/kernel", jnp.zeros((8, 12)))
    assert not decays("centre", jnp.zeros(12))


@pytest.mark.parametrize("network", [VIT, SWIN])
def test_drop_path_is_in_training_alone(network: Any):
    model, images = network.clone(drop_path_rate=0.5), random_images(network, 0)
    params = random_params(model, 0)
    still: Any = model.apply({"params": params}, images)
    without = network.clone(drop_path_rate=0.0)
    np.testing.assert_array_equal(still, without.apply({"params": params}, images))
    in_training: Any = without.apply({"params": params}, images, True, rngs={"dropout": jax.random.key(1)})
    np.testing.assert_array_equal(still, in_training)
    moved: Any = model.apply({"params": params}, images, True, rngs={"dropout": jax.random.key(1)})
    assert float(jnp.abs(moved - still).max()) > 1e-2


@pytest.mark.parametrize(
    ("module", "fields", "message"),
    [
        (DinoVisionTransformer, dict(prototypes=0), "prototypes 0"),
        (DinoVisionTransformer, dict(num_classes=10), "num_classes must be 0"),
        (DinoVisionTransformer, dict(image_size=30), "not a whole number of patches"),
        (DinoSwinTransformer, dict(num_heads=(5, 6, 12, 24)), "heads do not divide"),
    ],
)
def test_fields_that_cannot_work_are_refused(module: Any, fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        module(**fields)
