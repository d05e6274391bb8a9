"""Profiles of layers and lines, bond vectors and octahedra come back as they were planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

import napari_atomseg as atomseg
from napari_atomseg.analysis import (
    Lattice,
    assign,
    binned_profile,
    bond_density,
    bond_distributions,
    bond_vectors,
    displacements,
    find_lattice,
    layer_profile,
    line_profile,
    octahedra,
)
from napari_atomseg.io import write_columns
from napari_atomseg.measurements import measure

CELL, SAMPLING = 40.0, 0.1
PLANTED = np.array([0.0, 0.0, 0.0, 5.0, 12.0, 20.0, 25.0, 25.0, 20.0, 10.0, 0.0])
"""pm along y of the B columns of each layer."""


def polar(noise: float = 0.2, seed: int = 0, columns: int = 20) -> pd.DataFrame:
    """A perovskite with the B columns of each layer displaced, A columns brighter below layer 5."""
    rng = np.random.default_rng(seed)
    rows = len(PLANTED) + 1
    i, j = (each.ravel() for each in np.mgrid[:rows, :columns])
    a = pd.DataFrame({"y": i * CELL, "x": j * CELL, "volume": np.where(i < 5, 500.0, 200.0)})
    inner = i < rows - 1
    i, j = i[inner], j[inner]
    shift = PLANTED[i] / 100.0 / SAMPLING
    b = pd.DataFrame({"y": (i + 0.5) * CELL + shift, "x": (j + 0.5) * CELL})
    b["volume"] = np.where(i < 5, 150.0, 260.0)
    table = pd.concat([a, b], ignore_index=True)
    table[["y", "x"]] += 30.0 + rng.normal(0.0, noise, (len(table), 2))
    table["volume"] *= rng.normal(1.0, 0.04, len(table))
    return table.assign(y_err=noise, x_err=noise)


def test_a_polarization_that_changes_from_layer_to_layer_comes_back() -> None:
    table = polar()
    lattice = find_lattice(table, SAMPLING)
    assert len(lattice) == 2
    sites = assign(table, lattice)
    sizes = sites.groupby("sublattice").size()
    b = int(sizes.index[sizes == len(PLANTED) * 20][0])
    moved = displacements(sites, lattice, b)
    along = "b" if abs(lattice.vectors[1, 0]) > abs(lattice.vectors[1, 1]) else "a"
    found = layer_profile(moved, "dy_pm", lattice, along=along)
    assert len(found) == len(PLANTED)
    assert np.diff(found["distance"]) == pytest.approx(CELL * SAMPLING, rel=0.01)
    pulls = (found["dy_pm"] - PLANTED) / found["dy_pm_err"]
    assert np.abs(pulls).max() < 4.0
    assert 0.5 < np.sqrt((pulls**2).mean()) < 1.8


@pytest.mark.slow
def test_distances_start_at_the_step_of_intensity() -> None:
    table = polar(columns=30)
    report = measure("lattice", table, sampling=SAMPLING)
    along = "b" if abs(report.lattice.vectors[1, 0]) > 20 else "a"
    found = measure(
        "profile", report.columns, lattice=report.lattice, along=along, interface="intensity"
    ).table
    kind = report.columns.groupby("sublattice")["volume"].count().idxmax()
    a = found[found["sublattice"] == kind]
    below = a[a["distance"] < 0]["intensity"]
    assert len(below) == 5
    assert (below > 400).all()
    assert (a[a["distance"] > 0]["intensity"] < 300).all()


def test_strips_need_no_lattice() -> None:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((5000, 2)) * [300, 400], columns=["y", "x"])
    table["value"] = 0.02 * table["x"] + rng.normal(0, 1, len(table))
    found = binned_profile(table, "value", 0.1, width=5.0, origin=(0, 0))
    expected = 0.02 * found["distance"] / 0.1
    pulls = (found["value"] - expected) / found["value_err"]
    assert np.abs(pulls).max() < 4
    turned = binned_profile(table, "value", 0.1, width=5.0, angle_deg=90.0)
    assert np.abs(turned["value"] - 4.0).max() < 1.0


def test_a_line_is_averaged_over_its_width() -> None:
    rng = np.random.default_rng(1)
    x = np.arange(200.0)
    image = np.sin(x / 7.0) + rng.normal(0.0, 0.5, (100, 200))
    found = line_profile(image, (50, 20), (50, 180), 4.1, sampling=0.1)
    assert found["distance"].iloc[-1] == pytest.approx(16.0)
    assert (found["count"] == 41).all()
    pulls = (found["intensity"] - np.sin(found["x"] / 7.0)) / found["intensity_err"]
    assert np.sqrt((pulls**2).mean()) == pytest.approx(1.0, abs=0.2)
    alone = line_profile(image, (50, 20), (50, 180))
    assert alone["intensity"].to_numpy() == pytest.approx(image[50, 20:181])
    assert alone["intensity_err"].isna().all()


def test_a_line_runs_straight_in_angstrom_where_pixels_are_not_square() -> None:
    y, x = np.indices((120, 60))
    plane = 0.1 * y + 0.2 * x
    found = line_profile(plane, (10, 5), (90, 45), 1.0, sampling=(0.1, 0.2))
    assert found["distance"].iloc[-1] == pytest.approx(8.0 * np.sqrt(2))
    assert found["intensity"].iloc[-1] - found["intensity"].iloc[0] == pytest.approx(16.0)


def test_wrong_lines_are_named() -> None:
    image = np.zeros((10, 10))
    with pytest.raises(ValueError, match="two places"):
        line_profile(image, (1, 1), (1, 1))
    with pytest.raises(ValueError, match="width=-1"):
        line_profile(image, (1, 1), (1, 5), -1)
    with pytest.raises(ValueError, match="two-dimensional"):
        line_profile(np.zeros(5), (1, 1), (1, 5))


@pytest.mark.slow
def test_bond_vectors_have_the_planted_mean_and_width(planted) -> None:
    table = planted(
        [[40, 0], [0, 40]], [[0, 0], [0.54, 0.5]], noise=0.4, volumes=[3.0, 1.0], size=800
    )
    lattice = find_lattice(table, SAMPLING)
    bonds = bond_distributions(bond_vectors(table, lattice, 0, 1, reach=3.1))
    assert len(bonds) == 4
    for row in bonds.itertuples():
        dy = 2.16 if row.vector_y > 0 else -1.84
        assert abs(row.vector_y - dy) < 4 * row.vector_y_err
        assert abs(abs(row.vector_x) - 2.0) < 4 * row.vector_x_err
        for width in (row.along, row.across):
            assert width == pytest.approx(0.04 * np.sqrt(2), rel=0.15)
        assert row.along_expected == pytest.approx(0.04 * np.sqrt(2))
    own = bond_vectors(table, lattice, 0, 0)
    assert len(own.groupby(["di", "dj"])) == 2


@pytest.mark.slow
def test_the_density_of_bond_vectors_is_where_and_as_many_as_planted(planted) -> None:
    table = planted(
        [[40, 0], [0, 40]], [[0, 0], [0.54, 0.5]], noise=0.6, volumes=[3.0, 1.0], size=900
    )
    lattice = find_lattice(table, SAMPLING)
    vectors = bond_vectors(table, lattice, 0, 1, reach=3.1)
    density = bond_density(vectors)
    total = density.values.sum() * density.step**2
    assert total == pytest.approx(len(vectors) / vectors["column"].nunique(), rel=1e-6)
    for dy in (2.16, -1.84):
        for dx in (2.0, -2.0):
            near = np.hypot(density.y[:, None] - dy, density.x - dx) < 0.5
            share = density.values * near
            assert share.sum() * density.step**2 == pytest.approx(1.0, abs=0.12)
            middle = (share * density.y[:, None]).sum() / share.sum()
            assert middle == pytest.approx(dy, abs=0.02)
            row, col = np.unravel_index(np.argmax(share), share.shape)
            assert np.hypot(density.y[row] - dy, density.x[col] - dx) < 0.06
    # Its variance is that of the bonds, and of the Gaussian and the bin by which it was smoothed.
    one = vectors[(vectors["vector_y"] > 0) & (vectors["vector_x"] > 0)]
    near = density.values * (np.hypot(density.y[:, None] - 2.16, density.x - 2.0) < 0.7)
    mean = (near * density.x).sum() / near.sum()
    variance = (near * (density.x - mean) ** 2).sum() / near.sum()
    expected = one["vector_x"].var() + density.width**2 + density.step**2 / 12
    assert variance == pytest.approx(expected, rel=0.06)


@pytest.mark.slow
def test_two_states_of_a_bond_are_two_maxima(planted) -> None:
    table = planted(
        [[40, 0], [0, 40]], [[0, 0], [0.5, 0.5]], noise=0.3, volumes=[3.0, 1.0], size=900
    )
    lattice = find_lattice(table, SAMPLING)
    up = (table["kind"] == 1) & (table["x"] > 450)
    down = (table["kind"] == 1) & (table["x"] <= 450)
    moved = table.assign(y=table["y"] - 2.0 * up + 2.0 * down)
    vectors = bond_vectors(moved, lattice, 0, 1, reach=3.2)
    density = bond_density(vectors, width=0.04)
    strip = density.values[:, np.abs(density.x - 2.0) < 0.1].sum(axis=1)
    at = {dy: strip[np.abs(density.y - dy).argmin()] for dy in (1.8, 2.0, 2.2)}
    assert at[2.0] < 0.2 * min(at[1.8], at[2.2])


@pytest.mark.slow
def test_wrong_densities_are_named() -> None:
    vectors = bond_vectors(polar(), find_lattice(polar(), SAMPLING))
    with pytest.raises(ValueError, match="width=0"):
        bond_density(vectors, width=0.0)
    with pytest.raises(ValueError, match=r"step=1e-06.*bins"):
        bond_density(vectors, step=1e-6)
    with pytest.raises(ValueError, match="no vectors"):
        bond_density(vectors.iloc[:0])


def tilted(angle: float, noise: float = 0.0, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    """B and A columns, and oxygen turned about B by an angle that alternates along both axes."""
    rng = np.random.default_rng(seed)
    i, j = (each.ravel() for each in np.mgrid[:12, :12])
    b = np.column_stack([i, j]) * CELL + 50.0
    a = b + 0.5 * CELL
    t = np.tan(np.radians(angle)) * (1 - 2 * ((i + j) % 2))
    # Counter-clockwise as seen: what is to the right (+x) goes up (-y), what is below (+y) right.
    right = b + 0.5 * CELL * np.column_stack([-t, np.ones(len(t))])
    below = b + 0.5 * CELL * np.column_stack([np.ones(len(t)), t])
    cations = pd.DataFrame(np.vstack([a, b]), columns=["y", "x"])
    cations["volume"] = np.repeat([300.0, 100.0], len(a))
    oxygen = pd.DataFrame(np.vstack([right, below]), columns=["y", "x"])
    for table in (cations, oxygen):
        table[["y", "x"]] += rng.normal(0.0, noise, (len(table), 2))
        table[["y_err", "x_err"]] = noise
    return cations, oxygen


@pytest.mark.slow
def test_tilts_of_octahedra_with_their_sign_and_order() -> None:
    cations, oxygen = tilted(6.0, noise=0.3)
    lattice = find_lattice(cations, SAMPLING)
    found = octahedra(cations, lattice, oxygen)
    order = found.order.set_index("order")
    both = order.loc["alternating along a and b"]
    assert abs(both["tilt_deg"]) == pytest.approx(6.0, abs=0.3)
    for other in ("the same everywhere", "alternating along a", "alternating along b"):
        assert abs(order.loc[other, "tilt_deg"]) < 4 * order.loc[other, "tilt_deg_err"]
    inner = found.table[found.table["oxygens"] == 4]
    row = inner.iloc[(np.hypot(inner["y"] - 50.0 - 4 * CELL, inner["x"] - 50 - 4 * CELL)).argmin()]
    assert row["tilt_deg"] == pytest.approx(6.0, abs=4 * row["tilt_deg_err"])
    signs = np.where((np.rint((inner[["y", "x"]] - 50.0) / CELL).sum(axis=1) % 2) == 0, 1, -1)
    pulls = (inner["tilt_deg"] * signs - 6.0) / inner["tilt_deg_err"]
    assert np.sqrt((pulls**2).mean()) == pytest.approx(1.0, abs=0.25)
    assert found.oxygen["angle_deg"].mean() == pytest.approx(180.0 - 12.0, abs=1.0)


@pytest.mark.slow
def test_oxygen_may_be_among_the_columns() -> None:
    cations, oxygen = tilted(0.0)
    oxygen["y"] += 1.5
    oxygen["volume"] = 20.0
    rng = np.random.default_rng(0)
    whole = pd.concat([cations, oxygen], ignore_index=True)
    whole[["y", "x"]] += rng.normal(0, 0.05, (len(whole), 2))
    lattice = find_lattice(whole, SAMPLING)
    assert len(lattice) == 4
    found = octahedra(whole, lattice, sublattice=1)
    assert found.table["dy_pm"].mean() == pytest.approx(-15.0, abs=0.5)
    assert found.oxygen["dy_pm"].mean() == pytest.approx(15.0, abs=0.5)
    assert found.table["tilt_deg"].abs().max() < 1.0


@pytest.mark.slow
@pytest.mark.parametrize("a_brighter", [True, False])
def test_the_cation_in_the_octahedra_is_told_by_the_oxygen(a_brighter) -> None:
    cations, oxygen = tilted(5.0, noise=0.2)
    cations["volume"] = np.repeat([300.0, 100.0] if a_brighter else [100.0, 300.0], 144)
    found = octahedra(cations, find_lattice(cations, SAMPLING), oxygen)
    assert found.chosen_by == "oxygen"
    assert found.sublattices == ((1,) if a_brighter else (0,))
    both = found.order.set_index("order").loc["alternating along a and b", "tilt_deg"]
    assert abs(both) == pytest.approx(5.0, abs=0.3)


@pytest.mark.slow
def test_cations_of_one_brightness_are_told_by_their_names() -> None:
    cations, oxygen = tilted(5.0, noise=0.2)
    cations["volume"] = 100.0
    lattice = find_lattice(cations, SAMPLING, sublattices=2)
    with pytest.raises(ValueError, match="name their species"):
        octahedra(cations, lattice, oxygen)
    sites = assign(cations, lattice)
    named = sites.assign(species=np.where(np.arange(len(sites)) < 144, "A", "B"))
    found = octahedra(named, lattice, oxygen)
    both = found.order.set_index("order").loc["alternating along a and b", "tilt_deg"]
    assert abs(both) == pytest.approx(5.0, abs=0.3)
    assert (named["species"].iloc[found.table["column"]] == "B").all()


@pytest.mark.slow
def test_a_cell_that_tilts_have_enlarged_makes_no_difference() -> None:
    cations, oxygen = tilted(5.0, noise=0.2)
    oxygen["volume"] = 20.0
    whole = pd.concat([cations, oxygen], ignore_index=True)
    lattice = find_lattice(whole, SAMPLING)
    assert len(lattice) == 8
    found = octahedra(whole, lattice)
    assert len(found.sublattices) == 2
    assert found.net.lengths_angstrom == pytest.approx(0.1 * CELL, rel=0.002)
    both = found.order.set_index("order").loc["alternating along a and b", "tilt_deg"]
    assert abs(both) == pytest.approx(5.0, abs=0.3)


@pytest.mark.slow
def test_oxygen_that_was_not_measured_is_left_out() -> None:
    cations, oxygen = tilted(6.0, noise=0.2)
    failed = np.arange(len(oxygen)) % 7 == 0
    # Columns whose fit failed stand where they were expected, in the middle.
    i, j = (each.ravel() for each in np.mgrid[:12, :12])
    b = np.column_stack([i, j]) * CELL + 50.0
    middle = np.vstack([b + np.array(half) * CELL for half in ((0.0, 0.5), (0.5, 0.0))])
    oxygen.loc[failed, ["y", "x"]] = middle[failed]
    oxygen.loc[failed, ["y_err", "x_err"]] = np.nan
    found = octahedra(cations, find_lattice(cations, SAMPLING), oxygen)
    assert found.table["tilt_deg"].abs().min() > 4.0
    without = octahedra(cations, find_lattice(cations, SAMPLING), oxygen[~failed])
    assert len(without.table) == len(found.table)


@pytest.mark.slow
@pytest.mark.parametrize("tilt", [3.0, 7.0])
def test_tilts_come_back_from_a_simulated_pair_of_images(tilt, tmp_path) -> None:
    pair = simulated_pair(tilt)
    cations = atomseg.localize(pair[0], sampling=0.1, refine="joint", edge="drop")
    light = atomseg.localize(pair[1], sampling=0.1, refine="joint", edge="drop")
    write_columns(tmp_path / "light.csv", light)
    sites = measure("lattice", cations, sampling=0.1)
    report = measure(
        "octahedra", sites.columns, lattice=sites.lattice, oxygen=str(tmp_path / "light.csv")
    )
    order = report.tables["Order"].set_index("order")
    both = order.loc["alternating along a and b", "tilt_deg"]
    # Tails of bright cations pull faint oxygen by some hundredths of an Å.
    assert abs(both) == pytest.approx(tilt, abs=0.08 * tilt + 0.1)
    for name in ("the same everywhere", "alternating along a", "alternating along b"):
        assert abs(order.loc[name, "tilt_deg"]) < 4 * order.loc[name, "tilt_deg_err"]
    assert "across whose bonds oxygen moves" in str(report)


def simulated_pair(tilt: float) -> tuple[np.ndarray, np.ndarray]:
    """Dark field and an image linear in the charge of a perovskite tilted about the beam."""
    side, symbols, places = 3.95, [], []
    step = 0.5 * side * np.tan(np.radians(tilt))
    for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
        corner, sign = np.array([i, j, 0.0]) * side, 1 - 2 * ((i + j) % 2)
        symbols += ["Sr", "Ru", "O", "O", "O"]
        half = 0.5 * side
        for move in (
            [half, half, half], [0, 0, 0], [0, 0, half], [half, sign * step, 0],
            [-sign * step, half, 0],
        ):  # fmt: skip
            places.append(corner + move)
    crystal = Atoms(symbols, places, cell=[2 * side, 2 * side, side], pbc=True)
    common = {"shape": (320, 320), "sampling": 0.1, "thickness": 30, "jitter": 0.0, "seed": 2}
    dark = atomseg.simulate(crystal, (0, 0, 1), dose=1e5, **common)
    light = atomseg.simulate(crystal, (0, 0, 1), dose=3e5, gamma=1.0, source_size=0.6, **common)
    return dark.image, light.image


@pytest.mark.slow
def test_octahedra_need_oxygen() -> None:
    cations, _ = tilted(0.0)
    lattice = find_lattice(cations, SAMPLING)
    with pytest.raises(ValueError, match="no oxygen column stands"):
        octahedra(cations, lattice)
    with pytest.raises(ValueError, match="no oxygen column stands"):
        octahedra(cations, lattice, np.array([[5.0, 5.0]]))


def test_quantities_that_are_not_there_are_named() -> None:
    table = pd.DataFrame({"i": [0], "j": [0], "y": [1.0], "x": [1.0], "name": ["a"]})
    lattice = Lattice([0, 0], [[0, 4], [4, 0]])
    with pytest.raises(ValueError, match="lack 'speed'"):
        layer_profile(table, "speed", lattice)
    with pytest.raises(ValueError, match="no numbers"):
        layer_profile(table, "name", lattice)
    with pytest.raises(ValueError, match="along='c'"):
        layer_profile(table, "y", lattice, along="c")
