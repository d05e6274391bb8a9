import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_atomseg.localization.bounds import cramer_rao_bounds
from napari_atomseg.localization.fit.gaussian import GaussianProblem, gaussian_values
from napari_atomseg.localization.fit.independent import fit_gaussians
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.localization.fit.least_squares import levenberg_marquardt
from napari_atomseg.localization.fit.windows import initial_estimates
from napari_atomseg.progress import Cancelled, CancelToken

FITS = [fit_gaussians, fit_jointly]


def errors_of(fits, scene):
    found = np.isfinite(fits.y_err)
    step = np.concatenate([(fits.y - scene.y)[found], (fits.x - scene.x)[found]])
    return step, np.concatenate([fits.y_err[found], fits.x_err[found]])


@pytest.mark.parametrize("fit", FITS)
def test_noise_free_columns_are_found_exactly(fit, scene, rng):
    known = scene(5, 26, 3.0, 100.0, 20.0)
    fits = fit(torch.from_numpy(known.image), *known.near(rng))
    np.testing.assert_allclose(fits.y, known.y, atol=2e-3)
    np.testing.assert_allclose(fits.x, known.x, atol=2e-3)
    np.testing.assert_allclose(fits.sigma, 3.0, rtol=1e-3)
    np.testing.assert_allclose(fits.amplitude, 100.0, rtol=1e-3)
    np.testing.assert_allclose(fits.background, 20.0, rtol=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(("amplitude", "background"), [(100.0, 0.0), (100.0, 50.0), (20.0, 5.0)])
def test_isolated_columns_reach_the_bound_without_bias(fit, amplitude, background, scene, rng):
    known = scene(20, 26, 3.0, amplitude, background)
    fits = fit(torch.from_numpy(known.counted(rng)), *known.near(rng))
    step, stated = errors_of(fits, known)
    bound = cramer_rao_bounds(amplitude, 3.0, background)
    assert len(step) == 800
    # 800 numbers know their rms to 2.5 % and their mean to bound / 28.
    assert np.sqrt(np.mean(step**2)) / bound.y < 1.1
    assert abs(step.mean()) < 4 * bound.y / np.sqrt(800)
    assert np.mean(stated) == pytest.approx(bound.y, rel=0.06)
    assert np.mean(np.abs(step) < stated) == pytest.approx(0.683, abs=0.06)
    assert np.mean(np.abs(step) < 1.96 * stated) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5])
def test_the_typical_width_does_not_depend_on_where_columns_lie_between_pixels(phase):
    """A few false detections where there is nothing do not count, either."""
    axis = np.arange(128)
    line = np.exp(-0.5 * ((axis[:, None] - np.arange(8.0, 120.0, 16.0) - phase) / 2.5) ** 2)
    image = torch.from_numpy(60.0 + 300.0 * np.outer(line.sum(1), line.sum(1)))
    y, x = (v.ravel() for v in np.meshgrid(*2 * [np.arange(8.0, 120.0, 16.0) + phase]))
    empty = np.arange(8.0, 120.0, 16.0)
    y, x = np.append(y, np.full(len(empty), 122.0)), np.append(x, empty)
    assert initial_estimates(image, y, x).sigma == pytest.approx(2.5, rel=0.15)


def test_bias_is_below_a_hundredth_of_a_pixel_at_high_signal(scene, rng):
    known = scene(20, 20, 2.5, 1e4, 1e3)
    fits = fit_gaussians(torch.from_numpy(known.counted(rng)), *known.near(rng))
    step, _ = errors_of(fits, known)
    assert abs(step.mean()) < 1e-3
    assert np.abs(step).max() < 0.05


@pytest.mark.slow
def test_joint_fit_gains_from_overlapping_neighbours(scene, rng):
    known = scene(16, 12, 3.0, 100.0, 50.0)
    image, start = torch.from_numpy(known.counted(rng)), known.near(rng)
    alone, _ = errors_of(fit_gaussians(image, *start), known)
    together, stated = errors_of(fit_jointly(image, *start), known)
    assert np.sqrt(np.mean(together**2)) < 0.95 * np.sqrt(np.mean(alone**2))
    assert np.sqrt(np.mean(together**2)) < 1.15 * cramer_rao_bounds(100.0, 3.0, 50.0).y
    assert np.mean(np.abs(together) < stated) == pytest.approx(0.683, abs=0.07)


def test_joint_fit_resolves_a_dumbbell(draw, rng):
    y, x = np.array([20.0, 20.3]), np.array([20.0, 29.5])
    image = rng.poisson(draw((41, 50), y, x, 3.6, np.array([900.0, 500.0]), 40.0)).astype(float)
    fits = fit_jointly(torch.from_numpy(image), y + 0.5, x - 0.5)
    assert np.all(np.abs(fits.y - y) < 4 * fits.y_err)
    assert np.all(np.abs(fits.x - x) < 4 * fits.x_err)
    assert fits.amplitude[0] / fits.amplitude[1] == pytest.approx(1.8, rel=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("fit", FITS)
@settings(max_examples=12, deadline=None)
@given(gain=st.floats(1e-4, 1e4), offset=st.floats(-10.0, 10.0), transpose=st.booleans())
def test_positions_do_not_depend_on_units_or_axes(fit, gain, offset, transpose):
    rng = np.random.default_rng(3)
    y, x = np.array([14.2, 15.1, 36.4]), np.array([13.0, 38.7, 25.2])
    clean = (np.exp(-0.5 * ((np.arange(50)[:, None] - y) / 3) ** 2) * [90, 60, 80]) @ np.exp(
        -0.5 * ((np.arange(52)[:, None] - x) / 3) ** 2
    ).T
    image = rng.poisson(clean + 10.0).astype(float)
    first = fit(torch.from_numpy(image), y, x)
    changed = gain * (image + 100.0 * offset)
    if transpose:
        again = fit(torch.from_numpy(changed.T.copy()), x, y)
        found_y, found_x, error = again.x, again.y, again.x_err
    else:
        again = fit(torch.from_numpy(changed), y, x)
        found_y, found_x, error = again.y, again.x, again.y_err
    np.testing.assert_allclose(found_y, first.y, atol=2e-3)
    np.testing.assert_allclose(found_x, first.x, atol=2e-3)
    np.testing.assert_allclose(error, first.y_err, rtol=0.02)
    np.testing.assert_allclose(again.amplitude, gain * first.amplitude, rtol=0.02)


@pytest.mark.parametrize("fit", FITS)
def test_masked_pixels_do_not_move_columns(fit, scene, rng):
    known = scene(5, 26, 3.0, 1e4, 2e3)
    image = known.counted(rng)
    holes = rng.random(image.shape) < 0.2
    image[holes] = np.nan
    fits = fit(torch.from_numpy(image), *known.near(rng))
    step, stated = errors_of(fits, known)
    assert len(step) == 50
    assert np.all(np.abs(step) < 5 * stated)


@pytest.mark.parametrize("fit", FITS)
def test_columns_at_the_border_are_measured_from_what_is_there(fit, draw, rng):
    y, x = np.array([0.0, 20.0, 39.0]), np.array([20.0, 0.4, 38.6])
    image = rng.poisson(draw((40, 40), y, x, 3.0, 2000.0, 100.0)).astype(float)
    fits = fit(torch.from_numpy(image), y, x)
    assert np.all(np.abs(fits.y - y) < 5 * fits.y_err)
    assert np.all(np.abs(fits.x - x) < 5 * fits.x_err)


@pytest.mark.parametrize("fit", FITS)
def test_one_column_is_enough(fit, draw, rng):
    image = rng.poisson(draw((60, 70), np.array([30.3]), np.array([33.8]), 4.0, 500.0, 30.0))
    fits = fit(torch.from_numpy(image.astype(float)), np.array([30.0]), np.array([34.0]))
    assert fits.y[0] == pytest.approx(30.3, abs=5 * fits.y_err[0])
    assert fits.x[0] == pytest.approx(33.8, abs=5 * fits.x_err[0])
    assert fits.sigma[0] == pytest.approx(4.0, rel=0.03)


@pytest.mark.parametrize("fit", FITS)
def test_where_there_is_nothing_the_start_is_returned_without_an_error_bar(fit):
    start = np.array([10.0, 30.0]), np.array([12.0, 33.0])
    fits = fit(torch.zeros(50, 50, dtype=torch.float64), *start)
    np.testing.assert_array_equal(fits.y, start[0])
    assert np.isnan(fits.y_err).all()
    assert np.isnan(fits.amplitude).all()


@pytest.mark.parametrize("fit", FITS)
def test_fits_can_be_cancelled(fit, scene, rng):
    known = scene(5, 26, 3.0, 100.0, 20.0)
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        fit(torch.from_numpy(known.image), known.y, known.x, token)


def test_curvature_is_the_change_of_the_slope(rng):
    """`matrix` less `bend` is the Jacobian of the negative slope, at residuals of any size."""
    step = torch.arange(-6.0, 7.0, dtype=torch.float64)
    data = torch.from_numpy(rng.normal(1.0, 0.5, (3, 13, 13)))
    weight = torch.from_numpy(rng.uniform(0.0, 2.0, (3, 13, 13)))
    theta = torch.tensor([[0.3, -0.4, 0.7, 1.5, 0.2]], dtype=torch.float64).repeat(3, 1)
    problem = GaussianProblem(step, data, weight, torch.tensor([True, True, False]))
    index = torch.arange(3)
    here = problem(theta, index, True)
    for k, shift in enumerate(1e-6 * torch.eye(5, dtype=torch.float64)):
        ahead, behind = problem(theta + shift, index), problem(theta - shift, index)
        change = (behind.slope - ahead.slope) / 2e-6
        fixed = torch.tensor([False, False, k == 2])
        exact = torch.where(fixed[:, None], change, (here.matrix - here.bend)[:, k])
        torch.testing.assert_close(change, exact, rtol=1e-6, atol=1e-6)


def test_fits_of_columns_as_faint_as_the_noise_come_to_rest(rng):
    """Steps of Gauss and Newton alone swing about the minimum, or creep along a bound."""
    step = torch.arange(-6.0, 7.0, dtype=torch.float64)
    start = torch.tensor([[0.0, 0.0, 0.7, 1.0, 0.0]], dtype=torch.float64).repeat(200, 1)
    data = gaussian_values(start, step) + torch.from_numpy(rng.normal(0.0, 1.0, (200, 13, 13)))
    weight, free = torch.ones_like(data), torch.ones(200, dtype=torch.bool)
    problem = GaussianProblem(step, data, weight, free)
    reach = torch.tensor([1.5, 1.5, 0.7, torch.inf, torch.inf], dtype=torch.float64)
    bounds = start - reach, start + reach
    freedom = torch.full((200,), 164.0)
    solution = levenberg_marquardt(problem, start, bounds, freedom, problem.negligible)
    assert solution.converged.double().mean() > 0.98
    theta, slope = solution.parameters, solution.normal.slope
    inner = (theta > bounds[0]) & (theta < bounds[1]) & solution.converged[:, None]
    scaled = slope / solution.normal.matrix.diagonal(dim1=1, dim2=2).sqrt()
    assert scaled[inner].abs().max() < 0.02
