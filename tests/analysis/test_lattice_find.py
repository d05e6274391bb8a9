"""The lattice of planted crystals is found, with its sites and errors."""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import Lattice, assign, find_lattice
from napari_atomseg.analysis.lattice import find

ROOT3 = np.sqrt(3.0)
SQUARE = ([[40, 0], [0, 40]], [[0, 0]], None)
HEXAGONAL = ([[0, 24], [12 * ROOT3, 12]], [[0, 0]], None)
OBLIQUE = ([[0, 24], [31, 7]], [[0, 0], [0.37, 0.21]], [1.0, 0.6])
HONEYCOMB = ([[0, 30], [15 * ROOT3, 15]], [[0, 0], [1 / 3, 1 / 3]], None)
PEROVSKITE = (
    [[40, 0], [0, 40]],
    [[0, 0], [0.5, 0.5], [0.5, 0], [0, 0.5]],
    [3.0, 1.5, 0.3, 0.3],
)
POLAR = ([[40, 0], [0, 40]], [[0, 0], [0.58, 0.5]], [3.0, 1.0])
SILICON = (
    [[0, 38.4], [54.3, 0]],
    [[0, 0], [0.25, 0], [0.5, 0.5], [0.75, 0.5]],
    [1.0, 1.0, 1.0, 1.0],
)
FIVE = (
    [[50, 5], [3, 60]],
    [[0, 0], [0.25, 0.31], [0.55, 0.1], [0.7, 0.6], [0.3, 0.75]],
    None,
)
CRYSTALS = {
    "square": (SQUARE, (40, 40), 90.0),
    "hexagonal": (HEXAGONAL, (24, 24), 120.0),
    "oblique": (OBLIQUE, (24, np.hypot(31, 7)), 102.7244),
    "honeycomb": (HONEYCOMB, (30, 30), 120.0),
    "perovskite": (PEROVSKITE, (40, 40), 90.0),
    "polar": (POLAR, (40, 40), 90.0),
    "silicon": (SILICON, (38.4, 54.3), 90.0),
    "five": (FIVE, (np.hypot(50, 5), np.hypot(3, 60)), 98.5730),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CRYSTALS)
@pytest.mark.parametrize(("turn", "missing"), [(0.0, 0.0), (17.0, 0.1), (71.0, 0.2)])
def test_cells_are_found_at_any_turn_with_noise_and_columns_missing(
    planted, name, turn, missing
) -> None:
    (vectors, motif, volumes), lengths, angle = CRYSTALS[name]
    columns = planted(
        vectors, motif, turn=turn, noise=0.4, missing=missing, volumes=volumes, seed=3
    )
    lattice = find_lattice(columns)
    assert len(lattice) == len(motif)
    assert np.all(np.abs(lattice.lengths - lengths) < 5 * lattice.lengths_err + 1e-9)
    assert np.all(lattice.lengths_err < 0.03)
    assert lattice.angle_deg == pytest.approx(angle, abs=0.2)
    assert lattice.rms == pytest.approx(0.4 * np.sqrt(2), rel=0.15)
    table = assign(columns, lattice)
    # One sublattice for each planted one, and the other way round.
    assert pd.crosstab(table["kind"], table["sublattice"]).gt(0).sum(axis=1).eq(1).all()
    assert np.allclose(
        lattice.sites(*table[["i", "j", "sublattice"]].to_numpy().T),
        table[["true_y", "true_x"]],
        atol=0.4,
    )


@pytest.mark.slow
def test_errors_are_the_scatter_of_the_results(planted) -> None:
    z = []
    for seed in range(60):
        columns = planted(*POLAR[:2], 200.0, noise=0.5, volumes=POLAR[2], seed=seed)
        lattice = find_lattice(columns)
        # a lies along x.
        z.append((lattice.vectors - [[0, 40], [40, 0]]) / lattice.vectors_err)
        z.append((lattice.motif[1] - [0.5, 0.58])[None] / lattice.motif_err[1])
    scatter = np.sqrt(np.mean(np.concatenate(z) ** 2))
    assert scatter == pytest.approx(1.0, abs=0.12)


def test_order_of_intensities_makes_the_cell_larger(planted) -> None:
    columns = planted([[40, 0], [0, 40]], [[0, 0], [0.5, 0.5]], noise=0.3, volumes=[2.0, 1.0])
    lattice = find_lattice(columns)
    assert len(lattice) == 2
    assert lattice.intensity == pytest.approx([2.0, 1.0], rel=0.05)
    alike = find_lattice(columns.drop(columns="volume"))
    assert len(alike) == 1
    assert alike.lengths == pytest.approx([np.sqrt(800)] * 2, rel=0.01)


@pytest.mark.slow
def test_small_alternating_displacements_make_the_cell_larger(planted) -> None:
    zigzag = planted([[40, 0], [0, 40]], [[0, 0], [0.5, 0.05]], noise=0.2)
    lattice = find_lattice(zigzag)
    assert len(lattice) == 2
    assert sorted(lattice.lengths.round()) == [40, 40]
    straight = planted([[20, 0], [0, 40]], noise=0.2)
    assert len(find_lattice(straight)) == 1


@pytest.mark.slow
def test_primitive_and_conventional_cells_have_the_same_sites(planted) -> None:
    columns = planted(*SILICON[:2], noise=0.2, volumes=SILICON[2])
    whole, primitive = find_lattice(columns), find_lattice(columns, cell="primitive")
    assert (len(whole), len(primitive)) == (4, 2)
    assert whole.area == pytest.approx(2 * primitive.area, rel=1e-3)
    _, _, away = primitive.nearest(whole.sites(2, -1, np.arange(4)))
    assert np.abs(away).max() < 0.1


def test_pixels_need_not_be_square(planted) -> None:
    columns = planted([[20, 0], [0, 40]], noise=0.1, turn=0.0)
    lattice = find_lattice(columns, sampling=(0.2, 0.1))
    assert lattice.lengths_angstrom == pytest.approx([4.0, 4.0], rel=1e-3)
    assert lattice.angle_deg == pytest.approx(90.0, abs=0.1)
    assert np.isnan(find_lattice(columns).lengths_angstrom).all()


@pytest.mark.slow
@pytest.mark.parametrize("turn", [12.0, 31.0, 45.0])
def test_of_two_grains_one_is_found(planted, turn) -> None:
    left = planted(*POLAR[:2], 640.0, noise=0.4, volumes=POLAR[2])
    right = planted(*POLAR[:2], 640.0, noise=0.4, volumes=POLAR[2], turn=turn, seed=1)
    columns = pd.concat([left[left.x < 400], right[right.x > 412]], ignore_index=True)
    lattice = find_lattice(columns)
    assert len(lattice) == 2
    assert lattice.lengths == pytest.approx([40.0, 40.0], rel=2e-3)
    assert lattice.rotation_deg == pytest.approx(0.0, abs=0.3)
    assert (assign(columns, lattice)["sublattice"] >= 0)[columns.x < 400].mean() > 0.99


def test_twenty_columns_are_enough() -> None:
    lattice = find_lattice(np.mgrid[:4, :5].reshape(2, -1).T * 10.0)
    assert lattice.lengths == pytest.approx([10.0, 10.0])
    assert len(lattice) == 1


@pytest.mark.slow
def test_what_is_no_lattice_is_refused() -> None:
    row = np.column_stack([np.arange(24.0) * 7, np.arange(24.0) * 3])
    with pytest.raises(ValueError, match="on one line"):
        find_lattice(row)
    with pytest.raises(ValueError, match="stand on each other"):
        find_lattice(np.zeros((29, 2)))
    rng = np.random.default_rng(0)
    for count in (20, 300):
        with pytest.raises(ValueError, match="no lattice"):
            find_lattice(rng.random((count, 2)) * 300)


def test_wrong_arguments_are_named(planted) -> None:
    columns = planted([[40, 0], [0, 40]])
    with pytest.raises(ValueError, match="cell='big'"):
        find_lattice(columns, cell="big")
    with pytest.raises(ValueError, match="intensity='light'"):
        find_lattice(columns, intensity="light")
    with pytest.raises(ValueError, match="2 frames"):
        find_lattice(columns.assign(frame=np.arange(len(columns)) % 2))
    with pytest.raises(ValueError, match="span no cell"):
        Lattice([0, 0], [[1, 2], [2, 4]])


def test_columns_that_are_not_finite_are_left_out(planted) -> None:
    columns = planted([[40, 0], [0, 40]])
    columns.loc[5, "y"] = np.nan
    lattice = find_lattice(columns)
    assert lattice.lengths == pytest.approx([40.0, 40.0])
    assert assign(columns, lattice)["sublattice"][5] == -1


@pytest.mark.slow
def test_a_hundred_thousand_columns_take_seconds(planted) -> None:
    columns = planted(
        [[20, 0], [0, 20]], [[0, 0], [0.5, 0.5]], 4480.0, noise=0.5, turn=10.0, volumes=[3.0, 1.0]
    )
    assert len(columns) > 100_000
    start = time.process_time()
    lattice = find_lattice(columns)
    table = assign(columns, lattice)
    assert time.process_time() - start < 20.0
    assert len(lattice) == 2
    assert (table["sublattice"] == table["kind"]).all()


def test_a_column_far_from_all_others_costs_no_memory():
    points = np.stack(np.meshgrid(10.0 * np.arange(8), 10.0 * np.arange(8)), -1).reshape(-1, 2)
    points[0] = 1e12
    with pytest.raises(ValueError, match="no lattice"):
        find_lattice(points)


@pytest.mark.parametrize("seed", range(6))
def test_a_lattice_is_found_in_a_small_image_of_two_grains(planted, seed):
    """No patch of a hundred columns fits into a grain of eighty."""
    cell = [[24.0, 0.0], [0.0, 24.0]]
    left = planted(cell, size=320.0, turn=4.0, noise=0.15, seed=seed)
    right = planted(cell, size=320.0, turn=27.0, noise=0.15, seed=seed + 50)
    shift = 3.0 * seed
    columns = pd.concat([left[left.x < 150 + shift], right[right.x > 160 + shift]])
    lattice = find_lattice(columns.reset_index(drop=True), 0.1)
    assert len(lattice) == 1
    assert lattice.lengths_angstrom == pytest.approx([2.4, 2.4], abs=0.005)


def test_columns_that_were_not_measured_do_not_bend_the_lattice(planted):
    columns = planted([[20.0, 0.0], [0.0, 20.0]], noise=0.1)
    # Drawn inwards by less than what is seen to be off.
    for cut, inwards in ((columns["x"] < 25.0, 0.4), (columns["x"] > 375.0, -0.4)):
        columns.loc[cut, "x"] += inwards
        columns.loc[cut, ["y_err", "x_err"]] = np.nan
    lattice = find_lattice(columns, 0.1)
    assert np.abs(lattice.lengths - 20.0).max() < 4 * lattice.lengths_err.max()
    assert lattice.rms < 0.2


def test_an_order_that_the_columns_cannot_settle_is_left(planted, monkeypatch):
    columns = planted([[20.0, 0.0], [0.0, 20.0]], noise=0.2)
    monkeypatch.setattr(find, "ordered", lambda lattice, *_: lattice.with_cell([[1, 0], [0, 40]]))
    assert len(find_lattice(columns, 0.1)) == 1
