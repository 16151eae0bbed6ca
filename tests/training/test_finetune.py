"""Training from pretrained weights: where it starts, what stays, what is resized, and what is refused."""

import dataclasses
import json
import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from jax.experimental import multihost_utils
from PIL import Image

import vit_jax
from tests.pretrained.publisher_cases import CASES, draw, golden_shapes, write
from vit_jax.models.network_input import network_input
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model
from vit_jax.objectives.objective import Examples, Given
from vit_jax.training import start
from vit_jax.training.config import ModelConfig
from vit_jax.training.description import describe
from vit_jax.training.optimizer import OptimizerConfig
from vit_jax.training.parallel import ParallelConfig
from vit_jax.training.run import prepare
from vit_jax.training.start import find_start

FIELDS = dict(embed_dim=16, depth=2, num_heads=2, patch_size=4, image_size=16, in_channels=1, num_classes=7)
SOURCE = Preprocessing((0.4,), (0.3,), crop_fraction=0.875, interpolation="bilinear", squash=True)


def random_params(model):
    random = np.random.default_rng(0)
    return jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype(np.float32), parameter_shapes(model))


@pytest.fixture(scope="module")
def network():
    """A network for 16 px with seven classes of its own, every parameter randomised."""
    model = create_model("vit_digits_patch2_8", **FIELDS, preprocessing=SOURCE)
    return model, random_params(model)


@pytest.fixture(scope="module")
def source(network, tmp_path_factory):
    """These, saved."""
    directory = tmp_path_factory.mktemp("weights") / "source"
    vit_jax.save_pretrained(directory, *network, class_names=tuple("abcdefg"))
    return directory


@pytest.fixture(scope="module")
def config(small_config, source):
    """A short run from there, with everything that moves switched on."""
    return dataclasses.replace(
        small_config,
        augment=(),
        model=ModelConfig(pretrained=str(source), fields=dict(image_size=16, drop_path_rate=0.1)),
        optimizer=OptimizerConfig("adamw", learning_rate=1e-2),
        duration="6 steps",
        schedule=dataclasses.replace(small_config.schedule, warmup="1 steps"),
        checkpoint_every="2 steps",
    )


@pytest.fixture(scope="module")
def trained(config, run_to_end, tmp_path_factory):
    """That run and its result."""
    run, result, _ = run_to_end(config, tmp_path_factory.mktemp("runs") / "trained")
    return run, result


def with_model(config, **changes):
    return dataclasses.replace(config, model=dataclasses.replace(config.model, **changes))


def body(params: Any) -> dict[str, np.ndarray]:
    """All parameters but the head's, by their paths."""
    arrays: dict[str, Any] = flatten_dict(jax.device_get(params), sep="/")
    return {path: x for path, x in arrays.items() if not path.startswith("head/")}


@pytest.mark.parametrize("parallel", [ParallelConfig(), ParallelConfig(fsdp=4), ParallelConfig("pmap")], ids=str)
def test_it_starts_at_the_loaded_parameters_with_a_head_of_zeros(parallel, network, config, tmp_path):
    """So does the moving average; on every device, whole or sharded."""
    run = prepare(dataclasses.replace(config, parallel=parallel), tmp_path / "run")
    state = run.parallel.gather_state(run.initial_state())
    _, params = network
    for started in (state.params, state.ema_params):
        jax.tree.map(np.testing.assert_array_equal, body(started), body(params))
        assert started["head"]["kernel"].shape == (16, 10)
        assert not np.any(started["head"]["kernel"])
        assert not np.any(started["head"]["bias"])


def test_its_features_are_those_of_the_source(network, config, tmp_path):
    model, params = network
    run = prepare(config, tmp_path / "run")
    images = np.random.default_rng(1).normal(size=(2, 16, 16, 1)).astype(np.float32)
    expected = vit_jax.features(model, params, images).pooled
    params = run.initial_state().params
    ours = vit_jax.features(run.model, params, images).pooled
    np.testing.assert_array_equal(ours, expected)


def test_another_image_size_resizes_the_position_embeddings(network, config, tmp_path):
    run = prepare(with_model(config, fields={"image_size": 24}), tmp_path / "run")
    params = run.initial_state().params
    loaded = vit_jax.load_pretrained(config.model.pretrained, num_classes=10, image_size=24)[1]
    assert params["pos_embed"].shape == (1, 1 + 36, 16)
    jax.tree.map(np.testing.assert_array_equal, body(params), body(loaded))


def test_the_description_says_what_is_loaded_and_what_is_new(config, tmp_path):
    text = "\n".join(describe(prepare(config, tmp_path / "run")))
    assert f"VisionTransformer of {config.model.pretrained}" in text
    assert "30 of 32 arrays from there; new: head/bias, head/kernel" in text, text


def test_its_preprocessing_is_the_sources_on_whole_images(config, tmp_path):
    """Nothing is cropped in training and evaluation, so nothing may be in the use of the model either."""
    run = prepare(config, tmp_path / "run")
    assert run.model.preprocessing == dataclasses.replace(SOURCE, crop_fraction=1.0, squash=False)
    assert run.model.drop_path_rate == 0.1
    own = Preprocessing((0.1,), (0.2,), crop_fraction=0.9)
    run = prepare(with_model(config, fields={"preprocessing": own}), tmp_path / "own")
    assert run.model.preprocessing == own


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("size", [8, 20, 48])
def test_images_are_resized_as_by_the_models_preprocessing(interpolation, size):
    """Pillow rounds to whole levels after each of its two passes (and would clip there what overshoots)."""
    model = create_model(
        "vit_digits_patch2_8", image_size=24, in_channels=3, preprocessing=Preprocessing(interpolation=interpolation)
    )
    images = np.random.default_rng(0).integers(80, 176, (3, size, size, 3), np.uint8)
    expected = np.stack([vit_jax.preprocessing(model)(Image.fromarray(image)) for image in images])
    levels = np.abs(np.asarray(network_input(model, jnp.asarray(images))) - expected) * 0.5 * 255
    assert levels.max() < 1.6
    assert levels.mean() < 0.5


def test_layers_move_by_their_rate_and_frozen_ones_not_at_all(network, config, tmp_path):
    """Adam's steps are about as large as the rate, whatever the gradient: the largest of a layer shows its rate."""
    optimizer = OptimizerConfig(
        "adamw", learning_rate=1e-3, weight_decay=0.0, layer_decay=0.5, freeze=("patch_embed/*", "blocks_0/*")
    )
    config = dataclasses.replace(with_model(config, fields={}), ema_decay=None, optimizer=optimizer)
    run = prepare(config, tmp_path / "run")
    state, update = run.initial_state(), jax.jit(run.step)
    images = np.random.default_rng(0).integers(0, 256, (3, 1, 8, 16, 16, 1), np.uint8)
    for image in images:
        state, _ = update(state, {}, {"image": image, "label": np.arange(8)[None]}, jax.random.key(0))
    before, after = body(network[1]), body(state.params)
    moved = {path: np.abs(after[path] - before[path]).max() for path in before}
    frozen = [path for path in moved if path.startswith(("patch_embed/", "blocks_0/"))]
    assert len(frozen) == 14
    assert all(moved[path] == 0 for path in frozen)
    layers = ("pos_embed", "blocks_1/", "norm/")  # 0, 2 and 3; layer 1 is frozen
    largest = [max(x for path, x in moved.items() if path.startswith(layer)) for layer in layers]
    np.testing.assert_allclose(np.divide(largest, largest[-1]), [0.5**3, 0.5, 1], rtol=0.1)


def test_no_gradient_is_computed_below_what_is_frozen(config, tmp_path):
    """Else freezing would save nothing: the number of products tells."""

    def products(freeze):
        optimizer = dataclasses.replace(config.optimizer, freeze=freeze)
        run = prepare(dataclasses.replace(config, optimizer=optimizer), tmp_path / str(len(freeze)))
        keys = jax.random.split(jax.random.key(0), 8)
        examples = Examples(jnp.zeros((8, 16, 16, 1)), jnp.zeros((8, 10)), keys)
        text = str(jax.make_jaxpr(run.step.differentiate)(run.params, examples, Given(jax.random.key(0))))
        return text.count("dot_general")

    everything, upper = products(()), products(("patch_embed/*", "pos_embed", "cls_token", "blocks_0/*"))
    assert upper < 0.75 * everything


def test_where_hugging_face_crops_to_another_size_than_the_network_s_it_is_said(config, tmp_path, caplog):
    path = write(CASES["huggingface_dinov2"], draw(golden_shapes()["huggingface_dinov2"], 0), tmp_path)
    processor = {"size": {"shortest_edge": 10}, "crop_size": {"height": 8, "width": 8}, "do_center_crop": True}
    (path / "preprocessor_config.json").write_text(json.dumps(processor))
    for fields, told in (({}, True), ({"image_size": 8}, False)):
        find_start(with_model(config, pretrained=str(path), fields=fields), tmp_path / "run")
        assert ("Hugging Face crops them to 8 x 8, as image_size=8 does" in caplog.text) == told
        caplog.clear()


def test_a_run_goes_on_bit_for_bit_without_its_source(trained, config, source, tmp_path, run_to_end, cut_off):
    """The checkpoint has the parameters, the workdir the network: the source may be gone by then."""
    straight = trained[1]
    moved = shutil.copytree(source, tmp_path / "source")
    config = with_model(config, pretrained=str(moved))
    cut_off(config, tmp_path / "run", killed_after=4)
    shutil.rmtree(moved)
    run, continued, lines = run_to_end(config, tmp_path / "run")
    assert lines[0] == "continuing at step 4 of 6"
    assert run.params is None
    assert "from the run's checkpoint" in "\n".join(describe(run))
    jax.tree.map(np.testing.assert_array_equal, continued.params, straight.params)
    np.testing.assert_array_equal(continued.test.loss, straight.test.loss)


def test_without_a_checkpoint_it_starts_from_the_source_again(config, source, tmp_path):
    moved = shutil.copytree(source, tmp_path / "source")
    config = with_model(config, pretrained=str(moved))
    for _ in range(2):
        assert prepare(config, tmp_path / "run").params is not None
    shutil.rmtree(moved)
    with pytest.raises(FileNotFoundError, match=str(moved)):
        prepare(config, tmp_path / "run")


def test_processes_that_read_other_weights_under_the_same_name_are_refused(
    config, network, source, tmp_path, monkeypatch
):
    """Each reads a file of its own: two processes stand here one after the other."""
    moved = shutil.copytree(source, tmp_path / "source")
    config = with_model(config, pretrained=str(moved))
    of_first = {}
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(multihost_utils, "broadcast_one_to_all", lambda x: of_first.setdefault(x.shape, x))
    prepare(config, tmp_path / "run")
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    prepare(config, tmp_path / "run")
    model, params = network
    vit_jax.save_pretrained(moved, model, {**params, "cls_token": params["cls_token"] + 1}, tuple("abcdefg"))
    with pytest.raises(ValueError, match=r"process 1 and process 0 .* differ in pretrained weights$"):
        prepare(config, tmp_path / "run")


def test_another_source_is_another_config(trained, config, network, tmp_path):
    vit_jax.save_pretrained(tmp_path / "other", *network)
    with pytest.raises(ValueError, match=r"model.pretrained: .*source -> .*other"):
        prepare(with_model(config, pretrained=str(tmp_path / "other")), trained[0].workdir)


def test_the_trained_model_can_be_a_source_with_its_head_for_the_same_classes(trained, config, tmp_path):
    """Ten more epochs of a run are a run from its weights: its head is one for these classes."""
    run, result = trained
    model, params = vit_jax.load_pretrained(run.workdir)
    jax.tree.map(np.testing.assert_array_equal, params, result.params)
    assert np.any(params["head"]["kernel"])
    assert model.preprocessing == run.model.preprocessing
    again = prepare(with_model(config, pretrained=str(run.workdir)), tmp_path / "again")
    jax.tree.map(np.testing.assert_array_equal, again.params, result.params)
    assert "32 of 32 arrays from there, its head for the same classes too" in "\n".join(describe(again))


def test_a_head_for_other_classes_or_features_is_new(trained, config, tmp_path):
    run, result = trained
    model = with_model(config, pretrained=str(tmp_path / "other"))
    network, params = vit_jax.load_pretrained(run.workdir)
    for name, names in (("order", "1023456789"), ("names", "abcdefghij")):
        vit_jax.save_pretrained(tmp_path / "other", network, params, class_names=tuple(names))
        other = prepare(model, tmp_path / name)
        assert other.params is not None
        jax.tree.map(np.testing.assert_array_equal, body(other.params), body(result.params))
        assert not np.any(other.params["head"]["kernel"])
    pooled = prepare(with_model(config, pretrained=str(run.workdir), fields={"pool": "avg"}), tmp_path / "pool")
    assert pooled.params is not None
    assert not np.any(pooled.params["head"]["kernel"])


def test_a_source_that_does_not_tell_its_network_has_it_by_name(config, tmp_path):
    """A bare file of this package: its fields are those of the registered network."""
    model = create_model("vit_digits_patch2_8")
    params = random_params(model)
    vit_jax.save_pretrained(tmp_path / "digits", model, params)
    bare = str(tmp_path / "digits" / "model.safetensors")
    (tmp_path / "digits" / "config.json").unlink()
    with pytest.raises(ValueError, match="model="):
        prepare(with_model(config, pretrained=bare, fields={}), tmp_path / "run")
    run = prepare(with_model(config, pretrained=bare, name="vit_digits_patch2_8", fields={}), tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, body(run.params), body(params))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(fields={"embed_dim": 32}), "must not set embed_dim: .*image_size, window_size"),
        (dict(fields={"num_classes": 10}), "must not set num_classes"),
        (dict(fields={"window_size": 4}), "window_size is for Swin"),
        (dict(fields={"image_size": 18}), "18x18 is not a whole number of patches"),
        (dict(fields={"drop_path_rate": 1.5}), "drop_path_rate must be in"),
        (dict(pretrained="nothing/there/at/all"), "no model at nothing/there/at/all"),
    ],
)
def test_mistakes_are_refused_and_leave_nothing(changes, message, config, tmp_path):
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        prepare(with_model(config, **changes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_images_of_other_channels_are_refused(config, tmp_path):
    model = create_model("vit_digits_patch2_8", **{**FIELDS, "in_channels": 4})
    params = random_params(model)
    vit_jax.save_pretrained(tmp_path / "infrared", model, params)
    with pytest.raises(ValueError, match=r"takes images of 4 channels; those of digits.* have 1"):
        prepare(with_model(config, pretrained=str(tmp_path / "infrared")), tmp_path / "run")


def test_grey_images_are_shown_to_weights_of_colour(config, run_to_end, tmp_path):
    """As `vit_jax.preprocessing` shows them: in three equal channels, each normalised as its own."""
    colours = Preprocessing((0.1, 0.5, 0.6), (0.2, 0.3, 0.4))
    model = create_model("vit_digits_patch2_8", **{**FIELDS, "in_channels": 3, "preprocessing": colours})
    params = random_params(model)
    vit_jax.save_pretrained(tmp_path / "colour", model, params)
    run, result, _ = run_to_end(
        with_model(config, pretrained=str(tmp_path / "colour")), tmp_path / "run", duration="2 steps"
    )
    assert run.model.in_channels == 3
    assert any("images of 1 channels are shown in 3" in line for line in describe(run))
    image = run.dataset.test[0][0]
    logits = run.model.apply(
        {"params": result.params}, vit_jax.preprocessing(run.model)(Image.fromarray(image[..., 0]))[None]
    )
    assert int(np.argmax(logits)) == result.test.predicted[0]


def test_a_distillation_token_is_refused_with_what_to_do(config, tmp_path):
    model = create_model("vit_digits_patch2_8", **FIELDS, distilled=True)
    params = random_params(model)
    vit_jax.save_pretrained(tmp_path / "distilled", model, params)
    with pytest.raises(ValueError, match=r"distillation token, .*give it a teacher"):
        prepare(with_model(config, pretrained=str(tmp_path / "distilled")), tmp_path / "run")


def test_damaged_weights_are_found_before_the_workdir_is_made(config, source, tmp_path):
    path = shutil.copytree(source, tmp_path / "source") / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    config = with_model(config, pretrained=str(tmp_path / "source"))
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_what_only_reading_finds_is_found_then_too(config, tmp_path, monkeypatch):
    """A sum of a zip's member is known to be wrong when all of it was read."""

    def read_parameters(parameters):
        raise ValueError("its sum is wrong")

    monkeypatch.setattr(start, "read_parameters", read_parameters)
    with pytest.raises(ValueError, match="its sum is wrong"):
        prepare(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_config_needs_a_network():
    with pytest.raises(ValueError, match=r"needs a name .* or a pretrained source"):
        ModelConfig()
    with pytest.raises(ValueError, match=r"set model\.pretrained, too"):
        ModelConfig("vit_digits_patch2_8", revision="main")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("cnn_small_32", dict(widths=(4, 4), hidden_dim=8)),
        ("swin_cifar_patch2_window4_32", dict(embed_dim=8, depths=(1, 1), num_heads=(1, 2), image_size=16)),
    ],
)
def test_other_networks_are_fine_tuned_too(name, fields, config, tmp_path):
    model = create_model(name, **fields, num_classes=3, in_channels=1, preprocessing=Preprocessing())
    params = random_params(model)
    vit_jax.save_pretrained(tmp_path / "source", model, params)
    run = prepare(with_model(config, pretrained=str(tmp_path / "source"), fields={}), tmp_path / "run")
    assert jax.tree.map(jnp.shape, run.params) == jax.tree.map(jnp.shape, parameter_shapes(run.model))
    jax.tree.map(np.testing.assert_array_equal, body(run.params), body(params))
    names, model = run.dataset.class_names, model.clone(num_classes=10)
    params = random_params(model)
    vit_jax.save_pretrained(tmp_path / "ten", model, params, class_names=names)
    again = prepare(with_model(config, pretrained=str(tmp_path / "ten"), fields={}), tmp_path / "again")
    jax.tree.map(np.testing.assert_array_equal, again.params, params)


def test_half_a_head_is_none(trained, config, tmp_path):
    """Weights of others may have names for another head than theirs."""
    run, _ = trained
    start = find_start(with_model(config, pretrained=str(run.workdir)), tmp_path)
    model, names = start.for_data("digits", 10, (8, 8, 1)), run.dataset.class_names
    assert sorted(start.with_head_for(names, model).head) == ["head/bias", "head/kernel"]
    half = dataclasses.replace(start, head={"head/kernel": start.head["head/kernel"]})
    assert not half.with_head_for(names, model).head
    assert not start.with_head_for(names, start.for_data("digits", 7, (8, 8, 1))).head
