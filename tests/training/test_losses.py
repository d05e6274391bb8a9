"""Each loss against its equation, written anew in numpy, or another package's implementation."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis.strategies import floats
from scipy.ndimage import gaussian_filter
from scipy.special import expit, logit
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from napari_atomseg.training.losses import (
    chi_square,
    cross_entropy,
    deviation_loss,
    fourier_loss,
    mean_loss,
    mean_squared_error,
    psnr_loss,
    ssim_loss,
    weighted_l1,
    weighted_l2,
    whiten,
    whitening_loss,
)

SHAPE = (2, 3, 19, 24)
SPATIAL = (2, 3)


def pair(seed=0, shape=SHAPE):
    """Prediction and target in 0..1, float32."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator)
    return torch.rand(shape, generator=generator), target


def numbers(*tensors):
    return [tensor.double().numpy() for tensor in tensors]


def test_mean_squared_error():
    prediction, target = pair()
    y, t = numbers(prediction, target)
    assert float(mean_squared_error(prediction, target)) == pytest.approx(((y - t) ** 2).mean())


def test_chi_square_takes_the_maximum_of_each_image_and_channel():
    prediction, target = pair()
    target = target * torch.tensor([0.3, 1.0, 20.0])[:, None, None]
    y, t = numbers(prediction, target)
    expected = ((y - t) ** 2 / (t + t.max(axis=SPATIAL, keepdims=True) / 10)).mean()
    assert float(chi_square(prediction, target)) == pytest.approx(expected)


def test_chi_square_punishes_a_false_atom_eleven_times_as_much_as_a_lost_one():
    column = torch.zeros(1, 1, 8, 8)
    column[..., 2, 2] = 1.0
    false, lost = column.clone(), column.clone()
    false[..., 5, 5] = 1.0
    lost[..., 2, 2] = 0.0
    ratio = chi_square(false, column) / chi_square(lost, column)
    assert float(ratio) == pytest.approx(11.0, rel=1e-5)


def test_chi_square_of_an_image_without_atoms_is_bounded():
    empty = torch.zeros(1, 1, 8, 8)
    assert float(chi_square(empty + 0.5, empty)) == pytest.approx(0.25 / 0.01)
    assert float(chi_square(empty + 0.5, empty, least_peak=1.0)) == pytest.approx(0.25 / 0.1)


@given(scale=floats(1.0, 1e3))
def test_laws_of_scale(scale):
    prediction, target = pair()
    scaled = scale * prediction, scale * target
    for loss, degree in (
        (mean_squared_error, 2),
        (chi_square, 1),
        (weighted_l1, 0),
        (weighted_l2, 1),
        (mean_loss, 1),
        (deviation_loss, 1),
        (whitening_loss, 0),
    ):
        # Only in large windows is the deviation above sigma_min everywhere.
        settings = {"sizes": (8, 16)} if loss is whitening_loss else {}
        expected = scale**degree * float(loss(prediction, target, **settings))
        assert float(loss(*scaled, **settings)) == pytest.approx(expected, rel=2e-4)
    assert float(fourier_loss(*scaled, gamma=0.5)) == pytest.approx(
        scale**0.5 * float(fourier_loss(prediction, target, gamma=0.5)), rel=1e-4
    )
    assert float(ssim_loss(*scaled, data_range=scale)) == pytest.approx(
        float(ssim_loss(prediction, target)), rel=1e-4
    )
    assert float(psnr_loss(*scaled, data_range=scale)) == pytest.approx(
        float(psnr_loss(prediction, target)), rel=1e-4
    )


def test_weighted_errors_are_divided_by_the_deviation_of_the_truth():
    prediction, target = pair()
    target = target * torch.tensor([0.5, 1.0, 9.0])[:, None, None]
    y, t = numbers(prediction, target)
    weight = 1 / t.std(axis=SPATIAL, keepdims=True)
    assert float(weighted_l1(prediction, target)) == pytest.approx((weight * abs(y - t)).mean())
    assert float(weighted_l2(prediction, target)) == pytest.approx((weight * (y - t) ** 2).mean())


def test_the_weight_of_a_flat_truth_is_limited():
    flat = torch.full(SHAPE, 3.0)
    assert float(weighted_l1(flat + 0.2, flat)) == pytest.approx(0.2 / 0.1, rel=1e-5)
    assert float(weighted_l2(flat + 0.2, flat, 0.5)) == pytest.approx(0.2**2 / 0.5, rel=1e-5)


def test_constraints_see_offset_and_contrast_and_nothing_else():
    _, target = pair()
    offset, contrast = torch.tensor([0.5, -0.25, 0.0])[:, None, None], 1.5
    deviation = float(target.std(dim=SPATIAL, correction=0).mean())
    centred = target - target.mean(dim=SPATIAL, keepdim=True)
    assert float(mean_loss(target + offset, target)) == pytest.approx(0.25, rel=1e-5)
    assert float(deviation_loss(target + offset, target)) == pytest.approx(0.0, abs=1e-6)
    assert float(mean_loss(target + centred, target)) == pytest.approx(0.0, abs=1e-6)
    assert float(deviation_loss(contrast * target, target)) == pytest.approx(0.5 * deviation)
    shuffled = target.flatten(2)[..., torch.randperm(19 * 24)].reshape(SHAPE)
    assert float(mean_loss(shuffled, target) + deviation_loss(shuffled, target)) < 1e-5


def whitened_by_loops(image, size, least):
    """r_em Eq. 7 pixel by pixel; an even window reaches further back than forward."""
    result = np.empty_like(image)
    for i, j in np.ndindex(*image.shape):
        back, forward = size // 2, size - size // 2
        window = image[max(0, i - back) : i + forward, max(0, j - back) : j + forward]
        result[i, j] = (image[i, j] - window.mean()) / max(least, window.std())
    return result


@pytest.mark.parametrize("size", [2, 4, 8, 16])
def test_whitening_follows_its_equation_up_to_the_border(size):
    _, target = pair(shape=(1, 1, 9, 13))
    expected = whitened_by_loops(target.double().numpy()[0, 0], size, 0.1)
    np.testing.assert_allclose(whiten(target, size)[0, 0].numpy(), expected, atol=2e-5)


def test_whitening_loss_is_the_mean_over_windows():
    prediction, target = pair(shape=(1, 1, 9, 13))
    y, t = (image[0, 0] for image in numbers(prediction, target))
    expected = np.mean(
        [
            abs(whitened_by_loops(y, size, 0.1) - whitened_by_loops(t, size, 0.1)).mean()
            for size in (2, 4, 8, 16)
        ]
    )
    assert float(whitening_loss(prediction, target)) == pytest.approx(expected, rel=1e-4)


def test_whitening_sees_neither_contrast_nor_brightness():
    _, target = pair()
    assert float(whitening_loss(40 * target - 7, 20 * target)) < 1e-2


def test_whitening_sees_lost_detail_in_faint_regions_as_in_bright_ones():
    _, target = pair()
    target = 10 * target * torch.cat([torch.ones(12), torch.full((12,), 0.2)])
    bright, faint = target.clone(), target.clone()
    bright[..., :8] = bright[..., :8].mean()
    faint[..., -8:] = faint[..., -8:].mean()
    whitened = [float(whitening_loss(lost, target, (2, 4))) for lost in (bright, faint)]
    assert whitened[1] == pytest.approx(whitened[0], rel=0.15)
    assert float(weighted_l1(faint, target)) < 0.3 * float(weighted_l1(bright, target))


@pytest.mark.parametrize("gamma", [0.125, 0.5, 1.0])
def test_fourier_loss_is_the_mean_power_of_amplitudes(gamma):
    prediction, target = pair()
    y, t = numbers(prediction, target)
    amplitude = abs(np.fft.fft2(y - t, norm="ortho"))
    assert float(fourier_loss(prediction, target, gamma)) == pytest.approx(
        (amplitude**gamma).mean(), rel=1e-4
    )


def test_fourier_loss_of_a_wave():
    size, amplitude = 32, 0.4
    wave = amplitude * torch.cos(2 * torch.pi * 5 * torch.arange(size) / size).expand(
        1, 1, size, -1
    )
    expected = 2 * (amplitude * size / 2) ** 0.125 / size**2
    assert float(fourier_loss(wave, torch.zeros_like(wave))) == pytest.approx(expected, rel=1e-3)


def test_fourier_loss_of_noise_does_not_depend_on_the_size():
    generator = torch.Generator().manual_seed(3)
    small, large = (torch.randn(1, 1, n, n, generator=generator) for n in (64, 192))
    ratio = fourier_loss(small, 0 * small) / fourier_loss(large, 0 * large)
    assert float(ratio) == pytest.approx(1.0, abs=0.01)


def similarity(y, t, data_range=1.0):
    """Wang et al. 2004 with windows cropped where the image ends, by scipy's Gaussian filter."""

    def mean(image):
        return np.stack(
            [gaussian_filter(i, 1.5, truncate=3.5, mode="constant") for i in image]
        ) / gaussian_filter(np.ones(image.shape[1:]), 1.5, truncate=3.5, mode="constant")

    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    covariance = mean(y * t) - mean(y) * mean(t)
    variances = mean(y * y) - mean(y) ** 2 + mean(t * t) - mean(t) ** 2
    luminance = (2 * mean(y) * mean(t) + c1) / (mean(y) ** 2 + mean(t) ** 2 + c1)
    return (luminance * (2 * covariance + c2) / (variances + c2)).mean()


@pytest.mark.parametrize("shape", [(2, 1, 19, 24), (2, 1, 4, 30), (2, 1, 1, 1)])
def test_ssim_follows_its_equation_in_images_of_any_size(shape):
    prediction, target = pair(shape=shape)
    expected = 1 - similarity(*(image[:, 0] for image in numbers(prediction, target)))
    assert float(ssim_loss(prediction, target)) == pytest.approx(expected, rel=1e-4)


def test_ssim_agrees_with_scikit_image():
    prediction, target = pair(shape=(1, 1, 40, 46))
    # Away from the images' ends, where scikit-image leaves pixels out.
    frame = torch.zeros_like(target)
    frame[..., 12:-12, 12:-12] = 1
    prediction, target = prediction * frame, 0.7 * target * frame + 0.3 * prediction * frame
    y, t = (image[0, 0] for image in numbers(prediction, target))
    expected = structural_similarity(
        y, t, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0
    )
    loss = float(ssim_loss(prediction, target)) * 40 * 46 / (30 * 36)
    assert loss == pytest.approx(1 - expected, rel=1e-4)


def test_psnr_agrees_with_scikit_image():
    prediction, target = pair()
    y, t = numbers(prediction, target)
    expected = np.mean(
        [peak_signal_noise_ratio(b, a, data_range=2.0) for a, b in zip(y, t, strict=True)]
    )
    loss = psnr_loss(prediction, target, data_range=2.0, ceiling=200.0)
    assert float(loss) == pytest.approx(-expected, rel=1e-5)


def test_psnr_of_a_perfect_prediction_is_the_ceiling():
    _, target = pair()
    assert float(psnr_loss(target, target)) == pytest.approx(-60.0, rel=1e-5)
    assert float(psnr_loss(target, target, ceiling=45.0)) == pytest.approx(-45.0, rel=1e-5)


def test_cross_entropy_follows_its_equation():
    prediction, target = pair()
    prediction = 8 * prediction - 4
    y, t = numbers(prediction, target)
    entropy = -(t * np.log(expit(y)) + (1 - t) * np.log(1 - expit(y)))
    assert float(cross_entropy(prediction, target)) == pytest.approx(entropy.mean(), rel=1e-5)
    assert float(cross_entropy(prediction, target, emphasis=3.0)) == pytest.approx(
        ((1 + 3 * t) * entropy).mean(), rel=1e-5
    )


def test_cross_entropy_of_the_truth_is_its_entropy():
    _, target = pair()
    (t,) = numbers(target)
    truth = torch.from_numpy(logit(t)).float()
    entropy = -(t * np.log(t) + (1 - t) * np.log(1 - t)).mean()
    assert float(cross_entropy(truth, target)) == pytest.approx(entropy, rel=1e-5)
