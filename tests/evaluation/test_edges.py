import numpy as np
import pytest

from napari_atomseg.evaluation.measure import edge_columns, largest_gap

SHAPE = (200, 200)


def lattice(first, second, basis, count=9, centre=100.0):
    """Columns of count x count cells about the middle of the image, and which are in outer cells"""
    i, j = np.mgrid[:count, :count] - (count - 1) / 2
    cells = i.reshape(-1, 1) * first + j.reshape(-1, 1) * second
    points = (cells[:, None] + np.array(basis)[None]).reshape(-1, 2) + centre
    outer = (np.maximum(abs(i), abs(j)) == (count - 1) / 2).ravel()
    return points, np.repeat(outer, len(basis))


ROOT = np.sqrt(3.0)
LATTICES = {
    "square": (np.array([9.0, 0]), np.array([0, 9.0]), [[0, 0]]),
    "hexagonal": (np.array([9.0, 0]), np.array([4.5, 4.5 * ROOT]), [[0, 0]]),
    "honeycomb": (np.array([14.0, 0]), np.array([7.0, 7 * ROOT]), [[0, 0], [7.0, 7 / ROOT]]),
    "dumbbells": (np.array([13.6, 9.6]), np.array([-13.6, 9.6]), [[0, 0], [6.8, 0]]),
}


@pytest.mark.parametrize("name", LATTICES)
def test_no_column_inside_a_lattice_is_an_edge_and_the_outermost_ones_are(name):
    points, outer = lattice(*LATTICES[name], count=7)
    edge = edge_columns(points, SHAPE)
    assert not edge[~outer].any()
    # Half of a honeycomb's outer atoms, or more, stand behind others.
    assert edge[outer].mean() > (0.45 if name in ("honeycomb", "dumbbells") else 0.99)


@pytest.mark.parametrize("name", LATTICES)
def test_a_crystal_that_the_image_cuts_has_no_edge(name):
    points, _ = lattice(*LATTICES[name], count=61)
    inside = ((points >= 0) & (points <= np.array(SHAPE) - 1)).all(axis=1)
    assert not edge_columns(points[inside], SHAPE).any()


def test_edges_turn_with_the_lattice():
    points, _ = lattice(*LATTICES["hexagonal"])
    angle = np.radians(17.0)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = (points - 100.0) @ turn + 100.0
    np.testing.assert_array_equal(edge_columns(turned, SHAPE), edge_columns(points, SHAPE))


def test_a_row_of_columns_is_all_edge_and_few_columns_are_none():
    row = np.column_stack([np.full(8, 50.0), 40.0 + 10.0 * np.arange(8)])
    assert edge_columns(row, (100, 200)).all()
    assert not edge_columns(row[:3], (100, 200)).any()


def test_the_largest_gap_is_that_between_neighbouring_directions():
    cross = np.array([[1.0, 0], [0, 2], [-3, 0], [0, -1]])
    assert largest_gap(cross) == pytest.approx(90.0)
    assert largest_gap(cross[:3]) == pytest.approx(180.0)
    assert largest_gap(cross[:1]) == 360.0
