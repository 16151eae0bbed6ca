"""A pretrained network made fit for another task or image: a new head, resized embeddings."""

import dataclasses
import logging
import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict

from vit_jax.models.network import Network, check_network
from vit_jax.models.parameters import shapes_by_path
from vit_jax.models.pretraining import encoder_of
from vit_jax.models.relative_position import CLASS_TOKEN_ENTRIES, table_rows
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.channels import with_channels
from vit_jax.pretrained.converted import Converted, Parameter, check, read_parameters
from vit_jax.pretrained.fixed_positions import fixed_positions
from vit_jax.pretrained.folder import check_parameters
from vit_jax.pretrained.publishers.format import Format
from vit_jax.pretrained.publishers.formats import own_format
from vit_jax.pretrained.resize import resize_bias_table, resize_position_embedding
from vit_jax.pretrained.stored_network import StoredNetwork, classifier_of, named_errors

logger = logging.getLogger(__name__)

HEADS = ("head/", "head_dist/")


def adapt(
    model: Network,
    params: Mapping[str, Any],
    *,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    window_size: int | tuple[int, ...] | None = None,
    in_channels: int | None = None,
) -> tuple[Network, dict[str, Any]]:
    """A network for other classes, images or windows, made of one in memory: what `load_pretrained` with the same
    arguments makes of it once it is saved, except that it keeps its `dtype`, `remat` and `attention`.

    >>> model, params = adapt(model, params, num_classes=10, image_size=384)

    Not for use under `jit`: arrays are changed by NumPy.

    Args:
        model: the module.
        params: its parameters, the nested dict of `model.init(...)["params"]`. They stay as they are.
        num_classes: of a new head of zeros, or 0 for none, as for `load_pretrained`; so are the others.
        image_size: height and width; position embeddings and bias tables are resized as `model.resizing` says.
        window_size: of a Swin, likewise.
        in_channels: of the images.

    Returns:
        The module, and its parameters: a nested dict of float32 arrays on the default device, of the shapes that
        `model.init` of this module gives.

    Raises:
        ValueError: if this is no network, these are not its parameters (what is wrong is listed), or it cannot be made
            as is asked for.
    """
    check_network(model)
    check_parameters(model, params)
    flat: dict[str, Any] = flatten_dict(dict(params), sep="/")
    parameters = {path: Parameter(np.shape(array), partial(np.array, array)) for path, array in flat.items()}
    stored = StoredNetwork(model, model, Converted(parameters), own_format(flat, model.resizing))
    stored = with_changes(stored, f"this {type(model).__name__}", num_classes, image_size, window_size, in_channels)
    return stored.model, read_parameters(stored.converted.parameters, jax.device_put)


def with_changes(
    stored: StoredNetwork,
    whose: str,
    num_classes: int | None,
    image_size: Any,
    window_size: Any,
    in_channels: int | None,
) -> StoredNetwork:
    """A network with all that is asked for, None for its own, and checked; errors say whose it is.

    Raises:
        ValueError: if it cannot be made; if its parameters do not fit it, with every line of what is wrong.
    """
    with named_errors(whose):
        if num_classes is not None:
            stored = with_new_head(stored, num_classes)
        if in_channels is not None:
            stored = with_channels(stored, in_channels)
        stored = with_sizes(stored, image_size, window_size)
        problems = stored.converted.problems + check(stored.converted, stored.model, stored.format.table)
    if problems:
        lines = "\n  ".join(problems)
        raise ValueError(f"{whose} does not fit a {type(stored.model).__name__}:\n  {lines}")
    return dataclasses.replace(stored, model=stored.model.clone(resizing=stored.format.resizing))


def with_new_head(stored: StoredNetwork, num_classes: int) -> StoredNetwork:
    """A network with a head of zeros (ViT, appendix B.1.1) for that many classes, 0 for none, instead of its own.

    Of a pre-training network (MAE, BEiT) the encoder is left.
    """
    stored = classifier_of(stored)
    changes: dict[str, Any] = dict(num_classes=num_classes)
    parameters = {path: x for path, x in stored.converted.parameters.items() if not path.startswith(HEADS)}
    if num_classes == 0 and getattr(stored.model, "distilled", False):  # without its head the token only takes part
        changes |= dict(distilled=False, answer="mean", num_registers=1)
        parameters["reg_token"] = parameters.pop("dist_token")
    model = stored.model.clone(**changes)
    new = {path: filled(shape, 0) for path, shape in shapes_by_path(model).items() if path.startswith(HEADS)}
    if new:
        before = stored.model.num_classes
        was = f"the stored head of {before} classes is left out" if before else "no head was stored"
        logger.warning("%s: new, of zeros, for %d classes; %s", ", ".join(new), num_classes, was)
    return dataclasses.replace(
        stored,
        model=model,
        wanted=stored.wanted.clone(**changes),
        converted=dataclasses.replace(stored.converted, parameters=parameters | new),
        class_names=(),
    )


def filled(shape: tuple[int, ...], value: float) -> Parameter:
    """A new parameter, of one value everywhere."""
    return Parameter(shape, lambda: np.full(shape, value, np.float32))


def with_sizes(stored: StoredNetwork, image_size: Any, window_size: Any) -> StoredNetwork:
    """A network for another image or other windows (None for its own), with resized embeddings.

    Fixed positions for another grid of patches would be others than it was trained with: they become parameters, which
    are resized as learned ones.

    One of another kind than is stored is left as it is, for `check` to list what does not fit.

    Raises:
        ValueError: if windows are given for a network that has none.
    """
    sizes = {name: x for name, x in (("image_size", image_size), ("window_size", window_size)) if x is not None}
    if "window_size" in sizes and not hasattr(stored.model, "window_size"):
        raise ValueError(f"window_size is for Swin; a {type(stored.model).__name__} has no windows")
    wanted = stored.wanted.clone(**sizes)
    if type(encoder_of(wanted)) is not type(encoder_of(stored.model)):
        return dataclasses.replace(stored, model=wanted)
    if wanted == stored.model and not mixes_up_biases(stored.format, wanted):
        return stored
    fixed = getattr(stored.model, "pos_embed", None) == getattr(wanted, "pos_embed", None) == "sincos"
    if fixed and grid(stored.model) != grid(wanted):
        stored, wanted = with_learned_positions(stored), wanted.clone(pos_embed="learned")
    if isinstance(stored.model, SwinTransformer) and isinstance(wanted, SwinTransformer):
        wanted = stored.format.rescaled(stored.model, wanted)
    fitting, expected = shapes_by_path(stored.model), shapes_by_path(wanted)

    def fitted(path: str, parameter: Parameter) -> Parameter:
        if path not in expected or parameter.shape != fitting.get(path):
            return parameter  # for `check` to list
        return resized(path, parameter, stored.model, wanted, stored.format)

    parameters = {path: fitted(path, x) for path, x in stored.converted.parameters.items()}
    if stored.others and any(parameters[path] is not x for path, x in stored.converted.parameters.items()):
        message = "resized as %s does; %s write the same names and resize otherwise: say publisher= if it is theirs"
        logger.warning(message, stored.format.publisher, " and ".join(stored.others))
    return dataclasses.replace(
        stored, model=wanted, converted=dataclasses.replace(stored.converted, parameters=parameters)
    )


def with_learned_positions(stored: StoredNetwork) -> StoredNetwork:
    """A network of fixed positions with these as parameters: it computes the same."""
    added = {path: Parameter(x.shape, lambda x=x: x) for path, x in fixed_positions(stored.model).items()}
    converted = dataclasses.replace(stored.converted, parameters=stored.converted.parameters | added)
    return dataclasses.replace(stored, model=stored.model.clone(pos_embed="learned"), converted=converted)


def resized(path: str, parameter: Parameter, stored: Network, wanted: Network, format: Format) -> Parameter:
    """A parameter of `stored`; of what goes by the size of images or windows, resized to those of `wanted`."""
    if path.split("/")[-1] == "pos_embed":
        old, new = grid(stored), grid(wanted)
        prefix = parameter.shape[1] - math.prod(old)
        shape = (1, prefix + math.prod(new), parameter.shape[2])

        def read_positions() -> np.ndarray:
            return resize_position_embedding(parameter.read(), prefix, old, new, format.resizing.positions)

        return parameter if old == new else Parameter(shape, read_positions)
    if path.endswith("relative_position_bias/table"):
        old, new = window(stored, path), window(wanted, path)
        class_token = not isinstance(encoder_of(wanted), SwinTransformer)
        rows, extra = table_rows(new, class_token), CLASS_TOKEN_ENTRIES if class_token else 0

        def read_table() -> np.ndarray:
            return resize_bias_table(parameter.read(), old, new, format.resizing.bias_tables, extra)

        is_as_stored = old == new and not mixes_up_biases(format, wanted)
        return parameter if is_as_stored else Parameter((rows, parameter.shape[1]), read_table)
    return parameter


def mixes_up_biases(format: Format, model: Network) -> bool:
    """Whether tables of position biases are read in another order, as `resize_bias_table` says, at their own size, too:
    as Hugging Face reads those of a BEiT for images that are not square."""
    height, width, _ = model.input_shape
    of_beit = format.publisher == "huggingface" and format.resizing.bias_tables == "bilinear"
    return of_beit and isinstance(encoder_of(model), VisionTransformer) and height != width


def grid(model: Network) -> tuple[int, int]:
    """Rows and columns of patches."""
    model = encoder_of(model)
    assert isinstance(model, VisionTransformer), "nothing else has what goes by its patches"
    return model.grid


def window(model: Network, path: str) -> tuple[int, int]:
    """The window that a bias table is for: all patches in BEiT, that of its block in Swin."""
    model, path = encoder_of(model), path.removeprefix("encoder/")
    if isinstance(model, SwinTransformer):
        stage, block = (int(part.rpartition("_")[2]) for part in path.split("/")[:2])
        return model.window_grids[stage][block].window
    return grid(model)
