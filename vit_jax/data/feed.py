"""Feeds bring batches to the training step: from the device's own memory, or from worker processes.

Both give the same batches in the same order. A batch on the host is a dict of numpy arrays; what the step makes of it,
inside its own program, is `gather(feed.arrays, batch)`: uint8 images [B, H, W, C] and int32 labels [B].
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from vit_jax.data.dataset import DataConfig, DivisibleSource, Source
from vit_jax.data.in_threads import in_threads
from vit_jax.data.order import ShuffledOrder
from vit_jax.data.unreadable import Unreadable, read_or_next, readable_arrays
from vit_jax.data.workers import in_processes, usual_workers

if TYPE_CHECKING:
    import jax  # 0.1 GB in each worker process, which needs it for no more

RESIDENT_LIMIT = 2 * 2**30
"""Bytes of images up to which `feed="auto"` keeps a set on the device."""

EVALUATION_BATCHES_AHEAD = 4
"""Batches that the streaming feed reads before evaluation asks for them."""

Batch = Mapping[str, Any]


@dataclass(frozen=True)
class Share:
    """The part of every batch that this process feeds: the `index`-th, from 0, of `count` equal runs of its rows."""

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
        """Every example once, in order.

        "counts" is False of those that fill up the last batch, and of those that could not be read.
        """
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
    """Keeps a whole split on the device as uint8; a batch is only the indices of its examples.

    Args:
        source: of the split, read here and now.
        share: of each batch.
        skip: gets the unreadable examples, which others stand in for; None: the first of them is an error.
        repeats: of each example in training.
    """

    def __init__(
        self, source: DivisibleSource, share: Share = Share(), skip: Unreadable | None = None, repeats: int = 1
    ):
        images, labels = source.as_arrays() if skip is None else readable_arrays(source, skip)
        self.arrays = {"image": images, "label": labels.astype(np.int32)}
        self.share = share
        self.repeats = repeats
        self.unreadable = [] if skip is None else list(skip.reasons)

    def shuffled(self, seed: int, batch_size: int, steps: range) -> Iterator[Batch]:
        order = ShuffledOrder(seed, len(self.arrays["label"]), self.repeats)
        for step in steps:
            yield {"index": self.share.of(order.batch(step, batch_size))}

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        for index, counts in ordered_batches(len(self.arrays["label"]), batch_size):
            counts &= ~np.isin(index, self.unreadable)
            yield {"index": self.share.of(index), "counts": self.share.of(counts)}


@dataclass
class LoadBatch:
    """Loads the examples of one step's batch, and says which were unreadable; runs in worker processes."""

    source: Source
    order: ShuffledOrder
    batch_size: int
    share: Share
    skip: bool

    def __call__(self, step: int) -> tuple[Batch, dict[int, str]]:
        return load(self.source, self.share.of(self.order.batch(step, self.batch_size)), self.skip)


def load(source: Source, index: np.ndarray, skip: bool) -> tuple[Batch, dict[int, str]]:
    """The examples at `index` as one batch: "image" uint8 [B, H, W, C] and "label" int32 [B].

    If so asked, others stand in for unreadable ones: the second value are these, with the reasons.

    Raises:
        ValueError: an image has another shape than the first.
    """
    unreadable: dict[int, str] = {}
    read = partial(read_or_next, source, unreadable=unreadable) if skip else source.__getitem__
    examples = map(read, index.tolist())
    first = next(examples)
    images, labels = np.empty((len(index), *first[0].shape), np.uint8), np.empty(len(index), np.int32)
    for row, (image, label) in enumerate(chain([first], examples)):
        if image.shape != images.shape[1:]:
            raise ValueError(f"example {index[row]} has shape {image.shape}, and others have {images.shape[1:]}")
        images[row], labels[row] = image, label
    return {"image": images, "label": labels}, unreadable


class StreamingFeed:
    """Reads and decodes examples in worker processes, for sets that do not fit on the device.

    Args:
        source: of the split; can be pickled.
        workers: how many processes; 0: threads of this one.
        share: of each batch.
        skip: gets the unreadable examples, which others stand in for; None: the first of them is an error.
        repeats: of each example in training.
    """

    def __init__(
        self, source: Source, workers: int, share: Share = Share(), skip: Unreadable | None = None, repeats: int = 1
    ):
        self.source = source
        self.workers = workers
        self.share = share
        self.skip = skip
        self.repeats = repeats
        self.arrays: dict[str, np.ndarray] = {}

    def shuffled(self, seed: int, batch_size: int, steps: range) -> Iterator[Batch]:
        order = ShuffledOrder(seed, len(self.source), self.repeats)
        load_batch = LoadBatch(self.source, order, batch_size, self.share, self.skip is not None)
        for batch, unreadable in in_processes(load_batch, steps, self.workers):
            if self.skip is not None:
                self.skip.add(unreadable)
            yield batch

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        # In threads, whatever the workers: processes take seconds to start, again for each evaluation.
        per_batch = -(-(os.cpu_count() or 1) // EVALUATION_BATCHES_AHEAD)  # threads, so that no processor is idle
        per_batch = min(per_batch, batch_size // self.share.count)
        batches = ordered_batches(len(self.source), batch_size)
        parts = (part for batch in batches for part in self.parts(*batch, per_batch))
        loaded = in_threads(self.load_counted, parts, EVALUATION_BATCHES_AHEAD * per_batch)
        while of_batch := list(islice(loaded, per_batch)):
            for _, unreadable in of_batch:
                if self.skip is not None:
                    self.skip.add(unreadable)
            yield {name: np.concatenate([part[name] for part, _ in of_batch]) for name in of_batch[0][0]}

    def parts(self, index: np.ndarray, counts: np.ndarray, number: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """This process's rows of a whole batch, in so many parts."""
        return zip(*(np.array_split(self.share.of(rows), number) for rows in (index, counts)), strict=True)

    def load_counted(self, rows: tuple[np.ndarray, np.ndarray]) -> tuple[Batch, dict[int, str]]:
        """The examples at indices and which of them count; and the unreadable ones, with the reasons."""
        index, counts = rows
        loaded, unreadable = load(self.source, index, self.skip is not None)
        return {**loaded, "counts": counts & ~np.isin(index, list(unreadable))}, unreadable


def make_feed(source: DivisibleSource, config: DataConfig, image_shape: tuple[int, ...], share: Share) -> Feed:
    """The feed that the config asks for; "auto" keeps up to `RESIDENT_LIMIT` bytes of images on the device."""
    skip = Unreadable(len(source)) if config.skip_unreadable else None
    fits = len(source) * int(np.prod(image_shape)) <= RESIDENT_LIMIT
    if config.feed == "resident" or (config.feed == "auto" and fits):
        return ResidentFeed(source, share, skip, config.repeats)
    workers = usual_workers() if config.workers is None else config.workers
    return StreamingFeed(source, workers, share, skip, config.repeats)
