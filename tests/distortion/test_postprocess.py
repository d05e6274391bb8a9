"""What users do after recording, to the image and to its truth alike."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg import distortion
from napari_atomseg.distortion import captions, postprocess

VIEW = distortion.View(sampling=0.1, width=0.5, shape=(96, 120))


def spots(positions, shape=VIEW.shape, sigma=2.5):
    y, x = torch.meshgrid(*(torch.arange(float(n)) for n in shape), indexing="ij")
    return sum(torch.exp(-((y - a) ** 2 + (x - b) ** 2) / (2 * sigma**2)) for a, b in positions)


@given(sigma=st.floats(0.0, 1.0))
def test_blur_is_a_gaussian_of_integral_one(sigma):
    image = torch.zeros(1, 21, 21)
    image[0, 10, 10] = 1.0
    blurred = postprocess.gaussian_blur(image, torch.tensor([sigma]))[0].numpy()
    assert blurred.sum() == pytest.approx(1.0, abs=1e-5)
    x = np.arange(21) - 10
    gauss = np.exp(-0.5 * (x / max(sigma, 1e-3)) ** 2)
    np.testing.assert_allclose(blurred, np.outer(gauss, gauss) / gauss.sum() ** 2, atol=1e-4)
    even = torch.ones(1, 9, 9)
    assert torch.allclose(postprocess.gaussian_blur(even, torch.tensor([sigma])), even)


def test_interpolation_moves_the_positions_with_the_image(batch, generators):
    part, rng = distortion.Interpolation(rotation=(-30, 30)), np.random.default_rng(5)
    for _ in range(5):
        drawn = part.draw(rng, VIEW)
        place = np.array([VIEW.centre[0] + 12.3]), np.array([VIEW.centre[1] - 17.8])
        image = spots([(place[0][0], place[1][0])])[None, None].expand(1, 2, -1, -1)
        result = part.apply(image, batch(drawn), generators(1))
        assert torch.equal(result[:, 0], result[:, 1])
        y, x = np.mgrid[: VIEW.shape[0], : VIEW.shape[1]]
        for picture in (result[0, 0], part.apply_labels(image, batch(drawn))[0, 0]):
            weight = picture.numpy() * (picture.numpy() > 1e-3)
            found = (weight * y).sum() / weight.sum(), (weight * x).sum() / weight.sum()
            moved = part.move(drawn, *place)
            assert found[0] == pytest.approx(moved[0][0], abs=0.05)
            assert found[1] == pytest.approx(moved[1][0], abs=0.05)


def test_the_identity_interpolates_to_the_image_itself(batch, generators):
    zero = (0.0, 0.0)
    part = distortion.Interpolation(magnification=(1, 1), rotation=zero, stretch=zero, shear=zero)
    image = torch.rand(1, 2, *VIEW.shape)
    drawn = part.draw(np.random.default_rng(0), VIEW)
    assert torch.allclose(part.apply(image, batch(drawn), generators(1)), image, atol=1e-4)


def test_stretch_and_shear_keep_areas_and_magnification_squares_them():
    rng = np.random.default_rng(0)
    part = distortion.Interpolation(magnification=(0.8, 1.3), stretch=(0, 0.2), shear=(0, 0.2))
    for _ in range(20):
        drawn = part.draw(rng, VIEW)
        area = np.linalg.det(drawn["matrix"])
        assert area == pytest.approx(drawn["magnification"] ** 2)


def test_interpolation_drops_positions_that_leave_the_image():
    part = distortion.Interpolation(magnification=(2, 2), rotation=(0, 0))
    drawn = part.draw(np.random.default_rng(0), VIEW)
    y, x = VIEW.centre[0] + np.array([0.0, 30.0]), VIEW.centre[1] + np.array([10.0, 0.0])
    np.testing.assert_array_equal(part.keeps(drawn, *part.move(drawn, y, x)), [True, False])


@given(kept=st.floats(0.5, 1.0), seed=st.integers(0, 1000))
def test_a_crop_keeps_its_share_of_the_area_about_the_middle(kept, seed):
    part = distortion.Crop(kept=(kept, kept))
    drawn = part.draw(np.random.default_rng(seed), VIEW)
    beyond = postprocess.outside(VIEW.shape, torch.from_numpy(drawn["box"])[None])[0]
    assert 1 - float(beyond.float().mean()) == pytest.approx(kept, abs=0.03)
    assert not beyond[48, 60]
    y, x = (a.ravel().astype(float) for a in np.mgrid[: VIEW.shape[0], : VIEW.shape[1]])
    np.testing.assert_array_equal(part.keeps(drawn, y, x), ~beyond.numpy().ravel())


@pytest.mark.parametrize("median", [0.0, 1.0])
def test_a_crop_fills_image_and_truth_with_one_value(median, batch, generators):
    part = distortion.Crop(kept=(0.5, 0.5), median=median)
    values = batch(part.draw(np.random.default_rng(1), VIEW))
    image = torch.rand(1, 3, *VIEW.shape)
    result = part.apply(image, values, generators(1))
    beyond = postprocess.outside(VIEW.shape, values["box"])[0]
    filling = result[0][:, beyond].unique()
    assert len(filling) == 1
    assert torch.equal(result[0][:, ~beyond], image[0][:, ~beyond])
    if median:
        assert float(filling) == float(image[0, 0].median())
    labels = part.apply_labels(torch.ones(1, 1, *VIEW.shape), values)[0, 0]
    assert torch.equal(labels == 0, beyond)


def test_annotations_are_the_same_in_all_channels_and_spare_the_rest(batch, generators):
    part, rng = distortion.Annotations(), np.random.default_rng(3)
    for _ in range(8):
        drawn = part.draw(rng, VIEW)
        image = torch.rand(1, 2, *VIEW.shape)
        result = part.apply(image, batch(drawn), generators(1))
        cover = torch.from_numpy(drawn["cover"])
        assert 0 < float((cover > 0).double().mean()) < 0.5
        assert torch.equal(result[0][:, cover == 0], image[0][:, cover == 0])
        full = result[0][:, cover == 1]
        assert torch.allclose(full, full[:1].expand_as(full), atol=1e-5)
        contrast = (full - image[0, 0].mean()).abs() / image[0, 0].std()
        assert bool((contrast > 1.9).all())


def test_the_scale_bar_has_a_round_length():
    rng = np.random.default_rng(0)
    for sampling in (0.05, 0.1, 0.4):
        view = distortion.View(sampling=sampling, width=0.5, shape=(256, 256))
        cover = captions.scale_bar(rng, view)
        # The middle of the bar, which is four pixels thick and as rounded at its ends.
        bar = (cover[238].sum() - 4.0) * sampling / 10.0
        leading = bar / 10.0 ** np.floor(np.log10(bar * 1.05))
        assert min(abs(leading - step) for step in (1, 2, 5)) < 0.1 * leading


def test_a_stroke_covers_its_length_times_its_thickness():
    cover = captions.stroke((64, 64), np.array([[10.0, 10.0, 10.0, 50.0]]), 3.0)
    assert cover.sum() == pytest.approx(40 * 3 + np.pi * 1.5**2, rel=0.03)
    assert cover[10, 30] == 1.0
    assert cover[20].max() == 0.0
