"""Linear imaging: conservation, sub-pixel exactness, linearity."""

import math

import pytest
import torch

from napari_atomseg.imaging import (
    Probe,
    circular_masks,
    gaussians,
    linear_image,
    otf,
    peak_width,
    sum_of_waves,
)

SHAPE = (64, 96)
PROBE = Probe()


def image_of(y, x, weight, probe=PROBE):
    def row(values):
        return torch.tensor([values], dtype=torch.float32)

    return linear_image(row(y), row(x), row(weight), otf([probe], [0.1], SHAPE), SHAPE)[0]


def test_the_image_holds_the_whole_intensity_of_its_columns():
    image = image_of([10.3, 40.7], [20.2, 60.9], [3.0, 2.0])
    assert float(image.sum()) == pytest.approx(5.0, rel=1e-5)


def test_shifting_a_column_by_whole_pixels_shifts_the_image():
    first = image_of([20.3], [30.6], [1.0])
    second = image_of([25.3], [23.6], [1.0])
    assert torch.allclose(torch.roll(first, (5, -7), (0, 1)), second, atol=1e-7)


@pytest.mark.parametrize(("dy", "dx"), [(0.25, -0.4), (0.5, 0.5), (-0.13, 0.01)])
def test_the_column_stands_where_it_was_put_to_a_thousandth_of_a_pixel(dy, dx):
    image = image_of([32 + dy], [48 + dx], [1.0])
    transform = torch.fft.fft2(image)
    # The phase of the slowest waves is the position of a symmetric spot, tails and all.
    row = -transform[1, 0].angle() / (2 * math.pi) * SHAPE[0] % SHAPE[0]
    col = -transform[0, 1].angle() / (2 * math.pi) * SHAPE[1] % SHAPE[1]
    assert float(row) == pytest.approx(32 + dy, abs=1e-3)
    assert float(col) == pytest.approx(48 + dx, abs=1e-3)


def test_the_peak_is_that_of_the_equivalent_gaussian():
    probe = Probe(200e3, 20.0, 40.0, source_size=0.6)
    image = image_of([32.0], [48.0], [1.0], probe)
    sigma = peak_width(probe) / 0.1
    assert float(image[32, 48]) == pytest.approx(1 / (2 * math.pi * sigma**2), rel=0.02)


def test_gaussians_and_discs_are_what_they_say():
    y, x = torch.tensor([[20.25]]), torch.tensor([[30.5]])
    spot = gaussians(y, x, torch.tensor([[2.0]]), torch.tensor([[3.0]]), SHAPE)[0]
    assert float(spot.sum()) == pytest.approx(2.0 * 2 * math.pi * 9.0, rel=1e-4)
    disc = circular_masks(y, x, torch.ones_like(y), torch.tensor([7.0]), SHAPE)[0]
    assert float(disc.sum()) == pytest.approx(math.pi * 49, rel=0.03)


def test_waves_match_the_cosine_they_stand_for():
    ky, kx, phase, amplitude = 0.3, -0.2, 0.7, 1.5
    waves = torch.tensor([[[ky, kx, phase, amplitude]]])
    sampling = torch.tensor([0.1])
    field = sum_of_waves(waves, sampling, (16, 24))[0]
    y, x = torch.meshgrid(torch.arange(16) * 0.1, torch.arange(24) * 0.1, indexing="ij")
    exact = amplitude * torch.cos(2 * math.pi * (ky * y + kx * x) + phase)
    assert torch.allclose(field, exact, atol=1e-5)
