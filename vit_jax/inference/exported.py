"""A model as a file of StableHLO: a program with its parameters, which runs without this package.

Running such a file is running a program that somebody wrote: load only files from people you trust. The checksum in
`preprocessing.json` tells a damaged file, not a forged one.
"""

import hashlib
import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from jax import export

from vit_jax.json_file import read_json

PROGRAM = "model.stablehlo"
DESCRIPTION = "preprocessing.json"
FORMAT = "vit_jax.exported"


@dataclass(frozen=True)
class ExportedModel:
    """A loaded program; called with images, it gives logits.

    Attributes:
        program: the compiled function.
        description: what `preprocessing.json` says: how images become input, what the classes are called.
    """

    program: Callable[[jax.Array], jax.Array]
    description: Mapping[str, Any]

    def __call__(self, images: Any) -> jax.Array:
        """Images float32 [b, height, width, channels], preprocessed, to logits float32 [b, classes]."""
        return self.program(images)


def load_exported(path: str | Path) -> ExportedModel:
    """Loads what `vit-jax export` wrote. Load only files from people you trust: they are programs.

    Args:
        path: the directory with `model.stablehlo` and `preprocessing.json`.

    Raises:
        FileNotFoundError: if one of the two is missing.
        ValueError: if one is damaged or of another kind.
        ModuleNotFoundError: without flatbuffers.
    """
    require_flatbuffers()
    directory = Path(path)
    for name in (PROGRAM, DESCRIPTION):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory} has no {name}: vit-jax export SOURCE {directory} writes it")
    description = read_json(directory / DESCRIPTION)
    if description.get("format") != FORMAT:
        raise ValueError(f"{directory / DESCRIPTION} does not describe a model that vit-jax export wrote")
    program = (directory / PROGRAM).read_bytes()
    if hashlib.sha256(program).hexdigest() != description.get("sha256"):
        raise ValueError(f"{directory / PROGRAM} is damaged, or not the one that {DESCRIPTION} beside it describes")
    return ExportedModel(jax.jit(export.deserialize(bytearray(program)).call), description)


def require_flatbuffers() -> None:
    """Raises ModuleNotFoundError, with what to do, where JAX could not read or write an exported program."""
    if importlib.util.find_spec("flatbuffers") is None:
        raise ModuleNotFoundError("exported models need flatbuffers: pip install flatbuffers")
