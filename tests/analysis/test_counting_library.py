"""Simulated cross-sections are those of abTEM and of theory, and count what was planted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from ase import Atoms
from ase.build import bulk

from napari_atomseg.analysis import count_by_library, integrate_columns, simulate_library
from napari_atomseg.imaging import Probe
from napari_atomseg.imaging.multislice import multislice_adf
from napari_atomseg.specimen import Field
from napari_atomseg.specimen.structure import Structure

# abTEM takes seconds to load, its multislice more.
pytestmark = pytest.mark.slow

COPPER = 3.615
CRYSTAL = bulk("Cu", "fcc", COPPER, cubic=True)
DETECTOR = (60.0, 150.0)
ENERGY, SEMIANGLE = 200e3, 20.0


@pytest.fixture(scope="module", autouse=True)
def abtem():
    return pytest.importorskip("abtem")


def at_rest(crystal, largest, element=None, **more):
    return simulate_library(
        *(crystal, (0, 0, 1), largest, element), detector=DETECTOR, frozen_phonons=0, **more
    )["section"].to_numpy()


def test_cross_sections_are_those_of_abtem(abtem):
    """A supercell of abTEM's own, its multislice and detector, and the square of a column."""
    points = 6
    atoms = CRYSTAL * (3, 3, 2)
    # On the mesh, off which abTEM blurs atoms a little.
    potential = abtem.Potential(
        atoms, gpts=432, slice_thickness=COPPER / 2, projection="infinite", exit_planes=2
    )
    start = COPPER - COPPER / 4 * (1 - 1 / points)
    scan = abtem.GridScan((start, start), (start + COPPER / 2,) * 2, gpts=points, endpoint=False)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        probe = abtem.Probe(energy=ENERGY, semiangle_cutoff=SEMIANGLE)
        signal = probe.scan(
            potential, scan=scan, detectors=abtem.AnnularDetector(*DETECTOR), lazy=False
        )
    sections = np.asarray(signal.array).mean((1, 2))[1:] * (COPPER / 2) ** 2
    assert at_rest(CRYSTAL, 2) == pytest.approx(sections, rel=0.02)


def test_one_atom_has_the_cross_section_of_the_first_born_approximation():
    from abtem.core.energy import energy2sigma, energy2wavelength
    from abtem.parametrizations import LobatoParametrization

    angle = np.arange(-200.0, 200.0, 2.0)
    y, x = np.meshgrid(angle, angle)
    inner, outer = DETECTOR
    seen = (np.hypot(y, x) >= inner) & (np.hypot(y, x) < outer)
    mrad = 1e-3 / energy2wavelength(ENERGY)
    factor = LobatoParametrization().projected_scattering_factor("Al")
    # The beam comes from all directions of the aperture.
    beams = [(u, v) for u in angle for v in angle if np.hypot(u, v) < SEMIANGLE]
    squares = [factor(mrad**2 * ((y[seen] - u) ** 2 + (x[seen] - v) ** 2)) ** 2 for u, v in beams]
    born = energy2sigma(ENERGY) ** 2 * np.mean(squares, axis=0).sum() * (2.0 * mrad) ** 2
    assert at_rest(bulk("Al", cubic=True), 1)[0] == pytest.approx(born, rel=0.03)


def test_columns_share_all_of_the_light(abtem):
    """Of CsCl, each kind of column for itself, and both by abTEM's mean over the cell."""
    side = 4.12
    cell = Atoms("CsCl", scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5)], cell=[side] * 3, pbc=True)
    shares = [at_rest(cell, 1, element)[0] for element in ("Cs", "Cl")]
    assert shares[0] > 4 * shares[1]
    potential = abtem.Potential(
        cell * (3, 3, 1), gpts=432, slice_thickness=side / 2, projection="infinite"
    )
    scan = abtem.GridScan((0, 0), (side, side), gpts=7, endpoint=False)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        mean = np.mean(
            abtem.Probe(energy=ENERGY, semiangle_cutoff=SEMIANGLE)
            .scan(potential, scan=scan, detectors=abtem.AnnularDetector(*DETECTOR), lazy=False)
            .array
        )
    assert sum(shares) / side**2 == pytest.approx(float(mean), rel=0.03)


def test_heavy_columns_grow_until_the_beam_has_left_them():
    sections = at_rest("Au", 2)
    assert np.all(np.diff(sections) > 0)
    # Channelling: the second atom sees a sharper beam than the first.
    assert 2.0 < sections[1] / sections[0] < 2.6
    assert sections[0] / at_rest(CRYSTAL, 1)[0] == pytest.approx((79 / 29) ** 1.7, rel=0.25)


@pytest.mark.parametrize(
    ("crystal", "axis", "element"),
    [("Au", (0, 0, 1), None), ("Si", (1, 1, 0), None), ("SrTiO3", (0, 0, 1), "Sr")],
)
def test_every_column_is_as_thick(crystal, axis, element):
    from napari_atomseg.analysis.counting.library import crystal_around, slab

    whole, chosen, period = crystal_around(crystal, axis, 4, element)
    below, planes = slab(whole, chosen, 4, period)
    for count, plane in enumerate(planes, start=1):
        inside = below.column[below.z < plane]
        assert np.sum(inside == chosen) == count
        # Whole periods: every column has its own number of atoms so many times.
        assert set(np.bincount(inside)[np.unique(inside)] % count) == {0}


def test_several_atoms_in_a_period_are_counted_one_by_one():
    """A column of two atoms a period, at 0 and 0.4, beside another of two."""
    from napari_atomseg.analysis.counting.library import crystal_around, slab

    heights = [(0, 0, 0), (0, 0, 0.4), (0.5, 0.5, 0.2), (0.5, 0.5, 0.7)]
    cell = Atoms("Cu2Al2", scaled_positions=heights, cell=[4, 4, 5], pbc=True)
    whole, chosen, period = crystal_around(cell, (0, 0, 1), 6, "Cu")
    below, planes = slab(whole, chosen, 6, period)
    for count, plane in enumerate(planes, start=1):
        inside = below.column[below.z < plane]
        numbers = np.bincount(inside)[np.unique(inside)]
        assert np.sum(inside == chosen) == count
        assert np.all(np.abs(numbers - count) <= count % 2)


def wedge(count, side, pixel, margin):
    """Gold along [001] of `count` (n, n) atoms in each column, and where these stand (px)."""
    i, j = np.indices(count.shape).reshape(2, -1)
    number = count.ravel()
    column = np.repeat(np.arange(len(number)), number)
    above = np.arange(len(column)) - np.repeat(np.cumsum(number) - number, number)
    height = side * (above + 0.5 * ((i + j) % 2)[column])
    y, x = (margin + side / 2 * v for v in (i, j))
    atoms = Structure(y[column], x[column], height, np.full(len(column), 79), column)
    return atoms, pd.DataFrame({"y": y / pixel, "x": x / pixel, "true": number})


def test_a_simulated_wedge_is_counted_by_the_library():
    pixel, side, margin, dose = 0.2, 4.078, 2.0, 2e4
    atoms, columns = wedge(np.array([[1, 2, 3], [2, 3, 3], [1, 2, 1]]), side, pixel, margin)
    size = round((2 * margin + side) / pixel)
    image = multislice_adf(
        *(atoms, Field((size, size), pixel, 0), Probe(ENERGY, SEMIANGLE, source_size=0.6)),
        detector=DETECTOR,
        frozen_phonons=0,
    )
    electrons = dose * pixel**2
    noisy = np.random.default_rng(3).poisson(electrons * np.maximum(image, 0)) / electrons
    library = simulate_library("Au", (0, 0, 1), 4, detector=DETECTOR, frozen_phonons=0)
    reach = 0.72 * side / 2 / pixel
    measured = integrate_columns(noisy, columns, reach=reach, gain=1 / electrons)
    counts = count_by_library(measured, library, sampling=pixel, value="integral")
    assert (counts.columns["count"] == columns["true"]).all()
    assert counts.miscounted < 0.05


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CRYSTAL, (0, 0, 1), 0), "largest=0"),
        ((CRYSTAL, (0, 0, 1), 2, "Au"), "no column of Au alone"),
        ((CRYSTAL, (0, 0, 1), 2, "Gold"), "no symbol"),
        (("NiO", (0, 0, 1), 2), "no column of one element"),
    ],
)
def test_what_cannot_be_simulated_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        simulate_library(*arguments)
    with pytest.raises(ValueError, match="frozen_phonons"):
        simulate_library(CRYSTAL, (0, 0, 1), 1, frozen_phonons=-1)


def test_vibrations_are_drawn_anew_for_another_seed():
    first, other = (
        simulate_library(*(CRYSTAL, (0, 0, 1), 1), detector=DETECTOR, frozen_phonons=2, seed=seed)
        for seed in (1, 2)
    )
    apart = abs(first["section"][0] - other["section"][0])
    assert 0 < apart < 0.1 * first["section"][0]
    assert 0 < first["section_err"][0] < 0.05 * first["section"][0]
