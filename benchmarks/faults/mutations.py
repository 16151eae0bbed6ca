"""Image and weight files with bytes changed, cut and repeated: each is read, or refused with its reason."""

import importlib
import importlib.util
import io
import logging
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from benchmarks.faults.runs import Row
from benchmarks.loading import random_weights
from vit_jax.data.decoding import decode
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.load import load_pretrained
from vit_jax.training.memory import peak_resident_set


def mutated(content: bytes, chance: random.Random) -> bytes:
    """A copy of a file with one to eight changes, most of them near its beginning, where the headers are."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 8)):
        place = min(int(chance.expovariate(8 / len(data))), len(data) - 1) if data else 0
        kind = chance.randrange(5)
        if kind == 0 and data:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[place : place + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        elif kind == 2:
            del data[place + 1 + chance.randrange(len(data) + 1) :]
        elif kind == 3:
            data[place:place] = chance.randbytes(chance.randint(1, 64))
        else:
            data[place:place] = data[place : place + chance.randint(1, 512)]
    return bytes(data)


def image_files() -> list[bytes]:
    """A small picture in every format that is read, in several modes."""
    pixels = np.random.default_rng(0).integers(0, 256, (48, 40, 3), np.uint8)
    pictures = {mode: Image.fromarray(pixels).convert(mode) for mode in ("RGB", "L", "P", "RGBA", "CMYK")}
    kinds = [("JPEG", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L"), ("PNG", "RGB"), ("PNG", "P"), ("PNG", "RGBA")]
    kinds += [("WEBP", "RGB"), ("WEBP", "RGBA"), ("BMP", "RGB"), ("GIF", "P"), ("TIFF", "RGB"), ("TIFF", "CMYK")]
    files = []
    for name, mode in kinds:
        buffer = io.BytesIO()
        pictures[mode].save(buffer, name)
        files.append(buffer.getvalue())
    return files


def weight_files(directory: Path, model: VisionTransformer) -> list[Path]:
    """A network's weights as .npz, .safetensors and, where torch is installed, .pth."""
    arrays: dict[str, Any] = dict(random_weights(model))
    np.savez(directory / "weights.npz", **arrays)
    save_file(arrays, directory / "weights.safetensors")
    paths = [directory / "weights.npz", directory / "weights.safetensors"]
    if importlib.util.find_spec("torch") is None:
        return paths
    torch = importlib.import_module("torch")
    torch.save({name: torch.from_numpy(x) for name, x in arrays.items()}, directory / "weights.pth")
    return [*paths, directory / "weights.pth"]


def mutations(chance: random.Random, images: int, weights: int) -> Iterator[Row]:
    """Rows of the table; an exception of another kind than is documented ends the benchmark."""
    warnings.simplefilter("ignore")  # Pillow's words about what is damaged
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    originals = image_files()

    def read_image() -> None:
        decode(mutated(chance.choice(originals), chance), 3, 32, "a mutated image")

    yield measured("mutated image files, of six formats", images, read_image)
    with tempfile.TemporaryDirectory() as directory:
        model = VisionTransformer(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=5)
        files = weight_files(Path(directory), model)
        contents = {path: path.read_bytes() for path in files}

        def read_weights() -> None:
            path = chance.choice(files)
            path.write_bytes(mutated(contents[path], chance))
            load_pretrained(path, model=model)

        kinds = ", ".join(path.suffix for path in files)
        yield measured(f"mutated weight files ({kinds})", weights, read_weights)


def measured(what: str, times: int, read: Callable[[], None]) -> Row:
    """Reads so many mutated files: how many were refused, the slowest, and how much more memory was needed."""
    refused, slowest, before = 0, 0.0, peak_resident_set()
    for count in range(times):
        start = time.perf_counter()
        try:
            read()
        except ValueError:
            refused += 1
        slowest = max(slowest, time.perf_counter() - start)
        if count % 1000 == 999:
            print(f"  {what}: {count + 1:,} of {times:,}", file=sys.stderr, flush=True)
    more = (peak_resident_set() - before) / 2**20
    return Row(
        what,
        times,
        f"refused with the reason: {refused:,}, read: {times - refused:,}; crashes, hangs: 0; slowest {slowest:.2f} s; "
        f"memory {more:,.0f} MiB more",
        {"refused": refused, "slowest_seconds": round(slowest, 3), "more_mib": round(more)},
    )
