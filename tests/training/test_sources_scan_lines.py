"""Training pairs of moved scan lines."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from napari_atomseg.training import load_recipe
from napari_atomseg.training.data import ExampleMaker
from napari_atomseg.training.sources.scan_lines import displaced


def recipe(**changes):
    plain = {"kind": "simulated", "recipe": {"extends": "columns", "distortions": []}}
    jitter = {"kind": "scan_jitter", "probability": 1.0, "sigma": [0.5, 0.5], "unit": "pixel"}
    source = {"kind": "scan_lines", "of": plain, "distortions": [jitter], **changes}
    network = {"name": "scan_lines", "arguments": {"widths": [4, 8]}}
    return load_recipe(
        {"tasks": ["line_shifts"], "network": network, "source": source, "crop": 48, "batch": 2}
    )


def test_lines_of_a_plane_wave_are_moved_exactly() -> None:
    rng = np.random.default_rng(3)
    shifts = torch.from_numpy(rng.normal(0.0, 0.8, (1, 60, 2)))
    y, x = (torch.from_numpy(each).double() for each in np.mgrid[:60, :50])
    moved = displaced(torch.sin(0.9 * y - 1.2 * x)[None], shifts)[0]
    at_y, at_x = y - shifts[0, :, :1], x - shifts[0, :, 1:]
    inner = (slice(8, -8), slice(8, -8))
    assert (moved - torch.sin(0.9 * at_y - 1.2 * at_x))[inner].abs().max() < 5e-3


def test_lines_that_are_not_moved_stay_as_they_are() -> None:
    image = torch.rand(2, 30, 31)
    torch.testing.assert_close(displaced(image, torch.zeros(2, 30, 2)), image)


def test_truth_is_the_displacement_of_each_line() -> None:
    """What the source says moved is what brings the image back to the one that did not."""
    made = recipe()
    source = made.pairs.open(5, made.targets)
    pairs = source.samples([3, 9], 48, "cpu")
    shifts = pairs.targets["line_shifts"]
    assert shifts.shape == (2, 2, 48, 48)
    assert (shifts == shifts[..., :1]).all()
    still = recipe(distortions=[]).pairs.open(5, made.targets).samples([3, 9], 48, "cpu")
    assert not still.targets["line_shifts"].any()
    back = displaced(pairs.image[:, 0], -shifts[..., 0].mT)
    inner = (slice(None), slice(8, -8), slice(8, -8))
    moved, left = (
        (each - still.image[:, 0])[inner].square().mean() for each in (pairs.image[:, 0], back)
    )
    # Rows moved across cannot be brought back line by line; along them they can.
    assert left < 0.8 * moved


def test_a_sample_is_the_same_in_any_batch() -> None:
    made = recipe()
    source = made.pairs.open(5, made.targets)
    alone, among = source.samples([7], 48, "cpu"), source.samples([2, 7], 48, "cpu")
    torch.testing.assert_close(among.image[1:], alone.image, rtol=0, atol=0)
    torch.testing.assert_close(
        among.targets["line_shifts"][1:], alone.targets["line_shifts"], rtol=0, atol=0
    )


def test_uncertainties_have_no_truth() -> None:
    made = recipe()
    examples = ExampleMaker(made, made.pairs.open(0, made.targets)).training(0, 2, "cpu")
    assert examples.targets.shape == (2, 4, 48, 48)
    assert examples.targets[:, :2].any()
    assert not examples.targets[:, 2:].any()


def test_distortions_that_move_pixels_are_refused() -> None:
    with pytest.raises((ValidationError, ValueError), match="interpolation"):
        recipe(distortions=[{"kind": "interpolation"}])


def test_other_losses_are_refused() -> None:
    made = recipe().model_dump(mode="json")
    for task, loss in (("line_shifts", "mse"), ("denoise", "line_shifts")):
        with pytest.raises(ValueError, match="does not fit"):
            load_recipe(made | {"tasks": [task], "losses": {task: [{"kind": loss}]}})


def test_rows_of_turned_scans_are_not_displaced() -> None:
    turned, plain = (recipe(turned=chance) for chance in (1.0, 0.0))
    made = [r.pairs.open(5, r.targets).samples([3], 48, "cpu") for r in (turned, plain)]
    torch.testing.assert_close(made[0].image, made[1].image.mT, rtol=0, atol=0)
    assert not made[0].targets["line_shifts"].any()
    assert made[1].targets["line_shifts"].any()


def test_what_would_part_images_from_their_truth_is_refused() -> None:
    made = recipe().model_dump(mode="json")
    crops = {"kind": "crops", "of": made["source"]}
    for change in ({"augmentation": {}}, {"source": crops}):
        with pytest.raises(ValueError, match="line_shifts"):
            load_recipe(made | change)
