"""Training that is killed, files that rot, disks that fill: what was done, how often, what was lost.

    python -m benchmarks.faults
    JAX_PLATFORMS=cuda python -m benchmarks.faults --parts flash   # of them only what a GPU does otherwise

Prints the table of docs/reliability.md and writes benchmarks/results/faults_*.json, or faults_PARTS_*.json. As root on
Linux it mounts a file system of 24 MiB in memory, to fill it; elsewhere that row says that it was not tried. `--quick`
repeats less, and keeps nothing. It trains on the CPU, or on what JAX_PLATFORMS names, on a GPU also with cuDNN's
attention; several processes together on the CPU always.
"""

import argparse
import dataclasses
import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax

from benchmarks.faults.files import damage
from benchmarks.faults.mutations import mutations
from benchmarks.faults.runs import FLASH, SWIN, VIT, Row, disturbed, full_disk, kills_and_signals
from benchmarks.faults.several import several
from benchmarks.markdown import table
from benchmarks.measure import device_name, origin, write

PARTS = ("vit", "swin", "flash", "damage", "mutations", "disk", "disturbed", "several")
ON_GPU_ALONE = ("flash",)


def part(name: str, scratch: Path, seed: int, quick: bool) -> Iterator[Row]:
    """The rows of a part; everything random in it is drawn with the seed."""
    chance = random.Random(seed)

    def some(times: int, least: int = 1) -> int:
        return max(least, times // 10) if quick else times

    match name:
        case "vit":
            return kills_and_signals(scratch, chance, VIT, kills=some(30), stops=some(15))
        case "swin":
            return kills_and_signals(scratch, chance, SWIN, kills=some(20), stops=some(5))
        case "flash":
            return kills_and_signals(scratch, chance, FLASH, kills=some(5), stops=some(2))
        case "damage":
            return damage(scratch, chance, flips=some(100))
        case "mutations":
            return mutations(seed, images=some(9000), weights=some(1000))
        case "disk":
            return full_disk(scratch)
        case "disturbed":
            return disturbed(scratch)
        case _:
            return several(scratch, chance, times=some(4, least=2))


def main() -> None:
    """Runs everything, or the parts that are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, help="what is run; by default all that is possible here")
    parser.add_argument("--quick", action="store_true", help="a tenth of the repetitions; nothing is kept")
    parser.add_argument("--seed", type=int, default=0, help="of the moments and places of all faults")
    args = parser.parse_args()
    if "JAX_PLATFORMS" not in os.environ:  # as for the runs, in their own processes (`Training`)
        jax.config.update("jax_platforms", "cpu")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # processes share a GPU
    possible = [name for name in PARTS if name not in ON_GPU_ALONE or jax.default_backend() == "gpu"]
    if impossible := set(args.parts or ()) - set(possible):
        parser.error(f"{', '.join(sorted(impossible))} takes a GPU, and JAX_PLATFORMS=cuda")
    rows = []
    with tempfile.TemporaryDirectory() as directory:
        for name in args.parts or possible:
            for row in part(name, Path(directory), args.seed, args.quick):
                print(f"{row.fault}: {row.times} times; {row.outcome}", flush=True)
                rows.append(row)
    cells = [(row.fault, f"{row.times:,}", row.outcome) for row in rows]
    print(table(("what was done", "times", "what came of it"), cells))
    if not args.quick:
        name = "_".join(["faults", *(args.parts or ()), device_name()])
        print("kept in", write(name, {**origin("faults"), "results": list(map(dataclasses.asdict, rows))}))


if __name__ == "__main__":
    main()
