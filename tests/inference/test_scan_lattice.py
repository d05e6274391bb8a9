"""Lines beside the lattice of their frame: close to what the noise allows, and nothing invented."""

import numpy as np
import pytest

from napari_atomseg.inference.scan.lattice import (
    Reflections,
    Template,
    beside_lattice,
    shrunk,
)
from napari_atomseg.inference.scan.measure import fitted, slow_part

SIDE = 160


def specimen(y, x, spacing=11.0, turn=0.3):
    """A lattice of round columns, at any place."""
    cos, sin = np.cos(turn), np.sin(turn)
    v, u = (2 * np.pi / spacing * each for each in (cos * y - sin * x, sin * y + cos * x))
    return np.exp(2.0 * (np.cos(v) + np.cos(u) - 2.0))


def scanned(shifts, electrons, seed=0, seen=specimen):
    """Counts of a scan whose row k shows the specimen at k - δ."""
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    exact = seen(y - shifts[:, :1], x - shifts[:, 1:])
    return np.random.default_rng(seed).poisson(electrons * exact).astype(float)


def jitter(rms, seed=1):
    """Displacements of independent lines."""
    return np.random.default_rng(seed).normal(0.0, rms, (SIDE, 2))


def left(found, true):
    """(2,) rms of what is wrong beside what is slow."""
    wrong = found - true
    return np.sqrt(((wrong - slow_part(wrong, np.ones_like(wrong))) ** 2).mean(axis=0))


@pytest.mark.parametrize("electrons", [30.0, 400.0])
def test_planted_jitter_is_found_to_a_little_more_than_the_noise_allows(electrons):
    true = jitter(0.5)
    frame = scanned(true, electrons)
    start = true + np.random.default_rng(3).normal(0.0, 0.2, true.shape)
    found, errors = beside_lattice(frame, start, np.full_like(true, 0.2))
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    step = 1e-3
    slope = (specimen(y + step, x) - specimen(y - step, x)) / (2 * step)
    bound = (electrons * (slope**2 / np.maximum(specimen(y, x), 0.02)).sum(axis=1).mean()) ** -0.5
    assert left(found, true).max() < 0.5 * left(start, true).min()
    assert left(found, true).max() < 3.0 * bound + 0.02
    stated = np.sqrt((errors**2).mean(axis=0))
    assert np.all(left(found, true) < 1.6 * stated)
    assert np.all(left(found, true) > 0.3 * stated)


def test_lines_that_stand_still_are_left():
    still = np.zeros((SIDE, 2))
    frame = scanned(still, 100.0)
    found, errors = beside_lattice(frame, still, np.full_like(still, 0.1))
    moved, stated = shrunk(found - slow_part(found, errors), errors)
    assert np.sqrt((moved**2).mean()) < 0.02
    assert np.all(stated > 0)


def test_an_offset_and_a_gain_change_nothing():
    true = jitter(0.4)
    frame = scanned(true, 100.0)
    start = np.zeros_like(true)
    found, errors = beside_lattice(frame, start, np.full_like(true, 0.3))
    again, too = beside_lattice(1e7 + 3.0 * frame, start, np.full_like(true, 0.3))
    np.testing.assert_allclose(again, found, atol=1e-4)
    np.testing.assert_allclose(too, errors, rtol=1e-3)


def test_what_is_slow_stays_as_it_was_known():
    line = np.arange(SIDE) / SIDE
    slow = np.stack([2.0 * np.sin(3.0 * line), np.cos(4.0 * line)], axis=1)
    found, _ = beside_lattice(scanned(slow, 400.0), slow, np.full_like(slow, 0.1))
    assert np.abs(fitted(found - slow, np.ones_like(slow), 0)).max() < 0.1


@pytest.mark.parametrize(
    "frame",
    [
        np.random.default_rng(4).normal(size=(SIDE, SIDE)),
        np.random.default_rng(5).poisson(0.5, (SIDE, SIDE)).astype(float),
        # Fringes: they show displacements across themselves alone.
        np.cos(0.6 * np.arange(SIDE))[:, None] + np.zeros(SIDE),
    ],
    ids=["noise", "counts", "fringes"],
)
def test_without_a_lattice_nothing_is_measured(frame):
    assert beside_lattice(frame, np.zeros((SIDE, 2)), np.ones((SIDE, 2))) is None


def test_too_few_periods_are_no_lattice():
    def wide(y, x):
        return specimen(y, x, spacing=70.0)

    still = np.zeros((SIDE, 2))
    assert beside_lattice(scanned(still, 400.0, seen=wide), still, np.ones_like(still)) is None


def test_the_template_is_the_lattice_and_its_slopes():
    y, x = np.mgrid[:SIDE, :SIDE].astype(float)
    frame = specimen(y, x)
    template = Template(frame.shape, Reflections.of(frame))
    template.fit(frame)
    shifts = np.tile([[0.3, -0.7]], (SIDE, 1))
    value, slope_y, slope_x = template.at(shifts)
    inner = (slice(24, -24), slice(24, -24))
    exact = specimen(y - 0.3, x + 0.7)
    assert np.abs(value - exact)[inner].max() < 0.06
    step = 1e-3
    for slope, (v, u) in ((slope_y, (step, 0.0)), (slope_x, (0.0, step))):
        wanted = (specimen(y - 0.3 + v, x + 0.7 + u) - specimen(y - 0.3 - v, x + 0.7 - u)) / (
            2 * step
        )
        assert np.abs(slope - wanted)[inner].max() < 0.1


def test_jitter_that_is_all_error_shrinks_to_nothing_and_clear_jitter_stays():
    errors = np.full((400, 2), 0.1)
    random = np.random.default_rng(6)
    noise = random.normal(0.0, 0.1, errors.shape)
    small, _ = shrunk(noise, errors)
    assert np.sqrt((small**2).mean()) < 0.03
    true = random.normal(0.0, 1.0, errors.shape)
    found, stated = shrunk(true + noise, errors)
    assert np.sqrt(((found - true) ** 2).mean()) == pytest.approx(0.1, rel=0.15)
    assert stated == pytest.approx(0.1, rel=0.02)
