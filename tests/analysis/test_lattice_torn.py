"""A lattice fitted over a dislocation says that its vectors are not those of the crystal."""

import numpy as np
import pytest

from napari_atomseg.analysis import find_lattice, lattice_quality
from napari_atomseg.specimen.defects import EdgeDislocation

SQUARE = [[20.0, 0.0], [0.0, 20.0]]


def cautions(columns):
    return lattice_quality(columns, find_lattice(columns, 0.1)).warnings


def moved(columns, shift, noise=0.5, seed=0):
    away = np.random.default_rng(seed).normal(0.0, noise, (2, len(columns)))
    y, x = columns["true_y"].to_numpy(), columns["true_x"].to_numpy()
    dy, dx = shift(y, x)
    return columns.assign(y=y + dy + away[0], x=x + dx + away[1])


@pytest.mark.slow
@pytest.mark.parametrize("along", [(0.0, 2.0), (2.0, 0.0)])
@pytest.mark.parametrize("motif", [[[0, 0]], [[0, 0], [0.5, 0.5]]], ids=["one", "two"])
def test_a_dislocation_is_told_with_the_step_of_the_crystal(planted, along, motif):
    field = EdgeDislocation((20.3, 19.6), along)

    def shift(y, x):
        return np.moveaxis(10.0 * np.asarray(field(0.1 * y, 0.1 * x)), -1, 0)

    columns = moved(planted(SQUARE, motif, volumes=[2.0, 1.0][: len(motif)]), shift)
    lattice = find_lattice(columns, 0.1)
    # What is to be told of: 2 Å, and one side 1 % and more off with an error that says nothing.
    off = np.abs(lattice.lengths_angstrom - 2.0)
    assert off.max() > 0.012
    told = [each for each in cautions(columns) if "torn" in each]
    assert len(told) >= 1
    assert any("column is 2 Å" in each or "is 1.99" in each or "is 2.00" in each for each in told)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.5])
def test_a_whole_crystal_is_not_torn(planted, noise):
    columns = moved(planted(SQUARE), lambda y, x: (0.0 * y, 0.0 * x), noise)
    assert not any("torn" in each for each in cautions(columns))


def test_a_bent_crystal_is_not_torn(planted):
    """A strain that grows from -1 % to 1 % over the image, and a smooth turn."""

    def shift(y, x):
        return 0.0 * y + 2e-5 * (x - 200.0) ** 2, 2.5e-5 * (x - 200.0) ** 2

    assert not any("torn" in each for each in cautions(moved(planted(SQUARE), shift)))


@pytest.mark.parametrize("size", [2.0, 3.0])
def test_a_wall_between_polar_domains_is_not_torn(planted, size):
    cell, motif = [[39.0, 0.0], [0.0, 39.0]], [[0.0, 0.0], [0.5, 0.5]]
    columns = planted(cell, motif, noise=0.05, volumes=[2.0, 1.0])
    wall = np.where(columns["x"] < 200.0, -size, size)
    told = cautions(columns.assign(y=columns["y"] + columns["kind"] * wall))
    assert not any("torn" in each for each in told)
    assert any("domain wall" in each for each in told)
