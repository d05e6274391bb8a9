import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_atomseg as atomseg
from napari_atomseg.analysis import match, scores

GRID = (
    np.stack(np.meshgrid(np.arange(5), np.arange(7), indexing="ij"), axis=-1).reshape(-1, 2) * 10.0
)


def test_analyze_is_the_public_name():
    assert atomseg.analyze.scores is scores


def test_perfect_positions_score_one():
    result = scores(GRID, GRID, 1.0)
    assert (result.precision, result.recall, result.f1) == (1.0, 1.0, 1.0)
    assert result.rmse == 0.0


def test_missing_and_invented_columns_are_told_apart():
    found = np.vstack([GRID[3:], [[103.0, 5.0], [107.0, 5.0]]])
    result = scores(found, GRID, 2.0)
    assert result.matched == len(GRID) - 3
    assert result.precision == pytest.approx(32 / 34)
    assert result.recall == pytest.approx(32 / 35)
    assert result.f1 == pytest.approx(2 * 32 / (34 + 35))


def test_a_column_is_matched_once():
    i, j = match(np.array([[0.0, 0.4], [0.0, -0.1]]), np.array([[0.0, 0.0]]), 1.0)
    assert (list(i), list(j)) == ([1], [0])


def test_tables_and_arrays_are_alike():
    table = pd.DataFrame({"x": GRID[:, 1], "y": GRID[:, 0]})
    assert scores(table, GRID, 1.0).rmse == 0.0


@settings(max_examples=30, deadline=None)
@given(dy=st.floats(-2, 2), dx=st.floats(-2, 2), seed=st.integers(0, 99))
def test_a_shift_is_the_bias_and_the_error(dy, dx, seed):
    shuffled = np.random.default_rng(seed).permutation(GRID)
    result = scores(shuffled + np.array([dy, dx]), GRID, 4.0)
    assert result.f1 == 1.0
    assert result.bias == pytest.approx((dy, dx), abs=1e-9)
    assert result.rmse == pytest.approx(np.hypot(dy, dx), abs=1e-9)
    assert result.median == pytest.approx(np.hypot(dy, dx), abs=1e-9)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), radius=st.floats(0.1, 20.0))
def test_matching_is_one_to_one_within_the_radius_and_symmetric(seed, radius):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(0, 30, (20, 2)), rng.uniform(0, 30, (25, 2))
    i, j = match(a, b, radius)
    assert len(set(i)) == len(i)
    assert len(set(j)) == len(j)
    assert np.all(np.hypot(*(a[i] - b[j]).T) <= radius)
    k, m = match(b, a, radius)
    assert set(zip(i, j, strict=True)) == set(zip(m, k, strict=True))


def test_nothing_found_scores_nothing():
    result = scores(np.zeros((0, 2)), GRID, 1.0)
    assert result.recall == 0.0
    assert result.f1 == 0.0
    assert np.isnan(result.precision)
    assert np.isnan(result.rmse)


@pytest.mark.parametrize(
    ("found", "radius", "message"),
    [
        (GRID, 0.0, "radius"),
        (np.zeros((4, 3)), 1.0, "found"),
        (pd.DataFrame({"y": [1.0]}), 1.0, "'x'"),
    ],
)
def test_bad_arguments_are_named(found, radius, message):
    with pytest.raises(ValueError, match=message):
        scores(found, GRID, radius)
