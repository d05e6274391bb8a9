"""Whole numbers that are missing in some columns survive every format."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.io import columns_to_atoms, read_columns, write_columns


@pytest.fixture
def columns():
    table = pd.DataFrame(
        {
            "y": [1.0, 2.0, 3.0],
            "x": [4.0, 5.0, 6.0],
            "count": pd.array([3, pd.NA, 5], dtype="Int64"),
            "count_err": [0.1, np.nan, 0.2],
            "whole": pd.array([1, 2, 3], dtype="Int64"),
            "kept": pd.array([True, pd.NA, False], dtype="boolean"),
        }
    )
    table.attrs = {"sampling": 0.1}
    return table


@pytest.mark.parametrize("suffix", [".csv", ".hdf5", ".xyz", ".cif"])
def test_missing_counts_come_back_as_nan(columns, suffix, tmp_path):
    path = tmp_path / f"columns{suffix}"
    write_columns(path, columns)
    back = read_columns(path)
    assert back["count"].tolist() == pytest.approx([3, np.nan, 5], nan_ok=True)
    assert back["count_err"].tolist() == pytest.approx([0.1, np.nan, 0.2], nan_ok=True)
    assert back["whole"].tolist() == [1, 2, 3]
    assert back["whole"].dtype.kind == "i"
    assert back["kept"].isna().tolist() == [False, True, False]


@pytest.mark.parametrize("suffix", [".hdf5", ".xyz", ".cif"])
@pytest.mark.parametrize("name", ["sublattice", "species", "frame"])
def test_columns_of_no_kind_or_frame_are_not_lost(columns, suffix, name, tmp_path):
    path = tmp_path / f"columns{suffix}"
    write_columns(path, columns.assign(**{name: columns["count"]}))
    back = read_columns(path)
    assert sorted(back["y"]) == [1.0, 2.0, 3.0]
    assert back[name].isna().sum() == 1


def test_atomap_lattices_hold_columns_of_no_kind(columns, tmp_path):
    import h5py

    path = tmp_path / "columns.hdf5"
    write_columns(path, columns.assign(sublattice=columns["count"]))
    with h5py.File(path) as file:
        lattices = [group for name, group in file.items() if name.endswith("_sublattice")]
        assert sum(len(group["atom_positions"]) for group in lattices) == 3


def test_atoms_have_nan_for_what_is_missing(columns):
    arrays = columns_to_atoms(columns).arrays
    assert arrays["count"] == pytest.approx([3, np.nan, 5], nan_ok=True)
    assert arrays["whole"].dtype.kind == "i"
