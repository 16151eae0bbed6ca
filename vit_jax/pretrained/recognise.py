"""Whose weights are these? By the names in the file, its wrappers, and the config beside it."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vit_jax.pretrained.publishers.format import Format
from vit_jax.pretrained.publishers.formats import FORMATS, PUBLISHERS
from vit_jax.pretrained.stored import StoredArray, Weights

WRAPPERS = ("teacher", "model_ema", "state_dict_ema", "model", "module", "state_dict", "encoder", "student")
"""Dicts that training code nests parameters in; of several, the first: averages before what they are averages of."""

PREFIXES = ("module.", "_orig_mod.", "model.", "backbone.")
"""Of all names: DistributedDataParallel's, torch.compile's, Lightning's, and that of a network beside a head."""

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
    said, prefix = architecture(config or {}), unknown_prefix(arrays)
    advice = advice_on_prefix(weights.arrays, next(iter(arrays)).removeprefix(prefix)) if prefix else ""
    raise ValueError(
        f"{weights.path} holds no weights of {whose}: its names are {', '.join(list(arrays)[:5])}, ...\n"
        f"{advice}{f'Its config says that they are of {said}. ' if said else ''}"
        f"Networks here, of which weights are read: {NETWORKS}"
    )


def architecture(config: Mapping[str, Any]) -> str | None:
    """What timm's or Hugging Face's config calls the network; None if it does not say."""
    named = config.get("architecture") or config.get("architectures") or config.get("model_type")
    return str(named[0] if isinstance(named, list) else named) if named else None


def advice_on_prefix(stored: Iterable[str], bare: str) -> str:
    """How to take off what stands before all names of a file, as it is stored, by one name without it."""
    name = next(name for name in stored if name.endswith(bare))
    wrapper, _, prefix = name.removesuffix(bare).rpartition("/")
    weights = "weights" + "".join(f"[{part!r}]" for part in wrapper.split("/") if part)
    return (
        f"All its names begin with {prefix!r}, and without it they would be known: save the file again with "
        f"{{name.removeprefix({prefix!r}): x for name, x in {weights}.items()}}\n"
    )


def unknown_prefix(arrays: Mapping[str, StoredArray]) -> str:
    """What all names begin with, where they would be a publisher's without it; "" otherwise.

    Such as what a network is an attribute of, as Lightning's "net.".
    """
    parts = next(iter(arrays)).split(".")
    for prefix in (".".join(parts[:count]) + "." for count in range(1, len(parts))):
        bare = {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
        if len(bare) == len(arrays) and any(format.fits({*bare, *format.respell(bare)}) for format in FORMATS):
            return prefix
    return ""


def others_with(arrays: Mapping[str, StoredArray], format: Format) -> tuple[str, ...]:
    """Publishers other than the format's that write such names and resize differently."""
    others = [other for other in FORMATS if other.wrappers and other.resizing != format.resizing]
    found = [other.publisher for other in others if other.fits({*arrays, *other.respell(arrays)})]
    return tuple(dict.fromkeys(found))


def unwrap(arrays: Mapping[str, StoredArray]) -> tuple[str | None, dict[str, StoredArray]]:
    """The parameters inside the dicts that training code saves, with the innermost dict's name; None for no dict.

    Prefixes that all of them have are taken off, too.
    """
    arrays, wrapper = dict(arrays), None
    while True:
        tops = {name.split("/")[0] for name in arrays if "/" in name}
        found = next((name for name in WRAPPERS if name in tops), None)
        if found is None:
            break
        wrapper = found
        arrays = {name.removeprefix(f"{found}/"): x for name, x in arrays.items() if name.startswith(f"{found}/")}
    while prefix := next((p for p in PREFIXES if arrays and all(name.startswith(p) for name in arrays)), None):
        arrays = {name.removeprefix(prefix): x for name, x in arrays.items()}
    return wrapper, arrays
