"""What the panels say of how far their results can be trusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_atomseg import consistency
from napari_atomseg._napari import layers
from napari_atomseg._napari.message import with_notes

from .conftest import placement

OpenPanel = Callable[[str], Any]
PATIENCE = 120


@pytest.mark.slow
@pytest.mark.parametrize("task", ["denoise", "superresolution"])
def test_restore_adds_a_consistency_layer_on_request(
    task: str, dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    panel = dock("Restore")
    panel.task, panel.consistency = task, True
    restored = panel.run().result(PATIENCE)
    layer = viewer.layers[-1]
    assert layer.name == f"{restored.name} consistency"
    assert placement(layer) == placement(image_layer)
    expected = consistency(image_layer.data, restored.data, task)
    np.testing.assert_allclose(layer.data, expected.z, atol=1e-5)
    low, high = layer.contrast_limits
    assert low == -high
    assert expected.summary().lower() in panel.message.text().lower()


def test_restore_adds_one_layer_where_it_is_not_asked(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    before = len(viewer.layers)
    dock("Restore").run().result(PATIENCE)
    assert len(viewer.layers) == before + 1


def test_agreement_is_dark_and_either_difference_has_its_own_colour() -> None:
    z = np.array([[-9.0, -1.0], [1.0, 9.0]])
    layer = layers.consistency_layer(z, "test", {}, {})
    scaled = (z - layer.contrast_limits[0]) / np.ptp(layer.contrast_limits)
    invented, agreed, also, missing = layer.colormap.map(scaled.clip(0, 1).ravel())[:, :3]
    assert agreed.max() == also.max() == 0
    assert invented[2] > 0.9 > invented[0]
    assert missing[0] > 0.9 > missing[2]


@pytest.mark.slow
def test_localize_tells_what_to_trust(dock: OpenPanel, image_layer: Any) -> None:
    panel = dock("Localize")
    points = panel.run().result(PATIENCE)
    assert {"score", "consistency", "signal", "in_range"} <= set(points.features)
    assert "Inside the training range" in panel.message.text()
    assert points.metadata[layers.PROVENANCE]["calibrated"] is True
    before = points.border_color.copy()
    panel.colour_by = "consistency"
    assert not np.allclose(points.border_color, before)


@pytest.mark.slow
def test_localize_warns_of_noise(dock: OpenPanel, viewer: Any) -> None:
    viewer.add_image(np.random.default_rng(0).poisson(3.0, (6, 96, 96)), name="noise")
    panel = dock("Localize")
    panel.run().result(PATIENCE)
    told = with_notes("0 columns on noise (raw)", ["no columns to judge the image by"])
    assert panel.message.text().startswith(told)
    panel.min_score = 0.0
    assert len(panel.run().result(PATIENCE).data) > 0
    assert "Outside the training range: " in panel.message.text()


def test_peaks_without_a_model_are_not_judged(dock: OpenPanel, image_layer: Any) -> None:
    panel = dock("Localize")
    panel.detector = "peaks"
    points = panel.run().result(PATIENCE)
    assert "in_range" not in points.features
    assert "training range" not in panel.message.text()
