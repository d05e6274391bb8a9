"""Sums of waves."""

import math

import torch

from napari_atomseg.imaging import sum_of_waves


def test_waves_match_the_cosine_they_stand_for():
    ky, kx, phase, amplitude = 0.3, -0.2, 0.7, 1.5
    waves = torch.tensor([[[ky, kx, phase, amplitude]]])
    sampling = torch.tensor([0.1])
    field = sum_of_waves(waves, sampling, (16, 24))[0]
    y, x = torch.meshgrid(torch.arange(16) * 0.1, torch.arange(24) * 0.1, indexing="ij")
    exact = amplitude * torch.cos(2 * math.pi * (ky * y + kx * x) + phase)
    assert torch.allclose(field, exact, atol=1e-5)
