"""From the command to the first training step, with programs compiled anew and with those of the run before.

    python -m benchmarks.startup

It trains ViT-Ti/4 with AdamW on the digits of scikit-learn, which need no download, resized to 32 x 32. The time ends
with the first row of metrics.jsonl, which is written when the first step has been computed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.markdown import between
from benchmarks.measure import positive, save, spread

ROOT = Path(__file__).parents[1]
FLAGS = ["--model.name", "vit_tiny_patch4_32", "--batch_size", "64", "--log_every", "1 steps"]
FLAGS += ["--model.preprocessing.mean", "0.5", "--model.preprocessing.std", "0.5"]
FLAGS += ["--schedule.warmup", "1 steps", "--duration", "100 steps", "--steps_per_dispatch", "1"]
FLAGS += ["--optimizer.name", "adamw", "--optimizer.learning_rate", "1e-3"]


def environment(cache: Path) -> dict[str, str]:
    """The environment of a run that keeps its compiled programs in `cache`, whatever else the user has chosen."""
    others = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    return others | {"XDG_CACHE_HOME": str(cache)}


def seconds_to_first_step(workdir: Path, cache: Path) -> float:
    """Starts a run with its compiled programs in `cache`, and ends it after its first step."""
    command = [sys.executable, str(ROOT / "train.py"), *FLAGS, "--workdir", str(workdir)]
    rows, began = workdir / "metrics.jsonl", time.perf_counter()
    process = subprocess.Popen(command, env=environment(cache), stdout=subprocess.DEVNULL)
    try:
        while not (rows.exists() and rows.stat().st_size):
            if process.poll() is not None:
                raise RuntimeError(f"the run ended with status {process.returncode} before its first step")
            time.sleep(0.01)
        return time.perf_counter() - began
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Measures, prints and saves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=5, help="cold and warm starts, in turn")
    rounds = parser.parse_args().rounds
    cold, warm = [], []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            scratch = Path(directory)
            cold.append(seconds_to_first_step(scratch / "cold", scratch / "cache"))
            warm.append(seconds_to_first_step(scratch / "warm", scratch / "cache"))
    results = [{"start": name, "seconds": spread(np.array(times))} for name, times in (("cold", cold), ("warm", warm))]
    for result in results:
        print(f"{result['start']}: {between(result['seconds'], '.1f')} s, {rounds} rounds")
    print("kept in", save("startup", results))


if __name__ == "__main__":
    main()
