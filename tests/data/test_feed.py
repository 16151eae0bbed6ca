"""The resident and the streaming feed bring the same batches."""

import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest

from vit_jax.data.dataset import ArraySource, DataConfig
from vit_jax.data.feed import ResidentFeed, Share, StreamingFeed, gather, load, make_feed


@pytest.fixture(scope="module")
def source():
    random = np.random.default_rng(0)
    return ArraySource(random.integers(0, 256, (23, 4, 6, 3), np.uint8), np.arange(23, dtype=np.int32) % 5)


def images_and_labels(feed, batches):
    return [tuple(map(np.asarray, gather(feed.arrays, batch))) for batch in batches]


def assert_same(ones, others):
    assert len(ones) == len(others) > 0
    for (images, labels), (other_images, other_labels) in zip(ones, others, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)
        assert images.dtype == np.uint8
        assert labels.dtype == np.int32


@pytest.mark.parametrize(("cores", "workers"), [(1, 2), (2, 2), (12, 6), (64, 16)])
def test_two_cores_have_a_worker(source, cores, workers, monkeypatch):
    """Of the cores that a scheduler has given the process, not of all of the machine's."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    made = {
        asked: make_feed(source, DataConfig(feed="streaming", workers=asked), (4, 6, 3), Share()) for asked in (None, 0)
    }
    assert {asked: feed.workers for asked, feed in made.items() if isinstance(feed, StreamingFeed)} == {
        None: workers,
        0: 0,
    }


@pytest.mark.parametrize(("workers", "repeats"), [(0, 1), (2, 1), (0, 3)])
def test_streaming_gives_the_resident_feeds_batches_in_its_order(source, workers, repeats):
    resident, streaming = (
        make_feed(source, DataConfig(feed=feed, workers=workers, repeats=repeats), (4, 6, 3), Share())
        for feed in ("resident", "streaming")
    )
    steps = range(3, 12)  # as in a resumed run, over the end of an epoch
    expected = images_and_labels(resident, resident.shuffled(7, 8, steps))
    assert_same(expected, images_and_labels(streaming, streaming.shuffled(7, 8, steps)))
    distinct = {image.tobytes() for image in expected[0][0]}
    assert len(distinct) == -(-8 // repeats)


def test_a_resumed_feed_goes_on_where_the_other_stopped(source):
    feed = ResidentFeed(source)
    whole = images_and_labels(feed, feed.shuffled(1, 8, range(10)))
    assert_same(whole[4:], images_and_labels(feed, feed.shuffled(1, 8, range(4, 10))))


@pytest.mark.parametrize("make", [ResidentFeed, lambda source: StreamingFeed(source, 0)])
def test_in_order_every_example_counts_once(source, make):
    feed = make(source)
    batches = list(feed.in_order(8))
    counts = np.concatenate([batch["counts"] for batch in batches])
    labels = np.concatenate([labels for _, labels in images_and_labels(feed, batches)])
    assert len(labels) == 24  # the last batch is filled up
    np.testing.assert_array_equal(labels[counts], source.labels)


@pytest.mark.parametrize("processors", [None, 5, 64])
@pytest.mark.parametrize("share", [Share(), Share(1, 2)])
def test_in_order_batches_are_the_resident_feeds_whatever_the_processors(source, share, processors, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    feeds = ResidentFeed(source, share), StreamingFeed(source, 0, share)
    resident, streaming = (list(feed.in_order(8)) for feed in feeds)
    assert_same(images_and_labels(feeds[0], resident), images_and_labels(feeds[1], streaming))
    for one, other in zip(resident, streaming, strict=True):
        np.testing.assert_array_equal(one["counts"], other["counts"])


def test_in_order_many_processors_read_one_batch(source, monkeypatch):
    """With as many processors a batch is not the work of one: its eight images are read at once."""
    monkeypatch.setattr(os, "cpu_count", lambda: 32)
    together = threading.Barrier(8, timeout=20)  # passed only by eight at once; broken otherwise

    class Waiting(ArraySource):
        def __getitem__(self, index):
            together.wait()
            return super().__getitem__(index)

    (batch,) = StreamingFeed(Waiting(source.images[:8], source.labels[:8]), 0).in_order(8)
    np.testing.assert_array_equal(batch["image"], source.images[:8])


@pytest.mark.parametrize("shape", [(3, 6, 3), (1, 1, 3)])
def test_an_image_of_another_shape_is_an_error(source, shape):
    """Even of one that NumPy would spread over the others' shape."""

    class Differing(ArraySource):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return (np.zeros(shape, np.uint8), label) if index == 5 else (image, label)

    differing = Differing(source.images, source.labels)
    with pytest.raises(ValueError, match=r"example 5 has shape \(\d, \d, 3\), and others have \(4, 6, 3\)"):
        load(differing, np.arange(8), skip=False)


def test_a_batch_is_in_memory_once():
    """Each worker process has several under way."""

    class Drawn(ArraySource):
        def __getitem__(self, index):
            return np.full((100, 100, 3), index, np.uint8), 0

    tracemalloc.start()
    batch, _ = load(Drawn(np.empty(0), np.empty(100)), np.arange(100), skip=False)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert batch["image"][:, 0, 0, 0].tolist() == list(range(100))
    assert most < 1.2 * batch["image"].nbytes


def test_in_order_a_batch_may_be_larger_than_the_set(source):
    (batch,) = ResidentFeed(source).in_order(64)
    assert batch["counts"].sum() == 23
    assert len(batch["index"]) == 64


@pytest.mark.parametrize("make", [ResidentFeed, lambda source, share: StreamingFeed(source, 0, share)])
def test_processes_share_a_batch_without_overlap(source, make):
    whole = ResidentFeed(source)
    expected = images_and_labels(whole, whole.shuffled(0, 8, range(4)))
    parts = [make(source, Share(index, 2)) for index in range(2)]
    halves = [images_and_labels(part, part.shuffled(0, 8, range(4))) for part in parts]
    joined = [tuple(np.concatenate(pair) for pair in zip(a, b, strict=True)) for a, b in zip(*halves, strict=True)]
    assert_same(expected, joined)


def test_auto_keeps_small_sets_on_the_device_and_streams_large_ones(source):
    assert isinstance(make_feed(source, DataConfig(), (4, 6, 3), Share()), ResidentFeed)
    assert isinstance(make_feed(source, DataConfig(), (2**14, 2**14, 3), Share()), StreamingFeed)
    assert isinstance(make_feed(source, DataConfig(feed="streaming"), (4, 6, 3), Share()), StreamingFeed)
    assert isinstance(make_feed(source, DataConfig(feed="resident"), (4, 6, 3), Share()), ResidentFeed)


def test_worker_processes_do_not_import_jax():
    """It takes a second and 0.1 GB, in each of them."""
    program = "import sys, vit_jax.data.feed, vit_jax.data.folder, vit_jax.data.tfds_sets; print('jax' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "False\n"
