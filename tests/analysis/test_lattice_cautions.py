"""What lattices do not explain is told by all measurements that stand on them."""

import numpy as np
import pandas as pd
import pytest

from napari_atomseg import measurements
from napari_atomseg.analysis import Lattice
from napari_atomseg.analysis.lattice.alternation import alternation

ON_A_LATTICE = ("lattice", "spacings", "strain", "cells", "bonds", "displacements", "profile")


def square(side=12, noise=0.2, seed=0):
    """Columns of one kind, 20 px apart."""
    rng = np.random.default_rng(seed)
    i, j = (each.ravel() for each in np.mgrid[:side, :side])
    places = 20.0 * np.column_stack([i, j]) + rng.normal(0, noise, (len(i), 2))
    table = pd.DataFrame(places, columns=["y", "x"])
    return table.assign(volume=rng.normal(100.0, 5.0, len(i)), odd=(i + j) % 2)


def film_on_substrate(shift, contrast, rows=18):
    """A film, two thirds of the columns, of which every other one is displaced and brighter."""
    columns = square(rows, noise=0.5)
    there = (columns["odd"] == 1) & (columns["y"] < 20 * rows * 2 / 3)
    columns["y"] += shift * there
    columns["volume"] *= 1.0 + contrast * there
    return columns


@pytest.mark.slow
@pytest.mark.parametrize("name", ON_A_LATTICE)
def test_every_measurement_carries_the_cautions_of_its_lattice(name):
    """Most columns stand at random; so few of them are on the lattice that no headline is clean."""
    rng = np.random.default_rng(3)
    noise = pd.DataFrame({"y": rng.uniform(240, 620, 220), "x": rng.uniform(0, 380, 220)})
    noise["volume"] = 100.0
    if name == "lattice":
        report = measurements.lattice(pd.concat([square(), noise]), sampling=0.15)
    else:
        sited = measurements.lattice(square(), sampling=0.15)
        columns = pd.concat([sited.columns, noise.assign(i=0, j=0, sublattice=-1)])
        columns = columns.reset_index(drop=True)
        report = measurements.measure(name, columns, sampling=0.15, lattice=sited.lattice)
    assert report.headline.startswith("Doubtful, as ")
    assert any(line.startswith("Caution: ") and "on no site" in line for line in report.lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lattice", "spacings"])
@pytest.mark.parametrize(
    ("sampling", "said"), [(0.02, "Å apart"), (0.045, "too few"), (0.35, "too many")]
)
def test_lengths_that_no_crystal_has_are_told(name, sampling, said):
    report = measurements.measure(name, square(), sampling=sampling)
    assert said in report.headline
    assert any("check the sampling" in line for line in report.lines)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", [None, 0.1, 0.2])
def test_a_sound_lattice_has_no_caution(sampling):
    for name in ("lattice", "spacings", "strain"):
        report = measurements.measure(name, square(), sampling=sampling)
        assert "Doubtful" not in report.headline
        assert not any("Caution" in line for line in report.lines)


def alternates(columns):
    sites = 20.0 * np.round(columns[["y", "x"]].to_numpy() / 20.0)
    lattice = Lattice([0.0, 0.0], [[0.0, 20.0], [20.0, 0.0]])
    points = columns[["y", "x"]].to_numpy()
    cells = (sites / 20.0).astype(np.int64)[:, ::-1]
    kind = np.zeros(len(columns), np.int64)
    return alternation(lattice, points - sites, points, cells, kind, columns["volume"].to_numpy())


def test_an_alternation_that_explains_little_is_measured():
    found = alternates(film_on_substrate(1.2, 0.3))
    assert found is not None
    assert found.kind == "displacement"
    assert found.columns == 2
    # A third of the columns, those of the substrate, are not displaced.
    assert abs(found.size - 0.8) < 3 * found.error


def test_noise_and_jitter_of_scan_lines_do_not_alternate():
    for seed in range(20):
        assert alternates(square(16, seed=seed)) is None
        jitter = np.random.default_rng(seed).normal(0, 0.6, 16)
        moved = square(16, seed=seed)
        moved["x"] += jitter[(moved["y"] / 20.0).round().astype(int)]
        assert alternates(moved) is None


def test_displacements_of_one_sublattice_claim_nothing():
    report = measurements.displacements(square(), sampling=0.1)
    assert "one sublattice" in report.headline
    assert "no common displacement" not in report.headline
