"""Images become fractions of the beam, whatever offset and gain the detector has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_atomseg.analysis.counting.normalization import beam_level, normalize, vacuum_level
from napari_atomseg.io import write_image
from napari_atomseg.measurements import measure

OFFSET, GAIN = 120.0, 4000.0


def scene(noise=0.0):
    """Columns in a corner of an image, in fractions of the beam and as recorded."""
    y, x = np.indices((160, 200))
    places = np.mgrid[20:80:12, 20:80:12].reshape(2, -1).T
    true = sum(0.1 * np.exp(-((y - a) ** 2 + (x - b) ** 2) / 18.0) for a, b in places)
    rng = np.random.default_rng(0)
    recorded = OFFSET + GAIN * true + rng.normal(0.0, noise, true.shape)
    return true, recorded, pd.DataFrame(places.astype(float), columns=["y", "x"])


def scan(falls=0.0):
    """A ring-shaped detector, less sensitive outwards."""
    y, x = np.indices((128, 128)) - 64.0
    radius = np.hypot(y, x)
    ring = (radius > 15) & (radius < 50)
    return OFFSET + np.where(ring, GAIN * (1.0 - falls * (radius - 15) / 35), 0.0)


def test_offset_gain_and_flat_field_are_undone():
    true, recorded, _ = scene()
    np.testing.assert_allclose(
        normalize(recorded, vacuum=OFFSET, beam=OFFSET + GAIN), true, atol=1e-12
    )
    flat = 1.0 + 0.3 * np.linspace(-1, 1, 200) * np.ones((160, 1))
    shaded = OFFSET + (recorded - OFFSET) * flat
    found = normalize(shaded, vacuum=OFFSET, beam=OFFSET + GAIN, flat=700.0 * flat)
    np.testing.assert_allclose(found, true, atol=1e-12)


def test_beam_level_is_the_mean_of_the_active_area():
    level, dark = beam_level(scan())
    assert (level, dark) == (OFFSET + GAIN, OFFSET)
    even, _ = beam_level(scan(0.4))
    inner, _ = beam_level(scan(0.4), exponent=3.0)
    assert level > inner > even
    with pytest.raises(ValueError, match="detector"):
        beam_level(np.ones((8, 8)))


def test_vacuum_is_far_from_the_columns():
    _, recorded, columns = scene(noise=20.0)
    level, error = vacuum_level(recorded, columns)
    assert abs(level - OFFSET) < 4 * error
    assert error < 1.0
    with pytest.raises(ValueError, match="no vacuum"):
        vacuum_level(recorded[:80, :80], columns)


def test_measurement_takes_levels_scans_regions_and_columns(tmp_path):
    true, recorded, columns = scene()
    write_image(tmp_path / "scan.tif", scan().astype(np.float32), 0.1)
    by_numbers = measure("normalize", None, recorded, vacuum=OFFSET, beam=OFFSET + GAIN)
    by_files = measure("normalize", columns, recorded, detector=str(tmp_path / "scan.tif"))
    region = (100.0, 120.0, 150.0, 190.0)
    by_region = measure("normalize", None, recorded, region=region, beam=OFFSET + GAIN)
    for report in (by_numbers, by_files, by_region):
        (mark,) = report.marks
        np.testing.assert_allclose(mark.values, true, atol=1e-6)
        assert report.record["beam"] == pytest.approx(OFFSET + GAIN)
    low = measure("normalize", None, recorded, vacuum=OFFSET, beam=OFFSET + 100.0)
    assert "beam level is too low" in str(low)
    with pytest.raises(ValueError, match="beam level is needed"):
        measure("normalize", columns, recorded)
    with pytest.raises(ValueError, match="vacuum level is needed"):
        measure("normalize", None, recorded, beam=5000.0)


def test_cross_sections_of_a_normalized_image_are_those_of_the_beam():
    true, recorded, columns = scene()
    image = measure("normalize", columns, recorded, beam=OFFSET + GAIN).marks[0].values
    found = measure("integrals", columns, image, sampling=0.1).columns["integral"]
    expected = measure("integrals", columns, true, sampling=0.1).columns["integral"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
def test_ways_of_counting_stand_beside_each_other(tmp_path):
    """A wedge whose table has volumes a tenth too small, its image, and a library."""
    rng = np.random.default_rng(0)
    y, x = np.indices((200, 200))
    steps = np.mgrid[:9, :9].reshape(2, -1).T * 20.0 + 20.0
    atoms = 1 + steps[:, 1].astype(int) // 60
    image = np.zeros(y.shape)
    for (a, b), number in zip(steps, atoms, strict=True):
        image += number * np.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * 3.0**2))
    one = 2 * np.pi * 9.0
    columns = pd.DataFrame(steps, columns=["y", "x"])
    columns["volume"] = 0.9 * one * atoms * rng.normal(1.0, 0.01, len(atoms))
    library = pd.DataFrame({"count": np.arange(1, 7), "section": 0.01 * one * np.arange(1, 7)})
    library.to_csv(tmp_path / "library.csv", index=False)
    noisy = image + rng.normal(0.0, 0.01, image.shape)
    report = measure(
        "compare_counts", columns, noisy, sampling=0.1, library=str(tmp_path / "library.csv")
    )
    ways = report.tables["Ways"].set_index(["cross-section", "way"])
    assert len(ways) == 9
    assert ways.loc[("joint fit", "library"), "atoms"] == atoms.sum()
    assert ways.loc[("joint fit", "mixture"), "atoms"] == atoms.sum()
    agreement = report.tables["Agreement"]
    assert agreement["alike, %"].max() == 100.0
    assert set(report.features) <= set(report.columns)
    assert "least alike" in str(report)


@pytest.mark.parametrize(("corner", "inside"), [(40.0, 4), (110.0, 0)])
def test_a_region_that_columns_stand_in_is_no_vacuum(corner, inside):
    columns = pd.DataFrame({"y": [10.0, 10.0, 30.0, 30.0], "x": [10.0, 30.0, 10.0, 30.0]})
    image = np.random.default_rng(0).normal(5.0, 1.0, (120, 120))
    region = (corner - 40.0, corner - 40.0, corner, corner)
    found = measure("normalize", columns, image, beam=100.0, region=region)
    warned = [line for line in found.lines if line.startswith("Caution")]
    assert len(warned) == (inside > 0)
    assert all(f"{inside} columns in the region" in line for line in warned)
