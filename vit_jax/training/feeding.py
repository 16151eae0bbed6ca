"""The feeds of a run: what cannot be read ends it."""

from collections.abc import Iterator

from vit_jax.data.dataset import DivisibleSource
from vit_jax.data.feed import Batch, Feed, make_feed
from vit_jax.training.errors import TrainingError
from vit_jax.training.run import Run


def feed_of(run: Run, source: DivisibleSource) -> Feed:
    """The feed of a split.

    Raises:
        TrainingError: if what it reads at once cannot be read.
    """
    try:
        return make_feed(source, run.config.data, run.dataset.image_shape, run.share)
    except (OSError, ValueError) as error:
        raise TrainingError(str(error)) from error


def reading(batches: Iterator[Batch]) -> Iterator[Batch]:
    """The batches of a feed.

    Raises:
        TrainingError: if one cannot be read.
    """
    try:
        yield from batches
    except (OSError, ValueError) as error:
        raise TrainingError(str(error)) from error
