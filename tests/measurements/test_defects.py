"""What the measurement of defects says of columns that are missing, and of those displaced."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_atomseg import measurements

BOND = 9.5


def honeycomb() -> pd.DataFrame:
    """Columns of graphene, with the bond in the middle along x."""
    i, j = (v.ravel() for v in np.mgrid[-8:9, -8:9])
    a = np.sqrt(3.0) * BOND
    x = np.concatenate([1.5 * BOND * i, 1.5 * BOND * i + BOND])
    y = np.concatenate([a * (j + 0.5 * i)] * 2)
    inside = (np.abs(x) < 80) & (np.abs(y) < 80)
    return pd.DataFrame({"y": y[inside] + 90.0, "x": x[inside] + 90.0})


def test_a_turned_bond_is_no_two_vacancies_without_a_word() -> None:
    columns = honeycomb()
    pair = np.argsort(np.hypot(columns["y"] - 90.0, columns["x"] - 90.0 - 0.5 * BOND))[:2]
    turned = columns.copy()
    turned.loc[pair, "y"] = 90.0 + 0.47 * BOND * np.array([-1.0, 1.0])
    turned.loc[pair, "x"] = 90.0 + 0.5 * BOND
    found = measurements.defects(turned)
    assert "2 vacancies" in found.headline
    assert "2 of them beside a column on no site" in found.headline
    assert "may be displaced" in str(found)


def test_a_missing_column_is_a_vacancy() -> None:
    columns = honeycomb()
    middle = np.hypot(columns["y"] - 90.0, columns["x"] - 90.0).argmin()
    found = measurements.defects(columns.drop(index=middle))
    assert "1 vacancy" in found.headline
    assert "no site" not in str(found)
