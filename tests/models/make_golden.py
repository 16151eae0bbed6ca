"""Makes golden/vit.npz: what timm computes for every case, so that machines without torch check numerics too.

    python -m tests.models.make_golden

Made with timm 1.0.31 and torch 2.15.0 on a CPU in float32. Parameters and images are not stored: `GOLDEN_SEED` makes
them. Make it again when a case is added or changed; the values of the others must not move by more than 1e-5.
"""

import numpy as np

from tests.models.cases import CASES, GOLDEN_FILE, GOLDEN_SEED, random_images, random_params, small_model
from tests.models.timm_reference import timm_logits


def main() -> None:
    golden = {}
    for name, case in CASES.items():
        model = small_model(**case.fields)
        params, images = random_params(model, GOLDEN_SEED), random_images(model, GOLDEN_SEED)
        golden[name] = timm_logits(case, params, images)
    GOLDEN_FILE.parent.mkdir(exist_ok=True)
    np.savez(GOLDEN_FILE, **golden)


if __name__ == "__main__":
    main()
