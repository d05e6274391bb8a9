"""Grains, and the boundaries between them, are those planted."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import find_grains

SQUARE = [[20.0, 0.0], [0.0, 20.0]]
HEXAGONAL = [[0.0, 20.0], [10.0 * np.sqrt(3.0), 10.0]]
BOND = 12.0
HONEYCOMB = BOND * np.sqrt(3.0) * np.array([[0.0, 1.0], [np.sqrt(0.75), 0.5]])


def bicrystal(planted, cell, turn, *, motif=((0.0, 0.0),), noise=0.6, seed=0):
    """Two grains that meet at x = 200 px; the right one is turned."""
    left = planted(cell, motif, noise=noise, seed=seed)
    right = planted(cell, motif, noise=noise, turn=turn, seed=seed + 99)
    return pd.concat([left[left.x < 195], right[right.x > 205]], ignore_index=True)


@pytest.mark.parametrize(
    ("cell", "motif", "fold", "turn"),
    [
        (SQUARE, [[0, 0]], 4, 20.0),
        (HEXAGONAL, [[0, 0]], 6, -13.0),
        (HONEYCOMB, [[0, 0], [1 / 3, 1 / 3]], 6, 22.0),
    ],
    ids=["square", "hexagonal", "honeycomb"],
)
def test_a_boundary_has_its_misorientation_and_its_place(planted, cell, motif, fold, turn):
    found = find_grains(bicrystal(planted, cell, turn, motif=motif, noise=0.4), 0.1)
    assert found.fold == fold
    assert len(found.grains) == 2
    (boundary,) = found.boundaries.itertuples()
    assert boundary.misorientation_deg == pytest.approx(
        abs(turn), abs=4 * boundary.misorientation_deg_err
    )
    assert boundary.misorientation_deg_err < 0.5
    assert boundary.x == pytest.approx(200.0, abs=8.0)
    assert abs(boundary.direction_deg) == pytest.approx(90.0, abs=5.0)
    assert boundary.length == pytest.approx(40.0, rel=0.1)
    inner = found.columns[~found.columns["boundary"]]
    assert (inner.groupby(inner["x"] > 200)["grain"].nunique() == 1).all()
    left = found.grains.loc[found.grains["x"].idxmin()]
    right = found.grains.loc[found.grains["x"].idxmax()]
    period = 360 / fold
    step = right["orientation_deg"] - left["orientation_deg"] - turn
    assert abs((step + period / 2) % period - period / 2) < 1.0


@pytest.mark.slow
def test_misorientations_lie_within_their_errors(planted):
    z = []
    for cell, fold in ((HEXAGONAL, 6), (SQUARE, 4)):
        for seed in range(15):
            found = find_grains(bicrystal(planted, cell, 17.0, seed=seed), fold=fold)
            (boundary,) = found.boundaries.itertuples()
            z.append((boundary.misorientation_deg - 17.0) / boundary.misorientation_deg_err)
    # Neighbours share bonds, and what one column strays turns two bonds in opposite ways: errors of
    # columns on their own would be three times too large.
    assert 0.6 < np.sqrt(np.mean(np.square(z))) < 1.3


def test_a_slow_bend_is_one_grain(planted):
    columns = planted(SQUARE, noise=0.3)
    # Turned from -3° to 3° across the image.
    bent = columns.assign(y=columns.y + 2.6e-4 * (columns.x - 200.0) ** 2)
    found = find_grains(bent)
    assert len(found.grains) == 1
    assert len(found.boundaries) == 0
    fit = np.polyfit(found.columns["x"], found.columns["orientation_deg"], 1)
    # The bonds along x turn, those along y do not: half the slope of the shear.
    assert fit[0] == pytest.approx(-np.degrees(2.6e-4), rel=0.15)


@pytest.mark.parametrize("cell", [SQUARE, HEXAGONAL], ids=["square", "hexagonal"])
@pytest.mark.parametrize("turn", [5.0, 6.0, 7.0])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_small_turns_are_two_grains_at_the_default(planted, cell, turn, noise):
    found = find_grains(bicrystal(planted, cell, turn, noise=noise, seed=int(turn)), 0.1)
    assert len(found.grains) == 2
    (boundary,) = found.boundaries.itertuples()
    assert boundary.misorientation_deg == pytest.approx(turn, abs=0.3)
    assert boundary.x == pytest.approx(200.0, abs=15.0)


@pytest.mark.parametrize("noise", [0.25, 1.0])
def test_noise_makes_no_grains(planted, noise):
    for seed in range(2):
        found = find_grains(planted(SQUARE, noise=noise, turn=13.0, seed=seed), 0.1)
        assert len(found.grains) == 1
        assert found.columns["grain"].eq(1).mean() > 0.97


@pytest.mark.parametrize("rate", [0.3, 1.0])
def test_bent_crystal_is_one_grain(planted, rate):
    """Bent by `rate` degrees a spacing, 20 degrees in all at most."""
    columns = planted(SQUARE, noise=0.3)
    radius = 20.0 / np.radians(rate)
    y, x = columns["y"] - 200.0, columns["x"] - 200.0
    bent = columns.assign(
        y=(radius + y) * np.cos(x / radius) - radius, x=(radius + y) * np.sin(x / radius)
    )
    assert len(find_grains(bent, 0.1).grains) == 1


def test_three_grains_are_numbered_by_size(planted):
    parts = []
    for turn, low, high in ((0.0, 0, 180), (15.0, 190, 300), (-15.0, 310, 400)):
        part = planted(HEXAGONAL, turn=turn, noise=0.3)
        parts.append(part[(part.x > low) & (part.x < high)])
    found = find_grains(pd.concat(parts, ignore_index=True), 0.1, fold=6)
    assert list(found.grains["grain"]) == [1, 2, 3]
    assert found.grains["columns"].is_monotonic_decreasing
    pairs = {(b.grain, b.other) for b in found.boundaries.itertuples()}
    assert pairs == {(1, 2), (2, 3)}
    assert found.boundaries["misorientation_deg"].to_numpy() == pytest.approx([15, 30], abs=0.7)


def mirrored(planted, cell, row, *, noise=0.2, turn=0.0):
    """Two grains that are mirror images in a row (y, x) through the middle of the image."""
    axis = np.asarray(row) / np.hypot(*row)
    cosine, sine = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    back = np.array([[cosine, sine], [-sine, cosine]])
    axis, cell = axis @ back, np.asarray(cell) @ back
    mirror = 2 * np.outer(axis, axis) - np.eye(2)
    lower, upper = (
        planted(each, noise=noise, seed=seed) for seed, each in enumerate((cell, cell @ mirror))
    )
    normal = np.array([axis[1], -axis[0]])
    sides = [(t[["y", "x"]].to_numpy() - 200.3) @ normal for t in (lower, upper)]
    return pd.concat([lower[sides[0] < -1], upper[sides[1] > 1]], ignore_index=True)


@pytest.mark.parametrize(
    ("cell", "row"),
    [
        ([[0.0, 28.2], [19.95, 14.1]], [19.95, 14.1]),
        ([[0.0, 20.0], [24.0, 0.0]], [24.0, 20.0]),
        ([[0.0, 20.0], [21.6, 0.0]], [21.6, 20.0]),
        ([[0.0, 20.0], [30.0, 0.0]], [30.0, 20.0]),
    ],
    ids=["fcc [110]", "rectangle", "almost a square", "long rectangle"],
)
@pytest.mark.parametrize("turn", [0.0, 31.0])
def test_twins_have_the_turn_of_their_own_symmetry(planted, cell, row, turn):
    """The angles of bonds look like those of 4 or 6 folds, but the lattice has two."""
    found = find_grains(mirrored(planted, cell, row, turn=turn), 0.1)
    assert found.fold == 2
    assert len(found.grains) == 2
    between = 2 * np.degrees(np.arctan2(row[1], row[0]))
    (boundary,) = found.boundaries.itertuples()
    assert boundary.misorientation_deg == pytest.approx(min(between, 180 - between), abs=0.3)
    assert boundary.twin


def test_twins_of_oblique_cells_are_mirror_images_that_no_turn_makes(planted):
    cell = np.array([[0.0, 20.0], [22.2, 6.0]])
    found = find_grains(mirrored(planted, cell, cell[0]), 0.1)
    (boundary,) = found.boundaries.itertuples()
    assert found.fold == 2
    assert boundary.twin
    assert np.isnan(boundary.misorientation_deg)
    (boundary,) = find_grains(
        bicrystal(planted, cell, 70.0, noise=0.3), 0.1
    ).boundaries.itertuples()
    assert boundary.misorientation_deg == pytest.approx(70.0, abs=0.5)
    assert not boundary.twin


@pytest.mark.parametrize(("cell", "fold"), [(SQUARE, 4), (HEXAGONAL, 6)])
@pytest.mark.parametrize("stretch", [1.0, 1.04, 1.1])
def test_a_distorted_image_does_not_change_the_symmetry_of_grains(planted, cell, fold, stretch):
    parts = []
    for turn, low, high in ((0.0, 0, 130), (25.0, 135, 265), (50.0, 270, 400)):
        part = planted(cell, turn=turn, noise=0.3)
        parts.append(part[(part.x > low) & (part.x < high)])
    columns = pd.concat(parts, ignore_index=True)
    found = find_grains(columns.assign(x=stretch * columns["x"]), 0.1)
    assert found.fold == fold
    assert len(found.grains) == 3
    assert not found.boundaries["twin"].any()


def test_no_columns_few_columns_and_columns_on_a_line():
    for count in range(4):
        found = find_grains(np.arange(2.0 * count).reshape(-1, 2))
        assert len(found.columns) == count
        assert len(found.grains) == len(found.boundaries) == 0
    lone = find_grains([[0.0, 0.0]], smallest=1)
    assert np.isnan(lone.grains["orientation_deg_err"]).all()
    row = find_grains(np.stack([np.zeros(30), np.arange(30.0)], axis=1))
    assert len(row.grains) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fold": 5}, "fold=5"),
        ({"tolerance_deg": 0.0}, "tolerance_deg"),
        ({"smallest": 0}, "smallest"),
        ({"columns": [[np.nan, 1.0]]}, "finite"),
        ({"sampling": -1.0}, "sampling"),
    ],
)
def test_bad_arguments_are_named(change, message):
    with pytest.raises(ValueError, match=message):
        find_grains(**{"columns": [[0.0, 1.0]], **change})


@pytest.mark.slow
def test_a_hundred_thousand_columns_take_seconds():
    points = np.mgrid[:320, :320].reshape(2, -1).T * 20.0
    points += np.random.default_rng(0).normal(0.0, 0.5, points.shape)
    start = time.process_time()
    assert len(find_grains(points).grains) == 1
    assert time.process_time() - start < 20.0
