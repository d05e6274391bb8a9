from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_atomseg import networks
from napari_atomseg.networks.files import ModelCard, save_weights

ARGUMENTS = {"channels_in": 1, "channels_out": 5, "widths": [4, 8]}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """A small but real weights file."""
    torch.manual_seed(0)
    path = tmp_path / "origin" / "tiny.safetensors"
    path.parent.mkdir()
    card = ModelCard(
        name="tiny",
        architecture="unet",
        arguments=ARGUMENTS,
        tasks=("denoise", "denoise_background", "superresolution", "column_map", "column_mask"),
        normalisation="zero mean and unit standard deviation of the image",
        scores={"f1": 0.9},
        description="A small network.",
    )
    save_weights(path, networks.create("unet", **ARGUMENTS), card)
    return path
