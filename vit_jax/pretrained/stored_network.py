"""The network that is stored somewhere: module and parameters as they were saved, before anything is changed."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any

from vit_jax.models.network import Network
from vit_jax.models.pretraining import PretrainingNetwork, encoder_of
from vit_jax.models.swin import SwinTransformer
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained import native
from vit_jax.pretrained.architecture import stored_sizes
from vit_jax.pretrained.converted import Converted, convert
from vit_jax.pretrained.locate import Located
from vit_jax.pretrained.publishers import networks
from vit_jax.pretrained.publishers.format import Format
from vit_jax.pretrained.publishers.formats import own_format
from vit_jax.pretrained.recognise import recognise
from vit_jax.pretrained.stored import Weights
from vit_jax.pretrained.weight_files import open_weights

logger = logging.getLogger(__name__)

OF_PRETRAINING = (networks.masked_autoencoder, networks.beit_pretraining)
"""What makes a network that has an encoder, which may be asked for alone."""

NUMERICS = ("norm_eps", "gelu", "window_rule")
"""Fields that the publisher decides even where the caller gives the module."""


@dataclass(frozen=True)
class StoredNetwork:
    """A network in a file.

    Attributes:
        model: the module that the parameters are for.
        wanted: the module to make of it: the caller's, which may differ in the sizes of image and windows.
        converted: the parameters, not read yet, and what is wrong with the file.
        format: how its publisher stores and resizes it.
        class_names: what the outputs mean; () where it is not known.
        others: publishers that write the same names, where nothing tells whose the file is.
    """

    model: Network
    wanted: Network
    converted: Converted
    format: Format
    class_names: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def read_network(located: Located, model: Network | None, publisher: str | None) -> StoredNetwork:
    """Reads what is stored: all but the arrays themselves.

    Args:
        located: the file and its config.
        model: the module, if the caller gives it.
        publisher: whose weights they are, if the caller says so.

    Raises:
        ValueError: if the file is damaged or not recognised, or does not tell the module.
    """
    weights = open_weights(located.weights)
    if is_own(weights, located.config):
        if publisher is not None:
            raise ValueError(f"{located.weights} is this package's: publisher={publisher!r} is for weights of others")
        return read_own(located, weights, model)
    format, arrays, others = recognise(weights, located.config, publisher)
    converted = convert(arrays, format.table, format.left_out)
    log_left_out(located, converted)
    with named_errors(f"{weights.path} ({format.publisher})", converted.problems):
        configured = {} if located.config is None else format.configured(located.config)
        class_names = format.class_names(located.config or {})
        stated = {**format.fields_in_arrays(arrays), **configured}
        known = {**format.known, **stated}
        if model is None:
            network = format.network(converted.shapes(), known)
            warn_assumed_gelu(located, format, network)
            network = wanted = network.clone(preprocessing=format.prepared(located, network))
        else:
            check_heads(stated.get("num_heads"), model)
            if isinstance(model, VisionTransformer) and format.network in OF_PRETRAINING:
                converted = encoder_parameters(converted)
            wanted = with_numerics(model, known)
            network = wanted.clone(**given_sizes(wanted, known, converted))
    return StoredNetwork(network, wanted, converted, format, class_names if network.num_classes else (), others)


@contextmanager
def named_errors(whose: str, problems: Sequence[str] = ()) -> Iterator[None]:
    """Whatever error a file or the JSON beside it leads to is a ValueError that names the file.

    A stranger's values may be of any kind and size, and are not looked at one by one.

    Args:
        whose: the file, and the publisher whose it is taken for.
        problems: what else is wrong with it, a line each.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError) as error:
        if isinstance(error, ValueError):
            reason = str(error)
        elif isinstance(error, KeyError):
            reason = f"{error.args[0]} is missing"
        else:
            reason = f"something in it, in a config beside it or asked for is of a wrong kind or size: {error!r}"
        listed = "".join(f"\n  {problem}" for problem in problems)
        raise ValueError(f"{whose}: {reason}{listed}") from error


def log_left_out(located: Located, converted: Converted) -> None:
    """Says, at level INFO, of how many of a file's arrays no parameter is made, and why."""
    for reason, count in Counter(converted.left_out.values()).items():
        logger.info("%s: %d arrays are left out: %s", located.weights, count, reason)


def warn_assumed_gelu(located: Located, format: Format, network: Network) -> None:
    """Says that a form of GELU is assumed where timm's networks of CLIP's or SigLIP's parts come without a config.

    These have several forms, and neither names nor shapes tell which.
    """
    of_such_parts = isinstance(network, VisionTransformer) and (network.pre_norm or network.pool == "map")
    if format.publisher == "timm" and located.config is None and of_such_parts:
        message = (
            "%s: erf GELU is assumed, as no config beside it was read; OpenAI's CLIP has quick GELU, newer SigLIP "
            "networks tanh, and the Perception Encoder rotary positions, which no network here has: keep timm's "
            "config.json beside the file, or set the form by clone(gelu=...)"
        )
        logger.warning(message, located.weights)


def with_numerics(model: Network, known: Mapping[str, Any]) -> Network:
    """A module with the publisher's numerics, as far as they are known: of Swin V2 the scale of its biases, too."""
    names = [name for name in NUMERICS if hasattr(model, name)]
    if isinstance(model, SwinTransformer) and model.version == 2:
        names += ["pretrained_window_sizes"]
    return model.clone(**{name: known[name] for name in names if name in known})


def given_sizes(model: Network, known: Mapping[str, Any], converted: Converted) -> dict[str, Any]:
    """The sizes of image and windows that parameters have, where they are not those of the module given for them."""
    if isinstance(model, SwinTransformer) and model.version == 2:  # whose shapes are those of any window
        return {name: known[name] for name in ("image_size", "window_size") if name in known}
    return stored_sizes(model, converted.shapes())


def check_heads(stored: Any, model: Network) -> None:
    """Raises ValueError if a module has another number of attention heads than is known of the file."""
    heads = getattr(model, "num_heads", None)
    if isinstance(heads, int) and isinstance(stored, int) and stored != heads:
        raise ValueError(f"it is for {stored} attention heads; model= has {heads}")


def is_own(weights: Weights, config: Mapping[str, Any] | None) -> bool:
    """Whether a file has this package's own names."""
    return (config or {}).get("format") == native.FORMAT or (
        any(name in weights.arrays for name in ("patch_embed/kernel", "head/kernel", "encoder/patch_embed/kernel"))
        and "embedding/kernel" not in weights.arrays
    )


def read_own(located: Located, weights: Weights, model: Network | None) -> StoredNetwork:
    """As `read_network`, of this package's own format."""
    config, names = None, ()
    if located.config is not None and located.config.get("format") == native.FORMAT:
        config = native.module_of(located.config, located.directory / "config.json")
        names = tuple(located.config.get("class_names", ())) if config.num_classes else ()
    known = config or model
    if known is None:
        raise ValueError(
            f"{located.weights} has this package's parameters, but no config.json of theirs beside it was read: give "
            "model= with the module that they are for, or the folder that save_pretrained wrote"
        )
    format = own_format(weights.arrays, known.resizing)
    converted = convert(weights.arrays, format.table, {})
    if isinstance(config, PretrainingNetwork) and not isinstance(model, PretrainingNetwork | None):
        config, converted = config.make_encoder(), encoder_parameters(converted)
    with named_errors(f"{located.weights} ({format.publisher})", converted.problems):
        stored = config or known.clone(**stored_sizes(known, converted.shapes()))
        wanted = model or stored
        if config is not None and model is not None:
            check_heads(getattr(config, "num_heads", None), model)
            wanted = with_numerics(model, {field.name: getattr(config, field.name) for field in fields(config)})
    return StoredNetwork(stored, wanted, converted, format, names)


def encoder_parameters(converted: Converted) -> Converted:
    """The encoder of a pre-training network: without decoder, head and mask token."""

    def inner(path: str) -> bool:
        return path.startswith("encoder/") and path != "encoder/mask_token"

    return Converted(
        {path.removeprefix("encoder/"): x for path, x in converted.parameters.items() if inner(path)},
        {path.removeprefix("encoder/") for path in converted.broken if inner(path)},
        converted.problems,
    )


def classifier_of(stored: StoredNetwork) -> StoredNetwork:
    """A pre-training network's encoder as a network of its own, without a head; any other network as it is.

    Where its blocks share one relative position bias, each gets it as its own (BEiT, `run_class_finetuning.py`).
    """
    if not isinstance(stored.model, PretrainingNetwork):
        return stored
    converted = encoder_parameters(stored.converted)
    encoder = encoder_of(stored.model)
    if isinstance(encoder, VisionTransformer) and encoder.relative_position == "shared":
        converted = with_bias_of_each_block(converted, encoder.depth)
    model, wanted = classifying_encoder(stored.model), classifying_encoder(stored.wanted)
    return replace(stored, model=model, wanted=wanted, converted=converted)


def classifying_encoder(model: Network) -> Network:
    """The encoder of a pre-training network as it is fine-tuned: nothing is masked, each block has its own biases."""
    encoder = encoder_of(model)
    if not isinstance(encoder, VisionTransformer):
        return encoder
    own = "per_block" if encoder.relative_position == "shared" else encoder.relative_position
    return encoder.clone(mask_token=False, relative_position=own)


def with_bias_of_each_block(converted: Converted, depth: int) -> Converted:
    """Parameters whose shared table of position biases is each block's own."""
    shared = "relative_position_bias/table"
    own = [f"blocks_{i}/attn/{shared}" for i in range(depth)]

    def spread(paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        for path in paths:
            yield from ((name, path) for name in (own if path == shared else [path]))

    parameters = {name: converted.parameters[path] for name, path in spread(converted.parameters)}
    return Converted(parameters, {name for name, _ in spread(converted.broken)}, converted.problems)
