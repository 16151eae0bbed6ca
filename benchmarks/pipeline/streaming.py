"""The streaming feed beside Pillow alone, on a folder of JPEG files and the same cores."""

import multiprocessing
import time
from collections.abc import Generator
from contextlib import closing
from itertools import islice
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import spread
from benchmarks.pipeline.photographs import CLASSES
from benchmarks.pipeline.pillow_alone import decode, decode_and_forget
from vit_jax.data.feed import Batch, StreamingFeed
from vit_jax.data.folder import FolderSource, labelled_files
from vit_jax.data.workers import AHEAD, THREADS, cores

TARGET = 0.9
"""Of Pillow's images per second, at least."""


def speed_of_pillow(pool: Pool, source: FolderSource, images: int) -> float:
    """Images per second that a pool of processes decodes, one a core, and keeps to itself."""
    tasks = [(source.files[number % len(source)], min(source.shape)) for number in range(images)]
    start = time.perf_counter()
    for _ in pool.imap_unordered(decode_and_forget, tasks, chunksize=4):
        pass
    return images / (time.perf_counter() - start)


def speed_of_feed(source: FolderSource, workers: int, batch_size: int, batches: int) -> float:
    """Images per second of training batches that the feed brings to the main process.

    The clock starts when the workers have, and when what they had made ahead is used up; as it ends, they go on.
    """
    ahead = workers * (AHEAD + THREADS)
    feed = StreamingFeed(source, workers).shuffled(0, batch_size, range(ahead + batches + ahead))
    assert isinstance(feed, Generator)
    with closing(feed):
        take(feed, ahead)
        start = time.perf_counter()
        take(feed, batches)
        return batches * batch_size / (time.perf_counter() - start)


def speed_in_order(source: FolderSource, workers: int, batch_size: int, batches: int) -> float:
    """Images per second of the batches that evaluation gets."""
    feed = StreamingFeed(source, workers).in_order(batch_size)
    start = time.perf_counter()
    take(feed, batches)
    return batches * batch_size / (time.perf_counter() - start)


def take(batches: Generator[Batch] | Any, count: int) -> None:
    """Takes so many batches, which must be there."""
    taken = sum(1 for _ in islice(batches, count))
    if taken < count:
        raise ValueError(f"the feed ended after {taken} of {count} batches: more files or smaller batches are needed")


def streaming(root: Path, size: int, batch_size: int, batches: int, rounds: int) -> list[dict[str, Any]]:
    """Measures feed and Pillow in turn.

    Args:
        root: of the folder of images.
        size: in pixels, that they are loaded at.
        batch_size: of the feed.
        batches: that each core makes in a round; Pillow decodes as many images.
        rounds: how often.
    """
    source, workers = labelled_files([root / name for name in CLASSES], (size, size)), cores()
    for file, index in ((source.files[0], 0), (source.files[-1], len(source) - 1)):
        if not np.array_equal(np.asarray(decode(file, size)), source[index][0]):
            raise ValueError(f"{file}: the feed's pixels are not Pillow's; the two do not do the same work")
    speeds: dict[str, list[float]] = {"Pillow alone": [], "training batches": [], "evaluation batches": []}
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        speed_of_pillow(pool, source, len(source))  # starts the processes, and has the disk's files in memory
        for _ in range(rounds):
            speeds["Pillow alone"].append(speed_of_pillow(pool, source, workers * batches * batch_size))
            speeds["training batches"].append(speed_of_feed(source, workers, batch_size, workers * batches))
            in_order = min(batches, len(source) // batch_size)
            speeds["evaluation batches"].append(speed_in_order(source, workers, batch_size, in_order))
    rows = [row(what, speeds, workers) for what in speeds]
    ratio = rows[1]["times_pillow"]["median"]
    rows[1] |= {"target": TARGET, "met": ratio >= TARGET}
    return rows


def row(what: str, speeds: dict[str, list[float]], workers: int) -> dict[str, Any]:
    """One side's speed, and its ratio to Pillow's, round by round."""
    of_pillow = np.array(speeds["Pillow alone"])
    return {
        "part": "streaming",
        "what": what,
        "processes": workers,
        "images_per_second": spread(np.array(speeds[what])),
        "times_pillow": spread(np.array(speeds[what]) / of_pillow),
    }
