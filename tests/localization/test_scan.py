"""Positions corrected by the displacement of the lines."""

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares

from napari_atomseg.inference.scan.api import ScanFrame
from napari_atomseg.inference.scan.measure import LineShifts
from napari_atomseg.localization.scan import column_shifts, without_jitter

SIGMA = 2.5


def frame(jitter, error, direction="rows"):
    shifts = LineShifts(jitter, np.full_like(jitter, error), np.zeros_like(jitter))
    return ScanFrame(direction, shifts, shifts)


def fitted(jitter, place):
    """Position of a Gaussian whose lines were displaced, by least squares."""
    y, x = np.mgrid[:31, :31].astype(float)
    shown = np.exp(
        -((y - jitter[:, :1] - place[0]) ** 2 + (x - jitter[:, 1:] - place[1]) ** 2)
        / (2 * SIGMA**2)
    )

    def residuals(p):
        model = p[2] * np.exp(-((y - p[0]) ** 2 + (x - p[1]) ** 2) / (2 * p[3] ** 2)) + p[4]
        return (model - shown).ravel()

    return least_squares(residuals, [*place, 1.0, SIGMA, 0.0]).x[:2]


def test_a_fit_is_displaced_by_the_means_over_its_lines() -> None:
    rng = np.random.default_rng(4)
    for _ in range(6):
        jitter = rng.normal(0.0, 0.3, (31, 2))
        place = rng.uniform(14.0, 16.0, 2)
        moved = fitted(jitter, place)
        told, _ = column_shifts(moved[:1], np.array([SIGMA]), frame(jitter, 0.1))
        before, after = np.abs(moved - place), np.abs(moved - told[0] - place)
        assert after.max() < 0.05
        assert np.hypot(*after) < 0.5 * np.hypot(*before) + 0.01


def test_errors_are_those_of_the_means() -> None:
    """The scatter of corrections by wrong shifts is the stated one."""
    rng = np.random.default_rng(5)
    place, sigma = np.array([15.3]), np.array([SIGMA])
    told = [
        column_shifts(place, sigma, frame(rng.normal(0.0, 0.2, (31, 2)), 0.2)) for _ in range(2000)
    ]
    scatter = np.std([shift[0] for shift, _ in told], axis=0)
    np.testing.assert_allclose(scatter, np.sqrt(told[0][1][0]), rtol=0.06)


def table():
    return pd.DataFrame(
        {
            "y": [10.0, 20.0],
            "x": [12.0, 8.0],
            "y_err": [0.03, np.nan],
            "x_err": [0.03, 0.04],
            "sigma": [2.0, np.nan],
        }
    )


def test_columns_of_lines_that_run_down_are_moved_the_other_way() -> None:
    jitter = np.random.default_rng(6).normal(0.0, 0.5, (40, 2))
    rows = without_jitter(table(), frame(jitter, 0.1), None)
    turned = table().rename(columns={"y": "x", "x": "y", "y_err": "x_err", "x_err": "y_err"})
    columns = without_jitter(turned, frame(jitter, 0.1, "columns"), None)
    np.testing.assert_allclose(rows["y"], columns["x"])
    np.testing.assert_allclose(rows["x_err"], columns["y_err"])
    np.testing.assert_allclose(rows["scan_y"], columns["scan_x"])


def test_positions_in_angstrom_follow_and_errors_grow() -> None:
    jitter = np.full((40, 2), 0.5)
    made = without_jitter(table(), frame(jitter, 0.1), (0.1, 0.2))
    np.testing.assert_allclose(made["y"], table()["y"] - 0.5)
    np.testing.assert_allclose(made["x_angstrom"], 0.2 * (table()["x"] - 0.5))
    assert (made["x_err"] > table()["x_err"]).all()
    # A fit that failed has no error still.
    assert np.isnan(made["y_err"][1])


@pytest.mark.parametrize("direction", ["none"])
def test_nothing_undone_changes_nothing(direction) -> None:
    nothing = np.zeros((40, 2))
    made = without_jitter(table(), frame(nothing, 0.0, direction), None)
    pd.testing.assert_frame_equal(made[table().columns], table())
    assert not made[["scan_y", "scan_x"]].to_numpy().any()
