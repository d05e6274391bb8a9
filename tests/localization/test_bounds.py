import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.localization import cramer_rao_bounds


def test_shot_noise_alone_gives_the_closed_form():
    # Without background, position and width of N = 2 π σ² A electrons: σ/√N and σ/(2√N); volume √N.
    bound = cramer_rao_bounds(50.0, 4.0, 1e-7)
    electrons = 2 * np.pi * 16.0 * 50.0
    assert bound.y == pytest.approx(4.0 / np.sqrt(electrons), rel=1e-3)
    assert bound.volume == pytest.approx(np.sqrt(electrons), rel=0.05)


def test_normal_noise_alone_gives_the_closed_form():
    # Σ (∂f/∂y)² = π A² / 2 for pixels small against sigma.
    bound = cramer_rao_bounds(5.0, 4.0, 100.0, gain=None, deviation=0.2)
    assert bound.y == pytest.approx(0.2 / (5.0 * np.sqrt(np.pi / 2)), rel=1e-3)
    assert bound.x == pytest.approx(float(bound.y), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(
    amplitude=st.floats(1.0, 1e3),
    sigma=st.floats(1.0, 6.0),
    background=st.floats(0.1, 1e3),
    scale=st.floats(0.1, 100.0),
)
def test_bounds_follow_the_dose_and_worsen_with_background(amplitude, sigma, background, scale):
    bound = cramer_rao_bounds(amplitude, sigma, background)
    more = cramer_rao_bounds(scale * amplitude, sigma, scale * background)
    assert more.y == pytest.approx(bound.y / np.sqrt(scale), rel=1e-6)
    assert more.volume == pytest.approx(bound.volume * np.sqrt(scale), rel=1e-6)
    assert cramer_rao_bounds(amplitude, sigma, 2 * background).y > bound.y


def test_units_of_intensity_do_not_matter():
    counts = cramer_rao_bounds(40.0, 3.0, 10.0, deviation=1.5)
    units = cramer_rao_bounds(0.4, 3.0, 0.1, gain=0.01, deviation=0.015)
    assert units.y == pytest.approx(float(counts.y))
    assert units.amplitude == pytest.approx(0.01 * float(counts.amplitude))


def test_many_columns_at_once():
    many = cramer_rao_bounds(np.array([[10.0, 20.0]]), np.array([[2.0], [3.0]]), 5.0)
    assert many.y.shape == (2, 2)
    assert many.y[1, 0] == pytest.approx(float(cramer_rao_bounds(10.0, 3.0, 5.0).y), rel=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"gain": None}, "deviation"),
        ({"gain": -1.0}, "gain"),
        ({"deviation": -1.0}, "deviation"),
    ],
)
def test_refuses_what_is_no_noise(arguments, message):
    with pytest.raises(ValueError, match=message):
        cramer_rao_bounds(1.0, 1.0, 1.0, **arguments)


def test_refuses_columns_that_cannot_be():
    with pytest.raises(ValueError, match="amplitude"):
        cramer_rao_bounds(-1.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="background"):
        cramer_rao_bounds(1.0, 1.0, -1.0)
