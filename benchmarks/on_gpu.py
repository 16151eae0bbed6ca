"""All that is to be measured on a GPU, the most wanted first: one command for a machine that is there for minutes.

    python -m benchmarks.on_gpu --out DIR                       # what fits into 560 seconds
    python -m benchmarks.on_gpu --out DIR --from attention      # goes on with a step
    python -m benchmarks.on_gpu --out DIR --cifar10 FOLDER      # trains at last, on train/ and test/ of a folder

Each step is a process of its own. After it, DIR has its output (on_gpu.log), the results so far, which belong into
benchmarks/results before one goes on with another copy of the code, and the metrics of trainings. A step that fails
does not stop the others; the exit status is then 1. Before a step that may take longer than there is time, it ends.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import RESULTS, positive

ROOT = Path(__file__).parents[1]
RUNS = ROOT / "runs" / "on_gpu"
SHOWN = 1500
"""Characters of the log that are printed after a step, its end."""


class Step(NamedTuple):
    """A name, the arguments of python, and the seconds that it should take at most.

    In the arguments {cifar10} stands for the folder and {runs} for RUNS. It is ended after half as many seconds again.
    """

    name: str
    command: str
    seconds: int


BESIDE_TIMM = "-m benchmarks.throughput --device gpu --rounds 3 --models"
TRAINED = "train.py --data.name 'folder:{cifar10}' --data.load_size 32 --workdir {runs}"
HUNDRED = "--duration '100 epochs' --schedule.warmup '10 epochs'"
STEPS = (
    Step("epoch", "-m benchmarks.throughput.epoch --steps 23 --rounds 3", 150),
    Step("vit_base", f"{BESIDE_TIMM} vit_base_patch16_224 --batches 256 --peers timm", 150),
    Step("swin_tiny", f"{BESIDE_TIMM} swin_tiny_patch4_window7_224 --batches 256 --peers timm_compiled", 180),
    Step("vit_small", f"{BESIDE_TIMM} vit_small_patch16_224 --batches 256 --peers timm_compiled", 110),
    Step("attention", "-m benchmarks.attention", 150),
    Step("faults", "-m benchmarks.faults --parts flash", 240),
    Step("swinv2_tiny", f"{BESIDE_TIMM} swinv2_tiny_window8_256 --batches 128 --peers timm_compiled", 180),
    Step("pipeline", "-m benchmarks.pipeline --rounds 3", 180),
    Step("swin_base", f"{BESIDE_TIMM} swin_base_patch4_window7_224 --batches 128 --peers timm_compiled", 240),
    Step("vit_large", f"{BESIDE_TIMM} vit_large_patch16_224 --batches 128 --peers timm_compiled", 200),
    Step("resnet9_cifar10", f"{TRAINED}/resnet9_cifar10 --config configs/resnet9_cifar10.py", 120),
    Step("vit_cifar10", f"{TRAINED}/vit_cifar10 --config configs/vit_cifar10.py {HUNDRED}", 300),
    Step("swin_cifar10", f"{TRAINED}/swin_cifar10 --config configs/swin_cifar10.py {HUNDRED}", 400),
)


def arguments(step: Step, cifar10: Path | None) -> list[str]:
    """The step's arguments of python."""
    return [argument.format(cifar10=cifar10, runs=RUNS) for argument in shlex.split(step.command)]


def run(step: Step, cifar10: Path | None, log: Path, seconds: float) -> bool:
    """Runs a step, for so many seconds at most, its output appended to the log; says whether it succeeded."""
    command = [sys.executable, *arguments(step, cifar10)]
    env, began = os.environ | {"JAX_PLATFORMS": "cuda", "PYTHONUNBUFFERED": "1"}, time.monotonic()
    with log.open("ab", buffering=0) as output:
        output.write(f"\n== {step.name}: python {step.command}\n".encode())
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=output, stderr=subprocess.STDOUT, process_group=0)
        try:
            how = f"exit status {process.wait(seconds)}"
        except subprocess.TimeoutExpired:
            how = "not done in time"
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # and what it has started
            process.wait()
        output.write(f"== {step.name}: {how}, {time.monotonic() - began:.0f} s\n".encode())
    print(log.read_text(encoding="utf-8", errors="replace")[-SHOWN:], flush=True)
    return how == "exit status 0"


def copy_results(out: Path, since: float) -> None:
    """Copies the results and the metrics of trainings that were written since a time."""
    for path in (*RESULTS.glob("*.json"), *RUNS.glob("*/metrics.jsonl")):
        if path.stat().st_mtime >= since:
            shutil.copy(path, out / (path.name if path.parent == RESULTS else f"{path.parent.name}.jsonl"))


def main() -> int:
    """Runs the steps; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the log and the results are put there")
    parser.add_argument("--seconds", type=positive, default=560, help="for all steps together")
    parser.add_argument("--from", dest="first", choices=[step.name for step in STEPS], default=STEPS[0].name)
    parser.add_argument("--cifar10", type=Path, help="a folder of CIFAR-10's images; without it, nothing is trained")
    args = parser.parse_args()
    cifar10 = args.cifar10 and args.cifar10.resolve(strict=True)
    todo = [step for step in STEPS if cifar10 or "{cifar10}" not in step.command]
    if args.first not in [step.name for step in todo]:
        parser.error(f"{args.first} trains: it needs --cifar10")
    todo = todo[[step.name for step in todo].index(args.first) :]
    args.out.mkdir(parents=True, exist_ok=True)
    began, since, failed = time.monotonic(), time.time(), []
    while todo and (left := args.seconds - (time.monotonic() - began)) >= todo[0].seconds:
        step = todo.pop(0)
        if not run(step, cifar10, args.out / "on_gpu.log", min(left, 1.5 * step.seconds)):
            failed.append(step.name)
        copy_results(args.out, since)
    print(f"failed: {' '.join(failed) or 'nothing'}; left: {' '.join(step.name for step in todo) or 'nothing'}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
