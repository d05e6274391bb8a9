"""Bars and words burnt into images: alike in image and truth, and over what they hide."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg import distortion
from napari_atomseg.distortion import captions

VIEW = distortion.View(sampling=0.1, width=0.5, shape=(96, 120))


@given(seed=st.integers(0, 300))
def test_marks_are_the_same_in_all_channels_and_spare_the_rest(seed):
    part = distortion.Caption()
    drawn = part.draw(np.random.default_rng(seed), VIEW)
    values = {name: torch.as_tensor(np.asarray(v, np.float32))[None] for name, v in drawn.items()}
    image = torch.rand((1, 3, *VIEW.shape), generator=torch.Generator().manual_seed(seed))
    result = part.apply(image, values, [])
    cover = torch.from_numpy(np.maximum(drawn["ground"], drawn["ink"]))
    assert torch.equal(result[0][:, cover == 0], image[0][:, cover == 0])
    full = result[0][:, torch.from_numpy(drawn["ink"]) == 1]
    assert torch.allclose(full, full[:1].expand_as(full), atol=1e-6)
    low, high = image[0, 0].min(), image[0, 0].max()
    bottom, top = (low + level * (high - low) for level in part.level)
    assert bool(((full >= bottom - 1e-4) & (full <= top + 1e-4)).all())


@given(seed=st.integers(0, 300))
def test_what_is_hidden_is_neither_labelled_nor_kept(seed):
    part = distortion.Caption(band=1.0)
    drawn = part.draw(np.random.default_rng(seed), VIEW)
    values = {name: torch.as_tensor(np.asarray(v, np.float32))[None] for name, v in drawn.items()}
    labels = part.apply_labels(torch.ones(1, 2, *VIEW.shape), values)
    y, x = (each.ravel().astype(float) for each in np.mgrid[: VIEW.shape[0], : VIEW.shape[1]])
    kept = part.keeps(drawn, y, x).reshape(VIEW.shape)
    np.testing.assert_array_equal(labels[0, 0].numpy() > 0, kept)
    assert not kept.all()
    band = drawn["ground"].any(axis=1)
    assert not kept[band].any()
    assert part.keeps(drawn, np.array([-1.0, 400.0]), np.array([2.0, 3.0])).all()


@given(height=st.integers(5, 30), seed=st.integers(0, 100))
def test_letters_are_strokes_within_their_height(height, seed):
    rng = np.random.default_rng(seed)
    ink = captions.letter(rng, height)
    assert ink.shape[0] == height
    assert 0.0 <= ink.min() <= ink.max() <= 1.0
    assert ink.mean() < 0.85
    line = captions.words(rng, height, 4)
    assert line.shape == (height, 4 * (ink.shape[1] + max(1, height // 6)))


@pytest.mark.parametrize(("top", "left"), [(-3, 2), (4, -2), (90, 110), (-20, 5), (200, 0)])
def test_marks_are_cut_off_at_the_border(top, left):
    cover, mark = np.zeros((96, 120)), np.ones((10, 12))
    captions.paste(cover, mark, top, left)
    rows = max(0, min(96, top + 10) - max(0, top))
    cols = max(0, min(120, left + 12) - max(0, left))
    assert cover.sum() == rows * cols
