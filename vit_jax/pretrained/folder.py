"""A network as another program's folder: what its files will say, and what that program cannot hold."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.models.windows import WindowRule
from vit_jax.pretrained.converted import Converted, Parameter, check
from vit_jax.pretrained.fixed_positions import fixed_positions
from vit_jax.pretrained.rules import Table, find_ours

Arrays = dict[str, np.ndarray]

RATES = ("drop_rate", "pos_drop_rate", "proj_drop_rate", "attn_drop_rate", "drop_path_rate")
"""Fields that belong to training, not to the weights."""


@dataclass(frozen=True)
class Folder:
    """What is to be written.

    Attributes:
        config: `config.json`.
        arrays: `model.safetensors`, by the publisher's names.
        beside: other JSON files, by their names.
        notes: what is left out or has another form than here, a line each.
    """

    config: Mapping[str, Any]
    arrays: Arrays
    beside: Mapping[str, Mapping[str, Any]]
    notes: tuple[str, ...]


def check_contents(model: Network, params: Mapping[str, Any], class_names: tuple[str, ...]) -> None:
    """Raises a ValueError that lists all that is wrong if these are not the parameters and class names of a network."""
    check_class_names(class_names, model.num_classes, f"this {type(model).__name__}")
    check_parameters(model, params)


def check_parameters(model: Network, params: Mapping[str, Any], but: tuple[str, ...] = ()) -> None:
    """Raises a ValueError that lists all that is wrong if these are not the parameters of a network.

    Args:
        model: the network.
        params: a nested dict of arrays.
        but: what the paths begin with of which nothing is said.
    """
    if not isinstance(params, Mapping) or "params" in params:
        raise ValueError('params must be the nested dict of a network\'s parameters: of model.init(...) its ["params"]')
    flat: dict[str, Any] = flatten_dict(dict(params), sep="/")
    parameters = {path: Parameter(np.shape(array), lambda array=array: array) for path, array in flat.items()}
    problems = [line for line in check(Converted(parameters), model, ()) if not line.split()[1].startswith(but)]
    if problems:
        raise ValueError(f"these are no parameters of this {type(model).__name__}:\n  " + "\n  ".join(problems))


def flat_arrays(params: Mapping[str, Any]) -> Arrays:
    """Parameters by their paths, float32."""
    flat: dict[str, Any] = flatten_dict(jax.device_get(dict(params)), sep="/")
    return {path: np.asarray(array, np.float32) for path, array in flat.items()}


def theirs(arrays: Mapping[str, np.ndarray], table: Table) -> Arrays:
    """Arrays by our paths as the publisher's, by its names."""
    named: Arrays = {}
    for path, array in arrays.items():
        match = find_ours(path, table)
        assert match is not None, f"{path} has no name there: its network should have been refused"
        parts = match.layout.theirs(array, len(match.theirs))
        named |= {name: np.ascontiguousarray(part) for name, part in zip(match.theirs, parts, strict=True)}
    return named


def with_all_positions(model: VisionTransformer, arrays: Arrays) -> Arrays:
    """Parameters with a position for every token: fixed ones as a parameter, zeros for tokens that have none here."""
    arrays = arrays | fixed_positions(model)
    if model.pos_embed == "none":
        return arrays
    rows, columns = model.grid
    absent = model.num_prefix_tokens + rows * columns - arrays["pos_embed"].shape[1]
    return arrays | {"pos_embed": np.pad(arrays["pos_embed"], ((0, 0), (absent, 0), (0, 0)))}


def is_beit(model: VisionTransformer) -> bool:
    """Whether a network has what only the BEiT of the other libraries has."""
    return model.relative_position != "none" or (model.qkv_bias and not model.key_bias)


def same_windows_by(model: SwinTransformer, rule: WindowRule) -> bool:
    """Whether a network's maps are cut into the same windows by another library's rule, at the size that it has."""
    its_own = model.clone(window_rule=rule).window_grids
    pairs = (zip(ours, theirs, strict=True) for ours, theirs in zip(model.window_grids, its_own, strict=True))
    return all(ours.same_windows(theirs) for of_stage in pairs for ours, theirs in of_stage)


def unfit(model: Network, conditions: Mapping[str, tuple[bool, str]]) -> list[str]:
    """Of conditions by the names of fields, (whether it holds, what it is), those that do not hold, a line each."""
    return [f"{name}={getattr(model, name)!r}: {what}" for name, (holds, what) in conditions.items() if not holds]


def refuse(whose: str, model: Network, reasons: list[str]) -> None:
    """Raises a ValueError with the reasons why a publisher's format cannot hold a network, if there are any."""
    if reasons:
        listed = "\n  ".join(reasons)
        raise ValueError(f"{whose} cannot hold this {type(model).__name__}; nothing was written:\n  {listed}")


def encoder_hint(model: Network) -> str:
    """How to come by what other libraries have of a network for pre-training; "" for any other."""
    if isinstance(model, PretrainingNetwork) and isinstance(model.make_encoder(), VisionTransformer | SwinTransformer):
        return "; load_pretrained(source, num_classes=0) gives its encoder"
    return ""


def check_class_names(class_names: tuple[str, ...], num_classes: int, whose: str) -> None:
    """Raises a ValueError if there are names, but not one for each class."""
    if class_names and len(class_names) != num_classes:
        raise ValueError(f"{whose} has {num_classes} classes, but names for {len(class_names)}")


def other_crop(settings: Preprocessing, theirs: str) -> tuple[str, ...]:
    """A note if the other library's centre crop may begin a pixel beside ours."""
    if settings.crop_rounding == theirs or (settings.squash and settings.crop_fraction == 1):
        return ()
    return (f"crop_rounding={settings.crop_rounding!r} is {theirs!r} there: a pixel beside, for some shapes of images",)


def notes_on(model: Network) -> tuple[str, ...]:
    """What every other format leaves out or has in another form."""
    notes = [
        f"left out: {name}={getattr(model, name)}, of training" for name in RATES if getattr(model, name, 0.0) != 0
    ]
    if getattr(model, "pos_embed", None) == "sincos":
        notes.append("the fixed sin-cos positions are written as parameters")
    return tuple(notes)


def ratio_of(hidden: int, width: int) -> float:
    """The ratio of which `int(width * ratio)`, as publishers compute it, is `hidden`."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width


def as_json(value: Any) -> Any:
    """A size as JSON has it."""
    return list(value) if isinstance(value, tuple) else value
