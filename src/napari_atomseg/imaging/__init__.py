"""Electron optics and scattering: from columns to the ideal image."""

from napari_atomseg.imaging.contrast import (
    Contrast,
    ContrastRecipe,
    contrast_background,
    level,
    structure_contrast,
)
from napari_atomseg.imaging.form import form_image
from napari_atomseg.imaging.hrtem import HRTEMOptics
from napari_atomseg.imaging.optics import LinearOptics, Optics, sum_of_waves
from napari_atomseg.imaging.probe import FWHM_PER_SIGMA, Probe, microscopes, wavelength
from napari_atomseg.imaging.radial import RadialOptics, RadialShape, circular_masks, gaussians
from napari_atomseg.imaging.recipes import (
    AbsoluteLens,
    AnyImaging,
    Condition,
    HRTEMImaging,
    LinearImaging,
    MultisliceImaging,
    RadialImaging,
    RelativeLens,
)
from napari_atomseg.imaging.transfer import peak_width

__all__ = [
    "FWHM_PER_SIGMA",
    "AbsoluteLens",
    "AnyImaging",
    "Condition",
    "Contrast",
    "ContrastRecipe",
    "HRTEMImaging",
    "HRTEMOptics",
    "LinearImaging",
    "LinearOptics",
    "MultisliceImaging",
    "Optics",
    "Probe",
    "RadialImaging",
    "RadialOptics",
    "RadialShape",
    "RelativeLens",
    "circular_masks",
    "contrast_background",
    "form_image",
    "gaussians",
    "level",
    "microscopes",
    "peak_width",
    "structure_contrast",
    "sum_of_waves",
    "wavelength",
]
