"""Any field of the config is a flag, with its type checked and typos answered."""

import dataclasses
import re
from pathlib import Path

import pytest

from vit_jax.models.preprocessing import Preprocessing
from vit_jax.objectives.classification import Classification
from vit_jax.training.command_line import load_config, parse
from vit_jax.training.config import Config, ModelConfig

CONFIGS = Path(__file__).parents[2] / "configs"
DIGITS = CONFIGS / "vit_digits.py"


def config_of(*arguments):
    return parse(arguments, DIGITS)[0]


def test_without_flags_it_is_the_config_file():
    assert config_of() == load_config(DIGITS)


def test_workdir_is_named_after_the_config_file():
    assert parse([], DIGITS)[1] == Path("runs/vit_digits")
    assert parse(["--workdir", "elsewhere/x"], DIGITS)[1] == Path("elsewhere/x")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_every_shipped_config_can_be_named(path):
    assert config_of("--config", str(path)) == load_config(path)


def test_fields_of_every_part_can_be_set():
    config = config_of(
        *("--seed", "3", "--duration", "5 steps", "--ema_decay", "0.99", "--dtype", "bfloat16"),
        *("--optimizer.learning_rate", "1e-2", "--optimizer.clip_norm", "None", "--optimizer.freeze", "a/*", "b"),
        *("--schedule.kind", "linear", "--parallel.mode", "pmap", "--objective.label_smoothing", "0.1"),
        *("--data.name", "folder:/pictures", "--data.skip_unreadable", "True", "--data.feed", "streaming"),
        *("--augment.mixup.alpha", "0.3"),
    )
    assert (config.seed, config.duration, config.ema_decay, config.dtype) == (3, "5 steps", 0.99, "bfloat16")
    assert (config.optimizer.learning_rate, config.optimizer.clip_norm) == (0.01, None)
    assert config.optimizer.freeze == ("a/*", "b")
    assert (config.schedule.kind, config.parallel.mode) == ("linear", "pmap")
    assert config.objective == Classification(label_smoothing=0.1)
    assert (config.data.name, config.data.skip_unreadable) == ("folder:/pictures", True)
    assert config.augment[1] == dataclasses.replace(load_config(DIGITS).augment[1], alpha=0.3)


def test_fields_of_the_network_can_be_set():
    config = config_of(
        *("--model.embed_dim", "48", "--model.image_size", "16", "8", "--model.layer_scale", "1e-5"),
        *("--model.pool", "map", "--model.preprocessing.mean", "0.1", "--model.preprocessing.std", "0.2"),
    )
    given = {"embed_dim": 48, "image_size": (16, 8), "layer_scale": 1e-5, "pool": "map"}
    assert config.model.fields == {
        **load_config(DIGITS).model.fields,
        **given,
        "preprocessing": Preprocessing((0.1,), (0.2,)),
    }


def test_another_network_starts_from_its_own_fields():
    config = config_of("--model.name", "vit_tiny_patch4_32", "--model.depth", "3")
    assert config.model.name == "vit_tiny_patch4_32"
    assert config.model.fields == {"depth": 3}


def test_pretrained_weights_are_a_flag_of_any_config():
    """Its network has no fields yet: its file is opened when the run is prepared."""
    config = config_of("--model.pretrained", "deit.pth", "--model.publisher", "deit", "--model.image_size", "96")
    assert config.model == ModelConfig(fields={"image_size": 96}, pretrained="deit.pth", publisher="deit")


def test_other_weights_are_trained_by_the_recipe_of_a_config():
    recipe = CONFIGS / "finetune_cifar10_224.py"
    flags = ("--model.pretrained", "other.npz", "--model.revision", "v2", "--model.drop_path_rate", "0.2")
    config, _ = parse(("--config", str(recipe), *flags), DIGITS)
    fields = {**load_config(recipe).model.fields, "drop_path_rate": 0.2}
    assert config.model == ModelConfig(fields=fields, pretrained="other.npz", revision="v2")
    config, _ = parse(("--config", str(recipe), *flags, "--model.name", "vit_tiny_patch16_224"), DIGITS)
    assert config.model == ModelConfig("vit_tiny_patch16_224", fields, "other.npz", revision="v2")


def test_a_config_keeps_the_preprocessing_that_it_gives_pretrained_weights(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "from vit_jax.models.preprocessing import Preprocessing\n"
        "from vit_jax.training.config import Config, ModelConfig\n"
        "fields = dict(preprocessing=Preprocessing((0.1,), (0.2,)))\n"
        "def get_config():\n    return Config(ModelConfig(pretrained='x.npz', fields=fields))\n"
    )
    assert config_of("--config", str(path)) == load_config(path)
    changed = config_of("--config", str(path), "--model.preprocessing.mean", "0.3")
    assert changed.model.fields == {"preprocessing": Preprocessing((0.3,), (0.2,))}


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--optimizer.learing_rate", "1"], ["Unrecognized", "--optimizer.learning_rate"]),
        (["--model.embed_dims", "1"], ["Unrecognized", "--model.embed_dim"]),
        (["--batch_size", "many"], ["--batch_size", "many"]),
        (["--schedule.kind", "cosin"], ["cosin", "cosine"]),
        (["--model.pretrained", "x.npz", "--model.embed_dims", "8"], ["Unrecognized", "--model.embed_dims"]),
        (["--model.revision", "main"], ["set model.pretrained, too"]),
        (["--batch_size", "0"], ["batch_size must be at least 1"]),
    ],
)
def test_mistakes_are_answered_with_what_would_be_right(arguments, parts, capsys):
    with pytest.raises((SystemExit, ValueError)) as error:
        config_of(*arguments)
    text = " ".join((capsys.readouterr().err + str(error.value)).split())
    for part in parts:
        assert part in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model.num_classes", "4"], "--model.num_classes is no flag: the data's classes decide it"),
        (["--model.num-classes=4"], "--model.num_classes is no flag: the data's classes decide it"),
        (["--model.dtype", "bfloat16"], "--model.dtype is no flag: it is the config's own, --dtype"),
        (
            ["--model.pretrained", "x", "--model.depth", "3"],
            r"--model.depth is no flag where weights are given: they decide it\. One can set name, pretrained, .*pool",
        ),
    ],
)
def test_who_decides_a_field_that_is_no_flag_is_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        parse(arguments, DIGITS)


def test_an_unknown_model_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean vit_tiny_patch4_32"):
        config_of("--model.name", "vit_tiny_patch4_3")


def test_a_missing_config_file_is_answered_with_those_there_are():
    with pytest.raises(FileNotFoundError, match=r"no config file .*nothing.py; there are .*vit_digits.py"):
        config_of("--config", str(CONFIGS / "nothing.py"))


def test_a_config_file_without_a_config_is_refused(tmp_path):
    path = tmp_path / "empty.py"
    path.write_text("def get_config():\n    return {}\n")
    with pytest.raises(ValueError, match="must define get_config"):
        config_of("--config", str(path))


def test_mistakes_in_a_config_file_name_it(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from vit_jax.training.optimizer import OptimizerConfig\nget_config = lambda: OptimizerConfig('adam')"
    )
    with pytest.raises(ValueError, match=r"mine\.py: optimizer\.name must be one of"):
        config_of("--config", str(path))
    path.write_text("import common")
    with pytest.raises(ValueError, match=r"mine\.py: No module named 'common'"):
        config_of("--config", str(path))
    path.rename(tmp_path / "config.json")  # as a run's workdir has one
    with pytest.raises(ValueError, match=r"config\.json is no config file, which is written in Python"):
        config_of("--config", str(tmp_path / "config.json"))


def test_home_is_found_in_paths(tmp_path, monkeypatch):
    """Shells leave the ~ of --workdir=~/runs as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.py").write_text(DIGITS.read_text())
    config, workdir = parse(["--config=~/mine.py", "--workdir=~/runs/x"], DIGITS)
    assert (config, workdir) == (load_config(DIGITS), tmp_path / "runs" / "x")
    assert parse(["--workdir", "~nobody-of-this-name/x"], DIGITS)[1] == Path("~nobody-of-this-name/x")


def test_help_names_the_fields_of_the_network_and_what_they_are(capsys):
    with pytest.raises(SystemExit):
        config_of("--help")
    text = " ".join(capsys.readouterr().out.split())
    for part in ("--workdir", "--model.embed_dim INT", "width D of the tokens", "--augment.mixup.alpha FLOAT"):
        assert part in text
    for own in ("the file with the experiment. (default", "the run ends. (default: 10)"):
        assert own in text.replace("│ │ ", "")  # the meaning of one flag has nothing of another's
    assert isinstance(load_config(DIGITS), Config)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.py")), ids=lambda path: path.stem)
def test_help_tells_what_every_flag_is(path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # one box below the other, so that a line is of one flag
    with pytest.raises(SystemExit):
        config_of("--config", str(path), "--help")
    flags = re.findall(r"^[│ ] (--\w\S+).*\n(?:[│ ] \S.*\n)*[│ ] {5,}(\S+)", capsys.readouterr().out, re.MULTILINE)
    assert len(flags) > 60
    assert [flag for flag, meaning in flags if meaning == "(default:"] == []
