"""Two-dimensional order tells crystals from speckle, fringes and places at random."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.feature import peak_local_max

from napari_atomseg.trust.order import FEWEST, two_dimensional_order

SIDE = 256
SHAPE = (SIDE, SIDE)


def lattice(basis, spacing=16.0, jitter=0.03, turn=0.3, missing=0.0, seed=0):
    """Points (N, 2) of a turned square lattice with a basis, displaced by a part of the spacing."""
    rng = np.random.default_rng(seed)
    steps = np.arange(-40, 41)
    cells = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    points = np.concatenate([cells + np.array(site) for site in basis]) * spacing
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points = points @ rotation + rng.normal(0.0, jitter * spacing, points.shape)
    points = points[rng.random(len(points)) >= missing]
    return points[((points >= 0) & (points <= SIDE - 1)).all(axis=1)]


@pytest.mark.parametrize(
    ("points", "least"),
    [
        (lattice([(0, 0)], jitter=0.0), 0.98),
        (lattice([(0, 0), (0.5, 0.5)]), 0.8),
        (lattice([(0, 0), (0.5, 0.5), (0.2, 0.0), (0.7, 0.5)], jitter=0.01), 0.7),
        (lattice([(0, 0)], missing=0.3), 0.6),
        (lattice([(0, 0)], jitter=0.06), 0.5),
    ],
)
def test_crystals_have_order(points, least):
    assert np.median(two_dimensional_order(*points.T, SHAPE)) > least


@pytest.mark.parametrize("length", [1.0, 2.0, 4.0])
def test_speckle_has_none(length):
    noise = np.random.default_rng(3).normal(size=SHAPE)
    maxima = peak_local_max(ndimage.gaussian_filter(noise, length)).astype(float)
    assert np.quantile(two_dimensional_order(*maxima.T, SHAPE), 0.95) < 0.3


def test_places_at_random_have_none():
    points = np.random.default_rng(4).uniform(0, SIDE, (300, 2))
    assert np.quantile(two_dimensional_order(*points.T, SHAPE), 0.95) < 0.2


def test_columns_along_a_line_have_none():
    assert (two_dimensional_order(np.full(30, 9.0), np.arange(30) * 8.0, SHAPE) < 0.2).all()


def test_a_crystal_beside_speckle_has_order_of_its_own():
    crystal = lattice([(0, 0)])
    crystal = crystal[crystal[:, 0] < 120]
    speckle = np.random.default_rng(5).uniform((140, 0), (SIDE, SIDE), (120, 2))
    order = two_dimensional_order(*np.concatenate([crystal, speckle]).T, SHAPE)
    assert np.median(order[: len(crystal)]) > 0.8
    assert np.median(order[len(crystal) :]) < 0.2


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_too_few_columns_have_none(count):
    points = lattice([(0, 0)])[:count]
    assert two_dimensional_order(*points.T, SHAPE).tolist() == [0.0] * count
