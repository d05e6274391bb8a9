"""Phase contrast against the theory of weak phase objects."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.imaging import HRTEMOptics, LinearOptics, Probe, form_image, wavelength
from napari_atomseg.imaging.hrtem import contrast_transfer, seen_through
from napari_atomseg.specimen import Field, Scatterers

FIELD = Field((64, 64), 0.2, 0)
CORRECTED = HRTEMOptics(80e3, defocus=-60.0, C3=-1e5, focal_spread=20.0)


def image_of(optics, y, x, number=6, amount=1.0, field=FIELD):
    y, x = np.atleast_1d(y).astype(float), np.atleast_1d(x).astype(float)
    atoms = Scatterers(y, x, np.full(len(y), amount), np.full(len(y), number))
    return form_image([optics], [atoms], [field])[0].numpy().astype(float)


def test_vacuum_is_as_bright_as_the_beam():
    assert image_of(CORRECTED, [], []) == pytest.approx(1.0, abs=1e-5)


def test_a_lens_without_aperture_passes_every_electron():
    open_lens = HRTEMOptics(
        80e3, defocus=100.0, focal_spread=0.0, semiangle=0.0, aperture=150.0, vibration=0.1
    )
    assert image_of(open_lens, 6.0, 6.0).mean() == pytest.approx(1.0, abs=1e-4)


@given(defocus=st.floats(-150, 150), c3=st.floats(-2e5, 2e5), order=st.integers(2, 12))
@settings(max_examples=25)
def test_a_weak_grating_is_imaged_with_the_sine_of_the_phase(defocus, c3, order):
    """I_k = 2 φ_k E sin χ(k) for exp(iφ) with a weak φ (Kirkland, section 3.1)."""
    optics = HRTEMOptics(80e3, defocus=defocus, C3=c3, focal_spread=25.0, semiangle=0.2)
    size, strength = 12.8, 1e-3
    x = torch.arange(128, dtype=torch.float64) / 128
    phase = strength * torch.cos(2 * np.pi * order * x)
    wave = torch.exp(1j * phase).expand(32, 128)
    image = seen_through(optics, wave, (size, size)).numpy()
    seen = 2 * np.fft.fft(image[0])[order].real / 128
    k, lam = order / size, wavelength(80e3)
    chi = np.pi * lam * k**2 * (0.5 * c3 * lam**2 * k**2 - defocus)
    slope = 2 * np.pi * k * (c3 * lam**2 * k**2 - defocus)
    envelope = np.exp(-((0.5 * np.pi * lam * 25.0 * k**2) ** 2) - (0.5 * 0.2e-3 * slope) ** 2)
    passes = k < optics.limit
    assert seen == pytest.approx(passes * 2 * strength * envelope * np.sin(chi), abs=3e-6)


@pytest.mark.parametrize(("defocus", "c3", "sign"), [(-60.0, -1e5, 1), (60.0, 1e5, -1)])
def test_atoms_are_bright_with_negative_and_dark_with_positive_spherical_aberration(
    defocus, c3, sign
):
    image = image_of(HRTEMOptics(80e3, defocus=defocus, C3=c3, focal_spread=20.0), 6.0, 6.0)
    assert sign * (image[30, 30] - 1.0) > 0.02
    assert np.abs(image - 1.0).argmax() == np.ravel_multi_index((30, 30), image.shape)


def test_contrast_of_few_atoms_grows_with_their_number_and_their_potential():
    one = image_of(CORRECTED, 6.0, 6.0)[30, 30] - 1.0
    two = image_of(CORRECTED, 6.0, 6.0, amount=2.0)[30, 30] - 1.0
    iodine = image_of(CORRECTED, 6.0, 6.0, number=53)[30, 30] - 1.0
    assert two == pytest.approx(2 * one, rel=0.2)
    assert iodine > 2 * one
    assert CORRECTED.amplitude(np.array([6, 0])) == pytest.approx(1.0)


@given(dy=st.floats(-0.5, 0.5), dx=st.floats(-0.5, 0.5))
@settings(max_examples=10)
def test_atoms_stand_where_they_are_to_a_hundredth_of_a_pixel(dy, dx):
    image = image_of(CORRECTED, 6.4 + 0.2 * dy, 6.4 + 0.2 * dx) - 1.0
    transform = np.fft.fft2(image)
    # Waves of the band in which a symmetric spot's transform does not change its sign.
    row = -np.angle(transform[1:8, 0] * np.sign(image[32, 32]))
    col = -np.angle(transform[0, 1:8] * np.sign(image[32, 32]))
    k = 2 * np.pi * np.arange(1, 8) / 64
    for phases, where in ((row, 32 + dy), (col, 32 + dx)):
        error = np.angle(np.exp(2j * (phases - k * where))) / (2 * k)
        assert np.abs(error[2:]).max() < 0.01


def test_focal_spread_takes_the_fine_detail():
    def detail(spread):
        image = image_of(replace(CORRECTED, focal_spread=spread), 6.0, 6.0)
        spectrum = np.abs(np.fft.fft2(image))
        return spectrum[10:14, 0].sum()

    assert detail(60.0) < 0.2 * detail(10.0)


def test_a_tilted_beam_moves_the_image_by_the_slope_of_the_defocus():
    """Δr = Δf · τ for a small tilt; the image of a tilted beam is displaced and not deformed."""
    lens = HRTEMOptics(200e3, defocus=400.0, focal_spread=5.0, semiangle=0.0)
    straight = contrast_transfer(lens, np.array([[0.3]]), np.array([[0.0]]))[0, 0]
    tilted = contrast_transfer(
        replace(lens, tilt=(1.0, 0.0)), np.array([[0.3]]), np.array([[0.0]])
    )[0, 0]
    shift = np.angle(tilted / straight) / (2 * np.pi * 0.3)
    assert abs(shift) == pytest.approx(400.0 * 1e-3, rel=0.01)


def test_the_core_of_an_atom_has_the_stated_width():
    field = Field((128, 128), 0.05, 0)
    profile = image_of(CORRECTED, 3.2, 3.2, field=field)[64, 64:] - 1.0
    half = np.argmax(profile < 0.5 * profile[0]) * field.sampling
    assert CORRECTED.width * np.sqrt(2 * np.log(2)) == pytest.approx(half, abs=0.06)


def test_coherent_and_incoherent_samples_share_a_batch():
    atoms = Scatterers(np.array([6.0]), np.array([7.0]), np.ones(1), np.array([6]))
    optics = [CORRECTED, LinearOptics(Probe()), CORRECTED]
    batch = form_image(optics, [atoms] * 3, [FIELD] * 3)
    assert torch.equal(batch[0], batch[2])
    assert torch.equal(batch[1], form_image(optics[1:2], [atoms], [FIELD])[0])


@pytest.mark.parametrize("name", ["energy", "aperture", "focal_spread", "semiangle", "vibration"])
def test_impossible_microscopes_are_named(name):
    with pytest.raises(ValueError, match=name):
        HRTEMOptics(**{name: -1.0})


def test_delocalization_is_that_of_the_steepest_aberration():
    """R = |C3 λ³ k³ - Δf λ k| for round lenses."""
    optics = HRTEMOptics(200e3, defocus=600.0, C3=1.2e7, focal_spread=60.0, aperture=20.0)
    lam = wavelength(200e3)
    k = np.linspace(0.0, optics.limit, 2001)
    steepest = np.abs(1.2e7 * (lam * k) ** 3 - 600.0 * lam * k).max()
    assert optics.delocalization == pytest.approx(steepest, rel=0.02)
    assert HRTEMOptics(80e3).delocalization == 0.0
