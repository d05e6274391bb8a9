"""Electron optics and scattering: from columns to the ideal image."""

from napari_atomseg.imaging.linear import (
    circular_masks,
    gaussians,
    linear_image,
    sum_of_waves,
)
from napari_atomseg.imaging.probe import Probe, otf, peak_width, wavelength

__all__ = [
    "Probe",
    "circular_masks",
    "gaussians",
    "linear_image",
    "otf",
    "peak_width",
    "sum_of_waves",
    "wavelength",
]
