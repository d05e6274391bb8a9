"""Aberrated probes against symmetries, limits and closed forms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.imaging import LinearOptics, Probe, form_image, peak_width, wavelength
from napari_atomseg.imaging.probe import aberration_phase, aberration_slope
from napari_atomseg.imaging.transfer import radial_transfer, transfer_at
from napari_atomseg.specimen import Field, Scatterers

FIELD = Field((128, 128), 0.06, 0)
KY = np.fft.fftfreq(64, 0.12)[:, None]
KX = np.fft.rfftfreq(64, 0.12)[None]


def spot(probe):
    """A probe on the centre of the field."""
    at = np.array([64 * FIELD.sampling])
    point = Scatterers(at, at, np.ones(1), np.zeros(1, dtype=np.int64))
    return form_image([LinearOptics(probe)], [point], [FIELD])[0].numpy()


def moments(image):
    rows, cols = np.mgrid[-64:64, -64:64] * FIELD.sampling
    near = np.where(np.hypot(rows, cols) < 2.0, image, 0.0)
    return np.array(
        [(near * rows**2).sum(), (near * rows * cols).sum(), (near * cols**2).sum()]
    ) / (near.sum())


@pytest.mark.parametrize(("energy", "semiangle"), [(60e3, 30.0), (200e3, 20.0), (300e3, 10.0)])
def test_the_probe_is_as_wide_as_diffraction_allows(energy, semiangle):
    """An Airy disc is 0.5145 λ/α wide at half of its height."""
    probe = Probe(energy, semiangle, source_size=0.0)
    airy = 0.5145 * wavelength(energy) / (semiangle * 1e-3)
    sampling = airy / 20
    field = Field((200, 200), sampling, 0)
    at = np.array([100 * sampling])
    point = Scatterers(at, at, np.ones(1), np.zeros(1, dtype=np.int64))
    profile = form_image([LinearOptics(probe)], [point], [field])[0, 100].numpy()
    right = profile[100:]
    half = np.argmax(right < 0.5)
    edge = half - (0.5 - right[half]) / (right[half - 1] - right[half])
    assert 2 * edge * sampling == pytest.approx(airy, rel=0.01)


@pytest.mark.parametrize("lens", [{}, {"defocus": 60.0, "C3": 2e4}, {"C5": 4e7}])
def test_the_general_transfer_has_the_round_one_as_its_limit(lens):
    probe = Probe(200e3, 20.0, source_size=0.6, **lens)
    skew = Probe(200e3, 20.0, source_size=0.6, A1=1e-6, **lens)
    assert transfer_at(skew, KY, KX) == pytest.approx(transfer_at(probe, KY, KX), abs=0.01)
    assert peak_width(skew) == pytest.approx(peak_width(probe), rel=0.01)


@given(defocus=st.floats(-300, 300), c3=st.floats(-1e5, 1e5), c5=st.floats(-3e7, 3e7))
@settings(max_examples=20)
def test_a_round_probe_has_no_less_current_and_no_better_transfer_than_the_ideal(defocus, c3, c5):
    real = radial_transfer(Probe(200e3, 22.0, defocus, c3, 0.0, C5=c5))
    ideal = radial_transfer(Probe(200e3, 22.0, source_size=0.0))
    s = np.linspace(0.0, 2.0, len(ideal))
    overlap = 2 / np.pi * (np.arccos(s / 2) - s / 2 * np.sqrt(1 - s**2 / 4))
    assert ideal == pytest.approx(overlap, abs=1e-4)
    assert real[0] == pytest.approx(1.0, abs=1e-6)
    assert np.all(np.abs(real) <= ideal + 1e-3)


def test_a_small_defocus_lowers_the_transfer_by_the_variance_of_the_slope():
    """OTF ≈ overlap · (1 - ⟨Δχ²⟩ / 2) for a small phase χ = p ρ²: Δχ = 2 p x s over the overlap."""
    phase = 0.05
    probe = Probe(200e3, 20.0, source_size=0.0)
    defocus = phase / (np.pi * wavelength(200e3) * probe.cutoff**2)
    real = radial_transfer(Probe(200e3, 20.0, defocus, source_size=0.0))
    ideal = radial_transfer(probe)
    s = 0.8
    at = round(s / 2 * (len(ideal) - 1))
    y, x = np.mgrid[-1:1:801j, -1:1:801j]
    both = (np.hypot(x - s / 2, y) < 1) & (np.hypot(x + s / 2, y) < 1)
    lost = np.mean((2 * phase * x[both] * s) ** 2) / 2
    assert 1 - real[at] / ideal[at] == pytest.approx(lost, rel=0.02)


@pytest.mark.parametrize("degrees", [0.0, 35.0, 90.0])
def test_astigmatism_draws_lines_that_cross_on_either_side_of_focus(degrees):
    def direction(defocus):
        lens = Probe(200e3, 20.0, defocus, source_size=0.3, A1=40.0, A1_angle=degrees)
        yy, yx, xx = moments(spot(lens))
        return np.rad2deg(0.5 * np.arctan2(2 * yx, xx - yy)) % 180

    under, over = direction(40.0), direction(-40.0)
    assert (under - over) % 180 == pytest.approx(90.0, abs=3.0)
    # C1 + A1 is what is left along A1's own direction: overfocused, that is where the line lies.
    assert (over - degrees + 90) % 180 == pytest.approx(90.0, abs=3.0)


def test_threefold_astigmatism_has_threefold_symmetry():
    def transfer(degrees):
        return transfer_at(Probe(200e3, 22.0, A2=1200.0, A2_angle=degrees), KY, KX)

    assert np.abs(transfer(15.0).imag).max() > 0.03
    assert transfer(135.0) == pytest.approx(transfer(15.0), abs=1e-5)
    assert transfer(75.0) == pytest.approx(transfer(15.0).conj(), abs=1e-5)
    image = spot(Probe(200e3, 22.0, source_size=0.3, A2=1200.0, A2_angle=15.0))
    rows, cols = np.mgrid[-64:64, -64:64] * FIELD.sampling
    near = np.where(np.hypot(rows, cols) < 2.0, image, 0.0)
    first, second, third = (np.sum(near * (cols + 1j * rows) ** n) for n in (1, 2, 3))
    assert abs(first) < 0.02 * abs(third)
    assert abs(second) < 0.02 * abs(third)
    assert (np.rad2deg(np.angle(third)) / 3 - 15.0 + 30.0) % 60 == pytest.approx(30.0, abs=1.0)


@pytest.mark.parametrize("degrees", [0.0, 60.0, 180.0])
def test_coma_has_its_peak_on_the_column_and_its_tail_along_its_axis(degrees):
    image = spot(Probe(200e3, 22.0, source_size=0.4, B2=500.0, B2_angle=degrees))
    peak = np.array(np.unravel_index(image.argmax(), image.shape))
    assert np.abs(peak - 64).max() <= 1
    rows, cols = np.mgrid[-64:64, -64:64]
    turn = np.deg2rad(degrees)
    along = rows * np.sin(turn) + cols * np.cos(turn)
    across = rows * np.cos(turn) - cols * np.sin(turn)
    assert abs((image * along).sum()) > 10 * abs((image * across).sum())


@given(
    ky=st.floats(-0.8, 0.8),
    kx=st.floats(-0.8, 0.8),
    seed=st.integers(0, 100),
)
def test_the_slope_is_the_gradient_of_the_phase(ky, kx, seed):
    rng = np.random.default_rng(seed)
    a1, b2, a2 = rng.uniform(0, [50, 400, 400])
    t1, t2, t3 = rng.uniform(0, 360, 3)
    lens = Probe(
        200e3, 25.0, 50.0, 2e4, C5=1e6, A1=a1, A1_angle=t1, B2=b2, B2_angle=t2, A2=a2, A2_angle=t3
    )
    step = 1e-5

    def phase(dy, dx):
        at = np.array([[ky + dy]]), np.array([[kx + dx]])
        return aberration_phase(lens, *at)[0, 0]

    slope = aberration_slope(lens, np.array([[ky]]), np.array([[kx]]))[0, 0]
    lam = wavelength(200e3)
    expected_x = (phase(0, step) - phase(0, -step)) / (2 * step * lam)
    expected_y = (phase(step, 0) - phase(-step, 0)) / (2 * step * lam)
    scale = 1e-4 * max(1.0, abs(slope))
    assert slope.real == pytest.approx(expected_x, abs=scale)
    assert slope.imag == pytest.approx(expected_y, abs=scale)


@pytest.mark.parametrize(
    ("name", "value"), [("tail", 1.5), ("tail_width", -1.0), ("source_size", -1.0)]
)
def test_impossible_probes_are_named(name, value):
    with pytest.raises(ValueError, match=name):
        Probe(**{name: value})
