"""Augmentation: image and truth bear the very same change."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from pydantic import ValidationError

from napari_atomseg import imaging
from napari_atomseg.training.sources import Augmentation, BlindSpotSource, PairBatch
from napari_atomseg.training.sources.augmentation import bent, levelled

SIZE = 33


def rngs(count, first=0):
    return [np.random.default_rng((7, first + i)) for i in range(count)]


def random_pairs(count=4, size=SIZE, weight=True):
    generator = torch.Generator().manual_seed(0)

    def draw(channels=1):
        return torch.rand(count, channels, size, size, generator=generator)

    flat = draw()
    targets = {
        "no_noise": flat + 0.3,
        "no_background_no_noise": flat,
        "no_noise_no_background_superresolution": 4 * flat,
        "circular_mask": draw().round(),
        "elements": draw(2).round(),
    }
    return PairBatch(draw() + 1, targets, draw() if weight else None)


def spots(y, x, size, width=2.5):
    y, x = (torch.tensor([[value]], dtype=torch.float32) for value in (y, x))
    one = torch.ones_like(y)
    return imaging.gaussians(y, x, one, width * one, (size, size))[:, None]


def centroid(image):
    image = image.double()
    axis = torch.arange(image.shape[-1]).double()
    total = image.sum()
    return (
        float((image.sum(-1) * axis).sum() / total),
        float((image.sum(-2) * axis).sum() / total),
    )


def channels(pairs):
    return torch.cat([pairs.image, *pairs.targets.values(), pairs.weight], dim=1)


def test_without_changes_nothing_changes():
    pairs = random_pairs()
    same = Augmentation(flips=False, right_angles=False).apply(pairs, rngs(4))
    assert torch.equal(channels(same), channels(pairs))
    assert not Augmentation().interpolates
    assert Augmentation().size(128) == 128


def test_flips_and_turns_move_pixels_and_nothing_else():
    pairs = random_pairs(48)
    changed = channels(Augmentation().apply(pairs, rngs(48)))
    found = set()
    for before, after in zip(channels(pairs), changed, strict=True):
        eight = [
            torch.rot90(before.flip(axes), turns, (-2, -1))
            for axes in ((), (-1,))
            for turns in range(4)
        ]
        matches = [i for i, each in enumerate(eight) if torch.equal(each, after)]
        assert len(matches) == 1
        found.add(matches[0])
    assert found == set(range(8))


FULL = Augmentation(
    rotation=(-180, 180),
    scale=(0.8, 1.25),
    gain=(0.5, 2),
    offset=(-1, 1),
    gamma=(0.7, 1.4),
    noise=(0, 0.5),
    kept=(0.3, 0.9),
)


def test_a_sample_is_changed_the_same_in_any_batch():
    pairs = random_pairs()
    whole = FULL.apply(pairs, rngs(4), 20)
    alone = FULL.apply(
        PairBatch(
            pairs.image[2:3], {k: v[2:3] for k, v in pairs.targets.items()}, pairs.weight[2:3]
        ),
        rngs(1, 2),
        20,
    )
    assert whole.image.shape == (4, 1, 20, 20)
    assert torch.equal(channels(alone)[0], channels(whole)[2])
    assert not torch.equal(whole.image[0], whole.image[1])


@settings(max_examples=50, deadline=None)
@given(
    angle=some.floats(-180, 180),
    scale=some.floats(0.7, 1.5),
    y=some.floats(-6, 6),
    x=some.floats(-6, 6),
)
def test_turned_and_scaled_spots_stay_on_their_truth(angle, scale, y, x):
    one = Augmentation(
        flips=False, right_angles=False, rotation=(angle, angle), scale=(scale, scale)
    )
    crop = 61
    middle, size = crop // 2, one.size(crop)
    image = spots((size - 1) / 2 + y, (size - 1) / 2 + x, size)
    pairs = one.apply(PairBatch(image, {"no_noise": image, "gaussian_mask": image}), rngs(1), crop)
    turn = math.radians(angle)
    expected = (
        middle + scale * (math.cos(turn) * y + math.sin(turn) * x),
        middle + scale * (-math.sin(turn) * y + math.cos(turn) * x),
    )
    for picture in (pairs.image, *pairs.targets.values()):
        assert centroid(picture) == pytest.approx(expected, abs=0.05)
    assert float(pairs.image.sum()) == pytest.approx(scale**2 * float(image.sum()), rel=0.05)


@pytest.mark.parametrize(("rotation", "scale"), [((-180, 180), (0.5, 2)), ((0, 10), (1, 1))])
def test_crops_of_the_right_size_show_nothing_from_outside(rotation, scale):
    one = Augmentation(rotation=rotation, scale=scale)
    crop = 40
    size = one.size(crop)
    inside = torch.ones(64, 1, size, size)
    margin = inside.clone()
    margin[..., 1:-1, 1:-1] = 0  # only what is mirrored lies beyond the outermost pixels
    pairs = one.apply(PairBatch(margin, {}, inside), rngs(64), crop)
    assert not pairs.image.abs().gt(1e-3).any()
    assert pairs.image.shape[-1] == crop


def test_masks_stay_between_0_and_1():
    pairs = random_pairs(8)
    changed = FULL.apply(pairs, rngs(8), 20)
    for map_ in (changed.targets["circular_mask"], changed.targets["elements"], changed.weight):
        assert 0 <= float(map_.min()) <= float(map_.max()) <= 1


@pytest.mark.parametrize("change", [lambda p: levelled(p, 2.5, 0.7), lambda p: bent(p, 1.7)])
def test_intensities_keep_their_relations(change):
    before = random_pairs()
    truth = before.targets["no_noise"]
    pairs = change(PairBatch(truth, before.targets))  # a noise-free image is its own truth
    targets = pairs.targets
    assert torch.allclose(pairs.image, targets["no_noise"])
    sharp = targets["no_noise_no_background_superresolution"]
    assert torch.allclose(sharp, 4 * targets["no_background_no_noise"], atol=1e-5)
    under = targets["no_noise"] - targets["no_background_no_noise"]
    assert float(under.std()) == pytest.approx(0, abs=1e-5)  # a flat background stays flat
    assert torch.equal(targets["circular_mask"], before.targets["circular_mask"])


def test_gamma_keeps_the_darkest_and_the_brightest():
    pairs = bent(PairBatch(torch.linspace(-2, 6, 81).view(1, 1, 9, 9), {}), 2.0)
    assert torch.allclose(pairs.image.flatten(), -2 + 8 * torch.linspace(0, 1, 81) ** 2, atol=1e-5)


def test_noise_and_missing_pixels_befall_the_image_alone():
    pairs = random_pairs(2, 200)
    noisy = Augmentation(flips=False, right_angles=False, noise=(0.5, 0.5)).apply(pairs, rngs(2))
    added = noisy.image - pairs.image
    assert float(added.std()) == pytest.approx(0.5 * float(pairs.image.std()), rel=0.03)
    assert float(added.mean()) == pytest.approx(0, abs=0.005)
    some_lost = Augmentation(flips=False, right_angles=False, kept=(0.3, 0.3))
    lost = some_lost.apply(pairs, rngs(2))
    kept = lost.image != 0
    assert float(kept.float().mean()) == pytest.approx(0.3, abs=0.01)
    assert torch.equal(lost.image[kept], pairs.image[kept])
    for changed in (noisy, lost):
        for name, target in pairs.targets.items():
            assert torch.equal(changed.targets[name], target)


def test_hidden_pixels_are_not_mixed_with_others():
    image = torch.rand(64, 64).numpy()
    pairs = BlindSpotSource({"a": image}).batch(0, 4, 32, "cpu")
    for wrong in (Augmentation(rotation=(-5, 5)), Augmentation(scale=(0.9, 1))):
        with pytest.raises(ValueError, match="blind_spot"):
            wrong.apply(pairs, rngs(4))
    turned = Augmentation().apply(pairs, rngs(4))
    seen = turned.weight == 0
    assert torch.equal(turned.image[seen], turned.targets["no_noise"][seen])
    assert torch.equal(turned.weight.sum(), pairs.weight.sum())


def test_impossible_ranges_are_refused():
    for wrong in ({"kept": (0, 1.2)}, {"noise": (-1, 0)}, {"scale": (0, 1)}, {"gain": (2, 1)}):
        with pytest.raises(ValidationError):
            Augmentation(**wrong)
