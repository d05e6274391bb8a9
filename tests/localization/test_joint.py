import numpy as np
import pytest
import torch

import napari_atomseg as atomseg
from napari_atomseg.localization import cramer_rao_bounds, overlapping_bounds
from napari_atomseg.localization.fit.joint.model import JointModel, fisher_blocks
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.localization.fit.joint.system import JointSystem, shared_parameters
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.fit.windows import initial_estimates
from napari_atomseg.localization.settings import FitSettings

SHARING = [
    {"widths": widths, "backgrounds": backgrounds}
    for widths in ("free", "shared")
    for backgrounds in ("local", "shared")
]


@pytest.fixture
def small(scene):
    """A model of nine overlapping columns, its parameters and weights."""
    known = scene(3, 12, 3.0, 100.0, 20.0)
    image = torch.from_numpy(known.image)
    model = JointModel(image, initial_estimates(image, known.y, known.x))
    values = [known.y, known.x, np.full(9, np.log(3.0)), np.linspace(60, 140, 9), np.full(9, 20.0)]
    theta = torch.from_numpy(np.stack(values, axis=1))
    weight = model.used / model.render(theta).clamp_min(1.0)
    return model, theta, weight


@pytest.mark.slow
def test_blocks_and_slope_are_those_of_the_models_derivatives(small):
    model, theta, weight = small
    slopes = torch.autograd.functional.jacobian(model.render, theta)
    whole = torch.einsum("hwip,hw,hwjq->ipjq", slopes, weight, slopes)
    own, cross = fisher_blocks(model, theta, weight)
    numbers = torch.arange(9)
    first, second = model.pairs.T
    scale = torch.einsum("ipip->ip", whole).sqrt()

    def relative(difference, i, j):
        return float((difference / (scale[i, :, None] * scale[j, None, :])).abs().max())

    # The model cuts Gaussians at 3.5 sigma, where two thousandths are left.
    assert relative(own - whole[numbers, :, numbers], numbers, numbers) < 0.01
    assert relative(cross - whole[first, :, second], first, second) < 0.01
    canvas = model.used * torch.cos(torch.arange(weight.numel()).view_as(weight))
    expected = torch.einsum("hwip,hw->ip", slopes, canvas)
    torch.testing.assert_close(model.slope(theta, canvas), expected)


@pytest.mark.parametrize("widths", ["free", "shared"])
@pytest.mark.parametrize("backgrounds", ["local", "shared"])
def test_steps_and_errors_are_those_of_the_full_matrix(widths, backgrounds, small):
    model, theta, weight = small
    own, cross = fisher_blocks(model, theta, weight)
    full = torch.zeros(9, 5, 9, 5, dtype=torch.float64)
    for i in range(9):
        full[i, :, i] = own[i]
    for (i, j), block in zip(model.pairs.tolist(), cross, strict=True):
        full[i, :, j], full[j, :, i] = block, block.mT
    to_all = torch.eye(45, dtype=torch.float64)
    kind = torch.arange(45) % 5
    shared = [k for k, choice in ((2, widths), (4, backgrounds)) if choice == "shared"]
    assert shared_parameters(widths, backgrounds) == shared
    for k in shared:
        to_all = torch.cat([to_all[:, to_all[kind == k].sum(0) == 0], (kind == k)[:, None]], dim=1)
    inverse = to_all @ torch.linalg.inv(to_all.T @ full.view(45, 45) @ to_all) @ to_all.T
    system = JointSystem(own, cross, model.pairs, shared)
    slope = torch.sin(torch.arange(45, dtype=torch.float64)).view(9, 5)
    wanted = (inverse @ slope.view(-1)).view(9, 5)
    error = inverse.diagonal().sqrt().view(9, 5)
    assert float(((system.solve(slope) - wanted) / error).abs().max()) < 1e-2
    stated = system.covariance().diagonal(dim1=1, dim2=2).sqrt()
    # Belief propagation leaves walks around rings of columns out.
    torch.testing.assert_close(stated, error, rtol=0.06, atol=0.0)
    torch.testing.assert_close(stated[:, :2], error[:, :2], rtol=0.02, atol=0.0)


@pytest.mark.parametrize("widths", ["free", "shared"])
def test_far_columns_have_the_bound_of_isolated_ones(widths):
    y, x = np.array([30.0, 30.0]), np.array([30.0, 90.0])
    bound = overlapping_bounds((60, 120), y, x, [50.0, 80.0], 3.0, 10.0, widths=widths)
    alone = cramer_rao_bounds(np.array([50.0, 80.0]), 3.0, 10.0)
    np.testing.assert_allclose(bound.y, alone.y, rtol=0.01)
    if widths == "free":
        # The background is known from the pixels of the cell alone, within 3.5 sigma.
        assert np.all((bound.sigma > alone.sigma) & (bound.sigma < 1.8 * alone.sigma))
    else:
        free = overlapping_bounds((60, 120), y, x, [50.0, 80.0], 3.0, 10.0)
        np.testing.assert_allclose(bound.sigma**-2.0, (free.sigma**-2.0).sum(), rtol=1e-3)


def test_bounds_of_a_pair_worsen_as_it_closes_and_follow_the_dose():
    def bound(distance, dose=1.0, **noise):
        x = np.array([40.0 - distance / 2, 40.0 + distance / 2])
        return overlapping_bounds(
            (60, 80), np.array([30.0, 30.0]), x, 100.0 * dose, 3.0, 20.0 * dose, **noise
        )

    across = [bound(distance).x[0] for distance in (20.0, 12.0, 8.0, 6.0)]
    assert np.all(np.diff(across) > 0)
    np.testing.assert_allclose(bound(9.0, 4.0).x, bound(9.0).x / 2, rtol=1e-6)
    normal = bound(9.0, gain=None, deviation=5.0)
    np.testing.assert_allclose(
        bound(9.0, gain=None, deviation=10.0).volume, 2 * normal.volume, rtol=1e-6
    )


def test_bounds_refuse_what_cannot_be():
    with pytest.raises(ValueError, match="shared"):
        overlapping_bounds((60, 60), [20, 40], [20, 40], 10.0, [2.0, 3.0], 1.0, widths="shared")
    with pytest.raises(ValueError, match=r"background from 1\.0 to 2\.0"):
        overlapping_bounds(
            (60, 60), [20, 40], [20, 40], 10.0, 2.0, [1.0, 2.0], backgrounds="shared"
        )
    with pytest.raises(ValueError, match="widths"):
        overlapping_bounds((60, 60), [20], [20], 10.0, 2.0, 1.0, widths="some")
    with pytest.raises(ValueError, match="noise"):
        overlapping_bounds((60, 60), [20], [20], 10.0, 2.0, 1.0, gain=None)


def test_free_widths_follow_columns_of_two_widths(draw, rng):
    axis = np.arange(5) * 14.0 + 14.0
    y, x = (v.ravel() for v in np.meshgrid(axis, axis, indexing="ij"))
    sigma = np.where(np.arange(25) % 2, 3.0, 3.6)
    image = sum(
        draw((84, 84), y[sigma == s], x[sigma == s], s, 900.0, 20.0) for s in np.unique(sigma)
    )
    counted = torch.from_numpy(rng.poisson(image).astype(float))
    fits = fit_jointly(counted, y + 0.3, x - 0.3, widths="free")
    shared = fit_jointly(counted, y + 0.3, x - 0.3)
    assert np.ptp(shared.sigma) == 0.0
    np.testing.assert_allclose(fits.sigma, sigma, rtol=0.05)
    z = (fits.volume - 2 * np.pi * sigma**2 * 900.0) / fits.volume_err
    assert np.sqrt(np.mean(z**2)) < 1.6
    assert fits.converged.all()


def test_volumes_of_a_joint_fit_lie_within_their_errors(scene, rng):
    known = scene(12, 13, 3.0, 200.0, 40.0)
    fits = fit_jointly(torch.from_numpy(known.counted(rng)), *known.near(rng))
    z = (fits.volume - 2 * np.pi * 9.0 * 200.0) / fits.volume_err
    # Volumes share the error of the width, so that few of them are independent.
    assert np.mean(np.abs(z) < 1.96) > 0.85
    bound = overlapping_bounds(
        known.image.shape, known.y, known.x, 200.0, 3.0, 40.0, widths="shared"
    )
    np.testing.assert_allclose(np.median(fits.y_err / bound.y), 1.0, rtol=0.05)
    np.testing.assert_allclose(np.median(fits.volume_err / bound.volume), 1.0, rtol=0.1)


def test_one_background_for_all_tells_volumes_better(scene, rng):
    known = scene(12, 13, 3.0, 200.0, 40.0)
    counted, near = torch.from_numpy(known.counted(rng)), known.near(rng)
    place = (known.image.shape, known.y, known.x, 200.0, 3.0, 40.0)
    error, bound = {}, {}
    for backgrounds in ("local", "shared"):
        fits = fit_jointly(counted, *near, backgrounds=backgrounds)
        bounds = overlapping_bounds(*place, widths="shared", backgrounds=backgrounds)
        error[backgrounds], bound[backgrounds] = np.std(fits.volume), np.median(bounds.volume)
        np.testing.assert_allclose(np.median(fits.y_err / bounds.y), 1.0, rtol=0.05)
        np.testing.assert_allclose(np.median(fits.volume_err / bounds.volume), 1.0, rtol=0.1)
    assert np.ptp(fits.background) == 0.0
    assert abs(fits.background[0] - 40.0) < 4.0 * bounds.background[0]
    assert error["shared"] < 0.8 * error["local"]
    assert bound["shared"] < 0.8 * bound["local"]


def test_a_start_that_merges_two_columns_does_the_others_no_harm(draw, rng):
    y, x = np.array([30.0, 30.0, 60.0]), np.array([30.0, 36.0, 60.0])
    image = rng.poisson(draw((90, 90), y, x, 3.0, 500.0, 30.0)).astype(float)
    # One column for two: it has the light of both, or no error bar, but the other is not moved.
    fits = fit_jointly(torch.from_numpy(image), np.array([30.0, 60.0]), np.array([33.0, 60.0]))
    assert abs(fits.x[1] - 60.0) < 5 * fits.x_err[1]
    assert np.isnan(fits.x_err[0]) or fits.volume[0] > 1.5 * 2 * np.pi * 9.0 * 500.0


@pytest.fixture
def crowd(scene, rng):
    """Twenty-five columns, their image with noise, and what is measured of it as it is."""
    known = scene(5, 14, 3.0, 400.0, 50.0)
    image = torch.from_numpy(known.counted(rng))
    return known, image, fit_jointly(image, known.y, known.x)


def agree(fits, plain, but):
    """The columns but one are measured, came to rest, and are where they were without it."""
    apart = np.delete(np.arange(25), but)
    assert fits.converged[apart].all()
    z = (np.stack([fits.y, fits.x])[:, :25] - [plain.y, plain.x])[:, apart]
    assert np.abs(z / plain.y_err[apart]).max() < 1.0
    assert np.all(fits.y_err[apart] < 2.0 * plain.y_err[apart])
    np.testing.assert_allclose(np.median(fits.y_err[apart] / plain.y_err[apart]), 1.0, rtol=0.05)


@pytest.mark.parametrize("choices", SHARING)
@pytest.mark.parametrize("distance", [0.0, 0.5, 2.0, 4.0])
def test_a_column_too_many_does_the_others_no_harm(choices, distance, crowd):
    known, image, _ = crowd
    y, x = np.append(known.y, known.y[12] + distance), np.append(known.x, known.x[12])
    fits = fit_jointly(image, y, x, **choices)
    agree(fits, fit_jointly(image, known.y, known.x, **choices), 12)
    lost = np.isnan(fits.y_err)
    assert lost[[12, 25]].any()
    assert not fits.converged[lost].any()
    np.testing.assert_array_equal(fits.y[lost], y[lost])
    assert np.isnan(fits.volume[lost]).all()


def test_a_column_on_a_plateau_does_the_others_no_harm(crowd, draw, rng):
    known, image, plain = crowd
    row, col = known.y[12:13], known.x[12:13]
    bright = image.numpy() + rng.poisson(draw(image.shape, row, col, 3.0, 4000.0, 0.0))
    clipped = np.minimum(bright, 700.0)
    assert np.sum(clipped == 700.0) > 50
    agree(Refinement(FitSettings(refine="joint"))(clipped, known.y, known.x), plain, 12)
    agree(
        Refinement(FitSettings(refine="joint", widths="free"))(clipped, known.y, known.x), plain, 12
    )
    even = Refinement(FitSettings(refine="joint", backgrounds="shared"))
    agree(even(clipped, known.y, known.x), even(image.numpy(), known.y, known.x), 12)


@pytest.mark.parametrize("choices", SHARING)
@pytest.mark.parametrize("radius", [5.0, 12.0])
def test_a_column_without_pixels_does_the_others_no_harm(choices, radius, crowd):
    known, image, _ = crowd
    plain = fit_jointly(image, known.y, known.x, **choices)
    row, col = np.ogrid[:70, :70]
    gone = np.hypot(row - known.y[12], col - known.x[12]) < radius
    fits = fit_jointly(
        image.masked_fill(torch.from_numpy(gone), torch.nan), known.y, known.x, **choices
    )
    apart = np.delete(np.arange(25), 12)
    assert fits.converged[apart].all()
    z = (fits.y - plain.y)[apart] / fits.y_err[apart]
    assert np.abs(z).max() < 3.0
    if radius > 10.0:
        assert np.isnan(fits.y_err[12])
        assert fits.y[12] == known.y[12]


def test_noise_without_columns_is_measured_nowhere_or_finite(rng):
    image = torch.from_numpy(rng.normal(0.0, 1.0, (80, 80)))
    y, x = rng.uniform(5, 75, (2, 60))
    fits = fit_jointly(image, y, x)
    assert np.isfinite([fits.y, fits.x]).all()
    assert np.isfinite(fits.volume[fits.converged]).all()


@pytest.mark.slow
def test_columns_cut_by_the_border_do_the_others_no_harm():
    scene = atomseg.simulate(
        "PbTiO3", (0, 1, 0), shape=(200, 200), sampling=0.1, dose=3e5, thickness=20, gamma=1.0
    )
    joint, single = (
        atomseg.localize(scene.image, sampling=0.1, detector="peaks", refine=refine, edge="drop")
        for refine in ("joint", "gaussian")
    )
    assert len(joint) == len(single)
    assert joint["converged"].all()
    assert np.abs(joint[["y", "x"]].to_numpy() - single[["y", "x"]].to_numpy()).max() < 0.5
