"""Where weights are: a file, a folder, or a repository on the Hugging Face Hub."""

import logging
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vit_jax.json_file import read_json
from vit_jax.models.registry import MODELS
from vit_jax.pretrained.hub import fetch
from vit_jax.pretrained.weight_files import STANDARD_NAMES, choose_weights, is_weights

logger = logging.getLogger(__name__)

HUB_PREFIXES = ("hf-hub:", "hf_hub:")
"""As timm writes them."""
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
NAMES_OF_NETWORKS = frozenset({"architecture", "architectures", "model_type", "module"})
"""Where the configs of timm, Hugging Face and this package name the network."""
RUNS = "runs"
"""Where train.py keeps runs unless it is told otherwise."""


@dataclass(frozen=True)
class Located:
    """Weights that were found.

    Attributes:
        weights: the file.
        config: the `config.json` beside it, if there is one that is for it.
    """

    weights: Path
    config: Mapping[str, Any] | None

    @property
    def directory(self) -> Path:
        """The folder with both."""
        return self.weights.parent


def locate(source: str | Path, revision: str | None = None) -> Located:
    """Finds weights, on the Hugging Face Hub if `source` is no path but looks like an id there.

    Args:
        source: a file, a folder (Hugging Face's, timm's, a run's workdir or its model/), or a hub id: "owner/name", or
            as timm writes it "hf-hub:owner/name@revision". Where "owner" is a folder here, or "runs", a path is meant.
        revision: branch, tag or commit of a repository on the hub.

    Raises:
        FileNotFoundError: if there is nothing at `source`, or no weights in it.
        ValueError: if it is not clear which file is meant, it is a `config.json`, that is damaged, or the hub refuses.
        ConnectionError: if the hub cannot be reached and has not been asked before.
        OSError: as `fetch`.
        ModuleNotFoundError: for a hub id without huggingface_hub.
    """
    prefix = next((p for p in HUB_PREFIXES if str(source).startswith(p)), None)
    if prefix:
        repository, _, after = str(source).removeprefix(prefix).partition("@")
        return in_folder(fetch(repository, revision or after or None))
    path = Path(os.path.expanduser(source))
    if path.exists():
        if revision is not None:
            raise ValueError(f"{source} is a path; a revision ({revision}) is for repositories on the hub")
        if path.name == "config.json":
            raise ValueError(f"{source} has no weights: give the folder that it is in, {path.parent}")
        return Located(path, config_beside(path)) if path.is_file() else in_folder(path)
    if not HUB_ID.fullmatch(str(source)):
        raise FileNotFoundError(f"no model at {source}: no such file or folder{what_else(str(source))}")
    if path.parent.is_dir() or path.parent.name == RUNS:
        raise FileNotFoundError(
            f"no model at {source}: no such file or folder. A run is there once it has been trained; an id on the hub "
            f"is written hf-hub:{source}"
        )
    if not isinstance(source, str):
        raise FileNotFoundError(f"no model at {source}: no such file or folder, and an id on the hub is a string")
    try:
        return in_folder(fetch(source, revision))
    except (FileNotFoundError, ConnectionError, ModuleNotFoundError, ValueError) as error:
        raise type(error)(f"there is no file or folder {source}; taken as an id on the hub: {error}") from error


def what_else(source: str) -> str:
    """What is said of a source that is neither a path nor written as an id on the hub."""
    name = source.partition(".")[0]
    if name in MODELS:
        return (
            f". A network without weights is vit_jax.create_model({name!r}); timm's weights are hf-hub:timm/{name}.TAG"
        )
    return ", and a hub id would be owner/name"


def in_folder(source: Path) -> Located:
    """The weights in a folder or, if it is a run's workdir, in its model/."""
    directory = source / "model" if is_model(source / "model") else source
    name = choose_weights(directory, [path.name for path in directory.iterdir() if path.is_file()])
    if name is None:
        raise nothing_in(source)
    return Located(directory / name, read_config(directory / "config.json"))


def config_beside(weights: Path) -> Mapping[str, Any] | None:
    """The `config.json` beside a file that was named, if it is of a network and for no other file: None otherwise.

    It is for a file of a name that a config always goes with, and for one that is alone.
    """
    path = weights.parent / "config.json"
    if not path.is_file():
        return None
    others = [file.name for file in weights.parent.iterdir() if file != weights and is_weights(file.name)]
    if weights.name not in STANDARD_NAMES and others:
        logger.warning("%s may be of another file there (%s): it is not read for %s", path, others[0], weights.name)
        return None
    config = read_json(path)
    if NAMES_OF_NETWORKS.isdisjoint(config):
        logger.warning("%s is not read for %s: it names no network", path, weights.name)
        return None
    return config


def is_model(directory: Path) -> bool:
    """Whether a model of this project may be in a directory."""
    return (directory / "model.safetensors").is_file() and (directory / "config.json").is_file()


def nothing_in(source: Path) -> FileNotFoundError:
    """The error of a folder without weights."""
    if (source / "checkpoints").is_dir():
        return FileNotFoundError(f"the run in {source} has not finished: it has checkpoints but no model/ yet")
    return FileNotFoundError(
        f"no model at {source}: expected a file of weights (model.safetensors, *.npz, pytorch_model.bin, ...) there or "
        "in its model/"
    )


def read_config(path: Path) -> Mapping[str, Any] | None:
    """A `config.json`, or None if there is none."""
    return read_json(path) if path.is_file() else None
