"""Samples put back where they were taken."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats

from napari_atomseg.inference.scan.regrid import Statistics, put_back

INNER = (slice(10, -10), slice(10, -10))


def waves(y, x):
    return np.sin(0.7 * y + 0.3 * x) + np.cos(0.8 * x - 0.25 * y) + 5.0


def displaced(shifts, width=90, sampled=waves):
    """What lines at their true places show."""
    y, x = np.mgrid[: len(shifts), :width].astype(float)
    return sampled(y - shifts[:, :1], x - shifts[:, 1:]), sampled(y, x)


def jitter(rms, lines=96, seed=0):
    return np.random.default_rng(seed).normal(0.0, rms, (lines, 2))


@pytest.mark.parametrize("rms", [0.2, 0.5, 0.8])
def test_known_shifts_give_the_still_image(rms) -> None:
    shifts = jitter(rms)
    moved, still = displaced(shifts)
    back = put_back(moved, shifts, np.full_like(shifts, 1e-3))
    before, after = ((each - still)[INNER].std() for each in (moved, back))
    assert after < 0.1 * before


def test_lines_that_are_not_displaced_stay_bit_for_bit() -> None:
    frame = np.random.default_rng(1).normal(size=(40, 30))
    nothing = np.zeros((40, 2))
    assert (put_back(frame, nothing, nothing + 1.0) == frame).all()


def test_noise_stays_white() -> None:
    """Nothing but signal is moved: the noise of a line is neither smoothed nor shared."""
    frame = np.random.default_rng(2).normal(size=(256, 256))
    back = put_back(frame, jitter(0.5, 256), np.full((256, 2), 0.1))
    assert back.std() == pytest.approx(1.0, abs=0.03)
    neighbours = np.corrcoef(back[:-1].ravel(), back[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.03


@settings(max_examples=10, deadline=None)
@given(gain=floats(0.1, 1e4), offset=floats(-1e4, 1e4))
def test_scale_and_offset_pass_through(gain, offset) -> None:
    shifts = jitter(0.5, 48)
    moved, _ = displaced(shifts, 40)
    plain = put_back(moved, shifts, np.full_like(shifts, 0.1))
    scaled = put_back(gain * moved + offset, shifts, np.full_like(shifts, 0.1))
    np.testing.assert_allclose(scaled, gain * plain + offset, rtol=1e-6, atol=1e-6 * gain)


def test_a_line_at_a_doubtful_place_counts_less_for_its_neighbours() -> None:
    """One line's shift is wrong by 2 px; stated as doubtful it spoils less around it."""
    shifts = jitter(0.4)
    moved, still = displaced(shifts)
    wrong, errors = shifts.copy(), np.full_like(shifts, 1e-3)
    wrong[48, 0] += 2.0
    others = [46, 47, 49, 50]
    sure = put_back(moved, wrong, errors)
    errors[48] = 2.0
    doubtful = put_back(moved, wrong, errors)
    spoilt = [np.abs(each - still)[others, 10:-10].mean() for each in (sure, doubtful)]
    assert spoilt[1] < 0.7 * spoilt[0]


def test_statistics_know_noise_from_signal() -> None:
    y, x = np.mgrid[:200, :200].astype(float)
    noise = np.random.default_rng(3).normal(0.0, 0.5, (200, 200))
    known = Statistics.of(waves(y, x) + noise)
    assert known.noise == pytest.approx(0.25, rel=0.1)
    # Bounded from above, by a spectrum that falls.
    assert 1.0 < float(known.covariance(np.array(0.0))) < 4.0


@pytest.mark.parametrize("frame", [np.zeros((20, 8)), np.full((17, 30), 3.0)])
def test_flat_frames_come_back(frame) -> None:
    shifts = jitter(0.5, len(frame))
    np.testing.assert_allclose(put_back(frame, shifts, np.abs(shifts)), frame)
