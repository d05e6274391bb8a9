"""Random lattices, disordered columns, resolution and thickness."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from napari_atomseg.specimen import Columns, Thickness, random_lattice, random_points
from napari_atomseg.specimen.columns import SPARROW, resolve_columns


def columns_at(points, weights):
    points = np.asarray(points, float)
    weights = np.asarray(weights, float)
    return Columns(points[:, 0], points[:, 1], weights, np.zeros(len(points), dtype=np.int64))


@given(seed=st.integers(0, 2**31), spacing=st.floats(0.8, 4.0))
def test_random_lattices_have_the_spacing_asked_for(seed, spacing):
    lattice = random_lattice(np.random.default_rng(seed), spacing, 8.0)
    assert lattice.nearest_spacing() == pytest.approx(spacing, rel=1e-6)
    assert lattice.weights.max() / lattice.weights.min() <= 8.0 / 0.3 + 1e-6


@given(seed=st.integers(0, 2**31))
def test_disordered_columns_keep_their_distance(seed):
    points = random_points(np.random.default_rng(seed), np.zeros(2), np.full(2, 30.0), 2.0)
    assert len(points) > 5
    assert cKDTree(points).query(points, k=2)[0][:, 1].min() >= 2.0


@pytest.mark.parametrize(("distance", "count"), [(0.9, 1), (1.1, 2)])
def test_equal_columns_are_told_apart_beyond_the_resolution_limit(distance, count):
    pair = columns_at([[0, 0], [0, distance * SPARROW]], [1, 1])
    assert len(resolve_columns(pair, sigma=1.0)) == count


@given(weight=st.floats(0.1, 1.0))
def test_merged_columns_keep_their_common_centre_and_weight(weight):
    merged = resolve_columns(columns_at([[0, 0], [0, 1.0]], [1.0, weight]), sigma=1.0)
    assert merged.weight == pytest.approx([1.0 + weight])
    assert merged.x == pytest.approx([weight / (1.0 + weight)])


def test_a_faint_neighbour_needs_more_room_than_an_equal_one():
    near = SPARROW * 1.2
    assert len(resolve_columns(columns_at([[0, 0], [0, near]], [1, 1]), 1.0)) == 2
    assert len(resolve_columns(columns_at([[0, 0], [0, near]], [1, 0.2]), 1.0)) == 1


def test_thickness_is_zero_in_vacuum_and_grows_over_the_wedge():
    wedge = Thickness(np.array([[0.0, 1.0, 10.0, 5.0]]))
    x = np.array([0.0, 10.0, 12.5, 15.0, 40.0])
    assert wedge(np.zeros(5), x) == pytest.approx([0, 0, 0.5, 1, 1])
