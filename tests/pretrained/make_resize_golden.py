"""Makes golden/resize.npz: what torch, timm and Hugging Face compute for every case, for machines without torch.

    python -m tests.pretrained.make_resize_golden

Made with timm 1.0.31, transformers 5.23.0 and torch 2.15.0 on a CPU in float32. Inputs are not stored: `GOLDEN_SEED`
makes them. Make it again when a case is added or changed; the values of the others must not move by more than 1e-5.
"""

import numpy as np

from tests.pretrained.resize_cases import (
    BIAS_CASES,
    GOLDEN_FILE,
    POSITION_CASES,
    bias_table,
    position_embedding,
)
from tests.pretrained.resize_reference import BIAS_TABLES, TORCH, torch_position_embedding


def main() -> None:
    golden = {}
    for name, case in POSITION_CASES.items():
        for method in TORCH:
            golden[f"position.{method}.{name}"] = torch_position_embedding(position_embedding(case), case, method)
    for name, case in BIAS_CASES.items():
        for method, reference in BIAS_TABLES.items():
            golden[f"bias.{method}.{name}"] = reference(bias_table(case), case)
    np.savez(GOLDEN_FILE, **golden)


if __name__ == "__main__":
    main()
