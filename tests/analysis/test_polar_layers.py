"""A simulated multilayer is localized and measured: its sublattices, names, shifts and layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase import Atoms

import napari_atomseg as atomseg
from napari_atomseg.analysis import displacements, layer_profile
from napari_atomseg.analysis.positions import positions_of
from napari_atomseg.measurements import measure

CELL = 3.95
SHIFTS = np.array([0.0, 0.0, 0.0, 4.0, 12.0, 20.0, 24.0, 20.0, 10.0, 0.0])
"""pm of B along c in each layer of cells."""


def multilayer() -> Atoms:
    """Cations of four cells of SrRuO3 and six of PbTiO3 along c, with B displaced by layers."""
    symbols, places = [], []
    for layer, shift in enumerate(SHIFTS):
        lead = 3 <= layer < 9
        symbols += ["Pb" if lead else "Sr", "Ti" if lead else "Ru"]
        places += [
            [0.0, 0.0, layer * CELL],
            [0.5 * CELL, 0.5 * CELL, (layer + 0.5) * CELL + shift / 100.0],
        ]
    cell = [CELL, CELL, CELL * len(SHIFTS)]
    return Atoms(symbols, places, cell=cell, pbc=True)


@pytest.mark.slow
def test_shifts_and_sublattices_of_a_multilayer_come_back_from_its_image() -> None:
    simulation = atomseg.simulate(
        multilayer(), (0, 1, 0), shape=(480, 640), sampling=0.1, dose=2e5, thickness=20, seed=3,
        jitter=0.0,
    )  # fmt: skip
    # The network finds Ti beside columns ten times as bright, which maxima do not.
    found = atomseg.localize(simulation.image, sampling=0.1, refine="joint", edge="drop")
    report = measure("lattice", found, sampling=0.1)
    lattice, table = report.lattice, report.columns
    assert len(lattice) == 2
    assert lattice.lengths_angstrom == pytest.approx([CELL, CELL], rel=0.005)
    moved = displacements(table, lattice, 1)
    along = "b" if abs(lattice.vectors[1, 0]) > abs(lattice.vectors[1, 1]) else "a"
    known = _true(moved, simulation.columns)
    layers = layer_profile(moved.assign(true=known), ["dy_pm", "true"], lattice, along=along)
    layers = layers[layers["count"] > 8]
    assert len(layers) >= 9
    assert layers["true"].abs().max() == pytest.approx(24.0)
    # Tails of bright columns that are no Gaussians shift faint ones beside them.
    assert np.abs(layers["dy_pm"] - layers["true"]).max() < 4.0
    assert np.abs(moved["dx_pm"].mean()) < 1.0


def _true(moved: pd.DataFrame, truth: pd.DataFrame) -> np.ndarray:
    """Displacements of the true columns from the mean of the true four around, by nearest ones."""
    points = positions_of(truth)
    four = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]]) * 5.0 * CELL
    values = []
    for row in moved[["y", "x"]].to_numpy():
        own = points[np.hypot(*(points - row).T).argmin()]
        cage = [points[np.hypot(*(points - own - step).T).argmin()] for step in four]
        values.append(10.0 * (own[0] - np.mean(cage, axis=0)[0]))
    return np.array(values)
