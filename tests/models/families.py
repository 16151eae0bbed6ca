"""The networks whose outputs are compared with another implementation's: in tests, live and from golden files."""

from collections.abc import Callable, Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import jax
import numpy as np

from tests.models.beit_cases import BEIT_CASES, BEIT_GOLDEN_FILE, small_beit
from tests.models.cases import CASES, GOLDEN_FILE, Case, logits, random_images, random_params, small_model
from tests.models.huggingface_cases import (
    HUGGINGFACE_CASES,
    HUGGINGFACE_GOLDEN_FILE,
    HuggingFaceCase,
    outputs,
    random_masks,
    small_network,
)
from tests.models.swin_cases import SWIN_CASES, SWIN_GOLDEN_FILE, small_swin


class Family(NamedTuple):
    """Cases of networks of a kind.

    Attributes:
        cases: by name.
        golden_file: the outputs of the other implementation, made by `make_golden`: of several arrays, each has its
            number behind the case's name.
        build: the network of a case.
        reference: module and function here that compute the outputs with the other implementation.
        packages: what that needs.
    """

    cases: Mapping[str, Any]
    golden_file: Path
    build: Callable[[Any], Any]
    reference: str
    packages: tuple[str, ...]


FAMILIES = {
    "vit": Family(
        CASES,
        GOLDEN_FILE,
        lambda case: small_model(**case.fields),
        "timm_reference:timm_logits",
        ("torch", "timm"),
    ),
    "swin": Family(
        SWIN_CASES,
        SWIN_GOLDEN_FILE,
        lambda fields: small_swin(**fields),
        "swin_reference:reference_logits",
        ("torch", "timm", "transformers", "torchvision"),
    ),
    "beit": Family(
        BEIT_CASES,
        BEIT_GOLDEN_FILE,
        lambda fields: small_beit(**fields),
        "timm_beit:beit_logits",
        ("torch", "timm"),
    ),
    "huggingface": Family(
        HUGGINGFACE_CASES,
        HUGGINGFACE_GOLDEN_FILE,
        small_network,
        "huggingface_vit:reference_outputs",
        ("torch", "timm", "transformers"),
    ),
}


def our_outputs(family: Family, name: str, seed: int) -> list[Any]:
    """What our network of a case computes with parameters, images and masks of a seed."""
    case = family.cases[name]
    model = family.build(case)
    params, images = random_params(model, seed), random_images(model, seed)
    if isinstance(case, HuggingFaceCase):
        return jax.tree.leaves(outputs(model, params, images, random_masks(case, seed)))
    return [logits(model, params, images, isinstance(case, Case) and case.train)]


def their_outputs(family: Family, name: str, seed: int) -> list[np.ndarray]:
    """What the other implementation, which must be installed, computes with the same."""
    case = family.cases[name]
    model = family.build(case)
    masks = [random_masks(case, seed)] if isinstance(case, HuggingFaceCase) else []
    reference = resolve_name(f"tests.models.{family.reference}")
    computed = reference(case, random_params(model, seed), random_images(model, seed), *masks)
    return computed if isinstance(computed, list) else [computed]


def golden_outputs(family: Family, name: str) -> list[np.ndarray]:
    """What the other implementation computed once, with `GOLDEN_SEED`."""
    golden = np.load(family.golden_file)
    return [golden[key] for key in golden if key.split("/")[0] == name]
