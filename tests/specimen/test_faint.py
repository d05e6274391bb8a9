"""Sublattices that are fainter than the others of their crystal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.specimen import Field
from napari_atomseg.specimen.crystals.projection import ColumnLattice
from napari_atomseg.specimen.matter.random_crystal import with_faint_sublattice
from napari_atomseg.specimen.recipes.columns import ColumnsSpecimen


@given(seed=st.integers(0, 500), low=st.floats(2.5, 10.0), wider=st.floats(1.0, 3.0))
def test_some_sites_are_fainter_by_one_ratio_and_some_are_not(seed, low, wider):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(2, 7))
    lattice = ColumnLattice(np.eye(2), rng.random((count, 2)), rng.uniform(0.5, 1.0, count))
    faint = with_faint_sublattice(rng, lattice, (low, low * wider))
    np.testing.assert_array_equal(faint.positions, lattice.positions)
    assert faint.weights.max() == pytest.approx(1.0)
    dim = faint.weights < 0.45
    assert 0 < dim.sum() < count
    assert np.ptp(faint.weights[dim]) == 0
    ratio = 1.0 / faint.weights.min()
    assert low * (1 - 1e-9) <= ratio <= low * wider * (1 + 1e-9)
    # The others keep their order among themselves.
    kept = lattice.weights[~dim] / lattice.weights[~dim].max()
    np.testing.assert_allclose(faint.weights[~dim], kept)


def test_a_lattice_of_one_site_stays_as_it_is():
    lattice = ColumnLattice(np.eye(2), np.zeros((1, 2)), np.ones(1))
    assert with_faint_sublattice(np.random.default_rng(0), lattice, (5, 5)) is lattice


def test_without_a_chance_of_faint_sublattices_nothing_is_drawn_for_them():
    field = Field((96, 96), 0.2)
    usual = ColumnsSpecimen().draw(np.random.default_rng(4), field)
    other = ColumnsSpecimen(faint=(9.0, 9.0)).draw(np.random.default_rng(4), field)
    np.testing.assert_array_equal(usual.columns.weight, other.columns.weight)


def test_specimens_have_faint_columns_as_often_as_asked_for():
    recipe = ColumnsSpecimen(
        faint=(20.0, 20.0),
        faint_probability=1.0,
        crystal_probability=0.0,
        disorder_probability=0.0,
        empty_probability=0.0,
        defect_probability=0.0,
        edge_probability=0.0,
        undulation=(0.0, 0.0),
        unevenness=(0.0, 0.0),
        second_grain_probability=0.0,
    )
    seen = []
    for seed in range(40):
        weight = recipe.draw(np.random.default_rng(seed), Field((96, 96), 0.2)).columns.weight
        seen.append(weight.min() < 0.06 * weight.max())
    # Three in ten lattices have one site.
    assert 0.4 < np.mean(seen) < 0.95
