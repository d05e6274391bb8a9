"""Scenes without atoms: what is painted, where, how much."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_atomseg.specimen import Field
from napari_atomseg.specimen.matter.low_resolution import (
    bands,
    boxes,
    cracks,
    grains,
    sharp_particles,
    soft_particles,
)
from napari_atomseg.specimen.recipes.low_resolution import LowResolutionSpecimen

SHAPE = (200, 240)
KINDS = ("soft-particles", "sharp-particles", "grains", "bands", "boxes", "cracks")


@given(seed=st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_pictures_cover_the_canvas_and_are_positive_up_to_one(seed):
    field = Field((64, 80), 3.0, margin=10)
    specimen = LowResolutionSpecimen().draw(np.random.default_rng(seed), field)
    assert specimen.picture.shape == field.canvas
    assert specimen.picture.min() >= 0.0
    assert specimen.picture.max() == pytest.approx(1.0)
    assert len(specimen.columns) == len(specimen.scatterers) == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_random_numbers_paint_the_same_scene(kind):
    recipe, field = LowResolutionSpecimen(kinds=(kind,)), Field((64, 64), 2.0)
    first, again, other = (
        recipe.draw(np.random.default_rng(seed), field).picture for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_well_separated_soft_particles_are_as_many_as_asked_for():
    picture = soft_particles(np.random.default_rng(5), (900, 900), 20, (0.004, 0.004))
    peaks = (picture == ndimage.maximum_filter(picture, 9)) & (picture > 0.5)
    # Some lie so close that they share a maximum, or on the border.
    assert 16 <= ndimage.label(peaks)[1] <= 20


def test_a_soft_particle_is_one_high_and_fades_out():
    picture = soft_particles(np.random.default_rng(2), SHAPE, 1, (0.03, 0.03))
    assert picture.max() == pytest.approx(1.0, abs=0.1)
    assert np.diff(np.sort(picture.ravel())).max() < 0.1
    assert np.median(picture) < 1e-3


def test_sharp_particles_end_within_a_pixel():
    picture = sharp_particles(np.random.default_rng(3), SHAPE, 1, (0.2, 0.2))
    inside = ndimage.binary_erosion(picture > 0, iterations=3)
    slope = np.hypot(*np.gradient(picture))
    assert slope[inside].max() < 0.05 * picture.max()
    assert slope.max() > 0.15 * picture.max()


def test_grains_fill_the_picture_with_as_many_planes():
    picture = grains(np.random.default_rng(4), SHAPE, 30, borders=False)
    assert picture.min() > 0
    # Within a plane the second derivative vanishes.
    curvature = np.abs(ndimage.laplace(picture)) < 1e-9
    cells, count = ndimage.label(curvature)
    areas = np.bincount(cells.ravel())[1:]
    assert (areas > 20).sum() == pytest.approx(30, abs=3)
    assert count < 120


def test_border_lines_are_one_level_between_half_and_three_halves_of_the_mean():
    rng = np.random.default_rng(6)
    plain = grains(np.random.default_rng(6), SHAPE, 25, borders=False)
    lined = grains(rng, SHAPE, 25, borders=True)
    changed = lined[np.abs(lined - plain) > 1e-9]
    level = np.median(changed)
    assert 0.45 * plain.mean() <= level <= 1.55 * plain.mean()
    assert 0 < changed.size < 0.4 * plain.size


def test_bands_run_across_the_whole_picture():
    picture = bands(np.random.default_rng(8), SHAPE, 1)
    rows, cols = np.nonzero(picture > 0)
    assert rows.min() == 0 or cols.min() == 0
    assert rows.max() == SHAPE[0] - 1 or cols.max() == SHAPE[1] - 1


def test_a_box_is_a_rectangle():
    picture = boxes(np.random.default_rng(7), (400, 400), 1, (0.1, 0.1))
    rows, cols = np.nonzero(picture > 0)
    points = np.stack([rows, cols], axis=1)
    # The extents along the principal axes of a filled rectangle are √12 deviations.
    centred = points - points.mean(axis=0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    along = centred @ axes.T
    assert np.ptp(along, axis=0) == pytest.approx(np.sqrt(12) * along.std(axis=0), rel=0.08)


def test_cracks_take_away_but_never_add():
    left = cracks(np.random.default_rng(9), SHAPE, 4)
    assert 0.0 <= left.min() < 0.8
    assert left.max() == 1.0
    assert (left < 1.0).mean() < 0.25
