"""A report shows the pictures that its predictions are of, those that are still there."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from vit_jax.data.dataset import ArraySource
from vit_jax.data.decoding import UnreadableImage
from vit_jax.evaluation.accuracy import Predictions
from vit_jax.inspection.run_report import examples, pictures
from vit_jax.models.preprocessing import Preprocessing
from vit_jax.models.registry import create_model


class Vanishing(ArraySource):
    """Whose example 3 is gone."""

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        if index == 3:
            raise UnreadableImage("3.png cannot be read as an image")
        return super().__getitem__(index)


SOURCE = Vanishing(np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1), np.arange(6))


def test_pictures_that_are_gone_are_left_out():
    read, images = pictures(SOURCE, [5, 3, 2])
    assert read == [0, 2]
    assert [image.item() for image in images] == [5, 2]


def test_pictures_are_those_of_the_predictions():
    """Predictions are of the examples at `place`: 1 and 4 were gone before, 3 goes now."""
    place, label = np.array([0, 2, 3, 5]), np.array([7, 8, 9, 6])
    test = Predictions(place, label, label, np.ones(4), np.ones(4))
    network = create_model("cnn_small_32", in_channels=1, preprocessing=Preprocessing())
    run: Any = SimpleNamespace(dataset=SimpleNamespace(test=SOURCE), model=network)
    shown = {example.image.item(): example.label for example in examples(run, {}, test)}
    assert shown == {0: 7, 2: 8, 5: 6}
