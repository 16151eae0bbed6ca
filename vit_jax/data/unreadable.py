"""Images that cannot be read any more while a run goes on: it goes on without them, names them, and counts them.

A file that vanishes or goes bad after the start is in the split still: which examples make up a batch depends on their
number and must not change, or a resumed run would see other batches. In training the next example of the split that can
be read stands in for it (in a folder that is the next file of the same class, but for the last of each). In evaluation
nothing stands in for it: it does not count.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from vit_jax.data.dataset import DivisibleSource, Source
from vit_jax.data.decoding import UnreadableImage
from vit_jax.data.map_files import map_files

Example = tuple[np.ndarray, int]


def most_unreadable(examples: int) -> int:
    """How many examples of a split may turn out to be unreadable: 1%, or 10 of a small one, but never all."""
    return min(max(10, examples // 100), examples - 1)


def read_or_next(source: Source, index: int, unreadable: dict[int, str]) -> Example:
    """The example at `index` or, where it cannot be read, the next that can; after the last one comes the first.

    Args:
        source: of the examples.
        index: of the one asked for.
        unreadable: gets the examples that could not be read, and why.

    Raises:
        ValueError: more than `most_unreadable` in a row cannot be read.
    """
    most = most_unreadable(len(source))
    for place in range(index, index + most + 1):
        try:
            return source[place % len(source)]
        except UnreadableImage as error:
            unreadable[place % len(source)] = str(error)
    raise too_many(unreadable, most)


@dataclass
class Unreadable:
    """The examples of a split that have turned out to be unreadable.

    Attributes:
        examples: of the split, the readable ones included.
        say: is told of each of them, once.
        reasons: why each cannot be read.
    """

    examples: int
    say: Callable[[str], None] = print
    reasons: dict[int, str] = field(default_factory=dict)

    def add(self, found: Mapping[int, str]) -> None:
        """Takes note of unreadable examples, known or new.

        Raises:
            ValueError: they are more than `most_unreadable`.
        """
        most = most_unreadable(self.examples)
        for place, reason in found.items():
            if place not in self.reasons:
                self.reasons[place] = reason
                self.say(f"left out, as skip_unreadable says: {reason} (number {len(self.reasons)}, of at most {most})")
        if len(self.reasons) > most:
            raise too_many(self.reasons, most)


def readable_arrays(source: DivisibleSource, skip: Unreadable) -> tuple[np.ndarray, np.ndarray]:
    """All images and labels, the next readable example in the place of each that is not; `skip` gets these."""
    try:
        return source.as_arrays()
    except UnreadableImage:  # which is rare: all is read again, one by one
        pass
    (height, width, channels), unreadable = read_or_next(source, 0, {})[0].shape, {}
    images = np.empty((len(source), height, width, channels), np.uint8)
    labels = np.empty(len(source), np.int32)

    def place(index: int) -> None:
        images[index], labels[index] = read_or_next(source, index, unreadable)

    map_files(place, range(len(source)))
    skip.add(dict(sorted(unreadable.items())))
    return images, labels


def too_many(reasons: Mapping[int, str], most: int) -> ValueError:
    """What is to be said where more than `most` examples of a split cannot be read."""
    first = "; ".join(list(reasons.values())[:10])
    return ValueError(
        f"{len(reasons):,} images of a split have become unreadable since the start, more than the {most:,} that "
        f"skip_unreadable leaves out. The first: {first}"
    )
