"""Electron optics and scattering: from columns to the ideal image."""

from napari_atomseg.imaging.form import form_image
from napari_atomseg.imaging.linear import linear_image, sum_of_waves
from napari_atomseg.imaging.optics import LinearOptics, Optics
from napari_atomseg.imaging.probe import FWHM_PER_SIGMA, Probe, wavelength
from napari_atomseg.imaging.spots import circular_masks, gaussians
from napari_atomseg.imaging.transfer import otf, peak_width

__all__ = [
    "FWHM_PER_SIGMA",
    "LinearOptics",
    "Optics",
    "Probe",
    "circular_masks",
    "form_image",
    "gaussians",
    "linear_image",
    "otf",
    "peak_width",
    "sum_of_waves",
    "wavelength",
]
