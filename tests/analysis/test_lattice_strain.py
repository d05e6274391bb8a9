"""Strain from positions and from phases is the one planted, within its errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import (
    Lattice,
    assign,
    find_lattice,
    find_reflections,
    geometric_phase,
    strain,
)
from napari_atomseg.analysis.lattice.strain import STRAINS, strains
from napari_atomseg.measurements import measure
from napari_atomseg.specimen.defects import EdgeDislocation

CELL = [[40.0, 0.0], [0.0, 40.0]]
MOTIF = [[0.0, 0.0], [0.5, 0.5]]
LATTICE = Lattice([200.3, 200.3], CELL, MOTIF)
GRADIENT = np.array([[0.010, 0.004], [-0.002, -0.020]])


def deformed(columns: pd.DataFrame, gradient: np.ndarray, noise: float, seed: int) -> pd.DataFrame:
    places = columns[["true_y", "true_x"]].to_numpy()
    moved = places + (places - places.mean(axis=0)) @ gradient.T
    moved += np.random.default_rng(seed).normal(0.0, noise, moved.shape)
    return columns.assign(y=moved[:, 0], x=moved[:, 1])


def test_an_affine_deformation_is_exact(planted) -> None:
    table = strain(deformed(planted(CELL, MOTIF), GRADIENT, 0.0, 0), LATTICE)
    expected = strains(np.eye(2) + GRADIENT)
    for name in STRAINS:
        assert table[name].to_numpy() == pytest.approx(expected[name], abs=1e-9)
    # To first order in the small gradient.
    assert expected["eps_xx"] == pytest.approx(-0.020, abs=1e-4)
    assert expected["eps_yy"] == pytest.approx(0.010, abs=1e-4)
    # y of the gradient points down, that of the strain up.
    assert expected["eps_xy"] == pytest.approx(-0.001, abs=1e-4)
    assert expected["rotation_deg"] == pytest.approx(np.degrees(-0.003), abs=0.01)


def test_noise_makes_the_errors_stated(planted) -> None:
    columns = deformed(planted(CELL, MOTIF, 1000.0), GRADIENT, 0.4, 1)
    table = strain(columns, Lattice([500.3, 500.3], CELL, MOTIF))
    expected = strains(np.eye(2) + GRADIENT)
    for name in STRAINS:
        z = (table[name] - expected[name]) / table[f"{name}_err"]
        assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.12)


@pytest.mark.parametrize("angle", [-25.0, 8.0])
def test_a_turned_crystal_is_rotated_and_not_strained(planted, angle) -> None:
    columns = planted(CELL, MOTIF, turn=angle)
    turned = np.array(CELL) @ rotation(angle)
    # So large a turn is followed by the sites of the turned lattice, which the table then has.
    table = strain(assign(columns, Lattice([200.3, 200.3], turned, MOTIF)), LATTICE)
    inner = table[table["rotation_deg"].notna()]
    assert len(inner) > 0.95 * len(columns)
    assert inner["rotation_deg"].to_numpy() == pytest.approx(angle, abs=1e-6)
    for name in STRAINS[:3]:
        assert np.abs(inner[name]).max() < 1e-9


def rotation(angle: float) -> np.ndarray:
    """For rows (y, x), counter-clockwise as seen."""
    cosine, sine = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    return np.array([[cosine, sine], [-sine, cosine]])


def test_strain_along_another_axis(planted) -> None:
    columns = deformed(planted(CELL, MOTIF), np.array([[0.0, 0.0], [0.0, 0.02]]), 0.0, 0)
    along = strain(columns, LATTICE, x_axis=90.0)
    assert along["eps_yy"].to_numpy() == pytest.approx(0.02)
    assert along["eps_xx"].to_numpy() == pytest.approx(0.0, abs=1e-9)
    between = strain(columns, LATTICE, x_axis=45.0)
    assert between["eps_xx"].to_numpy() == pytest.approx(0.01)
    assert between["eps_xy"].to_numpy() == pytest.approx(-0.01)
    assert strain(columns, LATTICE, x_axis="b")["eps_xx"].to_numpy() == pytest.approx(0.02)
    with pytest.raises(ValueError, match="x_axis='c'"):
        strain(columns, LATTICE, x_axis="c")


def test_strain_and_rotation_are_of_one_frame_with_y_up() -> None:
    # A stretch along the diagonal that rises to the right, of rows that run down.
    rising = np.array([-1.0, 1.0]) / np.sqrt(2.0)
    made = strains(np.eye(2) + 0.01 * np.outer(rising, rising))
    assert made["eps_xy"] == pytest.approx(0.005)
    assert made["rotation_deg"] == pytest.approx(0.0, abs=1e-9)
    # A simple shear: what is higher lies further to the right, u_x = 0.01 y with y up.
    made = strains(np.eye(2) + np.array([[0.0, 0.0], [-0.01, 0.0]]))
    turn = np.radians(made["rotation_deg"])
    assert made["eps_xy"] - turn == pytest.approx(0.01, abs=1e-4)
    assert made["eps_xy"] + turn == pytest.approx(0.0, abs=1e-4)


def test_polar_displacements_are_no_strain(planted) -> None:
    columns = planted(CELL, MOTIF)
    polar = columns.assign(y=columns.y + np.where(columns.kind == 1, 4.0, 0.0))
    table = strain(polar, LATTICE)
    assert np.abs(table[["eps_xx", "eps_yy", "eps_xy"]].to_numpy()).max() < 1e-9


def test_a_strained_film_against_its_substrate(planted) -> None:
    columns = planted(CELL, MOTIF, 800.0, noise=0.2)
    film = np.maximum(400.0 - columns.true_y, 0.0)
    stretched = columns.assign(y=columns.y - 0.03 * film)
    table = strain(stretched, find_lattice(stretched[stretched.y > 430]))
    z = (table["eps_yy"] - np.where(table.y < 400, 0.03, 0.0)) / table["eps_yy_err"]
    away = (table.y - 400).abs() > 70
    assert np.sqrt(np.mean(z[away] ** 2)) < 1.4
    assert abs(table.loc[(table.y < 330), "eps_yy"].mean() - 0.03) < 0.002


def test_too_few_columns_have_no_strain(planted) -> None:
    table = strain(planted(CELL).iloc[:3], Lattice([200.3, 200.3], CELL))
    assert table[list(STRAINS)].isna().all(axis=None)
    assert len(strain(planted(CELL).iloc[:0], LATTICE)) == 0
    with pytest.raises(ValueError, match="radius=-1"):
        strain(planted(CELL), LATTICE, radius=-1)


def fringes(shape: tuple[int, int], gradient: np.ndarray, noise: float, seed: int) -> np.ndarray:
    """Fringes of a crystal of period 8 px: undeformed left of the middle, r = F X right of it."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    middle = 0.5 * shape[1]
    place = np.stack([y, x - middle])
    back = np.einsum("ij,jhw->ihw", np.linalg.inv(np.eye(2) + gradient), place)
    source = np.where(x > middle, back, place)
    image = sum(np.cos(2 * np.pi * source[k] / 8.0) for k in range(2))
    return image + np.random.default_rng(seed).normal(0.0, noise, shape)


def test_phases_give_the_strain_between_two_halves() -> None:
    gradient = np.array([[0.0, 0.012], [0.0, 0.02]])
    image = fringes((160, 320), gradient, 0.0, 0)
    left = np.zeros(image.shape, bool)
    left[:, :130] = True
    maps = geometric_phase(image, reference=left, noise=0.0)
    assert np.sort(np.abs(maps.reflections).max(axis=1)) == pytest.approx([0.125, 0.125], rel=1e-3)
    expected = strains(np.eye(2) + gradient)
    for name in STRAINS:
        values = getattr(maps, name)
        scale = 60.0 if name == "rotation_deg" else 1.0
        assert np.nanmedian(values[:, 190:]) == pytest.approx(expected[name], abs=5e-4 * scale)
        assert np.nanmedian(values[:, :130]) == pytest.approx(0.0, abs=3e-4 * scale)
    assert np.isnan(maps.eps_xx[:10]).all()


def test_noise_of_phases_is_the_error_stated() -> None:
    z = []
    for seed in range(6):
        image = fringes((160, 160), np.zeros((2, 2)), 0.8, seed)
        maps = geometric_phase(image, [[0.125, 0.0], [0.0, 0.125]])
        for name in STRAINS:
            spread = np.nanstd(getattr(maps, name))
            z.append(spread / np.nanmedian(getattr(maps, f"{name}_err")))
    assert np.mean(z) == pytest.approx(1.0, abs=0.15)


def test_phases_agree_with_positions(planted) -> None:
    columns = planted([[16.0, 0.0], [0.0, 16.0]], size=256.0)
    bent = columns.assign(x=columns.x + 4.0 * np.sin(2 * np.pi * columns.true_x / 256.0))
    y, x = np.mgrid[:256, :256]
    image = np.zeros((256, 256))
    for row in bent.itertuples():
        image += np.exp(-((y - row.y) ** 2 + (x - row.x) ** 2) / (2 * 3.0**2))
    lattice = Lattice([128.3, 128.3], [[16.0, 0.0], [0.0, 16.0]])
    maps = geometric_phase(image, lattice)
    table = strain(bent, lattice)
    at = tuple(np.rint(table[["y", "x"]].to_numpy()).astype(int).clip(0, 255).T)
    there = maps.eps_xx[at]
    both = np.isfinite(there) & np.isfinite(table["eps_xx"])
    difference = there[both] - table.loc[both, "eps_xx"]
    assert both.sum() > 80
    # The phases' reference is the mean of the image, as is the lattice's, but for its border.
    assert np.std(difference) < 0.012
    assert np.corrcoef(there[both], table.loc[both, "eps_xx"])[0, 1] > 0.98


def test_missing_pixels_and_bad_arguments() -> None:
    image = fringes((128, 128), np.zeros((2, 2)), 0.0, 0)
    image[60:66, 60:66] = np.nan
    maps = geometric_phase(image, [[0.125, 0.0], [0.0, 0.125]])
    assert np.isnan(maps.eps_xx[62, 62])
    assert np.nanmax(np.abs(maps.eps_xx)) < 2e-3
    with pytest.raises(ValueError, match="two axes"):
        geometric_phase(image[0])
    with pytest.raises(ValueError, match="not in line"):
        geometric_phase(image, [[0.1, 0.1], [0.2, 0.2]])
    with pytest.raises(ValueError, match="resolution=500"):
        geometric_phase(image, resolution=500)
    with pytest.raises(ValueError, match="no two lattice fringes"):
        find_reflections(np.random.default_rng(0).normal(size=(64, 64)))


def dislocated(planted, noise: float, seed: int = 0) -> pd.DataFrame:
    """An edge dislocation in the middle; `strain_xx`, `strain_yy` are those of its field."""
    columns = planted(CELL, size=800.0, seed=seed)
    core, burgers = (41.3, 41.9), (0.0, 4.0)
    field = EdgeDislocation(core, burgers)
    y, x = 0.1 * columns["true_y"].to_numpy(), 0.1 * columns["true_x"].to_numpy()
    shift = np.asarray(field(y, x)) / 0.1
    away = np.random.default_rng(seed).normal(0.0, noise, shift.shape)
    moved = columns[["true_y", "true_x"]].to_numpy() + shift + away
    return columns.assign(y=moved[:, 0], x=moved[:, 1], core=np.hypot(y - core[0], x - core[1]))


@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_strain_goes_on_across_the_cut_of_a_dislocation(planted, noise) -> None:
    """With a reference beside it, sites are off by the Burgers vector along a line."""
    columns = dislocated(planted, noise)
    table = strain(columns, find_lattice(columns[columns.y < 200], 0.1))
    far = table["core"] > 10.0
    values = table.loc[far, ["eps_xx", "eps_yy", "eps_xy"]].abs()
    # b / (2π r) at 10 Å, and the noise.
    assert values.max(axis=None) < 0.07 + 6 * noise / 100
    assert table.loc[table["core"] > 25.0, "eps_xx_err"].median() < 0.001 + noise / 40
    assert table.loc[table["core"] < 6.0, "eps_xx_err"].max() > 0.01


@pytest.mark.parametrize("seed", range(3))
def test_cell_about_a_dislocation_is_the_primitive_one(planted, seed) -> None:
    lattice = find_lattice(dislocated(planted, 0.2, seed), 0.1)
    assert len(lattice) == 1
    assert lattice.lengths == pytest.approx([40.0, 40.0], rel=0.05)


def test_isolated_column_has_no_strain(planted) -> None:
    """A false one beyond the rim would be a blob of whatever its place is off by."""
    columns = planted(CELL, MOTIF, noise=0.2)
    columns = columns[columns["x"] < 250].reset_index(drop=True)
    lone = columns.iloc[[0]].assign(y=206.0, x=347.0)
    near = columns.iloc[[0]].assign(y=140.0, x=306.0)
    table = strain(pd.concat([columns, lone, near], ignore_index=True), LATTICE)
    assert table["eps_xx"].iloc[-2:].isna().all()
    assert table["eps_xx"].iloc[:-2].notna().all()


def test_errors_are_wider_where_one_sublattice_jumps(planted) -> None:
    columns = planted(CELL, MOTIF, 800.0, noise=0.1)
    jump = np.where((columns.kind == 1) & (columns.true_x > 400), 0.12 * 40.0, 0.0)
    table = strain(columns.assign(y=columns.y + jump), LATTICE)
    for name in ("eps_xx", "eps_yy", "eps_xy"):
        z = table[name] / table[f"{name}_err"]
        assert np.abs(z).max() < 5.0
        assert np.sqrt(np.mean(z**2)) < 1.3
    there = (table.true_x - 400).abs() < 30
    ratio = table.loc[there, "eps_xy_err"].median() / table.loc[~there, "eps_xy_err"].median()
    assert ratio > 4.0


def pair_image(sampling, jump=0.0, noise=0.0, side=44.0) -> np.ndarray:
    """Columns 4 Å apart with weaker ones between, displaced by `jump` cells right of the middle."""
    shape = tuple(int(side / each) for each in sampling)
    y, x = (np.arange(n) * each for n, each in zip(shape, sampling, strict=True))
    image = np.random.default_rng(0).normal(0.0, noise, shape)
    cells = 4.0 * np.arange(-1, side / 4.0 + 1)
    for height, offset in ((1.0, 0.0), (0.6, 2.0)):
        for j in cells + offset:
            moved = cells + offset + (4.0 * jump if height < 1.0 and j > side / 2 else 0.0)
            rows = np.exp(-((y[:, None] - moved) ** 2) / (2 * 0.5**2)).sum(axis=1)
            image += height * np.outer(rows, np.exp(-((x - j) ** 2) / (2 * 0.5**2)))
    return image


@pytest.mark.parametrize("sampling", [(0.2, 0.1), (0.1, 0.2), (0.3, 0.1)])
def test_phases_have_a_filter_that_is_round_in_angstrom(sampling) -> None:
    maps = geometric_phase(pair_image(sampling), sampling=sampling)
    for name in ("eps_xx", "eps_yy", "eps_xy"):
        assert np.nanstd(getattr(maps, name)) < 1e-3
    assert np.isfinite(maps.eps_xx).mean() > 0.3


@pytest.mark.slow
def test_other_reflections_widen_the_errors_where_one_sublattice_jumps() -> None:
    image = pair_image((0.1, 0.1), jump=0.12, noise=0.05)
    maps = geometric_phase(image, sampling=0.1)
    false = np.abs(maps.eps_xy) > 0.01
    assert false.any()
    assert np.nanmax(np.abs(maps.eps_xy[false]) / maps.eps_xy_err[false]) < 2.0
    # Far from the wall the crystal is as it was, whatever the wall looks like.
    far = np.abs(np.arange(image.shape[1]) - 220) > 95
    z = maps.eps_xy[:, far] / maps.eps_xy_err[:, far]
    assert np.sqrt(np.nanmean(z**2)) < 1.3
    assert abs(np.nanmean(maps.eps_xy[:, far])) < 1e-3
    report = measure("gpa", None, image, sampling=0.1)
    assert "part of the cell moves" in str(report)
    calm = measure("gpa", None, pair_image((0.1, 0.1), noise=0.05), sampling=0.1)
    assert "part of the cell moves" not in str(calm)
