"""How a Vision Transformer starts, trains and refuses: what numerics against timm cannot see."""

from functools import partial
from typing import Any, cast

import flax.errors
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from tests.models.beit_cases import BEIT_CASES, SMALL_BEIT
from tests.models.cases import CASES, logits, make, random_images, random_params, small_model
from tests.models.jaxprs import drawn_masks, equations
from vit_jax.models.encoder_block import EncoderBlock
from vit_jax.models.layers import Mlp, sincos_position_embedding
from vit_jax.models.vit import VisionTransformer

# --- How it starts ---


def test_initial_values():
    """Tokens and positions as published; the head is zero, so that a new model gives every class the same chance."""
    model = small_model(depth=1, embed_dim=96, distilled=True, num_registers=4, layer_scale=1e-4, dtype=jnp.bfloat16)
    params = jax.jit(model.init)(jax.random.key(0), random_images(model, seed=0))["params"]
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}
    for name in ("cls_token", "head", "head_dist"):
        assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(params[name])), name
    for name in ("pos_embed", "reg_token", "dist_token"):
        assert np.std(params[name]) == pytest.approx(0.02, rel=0.3), name
    assert np.all(params["blocks_0"]["norm1"]["scale"] == 1)
    assert np.all(params["blocks_0"]["ls2"]["gamma"] == np.float32(1e-4))
    assert np.std(params["patch_embed"]["kernel"]) == pytest.approx(48**-0.5, rel=0.1)  # 4 x 4 x 3 inputs


@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_pixels_that_are_not_preprocessed_are_refused(dtype: Any):
    """They would be computed with, and mean nothing."""
    model = small_model()
    images = np.zeros((2, *model.input_shape), dtype)
    with pytest.raises(ValueError, match=r"must be floats, as vit_jax\.preprocessing\(model\) gives them, not"):
        model.apply({"params": random_params(model, 0)}, images)
    with pytest.raises(ValueError, match="the batch has no images"):
        model.apply({"params": random_params(model, 0)}, images[:0].astype(np.float32))


@pytest.mark.parametrize("swiglu", [False, True])
def test_kernel_init_is_of_every_kernel_in_the_blocks(swiglu: bool):
    """DeiT's, DINO's and BEiT's do not depend on a layer's width, Google's and MAE's do."""
    for kernel_init in ("xavier_uniform", "normal"):
        model = small_model(depth=1, embed_dim=96, swiglu=swiglu, kernel_init=kernel_init)
        params = jax.jit(model.init)(jax.random.key(0), random_images(model, seed=0))["params"]["blocks_0"]
        attn, mlp = params["attn"], params["mlp"]
        for layer, parts in ((attn["qkv"], 3), (attn["proj"], 1), (mlp["fc1"], 1 + swiglu), (mlp["fc2"], 1)):
            for kernel in np.split(np.asarray(layer["kernel"]), parts, axis=1):
                expected = 0.02 if kernel_init == "normal" else np.sqrt(2 / sum(kernel.shape))
                assert np.std(kernel) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("fields", [dict(pos_embed="sincos"), dict(no_embed_class=True)])
def test_a_class_token_without_a_position_is_not_zero(fields):
    """As MAE and DeiT-III publish: the first norm's gradient of a token of zeros is a thousand times that of others."""
    model = small_model(depth=1, embed_dim=96, **fields)
    params = jax.jit(model.init)(jax.random.key(0), random_images(model, seed=0))["params"]
    assert np.std(params["cls_token"]) == pytest.approx(0.02, rel=0.3)


def test_initial_values_of_beit():
    """As published: tables and biases zero, tokens small; the class token, which has no position, is not zero."""
    model = small_model(
        depth=1, embed_dim=96, key_bias=False, pos_embed="none", relative_position="per_block", mask_token=True
    )
    params = jax.jit(model.init)(jax.random.key(0), random_images(model, seed=0))["params"]
    attention = params["blocks_0"]["attn"]
    for leaf in (attention["q_bias"], attention["v_bias"], attention["relative_position_bias"]["table"]):
        assert np.all(leaf == 0)
    assert "bias" not in attention["qkv"]
    for name in ("cls_token", "mask_token"):
        assert np.std(params[name]) == pytest.approx(0.02, rel=0.3), name


def test_sincos_positions_are_added_to_patches_only():
    """The same as learned positions of the patches that hold MAE's table."""
    model, params, images = make(pos_embed="sincos", image_size=(8, 16))
    assert "pos_embed" not in params
    learned = small_model(pos_embed="learned", no_embed_class=True, image_size=(8, 16))
    table = sincos_position_embedding((2, 4), model.embed_dim)[None]
    expected = logits(learned, {**params, "pos_embed": table}, images)
    np.testing.assert_allclose(logits(model, params, images), expected, atol=1e-5)


# --- How it trains ---


def block_rates(**fields: Any) -> list[Any]:
    """The drop path rate of every block that is traced."""
    model, params, images = make(**fields)
    rates = []

    def record(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
        if isinstance(context.module, EncoderBlock) and context.method_name == "__call__":
            rates.append(args[3])
        return call(*args, **kwargs)

    with nn.intercept_methods(record):
        jax.eval_shape(partial(model.apply, {"params": params}), images)
    return rates


def test_drop_path_rate_grows_linearly_over_depth(monkeypatch):
    monkeypatch.setattr("vit_jax.models.vit.traced_once", lambda remat, static: lambda block, *inputs: block(*inputs))
    assert block_rates(depth=5, drop_path_rate=0.2) == [None, *(pytest.approx(r) for r in (0.05, 0.1, 0.15, 0.2))]


@pytest.mark.parametrize("remat", [False, True])
def test_equal_blocks_are_traced_once(remat: bool):
    """Those that differ in the drop path rate alone, too."""
    assert len(block_rates(depth=5, pool="avg", remat=remat)) == 1
    assert len(block_rates(depth=5, pool="avg", drop_path_rate=0.2, remat=remat)) == 2  # the first has none
    assert len(block_rates(depth=5, remat=remat)) == 2  # the last computes its class token alone


def test_a_trace_is_of_its_own_pass_alone():
    """With Flax's interceptors in one pass and not in the next, in either order; and in derivatives."""
    model, params, images = make(depth=2)

    def output() -> jax.Array:
        return cast(jax.Array, model.apply({"params": params}, images))

    def scaled(by: jax.Array | float) -> jax.Array:
        def scale(call: Any, args: Any, kwargs: Any, context: Any) -> Any:
            y = call(*args, **kwargs)
            return y * by if isinstance(context.module, Mlp) and context.method_name == "__call__" else y

        with nn.intercept_methods(scale):
            return output().sum()

    plain = output()
    assert abs(scaled(2.0) - plain.sum()) > 1e-3
    for _ in range(2):
        assert jax.grad(scaled)(2.0) != 0
        np.testing.assert_array_equal(output(), plain)


def test_the_last_pooled_vector_is_the_one_that_the_head_reads():
    """pre_logits included, and both halves of the pool."""
    model, params, images = make(pool="token_avg", representation_size=5, depth=1)
    features = jax.jit(partial(model.apply, {"params": params}, method="features"))(images)
    tokens = np.asarray(features.tokens)
    both = np.concatenate([tokens[:, 0], tokens[:, 1:].mean(1)], axis=-1)
    expected = np.tanh(both @ params["pre_logits"]["kernel"] + params["pre_logits"]["bias"])
    np.testing.assert_allclose(features.pooled, expected, atol=1e-5)
    by_hand = features.pooled @ params["head"]["kernel"] + params["head"]["bias"]
    np.testing.assert_allclose(logits(model, params, images), by_hand, atol=1e-5)


def test_block_whose_branches_are_dropped_is_the_identity():
    """Drop path acts on the branches, not on the residual stream; in evaluation it does nothing."""
    x = np.random.default_rng(0).standard_normal((2, 5, 12), dtype=np.float32)
    block = EncoderBlock(num_heads=3, layer_scale=1.0)

    @partial(jax.jit, static_argnums=0)
    def output(train: bool) -> Any:
        keys = {"params": jax.random.key(0), "dropout": jax.random.key(1)}
        return block.init_with_output(keys, x, train, None, 1 - 1e-6)[0]

    np.testing.assert_array_equal(output(True), x)
    assert np.abs(output(False) - x).min(axis=(1, 2)).max() > 0


TOKENS, WIDTH = 17, 48  # of the small model: 16 patches and the class token
MASKS = {
    "drop_rate": [(2, WIDTH)],
    "pos_drop_rate": [(2, TOKENS, WIDTH)],
    "attn_drop_rate": [(2, 3, tokens, TOKENS) for tokens in (TOKENS, 1)],
    "proj_drop_rate": [(2 * tokens, width) for tokens in (TOKENS, 1) for width in (WIDTH, 4 * WIDTH, WIDTH)],
    "drop_path_rate": [(2, 1, 1)] * 2,
}


@pytest.mark.parametrize("rate", MASKS)
def test_each_rate_draws_the_masks_of_its_places(rate: str):
    """In two blocks, the last of its class token alone: attention draws its weights; projections after attention, after
    the GELU, after the MLP; drop path one number an example for each branch of the second block. Nothing is drawn in
    evaluation."""
    model, params, images = make(**{rate: 0.1})
    assert drawn_masks(model, params, images, train=True) == MASKS[rate]
    assert drawn_masks(model, params, images, train=False) == []


def test_distilled_head_has_dropout_of_its_own():
    model, params, images = make(distilled=True, drop_rate=0.1)
    assert drawn_masks(model, params, images, train=True) == [(2, WIDTH)] * 2


def test_swiglu_has_dropout_where_the_mlp_has():
    model, params, images = make(swiglu=True, mlp_ratio=2.0, depth=1, pool="avg", proj_drop_rate=0.1)
    masks = [(2 * TOKENS, WIDTH), (2 * TOKENS, 2 * WIDTH), (2 * TOKENS, WIDTH)]
    assert drawn_masks(model, params, images, train=True) == masks


def test_dropout_follows_its_key():
    """The same key gives the same output, another key another; without a key, training is refused."""
    model, params, images = make(proj_drop_rate=0.1, attn_drop_rate=0.1, drop_path_rate=0.1)

    @jax.jit
    def train(seed: int) -> Any:
        return model.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(seed)})

    np.testing.assert_array_equal(train(0), train(0))
    assert np.abs(train(0) - train(1)).max() > 0.01
    with pytest.raises(flax.errors.InvalidRngError):
        jax.eval_shape(partial(model.apply, {"params": params}, train=True), images)


def loss(model: VisionTransformer, params: Any, images: jax.Array, seed: int = 0) -> jax.Array:
    """A function of the output whose gradient is nowhere zero by symmetry."""
    outputs = model.apply({"params": params}, images, train=True, rngs={"dropout": jax.random.key(seed)})
    return sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(outputs))  # pyright: ignore[reportReturnType]


value_and_gradient = jax.jit(jax.value_and_grad(loss, argnums=1), static_argnums=0)


@pytest.mark.parametrize(
    "fields",
    [
        dict(distilled=True, num_registers=2, layer_scale=0.1, qk_norm=True),
        dict(pool="avg", no_embed_class=True),
        dict(pool="avg", fc_norm=True),
        dict(pool="map"),
        dict(pool="token_avg", swiglu=True),
        dict(representation_size=5),
        dict(relative_position="per_block", key_bias=False),
        dict(relative_position="shared", pos_embed="none"),
    ],
    ids=str,
)
def test_every_parameter_learns(fields: dict[str, Any]):
    model, params, images = make(depth=1, **fields)
    _, gradient = value_and_gradient(model, params, images)
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradient):
        if [key.key for key in path][-2:] == ["k_norm", "bias"]:
            continue  # adds the same to a query's product with every key, which softmax does not see
        assert np.abs(leaf).max() > 1e-5, jax.tree_util.keystr(path)


def checkpoints(model: VisionTransformer, params: Any, images: np.ndarray) -> int:
    """How many parts of the network are computed again in the backward pass."""
    names = [equation.primitive.name for equation in equations(partial(loss, model), params, images)]
    return names.count("remat2") + names.count("checkpoint")


@pytest.mark.parametrize("fields", [{}, dict(relative_position="shared", swiglu=True)], ids=str)
def test_remat_changes_nothing_but_the_memory(fields: dict[str, Any]):
    """Values and gradients are equal, drop path's masks included, though every block is recomputed."""
    model, params, images = make(drop_path_rate=0.5, **fields)
    remat = model.clone(remat=True)
    value, gradient = value_and_gradient(model, params, images)
    remat_value, remat_gradient = value_and_gradient(remat, params, images)
    np.testing.assert_allclose(remat_value, value, rtol=1e-5)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), remat_gradient, gradient)

    assert checkpoints(remat, params, images) == checkpoints(model, params, images) + model.depth


# --- Precision ---


def test_tokens_far_from_zero_lose_nothing():
    """A constant on every channel leaves the logits as they are, since every branch starts with a LayerNorm.

    The mean of squares less the square of the mean would lose the variance (here to about 1%) to rounding.
    """
    model, params, images = make(depth=1)
    params["patch_embed"]["kernel"] *= 20
    far = {**params, "pos_embed": params["pos_embed"] + 256}
    np.testing.assert_allclose(logits(model, far, images), logits(model, params, images), atol=1e-3)


@pytest.mark.parametrize(
    "fields",
    [
        *(CASES[name].fields for name in ("class_token", "average_then_norm", "attention_pool", "layer_scale")),
        *(CASES[name].fields for name in ("query_key_norm", "swiglu")),
        *({**SMALL_BEIT, **BEIT_CASES[name]} for name in ("fine_tuned", "shared_table")),
        dict(representation_size=5, pool="token_avg"),
    ],
    ids=str,
)
def test_bfloat16_reaches_every_product(fields: dict[str, Any]):
    """Only the head multiplies in float32; softmax, norms and position biases stay there; what goes between is
    bfloat16."""
    model, params, images = make(**fields, dtype=jnp.bfloat16)
    operations = equations(partial(model.apply, {"params": params}), images)
    products = [{str(v.aval.dtype) for v in e.invars} for e in operations if e.primitive.name == "dot_general"]
    assert products[-1] == {"float32"}
    assert all(dtypes == {"bfloat16"} for dtypes in products[:-1])
    for primitive in ("exp", "rsqrt"):  # of softmax, of LayerNorm
        assert {str(e.invars[0].aval.dtype) for e in operations if e.primitive.name == primitive} == {"float32"}

    call = partial(model.apply, {"params": params}, capture_intermediates=True, mutable=["intermediates"])
    _, state = jax.eval_shape(call, images)
    for path, leaf in jax.tree_util.tree_leaves_with_path(state["intermediates"]):
        names = [key.key for key in path if hasattr(key, "key")]
        float32 = names[0] in ("head", "__call__") or names[-1] == "attention" or "relative_position_bias" in names
        assert leaf.dtype == ("float32" if float32 else "bfloat16"), names


def test_bfloat16_logits_are_float32_and_near():
    model, params, images = make()
    half = logits(model.clone(dtype=jnp.bfloat16), params, images)
    assert half.dtype == jnp.float32
    assert 1e-4 < np.abs(half - logits(model, params, images)).max() < 0.1


# --- Masked patches ---


def mask_of(*patches: int) -> np.ndarray:
    """Of the small model's 16 patches in two images, these masked in the first image."""
    mask = np.zeros((2, 16), bool)
    mask[0, list(patches)] = True
    return mask


def test_the_mask_token_hides_what_it_replaces_and_nothing_else():
    """What is left of a masked patch is its position; other patches and other images stay as they are."""
    model, params, images = make(mask_token=True)
    embed = jax.jit(partial(model.apply, {"params": params}, train=False, method="embed"))
    tokens = np.asarray(embed(images, mask=mask_of(5)))
    position = params["pos_embed"][0, 1 + 5]
    np.testing.assert_allclose(tokens[0, 1 + 5], params["mask_token"][0, 0] + position, atol=1e-6)
    rest = np.delete(np.arange(17), 1 + 5)
    unmasked = np.asarray(embed(images))
    np.testing.assert_array_equal(tokens[0, rest], unmasked[0, rest])
    np.testing.assert_array_equal(tokens[1], unmasked[1])


def pooled(model: VisionTransformer, params: Any, images: Any, mask: np.ndarray | None) -> jax.Array:
    """The pooled features of images of which these patches are masked."""
    features: Any = model.apply({"params": params}, images, mask=mask, method="features")
    return features.pooled


def test_a_mask_reaches_the_features():
    model, params, images = make(mask_token=True)
    masked, nothing, plain = (pooled(model, params, images, mask) for mask in (mask_of(0, 7), mask_of(), None))
    difference = np.abs(masked - nothing).max(axis=1)
    assert difference[0] > 1e-3
    assert difference[1] < 1e-5
    np.testing.assert_allclose(nothing, plain, atol=1e-5)


def test_the_mask_token_learns():
    model, params, images = make(mask_token=True, depth=1)

    def masked_loss(params: Any) -> jax.Array:
        return jnp.sin(pooled(model, params, images, mask_of(3))).sum()

    assert np.abs(jax.jit(jax.grad(masked_loss))(params)["mask_token"]).max() > 1e-5


@pytest.mark.parametrize(
    ("fields", "mask", "message"),
    [
        ({}, mask_of(0), "no token for masked patches; make it with mask_token=True"),
        (dict(mask_token=True), mask_of(0)[:, 1:], r"mask must be bool \[2, 16\].*got bool \[2, 15\]"),
        (dict(mask_token=True), mask_of(0).reshape(2, 4, 4), r"got bool \[2, 4, 4\]"),
        (dict(mask_token=True), mask_of(0).astype(np.float32), r"got float32 \[2, 16\]"),
    ],
)
def test_masks_that_cannot_be_applied_are_refused(fields: dict[str, Any], mask: np.ndarray, message: str):
    model, params, images = make(**fields)
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(lambda images: pooled(model, params, images, mask), images)


# --- What it refuses ---


@pytest.mark.parametrize("shape", [(2, 16, 20, 3), (2, 32, 32, 3), (2, 16, 16, 1), (16, 16, 3)])
def test_images_of_another_size_are_refused(shape: tuple[int, ...]):
    """Naming the size expected and the size given."""
    model, params, _ = make()
    with pytest.raises(ValueError, match=r"images \[batch, 16, 16, 3\]; got \(" + ", ".join(map(str, shape))):
        jax.eval_shape(partial(model.apply, {"params": params}), jax.ShapeDtypeStruct(shape, jnp.float32))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (dict(image_size=30), "image_size 30x30 is not a whole number of patches of patch_size 4x4"),
        (dict(image_size=(16, 18)), "image_size 16x18 .* patch_size 4x4"),
        (dict(image_size=16, patch_size=(4, 5)), "patch_size 4x5"),
        (dict(image_size=16, patch_size=32), "patch_size 32x32"),
        (dict(patch_size=-4), "positive multiple"),
        (dict(num_heads=5), "num_heads must divide embed_dim"),
        (dict(depth=0), "must be positive"),
        (dict(in_channels=0), "must be positive"),
        (dict(num_classes=-1), "num_classes -1"),
        (dict(num_registers=-2), "num_registers -2"),
        (dict(mlp_ratio=0.01), "mlp_ratio 0.01"),
        (dict(embed_dim=42, pos_embed="sincos"), "multiple of 4, not 42"),
        (dict(pos_embed="sincosine"), "pos_embed must be one of learned, sincos, none; not 'sincosine'"),
        (dict(pool="mean"), "pool must be one of token, avg, token_avg, map; not 'mean'"),
        (dict(gelu="gelu_tanh"), "gelu must be one of erf, tanh, quick; not 'gelu_tanh'"),
        (dict(attention="flash"), "attention must be one of auto, matmul, xla, cudnn; not 'flash'"),
        (dict(class_token=False), "class_token=False"),
        (dict(class_token=False, distilled=True, pool="avg"), "class_token=False"),
        (dict(distilled=True, pool="avg"), "distilled=True"),
        (dict(distilled=True, num_classes=0), "distilled=True"),
        (dict(class_token=False, pool="token_avg"), "class_token=False"),
        (dict(distilled=True, representation_size=8), "representation_size"),
        (dict(answer="class"), "answer='class' .* distilled=True"),
        (dict(representation_size=-1), "representation_size -1"),
        (dict(pool="token_avg", fc_norm=True), "fc_norm=False"),
        (dict(relative_position="per_layer"), "relative_position must be one of none, per_block, shared"),
        (dict(relative_position="shared", class_token=False, pool="avg"), "relative_position='shared' .*class_token"),
        (dict(relative_position="per_block", num_registers=1), "num_registers=0"),
        (dict(relative_position="per_block", num_registers=1, class_token=False, pool="avg"), "class_token=True"),
        (dict(relative_position="per_block", distilled=True), "distilled=False"),
        (dict(drop_rate=1.0), r"drop_rate must be in \[0, 1\), not 1.0"),
        (dict(pos_drop_rate=-0.1), "pos_drop_rate"),
        (dict(proj_drop_rate=2), "proj_drop_rate"),
        (dict(attn_drop_rate=1.5), "attn_drop_rate"),
        (dict(drop_path_rate=1.0), "drop_path_rate"),
    ],
)
def test_fields_that_cannot_work_are_refused_when_built(fields: dict[str, Any], message: str):
    with pytest.raises(ValueError, match=message):
        small_model(**fields)
