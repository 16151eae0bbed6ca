"""`python train.py [--config FILE] [--workdir DIR] [--any.field VALUE]`: a config file with fields overridden.

The flags are the fields of the config at hand: those of its network (`--model.depth`), whichever it is, and of each
step of its augmentation (`--augment.mixup.alpha`). tyro checks types and answers typos with the nearest names.
"""

import argparse
import dataclasses
import inspect
import os
import re
import runpy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import tyro

from vit_jax.models.registry import MODELS, create_model, model_fields
from vit_jax.training.config import DECIDED, Adapted, Config, ModelConfig

SET_ELSEWHERE = ("parent", "name", "resizing", *DECIDED)
"""Fields of a network that are not flags: Flax's own, and those that the data set, the config and weights decide."""

SOURCES = ("name", "pretrained", "publisher", "revision")
"""Fields of `ModelConfig` that say where the network comes from."""


def parse(arguments: Sequence[str], default_config: Path) -> tuple[Config, Path]:
    """Reads the command line.

    Args:
        arguments: without the program's name.
        default_config: the config file where `--config` is not given.

    Returns:
        The config and the directory of the run, by default runs/ and the config file's name.

    Raises:
        FileNotFoundError: if there is no such config file.
        ValueError: if the config file has no `get_config`, or the model is unknown.
        SystemExit: after printing help or what is wrong with a flag.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config", type=Path, default=default_config)
    early.add_argument("--model.name", dest="name")
    early.add_argument("--model.pretrained", dest="pretrained")
    given, _ = early.parse_known_args(arguments)

    config = load_config(given.config)
    config = dataclasses.replace(config, model=chosen_model(config.model, given.name, given.pretrained))
    refuse_decided(arguments, config.model)
    flags = tyro.cli(
        flag_type(config, given.config),
        args=arguments,
        prog="train.py",
        use_underscores=True,
        config=(tyro.conf.AvoidSubcommands, tyro.conf.FlagConversionOff),
    )
    return with_flags(config, flags), Path(os.path.expanduser(flags.workdir))


def refuse_decided(arguments: Sequence[str], model: ModelConfig) -> None:
    """Raises ValueError for a flag of a field that networks have and that is no flag, with who decides it."""
    settable = (*SOURCES, *(field.name for field in dataclasses.fields(Adapted)))
    fields = {field.name for module, _ in MODELS.values() for field in dataclasses.fields(module)}
    flags = [argument.partition("=")[0].replace("-", "_") for argument in arguments]
    for name in (flag.removeprefix("__model.") for flag in flags if flag.startswith("__model.")):
        if name in DECIDED:
            raise ValueError(f"--model.{name} is no flag: {DECIDED[name]}")
        if model.pretrained is not None and name in fields and name not in settable:
            raise ValueError(
                f"--model.{name} is no flag where weights are given: they decide it. One can set {', '.join(settable)}"
            )


def load_config(path: Path) -> Config:
    """Runs a config file and calls its `get_config()`.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is no Python file, defines no config, or one that cannot be; names the file.
    """
    path = Path(os.path.expanduser(path))
    if not path.is_file():
        known = sorted(str(other) for other in path.parent.glob("*.py"))
        raise FileNotFoundError(f"no config file {path}" + (f"; there are {', '.join(known)}" if known else ""))
    if path.suffix != ".py":
        raise ValueError(
            f"{path} is no config file, which is written in Python, as configs/vit_digits.py is. A run goes on by the "
            "command that began it; the config.json in its workdir is only a record"
        )
    try:
        get_config = runpy.run_path(str(path)).get("get_config")
        config = get_config() if callable(get_config) else None
    except (ValueError, ImportError) as error:
        raise ValueError(f"{path}: {error}") from error
    if not isinstance(config, Config):
        raise ValueError(f"{path} must define get_config() that returns a vit_jax.training.config.Config")
    return config


def chosen_model(model: ModelConfig, name: str | None, pretrained: str | None) -> ModelConfig:
    """The config's network, or the one that `--model.name` and `--model.pretrained` choose.

    Another network by name has its own registered fields, none of the config's. Other pretrained weights in the place
    of a config's keep the config's fields, which belong to the recipe.
    """
    if model.pretrained is not None:
        return dataclasses.replace(model, name=name or model.name, pretrained=pretrained or model.pretrained)
    if pretrained is not None:
        return ModelConfig(name or "", pretrained=pretrained)
    return ModelConfig(name) if name and name != model.name else model


def flag_type(config: Config, path: Path) -> type:
    """A dataclass with a field for every flag; the config's values are the defaults."""
    flags: list[tuple[str, Any, Any]] = [
        ("config", Path, path),
        ("workdir", Path, Path("runs") / path.stem),
        ("model", *model_flags(config.model)),
        ("augment", *augment_flags(config)),
    ]
    hints = get_type_hints(Config)
    rest = [field.name for field in dataclasses.fields(Config) if field.name not in ("model", "augment")]
    hints["objective"] = type(config.objective)  # its fields alone, not those of all objectives
    flags += [(name, hints[name], getattr(config, name)) for name in rest]
    doc = inspect.cleandoc(Config.__doc__ or "")
    doc += "\n    config: the file with the experiment.\n    workdir: where the run is kept.\n"
    return flags_dataclass("Flags", flags, doc)


def model_flags(model: ModelConfig) -> tuple[type, Any]:
    """The type and the defaults of the flags `--model.*`: where the network comes from, and its fields.

    These are all fields of a named network, and those of a pretrained one that may be set: its file is not opened here.
    """
    if model.pretrained is None:
        create_model(model.name, **model.fields)  # answers unknown fields with the nearest
        module, _ = MODELS[model.name]
    else:
        module = Adapted
    hints, values = get_type_hints(module), {**default_fields(model), **model.fields}
    fields = [(name, hints[name], value) for name, value in values.items() if name not in SET_ELSEWHERE]
    hints = get_type_hints(ModelConfig)
    sources = [(name, hints[name], getattr(model, name)) for name in SOURCES]
    kind = flags_dataclass("Model", [*sources, *fields], with_attributes_of(ModelConfig, module))
    return kind, kind()


def with_attributes_of(first: type, second: type) -> str:
    """The docstring of `second` with the attributes of both, and of the classes that `second` has fields from."""
    title, _, _ = inspect.cleandoc(second.__doc__ or "").partition("Attributes:\n")
    attributes = filter(None, map(own_attributes, (first, *second.__mro__)))
    return f"{title.rstrip()}\n\nAttributes:\n" + "\n".join(attributes)


def own_attributes(kind: type) -> str:
    """What the docstring of this class itself says of its attributes."""
    _, _, rest = inspect.cleandoc(vars(kind).get("__doc__") or "").partition("Attributes:\n")
    return rest.partition("\n\n")[0].rstrip()


def default_fields(model: ModelConfig) -> dict[str, Any]:
    """The fields of the network that are flags, with their values where the config does not set them."""
    if model.pretrained is None:
        return model_fields(model.name)
    return {field.name: field.default for field in dataclasses.fields(Adapted)}


def augment_flags(config: Config) -> tuple[type, Any]:
    """The type and the defaults of the flags `--augment.*`: the fields of each transform, by its name."""
    flags, seen = [], []
    for transform in config.augment:
        name = re.sub(r"(?<!^)(?=[A-Z])", "_", type(transform).__name__).lower()
        seen.append(name)
        again = f"_{seen.count(name)}" if seen.count(name) > 1 else ""
        flags.append((name + again, type(transform), transform))
    kind = flags_dataclass("Augment", flags, "What is done to training images, in this order.")
    return kind, kind()


def flags_dataclass(name: str, flags: Sequence[tuple[str, Any, Any]], doc: str | None) -> type:
    """A frozen dataclass with these fields (name, type, default) and this docstring, from which tyro takes the help."""
    fields = [(field, kind, dataclasses.field(default=value)) for field, kind, value in flags]
    return dataclasses.make_dataclass(name, fields, frozen=True, namespace={"__doc__": doc})


def with_flags(config: Config, flags: Any) -> Config:
    """The config with the values of the flags."""
    sources = {name: getattr(flags.model, name) for name in SOURCES}
    model = ModelConfig(**sources)
    defaults = default_fields(model)
    given = {field.name: getattr(flags.model, field.name) for field in dataclasses.fields(flags.model)}
    changed = {name: x for name, x in given.items() if name not in SOURCES and x != defaults.get(name)}
    rest = [field.name for field in dataclasses.fields(Config) if field.name not in ("model", "augment")]
    return dataclasses.replace(
        config,
        model=dataclasses.replace(model, fields=changed),
        augment=tuple(getattr(flags.augment, field.name) for field in dataclasses.fields(flags.augment)),
        **{name: getattr(flags, name) for name in rest},
    )
