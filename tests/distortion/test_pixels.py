"""Single pixels and levels."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from napari_atomseg import distortion
from napari_atomseg.distortion import pixels

VIEW = distortion.View(sampling=0.1, width=0.5, shape=(64, 64))


def number(*values):
    return torch.tensor(values, dtype=torch.float32)


def test_single_pixels_are_struck_at_the_fraction_asked_for(generators):
    image = torch.ones(2, 100, 120)
    strength = pixels.struck(image, number(0.002, 0.0), number(0, 0), generators(2))
    assert 22 <= int((strength[0] > 0).sum()) <= 24
    assert not strength[1].any()
    assert float(strength.max()) <= 1.0


def test_random_walks_make_connected_regions(generators):
    image = torch.ones(1, 400, 400)
    strength = pixels.struck(image, number(20 / 160_000), number(12), generators(1, seed=5))[0]
    _, regions = ndimage.label(strength.numpy() > 0, structure=np.ones((3, 3)))
    assert regions <= 24
    assert 20 * 3 < int((strength > 0).sum()) <= 20 * 13


def test_black_pixels_lose_and_zingers_gain_signal(generators):
    image = torch.rand(1, 128, 128) + 0.5
    strength = pixels.struck(image, number(0.01), number(2), generators(1))
    hit = strength > 0
    black = pixels.black_pixels(image, number(0.3), strength)
    bright = pixels.zingers(image, number(4.0), strength)
    assert torch.equal(black[~hit], image[~hit])
    assert torch.equal(bright[~hit], image[~hit])
    assert (black[hit] <= 0.3 * image[hit]).all()
    assert (bright[hit] > image[hit]).all()
    assert (bright[hit] <= 5.0 * image[hit] * (1 + 1e-6)).all()


def test_the_image_saturates_at_its_level():
    image = torch.rand(2, 32, 32)
    clipped = pixels.upper_clip(image, number(0.5, 1.0))
    limit = 0.5 * float(image[0].max())
    assert float(clipped[0].max()) == pytest.approx(limit)
    assert torch.equal(clipped[0][image[0] < limit], image[0][image[0] < limit])
    assert torch.equal(clipped[1], image[1])


@given(bits=st.integers(2, 12))
def test_quantization_leaves_as_many_levels_as_the_bits_hold(bits):
    image = torch.linspace(0.0, 3.7, 64 * 256).reshape(1, 64, 256)
    levels = 2**bits - 1
    digital = pixels.quantize(image, number(levels))
    assert len(torch.unique(digital)) == levels + 1
    assert float((digital - image).abs().max()) <= 0.5 * 3.7 / levels * 1.001
    drawn = distortion.Quantization(bits=(bits, bits)).draw(np.random.default_rng(0), VIEW)
    assert drawn["levels"] == levels


@given(kept=st.floats(0.0, 1.0))
def test_any_fraction_of_the_pixels_is_kept(kept):
    image = torch.ones(1, 200, 200)
    left = pixels.missing_pixels(image, number(kept), [torch.Generator().manual_seed(0)])
    assert set(left.unique().tolist()) <= {0.0, 1.0}
    assert float(left.mean()) == pytest.approx(kept, abs=0.012)
