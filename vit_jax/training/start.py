"""What a run starts from: a network of fresh parameters, pretrained weights, or the checkpoint of the run before."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flax.core import FrozenDict

from vit_jax.models.network import Network
from vit_jax.models.network_input import fits_channels, squashes
from vit_jax.models.parameters import parameter_count, shapes_by_path
from vit_jax.models.pretraining import PretrainingNetwork
from vit_jax.models.registry import create_model
from vit_jax.pretrained.adapt import HEADS, filled
from vit_jax.pretrained.converted import Parameter, read_parameters
from vit_jax.pretrained.load import fitted
from vit_jax.pretrained.locate import locate
from vit_jax.pretrained.native import read_module
from vit_jax.pretrained.stored_network import StoredNetwork, classifier_of, read_network
from vit_jax.training.checkpoint import has_checkpoint
from vit_jax.training.config import Config, ModelConfig

NETWORK = "network.json"
"""The file in a workdir that has the network of pretrained weights, so that a run goes on without their source."""


@dataclass(frozen=True)
class Start:
    """A network and where its parameters come from.

    Attributes:
        config: of the network.
        network: with the config's fields; but for a fresh one, classes are to be decided by the data set.
        stored: pretrained weights without their head, opened and checked, but not read; None for a fresh network, and
            for a run that goes on from a checkpoint.
        head: the stored head's parameters, by their paths and not read, where it may be of use.
        class_names: what its outputs mean.
    """

    config: ModelConfig
    network: Network
    stored: StoredNetwork | None = None
    head: Mapping[str, Parameter] = FrozenDict()
    class_names: tuple[str, ...] = ()

    def with_head_for(self, class_names: tuple[str, ...], model: Network) -> "Start":
        """The start of a network `for_data`, with the stored head only if it is for these classes, in their order."""
        if self.stored is None or not self.head:
            return self
        new = {path: s for path, s in shapes_by_path(model).items() if path not in self.stored.converted.parameters}
        fits = new == {path: parameter.shape for path, parameter in self.head.items()}
        return self if fits and class_names == self.class_names else dataclasses.replace(self, head={})

    def for_data(self, name: str, num_classes: int, image_shape: tuple[int, int, int]) -> Network:
        """The network for a data set with images (H, W, C); one for pre-training has no classes.

        Where its config does not say how images are prepared, it crops nothing: training shows it whole images,
        squashed where they have other proportions than its own, and so does what comes after. (Of images that are
        loaded in other proportions, training squashes these; what comes after, the images themselves.)

        Raises:
            ValueError: if it is pretrained on images of channels that these cannot be shown in, or normalises by the
                means of others.
        """
        in_channels = image_shape[2]
        if self.config.pretrained is not None:
            if not fits_channels(in_channels, self.network.in_channels):
                raise ValueError(
                    f"the network in {self.config.pretrained} takes images of {self.network.in_channels} channels; "
                    f"those of {name} have {in_channels}. Take weights or images of the other kind"
                )
            in_channels = self.network.in_channels
        if isinstance(self.network, PretrainingNetwork):
            num_classes = 0
        means = len(self.network.preprocessing.mean)
        if means not in (1, in_channels):
            raise ValueError(
                f"{self.config.title} normalises images by the means of {means} channels; those of {name} have "
                f"{in_channels}. Set model.preprocessing.mean and model.preprocessing.std to one value, or one for each"
            )
        preprocessing = self.network.preprocessing
        if "preprocessing" not in set_fields(self.config):
            squash = squashes(self.network, image_shape)
            preprocessing = dataclasses.replace(preprocessing, crop_fraction=1.0, squash=squash)
        return self.network.clone(num_classes=num_classes, in_channels=in_channels, preprocessing=preprocessing)

    def read(self, model: Network) -> dict[str, Any] | None:
        """The parameters of a network `for_data`, on the host; None where nothing is stored.

        A new head is of zeros, a new norm scales by 1.
        """
        if self.stored is None:
            return None
        parameters = {**self.stored.converted.parameters, **self.head}
        new = {path: shape for path, shape in shapes_by_path(model).items() if path not in parameters}
        fresh = {path: filled(shape, float(path.endswith("norm/scale"))) for path, shape in new.items()}
        return read_parameters(parameters | fresh)

    def describe(self, model: Network) -> str:
        """A network `for_data` and where its parameters come from, in a line."""
        count = f"{parameter_count(model):,} parameters"
        if self.config.pretrained is None:
            return f"{self.config.name}: {count}"
        named = f"{type(model).__name__} of {self.config.pretrained}: {count}"
        if self.stored is None:
            return f"{named}, from the run's checkpoint"
        shapes, stored = shapes_by_path(model), {**self.stored.converted.parameters, **self.head}
        new = [path for path in shapes if path not in stored]
        kept = ", its head for the same classes too" if self.head else ""
        line = f"{named}; {len(shapes) - len(new)} of {len(shapes)} arrays from there{kept}"
        return f"{line}; new: {', '.join(sorted(new))}" if new else line


def find_start(config: Config, workdir: Path) -> Start:
    """What a run of this config in this workdir starts from; pretrained weights are opened, but not read.

    A run that has a checkpoint does not look for the weights again.

    Raises:
        ValueError: if the network's name or fields are unknown or cannot work; if pretrained weights are damaged or do
            not fit.
        FileNotFoundError: if there are no such weights.
        ModuleNotFoundError: if reading them needs a package that is not installed.
    """
    model = config.model
    dtype = np.dtype(config.dtype)
    if model.pretrained is None:
        network = create_model(model.name, **model.fields, dtype=dtype)
        start = Start(model, network)
        check_trainable(start.network, config)
    elif has_checkpoint(workdir / "checkpoints") and (workdir / NETWORK).is_file():
        start = Start(model, read_module(workdir / NETWORK).clone(**set_fields(model), dtype=dtype))
    else:
        start = open_start(config)
        start = dataclasses.replace(start, network=start.network.clone(dtype=dtype))
    return start


def open_start(config: Config) -> Start:
    """Pretrained weights, resized to the config's image and windows; where classes are learned, their head apart."""
    model, classifies = config.model, config.objective.learns_classes
    assert model.pretrained is not None
    located = locate(model.pretrained, model.revision)
    stored = read_network(located, create_model(model.name) if model.name else None, model.publisher)
    check_trainable((classifier_of(stored) if classifies else stored).model, config)  # before its head is taken away
    distilled = getattr(stored.model, "distilled", False)
    sizes = model.fields.get("image_size"), model.fields.get("window_size")
    fit = fitted(stored, located, 0 if classifies and not distilled else None, *sizes)
    if classifies and distilled:  # both heads are new, and the token stays what it is (DeiT, section 3)
        fit = without(fit, HEADS)
    network = adapted(model, fit.model)
    if getattr(network, "fc_norm", None) != getattr(fit.model, "fc_norm", None):  # the norm in the other place is new
        fit = without(fit, ("norm/", "fc_norm/"))
    head: dict[str, Parameter] = {}
    if classifies and model.fields.get("pool") in (None, getattr(fit.model, "pool", None)):  # else of other features
        body, whole = fit.converted.parameters, classifier_of(stored).converted.parameters
        head = {path: array for path, array in whole.items() if path not in body}
    return Start(model, network, fit, head, stored.class_names)


def without(stored: StoredNetwork, prefixes: tuple[str, ...]) -> StoredNetwork:
    """A stored network less the parameters whose paths begin so."""
    kept = {path: x for path, x in stored.converted.parameters.items() if not path.startswith(prefixes)}
    return dataclasses.replace(stored, converted=dataclasses.replace(stored.converted, parameters=kept))


def check_trainable(network: Network, config: Config) -> None:
    """Raises ValueError if the config's objective cannot train its network."""
    try:
        config.objective.check(network)
    except ValueError as error:
        raise ValueError(f"{config.model.pretrained or config.model.name}: {error}") from None


def adapted(config: ModelConfig, network: Network) -> Network:
    """A pretrained network with the fields of its config.

    Raises:
        ValueError: if it has no such field.
    """
    known = [field.name for field in dataclasses.fields(network)]
    for name in set_fields(config):
        if name not in known:
            raise ValueError(f"the {type(network).__name__} in {config.pretrained} has no field {name!r} to set")
    return network.clone(**set_fields(config))


def set_fields(config: ModelConfig) -> dict[str, Any]:
    """The fields of a pretrained network that its config sets: None leaves a field as it is."""
    return {name: value for name, value in config.fields.items() if value is not None}
