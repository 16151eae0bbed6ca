"""Makes golden/*.npz: what timm, Hugging Face and torchvision compute for every case, for machines without torch.

    python -m tests.models.make_golden

Made with timm 1.0.31, transformers 5.23.0, torchvision 0.29.2 and torch 2.15.0 on a CPU in float32. Parameters and
images are not stored: `GOLDEN_SEED` makes them. Make it again when a case is added or changed; the values of the others
must not move by more than 1e-5.
"""

import numpy as np

from tests.models.cases import GOLDEN_SEED
from tests.models.families import FAMILIES, their_outputs


def main() -> None:
    for family in FAMILIES.values():
        golden = {}
        for name in family.cases:
            computed = their_outputs(family, name, GOLDEN_SEED)
            golden |= {name if len(computed) == 1 else f"{name}/{i}": x for i, x in enumerate(computed)}
        np.savez(family.golden_file, **golden)


if __name__ == "__main__":
    main()
