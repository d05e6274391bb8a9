"""Bounds beside the columns of a table: those of the two functions, row by row."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.localization import column_bounds, cramer_rao_bounds, overlapping_bounds


@pytest.fixture
def columns():
    return pd.DataFrame(
        {
            "y": [20.0, 20.0, 40.0, np.nan],
            "x": [20.0, 29.0, 30.0, 5.0],
            "amplitude": [50.0, 80.0, -3.0, 40.0],
            "sigma": [3.0, 3.0, 3.0, 3.0],
            "background": [10.0, 10.0, 10.0, 10.0],
        },
        index=[7, 3, 9, 1],
    )


def test_bounds_of_columns_alone_and_together(columns):
    alone = column_bounds(columns)
    assert alone.index.tolist() == [7, 3, 9, 1]
    assert alone["y_bound"].isna().tolist() == [False, False, True, True]
    one = cramer_rao_bounds(50.0, 3.0, 10.0)
    for name in ("y", "x", "volume"):
        assert alone[f"{name}_bound"][7] == pytest.approx(float(getattr(one, name)), rel=1e-6)
    together = column_bounds(columns, (60, 60), gain=None, deviation=2.0, widths="shared")
    both = overlapping_bounds(
        *((60, 60), [20, 20], [20, 29], [50.0, 80.0], 3.0, 10.0),
        gain=None,
        deviation=2.0,
        widths="shared",
    )
    assert together["x_bound"][:2].to_numpy() == pytest.approx(both.x)
    assert together["volume_bound"][:2].to_numpy() == pytest.approx(both.volume)
    # Neighbours add noise along the line between them.
    assert (column_bounds(columns, (60, 60))["x_bound"] > alone["x_bound"])[:2].all()


def test_columns_beyond_the_image_have_no_bound(columns):
    beyond = column_bounds(columns.assign(y=[20.0, 61.0, 40.0, 4.0]), (60, 60))
    assert beyond["y_bound"].isna().tolist() == [False, True, True, False]
    rest = column_bounds(columns.iloc[[0]], (60, 60))["y_bound"]
    assert beyond["y_bound"][7] == pytest.approx(rest[7], rel=0.01)


def test_no_columns_and_bad_tables(columns):
    assert column_bounds(columns.iloc[:0])["y_bound"].empty
    assert column_bounds(columns.iloc[2:], (60, 60))["y_bound"].isna().all()
    with pytest.raises(ValueError, match="amplitude"):
        column_bounds(columns[["y", "x"]])
    with pytest.raises(ValueError, match="frames"):
        column_bounds(columns.assign(frame=[0, 0, 1, 1]), (60, 60))
    with pytest.raises(ValueError, match="noise"):
        column_bounds(columns, gain=None)
    below = column_bounds(columns.assign(background=-0.1))
    assert np.isfinite(below["y_bound"][:2]).all()
