"""Errors of means of unit cells and of tilts, whose columns are shared by neighbours."""

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import Lattice, octahedra, unit_cells

CELL = np.diag([20.0, 20.0])
NOISE = 0.3


def grid(count, motif):
    i, j = np.indices((count, count)).reshape(2, -1)
    cells = np.stack([i, j], axis=1)
    return pd.DataFrame((cells + np.asarray(motif)) @ CELL + 10.0, columns=["y", "x"])


def strayed(table, rng):
    away = rng.normal(0.0, NOISE, (len(table), 2))
    return table.assign(y=table["y"] + away[:, 0], x=table["x"] + away[:, 1]).assign(
        y_err=NOISE, x_err=NOISE
    )


def test_sides_of_cells_and_their_means_lie_within_their_errors():
    lattice = Lattice([10.0, 10.0], CELL, pixel=np.full(2, 0.1))
    single, mean = [], []
    for seed in range(40):
        cells = unit_cells(strayed(grid(9, [0.0, 0.0]), np.random.default_rng(seed)), lattice)
        table = cells.table
        for name, part in zip("ab", cells.mean_errors(), strict=True):
            single.append((table[name] - 20.0) / table[f"{name}_err"])
            length = table[f"{name}_angstrom"]
            mean.append((length.mean() - 2.0) / (part * length.mean()))
            np.testing.assert_allclose(table[f"{name}_err_angstrom"], 0.1 * table[f"{name}_err"])
    # A diagonal of noise makes sides longer by noise² / side.
    assert np.sqrt(np.mean(np.square(single))) == pytest.approx(1.0, abs=0.05)
    assert np.sqrt(np.mean(np.square(mean))) == pytest.approx(1.0, abs=0.2)


@pytest.mark.slow
def test_tilts_and_their_orders_lie_within_their_errors():
    lattice = Lattice([10.0, 10.0], CELL, [[0.0, 0.0], [0.5, 0.5]])
    b = grid(8, [0.5, 0.5])
    oxygen = pd.concat([grid(8, [0.0, 0.5]), grid(8, [0.5, 0.0])], ignore_index=True)
    single, order = [], {}
    for seed in range(40):
        rng = np.random.default_rng(seed)
        columns = pd.concat([strayed(grid(8, [0.0, 0.0]), rng), strayed(b, rng)])
        found = octahedra(columns.reset_index(drop=True), lattice, strayed(oxygen, rng))
        single.append(found.table["tilt_deg"] / found.table["tilt_deg_err"])
        for row in found.order.itertuples():
            order.setdefault(row.order, []).append(row.tilt_deg / row.tilt_deg_err)
    assert np.sqrt(np.mean(np.square(np.concatenate(single)))) == pytest.approx(1.0, abs=0.05)
    for z in order.values():
        assert np.sqrt(np.mean(np.square(z))) == pytest.approx(1.0, abs=0.3)
