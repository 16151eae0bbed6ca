"""Features and attention maps are those that the logits were made of."""

import re
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import vit_jax
from tests.models.cases import CASES, GOLDEN_FILE, GOLDEN_SEED, make, random_images, random_params, small_model
from tests.models.swin_cases import small_swin
from vit_jax.models.network import Network
from vit_jax.models.registry import create_model


def layer_norm(x: np.ndarray, params: Any) -> np.ndarray:
    normed = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    return normed * params["scale"] + params["bias"]


def test_features_of_an_oblong_image():
    """Class and register tokens first; a map of the patches for each block, whose last one is normalised in tokens."""
    model, params, images = make(image_size=(8, 16), num_registers=2, depth=3)
    features = vit_jax.features(model, params, images)
    assert features.tokens.shape == (2, 3 + 8, 48)
    assert features.pooled.shape == (2, 48)
    assert [stage.shape for stage in features.stages] == [(2, 2, 4, 48)] * 3
    last = layer_norm(np.asarray(features.stages[-1]), params["norm"]).reshape(2, 8, 48)
    assert model.num_prefix_tokens == 3
    np.testing.assert_allclose(features.tokens[:, model.num_prefix_tokens :], last, atol=1e-4)


def test_each_stage_is_its_blocks_output():
    """The first stage of a network is the last of the same network cut after one block."""
    model, params, images = make(depth=2)
    of_first = {path: x for path, x in params.items() if path != "blocks_1"}
    first = vit_jax.features(model.clone(depth=1), of_first, images).stages
    both = vit_jax.features(model, params, images).stages
    assert (len(first), len(both)) == (1, 2)
    np.testing.assert_allclose(both[0], first[0], atol=1e-5)
    assert np.abs(both[1] - both[0]).max() > 0.1


def document_s_layers(model: Network, params: Any, images: np.ndarray) -> list[np.ndarray]:
    """What the code in docs/weights.md gives for the tokens of the last four blocks."""
    page = (Path(__file__).parents[2] / "docs" / "weights.md").read_text()
    found = re.search(r"```python\n(def last_blocks.*?)```", page, re.DOTALL)
    assert found
    names: dict[str, Any] = {"model": model, "params": params, "images": images}
    exec(found[1], names)
    for tokens, patches in zip(names["layers"], names["patches"], strict=True):
        np.testing.assert_array_equal(patches, tokens[:, model.num_prefix_tokens :])
    return names["layers"]


def test_the_document_s_tokens_of_several_blocks_are_those_of_features():
    """Of each block, what the network cut after it ends in."""
    model, params, images = make(depth=5, num_registers=2)
    layers = document_s_layers(model, params, images)
    assert len(layers) == 4
    for depth, tokens in enumerate(layers, 2):
        above = {f"blocks_{i}" for i in range(depth, 5)}
        cut = {path: x for path, x in params.items() if path not in above}
        np.testing.assert_allclose(tokens, vit_jax.features(model.clone(depth=depth), cut, images).tokens, atol=1e-4)


@pytest.mark.parity("torch", "timm", "torchvision")
def test_the_document_s_tokens_of_several_blocks_are_timm_s(tmp_path: Path):
    from tests.pretrained.timm_folder import timm_intermediates

    network = create_model("vit_tiny_patch16_224", image_size=32, depth=5, num_classes=5)
    params = random_params(network, seed=0)
    vit_jax.save_pretrained(tmp_path, network, params, format="timm")
    images = random_images(network, seed=1)
    for tokens, expected in zip(
        document_s_layers(network, params, images), timm_intermediates(tmp_path, images, 4), strict=True
    ):
        np.testing.assert_allclose(tokens, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    ("name", "pool"),
    [
        ("class_token", lambda tokens, params: tokens[:, 0]),
        ("average", lambda tokens, params: tokens[:, 1:].mean(1)),
        ("registers_with_positions", lambda tokens, params: layer_norm(tokens[:, 4:].mean(1), params["fc_norm"])),
    ],
)
def test_tokens_pool_to_the_features_that_the_head_reads(name: str, pool: Any):
    """By hand from tokens to pooled features to the golden logits."""
    model, params, images = make(**CASES[name].fields)
    features = vit_jax.features(model, params, images)
    np.testing.assert_allclose(features.pooled, pool(np.asarray(features.tokens), params), atol=1e-4)
    logits = np.asarray(features.pooled) @ params["head"]["kernel"] + params["head"]["bias"]
    np.testing.assert_allclose(logits, np.load(GOLDEN_FILE)[name], atol=1e-4)


@pytest.mark.parametrize("remat", [False, True])
def test_attention_maps_are_the_softmax_of_queries_and_keys(remat: bool):
    """Of the first layer, by hand from the embedded tokens; each row of every layer sums to one."""
    model, params, images = make(remat=remat)
    maps = vit_jax.attention_maps(model, params, images)
    assert [attention.shape for attention in maps] == [(2, 3, 17, 17)] * 2
    for attention in maps:
        np.testing.assert_allclose(attention.sum(-1), 1, atol=1e-5)
        assert attention.min() >= 0

    block = params["blocks_0"]
    tokens = np.asarray(jax.jit(lambda images: model.apply({"params": params}, images, False, method="embed"))(images))
    qkv = layer_norm(tokens, block["norm1"]) @ block["attn"]["qkv"]["kernel"] + block["attn"]["qkv"]["bias"]
    q, k = (part.reshape(2, 17, 3, 16) for part in np.split(qkv, 3, axis=-1)[:2])
    exponentials = np.exp(np.einsum("bihd,bjhd->bhij", q, k) / np.sqrt(16))
    np.testing.assert_allclose(maps[0], exponentials / exponentials.sum(-1, keepdims=True), atol=1e-4)


def test_attention_maps_are_in_order_of_depth():
    """A query of zero in one layer makes that layer's attention even, and no other's; by name, 10 is before 2."""
    model, params, images = make(depth=11)
    params["blocks_2"]["attn"]["qkv"] = jax.tree.map(np.zeros_like, params["blocks_2"]["attn"]["qkv"])
    spread = [float(attention.std()) for attention in vit_jax.attention_maps(model, params, images)]
    assert spread[2] < 1e-6
    assert min(spread[:2] + spread[3:]) > 1e-3


def test_features_and_maps_have_no_dropout():
    model, params, images = make(proj_drop_rate=0.5, attn_drop_rate=0.5, drop_path_rate=0.5, pos_drop_rate=0.5)
    plain = small_model()
    np.testing.assert_array_equal(
        vit_jax.features(model, params, images).pooled, vit_jax.features(plain, params, images).pooled
    )
    np.testing.assert_array_equal(
        vit_jax.attention_maps(model, params, images)[1], vit_jax.attention_maps(plain, params, images)[1]
    )


@pytest.mark.parametrize("use", [vit_jax.features, vit_jax.attention_maps, vit_jax.attention_rollout])
@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        (dict(layer_scale=0.1), r"unexpected: blocks_0/ls1/gamma\n(.|\n)*unexpected: blocks_1/ls2/gamma"),
        (dict(depth=3), "unexpected: blocks_2/"),
        (dict(num_registers=2), "unexpected: reg_token"),
        (dict(embed_dim=24), r"misshapen: cls_token is \[1, 1, 24\], not \[1, 1, 48\]"),
        (dict(class_token=False, pool="avg"), "missing: cls_token"),
    ],
)
def test_parameters_of_another_network_are_listed(use: Any, fields: dict[str, Any], problem: str):
    """Flax takes no notice of what it does not read: the features would be those of another network."""
    with pytest.raises(ValueError, match=f"no parameters of this VisionTransformer:(.|\n)*{problem}"):
        use(small_model(), random_params(small_model(**fields), 0), random_images(small_model(), 0))


def test_variables_and_arrays_are_no_parameters():
    model, params, images = make()
    wrong: Any
    for wrong in ({"params": params}, images):
        with pytest.raises(ValueError, match="params must be the nested dict of a network's parameters"):
            vit_jax.features(model, wrong, images)


@pytest.mark.parametrize(("had", "has"), [(10, 3), (10, 0), (0, 10)])
def test_features_do_not_ask_for_the_head(had: int, has: int):
    model, _, images = make()
    params = random_params(model.clone(num_classes=had), GOLDEN_SEED)
    vit_jax.features(model.clone(num_classes=has), params, images)
    vit_jax.attention_maps(model.clone(num_classes=has), params, images)


@pytest.mark.parametrize(
    "model",
    [small_model(depth=1, pool="avg"), small_swin(image_size=20, depths=(1,), num_heads=(2,))],
    ids=["vit", "swin"],
)
def test_logits_are_the_same_bit_for_bit_when_the_maps_are_asked_for(model: Network):
    params, images = random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)
    plain = jax.jit(lambda params, images: model.apply({"params": params}, images))
    asked = jax.jit(lambda params, images: model.apply({"params": params}, images, mutable=["intermediates"]))
    logits, state = asked(params, images)
    assert len(jax.tree.leaves(state)) == 1
    np.testing.assert_array_equal(logits, plain(params, images))


def test_a_plain_forward_pass_keeps_no_layer_s_weights():
    """Its memory does not grow with the depth: two more layers would add 3 MB each of weights [4, 3, 257, 257]."""

    def memory(depth: int) -> int:
        model = small_model(image_size=64, depth=depth)
        params, images = random_params(model, 0), jnp.zeros((4, *model.input_shape))
        program = jax.jit(lambda params, images: model.apply({"params": params}, images)).lower(params, images)
        analysis = program.compile().memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    weights = 4 * 4 * 3 * 257 * 257
    assert memory(4) - memory(2) < weights / 2
