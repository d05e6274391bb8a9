"""The Scan panel, and the setting of scan lines in Restore and Localize."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_atomseg import correct_scan, localize, restore
from napari_atomseg._napari.message import with_notes

from .conftest import placement

OpenPanel = Callable[[str], Any]
PATIENCE = 120


@pytest.mark.slow
def test_the_panel_gives_what_the_function_gives(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    panel = dock("Scan")
    panel.scan = "rows"
    result = panel.run().result(PATIENCE)
    expected = correct_scan(image_layer.data, "rows", sampling=0.15)
    np.testing.assert_allclose(result.data, expected.image, rtol=1e-5)
    assert placement(result) == placement(image_layer)
    assert panel.table.rowCount() == len(expected.lines) == image_layer.data.shape[0]
    assert panel.results.count() == 2
    assert panel.message.text() == with_notes(f"Added {result.name!r}", expected.notes)


def test_a_stack_is_put_back_frame_by_frame(dock: OpenPanel, viewer: Any, image_layer: Any) -> None:
    stack = viewer.add_image(np.stack([image_layer.data] * 2)[:, :64, :64], name="stack")
    panel = dock("Scan")
    panel.image, panel.scan = stack, "columns"
    result = panel.run().result(PATIENCE)
    assert result.data.shape == (2, 64, 64)
    np.testing.assert_array_equal(result.data[0], result.data[1])


@pytest.mark.slow
def test_restore_and_localize_have_the_setting(dock: OpenPanel, image_layer: Any) -> None:
    panel = dock("Restore")
    panel.scan = "rows"
    made = panel.run().result(PATIENCE)
    expected = restore(image_layer.data, sampling=0.15, scan="rows")
    np.testing.assert_allclose(made.data, expected, atol=1e-3 * np.ptp(expected))
    assert made.metadata["napari-atomseg"]["settings"]["scan"] == "rows"
    assert "Scan lines (rows)" in panel.message.text()
    panel = dock("Localize")
    panel.image = image_layer
    panel.scan = "rows"
    points = panel.run().result(PATIENCE)
    table = localize(image_layer.data, sampling=0.15, scan="rows")
    np.testing.assert_allclose(points.features["scan_x"], table["scan_x"], atol=1e-3)
