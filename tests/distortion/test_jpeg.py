"""JPEG compression: the transform, and what a program that writes JPEG files makes of an image."""

from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from napari_atomseg.distortion import postprocess


def picture(shape=(61, 83), seed=0):
    y, x = np.mgrid[: shape[0], : shape[1]]
    smooth = np.sin(y / 5.0) * np.cos(x / 7.0)
    noise = np.random.default_rng(seed).normal(size=shape)
    grey = 127 + 90 * smooth + 12 * noise
    grey[0, :2] = 0, 255
    return grey.clip(0, 255).round()


def test_the_cosine_transform_is_orthonormal_and_sums_in_its_first_row():
    waves = postprocess.cosines()
    torch.testing.assert_close(waves @ waves.T, torch.eye(8), atol=1e-6, rtol=0)
    assert torch.allclose(waves[0], torch.full((8,), 8**-0.5))


@pytest.mark.parametrize("quality", [10, 30, 60, 85])
def test_it_is_what_a_program_writes_at_that_quality(quality):
    grey, file = picture(), BytesIO()
    Image.fromarray(grey.astype(np.uint8)).save(file, "jpeg", quality=quality)
    opened = Image.open(file)
    table = np.array(opened.quantization[0]).reshape(8, 8)
    np.testing.assert_array_equal(postprocess.rounding(quality).numpy(), table)
    written = np.asarray(opened, dtype=float)
    made = postprocess.compress(torch.tensor(grey[None]).float(), torch.tensor([float(quality)]))[0]
    inner = (slice(0, 56), slice(0, 80))
    # Programs transform in whole numbers, so that a frequency on the border of two steps may lie on
    # the other side.
    apart = np.abs(made.numpy() - written)[inner]
    assert np.median(apart) == 0.0
    assert apart.mean() < 0.25 * np.abs(grey - written)[inner].mean()


def test_the_best_quality_leaves_the_rounding_to_eight_bits_and_units_do_not_matter():
    image = torch.tensor(picture()[None]).float()
    best = postprocess.compress(image, torch.tensor([100.0]))
    assert float((best - image).abs().max()) <= 3.0
    scaled = postprocess.compress(1e-3 * image + 5.0, torch.tensor([40.0]))
    plain = postprocess.compress(image, torch.tensor([40.0]))
    assert float((1e3 * (scaled - 5.0) - plain).abs().max()) < 4.0


def test_error_grows_as_quality_falls_and_a_flat_image_stays():
    image = torch.tensor(picture()[None]).float()
    errors = [
        float((postprocess.compress(image, torch.tensor([q])) - image).square().mean())
        for q in (90.0, 60.0, 30.0, 10.0)
    ]
    assert errors == sorted(errors)
    flat = torch.full((1, 20, 20), 0.7)
    assert torch.allclose(postprocess.compress(flat, torch.tensor([20.0])), flat, atol=1e-5)
