"""Protects the plots: each config's mean and seeds where they belong, in its colour, under its name."""

import numpy as np
import pytest

from vit_jax.comparison.curves import EPOCHS, SECONDS, common_steps, curves, every_series, series_class, short_names
from vit_jax.comparison.results import read_results
from vit_jax.inspection.charts import Quantity

ACCURACY, LOSS = Quantity("accuracy", "Accuracy"), Quantity("loss", "Loss")


def test_accuracy_over_epochs_is_that_on_the_images_watched(finished):
    *seeds, one, two = every_series(read_results(*finished), ACCURACY, EPOCHS)
    assert [series.kind for series in seeds] == ["series0 seed"] * 2 + ["series1 seed"] * 2
    np.testing.assert_allclose(seeds[1].rows, [[1, 0.3], [2, 0.6]])
    assert (one.kind, one.name) == ("series0 mean", "one")
    np.testing.assert_allclose(one.rows, [[1, 0.275], [2, 0.55]])
    np.testing.assert_allclose(two.rows, [[1, 0.425], [2, 0.85]])


def test_seconds_are_those_of_training(finished):
    first = every_series(read_results(*finished), LOSS, SECONDS)[0]
    np.testing.assert_allclose(first.rows, [[500 / 75, 2.0], [500 / 75 + 5, 1.5], [500 / 75 + 25, 1.0]])


def test_every_plot_has_every_config(finished):
    drawn = curves(read_results(*finished))
    assert [(chart.title, chart.along) for chart in drawn] == [
        ("Accuracy on test images", "epochs"),
        ("Accuracy on test images", "seconds of training"),
        ("Loss in training", "epochs"),
        ("Loss in training", "seconds of training"),
    ]
    for chart in drawn:
        assert [line.name for line in chart.lines if line.name] == ["one", "two"]
        assert sorted(label.text for label in chart.labels) == ["one", "two"]
        assert len(chart.lines) == 6


def test_seeds_are_averaged_where_all_were_logged():
    lines = common_steps([np.array([[1, 5.0], [2, 6.0], [4, 7.0]]), np.array([[2, 8.0], [4, 9.0]])])
    np.testing.assert_array_equal(np.stack(lines)[:, :, 0], [[2, 4], [2, 4]])


@pytest.mark.parametrize(
    ("names", "short"),
    [
        (["cnn_cifar10_cpu", "vit_cifar10_cpu"], ["cnn", "vit"]),
        (["vit_small_digits", "vit_large_digits"], ["small", "large"]),
        (["vit", "vit_large"], ["vit", "vit_large"]),
        (["a_b", "a_b_b"], ["a", "a_b"]),
        (["vit_digits"], ["vit_digits"]),
    ],
)
def test_what_all_names_share_is_left_out(names, short):
    assert short_names(names) == short


def test_colours_that_come_again_are_dashed():
    assert [series_class(place) for place in (0, 5, 6)] == ["series0", "series5", "series0 dashed"]
