"""Loading ViT-B/16 beside reading its file with `safetensors.numpy` and putting it on the device: time and memory.

    python -m benchmarks.loading --rounds 5

Each load runs in a process of its own, in turn with the other; imports are not counted. Writes
benchmarks/results/loading_*.json.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import load_file, save_file

import vit_jax
from benchmarks.markdown import between
from benchmarks.measure import positive, save, spread
from vit_jax.models.parameters import shapes_by_path
from vit_jax.models.registry import create_model
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.publishers.timm import VIT
from vit_jax.pretrained.rules import find_ours
from vit_jax.training.memory import peak_resident_set

WAYS = ("safetensors", "vit_jax")


def random_weights(model: VisionTransformer) -> dict[str, np.ndarray]:
    """Random weights of a network by timm's names."""
    random, arrays = np.random.default_rng(0), {}
    for name, shape in shapes_by_path(model).items():
        match = find_ours(name, VIT)
        assert match is not None
        array = random.standard_normal(shape, np.float32)
        arrays |= dict(zip(match.theirs, match.layout.theirs(array, len(match.theirs)), strict=True))
    return {name: np.ascontiguousarray(x) for name, x in arrays.items()}


def load(way: str, path: Path) -> dict[str, float]:
    """Loads in this process: seconds, and by how many MiB the process's memory grew at most."""
    jax.block_until_ready(jax.device_put(0.0))
    before = peak_resident_set()
    start = time.perf_counter()
    params = vit_jax.load_pretrained(path)[1] if way == "vit_jax" else jax.device_put(load_file(path))
    jax.block_until_ready(params)
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "MiB": (peak_resident_set() - before) / 2**20}


def main() -> None:
    """Runs all rounds, prints the ratios and keeps what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=positive, default=5)
    parser.add_argument("--load", nargs=2, metavar=("WAY", "FILE"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.load:
        print(json.dumps(load(args.load[0], Path(args.load[1]))))
        return
    measured: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "model.safetensors")
        model = create_model("vit_base_patch16_224")
        assert isinstance(model, VisionTransformer)
        save_file(random_weights(model), path)
        for _ in range(args.rounds):
            for way in WAYS:
                command = [sys.executable, "-m", "benchmarks.loading", "--load", way, str(path)]
                output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                measured[way].append(json.loads(output.splitlines()[-1]))
    pairs = list(zip(measured["vit_jax"], measured["safetensors"], strict=True))
    ratios = {
        unit: spread(np.array([ours[unit] / theirs[unit] for ours, theirs in pairs])) for unit in ("seconds", "MiB")
    }
    for unit, ratio in ratios.items():
        print(f"{unit}: {between(ratio)} times")
    print("kept in", save("loading", [{"measured": measured, "ratios": ratios}]))


if __name__ == "__main__":
    main()
