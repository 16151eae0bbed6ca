"""A model is scored on the split that was asked for, divided and loaded as in its training where that is known."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

import vit_jax
from tests.data.tiny_tfds import Tiny, examples, noise, prepared
from vit_jax.data.dataset import ArraySource, DataConfig
from vit_jax.data.decoding import read_upright
from vit_jax.data.folder import FolderSource
from vit_jax.data.listing import LISTING, write_listing
from vit_jax.data.set_record import keep_record
from vit_jax.data.sources import load_dataset
from vit_jax.inference.evaluation_data import (
    EvaluationData,
    Split,
    load_evaluation_data,
    prepared_for,
    trained_division,
)
from vit_jax.training.config import Config, ModelConfig, to_json

MODEL = vit_jax.create_model(
    "vit_tiny_patch4_32", image_size=(12, 16), preprocessing=vit_jax.Preprocessing(crop_fraction=0.8)
)


@pytest.fixture
def folder(tmp_path):
    """Two classes of ten images."""
    random = np.random.default_rng(0)
    for i in range(20):
        path = tmp_path / "images" / "ab"[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (40, 30, 3), np.uint8)).save(path)
    return tmp_path / "images"


def run_on(workdir, name, **fields):
    """A workdir whose run trained on a set."""
    workdir.mkdir()
    config = Config(ModelConfig("vit_tiny_patch4_32"), DataConfig(name, **fields))
    (workdir / "config.json").write_text(json.dumps(to_json(config)))
    return str(workdir)


def load(source, folder, split: Split | None = "test"):
    return load_evaluation_data(source, MODEL, f"folder:{folder}", split, None, False)


def files(data):
    """The files of the first source."""
    (source, *_) = data.sources
    assert isinstance(source, FolderSource)
    return source.files


def told_as_trained(data):
    """Whether a set is said to be the run's own."""
    return any("divided and loaded as the run" in note for note in data.notes)


def test_another_set_s_images_have_the_model_s_size(folder, tmp_path):
    data = load(str(tmp_path / "nothing"), folder)
    assert data.image_shape == (12, 16, 3)
    assert not told_as_trained(data)
    assert len(data) == 4
    assert not any("enlarged" in note for note in data.notes)  # that the 30 x 40 images are none is not at issue


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("squash", [True, False])
def test_another_set_s_images_are_shown_as_predict_shows_them(folder, squash, channels):
    """Upright, in the whole of their oblong shape, by the model's own interpolation, squashed or not."""
    settings = vit_jax.Preprocessing((0.4,), (0.3,), 0.8, "bilinear", squash)
    model = MODEL.clone(preprocessing=settings, in_channels=channels)
    data = load_evaluation_data("nothing", model, f"folder:{folder}", None, None, False)
    (batch,) = data.batches(20)
    expected = [vit_jax.preprocessing(model)(read_upright(file)) for file in files(data)]
    np.testing.assert_array_equal(model.preprocessing.normalise(batch["image"]), expected)


def test_a_tfds_set_s_images_of_several_sizes_are_shown_so_too(tmp_path):
    images = [*noise(1, 9, 20, 3), *noise(1, 30, 12)]
    prepared(tmp_path, tfds.features.Image(), {"train": examples(images), "test": examples(images)})
    (batch,) = load_evaluation_data("nothing", MODEL, "tfds:tiny", None, str(tmp_path), False).batches(2)
    expected = [vit_jax.preprocessing(MODEL)(image) for image in images]
    np.testing.assert_array_equal(MODEL.preprocessing.normalise(batch["image"]), expected)


def test_a_tfds_set_without_training_images_can_be_scored(tmp_path):
    parts = {"test": examples(noise(3, 6, 6, 3)), "validation": examples(noise(2, 6, 6, 3))}
    prepared(tmp_path, tfds.features.Image(), parts)
    splits: tuple[Split | None, ...] = (None, "test", "validation", "all")
    loaded = [load_evaluation_data("nothing", MODEL, "tfds:tiny", split, str(tmp_path), False) for split in splits]
    assert [(len(data), data.split) for data in loaded] == [(3, "test"), (3, "test"), (2, "validation"), (5, "all")]
    assert loaded[0].class_names == ("cat", "dog")
    assert loaded[0].image_shape == MODEL.input_shape
    with pytest.raises(ValueError, match="tfds:tiny has no train split, but validation, test"):
        load_evaluation_data("nothing", MODEL, "tfds:tiny", "train", str(tmp_path), False)


def test_a_tfds_set_of_validation_images_alone_is_scored_on_these(tmp_path):
    prepared(tmp_path, tfds.features.Image(shape=(6, 6, 3)), {"validation": examples(noise(2, 6, 6, 3))})
    data = load_evaluation_data("nothing", MODEL, "tfds:tiny", None, str(tmp_path), False)
    assert (len(data), data.split, data.image_shape) == (2, "validation", MODEL.input_shape)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("shape", [(6, 5, 3), (61, 90, 3), (9, 9, 1)])
def test_images_of_one_size_are_shown_so_too(shape, channels, tmp_path):
    images = noise(2, *shape)
    prepared(tmp_path, tfds.features.Image(shape=shape), {"train": examples(images), "test": examples(images)})
    model = MODEL.clone(in_channels=channels)
    data = load_evaluation_data("nothing", model, "tfds:tiny", None, str(tmp_path), False)
    (batch,) = data.batches(2)
    assert data.image_shape == batch["image"].shape[1:] == (12, 16, channels)
    expected = [vit_jax.preprocessing(model)(image) for image in images]
    np.testing.assert_array_equal(model.preprocessing.normalise(batch["image"]), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_the_model_s_size_keep_their_margin(channels):
    images = np.stack(noise(2, 12, 16, channels))
    data = EvaluationData("test", [ArraySource(images, np.zeros(2, np.int32))], ("a",), (12, 16, channels), False, ())
    (batch,) = prepared_for(MODEL, data).batches(2)
    np.testing.assert_array_equal(batch["image"], images)


def test_another_version_of_the_run_s_own_set_is_refused(tmp_path, monkeypatch):
    """It would be divided otherwise, and the run be tested on images that it learned from."""
    image, source = tfds.features.Image(shape=(6, 6, 3)), run_on(tmp_path / "run", "tfds:tiny")
    prepared(tmp_path, image, {"train": examples(noise(20, 6, 6, 3))})
    keep_record(load_dataset(DataConfig("tfds:tiny", data_dir=str(tmp_path))), tmp_path / "run" / "data.json")
    assert len(load_evaluation_data(source, MODEL, "tfds:tiny", None, str(tmp_path), False)) == 4
    monkeypatch.setattr(Tiny, "VERSION", tfds.core.Version("2.0.0"))
    prepared(tmp_path, image, {"train": examples(noise(30, 6, 6, 3))})
    with pytest.raises(ValueError, match=r"run began with other images called tfds:tiny.*'version': '2\.0\.0'"):
        load_evaluation_data(source, MODEL, "tfds:tiny", None, str(tmp_path), False)


def test_the_run_s_own_set_is_divided_and_loaded_as_it_was(folder, tmp_path):
    fields = dict(test_fraction=0.4, validation_fraction=0.3, split_seed=7, load_size=18)
    workdir = run_on(tmp_path / "run", f"folder:{folder}/../images", **fields)
    data = load(workdir, folder)
    assert told_as_trained(data)
    assert data.image_shape == (18, 18, 3)
    splits: tuple[Split, ...] = ("train", "validation", "test", "all")
    assert [len(load(workdir, folder, split)) for split in splits] == [6, 6, 8, 20]
    (tmp_path / "run" / "model").mkdir()
    (tmp_path / "run" / "model" / "config.json").write_text("{}")
    assert files(load(f"{workdir}/model", folder)) == files(data)
    other = run_on(tmp_path / "other", f"folder:{folder}", **{**fields, "split_seed": 8})
    assert files(load(other, folder)) != files(data) == files(load(workdir, folder))


def test_a_run_without_labels_is_evaluated_on_others(folder, tmp_path):
    """Its own images are all of label 0: every answer would be right."""
    source = run_on(tmp_path / "run", f"folder:{folder}", labels=False)
    with pytest.raises(ValueError, match=r"read folder:.* without labels: evaluate it on images that have some"):
        load(source, folder)


def test_images_that_came_to_the_folder_since_do_not_divide_it_anew(folder, tmp_path):
    """Else images that the run learned from would be among those it is tested on."""
    workdir = tmp_path / "run"
    config = DataConfig(f"folder:{folder}", test_fraction=0.4)
    source = run_on(workdir, config.name, test_fraction=0.4)
    write_listing(load_dataset(config), workdir / LISTING)
    before = files(load(source, folder))
    for i in range(5):
        Image.new("RGB", (40, 30)).save(folder / "a" / f"0{i}.png")
    assert files(load("nothing", folder)) != files(load(source, folder)) == before
    assert len(load(source, folder, "all")) == 20


def test_what_the_run_skipped_is_skipped(folder, tmp_path):
    (folder / "a" / "no.png").touch()
    assert len(load(run_on(tmp_path / "run", f"folder:{folder}", skip_unreadable=True), folder, "all")) == 20
    with pytest.raises(ValueError, match=r"no\.png"):
        load("nothing", folder, "all")


@pytest.mark.parametrize("skip", [True, False])
def test_a_file_that_vanished_since_the_run_began_is_left_out_and_named(folder, tmp_path, capsys, skip):
    config = DataConfig(f"folder:{folder}", skip_unreadable=skip)
    source = run_on(tmp_path / "run", config.name, skip_unreadable=skip)
    write_listing(load_dataset(config), tmp_path / "run" / LISTING)
    data = load(source, folder, "train")
    gone = files(data)[:2]
    for file in gone:
        Path(file).unlink()
    if not skip:
        with pytest.raises(ValueError, match=r"\d\.png"):
            list(data.batches(2))
        return
    batches = list(load(source, folder, "train").batches(2))
    assert sum(len(batch["label"]) for batch in batches) == len(data) - 2
    assert min(len(batch["label"]) for batch in batches) > 0
    said = capsys.readouterr()
    assert all(file in said.err for file in gone)
    assert not said.out


def test_a_folder_that_the_model_never_saw_is_scored_whole(folder, tmp_path):
    """Its own run's is not: most of that was learned from."""
    other_folder = shutil.copytree(folder, tmp_path / "others")
    source = run_on(tmp_path / "run", f"folder:{other_folder}")
    data = load(source, folder, None)
    assert (len(data), data.split, data.image_shape) == (20, "all", (12, 16, 3))
    assert data.class_names == ("a", "b")
    told = f"every image of {folder}, which is not divided; "
    assert data.notes[-1] == f"{told}whether {source} learned from some is not known"
    write_listing(load_dataset(DataConfig(f"folder:{other_folder}")), tmp_path / "run" / LISTING)
    named = f"the name of an image that the run in {source} learned from"
    assert load(source, folder, None).notes[-1] == f"{told}16 have {named}"  # they may be copies, as they are here
    for number, file in enumerate(sorted(folder.glob("*/*.png"))):
        file.rename(file.with_name(f"new_{number}.png"))
    assert load(source, folder, None).notes[-1] == f"{told}none has {named}"
    assert len(load(source, folder, "test")) == 4
    own = load(run_on(tmp_path / "own", f"folder:{folder}"), folder, None)
    assert (len(own), own.split) == (4, "test")


def test_the_run_s_own_folder_is_known_where_it_was_moved(folder, tmp_path):
    """By the names within: else a model would be scored on what it learned from, as if it had not."""
    config = DataConfig(f"folder:{folder}", test_fraction=0.4)
    source = run_on(tmp_path / "run", config.name, test_fraction=0.4)
    write_listing(load_dataset(config), tmp_path / "run" / LISTING)
    before = [Path(file).name for file in files(load(source, folder, None))]
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert len(load(source, copy, None)) == 20  # its own is still there: these are others
    moved = folder.rename(tmp_path / "moved")
    data = load(source, moved, None)
    assert told_as_trained(data)
    assert [Path(file).name for file in files(data)] == before
    for file in sorted((copy / "a").iterdir())[:3]:
        file.unlink()
    assert not told_as_trained(load(source, copy, None))  # a tenth may have vanished, no more


def test_images_that_the_run_learned_from_are_counted_in_a_part_of_its_folder(folder, tmp_path):
    (tmp_path / "set").mkdir()
    shutil.copytree(folder, tmp_path / "set" / "train")
    shutil.copytree(folder, tmp_path / "set" / "test")
    source = run_on(tmp_path / "run", f"folder:{tmp_path / 'set'}")
    write_listing(load_dataset(DataConfig(f"folder:{tmp_path / 'set'}")), tmp_path / "run" / LISTING)
    for part, learned in (("train", "20"), ("test", "none")):
        told = load(source, tmp_path / "set" / part, None).notes[-1]
        assert told.endswith(f"the run in {source} learned from {learned} of them")


def test_a_class_of_one_image_is_enough_where_nothing_is_divided(folder):
    for file in sorted((folder / "a").iterdir())[1:]:
        file.unlink()
    splits: tuple[Split | None, ...] = (None, "all")
    assert [len(load("nothing", folder, split)) for split in splits] == [11, 11]
    with pytest.raises(ValueError, match="class 'a' has 1 image,"):
        load("nothing", folder, "test")


def test_a_folder_of_one_class_can_be_scored(folder):
    shutil.rmtree(folder / "a")
    data = load("nothing", folder, None)
    assert (len(data), data.class_names) == (10, ("b",))


def test_a_folder_of_test_images_alone_can_be_scored(folder, tmp_path):
    folder.rename(tmp_path / "Testing")
    (tmp_path / "set").mkdir()
    (tmp_path / "Testing").rename(tmp_path / "set" / "Testing")
    splits: tuple[Split | None, ...] = (None, "all", "test")
    loaded = [load("nothing", tmp_path / "set", split) for split in splits]
    assert [(len(data), data.split) for data in loaded] == [(20, "all"), (20, "all"), (20, "test")]
    with pytest.raises(ValueError, match="has 'Testing', but no 'train' to learn from"):
        load("nothing", tmp_path / "set", "train")


def test_training_images_are_divided_where_a_part_of_them_is_asked_for(folder, tmp_path):
    """Features are learned from one part and judged on the other, which must not meet."""
    (tmp_path / "set").mkdir()
    folder.rename(tmp_path / "set" / "train")
    splits: tuple[Split | None, ...] = (None, "train", "test")
    assert [len(load("nothing", tmp_path / "set", split)) for split in splits] == [20, 16, 4]


def test_a_folder_that_is_divided_is_scored_on_its_test_images(folder, tmp_path):
    for split in ("train", "test"):
        shutil.copytree(folder, tmp_path / "set" / split)
    (tmp_path / "set" / "test" / "a" / "0.png").unlink()
    data = load("nothing", tmp_path / "set", None)
    assert (len(data), data.split) == (19, "test")
    assert len(load("nothing", tmp_path / "set", "all")) == 39


def test_what_is_wrong_with_a_folder_is_said_where_it_is_scored_whole(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere does not exist"):
        load("nothing", tmp_path / "elsewhere", None)
    (folder / "a" / "no.png").touch()
    with pytest.raises(ValueError, match=r"no\.png"):
        load("nothing", folder, None)
    assert len(load_evaluation_data("nothing", MODEL, f"folder:{folder}", None, None, True)) == 20
    (folder / "c").mkdir()
    with pytest.raises(ValueError, match="c has no images"):
        load_evaluation_data("nothing", MODEL, f"folder:{folder}", None, None, True)


def test_every_image_comes_once(folder):
    data = load("nothing", folder, "all")
    batches = list(data.batches(6))
    assert sum(len(batch["label"]) for batch in batches) == 20
    assert max(len(batch["label"]) for batch in batches) == 6
    images = np.concatenate([batch["image"] for batch in batches])
    assert len(np.unique(images, axis=0)) == 20


def test_a_run_on_another_set_says_nothing_about_this_one(folder, tmp_path):
    assert trained_division(tmp_path / "nowhere", "digits") is None
    workdir = tmp_path / "run"
    run_on(workdir, "digits", test_fraction=0.5)
    assert trained_division(workdir, "cifar10") is None
    assert trained_division(workdir, f"folder:{folder}") is None
    division = trained_division(workdir, "digits")
    assert division is not None
    assert division["test_fraction"] == 0.5


def test_a_config_that_does_not_say_how_its_run_divided_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"data": {"name": "digits", "load_size": 8}}')
    with pytest.raises(
        ValueError, match=r"config\.json is damaged.*: of data it lacks data_dir, validation_fraction, "
    ):
        trained_division(tmp_path, "digits")


def test_a_split_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match="no validation split"):
        load("nothing", folder, "validation")
