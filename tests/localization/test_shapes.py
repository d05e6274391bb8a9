import numpy as np
import pytest
import torch

from napari_atomseg.localization.fit.centroids import centres_of_mass, centroids
from napari_atomseg.localization.fit.gaussian import EllipticProblem, axes_of, column_values
from napari_atomseg.localization.fit.independent import fit_gaussians
from napari_atomseg.localization.fit.noise import estimate_noise


def ellipse_image(shape, y, x, widths, angle, amplitude, background):
    """An elliptic Gaussian of widths (long, short), its long axis turned from x towards y."""
    rows, cols = np.indices(shape, dtype=float)
    turn = np.deg2rad(angle)
    along = (cols - x) * np.cos(turn) + (rows - y) * np.sin(turn)
    across = -(cols - x) * np.sin(turn) + (rows - y) * np.cos(turn)
    square = (along / widths[0]) ** 2 + (across / widths[1]) ** 2
    return amplitude * np.exp(-0.5 * square) + background


def test_normal_equations_of_ellipses_are_those_of_their_derivatives():
    generator = torch.Generator().manual_seed(0)
    step = torch.arange(-7.0, 8.0, dtype=torch.float64)
    theta = torch.tensor(
        [[0.3, -0.2, 1.1, 5.0, 1.0, 0.3, -0.4], [0.1, 0.4, 0.9, 2.0, 0.2, 1e-4, 2e-4]],
        dtype=torch.float64,
    )
    data, weight = torch.rand(2, 2, 15, 15, generator=generator, dtype=torch.float64)
    whole = torch.autograd.functional.jacobian(lambda t: column_values(t, step), theta)
    slopes = torch.stack([whole[i, :, :, i] for i in range(2)])
    rest = data - column_values(theta, step)
    problem = EllipticProblem(step, data, weight, torch.ones(2, 7, dtype=torch.bool))
    normal = problem(theta, torch.arange(2))
    matrix = torch.einsum("nijp,nij,nijq->npq", slopes, weight, slopes)
    slope = torch.einsum("nijp,nij->np", slopes, weight * rest)
    torch.testing.assert_close(normal.matrix, matrix, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(normal.slope, slope, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(normal.cost, (weight * rest**2).sum((1, 2)))


@pytest.mark.parametrize("angle", [-60.0, 0.0, 25.0, 90.0])
def test_width_angle_and_volume_of_a_turned_ellipse_are_found(angle):
    image = ellipse_image((60, 64), 30.3, 31.7, (4.5, 3.0), angle, 200.0, 10.0)
    start = np.array([30.0]), np.array([32.0])
    fits = fit_gaussians(torch.from_numpy(image), *start, shape="rotated")
    assert fits.y[0] == pytest.approx(30.3, abs=1e-3)
    assert fits.x[0] == pytest.approx(31.7, abs=1e-3)
    assert fits.ellipticity[0] == pytest.approx(1.5, rel=1e-3)
    assert abs((fits.angle[0] - angle + 90) % 180 - 90) < 0.1
    assert fits.volume[0] == pytest.approx(2 * np.pi * 4.5 * 3.0 * 200.0, rel=1e-3)


def test_ellipses_along_the_axes_do_not_turn(rng):
    image = ellipse_image((60, 60), 30.0, 30.0, (4.0, 3.0), 90.0, 500.0, 20.0)
    image = rng.poisson(image).astype(float)
    start = np.array([30.4]), np.array([29.6])
    fits = fit_gaussians(torch.from_numpy(image), *start, shape="elliptic")
    assert abs(fits.angle[0]) == pytest.approx(90.0)
    assert fits.ellipticity[0] == pytest.approx(4 / 3, rel=0.05)


def test_round_columns_have_hardly_an_ellipticity(scene, rng):
    known = scene(6, 26, 3.0, 1000.0, 100.0)
    fits = fit_gaussians(torch.from_numpy(known.counted(rng)), *known.near(rng), shape="rotated")
    assert np.median(fits.ellipticity) < 1.05
    z = (fits.y - known.y) / fits.y_err
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.35)
    plain = fit_gaussians(torch.from_numpy(known.image), *known.near(rng))
    assert np.isnan(plain.ellipticity).all()


def test_long_axis_is_measured_from_x_towards_y():
    theta = torch.zeros(2, 7, dtype=torch.float64)
    # More variance along y, and a positive covariance of y and x.
    theta[0, 5], theta[1, 6] = 0.4, 0.4
    ratio, angle = axes_of(theta)
    torch.testing.assert_close(ratio, torch.full_like(ratio, np.exp(0.4)))
    assert abs(float(angle[0])) == pytest.approx(90.0)
    assert float(angle[1]) == pytest.approx(45.0)


def test_volume_errors_of_isolated_columns_cover(scene, rng):
    known = scene(14, 26, 3.0, 300.0, 60.0)
    fits = fit_gaussians(torch.from_numpy(known.counted(rng)), *known.near(rng))
    z = (fits.volume - 2 * np.pi * 9.0 * 300.0) / fits.volume_err
    assert np.mean(np.abs(z) < 1.0) == pytest.approx(0.683, abs=0.1)
    assert np.mean(np.abs(z) < 1.96) == pytest.approx(0.95, abs=0.05)


@pytest.mark.parametrize("likelihood", ["auto", "gaussian", "poisson"])
def test_each_likelihood_states_the_errors_of_its_own_noise(likelihood, scene, rng):
    known = scene(10, 26, 3.0, 100.0, 20.0)
    noisy = known.image + rng.normal(0.0, 8.0, known.image.shape)
    image = noisy if likelihood == "gaussian" else known.counted(rng)
    fits = fit_gaussians(torch.from_numpy(image), *known.near(rng), likelihood=likelihood)
    z = np.stack([(fits.y - known.y) / fits.y_err, (fits.x - known.x) / fits.x_err])
    assert np.sqrt(np.mean(z**2)) == pytest.approx(1.0, abs=0.2)


def test_noise_models_keep_to_their_likelihood():
    expected = torch.linspace(10.0, 200.0, 2000, dtype=torch.float64)
    squared = 3.0 * expected
    counts = estimate_noise(expected, squared, "poisson")
    assert counts.gain == pytest.approx(3.0)
    assert counts.offset == 0.0
    # Dark columns are fitted on the negative: the light is still there.
    assert estimate_noise(-expected, squared, "poisson").gain == pytest.approx(-3.0)
    flat = estimate_noise(expected, squared, "gaussian")
    assert flat.gain == 0.0
    assert flat.offset == pytest.approx(float(squared.mean()))


@pytest.mark.parametrize("find", [centroids, centres_of_mass])
def test_centres_of_lone_columns_are_found_without_a_fit(find, scene, rng):
    known = scene(5, 26, 3.0, 1e4, 1e3)
    fits = find(torch.from_numpy(known.counted(rng)), *known.near(rng))
    np.testing.assert_allclose(fits.y, known.y, atol=0.12)
    np.testing.assert_allclose(fits.x, known.x, atol=0.12)
    assert fits.converged.all()
    assert np.isnan(fits.y_err).all()


def test_a_disc_is_less_drawn_to_unequal_neighbours_than_a_cell(draw):
    y, x = np.array([30.0, 30.0, 30.0]), np.array([16.0, 30.0, 44.0])
    image = torch.from_numpy(draw((60, 60), y, x, 3.5, np.array([2000.0, 400.0, 200.0]), 50.0))
    disc, cell = (abs(find(image, y, x).x[1] - 30.0) for find in (centres_of_mass, centroids))
    assert disc < cell
