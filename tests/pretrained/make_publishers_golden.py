"""Makes golden/publishers.*: names and shapes of every publisher's files, and what their code computes with them.

    python -m tests.pretrained.make_publishers_golden

Made with timm 1.0.31, transformers 5.23.0, torchvision 0.29.2 and torch 2.15.0 on a CPU in float32. Values and images
are not stored: `GOLDEN_SEED` makes them. Make it again when a case is added or changed; the values of the others must
not move by more than 1e-5.
"""

import json

import numpy as np

from tests.pretrained.publisher_cases import CASES, GOLDEN_LOGITS, GOLDEN_SEED, GOLDEN_SHAPES, draw, images_for
from tests.pretrained.publisher_reference import REFERENCES


def main() -> None:
    shapes, logits = {}, {}
    for name, case in CASES.items():
        shapes[name] = REFERENCES[name].shapes()
        arrays = draw(shapes[name], GOLDEN_SEED)
        for size in case.sizes:
            logits[f"{name} {size or 'own size'}"] = REFERENCES[name].logits(
                arrays, images_for(name, size, GOLDEN_SEED)
            )
    GOLDEN_SHAPES.write_text(json.dumps(shapes) + "\n")
    np.savez(GOLDEN_LOGITS, **logits)


if __name__ == "__main__":
    main()
