"""Feeds and augmentation: images per second, and their share of the training step.

    python -m benchmarks.pipeline

1. The resident feed: training steps on CIFAR's recipe with its augmentation, without, and on one fixed batch.
2. Each transform of the recipe, with the gathering before it, as a program of its own.
3. The streaming feed on JPEG files, beside Pillow alone in as many processes as there are cores. Starting processes is
   not counted on either side, and the files are in the system's memory.
4. The training loop on the streaming feed and on the resident one: whether its steps wait.

Everything that is compared is measured in turn; shares and ratios are taken round by round. Images are made up; nothing
is downloaded. Needs what train.py needs, but no tensorflow-datasets.
"""

import argparse
import tempfile
from pathlib import Path

import jax

from benchmarks.measure import positive, save
from benchmarks.pipeline.photographs import write_folder
from benchmarks.pipeline.resident import ResidentSize, resident
from benchmarks.pipeline.streaming import streaming
from benchmarks.pipeline.tables import tables
from benchmarks.pipeline.waiting import WaitingSize, waiting
from configs.swin_cifar10 import get_config

ON_CPU = (ResidentSize(128, steps=1, repeats=5, target=0.10), WaitingSize(8, before=1, steps=3))
"""What is measured on a CPU. It takes about six minutes on two cores."""

ON_ACCELERATOR = (
    ResidentSize(1024, steps=20, repeats=50, target=0.05, dtype="bfloat16"),
    WaitingSize(256, before=60, steps=40, dtype="bfloat16"),
)

FILES, PIXELS, BATCH, BATCHES = 400, 224, 32, 20
"""Of the folder: its files, their size when loaded, and the feed's batches, with how many of them a core makes."""


def main() -> None:
    """Measures everything, prints it and keeps it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=5, help="how often each is timed")
    rounds = parser.parse_args().rounds
    resident_size, waiting_size = ON_CPU if jax.default_backend() == "cpu" else ON_ACCELERATOR
    with tempfile.TemporaryDirectory() as directory:
        photographs = Path(directory, "photographs")
        write_folder(photographs, FILES)
        results = streaming(photographs, PIXELS, BATCH, BATCHES, rounds)
        results.append(waiting(photographs, Path(directory), waiting_size, rounds))
    results += resident(resident_size, get_config(), rounds)
    print(tables(results))
    print("kept in", save("pipeline", results))


if __name__ == "__main__":
    main()
