"""The mean over mirror images: what it keeps, and how many there are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import napari_atomseg as atomseg
from napari_atomseg.inference.ensemble import ensemble_mean, views
from napari_atomseg.progress import Cancelled, CancelToken


@pytest.mark.parametrize(("modality", "count"), [("STEM", 4), ("SEM", 4), ("TEM", 8)])
def test_views_are_different_and_come_back(modality: str, count: int) -> None:
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    every = views(modality)
    seen = {tuple(view.of(image).flatten().tolist()) for view in every}
    assert len(seen) == len(every) == count
    for view in every:
        assert torch.equal(view.back(view.of(image)), image)


@pytest.mark.parametrize("modality", ["STEM", "SEM"])
def test_lines_of_a_scan_stay_lines(modality: str) -> None:
    lines = torch.arange(5.0)[:, None].expand(5, 7)
    for view in views(modality):
        assert torch.equal(view.of(lines).std(dim=1), torch.zeros(5))


def shifted(view: Tensor, _told: Any) -> Tensor:
    """A network that is not symmetric: it moves everything down and right."""
    return torch.roll(view, (1, 1), (-2, -1))


def test_a_network_that_knows_the_scan_direction_is_not_averaged_over_it() -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 32, 32)))
    noise = 0.05 * torch.from_numpy(np.random.default_rng(1).normal(size=(8, 1, 1, 32, 32)))
    calls = iter(noise)

    def undone(view: Tensor, _told: Any) -> Tensor:
        """A glow to the right is taken away, with an error of its own each time."""
        return view - 0.5 * torch.roll(view, 1, -1) + next(calls)

    made = ensemble_mean(image, "STEM", undone)
    wanted = image - 0.5 * torch.roll(image, 1, -1)
    error = float((made - wanted).std())
    assert error == pytest.approx(0.05 / 2**0.5, rel=0.15)


@pytest.mark.parametrize("modality", ["STEM", "TEM"])
def test_the_mean_is_symmetric_where_the_network_is_not(modality: str) -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 6, 6)))
    made = ensemble_mean(image, modality, shifted)
    for view in views(modality):
        again = ensemble_mean(view.of(image), modality, shifted)
        torch.testing.assert_close(again, view.of(made))


def test_the_sum_of_linear_maps_is_kept() -> None:
    image = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 1, 6, 8)))
    torch.testing.assert_close(ensemble_mean(image, "TEM", shifted).sum(), image.sum())


def test_progress_runs_once_through_all_views_and_cancel_stops_them() -> None:
    told: list[tuple[int, int]] = []

    def maps(view: Tensor, progress: Any) -> Tensor:
        progress(0, 2, "tiles")
        progress(2, 2, "tiles")
        return view

    ensemble_mean(torch.zeros(1, 1, 2, 2), "STEM", maps, lambda *each: told.append(each[:2]))
    assert told == [(0, 8), (2, 8), (2, 8), (4, 8), (4, 8), (6, 8), (6, 8), (8, 8)]
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        ensemble_mean(torch.zeros(1, 1, 2, 2), "STEM", maps, None, token)


def noisy(shape: tuple[int, int]) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]] * (2 * np.pi / 10)
    clean = 20.0 * (1.0 + 0.9 * np.cos(x) * np.cos(y))
    return np.random.default_rng(1).poisson(clean).astype(np.float32)


def test_best_restoration_of_a_mirror_image_is_the_mirror_image() -> None:
    image = noisy((64, 80))
    options = {"model": "restore-hr-stem", "contrast": "bright", "quality": "best"}
    made = atomseg.restore(image, **options)
    mirrored = atomseg.restore(image[::-1, ::-1], **options)
    np.testing.assert_allclose(mirrored[::-1, ::-1], made, atol=2e-3 * np.ptp(image))
    assert not np.allclose(made, atomseg.restore(image, **options | {"quality": "standard"}))


@pytest.mark.slow
def test_best_quality_reaches_segment_and_localize_and_is_recorded() -> None:
    image = noisy((64, 64))
    table = atomseg.localize(image, quality="best")
    assert table.attrs["quality"] == "best"
    labels = atomseg.segment(image, quality="best")
    assert abs(len(table) - labels.max()) <= 0.2 * labels.max()
    with pytest.raises(ValueError, match="quality"):
        atomseg.restore(image, quality="worst")  # type: ignore[arg-type]
