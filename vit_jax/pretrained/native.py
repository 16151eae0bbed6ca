"""This project's own format: a directory with `config.json` (the module) and `model.safetensors` (its parameters)."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from vit_jax.json_file import read_json, sealed, unsealed, write_json
from vit_jax.models.beit import BeitPretraining
from vit_jax.models.cnn import ConvNet, ResNet9
from vit_jax.models.dino import DinoSwinTransformer, DinoVisionTransformer
from vit_jax.models.discrete_vae import DiscreteVae, TokenEncoder
from vit_jax.models.mae import MaskedAutoencoder
from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.resizing import Resizing
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.write import write_model

FORMAT = "vit_jax"
MODULES: Mapping[str, type[Network]] = {
    module.__name__: module
    for module in (
        *(BeitPretraining, ConvNet, DinoSwinTransformer, DinoVisionTransformer, DiscreteVae, MaskedAutoencoder),
        *(ResNet9, SwinTransformer, TokenEncoder, VisionTransformer),
    )
}
NOT_SAVED = ("parent", "name", "dtype", "remat", "attention")
"""Fields that belong to a use of the module, not to its weights."""


def save_native(
    directory: str | Path, model: Network, params: Mapping[str, Any], class_names: tuple[str, ...] = ()
) -> None:
    """Writes a model that `load_pretrained(directory)` gives back exactly, but for the fields in `NOT_SAVED`.

    Args:
        directory: made if need be; files of an earlier model in it are replaced.
        model: the module.
        params: its parameters, a nested dict.
        class_names: what the outputs mean; kept in `config.json`.
    """
    arrays = {name: np.ascontiguousarray(x) for name, x in flatten_dict(jax.device_get(params), sep="/").items()}
    config = document_of(model, class_names=list(class_names))
    write_model(Path(directory), arrays, FORMAT, {"config.json": config})


def write_module(path: Path, model: Network) -> None:
    """Writes what `read_module` makes a module of again, but for the fields that belong to its use."""
    write_json(path, document_of(model))


def document_of(model: Network, **more: Any) -> dict[str, Any]:
    """What `module_of` makes a module of again, but for the fields that belong to its use, and more beside."""
    fields = {f.name: getattr(model, f.name) for f in dataclasses.fields(model) if f.name not in NOT_SAVED}
    for name in ("preprocessing", "resizing"):
        fields[name] = dataclasses.asdict(fields[name])
    return sealed({"format": FORMAT, "module": type(model).__name__, "fields": fields, **more})


def read_module(path: Path) -> Network:
    """The module that the `config.json` at a path describes; as `module_of`."""
    return module_of(read_json(path), path)


def module_of(config: Mapping[str, Any], path: Path) -> Network:
    """The module that a `config.json` of this package describes; errors name the path.

    Raises:
        ValueError: if it describes none, or is not as it was written.
    """
    config = unsealed(config, path)
    if config.get("module") not in MODULES:
        raise ValueError(f"{path} does not describe a model of this package ({', '.join(MODULES)})")
    module = MODULES[config["module"]]
    known = {f.name for f in dataclasses.fields(module)}
    unknown = sorted(set(config["fields"]) - known)
    if unknown:
        raise ValueError(f"{path} has fields that {config['module']} does not know: {', '.join(unknown)}")
    fields = dict(config["fields"])
    try:
        fields["preprocessing"] = Preprocessing(**fields["preprocessing"])
        fields["resizing"] = Resizing(**fields["resizing"])
        return module(**fields)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} describes no model of this version: {error!r}") from error
