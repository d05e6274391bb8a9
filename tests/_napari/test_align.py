"""The Align panel, and the Calibrate section of all panels that take an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Image

from napari_atomseg import align, localize
from napari_atomseg._napari.layers import Placement, layer_sampling
from napari_atomseg._napari.message import with_notes

from .conftest import placement

OpenPanel = Callable[[str], Any]
PATIENCE = 120


def frames(image: Any, seed: int = 0) -> Any:
    """Three shifted parts of an image, with noise of their own."""
    rng = np.random.default_rng(seed)
    parts = [image[4 + k : 68 + k, 6 - 2 * k : 70 - 2 * k] for k in range(3)]
    return np.stack([part + rng.normal(0, 0.05 * np.ptp(image), part.shape) for part in parts])


@pytest.fixture
def stack(viewer: Any, image_layer: Any) -> Any:
    """Three frames, calibrated."""
    return viewer.add_image(
        frames(image_layer.data),
        name="stack",
        scale=(1, 0.2, 0.1),
        translate=(0, 3, 5),
        units=("pixel", "angstrom", "angstrom"),
    )


def test_the_panel_gives_what_the_function_gives(dock: OpenPanel, viewer: Any, stack: Any) -> None:
    panel = dock("Align")
    assert [layer.name for layer in panel.images()] == ["stack"]
    panel.image, panel.error, panel.aligned, panel.field = stack, True, True, "all"
    average = panel.run().result(PATIENCE)
    made = align(stack.data, sampling=(0.2, 0.1), field="all")
    np.testing.assert_allclose(average.data, made.average, rtol=1e-5, equal_nan=True)
    assert average.ndim == 2
    np.testing.assert_allclose(average.scale, (0.2, 0.1))
    origin = np.array(made.origin)
    np.testing.assert_allclose(average.translate, (3, 5) + origin * (0.2, 0.1))
    assert viewer.layers.units is not None
    assert panel.message.text() == with_notes("Added 'stack average'", made.notes)
    names = [layer.name for layer in viewer.layers]
    assert {"stack average", "stack aligned", "stack standard error"} <= set(names)
    assert viewer.layers["stack aligned"].data.shape == (3, *made.average.shape)
    assert panel.table.rowCount() == 3
    assert panel.results.count() == 2


def test_without_a_stack_there_is_a_sentence(dock: OpenPanel, image_layer: Any) -> None:
    panel = dock("Align")
    job = panel.run()
    assert job.error is not None
    assert "no stack to align" in panel.message.text()


@pytest.mark.slow
def test_fits_on_the_average_are_told_of_its_noise(
    dock: OpenPanel, viewer: Any, stack: Any
) -> None:
    panel = dock("Align")
    panel.image, panel.field = stack, "common"
    average = panel.run().result(PATIENCE)
    made = align(stack.data, sampling=(0.2, 0.1), field="common")
    panel = dock("Localize")
    panel.image, panel.detector, panel.sensitivity = average, "peaks", 0.0
    points = panel.run().result(PATIENCE)
    noise = made.record()["noise_correlation"]
    table = localize(
        average.data, detector="peaks", sensitivity=0.0, sampling=(0.2, 0.1), noise=noise
    )
    np.testing.assert_allclose(points.features["y_err"], table["y_err"], rtol=1e-4)


def calibrated(panel: Any, **settings: Any) -> Any:
    for name, value in settings.items():
        panel.calibration.form[name] = value
    return panel.calibration.apply().result(PATIENCE)


def test_a_calibration_holds_for_all_panels_and_layers_on_the_image(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    first, second = dock("Restore"), dock("Localize")
    place = Placement.of(image_layer).arguments()
    labels = viewer.add_labels(np.ones(image_layer.data.shape, int), name="on it", **place)
    other = viewer.add_image(np.zeros((8, 8)), name="elsewhere", scale=(3, 3))
    first.image = second.image = image_layer
    made = calibrated(first, by="pixel", pixel=(20.0, 10.0), unit="pm")
    assert layer_sampling(image_layer) == pytest.approx((0.2, 0.1))
    assert placement(labels) == placement(image_layer)
    assert viewer.layers["on it"].units == image_layer.units
    np.testing.assert_allclose(other.scale, 3.0)
    assert second.form["sampling"] == first.form["sampling"] == pytest.approx(0.1414, abs=1e-4)
    assert first.calibration.message.text() == "; ".join(made.notes)
    record = image_layer.metadata["napari-atomseg"]["calibration"]
    assert record["sampling"] == pytest.approx((0.2, 0.1))


@pytest.mark.slow
def test_a_drawn_line_of_known_length(dock: OpenPanel, viewer: Any, image_layer: Any) -> None:
    panel = dock("Restore")
    panel.image = image_layer
    panel.calibration.form["by"] = "line"
    with pytest.raises(ValueError, match="there is no line"):
        panel.calibration.apply()
    lines = panel.calibration.draw()
    assert viewer.layers.selection.active.name == lines.name
    lines.add(np.array([[10.0, 10.0], [10.0, 60.0]]), shape_type="line")
    calibrated(panel, length=1.0, unit="nm")
    assert layer_sampling(image_layer) == pytest.approx(0.2)
    # The line lies where it was drawn.
    np.testing.assert_allclose(lines.scale, image_layer.scale)


def test_a_burnt_in_bar(dock: OpenPanel, viewer: Any) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(100, 10, (128, 128)).round()
    image[112:], image[118:122, 20:70] = 0, 255
    layer = viewer.add_image(image, name="with bar")
    panel = dock("Segment")
    panel.image = layer
    calibrated(panel, by="bar", length=2.0, unit="nm")
    assert layer_sampling(layer) == pytest.approx(0.4, rel=0.02)


def test_only_what_counts_is_shown(dock: OpenPanel, image_layer: Any) -> None:
    section = dock("Localize").calibration
    section.expand(False)
    shown = {
        "pixel": {"pixel", "unit"},
        "line": {"length", "unit"},
        "crystal": {"crystal", "zone_axis", "tolerance"},
    }
    for by, names in shown.items():
        section.form["by"] = by
        inputs = {name: each.native for name, each in section.form.inputs.items() if name != "by"}
        assert {name for name, native in inputs.items() if not native.isHidden()} == names
        assert section.correct_button.isHidden() == (by != "crystal")
        assert section.draw_button.isHidden() == (by != "line")


def test_images_offered_for_alignment_have_frames(dock: OpenPanel, viewer: Any, stack: Any) -> None:
    viewer.add_image(np.zeros((8, 8)), name="flat")
    assert all(isinstance(layer, Image) and layer.ndim > 2 for layer in dock("Align").images())
