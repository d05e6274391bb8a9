"""Images of scatterers: conservation, positions, and independence of how they are computed."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.imaging import (
    LinearOptics,
    Probe,
    RadialOptics,
    RadialShape,
    form_image,
    wavelength,
)
from napari_atomseg.imaging import scattering as structure_factor
from napari_atomseg.imaging.form import _incoherent
from napari_atomseg.imaging.scattering import (
    cross_section,
    form_factor,
    high_angle_form_factor,
)
from napari_atomseg.specimen import Field, Scatterers

FIELD = Field((48, 64), 0.12, 12)
LENSES = [
    Probe(),
    Probe(200e3, 24.0, defocus=40.0, C3=3e4, source_size=0.5),
    Probe(80e3, 25.0, A1=30.0, A1_angle=20.0),
    Probe(300e3, 20.0, tail=0.2, tail_width=1.5),
]


def points(*rows):
    y, x, amount, number = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    return Scatterers(y, x, amount, number.astype(np.int64))


def random_points(rng, field, count, numbers=(0,)):
    y, x = (rng.uniform(field.lower[i], field.upper[i], count) for i in (0, 1))
    return Scatterers(y, x, rng.uniform(0.5, 1.5, count), rng.choice(numbers, count))


def image_of(scatterers, optics, field=FIELD):
    return form_image([optics], [scatterers], [field])[0].numpy().astype(float)


@pytest.mark.parametrize("probe", LENSES)
def test_the_total_intensity_is_that_of_the_points(probe):
    optics = LinearOptics(probe, gamma=1.5)
    image = image_of(points((1, 2, 2.0, 1), (3, 4, 1.0, 16)), optics)
    one = 2 * np.pi * (optics.width / FIELD.sampling) ** 2
    assert image.sum() == pytest.approx((2.0 + 64.0) * one, rel=1e-5)


@pytest.mark.parametrize("probe", LENSES)
def test_a_lone_point_of_amplitude_1_has_a_peak_of_1(probe):
    row, col = 20, 30
    at = (row * FIELD.sampling, col * FIELD.sampling, 1.0, 0)
    image = image_of(points(at), LinearOptics(probe))
    assert image[row + FIELD.margin, col + FIELD.margin] == pytest.approx(1.0, abs=0.01)
    assert image.argmax() == np.ravel_multi_index((row + 12, col + 12), image.shape)


@given(dy=st.floats(-0.5, 0.5), dx=st.floats(-0.5, 0.5), which=st.integers(0, 3))
@settings(max_examples=25)
def test_the_centroid_is_where_the_point_is(dy, dx, which):
    where = np.array([20 + dy, 30 + dx])
    image = image_of(points((*where * FIELD.sampling, 1.0, 0)), LinearOptics(LENSES[which]))
    # On a ring the phase of the slowest wave is the centre of mass of what is even about it.
    transform = np.fft.fft2(image)
    rows = -np.angle(transform[1, 0]) / (2 * np.pi) * image.shape[0] % image.shape[0]
    cols = -np.angle(transform[0, 1]) / (2 * np.pi) * image.shape[1] % image.shape[1]
    assert np.array([rows, cols]) - FIELD.margin == pytest.approx(where, abs=0.01)


def test_a_sample_is_the_same_in_any_batch():
    rng = np.random.default_rng(0)
    fields = [Field((40, 40), s, 8) for s in (0.1, 0.15, 0.4, 0.2)]
    optics = [
        LinearOptics(LENSES[0]),
        LinearOptics(LENSES[2], gamma=None),
        RadialOptics({0: RadialShape(0.8, 0.6, 0.7, 5.0, 0.5), 8: RadialShape(1, 1, 1, 9, 0.6)}),
        LinearOptics(LENSES[1]),
    ]
    sets = [
        random_points(rng, f, n, numbers)
        for f, n, numbers in zip(
            fields, (7, 300, 40, 3000), ((0,), (8, 38), (0, 8), (6,)), strict=True
        )
    ]
    together = form_image(optics, sets, fields)
    for i in range(4):
        assert torch.equal(
            together[i], form_image(optics[i : i + 1], sets[i : i + 1], fields[i : i + 1])[0]
        )


@pytest.mark.parametrize("probe", [Probe(), Probe(200e3, 24.0, source_size=0.1)])
def test_the_mesh_of_many_points_agrees_with_the_exact_sum(probe, monkeypatch):
    many = random_points(np.random.default_rng(1), FIELD, 1500)
    exact, mesh = (
        (monkeypatch.setattr(structure_factor, "MESH", limit), image_of(many, LinearOptics(probe)))[
            1
        ]
        for limit in (10_000, 0)
    )
    assert mesh == pytest.approx(exact, abs=1e-3 * exact.max())


@pytest.mark.parametrize("gamma", [1.7, None])
def test_coarse_pixels_sample_the_fine_image_at_points(gamma):
    fine, coarse = Field((96, 120), 0.1, 24), Field((24, 30), 0.4, 6)
    atoms = random_points(np.random.default_rng(2), fine, 60, (14, 32))
    optics = LinearOptics(Probe(200e3, 25.0, source_size=0.7), gamma)
    sharp, sampled = image_of(atoms, optics, fine), image_of(atoms, optics, coarse)
    assert sampled == pytest.approx(sharp[::4, ::4], abs=1e-3 * sharp.max())


def test_samples_formed_together_agree_with_each_alone():
    """As on devices other than a CPU, on which a whole batch is one product."""
    rng = np.random.default_rng(5)
    fields = [Field((40, 40), s, 8) for s in (0.1, 0.15, 0.12)]
    optics = [LinearOptics(lens) for lens in LENSES[:3]]
    sets = [random_points(rng, f, n, (6, 79)) for f, n in zip(fields, (5, 400, 0), strict=True)]
    together = _incoherent(list(zip(optics, sets, fields, strict=True)), "cpu")
    for i in range(3):
        alone = image_of(sets[i], optics[i], fields[i])
        assert together[i].numpy() == pytest.approx(alone, abs=2e-4 * max(1.0, alone.max()))


def test_images_add_up():
    rng = np.random.default_rng(3)
    one, other = (random_points(rng, FIELD, 20, (6, 79)) for _ in range(2))
    optics = LinearOptics(Probe(200e3, 20.0, B2=300.0), gamma=None)
    both = image_of(Scatterers.join([one, other]), optics)
    assert both == pytest.approx(
        image_of(one, optics) + image_of(other, optics), abs=1e-4 * both.max()
    )


def test_the_image_repeats_at_the_edges_of_the_canvas():
    height, width = (n * FIELD.sampling for n in FIELD.canvas)
    here = image_of(points((1.3, 2.4, 1.0, 0)), LinearOptics(Probe()))
    there = image_of(points((1.3 + height, 2.4 - width, 1.0, 0)), LinearOptics(Probe()))
    assert there == pytest.approx(here, abs=1e-5)


def test_no_points_make_an_empty_image():
    nothing = Scatterers(np.zeros(0), np.zeros(0), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert not image_of(nothing, LinearOptics(Probe())).any()


@pytest.mark.parametrize(("light", "heavy"), [(6, 14), (14, 32), (22, 38), (38, 79)])
def test_cross_sections_grow_with_a_power_of_z_between_1_and_2(light, heavy):
    optics = LinearOptics(Probe(200e3, 25.0), gamma=None, detector=(70.0, 180.0))
    ratio = np.divide(*optics.amplitude(np.array([heavy, light])))
    assert 1.3 < np.log(ratio) / np.log(heavy / light) < 2.0
    image = image_of(points((2.4, 3.6, 1.0, heavy)), optics)
    other = image_of(points((2.4, 3.6, 1.0, light)), optics)
    assert image.sum() / other.sum() == pytest.approx(ratio, rel=1e-4)


def test_cross_sections_end_in_rutherford_scattering():
    """dσ/dΩ = (2 γ Z / a0 q²)², q = 2π k, integrated over solid angles of small angles."""
    energy, (inner, outer) = 100e3, (400.0, 1200.0)
    lam, gamma = wavelength(energy), 1 + energy / 510_998.95
    k1, k2 = inner * 1e-3 / lam, outer * 1e-3 / lam
    factor = 2 * gamma * 8 / (0.529177 * 4 * np.pi**2)
    rutherford = lam**2 * factor**2 * np.pi * (1 / k1**2 - 1 / k2**2)
    assert cross_section(8, energy, (inner, outer)) == pytest.approx(rutherford, rel=0.08)


@pytest.mark.parametrize("number", [6, 14, 38, 79])
def test_the_two_tables_of_form_factors_agree_where_both_hold(number):
    k = np.linspace(0.6, 3.0, 20)
    assert high_angle_form_factor(number, k) == pytest.approx(form_factor(number, k), rel=0.06)


def test_impossible_detectors_are_named():
    with pytest.raises(ValueError, match="detector"):
        LinearOptics(Probe(), None, (100.0, 50.0))


def test_there_is_no_element_0():
    with pytest.raises(ValueError, match="atomic number 0"):
        form_factor(0, np.zeros(1))


def test_differing_canvases_are_refused():
    optics = LinearOptics(Probe())
    nothing = points((1, 1, 1, 0))
    with pytest.raises(ValueError, match="canvas"):
        form_image([optics] * 2, [nothing] * 2, [FIELD, Field((48, 48), 0.1, 12)])
