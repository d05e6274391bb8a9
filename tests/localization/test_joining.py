"""Columns of several magnifications become one set: none lost, none twice."""

from __future__ import annotations

import numpy as np
import pytest

from napari_atomseg.localization.joining import columns_at_magnifications

SHAPE = (128, 96)


def column_map(factor, places, sigma, height=0.9):
    """A map of the image magnified by a factor; places and sigma in pixels of the image."""
    rows, cols = (np.arange(round(n * factor)) for n in SHAPE)
    result = np.zeros((len(rows), len(cols)), np.float32)
    heights = np.broadcast_to(height, len(places))
    for (y, x), top in zip(places, heights, strict=True):
        down = ((rows + 0.5) / factor - 0.5 - y)[:, None] ** 2
        along = ((cols + 0.5) / factor - 0.5 - x)[None] ** 2
        result = np.maximum(result, top * np.exp(-0.5 * (down + along) / sigma**2))
    return result


BRIGHT = [(20.0, 20.0), (20.0, 60.0), (60.0, 20.0), (60.0, 60.0)]
FAINT = [(40.0, 40.0), (80.0, 40.0)]


def positions(found):
    return sorted(zip(found.y.round().tolist(), found.x.round().tolist(), strict=True))


def test_what_only_one_magnification_shows_is_kept():
    """In either direction."""
    for maps in (
        {1.0: column_map(1.0, BRIGHT + FAINT, 3.0), 0.25: column_map(0.25, BRIGHT, 5.0)},
        {1.0: column_map(1.0, BRIGHT, 3.0), 0.5: column_map(0.5, BRIGHT + FAINT, 3.0)},
    ):
        found = columns_at_magnifications(maps, SHAPE)
        assert positions(found) == sorted(BRIGHT + FAINT)
        assert found.labels.shape == SHAPE
        at = found.labels[found.y.round().astype(int), found.x.round().astype(int)]
        assert at.tolist() == list(range(1, len(found) + 1))


def test_a_column_found_twice_has_the_higher_score_and_its_magnification():
    maps = {
        1.0: column_map(1.0, BRIGHT, 3.0, height=[0.6, 0.95, 0.6, 0.95]),
        0.5: column_map(0.5, BRIGHT, 3.0, height=0.8),
    }
    found = columns_at_magnifications(maps, SHAPE)
    assert len(found) == 4
    assert found.score == pytest.approx([0.8, 0.95, 0.8, 0.95], abs=0.03)
    assert found.magnification.tolist() == [0.5, 1.0, 0.5, 1.0]


def test_a_dumbbell_stays_two_columns_where_a_small_image_shows_one():
    pairs = [(30.0, 30.0), (30.0, 38.0), (90.0, 60.0), (90.0, 68.0)]
    merged = [(30.0, 34.0), (90.0, 64.0)]
    maps = {1.0: column_map(1.0, pairs, 2.0, 0.85), 0.25: column_map(0.25, merged, 7.0, 0.97)}
    assert positions(columns_at_magnifications(maps, SHAPE)) == sorted(pairs)


def test_structure_within_a_broad_column_is_no_columns():
    """Noise of a broad column, of which a large image is not sure."""
    noise = [(56.0, 40.0), (60.0, 48.0), (64.0, 40.0)]
    maps = {
        1.0: column_map(1.0, noise, 1.5, 0.55),
        0.25: column_map(0.25, [(60.0, 43.0)], 10.0, 0.95),
    }
    found = columns_at_magnifications(maps, SHAPE)
    assert positions(found) == [(60.0, 43.0)]
    assert found.magnification.tolist() == [0.25]


def test_columns_of_an_enlarged_image_are_in_pixels_of_the_image():
    found = columns_at_magnifications({2.0: column_map(2.0, BRIGHT, 2.0)}, SHAPE)
    assert np.abs(np.sort(found.y) - [20, 20, 60, 60]).max() < 0.05
    assert found.labels.max() == 4


def test_nothing_anywhere_is_nothing():
    maps = {f: np.zeros([round(n * f) for n in SHAPE], np.float32) for f in (1.0, 0.5)}
    found = columns_at_magnifications(maps, SHAPE)
    assert len(found) == 0
    assert not found.labels.any()
    with pytest.raises(ValueError, match="empty"):
        columns_at_magnifications({}, SHAPE)
