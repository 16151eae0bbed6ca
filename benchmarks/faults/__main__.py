"""Training that is killed, files that rot, disks that fill: what was done, how often, what was lost.

    python -m benchmarks.faults

Prints the table of docs/reliability.md and writes benchmarks/results/faults_*.json. As root on Linux it mounts a file
system of 24 MiB in memory, to fill it; elsewhere that row says that it was not tried. `--quick` repeats less, and keeps
nothing. It trains on the CPU, or on what JAX_PLATFORMS names, on a GPU also with cuDNN's attention; several
processes together on the CPU always.
"""

import argparse
import dataclasses
import os
import random
import tempfile
from pathlib import Path

import jax

from benchmarks.faults.files import damage
from benchmarks.faults.mutations import mutations
from benchmarks.faults.runs import FLASH, SWIN, VIT, disturbed, full_disk, kills_and_signals
from benchmarks.faults.several import several
from benchmarks.markdown import table
from benchmarks.measure import save


def main() -> None:
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions; nothing is kept")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and places of all faults")
    args = parser.parse_args()
    if "JAX_PLATFORMS" not in os.environ:  # as for the runs, in their own processes (`Training`)
        jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # processes share a GPU
    on_gpu = (FLASH,) if jax.default_backend() == "gpu" else ()
    share = 10 if args.quick else 1
    chance, rows = random.Random(args.seed), []
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        parts = [
            kills_and_signals(scratch, chance, VIT, kills=30 // share, stops=15 // share),
            kills_and_signals(scratch, chance, SWIN, kills=20 // share, stops=5 // min(share, 5)),
            *(kills_and_signals(scratch, chance, kind, kills=20 // share, stops=5 // min(share, 5)) for kind in on_gpu),
            damage(scratch / VIT.name, scratch, chance, flips=100 // share),
            mutations(args.seed, images=9000 // share, weights=1000 // share),
            full_disk(scratch),
            disturbed(scratch),
            several(scratch, chance, times=4 // min(share, 2)),
        ]
        for part in parts:
            for row in part:
                print(f"{row.fault}: {row.times} times; {row.outcome}", flush=True)
                rows.append(row)
    cells = [(row.fault, f"{row.times:,}", row.outcome) for row in rows]
    print(table(("what was done", "times", "what came of it"), cells))
    if not args.quick:
        print("kept in", save("faults", [dataclasses.asdict(row) for row in rows]))


if __name__ == "__main__":
    main()
