"""Outlines: chords through balls and polyhedra, edges and wedges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.specimen import Field, SingleCrystal, get_crystal, wulff_particle
from napari_atomseg.specimen.crystals.zone import orient
from napari_atomseg.specimen.outline import (
    Particle,
    Thickness,
    draw_shape,
    random_planes,
    random_waves,
)

FIELD = Field((128, 128), 0.3, 10)


def rng(draw=0):
    return np.random.default_rng(11 + draw)


@given(radius=st.floats(1.0, 50.0), share=st.floats(0.0, 0.999), turn=st.floats(0, 6.3))
def test_the_chord_of_a_ball_is_pythagoras(radius, share, turn):
    ball = Particle(centre=(3.0, -2.0), radius=radius)
    y, x = 3.0 + share * radius * np.sin(turn), -2.0 + share * radius * np.cos(turn)
    chord = ball(np.array(y), np.array(x)) * ball.depth
    assert chord == pytest.approx(2 * radius * np.sqrt(1 - share**2), rel=1e-6)
    assert ball(np.array(3.0), np.array(1.001 * radius - 2.0)) == 0


def test_an_octahedron_seen_along_001_is_a_pyramid_twice():
    cell = orient(get_crystal("Pt"), (0, 0, 1))
    height = 20.0
    octahedron = wulff_particle(cell, (0.0, 0.0), height / np.sqrt(3), 10 * height)
    assert octahedron.depth == pytest.approx(2 * height)
    assert octahedron.reach == pytest.approx((-height, height))
    along = np.array([0.0, 0.25, 0.5, 0.75, 1.0]) * height
    # Its equator's corners lie along <100>, where the depth falls linearly to nothing.
    edge = cell.normals([(1, 0, 0)])[0, :2]
    assert octahedron(along * edge[0], along * edge[1]) == pytest.approx([1, 0.75, 0.5, 0.25, 0])


@given(ratio=st.floats(0.6, 1.7))
def test_the_volume_of_a_truncated_octahedron_is_the_closed_form(ratio):
    """An octahedron |x|+|y|+|z| ≤ s without six pyramids of height s - c where c is the cube's
    distance: 4 s³/3 - 6 · 2 (s - c)³ / 3, while the pyramids do not meet (c ≥ s/2)."""
    s = 10.0 * np.sqrt(3)
    cube = 10.0 * ratio
    if cube < 0.5 * s:
        return
    cell = orient(get_crystal("Au"), (1, 1, 0)).rotated(12.0)
    shape = wulff_particle(cell, (0.0, 0.0), 10.0, cube)
    axis = np.linspace(-20, 20, 201)
    y, x = np.meshgrid(axis, axis, indexing="ij")
    volume = shape(y, x).sum() * shape.depth * (axis[1] - axis[0]) ** 2
    assert volume == pytest.approx(4 * s**3 / 3 - 4 * (s - cube) ** 3, rel=5e-3)


@pytest.mark.parametrize("kind", ["wedge", "edge", "particle", "rounded"])
@pytest.mark.parametrize(("name", "axis"), [("Pt", (1, 1, 0)), ("SrTiO3", (0, 0, 1))])
def test_columns_count_the_atoms_that_the_same_shape_leaves(kind, name, axis):
    arguments = {"shape_kind": kind, "rotation": 25.0, "thickness": 60.0}
    flats = [SingleCrystal(name, axis, **arguments).draw(rng(i), FIELD) for i in range(3)]
    solids = [
        SingleCrystal(name, axis, **arguments, atoms_needed=True).draw(rng(i), FIELD)
        for i in range(3)
    ]
    flat, solid = flats[0], solids[0]
    bulk = SingleCrystal(name, axis, rotation=25.0, thickness=60.0).draw(rng(), FIELD)
    counted = sum(each.columns.counts.sum() for each in flats)
    assert counted == pytest.approx(sum(len(each.structure) for each in solids), rel=0.05)
    assert len(flat.columns) == pytest.approx(len(solid.columns), rel=0.06)
    assert len(flat.columns) < 0.9 * len(bulk.columns)


def test_a_rounded_particle_lies_within_its_ball():
    cell = orient(get_crystal("CeO2"), (0, 0, 1))
    shape = draw_shape("rounded", rng(), FIELD.size, cell)
    y, x = np.meshgrid(np.linspace(0, 38, 77), np.linspace(0, 38, 77), indexing="ij")
    away = np.hypot(y - shape.centre[0], x - shape.centre[1])
    assert np.all(shape(y, x)[away > shape.radius] == 0)
    assert shape(y, x).max() > 0.9


def test_an_edge_is_a_cliff_and_a_wedge_is_not():
    cell = orient(get_crystal("Pt"))
    y, x = np.meshgrid(np.linspace(0, 38, 77), np.linspace(0, 38, 77), indexing="ij")
    edge = draw_shape("edge", rng(), FIELD.size, cell)(y, x)
    wedge = draw_shape("wedge", rng(), FIELD.size, cell)(y, x)
    assert set(np.unique(edge)) == {0.0, 1.0}
    assert np.sum((wedge > 0.1) & (wedge < 0.9)) > 0.3 * wedge.size


@given(seed=st.integers(0, 1000))
def test_thickness_over_a_grid_is_that_at_its_points(seed):
    rng = np.random.default_rng(seed)
    outline = Thickness(
        random_planes(rng, np.array([20.0, 30.0]), 40.0, 3, 4.0), random_waves(rng, 25.0, 0.3)
    )
    y, x = np.arange(40.0)[:, None], np.arange(55.0)
    rows, cols = (np.ravel(axis) for axis in np.broadcast_arrays(y, x))
    assert outline(y, x).ravel() == pytest.approx(outline(rows, cols), abs=1e-12)
