"""Cells of crystals whose intensities change over the image, and cells by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis import (
    assign,
    find_lattice,
    lattice_quality,
)
from napari_atomseg.measurements import measure

CELL = 24.0


def layered(
    rng: np.random.Generator,
    rows: int = 12,
    cols: int = 40,
    *,
    bend: float = 0.0,
    unknown: float = 0.0,
    reverse: bool = True,
) -> pd.DataFrame:
    """A perovskite whose A columns are the brighter ones in the lower rows, and its B columns in
    the upper ones, with the cell's mean intensity changing too; bent by `bend` px.
    """
    i, j = (each.ravel() for each in np.mgrid[:rows, :cols])
    parts = []
    for kind, offset in enumerate((0.0, 0.5)):
        y, x = (i + offset) * CELL + 12.0, (j + offset) * CELL + 12.0
        lower = i + offset > 0.45 * rows
        bright = np.where(lower, (900.0, 350.0)[kind], (250.0, 400.0)[kind])
        if not reverse:
            bright = np.where(lower, 1.0, 0.5) * (900.0, 350.0)[kind]
        bright = bright * (1.0 + 0.3 * np.sin(x / 200.0)) * rng.normal(1.0, 0.05, len(x))
        y = y + bend * np.sin(np.pi * x / (cols * CELL))
        parts.append(pd.DataFrame({"y": y, "x": x, "volume": bright, "kind": kind}))
    table = pd.concat(parts, ignore_index=True)
    table[["y", "x"]] += rng.normal(0.0, 0.3, (len(table), 2))
    table.loc[rng.random(len(table)) < unknown, "volume"] = np.nan
    return table


@pytest.mark.slow
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("bend", "unknown"), [(0.0, 0.0), (30.0, 0.05)])
def test_sublattices_are_told_apart_where_intensities_change(reverse, bend, unknown) -> None:
    table = layered(np.random.default_rng(1), bend=bend, unknown=unknown, reverse=reverse)
    lattice = find_lattice(table)
    assert len(lattice) == 2
    assert lattice.lengths == pytest.approx([CELL, CELL], rel=0.01)
    sites = assign(table, lattice)
    on = sites[sites["sublattice"] >= 0]
    assert len(on) > 0.98 * len(table)
    # Each sublattice is all A or all B, whichever is the brighter one there.
    assert (on.groupby("kind")["sublattice"].nunique() == 1).all()


@pytest.mark.parametrize("measured", [0.0, 0.1, 0.6])
def test_faint_columns_without_intensities_are_not_on_sites_of_bright_ones(measured) -> None:
    """A perovskite with its oxygen, as a search finds it: in place, mostly without a fit."""
    rng = np.random.default_rng(3)
    j, i = (each.ravel() for each in np.mgrid[:8, :8])
    parts = []
    kinds = (((0, 0), 108.0), ((0.5, 0.5), 78.0), ((0, 0.5), 4.6), ((0.5, 0), 4.6))
    for kind, (place, bright) in enumerate(kinds):
        y, x = (i + place[0]) * 40.0 + 12.0, (j + place[1]) * 40.0 + 12.0
        volume = bright * rng.normal(1.0, 0.03, len(x))
        if bright < 10:
            volume[rng.random(len(x)) >= measured] = np.nan
        parts.append(pd.DataFrame({"y": y, "x": x, "volume": volume, "kind": kind}))
    table = pd.concat(parts, ignore_index=True)
    table[["y", "x"]] += rng.normal(0.0, 1.0, (len(table), 2))
    lattice = find_lattice(table)
    assert len(lattice) == 4
    assert lattice.intensity[:2] == pytest.approx([108.0, 78.0], rel=0.03)
    sites = assign(table, lattice)
    on = sites[sites["sublattice"] >= 0]
    assert len(on) > 0.98 * len(table)
    assert (on.groupby("kind")["sublattice"].nunique() == 1).all()


def test_equal_columns_and_noise_are_no_order() -> None:
    rng = np.random.default_rng(2)
    table = layered(rng)
    table["volume"] = rng.normal(300.0, 30.0, len(table))
    lattice = find_lattice(table)
    assert len(lattice) == 1
    assert lattice.lengths == pytest.approx([CELL / np.sqrt(2)] * 2, rel=0.01)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("axis", [0, 1])
def test_displaced_or_brighter_lines_of_a_scan_are_no_order(axis, seed) -> None:
    rng = np.random.default_rng(seed)
    step = np.mgrid[:20, :20].reshape(2, -1).T
    shift = rng.normal(0.0, 1.0, 20)[step[:, axis]]
    bright = rng.lognormal(0.0, 0.3, 20)[step[:, axis]]
    table = pd.DataFrame({"y": step[:, 0] * 20.0, "x": step[:, 1] * 20.0 + shift})
    table["volume"] = 100.0 * bright * rng.normal(1.0, 0.02, len(table))
    assert len(find_lattice(table)) == 1


def test_a_step_of_intensity_between_two_crystals_is_no_order() -> None:
    step = np.mgrid[:16, :16].reshape(2, -1).T
    rng = np.random.default_rng(4)
    table = pd.DataFrame(step * 20.0 + rng.normal(0, 0.2, step.shape), columns=["y", "x"])
    table["volume"] = np.where(step[:, 0] < 8, 100.0, 300.0) * rng.normal(1.0, 0.05, len(step))
    assert len(find_lattice(table)) == 1


@pytest.mark.slow
def test_the_number_of_columns_in_a_cell_by_hand(planted) -> None:
    columns = planted([[20, 0], [0, 20]], size=300, noise=0.2)
    four = find_lattice(columns, sublattices=4)
    assert len(four) == 4
    assert four.lengths == pytest.approx([40.0, 40.0], rel=0.01)
    table = layered(np.random.default_rng(5))
    table["volume"] = 1.0
    assert len(find_lattice(table)) == 1
    assert find_lattice(table, sublattices=2).lengths == pytest.approx([CELL, CELL], rel=0.01)
    with pytest.raises(ValueError, match="sublattices=0"):
        find_lattice(columns, sublattices=0)
    silicon = planted([[0, 38.4], [54.3, 0]], [[0, 0], [0.25, 0], [0.5, 0.5], [0.75, 0.5]])
    with pytest.raises(ValueError, match=r"sublattices=3: the smallest cell .* has 2 columns"):
        find_lattice(silicon, sublattices=3)
    assert find_lattice(silicon, sublattices=4).angle_deg == pytest.approx(90.0, abs=0.1)


@pytest.mark.parametrize("count", [0, 5, 19])
def test_few_columns_are_refused(count) -> None:
    points = np.random.default_rng(count).random((count, 2)) * 100.0
    with pytest.raises(ValueError, match=f"at least 20 columns, not from {count}"):
        find_lattice(points)


@pytest.mark.parametrize("noise", [0.0, 1e-9, 0.3])
def test_lines_of_columns_are_refused(noise) -> None:
    rng = np.random.default_rng(6)
    along = np.arange(60.0) * 9.0
    line = np.column_stack([0.5 * along, along]) + rng.normal(0.0, noise, (60, 2))
    with pytest.raises(ValueError, match=r"on one line|no lattice"):
        find_lattice(line)


@pytest.mark.parametrize("count", [20, 25, 40, 80])
def test_places_at_random_are_refused(count) -> None:
    for seed in range(5):
        points = np.random.default_rng(seed).random((count, 2)) * 300.0
        with pytest.raises(ValueError, match=r"no lattice|do not settle"):
            find_lattice(points)


@pytest.mark.slow
def test_quality_tells_bending_from_disorder(planted) -> None:
    bent = layered(np.random.default_rng(7), bend=40.0)
    found = lattice_quality(bent, find_lattice(bent, 0.1))
    assert found.rms > 1.0
    assert found.local_rms == pytest.approx(0.3 * 0.1 * np.sqrt(2), rel=0.5)
    assert len(found.warnings) == 1
    assert "bent or strained" in found.warnings[0]
    straight = planted([[40, 0], [0, 40]], noise=0.5)
    assert lattice_quality(straight, find_lattice(straight, 0.1)).warnings == ()
    large = lattice_quality(straight, find_lattice(straight, 2.0)).warnings
    assert any("Å is longer than 50 Å" in each for each in large)
    rng = np.random.default_rng(8)
    # Nothing but noise between the sites.
    other = pd.DataFrame(rng.random((40, 2)) * 100.0 + 500.0, columns=["y", "x"])
    mixed = pd.concat([straight[["y", "x"]], other], ignore_index=True)
    assert any("on no site" in w for w in lattice_quality(mixed, find_lattice(mixed)).warnings)


@pytest.mark.slow
def test_the_summary_has_the_warnings() -> None:
    bent = layered(np.random.default_rng(7), bend=40.0)
    lines = measure("lattice", bent, sampling=0.1).lines
    assert any(line.startswith("Caution: columns are") for line in lines)
    assert any("foretell" in line for line in lines)
