"""How training scales: the same work on more devices, and more work on one.

    python -m benchmarks.scaling

Devices: one training step, spread over 1, 2, 4 and 8 devices (`benchmarks.scaling.devices`). Growth: ViT and Swin at
growing images and batches, with the exponent of every cost (`benchmarks.scaling.growth`). Prints Markdown, the table of
docs/performance.md among it, and writes benchmarks/results/scaling_*.json.
"""

import argparse
from typing import Any

from benchmarks.measure import positive, save
from benchmarks.scaling import devices, growth, tables


def main() -> None:
    """Runs what is asked for, prints its tables and keeps what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=3, help="how often everything is timed, in turn")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--devices", action="store_true", help="only this part; the file then has no other")
    part.add_argument("--growth", action="store_true", help="only this part; the file then has no other")
    args = parser.parse_args()
    results: list[dict[str, Any]] = []
    if not args.growth:  # first, as on an accelerator its processes need memory that this one has not taken yet
        spread_out = devices.measured(args.rounds)
        print(tables.of_devices(spread_out), flush=True)
        results += spread_out
    if not args.devices:
        grown = growth.measured(args.rounds)
        exponents = growth.exponents(grown)
        print(tables.of_growth(grown))
        print(tables.of_exponents(exponents))
        results += growth.report(grown) + exponents
    print("kept in", save("scaling", results))


if __name__ == "__main__":
    main()
