"""Whose weights are these? By the names in the file, its wrappers, and the config beside it."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

from vit_jax.pretrained.publishers.format import Format
from vit_jax.pretrained.publishers.formats import FORMATS, PUBLISHERS
from vit_jax.pretrained.stored import StoredArray, Weights

WRAPPERS = ("teacher", "model_ema", "state_dict_ema", "model", "module", "state_dict", "encoder", "student")
"""Dicts that training code nests parameters in; of several, the first: averages before what they are averages of."""

logger = logging.getLogger(__name__)

NETWORKS = "ViT, DeiT, DINO, DINOv2, BEiT, MAE, Swin and Swin V2"
"""Whose weights are read."""


class Recognised(NamedTuple):
    """A file of weights whose publisher is known.

    Attributes:
        format: how it is stored.
        arrays: by the names of the format's table.
        others: publishers that write the same names, where nothing but the names was asked.
    """

    format: Format
    arrays: Mapping[str, StoredArray]
    others: tuple[str, ...] = ()


def recognise(weights: Weights, config: Mapping[str, Any] | None, publisher: str | None) -> Recognised:
    """Finds out whose weights a file holds.

    Args:
        weights: the file.
        config: the `config.json` beside it, if any.
        publisher: whose they are, if the user says so. Names alone do not tell DeiT, DINO and timm apart.

    Raises:
        ValueError: if the publisher is unknown, or if no format has these names.
    """
    if publisher is not None and publisher not in PUBLISHERS:
        raise ValueError(f"unknown publisher {publisher!r}; it must be one of {', '.join(PUBLISHERS)}")
    wrapper, arrays = unwrap(weights.arrays)
    if publisher is None and config is not None and "architecture" in config:
        publisher = "timm"
    for format in FORMATS:
        if publisher not in (None, format.publisher):
            continue
        if publisher is None and format.wrappers and wrapper not in format.wrappers:
            continue
        respelled = format.respell(arrays)
        if format.fits({*arrays, *respelled}):
            if publisher is None and format.namesake:
                message = "%s is taken for %s's: say publisher=%r if it is theirs, who prepare images otherwise"
                logger.warning(message, weights.path, format.publisher, format.namesake)
            alone = publisher is None and wrapper is None
            return Recognised(format, respelled, others_with(arrays, format) if alone else ())
    if not arrays:
        raise ValueError(f"{weights.path} holds no arrays")
    whose = publisher or f"a known publisher ({', '.join(PUBLISHERS)})"
    named = architecture(config or {})
    said = f"Its config says that they are of {named}. " if named else ""
    raise ValueError(
        f"{weights.path} holds no weights of {whose}: its names are {', '.join(list(weights.arrays)[:5])}, ...\n"
        f"{said}Networks here, of which weights are read: {NETWORKS}"
    )


def architecture(config: Mapping[str, Any]) -> str | None:
    """What timm's or Hugging Face's config calls the network; None if it does not say."""
    named = config.get("architecture") or config.get("architectures") or config.get("model_type")
    return str(named[0] if isinstance(named, list) else named) if named else None


def others_with(arrays: Mapping[str, StoredArray], format: Format) -> tuple[str, ...]:
    """Publishers other than the format's that write such names and resize differently."""
    others = [other for other in FORMATS if other.wrappers and other.resizing != format.resizing]
    found = [other.publisher for other in others if other.fits({*arrays, *other.respell(arrays)})]
    return tuple(dict.fromkeys(found))


def unwrap(arrays: Mapping[str, StoredArray]) -> tuple[str | None, dict[str, StoredArray]]:
    """The parameters inside the dicts that training code saves, with the innermost dict's name; None for no dict.

    What all names begin with, up to a dot, is taken off, too: DistributedDataParallel's "module.", torch.compile's
    "_orig_mod.", or the attribute of another module that the network was, as Lightning's "model.".
    """
    arrays, wrapper = dict(arrays), None
    while True:
        tops = {name.split("/")[0] for name in arrays if "/" in name}
        found = next((name for name in WRAPPERS if name in tops), None)
        if found is None:
            break
        wrapper = found
        arrays = {name.removeprefix(f"{found}/"): x for name, x in arrays.items() if name.startswith(f"{found}/")}
    while len({name.partition(".")[0] for name in arrays}) == 1 and all("." in name for name in arrays):
        arrays = {name.partition(".")[2]: x for name, x in arrays.items()}
    return wrapper, arrays
