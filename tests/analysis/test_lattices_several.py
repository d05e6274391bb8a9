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


def test_another_crystal_has_no_strain_against_the_first(planted) -> None:
    table = halves(
        planted,
        {"vectors": [[25, 0], [0, 25]], "noise": 0.2},
        {"vectors": [[0, 30], [26, 15]], "noise": 0.2},
    )
    found = find_lattices(table, 0.1)
    assert len(found.lattices) == 2
    assert np.isnan(found.table.loc[1, "eps_xx"])


def test_one_crystal_has_one_lattice(planted) -> None:
    table = planted([[40, 0], [0, 40]], [[0, 0], [0.55, 0.5]], noise=0.4, volumes=[3.0, 1.0])
    found = find_lattices(table, 0.1)
    assert len(found.lattices) == 1
    assert (found.columns["lattice"] == 0).mean() > 0.9
    assert found.table.loc[0, "eps_xx"] == pytest.approx(0.0, abs=1e-9)


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
