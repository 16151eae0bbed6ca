"""What is known of one publisher's way to store one kind of network."""

import logging
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from vit_jax.models.network import Network
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.resizing import Resizing
from vit_jax.models.swin import SwinTransformer
from vit_jax.pretrained.locate import Located
from vit_jax.pretrained.rules import Table
from vit_jax.pretrained.stored import StoredArray

Config = Mapping[str, Any]

WITH_CONFIG = ("timm", "huggingface")
"""Publishers whose networks were trained with other preprocessing each: a config beside the weights says which."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Format:
    """How one publisher stores one kind of network.

    Attributes:
        publisher: of the weights; decides the numerics.
        marks: regular expressions; a file of this format has names that match every one.
        table: of names.
        network: makes the module of our shapes and of the fields that are known besides.
        known: fields that are in no file: the publisher's numerics.
        pixels: how the publisher prepares images for a network, where nothing beside the weights says so.
        configured: fields that the publisher's `config.json` gives.
        preprocessing: what it or its neighbours say of the pixels; takes the default for what they do not say.
        class_names: what it calls the outputs.
        fields_in_arrays: fields that the file's own arrays tell, where their shapes say more than ours.
        respell: renames what other versions of the same code call differently.
        left_out: regular expressions of names that are no parameters of the network, with what they are.
        wrappers: dicts that the publisher nests its parameters in; where names are several publishers', these tell.
        namesake: a publisher with the same names and wrappers who prepares images otherwise; "" for none.
        resizing: how the publisher resizes embeddings: what the module carries along.
    """

    publisher: str
    marks: tuple[str, ...]
    table: Table
    network: Callable[[Mapping[str, tuple[int, ...]], Mapping[str, Any]], Network]
    known: Mapping[str, Any]
    pixels: Callable[[Network], Preprocessing]
    configured: Callable[[Config], dict[str, Any]] = lambda config: {}
    preprocessing: Callable[[Located, Preprocessing], Preprocessing] = lambda located, default: default
    class_names: Callable[[Config], tuple[str, ...]] = lambda config: ()
    fields_in_arrays: Callable[[Mapping[str, StoredArray]], Mapping[str, Any]] = lambda arrays: {}
    respell: Callable[[Mapping[str, StoredArray]], dict[str, StoredArray]] = dict
    left_out: Mapping[str, str] = field(default_factory=dict)
    wrappers: tuple[str, ...] = ()
    namesake: str = ""
    resizing: Resizing = Resizing("bicubic", "bicubic")

    def prepared(self, located: Located, network: Network) -> Preprocessing:
        """How images are prepared for a network: what stands beside its weights says it, or the publisher is known."""
        default = self.pixels(network)
        if located.config is not None:
            return self.preprocessing(located, default)
        log = logger.warning if self.publisher in WITH_CONFIG else logger.info
        message = "%s does not say how images are prepared, and no config beside it was read; %s's usual is taken: %s"
        log(message, located.weights, self.publisher, default)
        return default

    def rescaled(self, stored: SwinTransformer, wanted: SwinTransformer) -> SwinTransformer:
        """Of version 2, a network whose position biases have the scale that `window_scale` says."""
        if stored.version == 1 or self.resizing.window_scale == "own" or wanted.pretrained_window_sizes:
            return wanted
        if stored.window_grids == wanted.window_grids:
            return wanted
        return wanted.clone(pretrained_window_sizes=tuple(grids[0].window[0] for grids in stored.window_grids))

    def fits(self, names: Collection[str]) -> bool:
        """Whether every mark is among the names, as the file has them or respelled."""
        return all(any(re.search(mark, name) for name in names) for mark in self.marks)
