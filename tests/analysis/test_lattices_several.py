"""Several lattices of one image: twins, grains and interfaces."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import find_lattices
from napari_atomseg.measurements import measure


def halves(planted, left, right) -> pd.DataFrame:
    """Two crystals that meet in the middle of the image."""
    first, second = planted(**left), planted(**right)
    size = 400.0
    parts = [first[first["x"] < size / 2 - 6], second[second["x"] > size / 2 + 6]]
    return pd.concat([p.assign(side=k) for k, p in enumerate(parts)], ignore_index=True)


@pytest.mark.slow
def test_two_grains_have_their_own_lattices(planted) -> None:
    cell = {"vectors": [[25, 0], [0, 25]], "noise": 0.4}
    table = halves(planted, cell, cell | {"turn": 20.0, "seed": 1})
    found = find_lattices(table, 0.1)
    assert len(found.lattices) == 2
    for side in (0, 1):
        own = found.columns.loc[table["side"] == side, "lattice"]
        most = own.mode()[0]
        assert (own == most).mean() > 0.9
    other = found.table.iloc[1]
    assert abs(other["rotation_deg"]) == pytest.approx(20.0, abs=0.2)
    assert abs(other["eps_xx"]) < 0.003


@pytest.mark.slow
def test_an_interface_is_strained_against_the_substrate(planted) -> None:
    film = {"vectors": [[27, 0], [0, 25]], "motif": [[0, 0], [0.5, 0.5]], "volumes": [3.0, 1.0]}
    table = halves(planted, {"vectors": [[25, 0], [0, 25]], "noise": 0.3}, film | {"noise": 0.3})
    found = find_lattices(table, 0.1)
    sizes = [len(each) for each in found.lattices]
    assert sorted(sizes) == [1, 2]
    substrate = sizes.index(1)
    against = find_lattices(table, 0.1, reference=substrate)
    assert against.reference == substrate
    row = against.table.iloc[1 - substrate]
    assert row["eps_yy"] == pytest.approx(0.08, abs=0.003)
    assert row["eps_xx"] == pytest.approx(0.0, abs=0.003)
    film_columns = against.columns[against.columns["lattice"] == 1 - substrate]
    assert film_columns["eps_yy"].mean() == pytest.approx(0.08, abs=0.004)
    own = against.columns[against.columns["lattice"] == substrate]
    assert own["eps_yy"].mean() == pytest.approx(0.0, abs=0.004)


@pytest.mark.slow
def test_another_crystal_has_no_strain_against_the_first(planted) -> None:
    table = halves(
        planted,
        {"vectors": [[25, 0], [0, 25]], "noise": 0.2},
        {"vectors": [[0, 30], [26, 15]], "noise": 0.2},
    )
    found = find_lattices(table, 0.1)
    assert len(found.lattices) == 2
    assert np.isnan(found.table.loc[1, "eps_xx"])


def layered(planted, strain, *, noise=0.3, layers=36, motif=((0.0, 0.0),), seed=0) -> pd.DataFrame:
    """A crystal of 25 px whose strain along y is a function of the layer, with its true layer."""
    table = planted([[25, 0], [0, 25]], motif, 25.0 * layers, noise=0.0, seed=seed)
    table = table[table["x"] < 380].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    fine = np.linspace(0.0, layers, 40 * layers)
    steps = 25.0 * (1.0 + strain(fine)) * (fine[1] - fine[0])
    layer = table["y"] / 25.0
    table["y"] = np.interp(layer, fine, np.cumsum(steps)) + rng.normal(0, noise, len(table))
    table["x"] += rng.normal(0, noise, len(table))
    return table.assign(layer=layer)


BODY = ((0.0, 0.0), (0.5, 0.5))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("strained", "motif"),
    [(0.01, BODY), (0.02, BODY[:1]), (0.04, BODY[:1]), (0.06, BODY[:1])],
)
def test_a_film_of_few_per_cent_is_a_lattice_of_its_own(planted, strained, motif) -> None:
    table = layered(planted, lambda n: strained * (n > 21.0), motif=motif)
    found = find_lattices(table, 0.16)
    assert len(found.lattices) == 2
    film = int(found.columns.loc[table["layer"] > 24, "lattice"].mode()[0])
    # Columns of the layers at the step and at the border may be on no lattice.
    for side, number in (
        (table["layer"].between(0.5, 19.0), 1 - film),
        (table["layer"].between(24.0, 34.5), film),
    ):
        assert (found.columns.loc[side, "lattice"] == number).mean() > 0.98
    change = found.changes.iloc[0]
    assert len(found.changes) == 1
    assert change["sharp"]
    assert change["eps_yy"] == pytest.approx(strained, abs=0.001)
    assert abs(change["eps_xx"]) < 0.001
    against = find_lattices(table, 0.16, reference=1 - film).table.iloc[film]
    assert against["eps_yy"] == pytest.approx(strained, abs=0.001)


@pytest.mark.slow
def test_no_more_lattices_than_asked_for(planted) -> None:
    table = layered(planted, lambda n: 0.04 * (n > 21.0))
    found = find_lattices(table, 0.16, most=1)
    assert len(found.lattices) == 1
    assert found.changes["sharp"].tolist() == [True]


@pytest.mark.slow
def test_a_lamella_comes_back_to_the_first_lattice(planted) -> None:
    table = layered(planted, lambda n: 0.02 * ((n > 13) & (n < 24)))
    found = find_lattices(table, 0.16)
    assert len(found.lattices) == 2
    outer = (table["layer"] < 11) | (table["layer"] > 26)
    number = found.columns.loc[outer, "lattice"]
    # Columns in corners have too few neighbours.
    assert (number == number.mode()[0]).mean() > 0.98
    inner = found.columns.loc[table["layer"].between(15, 22), "lattice"]
    assert (inner == 1 - number.mode()[0]).all()
    assert found.changes["sharp"].sum() == 2
    assert sorted(zip(found.changes["lattice"], found.changes["beyond"], strict=True)) == [
        (0, 1), (1, 0),
    ]  # fmt: skip


SMOOTH = {
    "graded": lambda n: 0.04 * n / 36,
    "graded far": lambda n: 0.12 * n / 36,
    "wavy": lambda n: 0.015 * np.sin(n / 6),
    "wide interface": lambda n: 0.02 * np.tanh((n - 18) / 5),
    "drift at the start": lambda n: 0.03 * np.exp(-n / 6),
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", SMOOTH)
def test_a_graded_crystal_is_one_and_said_to_change(planted, kind) -> None:
    found = find_lattices(layered(planted, SMOOTH[kind]), 0.16)
    assert len(found.lattices) == 1
    assert len(found.changes) == 1
    assert not found.changes["sharp"].any()
    lines = "\n".join(measure("lattices", layered(planted, SMOOTH[kind]), sampling=0.16).lines)
    assert "1 lattice;" in lines
    assert "changes gradually" in lines


@pytest.mark.slow
@pytest.mark.parametrize("radius", [4000.0, 9000.0])
def test_a_bent_crystal_is_one(planted, radius) -> None:
    table = planted([[25, 0], [0, 25]], size=700.0, noise=0.3)
    angle = (table["x"] - 350.0) / radius
    bent = table.assign(
        y=(radius + table["y"]) * np.cos(angle), x=(radius + table["y"]) * np.sin(angle)
    )
    found = find_lattices(bent, 0.16)
    assert len(found.lattices) == 1
    assert not found.changes["sharp"].any()


@pytest.mark.slow
def test_a_strained_place_is_no_lattice(planted) -> None:
    table = planted([[25, 0], [0, 25]], BODY, size=700.0, noise=0.2)
    # Three cells that are 7 % longer, in a crystal that is not: far less than a film.
    near = np.exp(-(((table["x"] - 350) / 120) ** 2))
    moved = table.assign(y=table["y"] + 0.07 * 40 * near * np.tanh((table["y"] - 350) / 40))
    assert len(find_lattices(moved, 0.16).lattices) == 1


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.1, 0.3, 0.6])
def test_shared_errors_of_scan_lines_make_no_steps(planted, noise) -> None:
    rng = np.random.default_rng(3)
    table = layered(planted, lambda n: 0.0 * n, noise=noise)
    lines = rng.normal(0, 0.3, 2000)
    table["x"] += lines[table["y"].round().astype(int)]
    table["y"] += np.cumsum(rng.normal(0, 0.05, 2000))[table["y"].round().astype(int)]
    found = find_lattices(table, 0.16)
    assert len(found.lattices) == 1


@pytest.mark.slow
def test_a_polar_wall_is_no_step_of_strain(planted) -> None:
    table = planted([[25, 0], [0, 25]], BODY, size=800.0, noise=0.2, volumes=[2.0, 1.0])
    behind = (table["kind"] == 1) & (table["y"] > 400)
    found = find_lattices(table.assign(y=table["y"] + 2.0 * behind), 0.16)
    assert len(found.lattices) == 1
    assert found.changes.empty


def test_one_crystal_has_one_lattice(planted) -> None:
    table = planted([[40, 0], [0, 40]], [[0, 0], [0.55, 0.5]], noise=0.4, volumes=[3.0, 1.0])
    found = find_lattices(table, 0.1)
    assert len(found.lattices) == 1
    assert (found.columns["lattice"] == 0).mean() > 0.9
    assert found.table.loc[0, "eps_xx"] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.slow
def test_twins_are_indexed_by_their_crystal(seen) -> None:
    left, right = seen("SrTiO3", (0, 0, 1)), seen("SrTiO3", (0, 0, 1), turn=30.0)
    table = pd.concat([left[left["x"] < 190], right[right["x"] > 210]], ignore_index=True)
    report = measure("lattices", table, sampling=0.15, crystal=["SrTiO3", "Au"])
    about = report.tables["Lattices"]
    assert list(about["crystal"]) == ["SrTiO3", "SrTiO3"]
    named = report.columns["species"] != ""
    assert named.mean() > 0.85
    # At the boundary, a column of the one may stand on a site of the other.
    assert (report.columns["species"] == table["true"])[named].mean() > 0.98


@pytest.mark.slow
def test_sites_of_several_lattices_do_not_replace_those_of_one(planted) -> None:
    flat, turned = planted([[40, 0], [0, 40]]), planted([[38, 12], [-12, 38]])
    table = pd.concat([flat[flat["x"] < 270], turned[turned["x"] > 285]], ignore_index=True)
    one = measure("lattice", table, sampling=0.1)
    both = measure("lattices", one.columns, sampling=0.1).columns
    assert both["lattice"].nunique() > 1
    assert both[["i", "j", "sublattice"]].equals(one.columns[["i", "j", "sublattice"]])
    known = {"sampling": 0.1, "lattice": one.lattice}
    assert measure("spacings", both, **known).lines == (
        measure("spacings", one.columns, **known).lines
    )
    alone = measure("lattices", table, sampling=0.1).columns
    assert "sublattice" not in alone
    second = measure("spacings", alone, sampling=0.1, use="lattice=1")
    assert "a = 3.98" in second.lines[0] or "a = 3.99" in second.lines[0]


def test_wrong_arguments_are_named(planted) -> None:
    table = planted([[40, 0], [0, 40]])
    with pytest.raises(ValueError, match="most=0"):
        find_lattices(table, most=0)
    with pytest.raises(ValueError, match="smallest=5"):
        find_lattices(table, smallest=5)
    with pytest.raises(ValueError, match="reference=3"):
        find_lattices(table, reference=3)
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="no lattice"):
        find_lattices(pd.DataFrame(rng.random((300, 2)) * 300, columns=["y", "x"]))


@pytest.mark.parametrize("seed", range(3))
def test_columns_that_the_border_cuts_bend_no_lattice(planted, seed):
    table = halves(
        planted,
        {"vectors": [[24, 0], [0, 24]], "noise": 0.1, "seed": seed},
        {"vectors": [[30, 0], [0, 30]], "noise": 0.1, "turn": 20.0, "seed": seed + 9},
    )
    # Drawn inwards by less than what is seen to be off.
    cut = (table["x"] < 26.0) | (table["x"] > 374.0)
    table.loc[cut, "x"] += np.where(table.loc[cut, "x"] < 200.0, 0.45, -0.45)
    table.loc[cut, ["y_err", "x_err"]] = np.nan
    found = find_lattices(table, 0.1)
    assert len(found.lattices) == 2
    sides = table.loc[~cut].groupby(found.columns["lattice"])["side"].mean()
    for row in found.table.itertuples():
        expected = 2.4 if sides[row.lattice] < 0.5 else 3.0
        assert abs(row.a - expected) < 5 * row.a_err
        assert abs(row.b - expected) < 5 * row.b_err
    assert (found.columns.loc[cut, "lattice"] >= 0).mean() > 0.5
