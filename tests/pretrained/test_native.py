"""This project's own format: what is saved is what is loaded, and a damaged file is never loaded."""

import itertools
import json
import threading
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import load_file, save_file

import vit_jax
from tests.models.cases import random_params
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.dino import DinoVisionTransformer
from vit_jax.models.layers import sincos_position_embedding
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.other_size import resized_positions
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.vit import VisionTransformer

FIELDS = dict(embed_dim=16, depth=1, num_heads=2, image_size=(8, 16), pool="map", num_registers=2, layer_scale=0.1)


@pytest.fixture(scope="module")
def model():
    settings = Preprocessing((0.1,), (0.3,), 0.9, "bilinear")
    return vit_jax.create_model("vit_digits_patch2_8", **FIELDS, preprocessing=settings)


@pytest.fixture(scope="module")
def params(model):
    params = jax.jit(model.init)(jax.random.key(0), jnp.zeros((1, 8, 16, 1)))["params"]
    random = np.random.default_rng(0)
    return jax.tree.map(lambda p: random.normal(size=p.shape).astype(np.float32), params)


@pytest.fixture
def saved(model, params, tmp_path):
    vit_jax.save_pretrained(tmp_path / "model", model, params, tuple("abcdefghij"))
    return tmp_path / "model"


def test_a_round_trip_is_bit_exact(saved, model, params):
    loaded, loaded_params = vit_jax.load_pretrained(saved)
    assert loaded == model
    jax.tree.map(np.testing.assert_array_equal, loaded_params, params)
    images = np.random.default_rng(1).normal(size=(3, 8, 16, 1)).astype(np.float32)
    logits = jax.jit(model.apply)({"params": params}, images)
    np.testing.assert_array_equal(jax.jit(loaded.apply)({"params": loaded_params}, images), logits)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mae_base_patch16_224", dict(decoder_embed_dim=8, decoder_depth=1, decoder_num_heads=2, mask_ratio=0.5)),
        ("beit_pretraining_base_patch16_224", dict(vocab_size=5)),
        ("dino_pretraining_small_patch16_224", dict(prototypes=5)),
        ("dino_pretraining_swin_cifar_patch2_window4_32", dict(depths=(1, 1), num_heads=(2, 2), prototypes=5)),
    ],
)
def test_networks_for_pre_training_make_the_round_trip(name, fields, tmp_path):
    sizes = {} if "depths" in fields else dict(depth=1, num_heads=2)
    model = vit_jax.create_model(name, image_size=(16, 32), embed_dim=16, **sizes, **fields)
    params = jax.tree.map(lambda leaf: np.full(leaf.shape, 0.5, np.float32), parameter_shapes(model))
    vit_jax.save_pretrained(tmp_path, model, params)
    loaded, loaded_params = vit_jax.load_pretrained(tmp_path)
    assert loaded == model
    jax.tree.map(np.testing.assert_array_equal, loaded_params, params)


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("mae_cifar_patch4_32", dict(depth=1, decoder_depth=1)),
        ("dino_pretraining_vit_cifar_patch4_32", dict(depth=1, prototypes=5)),
        ("discrete_vae_patch4_32", dict(depth=1, vocab_size=5)),
    ],
)
def test_a_bare_file_of_one_s_own_pre_training_is_known(name, fields, tmp_path):
    """Its parameters are below "encoder"."""
    model = vit_jax.create_model(name, **fields)
    params = random_params(model, 0)
    vit_jax.save_pretrained(tmp_path, model, params)
    (tmp_path / "config.json").unlink()
    loaded, again = vit_jax.load_pretrained(tmp_path / "model.safetensors", model=model)
    assert loaded == model
    jax.tree.map(np.testing.assert_array_equal, again, params)


def test_a_student_s_swin_is_loaded_for_other_windows(tmp_path):
    """Its tables are resized as those of a Swin alone, though its parameters stand below "encoder"."""
    fields = dict(depths=(1, 1), num_heads=(2, 2), embed_dim=8, image_size=32, window_size=4, prototypes=5)
    student = vit_jax.create_model("dino_pretraining_swin_cifar_patch2_window4_32", **fields)
    params = random_params(student, 0)
    vit_jax.save_pretrained(tmp_path / "student", student, params)
    vit_jax.save_pretrained(tmp_path / "encoder", student.make_encoder(), params["encoder"])
    _, resized = vit_jax.load_pretrained(tmp_path / "student", image_size=64, window_size=8)
    _, expected = vit_jax.load_pretrained(tmp_path / "encoder", image_size=64, window_size=8)
    jax.tree.map(np.testing.assert_array_equal, resized["encoder"], expected)


WHOLE: dict[str, Any] = dict(image_size=8, patch_size=2, embed_dim=8, depth=1, num_heads=2)
DECODER: dict[str, Any] = dict(decoder_embed_dim=4, decoder_depth=1, decoder_num_heads=1)


@pytest.mark.parametrize(
    ("fixed", "table_of"),
    [
        (VisionTransformer(**WHOLE, pos_embed="sincos"), {"pos_embed": (1, 8)}),
        (VisionTransformer(**WHOLE, pos_embed="sincos", no_embed_class=True), {"pos_embed": (0, 8)}),
        (DinoVisionTransformer(**WHOLE, pos_embed="sincos"), {"encoder/pos_embed": (1, 8)}),
        (MaskedAutoencoder(**WHOLE, **DECODER), {"encoder/pos_embed": (1, 8), "decoder/pos_embed": (1, 4)}),
    ],
)
def test_fixed_positions_are_resized_as_learned_ones(fixed, table_of, tmp_path):
    """For another grid of patches, where other fixed ones were never trained with; at their own they stay fixed."""
    params = random_params(fixed, 0)
    tables = {
        path: np.pad(sincos_position_embedding((4, 4), width), ((prefix, 0), (0, 0)))[None]
        for path, (prefix, width) in table_of.items()
    }
    learned = unflatten_dict({**flatten_dict(params, sep="/"), **tables}, sep="/")
    vit_jax.save_pretrained(tmp_path / "fixed", fixed, params)
    vit_jax.save_pretrained(tmp_path / "learned", fixed.clone(pos_embed="learned"), learned)
    resized = vit_jax.load_pretrained(tmp_path / "fixed", image_size=(12, 8))
    expected = vit_jax.load_pretrained(tmp_path / "learned", image_size=(12, 8))
    assert resized[0] == expected[0]
    jax.tree.map(np.testing.assert_array_equal, resized[1], expected[1])
    same = vit_jax.load_pretrained(tmp_path / "fixed", image_size=8)
    assert same[0] == fixed
    jax.tree.map(np.testing.assert_array_equal, same[1], params)


def test_a_student_s_positions_are_resized_as_in_its_training(tmp_path):
    student = DinoVisionTransformer(**WHOLE, prototypes=5)
    params = random_params(student, 0)
    vit_jax.save_pretrained(tmp_path, student, params)
    expected = resized_positions(params["encoder"]["pos_embed"], (4, 4), (6, 4))
    for num_classes in (None, 3):
        _, resized = vit_jax.load_pretrained(tmp_path, image_size=(12, 8), num_classes=num_classes)
        np.testing.assert_allclose(resized.get("encoder", resized)["pos_embed"], expected, atol=1e-6)


@pytest.mark.parametrize(
    "network", [MaskedAutoencoder(**WHOLE, **DECODER), BeitPretraining(**WHOLE), DinoVisionTransformer(**WHOLE)]
)
def test_a_given_module_takes_the_encoder_of_a_network_for_pre_training(network, tmp_path):
    params = random_params(network, 0)
    vit_jax.save_pretrained(tmp_path, network, params)
    encoder = network.make_encoder().clone(mask_token=False)
    loaded, found = vit_jax.load_pretrained(tmp_path, model=encoder.clone(norm_eps=1e-3))
    assert loaded == encoder
    expected = {name: x for name, x in params["encoder"].items() if name != "mask_token"}
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    with pytest.raises(ValueError, match="is for 2 attention heads; model= has 4"):
        vit_jax.load_pretrained(tmp_path, model=encoder.clone(num_heads=4))


def test_a_workdir_is_loaded_by_its_own_name(saved, model):
    assert vit_jax.load_pretrained(saved.parent)[0] == model
    assert vit_jax.load_pretrained(str(saved.parent))[0] == model


def test_how_a_model_was_computed_is_not_part_of_it(model, params, tmp_path):
    vit_jax.save_pretrained(tmp_path, model.clone(dtype=jnp.bfloat16, remat=True), params)
    assert vit_jax.load_pretrained(tmp_path)[0] == model


def test_which_head_answers_is_part_of_it(tmp_path):
    model = vit_jax.create_model(
        "vit_digits_patch2_8", embed_dim=8, depth=1, num_heads=2, pool="token", distilled=True, answer="class"
    )
    vit_jax.save_pretrained(tmp_path, model, random_params(model, 0))
    assert vit_jax.load_pretrained(tmp_path)[0] == model


def test_class_names_are_kept(saved):
    assert json.loads((saved / "config.json").read_text())["class_names"] == list("abcdefghij")


def test_every_parameter_that_does_not_fit_is_listed(saved):
    arrays = load_file(saved / "model.safetensors")
    arrays["surplus"] = arrays.pop("norm/scale")
    arrays["head/bias"] = np.zeros(3, np.float32)
    arrays["head/kernel"] = arrays["head/kernel"].astype(np.int32)
    save_file(arrays, saved / "model.safetensors")
    with pytest.raises(ValueError, match="does not fit") as error:
        vit_jax.load_pretrained(saved)
    for part in (
        "missing: norm/scale",
        "unexpected: surplus",
        "misshapen: head/bias is [3], not [10]",
        "not floating point: head/kernel is int32",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("keep", [0, 4, 100, -4])
def test_a_truncated_file_is_refused_by_name(saved, keep):
    path = saved / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        vit_jax.load_pretrained(saved)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", r"config\.json is damaged"),
        ("[]", r"config\.json is damaged"),
        ('{"format": "vit_jax", "module": "Swine"}', "does not describe a model of this package"),
        ('{"format": "vit_jax", "module": "VisionTransformer", "fields": {"widht": 3}}', "does not know: widht"),
        (
            '{"format": "vit_jax", "module": "VisionTransformer", "fields": {}}',
            "no model of this version: .*preprocessing",
        ),
    ],
)
def test_a_config_of_something_else_is_refused(saved, text, message):
    (saved / "config.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        vit_jax.load_pretrained(saved)


@pytest.mark.parametrize(("was", "now"), [(b'"num_heads": 2', b'"num_heads": 4'), (b'"b"', b'"c"')])
def test_a_config_that_rotted_is_refused(saved, was, now):
    """One bit, and other heads would attend: nothing else would tell."""
    path = saved / "config.json"
    assert path.read_bytes().count(was) == 1
    path.write_bytes(path.read_bytes().replace(was, now))
    with pytest.raises(ValueError, match=r"config\.json is not as it was written"):
        vit_jax.load_pretrained(saved)


def test_a_model_of_before_the_digests_is_loaded(saved, model, params):
    content = json.loads((saved / "config.json").read_text())
    del content["sha256"]
    (saved / "config.json").write_text(json.dumps(content))
    save_file(load_file(saved / "model.safetensors"), saved / "model.safetensors", metadata={"format": "vit_jax"})
    loaded, loaded_params = vit_jax.load_pretrained(saved)
    assert loaded == model
    jax.tree.map(np.testing.assert_array_equal, loaded_params, params)


def test_a_failed_write_leaves_the_old_model(saved, model, params, monkeypatch):
    def fail(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("vit_jax.pretrained.safetensors_file.save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        vit_jax.save_pretrained(saved, model, params)
    vit_jax.load_pretrained(saved)
    assert sorted(path.name for path in saved.iterdir()) == ["config.json", "model.safetensors"]


def test_who_reads_while_it_is_replaced_reads_one_or_the_other(tmp_path, model, params):
    """As `vit-jax predict` does on a run that is still training. At least 20 times, and until both have been met."""
    versions = [jax.tree.map(lambda p, k=k: np.full_like(p, k), params) for k in range(2)]
    vit_jax.save_pretrained(tmp_path, model, versions[0])
    done = threading.Event()

    def replace():
        for round in itertools.count(1):
            if done.is_set():
                return
            vit_jax.save_pretrained(tmp_path, model, versions[round % 2])

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        seen, end = set(), time.monotonic() + 60
        for reads in itertools.count():
            if reads >= 20 and (len(seen) == 2 or time.monotonic() > end):
                break
            _, read = vit_jax.load_pretrained(tmp_path)
            values = {float(value) for leaf in jax.tree.leaves(read) for value in (leaf.min(), leaf.max())}
            assert len(values) == 1
            seen |= values
    finally:
        done.set()
        writer.join()
    assert seen == {0.0, 1.0}
