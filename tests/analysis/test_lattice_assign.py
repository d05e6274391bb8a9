"""Columns take their sites, however far they are displaced together."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import Lattice, assign, species

CELL = [[40.0, 0.0], [0.0, 40.0]]
MOTIF = [[0.0, 0.0], [0.5, 0.5]]
LATTICE = Lattice([200.3, 200.3], CELL, MOTIF, pixel=[0.1, 0.1])


def test_displacements_are_those_planted(planted) -> None:
    columns = planted(CELL, MOTIF, noise=1.0)
    table = assign(columns, LATTICE)
    away = columns[["y", "x"]].to_numpy() - columns[["true_y", "true_x"]].to_numpy()
    assert np.allclose(table[["dy", "dx"]], away)
    assert np.allclose(table[["dy_pm", "dx_pm"]], 10.0 * away)
    assert np.allclose(table[["du", "dv"]] @ LATTICE.vectors, away)
    assert (table["sublattice"] == columns["kind"]).all()


def test_distortions_beyond_a_cell_are_followed(planted) -> None:
    columns = planted(CELL, MOTIF, 1200.0)
    lattice = Lattice([600.3, 600.3], CELL, MOTIF)
    drift = 60.0 * (columns["true_y"] / 1200.0) ** 2
    table = assign(columns.assign(x=columns["x"] + drift), lattice)
    assert drift.max() - drift.min() > 40.0
    middle = drift[((columns["y"] - 600) ** 2 + (columns["x"] - 600) ** 2).idxmin()]
    shift = np.round(middle / 40.0) * 40.0
    assert np.allclose(table["dx"], drift - shift, atol=1e-6)
    assert np.allclose(table["dy"], 0.0, atol=1e-6)


def test_columns_between_sites_and_doubles_are_not_assigned(planted) -> None:
    columns = planted(CELL, MOTIF)
    extra = pd.DataFrame({"y": [220.3, columns.y[7] + 3.0], "x": [200.3, columns.x[7]]})
    table = assign(pd.concat([columns, extra], ignore_index=True), LATTICE)
    assert table["sublattice"].tolist()[-2:] == [-1, -1]
    assert table["dy"].isna().sum() == 2
    assert not table[table["sublattice"] >= 0].duplicated(["i", "j", "sublattice"]).any()


def test_an_island_far_away_is_assigned(planted) -> None:
    columns = planted(CELL, MOTIF)
    away = columns[(columns.x < 120) | (columns.x > 280)].reset_index(drop=True)
    table = assign(away, LATTICE)
    assert (table["sublattice"] == away["kind"]).all()


def test_no_columns_give_an_empty_table() -> None:
    table = assign(pd.DataFrame({"y": [], "x": []}), LATTICE)
    assert len(table) == 0
    assert {"i", "j", "sublattice", "du", "dv", "dy_pm"} <= set(table)


def test_one_column_has_a_site() -> None:
    table = assign(pd.DataFrame({"y": [241.3], "x": [199.3]}), LATTICE)
    assert table[["i", "j", "sublattice"]].to_numpy().tolist() == [[1, 0, 0]]
    assert table[["dy", "dx"]].to_numpy() == pytest.approx(np.array([[1.0, -1.0]]))


def test_a_tolerance_of_half_a_distance_is_refused() -> None:
    with pytest.raises(ValueError, match=r"tolerance=0\.5"):
        assign(pd.DataFrame({"y": [1.0], "x": [1.0]}), LATTICE, tolerance=0.5)


def test_species_join_sublattices_that_are_equally_bright(planted) -> None:
    motif = [[0, 0], [0.5, 0.5], [0.5, 0], [0, 0.5]]
    columns = planted(CELL, motif, volumes=[3.0, 1.5, 0.4, 0.4])
    lattice = Lattice([200.3, 200.3], CELL, motif)
    columns.loc[4, "volume"] *= 2.0
    table = species(columns, lattice, ["Sr", "Ti", "O"])
    assert table.groupby("kind")["species"].unique().map(list).tolist() == [
        ["Sr"],
        ["Ti"],
        ["O"],
        ["O"],
    ]
    assert table["intensity_z"].idxmax() == 4
    assert table["intensity_z"][4] > 10
    with pytest.raises(ValueError, match="must be 3"):
        species(columns, lattice, ["Sr", "Ti"])
    with pytest.raises(ValueError, match="no 'volume'"):
        species(columns[["y", "x"]], lattice)
