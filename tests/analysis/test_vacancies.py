"""Vacancies of a lattice stand where columns were taken."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import Lattice, find_vacancies, match
from napari_atomseg.specimen.defects import EdgeDislocation

SQUARE = [[40.0, 0.0], [0.0, 40.0]]
CAGE = [[0.0, 0.0], [0.56, 0.5]]


def inner(columns, margin=60.0, size=400.0):
    return columns[["true_y", "true_x"]].sub(0.5 * size).abs().max(axis=1) < 0.5 * size - margin


def test_vacancies_are_found_within_their_errors(planted):
    z = []
    for seed in range(6):
        columns = planted(SQUARE, CAGE, volumes=[3.0, 1.0], noise=0.5, seed=seed)
        rows = np.flatnonzero(inner(columns))
        # Apart from each other, so that each keeps its neighbours.
        taken = columns.iloc[rows[[5, 40, 90]]]
        lattice = Lattice([200.3, 200.3], SQUARE, CAGE)
        found = find_vacancies(columns.drop(taken.index), 0.1, lattice)
        i, j = match(found, taken[["true_y", "true_x"]].to_numpy(), 5.0)
        assert len(found) == len(i) == 3
        assert (found["sublattice"].to_numpy()[i] == taken["kind"].to_numpy()[j]).all()
        away = found[["y", "x"]].to_numpy()[i] - taken[["true_y", "true_x"]].to_numpy()[j]
        z.append(away / found[["y_err", "x_err"]].to_numpy()[i])
        assert found["y_angstrom"].to_numpy() == pytest.approx(0.1 * found["y"])
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.3)


def test_a_strained_and_turned_crystal_without_its_lattice(planted):
    columns = planted(SQUARE, CAGE, volumes=[3.0, 1.0], noise=0.3, turn=13.0)
    bent = columns.assign(x=columns.x + 15.0 * np.sin(columns.true_y / 130.0))
    taken = bent[inner(bent)].iloc[[20, 70]]
    found = find_vacancies(bent.drop(taken.index))
    i, _ = match(found, taken[["y", "x"]].to_numpy(), 6.0)
    assert len(i) == 2
    assert len(found) == 2


def test_the_border_of_a_particle_has_no_vacancies(planted):
    columns = planted(SQUARE, noise=0.3)
    disc = np.hypot(columns.true_y - 200, columns.true_x - 200) < 170
    assert len(find_vacancies(columns[disc])) == 0


def test_a_pair_of_vacancies_side_by_side(planted):
    columns = planted(SQUARE, noise=0.2)
    near = np.hypot(columns.true_y - 200.3, columns.true_x - 220.3).nsmallest(2).index
    found = find_vacancies(columns.drop(near))
    assert len(found) == 2
    assert not found["surrounded"].any()
    assert find_vacancies(columns.drop(near[:1]))["surrounded"].all()


@pytest.mark.slow
def test_a_dislocation_brings_no_vacancies_of_its_own(planted):
    columns = planted([[27.7, 0.0], [0.0, 27.7]], size=800.0, noise=0.5)
    field = EdgeDislocation((40.9, 41.0), (0.0, 2.77))
    shift = 10 * field(0.1 * columns["true_y"].to_numpy(), 0.1 * columns["true_x"].to_numpy())
    moved = columns.assign(y=columns.y + shift[:, 0], x=columns.x + shift[:, 1])
    one = np.hypot(columns.true_y - 190.0, columns.true_x - 560.0).idxmin()
    found = find_vacancies(moved.drop(one), 0.1)
    assert len(found) == 1
    assert found[["y", "x"]].to_numpy()[0] == pytest.approx(
        moved.loc[one, ["y", "x"]].to_numpy(float), abs=3.0
    )


def test_a_column_off_its_site_by_less_than_half_is_no_vacancy(planted):
    columns = planted(SQUARE, noise=0.2)
    one = np.hypot(columns.true_y - 200.3, columns.true_x - 200.3).idxmin()
    moved = columns.copy()
    moved.loc[one, "x"] += 15.0
    assert len(find_vacancies(moved)) == 0
    moved.loc[one, "x"] += 6.0
    assert len(find_vacancies(moved)) == 1


def test_few_columns_and_bad_arguments(planted):
    lattice = Lattice([200.3, 200.3], SQUARE)
    columns = planted(SQUARE)
    for count in range(3):
        assert len(find_vacancies(columns.iloc[:count], 0.1, lattice)) == 0
    row = columns[(columns.true_y - 200.3).abs() < 1]
    assert len(find_vacancies(row, lattice=lattice)) == 0
    with pytest.raises(ValueError, match="finite"):
        find_vacancies(columns.assign(y=np.nan), lattice=lattice)
    with pytest.raises(ValueError, match="at least 20"):
        find_vacancies(columns.iloc[:2])


@pytest.mark.slow
def test_a_hundred_thousand_columns_take_seconds():
    points = np.mgrid[:320, :320].reshape(2, -1).T * 40.0
    keep = np.ones(len(points), bool)
    keep[320 * 160 + 160] = False
    columns = pd.DataFrame(points[keep], columns=["y", "x"])
    start = time.process_time()
    found = find_vacancies(columns, lattice=Lattice([6400.0, 6440.0], SQUARE))
    assert len(found) == 1
    assert time.process_time() - start < 20.0
