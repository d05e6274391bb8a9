"""Rings and defects of graphene as they were built."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_atomseg.analysis import find_rings
from napari_atomseg.specimen.matter.graphene import (
    BOND,
    divacancy,
    find_bonds,
    line_defect,
    relax,
    stone_wales,
)

CELL = BOND * np.sqrt(3.0) * np.array([[0.0, 1.0], [np.sqrt(0.75), 0.5]])


def sheet(size=40.0):
    """(N, 2) atoms of perfect graphene in Å."""
    steps = np.mgrid[-40:40, -40:40].reshape(2, -1).T
    points = (steps[:, None] + np.array([[0, 0], [1 / 3, 1 / 3]])) @ CELL + 0.5 * size
    points = points.reshape(-1, 2)
    return points[np.all((points > 0) & (points < size), axis=1)]


def middle_bond(points):
    bonds = find_bonds(points)
    away = np.hypot(*(points[bonds].mean(axis=1) - points.mean(axis=0)).T)
    return bonds[np.argmin(away)]


def relaxed(points):
    near = np.hypot(*(points - points.mean(axis=0)).T) < 12.0
    return relax(points, near, 200)


def test_perfect_graphene_has_hexagons_alone():
    points = sheet() + np.random.default_rng(0).normal(0.0, 0.05, (len(sheet()), 2))
    rings = find_rings(points / 0.2, 0.2)
    assert set(rings.table["size"]) == {6}
    assert len(rings.defects) == 0
    # An inner atom has three bonds, and the atoms, bonds and rings of the sheet follow Euler.
    assert len(points) - len(rings.bonds) + len(rings.table) == 1
    area = 1.5 * np.sqrt(3.0) * BOND**2
    assert rings.table["area_angstrom2"].mean() == pytest.approx(area, rel=0.01)
    assert rings.table["area"].mean() == pytest.approx(area / 0.04, rel=0.01)
    inner = np.all((points > 3) & (points < 37), axis=1)
    assert (rings.coordination[inner] == 3).all()
    for row, members in zip(rings.table.itertuples(), rings.members, strict=True):
        assert (row.y, row.x) == pytest.approx(tuple(points[members].mean(axis=0) / 0.2))


@pytest.mark.parametrize(
    ("build", "name", "sizes", "missing"),
    [
        (lambda p, a, b: np.delete(p, a, axis=0), "vacancy", "12", 1),
        (lambda p, a, b: relaxed(divacancy(p, a, b)), "divacancy 5-8-5", "5-5-8", 2),
        (lambda p, a, b: np.delete(p, (a, b), axis=0), "divacancy", "14", 2),
        (lambda p, a, b: relaxed(stone_wales(p, a, b)), "Stone-Wales", "5-5-7-7", 0),
    ],
    ids=["vacancy", "5-8-5", "open divacancy", "Stone-Wales"],
)
def test_point_defects_are_named_and_lack_their_atoms(build, name, sizes, missing):
    points = sheet()
    first, second = middle_bond(points)
    centre = points[[first, second]].mean(axis=0)
    built = build(points, first, second)
    built = built + np.random.default_rng(1).normal(0.0, 0.05, built.shape)
    rings = find_rings(built / 0.2, 0.2)
    (defect,) = rings.defects.itertuples()
    assert (defect.name, defect.sizes, defect.missing) == (name, sizes, missing)
    assert defect.charge == {"vacancy": -6, "divacancy": -8}.get(name, 0)
    assert (defect.y_angstrom, defect.x_angstrom) == pytest.approx(tuple(centre), abs=1.0)
    assert (rings.table["defect"] >= 0).sum() == defect.rings
    assert len(points) - len(built) == missing


def test_two_vacancies_apart_are_two_defects():
    points = sheet()
    near = [int(np.argmin(np.hypot(*(points - at).T))) for at in ((12.0, 12.0), (28.0, 28.0))]
    rings = find_rings(np.delete(points, near, axis=0))
    assert list(rings.defects["name"]) == ["vacancy", "vacancy"]
    assert list(rings.defects["missing"]) == [1, 1]


def test_a_hole_lacks_the_atoms_that_were_taken():
    points = sheet(60.0)
    hole = np.hypot(*(points - 30.0).T) < 5.2
    rings = find_rings(points[~hole])
    assert hole.sum() > 20
    assert list(rings.defects["missing"]) == [hole.sum()]


def test_a_line_of_pentagons_and_octagons_reaches_the_border():
    points = line_defect(np.zeros(2), np.full(2, 40.0), np.full(2, 20.0), 0.0)
    rings = find_rings(points)
    sizes = rings.table["size"].value_counts()
    assert sizes[5] == pytest.approx(2 * sizes[8], abs=2)
    assert sizes[8] >= 6
    assert len(rings.defects) == 1
    assert rings.defects["missing"].isna().all()


def test_an_atom_at_a_site_of_its_own_and_dead_ends_are_no_rings():
    points = np.concatenate([sheet(20.0), [[60.0, 60.0]], [[60.0, 61.4]]])
    rings = find_rings(points)
    assert set(rings.table["size"]) == {6}
    assert rings.coordination[-2:].tolist() in ([1, 1], [0, 0])


def test_no_columns_few_columns_and_columns_on_a_line():
    for count in range(4):
        rings = find_rings(np.arange(2.0 * count).reshape(-1, 2), 0.1)
        assert len(rings.table) == len(rings.defects) == 0
        assert len(rings.coordination) == count
        assert {"y_angstrom", "area_angstrom2"} <= set(rings.table)
    assert len(find_rings(np.stack([np.zeros(9), np.arange(9.0)], axis=1)).table) == 0


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="longest_bond=0"):
        find_rings(sheet(), longest_bond=0)
    with pytest.raises(ValueError, match="finite"):
        find_rings([[np.nan, 0.0]])


@pytest.mark.slow
def test_a_hundred_thousand_atoms_take_seconds():
    steps = np.mgrid[:230, :230].reshape(2, -1).T
    points = ((steps[:, None] + np.array([[0, 0], [1 / 3, 1 / 3]])) @ CELL).reshape(-1, 2)
    start = time.process_time()
    rings = find_rings(points)
    assert len(points) > 1e5
    assert set(rings.table["size"]) == {6}
    assert time.process_time() - start < 30.0
