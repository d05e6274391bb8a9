"""Suggestions of a network for annotation, and their uncertainty."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from napari_atomseg import networks
from napari_atomseg.inference import Prediction
from napari_atomseg.localization import suggest as module
from napari_atomseg.localization.suggest import suggest, uncertainty
from napari_atomseg.networks.files import ModelCard, save_weights
from napari_atomseg.simulation import simulate

SHAPE = (64, 80)
POINTS = {"Pb": [(12.0, 15.0), (40.0, 60.0)], "Ti": [(30.0, 30.0), (50.0, 20.0), (15.0, 60.0)]}


def discs(points: list[tuple[float, float]], height: float) -> np.ndarray:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return sum(height * (np.hypot(y - a, x - b) < 4) for a, b in points).astype(np.float32)


@pytest.mark.parametrize(("p", "bits"), [(0.0, 0.0), (1.0, 0.0), (0.5, 1.0), (0.25, 0.811278)])
def test_uncertainty_is_the_entropy_of_a_coin(p: float, bits: float) -> None:
    assert uncertainty(np.full((2, 8, 8), p, np.float32)) == pytest.approx(bits, abs=1e-6)


def test_each_column_has_the_species_of_the_highest_map(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    maps = np.stack([discs(POINTS["Pb"], 0.9), discs(POINTS["Ti"], 0.8)])
    maps[0] += discs(POINTS["Ti"], 0.3)
    made = {"elements": maps}
    prediction = Prediction(made, 20.0, "bright", "pto", "", {}, ("Pb", "Ti"), {1.0: made})
    monkeypatch.setattr(module.inference, "predict", lambda *_args, **_options: prediction)
    path = tmp_path / "pto.safetensors"
    arguments = {"channels_in": 1, "channels_out": 2, "widths": [2, 2]}
    card = ModelCard(
        name="pto",
        architecture="unet",
        arguments=arguments,
        tasks=("elements",),
        species=("Pb", "Ti"),
        normalisation="",
    )
    save_weights(path, networks.create("unet", **arguments), card)
    found = suggest(np.zeros(SHAPE), path).columns
    for species, points in POINTS.items():
        rows = found[found["species"] == species]
        assert len(rows) == len(points)
        distance, _ = cKDTree(rows[["y", "x"]].to_numpy()).query(points)
        np.testing.assert_allclose(distance, 0.0, atol=1e-6)


def test_noise_makes_the_shipped_network_doubt() -> None:
    images = [
        simulate("Si", zone_axis=(1, 1, 0), shape=(96, 96), sampling=0.2, dose=dose, seed=1).image
        for dose in (1e5, 200.0)
    ]
    sure, unsure = (suggest(image, "stem-hr", sampling=0.2) for image in images)
    assert sure.uncertainty < unsure.uncertainty
    assert set(sure.columns["species"]) == {"column"}
    assert len(sure.columns) > 10


def test_what_cannot_be_annotated_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two axes"):
        suggest(np.zeros((3, 32, 32)), "stem-hr")
    torch.manual_seed(0)
    path = tmp_path / "denoiser.safetensors"
    arguments = {"channels_in": 1, "channels_out": 1, "widths": [2, 2]}
    card = ModelCard(
        name="denoiser",
        architecture="unet",
        arguments=arguments,
        tasks=("denoise",),
        normalisation="",
    )
    save_weights(path, networks.create("unet", **arguments), card)
    with pytest.raises(ValueError, match="shows no columns"):
        suggest(np.zeros((32, 32)), path)
