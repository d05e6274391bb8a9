"""Radial functions of atoms against integrals and the constraints of Lobato et al."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.imaging import RadialImaging, RadialOptics, RadialShape, form_image
from napari_atomseg.imaging.radial import mean_square_radius, radius
from napari_atomseg.imaging.scattering import coefficients, form_factor
from napari_atomseg.specimen import Columns, Field, Scatterers, Specimen

SHAPES = st.builds(
    RadialShape,
    h1=st.floats(0.5, 1.0),
    h2=st.floats(0.5, 1.0),
    h3=st.floats(0.5, 1.0),
    n=st.floats(4.0, 16.0),
    radius=st.floats(0.3, 1.2),
)


@given(shape=SHAPES)
@settings(max_examples=20)
def test_integrals_are_those_of_the_function(shape):
    r = np.linspace(0.0, 60.0 * shape.radius, 200_001)
    assert shape.line_integral == pytest.approx(np.trapezoid(shape(r), r), rel=1e-5)
    assert shape.integral == pytest.approx(np.trapezoid(shape(r) * 2 * np.pi * r, r), rel=1e-4)
    assert shape.table[0] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("n", "y", "x"), [(4.0, 8.03, 8.91), (8.0, 8.0, 8.5), (16.0, 8.4, 8.2)])
def test_an_atom_looks_like_its_function(n, y, x):
    shape = RadialShape(1.0, 0.7, 0.9, n, 0.7)
    optics, field = RadialOptics({0: shape, 8: shape}), Field((128, 128), 0.15, 0)
    atom = Scatterers(np.array([y]), np.array([x]), np.ones(1), np.array([8]))
    image = form_image([optics], [atom], [field])[0].numpy()
    rows, cols = np.mgrid[:128, :128] * field.sampling
    exact = shape(np.hypot(rows - y, cols - x)) / shape(np.zeros(1))
    # The cusp of the exponential is rounded, and the tail comes back around the ring.
    assert image == pytest.approx(exact, abs=0.02)
    assert np.median(np.abs(image - exact)) < 2e-3


@pytest.mark.parametrize("number", [6, 14, 38, 79])
def test_mean_square_radii_are_those_of_the_projected_potential(number):
    """Eq. 21 by quadrature: an amplitude a exp(-b k²/4) has the potential 4πa/b exp(-4π²r²/b)."""
    a, b = coefficients(number)
    r = np.linspace(0.0, 30.0, 300_001)[:, None]
    potential = (4 * np.pi * a / b * np.exp(-4 * np.pi**2 * r**2 / b)).sum(axis=1)
    r = r[:, 0]
    assert np.trapezoid(potential * 2 * np.pi * r, r) == pytest.approx(
        form_factor(number, np.zeros(1))[0], rel=1e-3
    )
    square = np.trapezoid(potential * r**3, r) / np.trapezoid(potential * r, r)
    assert mean_square_radius(number) == pytest.approx(np.sqrt(square), rel=1e-3)


@given(alpha=st.floats(0.75, 1.25))
def test_radii_keep_their_mean_and_spread(alpha):
    radii = np.array([mean_square_radius(n) for n in range(1, 99)])
    changed = np.array([radius(n, alpha) for n in range(1, 99)])
    assert changed.mean() == pytest.approx(radii.mean())
    assert changed.std() == pytest.approx(radii.std())
    assert np.array_equal(np.argsort(changed), np.argsort(radii))
    assert radius(6, 1.0) == pytest.approx(mean_square_radius(6))


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_heavier_elements_have_larger_integrals(seed):
    rng = np.random.default_rng(seed)
    numbers = rng.choice(np.arange(1, 104), 16, replace=False)
    atoms = Scatterers(np.zeros(16), np.zeros(16), np.ones(16), numbers.astype(np.int64))
    specimen = Specimen(atoms, Columns.empty())
    optics = RadialImaging().draw(rng, Field((8, 8), 1.0), specimen)
    shapes = [optics.shapes_by_number[int(n)] for n in sorted(numbers)]
    assert np.all(np.diff([shape.line_integral for shape in shapes]) > 0)
    assert all(4.0 <= shape.n <= 16.0 and shape.h1 >= 0.5 for shape in shapes)


def test_peaks_are_relative_to_the_reference():
    shapes = {0: RadialShape(0.5, 0.5, 0.5, 6, 0.5), 26: RadialShape(1.0, 1.0, 1.0, 6, 0.7)}
    optics, field = RadialOptics(shapes), Field((96, 96), 0.1, 0)
    where = np.array([3.0, 7.0])
    image = form_image(
        [optics], [Scatterers(where, where, np.ones(2), np.array([0, 26]))], [field]
    )[0].numpy()
    assert image[30, 30] == pytest.approx(1.0, abs=0.06)
    assert image[70, 70] / image[30, 30] == pytest.approx(2.0, rel=0.03)
    assert optics.amplitude(np.array([26]))[0] == pytest.approx(2.0 * 1.4**2)


def test_elements_without_a_function_and_impossible_functions_are_named():
    optics = RadialOptics({0: RadialShape(1, 1, 1, 5, 1)})
    with pytest.raises(ValueError, match="26"):
        optics.amplitude(np.array([26]))
    with pytest.raises(ValueError, match="reference"):
        RadialOptics({6: RadialShape(1, 1, 1, 5, 1)})
    with pytest.raises(ValueError, match="radius"):
        RadialShape(1, 1, 1, 5, 0)
