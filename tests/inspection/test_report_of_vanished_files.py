"""A report shows the pictures that its predictions are of, those that are still there."""

import numpy as np

from vit_jax.data.dataset import ArraySource
from vit_jax.data.decoding import UnreadableImage
from vit_jax.evaluation.accuracy import Predictions
from vit_jax.inspection.run_report import pictures


class Vanishing(ArraySource):
    """Whose example 3 is gone."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if index == 3:
            raise UnreadableImage("3.png cannot be read as an image")
        return super().__getitem__(index)


def test_pictures_are_those_of_the_predictions():
    source = Vanishing(np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1), np.arange(6))
    place = np.array([0, 2, 3, 5])  # 1 and 4 were gone before
    test = Predictions(place, place, place, np.ones(4), np.ones(4))
    chosen, images = pictures(source, test, [3, 2, 1])
    assert chosen == [3, 1]
    assert [image.item() for image in images] == [5, 2]
