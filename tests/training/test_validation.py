"""Scores and previews of images of which not everything is known."""

import numpy as np
import pytest
import torch
from torch import nn

from napari_atomseg._shared.metrics import psnr
from napari_atomseg.training import TrainingRecipe
from napari_atomseg.training.data import Examples
from napari_atomseg.training.validation import Validation

TASKS = ("denoise", "column_map", "column_mask")


class Unchanging(nn.Module):
    """Returns no correction of the image, and columns nowhere."""

    def forward(self, image):
        return torch.cat([torch.zeros_like(image), *[torch.full_like(image, -9.0)] * 2], dim=1)


def validation(weight):
    """Of three images that are their truth and noise of 1, 2 and 3 times the same strength."""
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(3, 3, 32, 32, generator=generator)
    noise = torch.randn(3, 1, 32, 32, generator=generator)
    image = truth[:, :1] + torch.tensor([0.1, 0.2, 0.3])[:, None, None, None] * noise
    recipe = TrainingRecipe.model_validate({"name": "partial", "tasks": TASKS})
    return Validation(recipe, Examples(image, truth, weight))


def known(*rows):
    """Weights (3, 3, 1, 1) of images and tasks, of a line for each task."""
    return torch.tensor(rows, dtype=torch.float32).T[:, :, None, None]


def test_quality_is_that_of_the_images_of_which_a_task_is_known():
    under_test = validation(known((0, 1, 1), (1, 0, 0), (0, 0, 0)))
    scores, _ = under_test.score(Unchanging())
    image, truth = under_test.image.numpy(), under_test.targets.numpy()
    expected = np.mean([psnr(image[n, 0], truth[n, 0]) for n in (1, 2)])
    assert scores["psnr_in"] == pytest.approx(expected)
    assert scores["psnr_out"] == pytest.approx(expected)
    assert scores["f1"] == 0.0
    assert "dice_column_mask" not in scores


def test_quality_is_not_told_where_only_some_pixels_count():
    weight = torch.ones(3, 1, 32, 32)
    weight[:, :, 5, 7] = 0.0
    scores, preview = validation(weight).score(Unchanging())
    assert not {"psnr_in", "psnr_out", "f1", "dice_column_mask"} & scores.keys()
    assert list(preview) == list(TASKS)


def test_a_preview_shows_an_image_of_which_the_task_is_known():
    under_test = validation(known((0, 0, 1), (0, 1, 1), (0, 0, 0)))
    _, preview = under_test.score(Unchanging())
    assert list(preview) == ["denoise", "column_map"]
    for channel, (task, row) in enumerate((("denoise", 2), ("column_map", 1))):
        image, _, truth = preview[task]
        np.testing.assert_array_equal(image, under_test.image[row, 0].numpy())
        np.testing.assert_array_equal(truth, under_test.targets[row, channel].numpy())
