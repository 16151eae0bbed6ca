"""Image and weight files with bytes changed, cut and repeated: each is read, or refused with its reason."""

import importlib
import importlib.util
import io
import logging
import random
import tempfile
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from benchmarks.faults.reading import PATIENCE_SECONDS, Read, Reading, watched
from benchmarks.faults.runs import Row
from benchmarks.loading import random_weights
from vit_jax.data.decoding import decode
from vit_jax.models.vit import VisionTransformer
from vit_jax.pretrained.load import load_pretrained

MEMORY_BOUND = 1640
"""MiB that reading a file may take, whatever it claims to be: 1.6 GiB, as a valid picture of the most pixels that are
allowed (`vit_jax.rgb.MAX_PIXELS`)."""

MODEL = VisionTransformer(image_size=16, patch_size=8, embed_dim=16, depth=1, num_heads=2, num_classes=5)
"""Whose weights are read."""


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


def weight_files(directory: Path) -> list[Path]:
    """A network's weights as .npz, .safetensors and, where torch is installed, .pth."""
    arrays: dict[str, Any] = dict(random_weights(MODEL))
    np.savez(directory / "weights.npz", **arrays)
    save_file(arrays, directory / "weights.safetensors")
    paths = [directory / "weights.npz", directory / "weights.safetensors"]
    if importlib.util.find_spec("torch") is None:
        return paths
    torch = importlib.import_module("torch")
    torch.save({name: torch.from_numpy(x) for name, x in arrays.items()}, directory / "weights.pth")
    return [*paths, directory / "weights.pth"]


def image_reader() -> Read:
    """Reads a mutated image."""
    warnings.simplefilter("ignore")  # Pillow's words about what is damaged
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    pixels = partial(decode, channels=3, shape=(32, 32), name="a mutated image")
    originals = image_files()
    for original in originals:
        pixels(original)  # which can be read: refusals are of what was mutated

    def read(chance: random.Random) -> None:
        pixels(mutated(chance.choice(originals), chance))

    return read


def weight_reader(directory: Path) -> Read:
    """Reads a mutated file of weights, which is written to a directory first."""
    files = weight_files(directory)
    contents = {path: path.read_bytes() for path in files}

    def read(chance: random.Random) -> None:
        path = chance.choice(files)
        path.write_bytes(mutated(contents[path], chance))
        load_pretrained(path, model=MODEL)

    return read


def mutations(seed: int, images: int, weights: int) -> Iterator[Row]:
    """Rows of the table, of so many files."""
    yield row("mutated image files, of six formats", watched(image_reader, images, seed))
    with tempfile.TemporaryDirectory() as directory:
        reading = watched(partial(weight_reader, Path(directory)), weights, seed)
        suffixes = sorted(path.suffix for path in Path(directory).iterdir())
        yield row(f"mutated weight files ({', '.join(suffixes)})", reading)


def row(what: str, reading: Reading) -> Row:
    """What came of reading mutated files: how often what, the slowest, and how much more memory was needed."""
    counts, more = reading.outcomes, reading.more_bytes / 2**20
    return Row(
        what,
        sum(counts.values()),
        f"refused with the reason: {counts['refused']:,}, read: {counts['read']:,}; unexpected errors: "
        f"{counts['unexpected error']}, crashes: {counts['crashed']}, hangs ({PATIENCE_SECONDS:.0f} s): "
        f"{counts['hung']}; slowest {reading.slowest:.2f} s; memory {more:,.0f} MiB more, "
        f"{'within' if more <= MEMORY_BOUND else 'OVER'} {MEMORY_BOUND:,} MiB",
        {**counts, "slowest_seconds": round(reading.slowest, 3), "more_mib": round(more)},
    )
