"""Burgers vectors of dislocations from the elastic theory that made them."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import Lattice, burgers_circuit, find_dislocations
from napari_atomseg.specimen.defects import EdgeDislocation

SQUARE = [[20.0, 0.0], [0.0, 20.0]]
HEXAGONAL = [[0.0, 20.0], [10.0 * np.sqrt(3.0), 10.0]]
CORE = (203.0, 196.0)


def dislocated(columns, *defects, noise=0.0, seed=0):
    """Columns (px of 0.1 Å) moved by dislocations given as (core, burgers) in px."""
    y, x = columns["true_y"].to_numpy(), columns["true_x"].to_numpy()
    shift = np.zeros((len(columns), 2))
    for core, burgers in defects:
        field = EdgeDislocation(tuple(0.1 * np.array(core)), tuple(0.1 * np.array(burgers)))
        shift += 10.0 * field(0.1 * y, 0.1 * x)
    shift += np.random.default_rng(seed).normal(0.0, noise, shift.shape)
    return columns.assign(y=y + shift[:, 0], x=x + shift[:, 1])


@pytest.mark.slow
@pytest.mark.parametrize("cell", [SQUARE, HEXAGONAL], ids=["square", "hexagonal"])
@pytest.mark.parametrize("sign", [1, -1])
def test_an_edge_dislocation_has_its_burgers_vector_and_its_place(planted, cell, sign):
    columns = dislocated(planted(cell), (CORE, (0.0, 20.0 * sign)), noise=0.5)
    found = find_dislocations(columns, 0.1)
    assert len(found) == 1
    only = found.iloc[0]
    # The circuit of the displacement around the core, clockwise as shown, is the Burgers vector.
    vector = only[["burgers_y", "burgers_x"]].to_numpy(float)
    error = only[["burgers_y_err", "burgers_x_err"]].to_numpy(float)
    assert np.all(np.abs(vector - [0.0, 20.0 * sign]) < 3 * error)
    assert np.all(error < 0.4)
    assert only["burgers_angstrom"] == pytest.approx(2.0, rel=0.02)
    assert abs(only["burgers_a"]) + abs(only["burgers_b"]) == 1
    away = np.hypot(only["y"] - CORE[0], only["x"] - CORE[1])
    assert away < 2 * only["core_err"] < 40.0


def test_burgers_vectors_lie_within_their_errors(planted):
    z = []
    for seed in range(8):
        columns = dislocated(planted(SQUARE, size=500.0), ((253.0, 246.0), (0.0, 20.0)), seed=seed)
        # Of a lattice known from elsewhere, as from a region without defects.
        rng = np.random.default_rng(seed)
        vectors = np.array(SQUARE) + rng.normal(0.0, 0.05, (2, 2))
        lattice = Lattice([250.3, 250.3], vectors, vectors_err=np.full((2, 2), 0.05))
        only = find_dislocations(columns, lattice=lattice).iloc[0]
        z += [
            only["burgers_y"] / only["burgers_y_err"],
            (only["burgers_x"] - 20.0) / only["burgers_x_err"],
        ]
    assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [SQUARE, HEXAGONAL], ids=["square", "hexagonal"])
def test_noise_does_not_shrink_burgers_vectors(planted, cell):
    """Of two diagonals of a square, triangles take the one that noise made shorter."""
    z, size = [], []
    for seed in range(6):
        columns = dislocated(planted(cell), (CORE, (0.0, 20.0)), noise=0.5, seed=seed)
        only = find_dislocations(columns, 0.1).iloc[0]
        z.append((only["burgers_x"] - 20.0) / only["burgers_x_err"])
        size.append(only["burgers_x"])
    assert np.mean(size) == pytest.approx(20.0, abs=0.05)
    assert np.abs(z).max() < 2.5


@pytest.mark.slow
def test_a_pair_is_told_apart_and_cancels_from_afar(planted):
    plus, minus = ((203.0, 116.0), (0.0, 20.0)), ((203.0, 286.0), (0.0, -20.0))
    columns = dislocated(planted(SQUARE), plus, minus, noise=0.5)
    found = find_dislocations(columns).sort_values("x")
    assert found["burgers_x"].to_numpy() == pytest.approx([20.0, -20.0], rel=0.02)
    assert found["x"].to_numpy() == pytest.approx([116.0, 286.0], abs=20.0)
    around = burgers_circuit(columns, (203.0, 200.0), 150.0)
    assert around.burgers.tolist() == [0, 0]
    one = burgers_circuit(columns, (203.0, 116.0), 60.0, 0.1)
    assert one.vector == pytest.approx([0.0, 20.0], abs=0.5)
    assert one.length_angstrom == pytest.approx(2.0, rel=0.02)


@pytest.mark.slow
def test_the_circuit_closes_among_the_columns_and_not_in_the_perfect_crystal(planted):
    columns = dislocated(planted(SQUARE), (CORE, (0.0, 20.0)))
    circuit = burgers_circuit(columns, CORE, 80.0)
    assert np.array_equal(circuit.path[0], circuit.path[-1])
    assert np.array_equal(circuit.burgers, -circuit.steps.sum(axis=0))
    y, x = (circuit.path[:-1] - CORE).T
    turn = np.unwrap(np.arctan2(y, x))
    # Clockwise as shown is from x to y.
    assert turn[-1] - turn[0] > np.pi
    assert np.isnan(circuit.vector_angstrom).all()
    assert burgers_circuit(columns, (80.0, 80.0), 60.0).burgers.tolist() == [0, 0]


@pytest.mark.slow
def test_strain_rotation_noise_and_vacancies_are_no_dislocations(planted):
    columns = planted(HEXAGONAL, noise=0.8, missing=0.02, turn=11.0)
    bent = columns.assign(x=columns.x + 3e-4 * (columns.y - 200) ** 2)
    assert len(find_dislocations(bent)) == 0


@pytest.mark.slow
def test_two_sublattices_are_seen_as_one_of_them(planted):
    columns = planted(SQUARE, [[0, 0], [0.5, 0.5]], volumes=[3.0, 1.0])
    moved = dislocated(columns, (CORE, (0.0, 20.0)))
    found = find_dislocations(moved)
    assert len(found) == 1
    assert np.hypot(found["burgers_y"], found["burgers_x"])[0] == pytest.approx(20.0, rel=0.02)


def test_few_columns_and_bad_arguments(planted):
    columns = planted(SQUARE)
    lattice = Lattice([200.3, 200.3], SQUARE)
    for few in range(3):
        assert len(find_dislocations(columns.iloc[:few], 0.1, lattice)) == 0
    row = pd.DataFrame({"y": 0.0, "x": 20.0 * np.arange(9)})
    assert len(find_dislocations(row, lattice=lattice)) == 0
    assert "burgers_angstrom" in find_dislocations(row, 0.1, lattice)
    with pytest.raises(ValueError, match="finite"):
        find_dislocations(columns.assign(y=np.nan), lattice=lattice)
    with pytest.raises(ValueError, match="at least 20 columns"):
        find_dislocations(columns.iloc[:3])
    with pytest.raises(ValueError, match="radius=0"):
        burgers_circuit(columns, (200.0, 200.0), 0, lattice=lattice)
    with pytest.raises(ValueError, match="no ring of columns"):
        burgers_circuit(columns, (900.0, 200.0), 50.0, lattice=lattice)


@pytest.mark.slow
def test_a_hundred_thousand_columns_take_seconds():
    y, x = np.mgrid[:320, :320].reshape(2, -1) * 20.0
    columns = pd.DataFrame({"true_y": y, "true_x": x})
    columns = dislocated(columns, ((3203.0, 3196.0), (0.0, 20.0)), noise=0.5)
    start = time.process_time()
    found = find_dislocations(columns, lattice=Lattice([3200.0, 3200.0], SQUARE))
    assert len(found) == 1
    assert time.process_time() - start < 10.0
