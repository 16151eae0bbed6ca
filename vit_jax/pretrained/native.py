"""This project's own format: a directory with `config.json` (the module) and `model.safetensors` (its parameters)."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from vit_jax.models.cnn import ConvNet, ResNet9
from vit_jax.models.network import Network
from vit_jax.models.parameters import parameter_shapes
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.locate import model_directory

FORMAT = "vit_jax"
MODULES: Mapping[str, type[Network]] = {
    module.__name__: module for module in (ConvNet, ResNet9, SwinTransformer, VisionTransformer)
}
NOT_SAVED = ("parent", "name", "dtype", "remat")
"""Fields that belong to a use of the module, not to its weights."""


def save_pretrained(
    directory: str | Path, model: Network, params: Mapping[str, Any], class_names: tuple[str, ...] = ()
) -> None:
    """Writes a model that `load_pretrained(directory)` gives back exactly.

    Args:
        directory: made if need be; files of an earlier model in it are replaced.
        model: the module.
        params: its parameters, a nested dict.
        class_names: what the outputs mean; kept in `config.json`.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    fields = {f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.name not in NOT_SAVED}
    fields["preprocessing"] = dataclasses.asdict(fields["preprocessing"])
    config = {
        "format": FORMAT,
        "module": type(model).__name__,
        "fields": fields,
        "class_names": list(class_names),
    }
    arrays = {name: np.ascontiguousarray(x) for name, x in flatten_dict(jax.device_get(params), sep="/").items()}
    replace_file(directory / "model.safetensors", lambda path: save_file(arrays, path, metadata={"format": FORMAT}))
    replace_file(directory / "config.json", lambda path: path.write_text(json.dumps(config, indent=2) + "\n"))


def replace_file(path: Path, write: Any) -> None:
    """Calls `write` with a temporary path, then puts that file in the place of `path`: never half a file."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_pretrained(source: str | Path) -> tuple[Network, dict[str, Any]]:
    """Loads a model with its parameters.

    Args:
        source: a run's workdir, or a directory written by `save_pretrained`.

    Returns:
        The module and its parameters, float32 jax arrays in a nested dict.

    Raises:
        FileNotFoundError: if there is no model at `source`.
        ValueError: if a file is damaged, or parameters are missing, unexpected or misshapen; all are listed.
    """
    directory = model_directory(Path(source))
    model = read_module(directory / "config.json")
    weights = directory / "model.safetensors"
    try:
        arrays = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{weights} is damaged or missing: {error}") from error
    check_parameters(model, arrays, weights)
    return model, jax.tree.map(jax.numpy.asarray, unflatten_dict(arrays, sep="/"))


def read_module(path: Path) -> Network:
    """The module that a `config.json` describes."""
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: {error}") from error
    if not isinstance(config, dict) or config.get("format") != FORMAT or config.get("module") not in MODULES:
        raise ValueError(f"{path} does not describe a model of this package ({', '.join(MODULES)})")
    module = MODULES[config["module"]]
    known = {f.name for f in dataclasses.fields(module)}
    unknown = sorted(set(config["fields"]) - known)
    if unknown:
        raise ValueError(f"{path} has fields that {config['module']} does not know: {', '.join(unknown)}")
    fields = tuples(config["fields"])
    fields["preprocessing"] = Preprocessing(**tuples(fields["preprocessing"]))
    return module(**fields)


def tuples(fields: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def check_parameters(model: Network, arrays: Mapping[str, np.ndarray], path: Path) -> None:
    """Compares the parameters in a file with those the module has.

    Raises:
        ValueError: with every missing, unexpected and misshapen one.
    """
    shapes = flatten_dict(parameter_shapes(model), sep="/")
    expected: dict[str, tuple[int, ...]] = jax.tree.map(jax.numpy.shape, shapes)
    problems = [f"missing: {name}" for name in expected if name not in arrays]
    problems += [f"unexpected: {name}" for name in arrays if name not in expected]
    problems += [
        f"misshapen: {name} is {list(arrays[name].shape)}, not {list(shape)}"
        for name, shape in expected.items()
        if name in arrays and arrays[name].shape != shape
    ]
    problems += [f"not float32: {name} is {x.dtype}" for name, x in arrays.items() if x.dtype != np.float32]
    if problems:
        raise ValueError(f"{path} does not fit the model beside it:\n  " + "\n  ".join(problems))
