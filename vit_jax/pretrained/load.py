"""Pretrained weights of any publisher as a module of this package with its parameters."""

import logging
from pathlib import Path
from typing import Any, NamedTuple

import jax

from vit_jax.models.network import Network, check_network
from vit_jax.pretrained.adapt import with_changes
from vit_jax.pretrained.converted import read_parameters
from vit_jax.pretrained.locate import Located, locate, read_config
from vit_jax.pretrained.publishers.huggingface_config import crop_size
from vit_jax.pretrained.stored_network import StoredNetwork, named_errors, read_network

logger = logging.getLogger(__name__)

OTHER_PROBLEMS = ("multi_label_classification", "regression")
"""What Hugging Face calls the tasks whose loss is not that of a softmax."""


class Pretrained(NamedTuple):
    """A module with its parameters.

    Attributes:
        model: the module.
        params: its parameters, a nested dict of float32 arrays.
        class_names: what the outputs mean; () where it is not known.
    """

    model: Network
    params: dict[str, Any]
    class_names: tuple[str, ...]


def load_pretrained(
    source: str | Path,
    *,
    model: Network | None = None,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    window_size: int | tuple[int, ...] | None = None,
    in_channels: int | None = None,
    publisher: str | None = None,
    revision: str | None = None,
) -> tuple[Network, dict[str, Any]]:
    """Loads a network and its parameters: every one comes from the weights, except a new head if one is asked for.

    >>> model, params = load_pretrained("google/vit-base-patch16-224", num_classes=10, image_size=384)
    >>> logits = model.apply({"params": params}, preprocessing(model)(image)[None])  # of one image, [1, 10]

    Args:
        source: a file (.npz, .safetensors, .pth, .pt, .bin, or the .index.json of several), a folder (Hugging Face's,
            timm's, a run's workdir or its model), or an id of the Hugging Face Hub, such as
            "google/vit-base-patch16-224". The config beside a file is read if the file is alone there or has a usual
            name, such as "model.safetensors".
        model: the module that the weights are for. By default it is made of the config in the folder and of the
            shapes. Its epsilon, form of GELU, padding order and `resizing` are set to the publisher's.
        num_classes: of a new head of zeros; 0 for none. The stored head is left out, even where it has as many classes.
            Of a network that was pre-trained without labels the encoder is left. MAE's and BEiT's pools the mean of the
            patches, as they are fine-tuned; `model.clone(pool="token")` reads the class token, as MAE's linear probe,
            and is what Hugging Face's format holds. (A file with MAE's encoder alone is taken for a ViT of DeiT's.)
        image_size: height and width; position embeddings and bias tables are resized as the publisher does. Fixed
            ones of this package's own networks are, too, and are parameters then (`pos_embed="learned"`).
        window_size: of a Swin, likewise.
        in_channels: of the images. With 1 for a network of colour images, a grey image gives the logits that it gives
            that network in three channels; otherwise the patch embedding's channels are taken in turn and scaled, as by
            timm's `in_chans`. Its `preprocessing` changes along. Not with `model`.
        publisher: "google", "timm", "huggingface", "torchvision", "deit" (also DeiT-III and MAE's encoders), "dino",
            "dinov2", "mae", "beit", "beitv2" or "swin": whose weights these are, where names are shared. By default
            timm's, if neither a config nor a wrapper tells. They differ in how they resize.
        revision: branch, tag or commit on the Hub.

    Returns:
        The module, and its parameters: a nested dict of float32 arrays on the default device.

    Raises:
        FileNotFoundError: if there is nothing at `source`.
        ConnectionError: if the hub cannot be reached, and the repository was not downloaded before.
        OSError: if what is downloaded cannot be kept: the cache is full, or may not be written to.
        ValueError: if the file is damaged or unsafe, of no known publisher, or does not fit; then every missing,
            unexpected and misshapen parameter is listed. Also if `model` is no network.
        ModuleNotFoundError: if reading needs a package that is not installed (torch, huggingface_hub).
    """
    stored = open_stored(
        source,
        model=model,
        num_classes=num_classes,
        image_size=image_size,
        window_size=window_size,
        in_channels=in_channels,
        publisher=publisher,
        revision=revision,
    )
    return read(stored)[:2]


def class_names(source: str | Path, revision: str | None = None) -> tuple[str, ...]:
    """The class names of a stored network's outputs, in order; () where nothing beside its weights gives them.

    `source`, `revision` and the errors are as for `load_pretrained` without `model`; weights without a config are not
    opened.
    """
    located = locate(source, revision)
    return () if located.config is None else fitted(read_network(located, None, None), located).class_names


def open_stored(
    source: str | Path,
    *,
    model: Network | None = None,
    num_classes: int | None = None,
    image_size: int | tuple[int, int] | None = None,
    window_size: int | tuple[int, ...] | None = None,
    in_channels: int | None = None,
    publisher: str | None = None,
    revision: str | None = None,
) -> StoredNetwork:
    """What `load_pretrained` loads, opened and checked, but not read yet. Arguments and errors are as there."""
    if model is not None:
        check_network(model)
        if in_channels is not None:
            raise ValueError("in_channels is for a network that the file tells; model= has its own")
    located = locate(source, revision)
    stored = read_network(located, model, publisher)
    return fitted(stored, located, num_classes, image_size, window_size, in_channels)


def warn_other_crop(stored: StoredNetwork, located: Located) -> None:
    """Says where Hugging Face crops images to another size than the network's: DINOv2's has 518 px, its images 224."""
    if stored.format.publisher != "huggingface" or located.config is None:
        return
    crop = crop_size(read_config(located.directory / "preprocessor_config.json") or {})
    height, width, _ = stored.wanted.input_shape
    if crop not in (None, (height, width)):
        message = (
            "%s: images are of the network's %d x %d px; Hugging Face crops them to %d x %d, as image_size=%s does"
        )
        as_there = crop[0] if crop[0] == crop[1] else crop
        logger.warning(message, located.directory, height, width, *crop, as_there)


def warn_no_alternatives(stored: StoredNetwork, located: Located) -> None:
    """Says where the outputs of Hugging Face's network are no classes of which one holds: its loss was another."""
    problem = (located.config or {}).get("problem_type")
    if stored.format.publisher == "huggingface" and stored.model.num_classes and problem in OTHER_PROBLEMS:
        message = (
            "%s: its outputs are no alternatives (problem_type %s): the probabilities of vit-jax predict, a softmax, "
            "do not hold"
        )
        logger.warning(message, located.directory, problem)


def read(stored: StoredNetwork) -> Pretrained:
    """Reads the parameters of a network that is checked."""
    params = read_parameters(stored.converted.parameters, jax.device_put)
    return Pretrained(stored.model, params, stored.class_names)


def fitted(
    stored: StoredNetwork,
    located: Located,
    num_classes: int | None = None,
    image_size: Any = None,
    window_size: Any = None,
    in_channels: int | None = None,
) -> StoredNetwork:
    """A network made fit for another task or image, as `load_pretrained` does, and checked; not read yet."""
    whose = f"{located.weights} ({stored.format.publisher})"
    with named_errors(whose):
        if image_size is None:
            warn_other_crop(stored, located)
        if num_classes is None:
            warn_no_alternatives(stored, located)
    return with_changes(stored, whose, num_classes, image_size, window_size, in_channels)
