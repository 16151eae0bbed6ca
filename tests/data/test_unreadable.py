"""Files that vanish or go bad while a run reads them."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vit_jax.data.dataset import ArraySource, DataConfig
from vit_jax.data.decoding import UnreadableImage
from vit_jax.data.feed import Feed, Share, gather, make_feed
from vit_jax.data.folder import FolderSource, load_folder
from vit_jax.data.unreadable import most_unreadable, read_or_next

CONFIG = DataConfig(name="folder:images", load_size=8, skip_unreadable=True, workers=0)
FEEDS = ["resident", "streaming"]
GONE, BAD = 3, 23
"""Examples of `source`: one vanishes, the other, the last, goes bad."""


@pytest.fixture
def source(make_folder: Callable[..., Path]) -> FolderSource:
    source = load_folder(make_folder({f"{s}/{c}": 12 for s in ("train", "test") for c in "ab"}), CONFIG).train
    assert isinstance(source, FolderSource)
    return source


@pytest.fixture
def expected(source: FolderSource) -> ArraySource:
    """What is left when the two are gone: the next examples in their places."""
    images, labels = source.as_arrays()
    places = np.arange(24)
    places[[GONE, BAD]] = GONE + 1, 0
    Path(source.files[GONE]).unlink()
    Path(source.files[BAD]).write_bytes(Path(source.files[BAD]).read_bytes()[:100])
    return ArraySource(images[places], labels[places])


def feed_of(source: Any, kind: Any, **changes: Any) -> Feed:
    return make_feed(source, replace(CONFIG, feed=kind, **changes), (8, 8, 3), Share())


def examples(feed: Feed, batches: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    arrays: Any = feed.arrays
    images, labels = zip(*(map(np.asarray, gather(arrays, batch)) for batch in batches), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def assert_trains_as(feed: Feed, other: Feed, steps: range) -> None:
    pair = [examples(one, one.shuffled(7, 8, steps)) for one in (feed, other)]
    for ours, theirs in zip(*pair, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("kind", FEEDS)
def test_the_next_readable_example_stands_in_and_the_file_is_named_once(kind, source, expected, capsys):
    feed = feed_of(source, kind)
    assert_trains_as(feed, feed_of(expected, "resident"), range(9))
    lines = sorted(capsys.readouterr().out.splitlines())
    assert len(lines) == 2
    for line, index in zip(lines, (GONE, BAD), strict=True):
        assert line.startswith(f"left out, as skip_unreadable says: {source.files[index]} cannot be read as an image: ")
    assert {line.rsplit("(")[-1] for line in lines} == {"number 1, of at most 10)", "number 2, of at most 10)"}


@pytest.mark.parametrize("kind", FEEDS)
def test_a_resumed_feed_brings_the_same(kind, source, expected):
    assert_trains_as(feed_of(source, kind), feed_of(expected, "resident"), range(5, 9))


def test_worker_processes_tell_what_they_could_not_read(source, expected, capsys):
    assert_trains_as(feed_of(source, "streaming", workers=2), feed_of(expected, "resident"), range(6))
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("kind", FEEDS)
def test_evaluation_does_not_count_what_cannot_be_read(kind, source, expected, capsys):
    feed = feed_of(source, kind)
    for _ in range(2):
        batches = list(feed.in_order(10))
        counts = np.concatenate([batch["counts"] for batch in batches])
        assert np.flatnonzero(~counts).tolist() == [GONE, BAD, *range(24, 30)]
        for ours, theirs in zip(examples(feed, batches), expected.as_arrays(), strict=True):
            np.testing.assert_array_equal(ours[counts], np.delete(theirs, [GONE, BAD], axis=0))
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("kind", FEEDS)
def test_more_than_stray_files_stop_the_run_and_are_named(kind, source):
    for file in source.files[::2]:
        Path(file).unlink()
    with pytest.raises(ValueError, match=r"1[12] images .* more than the 10 that .*/a/0\.png cannot"):
        list(feed_of(source, kind).shuffled(0, 8, range(3)))
    with pytest.raises(ValueError, match="more than the 10"):
        list(feed_of(source, kind).in_order(8))


def test_nothing_left_to_read_stops_the_run_too(source):
    source = source.subset(np.arange(4))
    for file in source.files:
        Path(file).unlink()
    for kind in FEEDS:
        with pytest.raises(ValueError, match=r"4 images of a split .* more than the 3"):
            next(feed_of(source, kind).shuffled(0, 2, range(1)))


@pytest.mark.parametrize(("kind", "workers"), [("resident", 0), ("streaming", 0), ("streaming", 1)])
def test_unless_skipping_is_asked_for_the_first_stops_the_run(kind, workers, source, expected):
    with pytest.raises(UnreadableImage, match=rf"^{source.files[GONE]} cannot be read .*|{source.files[BAD]} cannot"):
        list(feed_of(source, kind, workers=workers, skip_unreadable=False).shuffled(0, 8, range(3)))
    with pytest.raises(UnreadableImage, match=rf"{source.files[GONE]} cannot be read as an image: .*No such file"):
        list(feed_of(source, kind, workers=workers, skip_unreadable=False).in_order(8))


def test_only_unreadable_images_are_left_out():
    class Mislabelled(ArraySource):
        def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
            raise ValueError("label 11 is outside 0 to 9")

    source = Mislabelled(np.zeros((3, 8, 8, 3), np.uint8), np.zeros(3, np.int32))
    with pytest.raises(ValueError, match=r"^label 11"):
        read_or_next(source, 0, {})


def test_the_cap_is_a_hundredth_ten_of_a_small_split_and_never_all_of_it():
    assert [most_unreadable(examples) for examples in (2, 11, 12, 1000, 1100, 50_000)] == [1, 10, 10, 10, 11, 500]
