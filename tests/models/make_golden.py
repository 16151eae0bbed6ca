"""Makes golden/*.npz: what timm, Hugging Face and torchvision compute for every case, for machines without torch.

    python -m tests.models.make_golden

Made with timm 1.0.31, transformers 5.23.0, torchvision 0.29.2 and torch 2.15.0 on a CPU in float32. Parameters and
images are not stored: `GOLDEN_SEED` makes them. Make it again when a case is added or changed; the values of the others
must not move by more than 1e-5.
"""

import numpy as np

from tests.models.cases import CASES, GOLDEN_FILE, GOLDEN_SEED, random_images, random_params, small_model
from tests.models.swin_cases import SWIN_CASES, SWIN_GOLDEN_FILE, small_swin
from tests.models.swin_reference import reference_logits
from tests.models.timm_reference import timm_logits


def main() -> None:
    golden = {}
    for name, case in CASES.items():
        model = small_model(**case.fields)
        params, images = random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)
        golden[name] = timm_logits(case, params, images)
    np.savez(GOLDEN_FILE, **golden)

    golden = {}
    for name, fields in SWIN_CASES.items():
        model = small_swin(**fields)
        params, images = random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)
        golden[name] = reference_logits(fields, params, images)
    np.savez(SWIN_GOLDEN_FILE, **golden)


if __name__ == "__main__":
    main()
