"""Presets are microscopes that work, at the conditions they claim."""

import numpy as np
import pytest

from napari_atomseg.imaging import HRTEMOptics, Probe, microscopes, peak_width, wavelength
from napari_atomseg.imaging.hrtem import contrast_transfer

STEM = {n: s for n, s in microscopes().items() if s["imaging"] == "linear"}
HRTEM = {n: s for n, s in microscopes().items() if s["imaging"] == "hrtem"}


def arguments(settings):
    return {name: value for name, value in settings.items() if name != "imaging"}


@pytest.mark.parametrize("name", STEM)
def test_corrected_probes_resolve_better_than_uncorrected_ones(name):
    sigma = peak_width(Probe(**arguments(STEM[name])))
    low, high = (0.2, 0.6) if name.startswith("probe-corrected") else (0.5, 1.0)
    assert low < sigma < high


@pytest.mark.parametrize("name", [name for name in STEM if name.startswith("uncorrected")])
def test_uncorrected_probes_stand_at_their_sharpest_focus(name):
    settings = {**arguments(STEM[name]), "source_size": 0.0}
    best = peak_width(Probe(**settings))
    for factor in (0.6, 1.4):
        assert peak_width(Probe(**{**settings, "defocus": factor * settings["defocus"]})) > best


@pytest.mark.parametrize(
    ("name", "resolution"),
    [
        ("image-corrected 300 kV HRTEM", 1.1),
        ("image-corrected 80 kV HRTEM", 1.2),
        ("uncorrected 200 kV HRTEM", 2.6),
    ],
)
def test_transfer_of_phase_keeps_one_sign_up_to_the_resolution(name, resolution):
    optics = HRTEMOptics(**arguments(HRTEM[name]))
    k = np.linspace(0.25, 1.0 / resolution, 50)[None]
    sine = -contrast_transfer(optics, np.zeros((1, 1)), k).imag
    # Atoms are bright where sin χ > 0: with a negative C3.
    assert np.all(-np.sign(optics.C3) * sine > 0)


def test_names_say_the_voltage():
    for name, settings in microscopes().items():
        assert f"{settings['energy'] / 1e3:.0f} kV" in name
        assert wavelength(settings["energy"]) > 0
