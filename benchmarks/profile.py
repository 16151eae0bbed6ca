"""Where the time of a training step goes on a CPU: by kind of operation of the compiled program, and in page faults.

    python -m benchmarks.profile --model vit_tiny_patch4_32 --batch 64

XLA names an operation after what it is made of ("dot", "multiply_add_fusion"; "ynn_fusion" are matrix products of
YNNPACK); their times are those of its own trace, added up over the step; two that run side by side count twice. Large
products of Eigen, those of weights' gradients, go on in other threads and are not in it. Page faults are counted by the
kernel: memory that is asked for anew in each dispatch is filled with zeros page by page, as it is first written to.
"""

import argparse
import re
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

import jax

from benchmarks.markdown import table
from benchmarks.measure import positive
from benchmarks.throughput.ours import ours
from benchmarks.throughput.workload import Setting, make_workload


def by_kind(trace: Path, steps: int) -> list[tuple[str, float, int]]:
    """Kinds of operations with their milliseconds and number in a step, the longest first.

    Raises:
        FileNotFoundError: if the profiler wrote no trace there.
    """
    files = list(trace.rglob("*.xplane.pb"))
    if not files:
        raise FileNotFoundError(f"no trace in {trace}: this build of JAX has no profiler")
    nanoseconds, number = Counter[str](), Counter[str]()
    for plane in jax.profiler.ProfileData.from_file(str(files[0])).planes:
        for line in plane.lines:
            for event in line.events:
                if "hlo_op" in dict(event.stats):
                    kind = re.sub(r"[.\d]+$", "", event.name)
                    nanoseconds[kind] += int(event.duration_ns)
                    number[kind] += 1
    return [(kind, time / steps / 1e6, number[kind] // steps) for kind, time in nanoseconds.most_common()]


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="vit_tiny_patch4_32", help="a name of the registry")
    parser.add_argument("--batch", type=positive, default=64)
    parser.add_argument("--steps", type=positive, default=1, help="training steps in a dispatch")
    args = parser.parse_args()
    jax.config.update("jax_platforms", "cpu")
    work = make_workload(args.model, "float32")
    run = ours(work, Setting("cpu", args.steps, 1)).training(work.batch(args.batch), 1).run
    run()
    before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run()
    seconds, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    with tempfile.TemporaryDirectory() as directory:
        with jax.profiler.trace(directory):
            run()
        rows = by_kind(Path(directory), args.steps)
    milliseconds = 1e3 * seconds / args.steps
    print(f"{args.model}, batch {args.batch}, {args.steps} steps a dispatch: {milliseconds:.0f} ms a step")
    print(f"page faults: {(after.ru_minflt - before.ru_minflt) / args.steps:,.0f} a step, ", end="")
    print(f"{(after.ru_stime - before.ru_stime) / args.steps:.2f} s of the kernel's time, over all cores")
    print(
        table(("operation", "number", "ms"), [(kind, str(number), f"{taken:.1f}") for kind, taken, number in rows[:16]])
    )


if __name__ == "__main__":
    main()
