"""A ViT whose heads read its first tokens computes no others in its last block: what that must not change."""

from collections import Counter
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.models.cases import make, random_images, random_params, small_model
from tests.models.jaxprs import equations
from vit_jax.models.registry import create_model
from vit_jax.models.vit import VisionTransformer

TOKENS, WIDTH = 17, 48  # of the small model: 16 patches and the class token

READS_TOKENS = {
    "class_token": dict(),
    "one_block": dict(depth=1),
    "two_heads": dict(distilled=True),
    "registers": dict(num_registers=3, no_embed_class=True),
    "norm_after_pooling": dict(fc_norm=True, representation_size=5),
    "every_part": dict(layer_scale=0.1, qk_norm=True, swiglu=True, remat=True),
    "bias_of_each_block": dict(relative_position="per_block", key_bias=False),
    "shared_bias": dict(relative_position="shared"),
    "kernel_of_jax": dict(attention="xla"),
}


def output_sum(model: VisionTransformer, params: Any, images: Any, whole: bool = False) -> jax.Array:
    """A function of the output in training; of `whole` blocks, as somebody looks inside."""
    asked: Any = dict(mutable=["intermediates"]) if whole else {}
    found: Any = model.apply({"params": params}, images, train=True, **asked)
    outputs = jax.tree.leaves(found[0] if whole else found)
    return jnp.stack([jnp.sin(leaf).sum() for leaf in outputs]).sum()


@pytest.mark.parametrize("name", READS_TOKENS)
def test_the_tokens_that_heads_read_are_those_of_a_whole_block(name: str):
    """Output and gradient, up to rounding, where the last block computes what is read and where it computes all."""
    model, params, images = make(**READS_TOKENS[name])

    function = jax.jit(jax.value_and_grad(output_sum, argnums=1), static_argnums=(0, 3))
    found, expected = (function(model, params, images, whole) for whole in (False, True))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5), found, expected)


@pytest.mark.parametrize("name", READS_TOKENS)
def test_pooled_features_are_those_of_a_whole_block(name: str):
    model, params, images = make(**READS_TOKENS[name])
    pooled, features = (
        jax.jit(partial(model.apply, {"params": params}, method=m))(images) for m in ("pooled", "features")
    )
    np.testing.assert_allclose(pooled, features.pooled, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("distilled", [False, True])
def test_the_last_block_maps_only_tokens_that_heads_read(distilled: bool):
    """Projection and MLP, and the gradients of their weights, are of the class token, and DeiT's second, alone."""
    model, params, images = make(depth=2, distilled=distilled)
    read, tokens = 1 + distilled, TOKENS + distilled

    def rows(function: Any) -> dict[int, int]:
        """How often the MLP's hidden layer is computed, or its gradient, by the number of its rows."""
        shapes = [e.outvars[0].aval.shape for e in equations(function, params) if e.primitive.name == "dot_general"]
        return Counter(shape[0] for shape in shapes if len(shape) == 2 and shape[1] == 4 * WIDTH)

    for method in (None, "pooled"):
        call = partial(model.apply, method=method)
        assert rows(lambda params, call=call: call({"params": params}, images)) == {2 * tokens: 1, 2 * read: 1}
    kernels = {WIDTH: 2}  # of the gradient of the weights, [WIDTH, 4 WIDTH]
    assert rows(jax.grad(partial(output_sum, model, images=images))) == {2 * tokens: 2, 2 * read: 2} | kernels


def test_a_student_s_last_block_maps_its_class_token_alone():
    model = create_model("dino_pretraining_vit_cifar_patch4_32", depth=2, prototypes=8, head_hidden_dim=8)
    params, images = random_params(model, seed=0), random_images(model, seed=0)
    products = [
        e.outvars[0].aval.shape
        for e in equations(partial(model.apply, {"params": params}), images)
        if e.primitive.name == "dot_general"
    ]
    hidden = params["encoder"]["blocks_0"]["mlp"]["fc1"]["bias"].size
    assert [shape[0] for shape in products if shape[1:] == (hidden,)] == [2 * 65, 2]


def test_who_looks_inside_sees_all_tokens():
    """The weights of attention, and what Flax captures, are of a whole block."""
    model, params, images = make(depth=2)
    call = partial(model.apply, {"params": params}, capture_intermediates=True, mutable=["intermediates"])
    last = jax.eval_shape(call, images)[1]["intermediates"]["blocks_1"]
    assert last["__call__"][0].shape == (2, TOKENS, WIDTH)
    assert last["attn"]["attention"][0].shape == (2, 3, TOKENS, TOKENS)


def test_a_kernel_that_cannot_serve_is_refused_though_no_block_takes_it():
    model = small_model(depth=1, attention="cudnn")
    with pytest.raises(ValueError, match='attention="cudnn" is not possible here'):
        jax.eval_shape(model.init, jax.random.key(0), random_images(model, seed=0))
