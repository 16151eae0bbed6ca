"""Makes golden/*.npz: what timm, Hugging Face and torchvision compute for every case, for machines without torch.

    python -m tests.models.make_golden

Made with timm 1.0.31, transformers 5.23.0, torchvision 0.29.2 and torch 2.15.0 on a CPU in float32. Parameters and
images are not stored: `GOLDEN_SEED` makes them. Make it again when a case is added or changed; the values of the others
must not move by more than 1e-5.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.beit_cases import BEIT_CASES, BEIT_GOLDEN_FILE, small_beit
from tests.models.cases import CASES, GOLDEN_FILE, GOLDEN_SEED, random_images, random_params, small_model
from tests.models.huggingface_cases import (
    HUGGINGFACE_CASES,
    HUGGINGFACE_GOLDEN_FILE,
    HuggingFaceCase,
    random_masks,
    small_network,
)
from tests.models.huggingface_vit import reference_outputs
from tests.models.swin_cases import SWIN_CASES, SWIN_GOLDEN_FILE, small_swin
from tests.models.swin_reference import reference_logits
from tests.models.timm_beit import beit_logits
from tests.models.timm_reference import timm_logits
from vit_jax.models.network import Network


def main() -> None:
    make(GOLDEN_FILE, CASES, lambda case: small_model(**case.fields), timm_logits)
    make(SWIN_GOLDEN_FILE, SWIN_CASES, lambda fields: small_swin(**fields), reference_logits)
    make(BEIT_GOLDEN_FILE, BEIT_CASES, lambda fields: small_beit(**fields), beit_logits)
    make(HUGGINGFACE_GOLDEN_FILE, HUGGINGFACE_CASES, small_network, masked_outputs)


def make(file: Path, cases: Mapping[str, Any], build: Callable[[Any], Network], reference: Callable) -> None:
    """Writes what a reference computes for each case: a function of the case, parameters and images. Of several arrays,
    each has its number behind the name.
    """
    golden = {}
    for name, case in cases.items():
        model = build(case)
        computed = reference(case, random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED))
        golden |= {f"{name}/{i}": x for i, x in enumerate(computed)} if isinstance(computed, list) else {name: computed}
    np.savez(file, **golden)


def masked_outputs(case: HuggingFaceCase, params: Mapping[str, Any], images: np.ndarray) -> list[np.ndarray]:
    """What Hugging Face computes with the case's masks."""
    return reference_outputs(case, params, images, random_masks(case, GOLDEN_SEED))


if __name__ == "__main__":
    main()
