"""Which examples make up the batch of a step: a function of (seed, step) and of nothing else."""

from dataclasses import dataclass, field

import numpy as np


@dataclass
class ShuffledOrder:
    """An endless sequence of epochs over `examples` examples, each epoch a new permutation.

    Batches run on across the end of an epoch, so that without `repeats` no example is ever left out of an epoch.

    With `repeats`, each example is there so many times, to be augmented each time anew, and an epoch is as long as
    without: it goes through the first part of its permutation (repeated augmentation: Hoffer et al., 2020; the sampler
    of DeiT). A batch is shuffled then, so that the copies of an image are mixed (mixup, cutmix) with different others;
    DeiT's sampler gives them to different devices.

    Attributes:
        seed: of the permutations.
        examples: how many there are to go through.
        repeats: of each example.
    """

    seed: int
    examples: int
    repeats: int = 1
    epochs: dict[int, np.ndarray] = field(default_factory=dict, repr=False)

    def epoch(self, number: int) -> np.ndarray:
        """The permutation int64 [examples] of one epoch; the last two are kept."""
        order = self.epochs.get(number)
        if order is None:
            order = np.random.default_rng((self.seed, number)).permutation(self.examples)
            # One assignment, as another thread may be looking at the same time.
            self.epochs = {old: kept for old, kept in self.epochs.items() if old == number - 1} | {number: order}
        return order

    def batch(self, step: int, batch_size: int) -> np.ndarray:
        """The examples of a step's batch: int32 [batch_size]."""
        epochs, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), self.examples)
        batch = np.empty(batch_size, np.int32)
        for number in np.unique(epochs):
            batch[epochs == number] = self.epoch(int(number))[places[epochs == number] // self.repeats]
        return batch if self.repeats == 1 else np.random.default_rng((self.seed, step, 1)).permutation(batch)
