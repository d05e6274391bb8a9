"""Convex shapes against volumes and angles of geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.specimen.matter.random_matter import half_space, polyhedron, rod, wedge

SEEDS = st.integers(0, 2**31)


def slab_points(rng, thickness, count=40_000):
    return rng.uniform([-50, -50, 0], [50, 50, thickness], (count, 3))


@pytest.mark.parametrize("side", ["top", "bottom", "both"])
@given(angle=st.floats(5.0, 45.0), turn=st.floats(0.0, 360.0), seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_wedge_thins_out_by_its_angle(side, angle, turn, seed):
    thickness = 12.0
    points = slab_points(np.random.default_rng(seed), thickness)
    inside = wedge(np.array([3.0, -4.0]), turn, angle, thickness, side).holds(points)
    into = np.array([np.sin(np.deg2rad(turn)), np.cos(np.deg2rad(turn))])
    away = points[:, :2] @ into - np.array([3.0, -4.0]) @ into
    slope = np.tan(np.deg2rad(angle)) if side != "both" else 2 * np.tan(np.deg2rad(angle) / 2)
    expected = np.clip(slope * away / thickness, 0.0, 1.0)
    assert inside.mean() == pytest.approx(expected.mean(), abs=0.01)
    assert not inside[away < 0].any()


def test_a_wedge_keeps_the_surface_that_is_not_inclined():
    points = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 9.5]])
    kept = {
        side: wedge(np.zeros(2), 0.0, 45.0, 10.0, side).holds(points).tolist()
        for side in ("top", "bottom")
    }
    # The beam enters at z = 0, the top.
    assert kept == {"top": [False, True], "bottom": [True, False]}


@given(seed=SEEDS, corners=st.integers(3, 15), radius=st.floats(2.0, 20.0))
@settings(max_examples=40, deadline=None)
def test_a_rod_is_endless_and_no_wider_than_its_radius(seed, corners, radius):
    rng = np.random.default_rng(seed)
    shape = rod(rng, radius, corners)
    assert len(shape.normals) == corners
    axis = np.linalg.svd(shape.normals)[2][2]
    along = np.linspace(-1e3, 1e3, 50)[:, None] * axis
    assert shape.holds(along).all()
    across = rng.normal(size=(200, 3))
    across -= np.outer(across @ axis, axis)
    across *= 1.001 * radius / np.linalg.norm(across, axis=1, keepdims=True)
    assert not shape.holds(across).any()


@given(seed=SEEDS, corners=st.integers(4, 20), radius=st.floats(2.0, 20.0))
@settings(max_examples=40, deadline=None)
def test_a_polyhedron_lies_within_its_sphere(seed, corners, radius):
    rng = np.random.default_rng(seed)
    shape = polyhedron(rng, radius, corners)
    outside = rng.normal(size=(500, 3))
    outside *= 1.001 * radius / np.linalg.norm(outside, axis=1, keepdims=True)
    assert not shape.holds(outside).any()
    assert np.linalg.norm(shape.normals, axis=1) == pytest.approx(np.ones(len(shape.normals)))
    # Euler: a simplicial polyhedron of V corners has 2 V - 4 faces.
    assert len(shape.normals) == 2 * corners - 4


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_a_half_space_cuts_parallel_to_the_beam_through_its_point(seed):
    rng = np.random.default_rng(seed)
    shape = half_space(rng).at(np.array([7.0, -2.0, 5.0]))
    points = np.array([7.0, -2.0, 5.0]) + rng.normal(size=(400, 3))
    mirrored = 2 * np.array([7.0, -2.0, 5.0]) - points
    assert np.all(shape.holds(points) != shape.holds(mirrored))
    assert np.array_equal(shape.holds(points), shape.holds(points + np.array([0.0, 0.0, 9.0])))
