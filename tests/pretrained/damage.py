"""Damaged copies of files: flipped bytes, cut ends. What a reader does with them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from vit_jax.pretrained.stored import Weights


def read_all(weights: Weights) -> dict[str, np.ndarray]:
    """Every array, with the shape and dtype that was announced."""
    arrays = {name: stored.read() for name, stored in weights.arrays.items()}
    for name, array in arrays.items():
        assert (array.shape, array.dtype) == (weights.arrays[name].shape, weights.arrays[name].dtype)
    return arrays


def flipped(content: bytes, count: int) -> Iterator[tuple[int, bytes]]:
    """Copies with one bit of one byte flipped, `count` of them spread over the file, with the byte's place."""
    random = np.random.default_rng(0)
    for place in random.choice(len(content), min(count, len(content)), replace=False):
        copy = bytearray(content)
        copy[place] ^= 1 << random.integers(8)
        yield int(place), bytes(copy)


def cut(content: bytes, count: int) -> Iterator[bytes]:
    """Copies of `count` lengths, the shortest ones and one byte less among them."""
    lengths = np.random.default_rng(0).integers(len(content), size=count)
    for length in {*map(int, lengths), 1, 4, 8, 9, len(content) - 1}:
        yield content[:length]


def outcome(open_file: Callable[[Path], Weights], path: Path, content: bytes) -> Mapping[str, np.ndarray] | None:
    """What is read from a file with this content; None if it is refused by name, with ValueError."""
    path.write_bytes(content)
    try:
        return read_all(open_file(path))
    except ValueError as error:
        if str(path) not in str(error):
            raise
        return None


def equal(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> bool:
    """Whether two mappings have the same arrays, bit for bit."""
    return a.keys() == b.keys() and all(
        (a[name].shape, a[name].dtype, a[name].tobytes()) == (b[name].shape, b[name].dtype, b[name].tobytes())
        for name in a
    )
