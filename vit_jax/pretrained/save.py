"""A network with its parameters, written for this package, timm or Hugging Face."""

import logging
import os
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, Literal

from vit_jax.models.network import Network, check_network
from vit_jax.pretrained import native
from vit_jax.pretrained.folder import check_contents
from vit_jax.pretrained.to_huggingface import to_huggingface
from vit_jax.pretrained.to_timm import to_timm
from vit_jax.pretrained.weight_files import is_weights
from vit_jax.pretrained.write import write_model

logger = logging.getLogger(__name__)

SaveFormat = Literal["vit_jax", "timm", "huggingface"]
WRITERS = {"timm": to_timm, "huggingface": to_huggingface}
"""What makes a folder of each foreign format."""

OF_A_RUN = ("checkpoints", "metrics.jsonl")
"""In the workdir of a run, whose `config.json` is another."""


def save_pretrained(
    directory: str | Path,
    model: Network,
    params: Mapping[str, Any],
    class_names: Sequence[str] = (),
    format: SaveFormat = "vit_jax",
) -> None:
    """Writes a model that `load_pretrained(directory)` gives back: `config.json` and `model.safetensors`.

    The package's own format stores every network, with all its fields except those of its use: `dtype`, `remat` and
    `attention`. The others store what those libraries can represent, and the model computes the same there:

    - "timm": `timm.create_model("local-dir:directory", pretrained=True)`.
    - "huggingface": `AutoModelForImageClassification.from_pretrained(directory)` of transformers 4 and 5, and
      `preprocessor_config.json` for `AutoImageProcessor`.

    They leave out rates of dropout; fixed sin-cos positions become parameters, tokens without a position get zeros
    where the other network has one for each, `mlp_ratio` comes back as the fraction that the hidden layer is, and
    `window_rule` and `resizing` as theirs. What of this applies is logged.

    Args:
        directory: made if need be; files of an earlier model in it are replaced.
        model: the module.
        params: its parameters, a nested dict.
        class_names: what the outputs mean, in their order.
        format: whose.

    Raises:
        ValueError: if this is no network, or none that the format can hold (with the fields and why), the parameters or
            the names are not the module's, or the directory is the workdir of a run, or named as a file of weights.
            Nothing is written then.
        FileExistsError: if it is a file.
    """
    check_network(model)
    directory = Path(os.path.expanduser(directory))
    check_folder(directory)
    if any((directory / name).exists() for name in OF_A_RUN):
        raise ValueError(f"{directory} is the workdir of a run, whose model is in its model/: name another folder")
    if isinstance(class_names, str | Mapping | Set) or not isinstance(class_names, Iterable):
        raise ValueError(f"class_names must be names in the order of the outputs, e.g. a list, not {class_names!r}")
    names = tuple(class_names)
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names must be strings, one a class, not {class_names!r}")
    for note in save(directory, model, params, names, format):
        logger.warning("%s: %s", directory, note)


def check_folder(directory: Path) -> None:
    """Raises a FileExistsError if a path is a file's, and a ValueError if its name is one of a file of weights."""
    if directory.exists() and not directory.is_dir():
        raise FileExistsError(f"{directory} is a file; a model is a folder")
    if is_weights(directory.name) and not directory.exists():
        raise ValueError(f"{directory} is a name of a file; a model is a folder: name one")


def save(
    directory: Path, model: Network, params: Mapping[str, Any], class_names: tuple[str, ...], format: SaveFormat
) -> tuple[str, ...]:
    """As `save_pretrained`; gives what is left out or has another form there, a line each, instead of logging it."""
    if format == "vit_jax":
        check_contents(model, params, class_names)
        native.save_native(directory, model, params, class_names)
        return ()
    if format not in WRITERS:
        raise ValueError(f"unknown format {format!r}; it must be one of vit_jax, {', '.join(WRITERS)}")
    folder = WRITERS[format](model, params, class_names)
    write_model(directory, folder.arrays, "pt", {**folder.beside, "config.json": folder.config})
    return folder.notes
