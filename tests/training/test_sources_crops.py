"""Several crops of each image of another source."""

from __future__ import annotations

import pytest
import torch

from napari_atomseg.training import load_recipe
from napari_atomseg.training.sources import CroppedSource, PairBatch
from napari_atomseg.training.sources.base import Stream

SIZE, EACH, LATEST = 48, 4, 6


class Numbered(Stream):
    """Images that say their number, row and column, and how often each was made."""

    def __init__(self) -> None:
        super().__init__(("no_noise",))
        self.made: list[int] = []

    def samples(self, indices, crop, device):
        self.made += indices
        plane = torch.arange(float(crop * crop)).reshape(1, 1, crop, crop)
        image = torch.cat([plane + crop * crop * index for index in indices])
        return PairBatch(image, {"no_noise": -image})

    def validation(self, count, crop, device):
        return self.samples([10_000 + i for i in range(count)], crop, device)


@pytest.fixture
def numbered():
    return Numbered()


@pytest.fixture
def crops(numbered):
    return CroppedSource(numbered, 3, SIZE, EACH, LATEST)


def test_crops_are_parts_of_images_with_their_truth(crops):
    pairs = crops.samples(range(20), 32, "cpu")
    assert pairs.image.shape == (20, 1, 32, 32)
    assert torch.equal(pairs.targets["no_noise"], -pairs.image)
    steps = pairs.image[:, 0, 1:, 1:] - pairs.image[:, 0, :-1, :-1]
    assert torch.all(steps == SIZE + 1)
    assert len(pairs.image[:, 0, 0, 0].unique()) > 15


def test_a_sample_is_the_same_in_any_batch(crops):
    whole = crops.samples(range(40), 32, "cpu").image
    for index in (39, 0, 17):
        assert torch.equal(crops.samples([index], 32, "cpu").image[0], whole[index])


def test_each_image_is_made_once_and_used_several_times(crops, numbered):
    for first in range(0, 400, 8):
        crops.batch(first, 8, 32, "cpu")
    assert len(numbered.made) == len(set(numbered.made))
    assert len(numbered.made) == pytest.approx(400 / EACH, abs=LATEST)


def test_validation_is_that_of_the_source(crops, numbered):
    assert torch.equal(
        crops.validation(2, 32, "cpu").image, numbered.validation(2, 32, "cpu").image
    )


def test_a_crop_as_large_as_the_image_is_the_image(crops):
    image = crops.samples([0], SIZE, "cpu").image
    assert float(image[0, 0, 0, 0]) % (SIZE * SIZE) == 0


def test_a_recipe_opens_it():
    recipe = load_recipe({"source": {"kind": "crops", "of": {"kind": "simulated"}, "size": 64}})
    pairs = recipe.pairs.open(0, ("no_noise",)).batch(0, 2, 32, "cpu")
    assert pairs.image.shape == pairs.targets["no_noise"].shape == (2, 1, 32, 32)


def test_an_impossible_number_is_refused():
    with pytest.raises(ValueError, match="each"):
        load_recipe({"source": {"kind": "crops", "of": {"kind": "simulated"}, "each": 0}})


def test_crops_are_transposed_with_their_truth_as_often_as_asked_for(numbered):
    crops = CroppedSource(numbered, 3, SIZE, EACH, LATEST, transposed=0.3)
    pairs = crops.samples(range(200), 32, "cpu")
    assert torch.equal(pairs.targets["no_noise"], -pairs.image)
    along = pairs.image[:, 0, 0, 1] - pairs.image[:, 0, 0, 0]
    assert set(along.tolist()) == {1.0, float(SIZE)}
    assert float((along == SIZE).float().mean()) == pytest.approx(0.3, abs=0.1)
    usual = CroppedSource(Numbered(), 3, SIZE, EACH, LATEST).samples(range(200), 32, "cpu")
    assert torch.equal(pairs.image[along == 1], usual.image[along == 1])
