"""Feeds bring batches to the training step: from the device's own memory, or from worker processes.

Both give the same batches in the same order. A batch on the host is a dict of numpy arrays; what the step makes of it,
inside its own program, is `gather(feed.arrays, batch)`: uint8 images [B, H, W, C] and int32 labels [B].
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np

from vit_jax.data.dataset import DataConfig, Source, as_arrays
from vit_jax.data.order import ShuffledOrder

RESIDENT_LIMIT = 2 * 2**30
"""Bytes of images up to which `feed="auto"` keeps a set on the device."""

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """The part of every batch that this process feeds: rows `index`, `index + 1`, ... of `count` equal parts."""

    index: int = 0
    count: int = 1

    def of(self, batch: np.ndarray) -> np.ndarray:
        """This process's rows of a whole batch."""
        rows = len(batch) // self.count
        return batch[self.index * rows : (self.index + 1) * rows]


class Feed(Protocol):
    """Batches of one split."""

    @property
    def arrays(self) -> Mapping[str, np.ndarray]:
        """What the step needs on the device besides the batch: the whole split, or nothing."""
        ...

    def shuffled(self, seed: int, batch_size: int, steps: range) -> Iterator[Batch]:
        """The training batches of these steps, of `batch_size` examples over all processes."""
        ...

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """Every example once, in order; the last batch is filled up with examples whose "counts" is False."""
        ...


def gather(arrays: Mapping[str, jax.Array], batch: Mapping[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
    """Images uint8 [B, H, W, C] and labels int32 [B] of a batch; runs inside the jitted step."""
    if "index" in batch:
        return arrays["image"][batch["index"]], arrays["label"][batch["index"]]
    return batch["image"], batch["label"]


def ordered_batches(examples: int, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Indices int32 [B] and whether each counts, bool [B], for batches that cover `examples` once."""
    for start in range(0, examples, batch_size):
        index = np.arange(start, start + batch_size, dtype=np.int32)
        yield index % examples, index < examples


class ResidentFeed:
    """Keeps a whole split on the device as uint8; a batch is only the indices of its examples."""

    def __init__(self, source: Source, share: Share = Share()):
        images, labels = as_arrays(source)
        self.arrays = {"image": images, "label": labels.astype(np.int32)}
        self.share = share

    def shuffled(self, seed: int, batch_size: int, steps: range) -> Iterator[Batch]:
        order = ShuffledOrder(seed, len(self.arrays["label"]))
        for step in steps:
            yield {"index": self.share.of(order.batch(step, batch_size))}

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        for index, counts in ordered_batches(len(self.arrays["label"]), batch_size):
            yield {"index": self.share.of(index), "counts": self.share.of(counts)}


@dataclass
class LoadBatch:
    """Loads the examples of one step's batch; runs in Grain's worker processes."""

    source: Source
    order: ShuffledOrder
    batch_size: int
    share: Share

    def __call__(self, step: int) -> Batch:
        return load(self.source, self.share.of(self.order.batch(step, self.batch_size)))


def load(source: Source, index: np.ndarray) -> Batch:
    """The examples at `index` as one batch: "image" uint8 [B, H, W, C] and "label" int32 [B]."""
    examples = [source[int(i)] for i in index]
    return {
        "image": np.stack([image for image, _ in examples]),
        "label": np.array([label for _, label in examples], np.int32),
    }


class StreamingFeed:
    """Reads and decodes examples in worker processes (Grain), for sets that do not fit on the device."""

    def __init__(self, source: Source, workers: int, share: Share = Share()):
        self.source = source
        self.workers = workers
        self.share = share
        self.arrays: dict[str, np.ndarray] = {}

    def shuffled(self, seed: int, batch_size: int, steps: range) -> Iterator[Batch]:
        import grain  # imported here: it takes half a second that the resident feed does not need
        from absl import flags

        if not flags.FLAGS.is_parsed():  # Grain's workers read absl's flags, which this program does not use
            flags.FLAGS.mark_as_parsed()
        load_batch = LoadBatch(self.source, ShuffledOrder(seed, len(self.source)), batch_size, self.share)
        batches = grain.MapDataset.range(steps.start, steps.stop).map(load_batch)
        read = grain.ReadOptions(num_threads=2, prefetch_buffer_size=4)
        options = grain.MultiprocessingOptions(num_workers=self.workers)
        yield from batches.to_iter_dataset(read).mp_prefetch(options)

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        for index, counts in ordered_batches(len(self.source), batch_size):
            yield {**load(self.source, self.share.of(index)), "counts": self.share.of(counts)}


def make_feed(source: Source, config: DataConfig, image_shape: tuple[int, ...], share: Share) -> Feed:
    """The feed that the config asks for; "auto" keeps up to `RESIDENT_LIMIT` bytes of images on the device."""
    fits = len(source) * int(np.prod(image_shape)) <= RESIDENT_LIMIT
    if config.feed == "resident" or (config.feed == "auto" and fits):
        return ResidentFeed(source, share)
    return StreamingFeed(source, config.workers, share)
