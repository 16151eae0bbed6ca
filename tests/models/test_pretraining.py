"""How networks for pre-training learn, and what they need for it: what numerics against Hugging Face cannot see."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import random_images, random_params
from tests.models.huggingface_cases import HUGGINGFACE_CASES, random_masks, small_network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.registry import create_model


@pytest.mark.parametrize("name", ["beit_masked", "mae"])
def test_every_parameter_learns_and_remat_changes_nothing(name: str):
    case = HUGGINGFACE_CASES[name]
    model = small_network(case)
    params, images, masks = random_params(model, 0), random_images(model, 0), random_masks(case, 0)

    def value_and_gradient(model: Any) -> tuple[jax.Array, Any]:
        @jax.jit
        @jax.value_and_grad
        def loss(params: Any) -> jax.Array:
            """A function of scores or pixels whose gradient is nowhere zero by symmetry."""
            output = model.apply({"params": params}, images, train=True, **masks)
            return jnp.sum(jnp.sin(jax.tree.leaves(output)[0]))

        return loss(params)

    value, gradient = value_and_gradient(model)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        assert np.abs(leaf).max() > 1e-5, jax.tree_util.keystr(path)
    remat_value, remat_gradient = value_and_gradient(model.clone(remat=True))
    np.testing.assert_allclose(remat_value, value, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), remat_gradient, gradient)


@pytest.mark.parametrize(
    ("name", "train", "answer"),
    [
        ("mae_cifar_patch4_32", False, r'"masking": key}: it draws .*; vit_jax\.features masks none'),
        ("discrete_vae_patch4_32", True, '"dropout": key}: in training it draws tokens'),
    ],
)
def test_a_key_that_is_missing_is_asked_for_by_its_stream(name: str, train: bool, answer: str):
    model = create_model(name, depth=1)
    images = np.zeros((1, 32, 32, 3), np.float32)
    with pytest.raises(ValueError, match=rf"^a {type(model).__name__} needs rngs={{{answer}"):
        jax.eval_shape(lambda params: model.apply({"params": params}, images, train), parameter_shapes(model))
