"""Noise that neighbouring pixels share, and what it does to error bars."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from napari_atomseg.localization import localize, refine_columns
from napari_atomseg.localization.fit.correlation import Shared, Standardised, design_of
from napari_atomseg.localization.fit.gaussian import derivatives
from napari_atomseg.localization.fit.independent import fit_gaussians
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.localization.fit.windows import Windows
from napari_atomseg.trust.correlation import NoiseCorrelation


def shared_noise(rng, shape, length):
    noise = ndimage.gaussian_filter(rng.normal(size=shape), length, mode="wrap")
    return noise / noise.std()


def deviations(fits, scene):
    """Errors of positions over their error bars."""
    return np.concatenate([(fits.y - scene.y) / fits.y_err, (fits.x - scene.x) / fits.x_err])


def assert_covered(z):
    """Shares within 68 and 95 % bars: three points, and three standard errors of the share."""
    for limit, share in ((1.0, 0.683), (1.96, 0.95)):
        chance = 3 * np.sqrt(share * (1 - share) / len(z))
        assert np.mean(np.abs(z) < limit) == pytest.approx(share, abs=0.03 + chance)


@pytest.mark.parametrize("fit", [fit_gaussians, fit_jointly])
@pytest.mark.parametrize("length", [0.5, 1.0, 1.5])
def test_error_bars_hold_where_pixels_share_their_noise(fit, length, scene, rng):
    """With bars of white noise the deviations would be 1.6, 3.8 and 5.9 times too large."""
    known = scene(16, 16, 2.8, 100.0, 40.0)
    image = known.image + 8.0 * shared_noise(rng, known.image.shape, length)
    assert_covered(deviations(fit(torch.from_numpy(image), *known.near(rng)), known))


@pytest.mark.parametrize("fit", [fit_gaussians, fit_jointly])
@pytest.mark.parametrize(("film", "white"), [(4.0, 6.0), (6.0, 1.0)])
def test_error_bars_hold_on_a_film_with_white_noise(fit, film, white, scene, rng):
    """Beyond the frequencies of the columns there is the white part of the noise alone."""
    known = scene(16, 18, 3.2, 70.0, 40.0)
    shape = known.image.shape
    image = known.image + film * shared_noise(rng, shape, 1.5) + white * rng.normal(size=shape)
    assert_covered(deviations(fit(torch.from_numpy(image), *known.near(rng)), known))


@pytest.mark.slow
@pytest.mark.parametrize("order", [1, 3])
def test_error_bars_hold_for_the_mean_of_aligned_frames(order, scene, draw, rng):
    known, mean = scene(16, 16, 2.8, 100.0, 40.0), 0.0
    for _ in range(8):
        step = rng.uniform(-3, 3, 2)
        moved = (known.y + step[0], known.x + step[1])
        frame = rng.poisson(draw(known.image.shape, *moved, 2.8, 10.0, 4.0)).astype(float)
        mean = mean + ndimage.shift(frame, -step, order=order, mode="nearest") / 8
    fits = fit_gaussians(torch.from_numpy(mean), *known.near(rng))
    assert fits.noise.correlation.beside[0] > 0.05
    assert_covered(deviations(fits, known))


@pytest.mark.parametrize("order", [1, 3])
def test_error_bars_hold_after_a_zoom(order, scene, rng):
    known = scene(16, 10, 1.75, 100.0, 40.0)
    zoomed = ndimage.zoom(known.counted(rng), 1.6, order=order)
    scale = (len(zoomed) - 1) / (len(known.image) - 1)
    fits = fit_gaussians(torch.from_numpy(zoomed), known.y * scale, known.x * scale)
    z = [(fits.y - known.y * scale) / fits.y_err, (fits.x - known.x * scale) / fits.x_err]
    assert_covered(np.concatenate(z))


def test_few_counts_that_are_blurred_have_their_error_bars(scene, rng):
    known = scene(16, 16, 2.8, 10.0, 4.0)
    image = ndimage.gaussian_filter(known.counted(rng), 1.0, mode="wrap")
    assert_covered(deviations(fit_gaussians(torch.from_numpy(image), *known.near(rng)), known))


@pytest.mark.parametrize("fit", [fit_gaussians, fit_jointly])
def test_white_noise_is_white(fit, scene, rng):
    known = scene(16, 16, 2.8, 100.0, 40.0)
    fits = fit(torch.from_numpy(known.counted(rng)), *known.near(rng))
    assert fits.noise.correlation.white
    assert fits.noise.note() is None


def test_a_slow_detector_shares_noise_along_the_lines(scene, rng):
    known = scene(12, 16, 2.8, 100.0, 40.0)
    decay = np.exp(-np.arange(12) / 2.0)
    noise = rng.normal(size=known.image.shape)
    shared = ndimage.convolve1d(noise, decay / decay.sum(), axis=1, mode="wrap")
    image = known.image + 8.0 * shared
    below, beside = fit_gaussians(
        torch.from_numpy(image), known.y, known.x
    ).noise.correlation.beside
    assert abs(below) < 0.1
    assert beside == pytest.approx(np.exp(-0.5), abs=0.1)


def test_the_covariance_is_that_of_the_estimates(rng):
    """Many linear fits of noise of a known correlation, beside the equation."""
    theta = torch.tensor([[0.3, -0.2, np.log(2.0), 5.0, 1.0]], dtype=torch.float64)
    slopes = derivatives(theta, torch.arange(-6.0, 7.0, dtype=torch.float64))
    flat = slopes.flatten(2)
    inverse = torch.linalg.inv(flat @ flat.mT)
    line = np.exp(-0.25 * np.arange(-5, 6) ** 2)
    noise = NoiseCorrelation(np.multiply.outer(line, line))
    shared = Shared(slopes, inverse, noise)
    planes = np.stack([shared_noise(rng, (32, 32), 1.0)[:13, :13] for _ in range(1000)])
    seen = torch.from_numpy(planes.reshape(1000, -1))
    found = seen @ flat[0].mT @ inverse[0]
    spread = shared.covariance()[0].diagonal()
    np.testing.assert_allclose(found.var(0), spread, rtol=0.2)
    left = (seen - found @ flat[0]).var(0).view(13, 13)
    np.testing.assert_allclose(left, shared.left()[0], atol=0.15)


@pytest.mark.slow
def test_the_table_says_what_error_bars_allow_for(scene, rng):
    known = scene(10, 16, 2.8, 100.0, 40.0)
    image = known.image + 8.0 * shared_noise(rng, known.image.shape, 1.0)
    table = localize(image, detector="peaks", contrast="bright")
    (note,) = [each for each in table.attrs["notes"] if "shared" in each]
    assert "error bars allow for it" in note
    assert table.attrs["noise"]["correlation_x"] == pytest.approx(0.78, abs=0.08)
    again = refine_columns(image, table)
    np.testing.assert_allclose(again["y_err"], table["y_err"], rtol=0.2)
    lone = localize(image[:17, :17], detector="peaks", contrast="bright")
    assert any("too few pixels" in each for each in lone.attrs["notes"])


@pytest.mark.parametrize("fit", [fit_gaussians, fit_jointly])
def test_frames_that_cover_part_of_the_image_weigh_less_elsewhere(fit, scene, rng):
    known = scene(16, 16, 2.8, 100.0, 40.0)
    frames = np.where(np.arange(256) < 128, 8.0, 2.0) * np.ones((256, 1))
    image = known.image + rng.normal(size=known.image.shape) * 20.0 / np.sqrt(frames)
    start = known.near(rng)
    fits = fit(torch.from_numpy(image), *start, frames=torch.from_numpy(frames))
    left = known.x < 120
    assert np.median(fits.y_err[~left]) == pytest.approx(2 * np.median(fits.y_err[left]), rel=0.1)
    assert_covered(deviations(fits, known))


@pytest.mark.slow
@pytest.mark.parametrize("fit", [fit_gaussians, fit_jointly])
def test_the_noise_of_counted_frames_is_known(fit, scene, draw, rng):
    known, mean = scene(16, 16, 2.8, 10.0, 4.0), 0.0
    for _ in range(4):
        step = rng.uniform(-3, 3, 2)
        frame = draw(known.image.shape, known.y + step[0], known.x + step[1], 2.8, 10.0, 4.0)
        counts = rng.poisson(frame).astype(float)
        mean = mean + ndimage.shift(counts, -step, order=1, mode="nearest") / 4
    there, often = torch.from_numpy(mean), torch.full((256, 256), 4.0, dtype=torch.float64)
    fits = fit(there, *known.near(rng), likelihood="poisson", frames=often)
    assert fits.noise.counted
    assert_covered(deviations(fits, known))
    # An image that is not in counts is measured by its residuals.
    other = fit(1e-4 * there, *known.near(rng), likelihood="poisson", frames=often)
    assert not other.noise.counted


def test_pixels_without_frames_are_not_measured(scene, rng):
    known = scene(8, 16, 2.8, 100.0, 40.0)
    frames = np.ones(known.image.shape)
    frames[:, 64:] = 0
    image = np.where(frames > 0, known.counted(rng), 1e6)
    table = refine_columns(
        image, localize(known.image, detector="peaks", contrast="bright"), frames=frames
    )
    there = table["x"] < 56
    assert table["y_err"][there].notna().all()
    assert table["y_err"][table["x"] > 72].isna().all()
    with pytest.raises(ValueError, match="frames has shape"):
        localize(image, detector="peaks", frames=frames[:5])


def test_residuals_go_together_as_the_fit_and_the_noise_have_it():
    """Σ (P C Pᵀ)_pq over pixels p, q at each distance, for the covariance C that is assumed."""
    step = torch.arange(-5.0, 6.0, dtype=torch.float64)
    theta = torch.tensor([[0.3, -0.2, np.log(1.8), 2.0, 0.1]], dtype=torch.float64)
    inside = torch.ones(1, 11, 11, dtype=torch.bool)
    inside[0, 0, :3] = False
    middle = torch.zeros(1, 1, dtype=torch.float64)
    deviation = (1.0 + 0.02 * torch.arange(121, dtype=torch.float64)).view(1, 11, 11)
    part = Standardised(
        Windows(middle, middle, step, inside),
        torch.zeros(1, 11, 11),
        deviation,
        theta,
        torch.ones(1, 11, 11, dtype=torch.float64),
    )
    design = design_of(part, torch.ones(5, dtype=torch.bool), joint=False)
    quadrant = np.zeros((6, 6))
    quadrant[:3, :2] = [[1.0, 0.4], [0.5, 0.2], [0.2, 0.1]]
    slopes = derivatives(theta, step)[0].flatten(1) * (inside / deviation).flatten(1)
    slopes = slopes.numpy()
    left = np.diag(inside.numpy().ravel().astype(float))
    left -= slopes.T @ np.linalg.solve(slopes @ slopes.T, slopes)
    row, col = np.divmod(np.arange(121), 11)
    down, right = (np.abs(np.subtract.outer(v, v)) for v in (row, col))
    near = (down < 6) & (right < 6)
    noise = np.where(near, quadrant[down.clip(0, 5), right.clip(0, 5)], 0.0)
    products = left @ noise @ left.T
    expected = np.zeros((6, 6))
    np.add.at(expected, (down[near], right[near]), products[near])
    found = (design @ quadrant.ravel()).reshape(6, 6)
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
@pytest.mark.parametrize("fit", [fit_gaussians, fit_jointly])
@pytest.mark.parametrize(("side", "film"), [(5, 8.0), (7, 5.0)])
def test_error_bars_hold_for_few_columns_on_a_film(fit, side, film, scene, rng):
    """Bars of white noise held 11 to 26 % of the deviations."""
    z = []
    for _ in range(4):
        known = scene(side, 18, 3.2, 70.0, 40.0)
        shape = known.image.shape
        image = known.image + film * shared_noise(rng, shape, 2.0) + rng.normal(size=shape)
        z.append(deviations(fit(torch.from_numpy(image), *known.near(rng)), known))
    z = np.concatenate(z)
    assert np.mean(np.abs(z[np.isfinite(z)]) < 1) > 0.55


def test_fewer_columns_than_tell_misfit_from_a_film_are_told(scene, rng):
    known = scene(3, 18, 3.2, 70.0, 40.0)
    shape = known.image.shape
    image = known.image + 6.0 * shared_noise(rng, shape, 2.0) + rng.normal(size=shape)
    found = fit_gaussians(torch.from_numpy(image), *known.near(rng)).noise
    assert found.untold
    assert "film" in found.note()
    plain = known.image + rng.normal(size=shape)
    assert not fit_gaussians(torch.from_numpy(plain), *known.near(rng)).noise.untold
