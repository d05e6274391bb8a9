"""Spacings, displacements, polarization and unit cells are those planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg.analysis import (
    Lattice,
    displacements,
    find_lattice,
    frames_needed,
    neighbours,
    polarization,
    spacing_precision,
    spacings,
    unit_cells,
)
from napari_atomseg.measurements import measure
from napari_atomseg.specimen.crystals.builtin import get_crystal

CELL = [[40.0, 0.0], [0.0, 40.0]]
CAGE = [[0.0, 0.0], [0.56, 0.5]]


def lattice_of(columns: pd.DataFrame) -> Lattice:
    return find_lattice(columns, sampling=0.1)


@pytest.mark.slow
def test_spacings_scatter_by_the_noise_of_two_columns(planted) -> None:
    deviations, means = [], []
    for seed in range(24):
        columns = planted([[50.0, 0.0], [0.0, 40.0]], noise=0.5, seed=seed)
        precision = spacing_precision(columns, lattice_of(columns))
        z = (precision["deviation_pm"] - 5.0 * np.sqrt(2)) / precision["deviation_err_pm"]
        deviations.append(z)
        assert precision["expected_pm"].to_numpy() == pytest.approx([5.0 * np.sqrt(2)] * 2)
        assert precision["column_pm"].to_numpy() == pytest.approx([5.0] * 2, rel=0.4)
        means.append((precision["mean_angstrom"] - [4.0, 5.0]) / precision["mean_err_angstrom"])
    for z in (deviations, means):
        assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.35)


def test_slow_distortions_do_not_spoil_the_precision(planted) -> None:
    columns = planted(CELL, size=800.0, noise=0.5)
    bent = columns.assign(x=columns.x + 20.0 * np.sin(columns.true_y / 400.0))
    precision = spacing_precision(bent, lattice_of(bent))
    assert precision.loc["a", "deviation_pm"] == pytest.approx(5.0 * np.sqrt(2), rel=0.1)


def test_frames_are_those_of_the_paper() -> None:
    # Lin et al. 2021: 6.77 pm takes 45.8 frames for 1 pm, which they round down to 45.
    assert frames_needed(6.77) == 46
    assert frames_needed(0.5) == 1
    assert frames_needed(8.0, 2.0) == 16


@pytest.mark.slow
def test_spread_is_parted_into_noise_and_what_is_real(planted) -> None:
    """Columns stray by 12 pm on a static lattice, and fits by 3 pm, as they say."""
    rng = np.random.default_rng(0)
    columns = planted(CELL, size=800.0, noise=0.3)
    strayed = columns.assign(
        y=columns.y + rng.normal(0.0, 1.2, len(columns)),
        x=columns.x + rng.normal(0.0, 1.2, len(columns)),
    )
    precision = spacing_precision(strayed, lattice_of(strayed))
    away = (precision["real_pm"] - 12.0 * np.sqrt(2)) / precision["real_err_pm"]
    assert np.abs(away).max() < 3.0
    # 3 √2 pm take 18 frames; all of the spread would take 306.
    assert precision["frames"].between(18, 19).all()
    report = measure("spacings", strayed, sampling=0.1)
    assert "frames, by the error bars." in str(report)
    assert "is no noise of counting" in str(report)
    still = measure("spacings", columns, sampling=0.1)
    assert "is no noise of counting" not in str(still)
    without = spacing_precision(strayed.drop(columns=["y_err", "x_err"]), lattice_of(strayed))
    assert (without["frames"] > 200).all()
    assert without["real_pm"].isna().all()
    assert "at most" in str(measure("spacings", strayed.drop(columns="y_err"), sampling=0.1))


def test_precision_needs_the_sampling(planted) -> None:
    columns = planted(CELL)
    with pytest.raises(ValueError, match="sampling"):
        spacing_precision(columns, find_lattice(columns))


def test_missing_columns_leave_out_their_spacings(planted) -> None:
    columns = planted(CELL)
    lattice = lattice_of(columns)
    inner = columns[(columns.y - 200.3).abs().add((columns.x - 200.3).abs()) < 1].index
    whole, less = spacings(columns, lattice), spacings(columns.drop(inner), lattice)
    assert len(inner) == 1
    assert len(whole) - len(less) == 4
    assert less["length"].to_numpy() == pytest.approx(40.0)
    assert set(whole.loc[whole["axis"] == "a", "angle_deg"].round(6)) == {0.0}


def test_nearest_neighbours_of_a_honeycomb(planted) -> None:
    bond = 12.0
    vectors = bond * np.sqrt(3) * np.array([[0, 1], [np.sqrt(0.75), 0.5]])
    columns = planted(vectors, [[0, 0], [1 / 3, 1 / 3]], 150.0)
    table = neighbours(columns, sampling=0.1, count=3)
    inside = columns.index[columns[["y", "x"]].sub(75).abs().max(axis=1) < 50]
    inner = table[table["column"].isin(inside)]
    assert inner["distance"].to_numpy() == pytest.approx(bond)
    assert inner["distance_angstrom"].to_numpy() == pytest.approx(0.1 * bond)
    angles = np.sort(inner["angle_deg"].to_numpy().reshape(-1, 3), axis=1)
    assert np.allclose(np.diff(angles, axis=1), 120.0)
    assert len(neighbours(columns.iloc[:1])) == 0
    assert len(neighbours(columns.iloc[:0])) == 0


@pytest.mark.slow
def test_displacements_from_the_cage_within_their_errors(planted) -> None:
    columns = planted(CELL, CAGE, 600.0, noise=0.3, volumes=[3.0, 1.0], turn=20.0)
    table = displacements(columns, lattice_of(columns), 1)
    shift = 0.06 * 40.0
    planted_ = shift * np.array([np.cos(np.radians(20)), np.sin(np.radians(20))])
    error = table[["dy_err", "dx_err"]].to_numpy()
    assert error == pytest.approx(0.3 * np.sqrt(1 + 1 / 4))
    z = (table[["dy", "dx"]].to_numpy() - planted_) / error
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.1)
    assert np.abs(z.mean(axis=0)).max() < 4 / np.sqrt(len(z))
    assert table["length_pm"].mean() == pytest.approx(10.0 * shift, rel=0.03)


@pytest.mark.slow
def test_opposite_domains_are_told_apart(planted) -> None:
    up = planted(CELL, CAGE, 640.0, noise=0.2, volumes=[3.0, 1.0])
    sign = np.where((up.kind == 1) & (up.x > 320), -2 * 0.06 * 40.0, 0.0)
    columns = up.assign(y=up.y + sign)
    table = displacements(columns, lattice_of(columns), 1, 0)
    assert (np.sign(table["dy"]) == np.where(table["x"] > 320, -1, 1)).all()


def test_an_ion_of_a_broken_cage_is_left_out(planted) -> None:
    columns = planted(CELL, CAGE, volumes=[3.0, 1.0])
    lattice = lattice_of(columns)
    whole = displacements(columns, lattice, 1)
    corner = columns[(columns.kind == 0)].index[30]
    assert len(whole) - len(displacements(columns.drop(corner), lattice, 1)) in (2, 4)
    assert len(displacements(columns[columns.kind == 0], lattice, 1)) == 0
    with pytest.raises(ValueError, match="sublattices 0 to 1"):
        displacements(columns, lattice, 2)


def test_polarization_of_a_known_displacement(planted) -> None:
    columns = planted(CELL, CAGE, volumes=[3.0, 1.0], noise=0.1)
    table = polarization(displacements(columns, lattice_of(columns), 1), 7.1, 64.0)
    # 7.1 e moved by 0.24 Å in 64 Å³: 0.0266 e/Å², of 1602 µC/cm² each.
    assert table["p_y"].mean() == pytest.approx(7.1 * 0.24 / 64.0 * 1602.18, rel=0.01)
    error = 7.1 * 0.01 * np.sqrt(1.25) / 64.0 * 1602.18
    assert table["p_y_err"].to_numpy() == pytest.approx(error, rel=1e-4)
    with pytest.raises(ValueError, match="cell_volume=0"):
        polarization(table, 7.1, 0)


def test_unit_cells_are_the_polygons_between_columns(planted) -> None:
    columns = planted([[30.0, 0.0], [8.0, 25.0]], turn=13.0)
    lattice = lattice_of(columns)
    cells = unit_cells(columns, lattice)
    assert cells.corners.shape == (len(cells), 4, 2)
    assert cells.table["area"].to_numpy() == pytest.approx(750.0)
    assert cells.table["area_angstrom2"].to_numpy() == pytest.approx(7.5)
    assert cells.table["angle_deg"].to_numpy() == pytest.approx(lattice.angle_deg)
    y, x = np.moveaxis(cells.corners, -1, 0)
    shoelace = 0.5 * np.abs((y * np.roll(x, -1, axis=1) - x * np.roll(y, -1, axis=1)).sum(axis=1))
    assert shoelace == pytest.approx(750.0)
    assert len(unit_cells(columns.iloc[:2], lattice)) == 0


@pytest.mark.slow
def test_polarization_through_an_image_within_errors() -> None:
    """Ti of BaTiO3 moved by 0.2 Å along z stands off the centre of its Ba cage."""
    crystal = get_crystal("BaTiO3").copy()
    titanium = crystal.numbers == 22
    crystal.positions[titanium, 2] += 0.2
    crystal = crystal[crystal.numbers != 8]
    simulation = atomseg.simulate(
        crystal, (0, 1, 0), shape=(320, 320), sampling=0.1, dose=3e5, thickness=20, seed=1, jitter=0
    )
    metals = simulation.columns
    known = displacements(metals, find_lattice(metals, 0.1), 1)
    assert known["length_pm"].to_numpy() == pytest.approx(20.0, abs=0.1)
    found = atomseg.localize(
        simulation.image, sampling=0.1, detector="peaks", refine="joint", edge="drop"
    )
    lattice = find_lattice(found, sampling=0.1)
    assert len(lattice) == 2
    table = displacements(found, lattice, 1, 0)
    away = known[["dy_pm", "dx_pm"]].mean().to_numpy()
    error = table[["dy_err_pm", "dx_err_pm"]].to_numpy()
    z = (table[["dy_pm", "dx_pm"]].to_numpy() - away) / error
    assert len(table) > 20
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.25)
    assert np.mean(np.abs(z) < 1) == pytest.approx(0.68, abs=0.12)
