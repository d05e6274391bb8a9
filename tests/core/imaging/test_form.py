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
    structure_factor,
)
from napari_atomseg.imaging.scattering import form_factor
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


def test_form_factors_widen_atoms_and_say_how_bright_they_are():
    optics = LinearOptics(Probe(200e3, 25.0, source_size=0.4), gamma=None)
    ratio = optics.amplitude(np.array([79, 8, 0]))
    assert ratio[2] == 1.0
    assert ratio[:2] == pytest.approx([form_factor(n, np.zeros(1))[0] for n in (79, 8)])
    bare = image_of(points((2.4, 3.6, 1.0, 0)), optics)
    gold = image_of(points((2.4, 3.6, 1.0, 79)), optics)
    assert gold.sum() / bare.sum() == pytest.approx(ratio[0], rel=1e-4)
    assert gold.max() / bare.max() < 0.6 * ratio[0]


def test_forward_scattering_is_that_of_mott_and_bethe():
    # f(k) k² -> (m e² / 2π ħ² ε0) Z for large k: 2 Z / a0 / (2π)² / k².
    k = np.array([3.5])
    screened = 2 * 14 / 0.529177 / (2 * np.pi * k) ** 2
    assert form_factor(14, k) < screened
    assert form_factor(14, k) == pytest.approx(screened, rel=0.35)
    with pytest.raises(ValueError, match="atomic number 0"):
        form_factor(0, k)


def test_differing_canvases_are_refused():
    optics = LinearOptics(Probe())
    nothing = points((1, 1, 1, 0))
    with pytest.raises(ValueError, match="canvas"):
        form_image([optics] * 2, [nothing] * 2, [FIELD, Field((48, 48), 0.1, 12)])
