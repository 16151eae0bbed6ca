"""Protects the curves: every value where it belongs, nothing broken hidden, axes that can be read."""

import math
import re

import numpy as np
import pytest

from vit_jax.inspection.charts import (
    BOTTOM,
    LABEL_HEIGHT,
    LEFT,
    LOG_RATIO,
    MOST_POINTS,
    RIGHT,
    TOP,
    Along,
    Quantity,
    Series,
    along_axis,
    charts,
    class_ticks,
    draw,
    linear_axis,
    log_axis,
    thin,
)


def train(step, loss, **more):
    return {"kind": "train", "step": step, "loss": loss, **more}


def points(line):
    """The vertices of a path as floats [points, 2]."""
    return np.array([[float(x), float(y)] for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", line.path)])


def test_a_line_goes_through_the_logged_values():
    (chart,) = charts([train(0, 1.0), train(50, 0.5), train(100, 0.0)])
    np.testing.assert_allclose(
        points(chart.lines[0]), [[LEFT, TOP], [(LEFT + RIGHT) / 2, (TOP + BOTTOM) / 2], [RIGHT, BOTTOM]]
    )
    assert chart.lines[0].last == "0"
    assert [tick.label for tick in chart.y_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]


def test_each_kind_of_row_has_its_line_and_each_logged_quantity_its_chart():
    history = [
        train(10, 1.0, accuracy=0.5, learning_rate=1e-3, gradient_norm=2.0, images_per_second=100.0),
        {"kind": "validation", "step": 10, "loss": 1.2, "accuracy": 0.4},
        {"kind": "test", "step": 10, "loss": 1.3, "accuracy": 0.3333},
    ]
    drawn = {chart.title: chart for chart in charts(history)}
    assert list(drawn) == ["Loss", "Accuracy", "Learning rate", "Gradient norm"]
    assert [(line.kind, line.last) for line in drawn["Accuracy"].lines] == [
        ("train", "50.00%"),
        ("validation", "40.00%"),
        ("test", "33.33%"),
    ]
    assert [line.kind for line in drawn["Learning rate"].lines] == ["train"]


def test_no_history_gives_no_charts():
    assert charts([]) == []


def test_one_row_is_drawn_as_a_dot():
    (chart,) = charts([train(7, 0.5)])
    (line,) = chart.lines
    assert line.path.endswith("h0")  # with round line ends, a dot
    assert len(line.dots) == 1
    assert [tick.label for tick in chart.x_ticks] == ["0", "2", "4", "6"]


@pytest.mark.parametrize("broken", [math.nan, math.inf, -math.inf, None])
def test_a_value_that_is_not_finite_breaks_the_line_and_is_marked_and_told(broken):
    (chart,) = charts([train(0, 1.0), train(1, 0.9), train(2, broken), train(3, 0.7), train(4, 0.6)])
    (line,) = chart.lines
    assert line.path.count("M") == 2
    assert len(points(line)) == 4
    assert line.broken == ((LEFT + RIGHT) / 2,)
    assert chart.warning == "train: not finite in 1 of 5 rows, first at step 2"
    assert "nan" not in line.path


def test_a_history_that_is_never_finite_still_has_axes():
    (chart,) = charts([train(1, math.nan), train(2, math.nan)])
    assert chart.lines[0].path == ""
    assert len(chart.y_ticks) > 2
    assert "2 of 2" in chart.warning


def test_a_wide_range_of_losses_gets_a_logarithmic_axis_and_others_do_not():
    assert charts([train(0, LOG_RATIO * 1.1), train(1, 1.0)])[0].log
    assert not charts([train(0, LOG_RATIO * 0.9), train(1, 1.0)])[0].log
    assert not charts([train(0, 3.0), train(1, 0.0)])[0].log  # zero has no logarithm
    assert not charts([{"kind": "train", "step": 1, "learning_rate": rate} for rate in (1e-3, 1e-9)])[0].log


def test_thinning_keeps_spikes_ends_and_broken_values():
    values = np.full(10_000, 0.5)
    values[[1234, 5678, 8000]] = [9.0, -9.0, math.nan]
    thinned = thin(np.stack([np.arange(10_000.0), values], axis=1))
    assert len(thinned) <= MOST_POINTS + 3
    assert {0, 1234, 5678, 8000, 9999} <= set(thinned[:, 0].astype(int))
    assert np.all(np.diff(thinned[:, 0]) > 0)


def test_a_short_history_is_not_thinned():
    rows = np.random.default_rng(0).normal(size=(MOST_POINTS, 2))
    assert thin(rows) is rows


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0, 0.00031), (0.1, 0.97), (-3, 7), (5, 5), (0, 0), (-2, -2), (0, 3e38)]
)
def test_a_linear_axis_holds_its_values_with_few_round_ticks(low, high):
    axis, ticks = linear_axis(float(low), float(high))
    assert axis.low <= low <= high <= axis.high
    assert axis.low < axis.high
    assert 3 <= len(ticks) <= 7
    assert len({f"{tick:g}" for tick in ticks}) == len(ticks)
    assert all(len(f"{tick:g}") <= 7 for tick in ticks)


def test_a_linear_axis_begins_at_a_value_that_is_a_tick():
    _, ticks = linear_axis(0.7, 1.0)  # 0.7 / 0.1 is 6.999..
    assert ticks[0] == pytest.approx(0.7)


def test_rounding_does_not_push_accuracy_over_a_hundred_percent():
    _, ticks = linear_axis(0.1, 1.0000001)
    assert ticks[-1] == pytest.approx(1.0)


@pytest.mark.parametrize("last", [0, 1, 2, 3, 7, 60, 1499, 10**6])
def test_ticks_of_steps_are_whole_numbers(last):
    axis, ticks = along_axis(float(last), whole=True, right=RIGHT)
    assert axis.high >= last
    assert np.all(ticks == np.rint(ticks))
    assert 2 <= len(ticks) <= 6


def test_places_that_need_not_be_whole_have_ticks_between():
    axis, ticks = along_axis(0.4, whole=False, right=RIGHT)
    assert axis.high == 0.4
    np.testing.assert_allclose(ticks, [0, 0.1, 0.2, 0.3, 0.4])


def labelled(*heights, names=("a", "b", "c", "d")):
    series = [Series(name, name, np.array([[0, 0.5], [1, y]])) for name, y in zip(names, heights, strict=False)]
    return draw(Quantity("loss", "Loss"), series, Along("epochs", "epoch", whole=False), labelled=True)


def test_names_stand_at_the_ends_of_their_lines():
    chart = labelled(0.0, 1.0)
    assert [(label.text, label.y) for label in chart.labels] == [("b", TOP), ("a", BOTTOM)]
    assert points(chart.lines[0])[-1, 0] == chart.right
    assert [(line.name, line.last) for line in chart.lines] == [("a", "0"), ("b", "1")]


@pytest.mark.parametrize("heights", [(0.5, 0.5, 0.5, 1.0), (0, 0, 0, 1), (1, 1, 1, 0)])
def test_names_do_not_cover_each_other_and_stay_in_the_drawing(heights):
    places = [label.y for label in labelled(*heights).labels]
    assert len(places) == 4
    assert np.diff(places).min() >= LABEL_HEIGHT - 0.2
    assert TOP <= min(places) <= max(places) <= BOTTOM


def test_long_names_are_cut_in_the_drawing_and_whole_in_the_legend():
    chart = labelled(0.2, names=("a_name_of_many_words",))
    assert chart.labels[0].text == "a_name_of_many…"
    assert chart.lines[0].name == "a_name_of_many_words"
    assert 250 < chart.right < RIGHT


def test_a_line_without_a_name_is_not_told_of():
    unnamed = Series("seed", "", np.array([[1, 1.0], [2, math.nan]]))
    chart = draw(Quantity("loss", "Loss"), [unnamed, Series("mean", "a", np.array([[1, 1.0]]))], labelled=True)
    assert [label.text for label in chart.labels] == ["a"]
    assert chart.warning == ""
    assert chart.lines[0].broken


@pytest.mark.parametrize(("low", "high"), [(0.9, 31), (1e-3, 3), (1e-6, 1e3), (1e-30, 1e30)])
def test_a_logarithmic_axis_has_a_readable_number_of_ticks_inside_it(low, high):
    axis, ticks = log_axis(low, high)
    assert axis.low < low < high < axis.high
    assert 3 <= len(ticks) <= 9
    assert axis.place(np.array([axis.low, axis.high])) == pytest.approx([BOTTOM, TOP])


@pytest.mark.parametrize(("classes", "labels"), [(21, "0 5 10 15 20"), (100, "0 10 20 30 40 50 60 70 80 90")])
def test_ticks_of_a_heat_map_stand_at_the_middle_of_their_cells(classes, labels):
    ticks = class_ticks(classes, side=400)
    assert [tick.label for tick in ticks] == labels.split()
    assert ticks[0].place == pytest.approx(200 / classes, abs=0.06)
