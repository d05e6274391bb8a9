"""Hexagonal patterns of waves, whose columns are known: spots, or the honeycomb between them."""

import re

import numpy as np
import pytest

import napari_atomseg as atomseg
from napari_atomseg.inference.honeycombs import hexagonal
from napari_atomseg.inference.scale import guess_contrast

APART, SHAPE = 10.0, (180, 200)
"""Pixels between neighbours of the honeycomb, and rows and columns."""


def waves(first, second, noise=0.3, seed=0, turn=0.2):
    """Reflections of two orders about the middles of the rings of a honeycomb, and white noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]].astype(float)
    image = np.random.default_rng(seed).normal(0.0, noise, SHAPE)
    for order, amplitude in ((0, first), (1, second)):
        # The second reflections are √3 times as far out as the first ones, and between these.
        k = 2.0 / 3.0 / APART * 3.0 ** (0.5 * order)
        for number in range(3):
            angle = turn + np.pi / 3 * number + np.pi / 6 * order
            image += amplitude * np.cos(2 * np.pi * k * (y * np.sin(angle) + x * np.cos(angle)))
    return image.astype(np.float32)


def pattern(image):
    found = hexagonal(image, 1.5 * APART)
    assert found is not None
    return found


@pytest.mark.parametrize("noise", [0.03, 1.0])
@pytest.mark.parametrize("sign", [1, -1])
def test_second_reflections_tell_what_columns_are(noise, sign):
    # Bright columns have bright second reflections, wherever they are in the cell.
    spots = pattern(waves(sign, 0.2 * sign, noise))
    honeycomb = pattern(waves(-sign, 0.2 * sign, noise))
    assert spots.bright == (sign > 0) != honeycomb.bright
    assert (spots.told(), honeycomb.told()) == ("spots", "honeycomb")
    assert spots.columns_bright() == honeycomb.columns_bright() == (sign > 0)
    for found in (spots, honeycomb):
        assert found.apart == pytest.approx(APART, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("second", [0.0, 0.005])
def test_first_reflections_alone_do_not_tell(seed, second):
    found = pattern(waves(-1.0, second, 1.0, seed))
    assert found.told() == "either"
    assert found.columns_bright() is None


def test_distances_tell_where_reflections_do_not():
    dark, bright = pattern(waves(-1.0, 0.0)), pattern(waves(1.0, 0.0))
    # As far apart as no columns are: the honeycomb is none.
    assert dark.columns_bright(0.1) is False
    assert bright.columns_bright(0.1) is True
    # As in graphene: a honeycomb of bright columns, but no less likely bright columns.
    assert dark.columns_bright(0.142) is True
    assert bright.columns_bright(0.142) is None
    assert dark.columns_bright(0.2) is None


def test_reflections_of_other_lengths_are_no_hexagon():
    # Face-centred cubic along [110]: four reflections of √3 and two of 2, which add up to nothing.
    y, x = np.mgrid[:200, :200] / 20.0
    phases = [y - x / np.sqrt(2.0), y + x / np.sqrt(2.0), np.sqrt(2.0) * x]
    image = sum(np.cos(2.0 * np.pi * phase) for phase in phases)
    assert hexagonal(image, 17.0) is None


def test_defects_leave_the_pattern():
    rng = np.random.default_rng(0)
    image = waves(-1.0, 0.3, 0.0)
    for row, col in rng.integers(20, 160, (6, 2)):
        image[row : row + 12, col : col + 12] = 0.0
    assert pattern(image).told() == "honeycomb"


def test_the_deviation_of_noise_is_known():
    z = [pattern(waves(1.0, 0.0, 1.0, seed)).z for seed in range(40)]
    assert 0.7 < np.std(z) < 1.4
    assert abs(np.mean(z)) < 0.5


def test_other_patterns_are_not_hexagonal():
    y, x = np.mgrid[:180, :200] / 20.0
    square = np.cos(2 * np.pi * y) + np.cos(2 * np.pi * x)
    noise = np.random.default_rng(0).normal(size=SHAPE)
    for image in (square, square**3, np.cos(2 * np.pi * x), noise, square + noise):
        assert hexagonal(image, 20.0) is None


@pytest.mark.parametrize("second", [0.1, 0.3])
def test_contrast_is_that_of_the_honeycomb(second):
    assert guess_contrast(waves(-1.0, second), 15.0) == "bright"
    assert guess_contrast(waves(1.0, -second), 15.0) == "dark"


@pytest.mark.parametrize("dark", [False, True])
def test_columns_of_graphene_are_atoms_in_phase_contrast(dark):
    sign = 1.0 if dark else -1.0
    sim = atomseg.simulate(
        "graphene",
        shape=(112, 112),
        sampling=0.16,
        dose=5e4,
        imaging="hrtem",
        energy=80e3,
        C3=sign * 1.1e5,
        defocus=sign * 85.0,
        focal_spread=25.0,
    )
    table = atomseg.localize(sim.image, sampling=0.16)
    assert table.attrs["contrast"] == ("dark" if dark else "bright")
    found, true = table[["y", "x"]].to_numpy(), sim.columns[["y", "x"]].to_numpy()
    right, _ = atomseg.analyze.match(found, true, 2.0)
    assert len(right) > 0.8 * len(true)


def test_two_readings_are_noted_unless_the_contrast_is_given():
    image = waves(1.0, 0.0)
    table = atomseg.localize(image, detector="peaks", sampling=0.2)
    notes = [note for note in table.attrs["notes"] if "honeycomb" in note]
    assert len(notes) == 1
    assert re.search(r"bright spots 3\.4\d Å apart", notes[0])
    assert re.search(r"dark columns (1\.99|2\.0\d) Å apart", notes[0])
    assert "bright columns were taken (contrast: dark" in notes[0]
    chosen = atomseg.localize(image, detector="peaks", sampling=0.2, contrast="bright")
    assert not any("honeycomb" in note for note in chosen.attrs["notes"])
    clear = atomseg.localize(waves(1.0, 0.3), detector="peaks")
    assert not any("honeycomb" in note for note in clear.attrs["notes"])


def test_frames_are_noted_with_their_numbers():
    stack = np.stack([waves(1.0, 0.0), waves(1.0, 0.3)])
    notes = atomseg.localize(stack, detector="peaks").attrs["notes"]
    assert [note[:8] for note in notes if "honeycomb" in note] == ["frame 0:"]


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("noise", [0.02, 0.3])
def test_wide_spots_are_not_dropped(noise):
    # Their tails fill the cells, and what is left of them is a pattern that all of them have.
    image = waves(1.0, -0.11, noise)
    table = atomseg.localize(image, detector="peaks", contrast="bright")
    cell = 1.5 * 3.0**0.5 * APART**2
    assert len(table) > 0.85 * image.size / cell
