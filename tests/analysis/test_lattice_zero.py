"""The zero of strain where one sublattice moves against the other."""

import numpy as np
import pandas as pd
import pytest

from napari_atomseg import measurements
from napari_atomseg.analysis import assign, find_lattice
from napari_atomseg.analysis.lattice.zero import unsheared


def crystal(jump=0.0, film=0.0, seed=0):
    """A perovskite with noise, whose B columns jump at a wall; beyond it, a film strained along y,
    or none.
    """
    rng = np.random.default_rng(seed)
    i, j, k = (each.ravel() for each in np.mgrid[:10, :10, :2])
    y, x = 39.0 * (i + k / 2) + 10.0, 39.0 * (j + k / 2) + 10.0
    y = y + k * np.where(x < 200, -jump, jump) + film * np.maximum(y - 200, 0)
    places = np.column_stack([y, x]) + rng.normal(0, 0.05, (len(y), 2))
    table = pd.DataFrame(places, columns=["y", "x"])
    return table.assign(volume=np.where(k == 1, 50.0, 100.0))


def test_a_polar_wall_is_no_strain_far_from_it():
    report = measurements.strain(crystal(jump=2.0), sampling=0.1)
    for low, high in ((40, 140), (260, 360)):
        far = report.table[report.table["x"].between(low, high)]
        assert np.abs(far[["eps_xx", "eps_yy", "eps_xy"]].median()).max() < 4e-4
        assert abs(far["rotation_deg"].median()) < 0.03
    assert any("Zero: the median" in line for line in report.lines)


@pytest.mark.slow
def test_a_lattice_that_sublattices_share_stays_as_it_was_fitted():
    for columns in (crystal(), crystal(film=0.02), crystal(seed=1)):
        lattice = find_lattice(columns, 0.1)
        assert unsheared(assign(columns, lattice), lattice) is lattice
