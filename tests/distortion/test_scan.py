"""Lines are moved as asked, with the statistics of the papers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg import distortion
from napari_atomseg.distortion import scan

VIEW = distortion.View(sampling=0.2, width=0.5, shape=(64, 64))


def spot(cy, cx, shape=(48, 64), sigma=4.0):
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij")
    return torch.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * sigma**2))[None]


def test_the_series_is_the_recursion_of_yule_and_walker(generators):
    noise = torch.randn((2, 37, 2), generator=generators(1)[0])
    phi = torch.tensor([[0.0, 0.3], [0.7, 0.95]])
    series = scan.autoregressive(noise, phi)
    expected = noise[:, 0] / torch.sqrt(1 - phi**2)
    assert torch.allclose(series[:, 0], expected)
    for row in range(1, 37):
        expected = phi * expected + noise[:, row]
        assert torch.allclose(series[:, row], expected, atol=1e-5)


@pytest.mark.parametrize("phi", [0.0, 0.35, 0.7])
def test_jitter_is_stationary_and_its_autocorrelation_a_power_of_phi(phi, batch, generators):
    part = distortion.ScanJitter(sigma=(0.1, 0.1), phi=(phi, phi), odds=(0, 0, 1))
    count = 400
    drawn = batch(*[part.draw(np.random.default_rng(0), VIEW)] * count)
    shifts = part.shifts(64, drawn, generators(count))
    variance = (0.1 / VIEW.sampling) ** 2 / (1 - phi**2)
    for rows in (shifts[:, 0], shifts):
        assert float(rows.var()) == pytest.approx(variance, rel=0.15)
    for lag in (1, 2, 3):
        together = float((shifts[:, lag:] * shifts[:, :-lag]).mean())
        assert together / variance == pytest.approx(phi**lag, abs=0.03)
    across = float((shifts[..., 0] * shifts[..., 1]).mean()) / variance
    assert across == pytest.approx(0.0, abs=0.03)


def test_jitter_goes_along_x_or_y_or_both_by_the_odds():
    rng = np.random.default_rng(0)
    drawn = [distortion.ScanJitter().draw(rng, VIEW)["sigma"] > 0 for _ in range(2000)]
    moved = np.array(drawn)
    assert (moved == [False, True]).all(axis=1).mean() == pytest.approx(0.25, abs=0.03)
    assert (moved == [True, False]).all(axis=1).mean() == pytest.approx(0.25, abs=0.03)
    assert moved.all(axis=1).mean() == pytest.approx(0.5, abs=0.03)


def test_mains_modulate_the_shifts(generators):
    rows, count = 64, 500
    noise = torch.stack([torch.randn(rows, 2, generator=g) for g in generators(count)])
    one = torch.ones(count)
    shifts = scan.modulated(noise, 0.3 * one, one / 16, torch.zeros(count, 2))
    deviation = shifts.std(dim=(0, 2))
    sine = torch.sin(2 * math.pi * torch.arange(rows) / 16).abs()
    assert torch.allclose(deviation, 0.3 * sine, atol=0.03)
    drawn = distortion.LineFrequency().draw(np.random.default_rng(0), VIEW)
    assert drawn["amplitude"] == pytest.approx(0.2 / VIEW.sampling)


def test_lines_are_moved_by_the_shift_given():
    shifts = torch.zeros(1, 48, 2)
    shifts[0, :, 0], shifts[0, :, 1] = 0.25, -0.5
    moved = scan.shift_lines(spot(24.0, 32.0), shifts)
    assert torch.allclose(moved, spot(24.25, 31.5), atol=2e-3)


def test_straight_slopes_stay_straight_between_lines():
    y = torch.arange(32.0)[None, :, None].expand(1, 32, 64)
    shifts = torch.zeros(1, 32, 2)
    shifts[0, :, 0] = torch.linspace(-1.0, 1.0, 32)
    moved = scan.shift_lines(y, shifts)[0, 4:-4, 0]
    assert torch.allclose(moved, (y[0, :, 0] - shifts[0, :, 0])[4:-4], atol=1e-4)


@given(distance=st.floats(0.0, 2.0), direction=st.floats(0.0, 360.0))
def test_drift_carries_the_last_line_so_far_from_the_first(distance, direction):
    part = distortion.Drift(distance=(distance,) * 2, direction=(direction,) * 2)
    drawn = part.draw(np.random.default_rng(0), VIEW)
    values = {"slope": torch.from_numpy(drawn["slope"])[None]}
    shifts = part.shifts(VIEW.shape[0], values, [])[0]
    total = shifts[-1] - shifts[0]
    angle = math.radians(direction)
    assert float(total[0]) == pytest.approx(-distance / 0.2 * math.sin(angle), abs=1e-6)
    assert float(total[1]) == pytest.approx(distance / 0.2 * math.cos(angle), abs=1e-6)
    assert torch.allclose(shifts.mean(dim=0), torch.zeros(2, dtype=torch.float64), atol=1e-9)
    margin = part.shifts(VIEW.shape[0] + 20, values, [])[0, 10:-10]
    assert torch.allclose(margin, shifts)


def test_shear_tilts_upright_columns(batch, generators):
    part = distortion.Shear(distance=(1.5, 1.5))
    x = torch.arange(64.0)
    image = torch.exp(-((x - 32) ** 2) / 18).expand(1, 64, 64)
    sheared = part.apply(image, batch(part.draw(np.random.default_rng(0), VIEW)), generators(1))
    centre = (sheared[0] * x).sum(dim=1) / sheared[0].sum(dim=1)
    assert float(centre[-1] - centre[0]) == pytest.approx(1.5 / VIEW.sampling, abs=0.01)
    assert float(centre.mean()) == pytest.approx(32.0, abs=0.01)


def test_motions_add_up(batch, generators):
    shear, drift = distortion.Shear(distance=(1, 1)), distortion.Drift(direction=(0, 0))
    rng, image = np.random.default_rng(0), spot(24.0, 32.0)
    values = [batch(part.draw(rng, VIEW)) for part in (shear, drift)]
    one_by_one = image
    for part, value in zip((shear, drift), values, strict=True):
        one_by_one = part.apply(one_by_one, value, generators(1))
    total = sum(
        part.shifts(48, value, generators(1))
        for part, value in zip((shear, drift), values, strict=True)
    )
    assert torch.allclose(scan.shift_lines(image, total), one_by_one, atol=1e-5)


def test_flyback_stretches_the_beginnings_of_lines_alone():
    """A ramp along the lines tells how far each pixel was displaced: a exp(-j / τ)."""
    ramp = torch.arange(80.0).expand(1, 5, 80)
    amplitude = torch.tensor([[3.0, -2.0, 0.0, 1.5, 0.5]])
    moved = scan.settle(ramp, amplitude, torch.tensor([10.0]))
    place = torch.arange(80.0)
    expected = place - amplitude[0, :, None] * torch.exp(-place / 10.0)
    inside = (expected > 1) & (expected < 78)
    torch.testing.assert_close(moved[0][inside], expected[inside], rtol=0, atol=1e-4)
    torch.testing.assert_close(moved[0, 2], ramp[0, 2])


def test_flyback_of_no_spread_is_the_same_in_all_lines():
    image = torch.rand(1, 1, 60, generator=torch.Generator().manual_seed(1)).expand(1, 9, 60)
    values = {
        "amplitude": torch.tensor([2.0]),
        "length": torch.tensor([8.0]),
        "spread": torch.tensor([0.0]),
    }
    moved = scan.Flyback().apply(image, values, [torch.Generator().manual_seed(0)])
    assert (moved == moved[:, :1]).all()
    assert (moved[..., :10] - image[..., :10]).abs().max() > 0.05
