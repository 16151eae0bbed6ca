"""What moves, how fast, and what stays."""

import math
import operator
import re
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import vit_jax
from tests.models.cases import random_params
from vit_jax import durations
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.registry import create_model
from vit_jax.training.optimizer import OptimizerConfig, ScheduleConfig, make_optimizer, make_schedule, scale_layers
from vit_jax.training.parameter_groups import decays, layers_of, muon_labels, parameter_paths


@pytest.fixture(scope="module")
def params():
    model = create_model("vit_digits_patch2_8", embed_dim=16, depth=2, num_heads=2, num_registers=1)
    return jax.tree.map(jnp.asarray, random_params(model, 0))


@pytest.fixture(scope="module")
def gradient(params):
    random = np.random.default_rng(1)
    return jax.tree.map(lambda p: jnp.asarray(random.normal(size=p.shape), jnp.float32), params)


def updates(config, params, gradient, learning_rate=1e-2):
    optimizer = make_optimizer(config, optax.constant_schedule(learning_rate), params, 100)
    result, _ = jax.jit(optimizer.update)(gradient, optimizer.init(params), params)
    return by_path(result)


def by_path(tree):
    return dict(zip(jax.tree.leaves(parameter_paths(tree)), jax.tree.leaves(tree), strict=True))


def test_weight_decay_is_on_kernels_only(params):
    """Norms, biases, tokens and position embeddings must not decay."""
    paths = jax.tree.leaves(parameter_paths(params))
    decayed = {p for p, leaf in zip(paths, jax.tree.leaves(params), strict=True) if decays(p, leaf)}
    assert decayed == {path for path in paths if path.endswith("kernel")}
    assert {"pos_embed", "cls_token", "reg_token"} <= set(paths)

    zero = jax.tree.map(jnp.zeros_like, params)
    moved = updates(OptimizerConfig(weight_decay=0.1, clip_norm=None), params, zero)
    for path, update in moved.items():
        assert (float(jnp.abs(update).max()) > 0) == (path in decayed), path


def test_each_array_is_clipped_by_itself(params, gradient):
    """As DINO clips: every array to the norm at most, those below it as they are."""
    config = OptimizerConfig("sgd", weight_decay=0.0, b1=0.0, clip_norm=5.0, clip="each")
    moved = updates(config, params, gradient, learning_rate=1.0)
    norms = {True: 0, False: 0}
    for path, g in zip(jax.tree.leaves(parameter_paths(params)), jax.tree.leaves(gradient), strict=True):
        norm = float(jnp.linalg.norm(g.ravel()))
        np.testing.assert_allclose(moved[path], -g * min(1.0, 5.0 / (norm + 1e-6)), rtol=1e-5, err_msg=path)
        norms[norm > 5] += 1
    assert all(norms.values())  # there are both kinds


def test_lamb_scales_what_decays_and_moves_the_rest_as_adam(params, gradient):
    """As in apex and timm: else a layer scale of 1e-4 could hardly move, whatever its gradient. So does the head, which
    begins as zeros: by the norms' ratio it could grow by no more than a factor of 1 + learning rate in a step."""
    config = OptimizerConfig("lamb", weight_decay=0.0, clip_norm=None)
    for path, update in updates(config, params, gradient, learning_rate=0.1).items():
        parameter = dict(zip(jax.tree.leaves(parameter_paths(params)), jax.tree.leaves(params), strict=True))[path]
        if path.endswith("kernel") and not path.startswith("head"):
            np.testing.assert_allclose(jnp.linalg.norm(update), 0.1 * jnp.linalg.norm(parameter), rtol=1e-4)
        else:
            np.testing.assert_allclose(jnp.abs(update), 0.1, rtol=1e-4, err_msg=path)


def test_lamb_scales_the_heads_of_pre_training():
    """DINO's, for one: its kernels do not begin as zeros, and are below "head", too."""
    matrix = 0.02 * jnp.ones((4, 4))
    params = {"encoder": {"norm": {"scale": jnp.ones(4)}}, "head": {"fc1": {"kernel": matrix}}}
    config = OptimizerConfig("lamb", weight_decay=0.0, clip_norm=None)
    moved = updates(config, params, jax.tree.map(jnp.ones_like, params), learning_rate=0.1)
    np.testing.assert_allclose(moved["head/fc1/kernel"], -0.1 * matrix, rtol=1e-4)


@pytest.mark.parametrize("eps", [0.0, 1e-50, -1e-8, math.inf, math.nan])
def test_an_epsilon_that_is_none_in_float32_is_refused(eps):
    """Where a gradient is 0, as all below a head of zeros, the first update would be 0 / 0."""
    with pytest.raises(ValueError, match="eps must be positive and finite in float32"):
        OptimizerConfig(eps=eps)


@pytest.mark.parametrize("norm", [0.0, -1.0])
def test_a_norm_that_leaves_nothing_is_refused(norm):
    with pytest.raises(ValueError, match="clip_norm must be positive, or None"):
        OptimizerConfig(clip_norm=norm)


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "lamb"])
def test_weight_decay_goes_to_its_final_value(name, params):
    """Along a cosine, as the published `cosine_scheduler`: seen in what a gradient of zero moves."""
    config = OptimizerConfig(name, weight_decay=0.1, final_weight_decay=0.4, clip_norm=None, b1=0.0)
    optimizer = make_optimizer(config, optax.constant_schedule(0.01), params, 4)
    state, zero = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
    for step in range(4):
        update, state = jax.jit(optimizer.update)(zero, state, params)
        decay = 0.4 + 0.5 * (0.1 - 0.4) * (1 + np.cos(np.pi * step / 4))
        kernel, moved = params["head"]["kernel"], update["head"]["kernel"]
        if name == "lamb":  # which scales by the norms' ratio: of the decay, only that there is one is seen
            assert float(jnp.abs(moved).max()) > 0
        else:
            np.testing.assert_allclose(moved, -0.01 * decay * kernel, rtol=1e-5)


def test_a_final_weight_decay_that_cannot_be_is_refused():
    with pytest.raises(ValueError, match="final_weight_decay"):
        OptimizerConfig("muon", final_weight_decay=0.4)
    with pytest.raises(ValueError, match=r"optimizer\.clip must be one of all, each"):
        OptimizerConfig(clip="some")  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "lamb", "muon"])
def test_every_optimizer_lowers_a_loss_and_decays_kernels(name, params):
    """Each optimizer's name must give an optimizer that descends; its weight decay must reach the kernels."""
    rate = {"sgd": 1e-3, "lion": 1e-3, "lamb": 1e-2}.get(name, 1e-2)
    config = OptimizerConfig(name=name, weight_decay=0.01, clip_norm=1.0)
    optimizer = make_optimizer(config, optax.constant_schedule(rate), params, 100)

    def loss(p):
        return sum(jnp.sum(jnp.square(x)) for x in jax.tree.leaves(p))

    @jax.jit
    def step(p, state):
        update, state = optimizer.update(jax.grad(loss)(p), state, p)
        return optax.apply_updates(p, update), state

    p, state = params, optimizer.init(params)
    for _ in range(5):
        p, state = step(p, state)
    assert loss(p) < loss(params)

    zero = jax.tree.map(jnp.zeros_like, params)
    moved = updates(OptimizerConfig(name=name, weight_decay=0.1, clip_norm=None), params, zero)
    assert float(jnp.abs(moved["blocks_0/mlp/fc1/kernel"]).max()) > 0
    assert float(jnp.abs(moved["pos_embed"]).max()) == 0


def test_adamw_is_the_published_update(params, gradient):
    """Adam's first bias-corrected step is the gradient's sign, plus decoupled decay times the learning rate."""
    moved = updates(OptimizerConfig(weight_decay=0.05, clip_norm=None, eps=1e-12), params, gradient)
    kernel, g = params["blocks_0"]["attn"]["qkv"]["kernel"], gradient["blocks_0"]["attn"]["qkv"]["kernel"]
    np.testing.assert_allclose(moved["blocks_0/attn/qkv/kernel"], -1e-2 * (jnp.sign(g) + 0.05 * kernel), atol=1e-6)
    np.testing.assert_allclose(moved["pos_embed"], -1e-2 * jnp.sign(gradient["pos_embed"]), atol=1e-6)


def written_out(config, rate, path, parameter, gradients):
    """A parameter after these gradients, by the optimizers as they were published, in float64."""
    kernel = path.endswith("kernel")
    b1, b2, p, m, v = config.b1, config.b2, parameter, 0.0, 0.0
    for t, g in enumerate(gradients, 1):
        decay = config.weight_decay * p if kernel else 0.0
        if config.name == "sgd":  # Nesterov's momentum, in the form of Sutskever et al. (2013)
            m = b1 * m + g + decay
            p = p - rate * (g + decay + b1 * m)
        elif config.name == "lion":  # Chen et al. (2023), algorithm 2
            p = p - rate * (np.sign(b1 * m + (1 - b1) * g) + decay)
            m = b2 * m + (1 - b2) * g
        else:  # Loshchilov & Hutter (2019), algorithm 2; You et al. (2020), algorithm 2
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
            update = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + config.eps) + decay
            trust = (
                np.linalg.norm(p) / np.linalg.norm(update)
                if config.name == "lamb" and path.startswith("blocks") and kernel
                else 1.0
            )
            p = p - rate * trust * update
    return p


def moved_by(config, rate, params, gradients):
    """The parameters after these gradients, by path."""
    optimizer = make_optimizer(config, optax.constant_schedule(rate), params, 100)
    state = optimizer.init(params)
    for gradient in gradients:
        update, state = optimizer.update(gradient, state, params)
        params = optax.apply_updates(params, update)
    return by_path(params)


def random_layers(seed):
    """A matrix inside a block and one outside, each with its bias."""
    random = np.random.default_rng(seed)
    matrix, bias, head, head_bias = (random.normal(size=shape) for shape in ((4, 6), 6, (6, 3), 3))
    layers = {"blocks_0": {"fc1": {"kernel": matrix, "bias": bias}}, "head": {"kernel": head, "bias": head_bias}}
    return jax.tree.map(jnp.float32, layers)


@pytest.mark.parametrize("name", ["adamw", "sgd", "lion", "lamb", "muon"])
def test_momenta_epsilon_and_decay_are_those_of_the_config(name):
    """Over three steps, beside NumPy. Of Muon's parameters, those that AdamW has."""
    config = OptimizerConfig(name, weight_decay=0.3, b1=0.7, b2=0.6, eps=0.05, clip_norm=None)
    gradients = [random_layers(seed) for seed in (1, 2, 3)]
    moved = moved_by(config, 0.1, random_layers(0), gradients)
    by_paths = [{path: np.float64(x) for path, x in by_path(tree).items()} for tree in (random_layers(0), *gradients)]
    for path in moved:
        if name == "muon" and path == "blocks_0/fc1/kernel":
            continue
        start, *steps = (tree[path] for tree in by_paths)
        expected = written_out(config, 0.1, path, start, steps)
        np.testing.assert_allclose(moved[path], expected, atol=1e-5, err_msg=path)


def orthogonalised(matrix):
    """Muon's five Newton-Schulz iterations (Jordan et al., 2024)."""
    x = matrix / np.linalg.norm(matrix)
    for _ in range(5):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x


def test_muon_s_momentum_is_the_config_s():
    """What is orthogonalised at the third step is Nesterov's average of three gradients, corrected for its start."""
    config, b1 = OptimizerConfig("muon", weight_decay=0.0, clip_norm=None, b1=0.7), 0.7
    params, gradients = random_layers(0), [random_layers(seed) for seed in (1, 2, 3)]
    before, after = (moved_by(config, 0.1, params, gradients[:count])["blocks_0/fc1/kernel"] for count in (2, 3))
    first, second, third = (np.float64(gradient["blocks_0"]["fc1"]["kernel"]) for gradient in gradients)
    average = (1 - b1) * (b1**2 * first + b1 * second + third)
    momentum = b1 * average / (1 - b1**4) + (1 - b1) * third / (1 - b1**3)
    expected = -0.1 * 0.2 * np.sqrt(6) * orthogonalised(momentum)
    np.testing.assert_allclose(np.float64(after) - before, expected, atol=1e-5)


def test_muon_s_updates_are_as_large_as_adam_s(params, gradient):
    """A root mean square of 0.2 of the learning rate, whatever the matrix's shape: one rate serves both."""
    moved = updates(OptimizerConfig("muon", weight_decay=0.0, clip_norm=None), params, gradient)
    for layer in ("attn/proj", "attn/qkv", "mlp/fc1", "mlp/fc2"):
        update = np.asarray(moved[f"blocks_0/{layer}/kernel"])
        assert 0.8 < np.sqrt(np.mean(update**2)) / (0.2 * 1e-2) < 1.2, (layer, update.shape)


def test_muon_treats_the_matrices_of_blocks_and_hands_the_rest_to_adam(params, gradient):
    """Embeddings and head must not be orthogonalised; hidden matrices must be."""
    moved = updates(OptimizerConfig(name="muon", weight_decay=0.0, clip_norm=None), params, gradient)
    singular = np.linalg.svd(np.asarray(moved["blocks_0/attn/proj/kernel"]), compute_uv=False)
    assert singular.max() / singular.min() < 3  # nearly orthogonal; a random 16 x 16 matrix is far from it
    for path in ("patch_embed/kernel", "head/kernel", "pos_embed"):
        np.testing.assert_allclose(np.abs(moved[path]), 1e-2, rtol=1e-3)  # Adam's first step


def test_clipping_bounds_the_global_norm(params, gradient):
    clipped = updates(OptimizerConfig(name="sgd", b1=0.0, weight_decay=0.0, clip_norm=0.5), params, gradient, 1.0)
    assert float(optax.tree.norm(clipped)) == pytest.approx(0.5, rel=1e-5)


def test_clipping_is_optax_s_with_the_norm_that_is_given(params, gradient):
    config = OptimizerConfig(name="sgd", b1=0.0, weight_decay=0.0, clip_norm=0.5)
    found = updates(config, params, gradient, 1.0)
    clip = optax.clip_by_global_norm(0.5)
    expected, _ = jax.jit(clip.update)(gradient, clip.init(params))
    for path, g in by_path(expected).items():
        np.testing.assert_allclose(found[path], -g, rtol=1e-6)
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), params, 100, norm=lambda _: jnp.float32(2.0))
    quartered, _ = optimizer.update(gradient, optimizer.init(params), params)
    jax.tree.map(lambda u, g: np.testing.assert_allclose(u, -g / 4, rtol=1e-6), quartered, gradient)


def test_layer_decay_follows_the_published_layers(params, gradient):
    """lr_decay.py of MAE: embeddings are layer 0, block i is i + 1, norm and head are on top."""
    plain = updates(OptimizerConfig(clip_norm=None), params, gradient)
    decayed = updates(OptimizerConfig(clip_norm=None, layer_decay=0.5), params, gradient)
    for path, power in {
        "patch_embed/kernel": 3, "cls_token": 3, "pos_embed": 3, "reg_token": 3,
        "blocks_0/norm1/scale": 2, "blocks_1/mlp/fc2/kernel": 1, "norm/scale": 0, "head/kernel": 0,
    }.items():  # fmt: skip
        np.testing.assert_allclose(decayed[path], plain[path] * 0.5**power, rtol=1e-6, err_msg=path)


def test_the_document_s_layer_decay_is_the_optimizer_s(params, gradient):
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    found = re.search(r"```python\n(layers = vit_jax\.layers_of.*?)```", page, re.DOTALL)
    assert found
    names = {"vit_jax": vit_jax, "jax": jax, "optax": optax, "operator": operator, "params": params}
    exec(found[1], names)
    plain = optax.adamw(5e-4, weight_decay=0.05)
    theirs = optax.chain(plain, scale_layers(0.75, params))
    result, expected, undecayed = (
        jax.jit(optimizer.update)(gradient, optimizer.init(params), params)[0]
        for optimizer in (names["optimizer"], theirs, plain)
    )
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-6), result, expected)
    np.testing.assert_allclose(result["cls_token"], undecayed["cls_token"] * 0.75**3, rtol=1e-6)


@pytest.mark.parametrize(
    "around", [lambda p: {"params": p}, lambda p: {"backbone": p, "head": [p["head"]]}, lambda p: {}]
)
def test_parameters_of_something_larger_have_no_layers(around, params):
    """All would be one layer, and no learning rate lower."""
    with pytest.raises(ValueError, match=r'none of these .* give the network\'s own, such as params\["backbone"\]'):
        vit_jax.layers_of(around(params))


@pytest.mark.parametrize("name", ["cnn_small_32", "resnet9_narrow_32", "discrete_vae_patch4_32"])
def test_every_other_network_has_layers(name):
    _, layer = layers_by_path(name)
    assert max(layer.values()) > 1


def test_a_norm_before_the_first_block_learns_with_the_embeddings():
    """CLIP's, as in timm's groups; on top it would learn 42 times faster than they, at a decay of 0.75."""
    _, layer = layers_by_path("vit_digits_patch2_8", embed_dim=8, depth=2, num_heads=2, pre_norm=True)
    assert layer["norm_pre/scale"] == layer["norm_pre/bias"] == layer["patch_embed/kernel"] == 0


def test_a_distillation_token_learns_with_the_embeddings():
    _, layer = layers_by_path("vit_digits_patch2_8", embed_dim=8, depth=2, num_heads=2, distilled=True, pool="token")
    assert layer["cls_token"] == layer["dist_token"] == layer["patch_embed/kernel"] == 0


def test_layers_of_a_network_with_stages():
    """As in SimMIM's optimizer.py: blocks count through all stages, patch merging goes with the block before it."""
    model = create_model("swin_cifar_patch2_window4_32", embed_dim=12, depths=(2, 11), num_heads=(3, 3), version=2)
    params = parameter_shapes(model)
    paths, layers = jax.tree.leaves(parameter_paths(params)), jax.tree.leaves(layers_of(params))
    layer = dict(zip(paths, layers, strict=True))
    assert {
        path: layer[path]
        for path in (
            *("patch_embed/kernel", "patch_norm/scale", "layers_0/blocks_0/norm1/scale", "norm/scale", "head/bias"),
            *("layers_0/blocks_1/attn/q_bias", "layers_1/downsample/norm/scale", "layers_1/blocks_0/mlp/fc1/kernel"),
            *("layers_1/blocks_2/mlp/fc1/kernel", "layers_1/blocks_10/attn/relative_position_bias/fc1/kernel"),
        )
    } == {
        **{"patch_embed/kernel": 0, "patch_norm/scale": 0, "layers_0/blocks_0/norm1/scale": 1, "norm/scale": 14},
        **{"head/bias": 14, "layers_0/blocks_1/attn/q_bias": 2, "layers_1/downsample/norm/scale": 2},
        **{"layers_1/blocks_0/mlp/fc1/kernel": 3, "layers_1/blocks_2/mlp/fc1/kernel": 5},
        **{"layers_1/blocks_10/attn/relative_position_bias/fc1/kernel": 13},
    }


def layers_by_path(name, **fields):
    params = parameter_shapes(create_model(name, **fields))
    paths = jax.tree.leaves(parameter_paths(params))
    return params, dict(zip(paths, jax.tree.leaves(layers_of(params)), strict=True))


def test_layers_of_beit():
    """optim_factory.py of BEiT: tokens below; a block's table with its block; a table that all blocks share on top."""
    small = dict(embed_dim=8, depth=2, num_heads=2)
    _, layer = layers_by_path("beit_base_patch16_224", **small, mask_token=True)
    assert [layer[path] for path in ("cls_token", "mask_token", "patch_embed/kernel")] == [0, 0, 0]
    assert layer["blocks_1/attn/relative_position_bias/table"] == layer["blocks_1/attn/q_bias"] == 2
    assert layer["fc_norm/scale"] == layer["head/kernel"] == 3
    _, layer = layers_by_path("beit_pretraining_base_patch16_224", **small)
    assert layer["encoder/mask_token"] == layer["encoder/patch_embed/bias"] == 0
    assert layer["encoder/blocks_0/attn/v_bias"] == 1
    assert layer["encoder/relative_position_bias/table"] == layer["encoder/norm/bias"] == layer["head/kernel"] == 3


def test_a_decoder_is_on_top_of_its_encoder_and_its_matrices_are_muon_s_too():
    small = dict(embed_dim=8, depth=2, num_heads=2, decoder_embed_dim=8, decoder_depth=3, decoder_num_heads=2)
    params, layer = layers_by_path("mae_base_patch16_224", **small, pos_embed="learned")
    assert layer["encoder/cls_token"] == layer["encoder/pos_embed"] == layer["encoder/patch_embed/kernel"] == 0
    assert [layer[f"encoder/blocks_{i}/mlp/fc1/kernel"] for i in (0, 1)] == [1, 2]
    assert {layer[path] for path in layer if path.startswith("decoder/")} == {3}
    labels = dict(zip(layer, jax.tree.leaves(muon_labels(params)), strict=True))
    assert labels["encoder/blocks_0/attn/qkv/kernel"] == labels["decoder/blocks_2/mlp/fc2/kernel"] == "muon"
    assert labels["decoder/embed/kernel"] == labels["decoder/pred/kernel"] == labels["decoder/pos_embed"] == "adamw"


def test_tokens_and_tables_of_position_biases_do_not_decay():
    for name, fields in (("beit_base_patch16_224", dict(mask_token=True)), ("beit_pretraining_base_patch16_224", {})):
        params = parameter_shapes(create_model(name, embed_dim=8, depth=1, num_heads=2, **fields))
        for path, leaf in zip(jax.tree.leaves(parameter_paths(params)), jax.tree.leaves(params), strict=True):
            assert decays(path, leaf) == path.endswith("kernel"), path


def test_position_biases_neither_decay_nor_go_to_muon():
    """As published for Swin; an MLP of two inputs is no matrix to orthogonalise."""
    model = create_model("swin_cifar_patch2_window4_32", embed_dim=12, depths=(2, 1), num_heads=(3, 3), version=2)
    params = parameter_shapes(model)
    paths = jax.tree.leaves(parameter_paths(params))
    labels = dict(zip(paths, jax.tree.leaves(muon_labels(params)), strict=True))
    assert labels["layers_0/blocks_1/attn/qkv/kernel"] == labels["layers_1/downsample/reduction/kernel"] == "muon"
    for path, leaf in zip(paths, jax.tree.leaves(params), strict=True):
        if "relative_position_bias" in path or path in ("patch_embed/kernel", "head/kernel"):
            assert labels[path] == "adamw"
        if "relative_position_bias" in path:
            assert not decays(path, leaf)


def test_muon_refuses_a_network_without_matrices():
    params = parameter_shapes(create_model("cnn_small_32"))
    with pytest.raises(ValueError, match="needs matrices inside blocks"):
        make_optimizer(OptimizerConfig("muon"), optax.constant_schedule(0.1), params, 100).init(params)


def test_frozen_parameters_stay_and_the_others_move_as_if_alone(params, gradient):
    moved = updates(OptimizerConfig(freeze=("patch_embed/*", "blocks_[0-0]/*")), params, gradient)
    for path, update in moved.items():
        frozen = path.startswith(("patch_embed/", "blocks_0/"))
        assert (float(jnp.abs(update).max()) == 0) == frozen, path

    rest = {k: v for k, v in params.items() if k not in ("patch_embed", "blocks_0")}
    alone = updates(OptimizerConfig(), rest, {k: gradient[k] for k in rest})
    np.testing.assert_allclose(moved["head/kernel"], alone["head/kernel"], rtol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_after_a_rest_parameters_move_as_if_training_began(name, params, gradient):
    """DINO's prototypes: Adam's averages know nothing of the rest, the learning rate and weight decay do."""
    rates = jnp.asarray([0.3, 0.2, 0.1, 0.05, 0.02])
    config = OptimizerConfig(name, weight_decay=0.5, clip_norm=None)
    optimizer = make_optimizer(config, lambda step: rates[jnp.asarray(step)], params, 5, {"head/*": 2})
    alone = make_optimizer(config, lambda step: rates[jnp.asarray(step)], params, 5)
    late = make_optimizer(config, lambda step: rates[jnp.asarray(step) + 2], params, 5)

    state, state_alone, state_late = optimizer.init(params), alone.init(params), late.init(params)
    for step in range(5):
        scaled = jax.tree.map(lambda g, step=step: g * (step + 1.0), gradient)
        moved, state = optimizer.update(scaled, state, params)
        expected, state_alone = alone.update(scaled, state_alone, params)
        kernel = "blocks_0/mlp/fc1/kernel"
        np.testing.assert_allclose(by_path(moved)[kernel], by_path(expected)[kernel], rtol=1e-6)
        if step < 2:
            assert not np.any(by_path(moved)["head/kernel"])
        else:
            expected, state_late = late.update(scaled, state_late, params)
            np.testing.assert_allclose(by_path(moved)["head/kernel"], by_path(expected)["head/kernel"], rtol=1e-6)


def test_weight_decay_goes_on_during_a_rest(params):
    """Its end is that of the run, for parameters that rested, too."""
    config = OptimizerConfig(weight_decay=0.0, final_weight_decay=1.0, clip_norm=None)
    optimizer = make_optimizer(config, optax.constant_schedule(1.0), params, 4, {"head/*": 2})
    state, nothing = optimizer.init(params), jax.tree.map(jnp.zeros_like, params)
    for decay in (0, 0, 0.5, 0.5 + 0.5**1.5):  # (1 - cos(pi step / 4)) / 2
        moved, state = optimizer.update(nothing, state, params)
        np.testing.assert_allclose(by_path(moved)["head/kernel"], -decay * params["head"]["kernel"], rtol=1e-6)


def test_running_statistics_are_nothing_to_train():
    """Freezing all that is learned is refused, though batch norm's running averages would go on moving."""
    params = {"norm": {"scale": jnp.ones(3), "running_mean": jnp.zeros(3)}}
    with pytest.raises(ValueError, match="freeze every parameter"):
        make_optimizer(OptimizerConfig(freeze=("*/scale",)), optax.constant_schedule(1.0), params, 100)


def test_a_freeze_pattern_without_match_is_refused(params):
    with pytest.raises(ValueError, match="'patch_embd/\\*' matches no parameter"):
        make_optimizer(OptimizerConfig(freeze=("patch_embd/*",)), optax.constant_schedule(1.0), params, 100)
    with pytest.raises(ValueError, match="nothing is left"):
        make_optimizer(OptimizerConfig(freeze=("*",)), optax.constant_schedule(1.0), params, 100)


def schedule(**fields):
    in_steps = partial(durations.to_steps, examples=100, batch_size=10)
    rate = make_schedule(ScheduleConfig(**fields), peak=2.0, steps=110, in_steps=in_steps)
    return lambda step: float(rate(step))  # pyright: ignore[reportArgumentType]


def test_warmup_rises_linearly_to_the_peak():
    rate = schedule(warmup="1 epochs")
    np.testing.assert_allclose([rate(0), rate(4), rate(9), rate(10)], [0.2, 1.0, 2.0, 2.0], rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "middle", "end"),
    [("cosine", 1.1, 0.2), ("linear", 1.1, 0.2), ("constant", 2.0, 2.0), ("rsqrt", 2 / 6**0.5, 2 / 11**0.5)],
)
def test_shapes_after_the_warmup(kind, middle, end):
    rate = schedule(kind=kind, warmup="10 steps", final=0.1, timescale="10 steps")
    np.testing.assert_allclose([rate(60), rate(110)], [middle, end], rtol=1e-5)


def test_a_warmup_longer_than_the_run_is_refused():
    with pytest.raises(ValueError, match="longer than the run of 110 steps"):
        schedule(warmup="12 epochs")


def test_no_warmup_starts_at_the_peak():
    assert schedule(warmup="0 steps")(0) == 2.0
