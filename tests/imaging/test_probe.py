"""The probe against closed forms."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.imaging import Probe, peak_width, wavelength
from napari_atomseg.imaging.transfer import transfer_at


@pytest.mark.parametrize(
    ("energy", "value"), [(60e3, 0.04866), (100e3, 0.03701), (200e3, 0.02508), (300e3, 0.01969)]
)
def test_wavelengths_are_those_of_the_tables(energy, value):
    assert wavelength(energy) == pytest.approx(value, abs=1e-5)


def test_unaberrated_transfer_is_the_autocorrelation_of_a_disc():
    probe = Probe(200e3, 20.0, source_size=0.0)
    k = np.fft.rfftfreq(256, 0.1)[None]
    transfer = transfer_at(probe, np.zeros((1, 1)), k)[0]
    s = k[0] / (2 * probe.cutoff)
    inside = s < 1
    exact = np.zeros_like(s)
    exact[inside] = 2 / np.pi * (np.arccos(s[inside]) - s[inside] * np.sqrt(1 - s[inside] ** 2))
    assert transfer == pytest.approx(exact, abs=1e-3)


@given(
    semiangle=st.floats(8, 35),
    defocus=st.floats(-100, 100),
    c3=st.floats(-1e4, 1e4),
    source=st.floats(0, 1.5),
)
def test_no_frequency_is_transferred_better_than_by_the_ideal_lens(semiangle, defocus, c3, source):
    probe = Probe(200e3, semiangle, defocus, c3, source)
    ideal = Probe(200e3, semiangle, source_size=0.0)
    k = np.fft.rfftfreq(64, 0.1)[None]
    real, best = (transfer_at(lens, np.zeros((1, 1)), k)[0] for lens in (probe, ideal))
    assert real[0] == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.abs(real) <= best + 1e-3)


def test_aberrations_and_sources_widen_the_probe():
    sharp = peak_width(Probe(200e3, 20.0, source_size=0.0))
    assert peak_width(Probe(200e3, 20.0, defocus=80.0, source_size=0.0)) > sharp
    assert peak_width(Probe(200e3, 20.0, C3=2e5, source_size=0.0)) > sharp
    assert peak_width(Probe(200e3, 20.0, source_size=1.0)) > sharp


def test_a_source_much_larger_than_the_diffraction_limit_sets_the_width():
    assert peak_width(Probe(200e3, 60.0, source_size=3.0)) == pytest.approx(3.0 / 2.3548, rel=0.03)


@pytest.mark.parametrize("name", ["energy", "semiangle"])
def test_impossible_lenses_are_named(name):
    with pytest.raises(ValueError, match=name):
        Probe(**{name: 0.0})
