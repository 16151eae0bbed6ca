"""Makes golden/pretraining.*: names of MAE's and BEiT's pre-training files, and what Hugging Face computes with them.

    python -m tests.pretrained.make_pretraining_golden

Made with transformers 5.23.0 and torch 2.15.0 on a CPU in float32. Values and images are not stored: `GOLDEN_SEED`
makes them.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.pretrained.pretraining_cases import (
    GOLDEN_NAMES,
    GOLDEN_OUTPUTS,
    PRETRAINING_CASES,
    SIZES,
    write_hugging_face,
)
from tests.pretrained.pretraining_reference import names_written, reference_output
from tests.pretrained.publisher_cases import GOLDEN_SEED


def main() -> None:
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        shapes = {name: names_written(name, place / name) for name in PRETRAINING_CASES}
        GOLDEN_NAMES.write_text(json.dumps(shapes) + "\n")
        outputs: dict[str, Any] = {
            f"{name} {size}": reference_output(
                name, write_hugging_face(name, place / f"{name} drawn", GOLDEN_SEED), size, GOLDEN_SEED
            )
            for name in PRETRAINING_CASES
            for size in SIZES
        }
    np.savez(GOLDEN_OUTPUTS, **outputs)


if __name__ == "__main__":
    main()
