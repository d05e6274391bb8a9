"""Values of images as floating point numbers: nothing that shows the specimen is lost."""

import numpy as np
import pytest

from napari_atomseg.inference.frames import as_frames, examine

RNG = np.random.default_rng(3)
IMAGE = RNG.normal(100.0, 20.0, (48, 64)).round()


def test_masked_pixels_are_left_out():
    masked = np.ma.masked_array(IMAGE.copy(), mask=np.zeros(IMAGE.shape, bool))
    masked[10:14, 20:30] = np.ma.masked
    masked.data[10:14, 20:30] = 1e9
    seen = examine(masked)
    assert seen.out[0, 10:14, 20:30].all()
    assert seen.frames.max() < 1e3
    whole = np.ma.masked_array(IMAGE)
    np.testing.assert_array_equal(as_frames(whole)[0][0], IMAGE)


@pytest.mark.parametrize("kind", [np.int64, np.uint64])
def test_whole_numbers_on_an_offset_that_no_float_holds_keep_their_contrast(kind):
    offset = 2**60 if kind is np.int64 else 2**63 + 2**40
    lifted = IMAGE.astype(kind) + kind(offset)
    frames, _ = as_frames(lifted)
    np.testing.assert_array_equal(frames[0] - frames[0].min(), IMAGE - IMAGE.min())
    negative = IMAGE.astype(np.int64) - 2**61
    frames, _ = as_frames(negative)
    np.testing.assert_array_equal(frames[0] - frames[0].min(), IMAGE - IMAGE.min())


def test_whole_numbers_that_float64_holds_keep_their_values():
    for kind in (np.int64, np.uint64, np.int32, np.uint16):
        np.testing.assert_array_equal(as_frames(IMAGE.astype(kind))[0][0], IMAGE)


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_blank_images_and_frames_are_told(value):
    assert examine(np.full((64, 64), value)).notes[0].startswith("the image is blank")
    noisy = np.random.default_rng(0).normal(size=(64, 64))
    stack = np.stack([noisy, np.full((64, 64), value), noisy])
    assert examine(stack).notes[0].startswith("1 of 3 frames is blank")
    assert not examine(noisy).notes
