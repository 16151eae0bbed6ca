"""Resizing: what stays as it is, what no other library is needed to check, and errors."""

import itertools
from typing import Any, get_args

import numpy as np
import pytest
import scipy.ndimage
from scipy.interpolate import RectBivariateSpline

from tests.pretrained.fitpack_reference import beit_bias_table
from tests.pretrained.resize_cases import (
    BIAS_CASES,
    GOLDEN_SEED,
    INTERP2D_FILE,
    POSITION_CASES,
    BiasCase,
    PositionCase,
    Size,
    bias_table,
    position_embedding,
    random,
)
from vit_jax.models.resizing import BiasTableResize, PositionResize, Resizing
from vit_jax.pretrained.resize import resize_bias_table, resize_position_embedding

TOLERANCE = 1e-5
POSITION_METHODS = get_args(PositionResize)
BIAS_METHODS = get_args(BiasTableResize)


def pairwise_differences(results: dict[str, np.ndarray]) -> dict[tuple[str, str], float]:
    """Largest difference between each two."""
    return {pair: np.abs(results[pair[0]] - results[pair[1]]).max() for pair in itertools.combinations(results, 2)}


@pytest.mark.parametrize("method", POSITION_METHODS)
@pytest.mark.parametrize("grid", [(4, 4), (3, 5)])
def test_the_grid_an_embedding_is_for_leaves_it_as_it_is(method: PositionResize, grid: Size):
    """Resampling would change it: DINO's offset by tenths, the others by rounding."""
    embedding = position_embedding(PositionCase(2, grid, grid))
    np.testing.assert_array_equal(resize_position_embedding(embedding, 2, grid, grid, method), embedding)


@pytest.mark.parametrize("method", BIAS_METHODS)
def test_the_window_a_table_is_for_leaves_it_as_it_is(method: BiasTableResize):
    table = bias_table(BiasCase((4, 4), (4, 4), extra=3))
    np.testing.assert_array_equal(resize_bias_table(table, (4, 4), (4, 4), method, extra=3), table)


@pytest.mark.parametrize("method", POSITION_METHODS)
def test_prefix_tokens_are_not_touched(method: PositionResize):
    case = PositionCase(5, (4, 4), (3, 6))
    embedding = position_embedding(case)
    resized = resize_position_embedding(embedding, case.prefix, case.old, case.new, method)
    assert resized.shape == (1, 5 + 18, 2)
    np.testing.assert_array_equal(resized[:, :5], embedding[:, :5])


@pytest.mark.parametrize("method", BIAS_METHODS)
def test_extra_rows_are_not_touched(method: BiasTableResize):
    case = BiasCase((4, 4), (3, 6), extra=3)
    table = bias_table(case)
    resized = resize_bias_table(table, case.old, case.new, method, case.extra)
    assert resized.shape == (5 * 11 + 3, 2)
    np.testing.assert_array_equal(resized[-3:], table[-3:])


def test_results_are_float32_whatever_comes_in():
    embedding, table = random(0, 1, 9, 2), random(0, 25, 2)
    for dtype in (np.float16, np.float64):
        for new in ((3, 3), (4, 5)):
            resized = [resize_position_embedding(embedding.astype(dtype), 0, (3, 3), new, m) for m in POSITION_METHODS]
            resized += [resize_bias_table(table.astype(dtype), (3, 3), new, m) for m in BIAS_METHODS]
            assert {x.dtype for x in resized} == {np.dtype(np.float32)}


def test_ways_to_resize_positions_are_all_different():
    """So that taking one for another cannot stay within a tolerance. This case grows one side and shrinks one."""
    case = POSITION_CASES["to_oblong"]
    resized = {
        method: resize_position_embedding(position_embedding(case), case.prefix, case.old, case.new, method)
        for method in POSITION_METHODS
    }
    assert min(pairwise_differences(resized).values()) > 1e-2


@pytest.mark.parametrize("name", ["grow", "shrink", "to_oblong"])
def test_ways_to_resize_bias_tables_are_all_different(name: str):
    case = BIAS_CASES[name]
    resized = {
        method: resize_bias_table(bias_table(case), case.old, case.new, method, case.extra) for method in BIAS_METHODS
    }
    assert min(pairwise_differences(resized).values()) > 1e-2


@pytest.mark.parametrize("old", [1, 2, 7, 14, 24])
@pytest.mark.parametrize("new", [1, 2, 5, 14, 37])
def test_aligned_is_what_google_computes(old: int, new: int):
    """Its `checkpoint.py` calls SciPy's zoom, here with other sides as well."""
    case = PositionCase(1, (old, 3), (new, 4))
    embedding = position_embedding(case)
    grid = embedding[0, 1:].reshape(old, 3, 2)
    expected = np.asarray(scipy.ndimage.zoom(grid, (new / old, 4 / 3, 1), order=1))
    resized = resize_position_embedding(embedding, 1, case.old, case.new, "bilinear_aligned")
    np.testing.assert_allclose(resized[0, 1:].reshape(new, 4, 2), expected, rtol=0, atol=TOLERANCE)


def fitpack_spline(
    x: np.ndarray, y: np.ndarray, values: np.ndarray, new_x: np.ndarray, new_y: np.ndarray
) -> np.ndarray:
    """FITPACK's regrid and bispev, as `interp2d` called them."""
    return np.asarray(RectBivariateSpline(y, x, values, s=0)(new_y, new_x))


@pytest.mark.parametrize("name", BIAS_CASES)
def test_geometric_cubic_is_what_beits_authors_compute(name: str):
    """Against FITPACK's routines that SciPy still has, and against SciPy's old function that they called."""
    case = BIAS_CASES[name]
    for seed in (GOLDEN_SEED, GOLDEN_SEED + 1):
        table = bias_table(case, seed)
        resized = resize_bias_table(table, case.old, case.new, "geometric_cubic", case.extra)
        np.testing.assert_allclose(resized, beit_bias_table(table, case, fitpack_spline), rtol=0, atol=TOLERANCE)
        if seed == GOLDEN_SEED:
            np.testing.assert_allclose(resized, np.load(INTERP2D_FILE)[name], rtol=0, atol=TOLERANCE)


def test_a_cubic_spline_needs_a_window_of_three_tokens():
    table = bias_table(BiasCase((4, 2), (5, 5), extra=0))
    with pytest.raises(ValueError, match='at least 3 x 3 tokens, not 4 x 2; "geometric_linear" does'):
        resize_bias_table(table, (4, 2), (5, 5), "geometric_cubic")


def test_ways_to_resize_are_those_that_there_are():
    wrong: Any = "cubic"
    with pytest.raises(ValueError, match=r"positions must be one of bicubic, bicubic_antialias, .*; not 'cubic'"):
        Resizing(positions=wrong)
    with pytest.raises(ValueError, match=r"bias_tables must be one of bicubic, geometric_linear, .*; not 'cubic'"):
        Resizing(bias_tables=wrong)
