"""A scale that is typed in a panel: that of the layer and of all that lies on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_atomseg._napari.layers import layer_sampling
from napari_atomseg.simulation import Simulation

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture
def bare(viewer: Any, scene: Simulation) -> Any:
    """An image of which no scale is known, off the origin."""
    return viewer.add_image(scene.image[:64, :80], name="bare", translate=(10, 20))


def run(panel: Any, bare: Any) -> Any:
    panel.image = bare
    assert panel.use_scale.isHidden()
    panel.sampling = 0.15
    assert not panel.use_scale.isHidden()
    made = panel.run().result(PATIENCE)
    assert panel.use_scale.isHidden()
    return made


@pytest.mark.parametrize("name", ["Restore", "Scan", "Segment", "Localize"])
def test_typed_scale_is_that_of_the_layer_and_its_results(
    name: str, dock: OpenPanel, viewer: Any, bare: Any
) -> None:
    panel = dock(name)
    before = bare.world_to_data(viewer.scene.camera.center[-2:]), viewer.scene.camera.zoom
    if name == "Localize":
        panel.detector, panel.sensitivity = "peaks", 0.0
    made = run(panel, bare)
    assert layer_sampling(bare) == layer_sampling(made) == pytest.approx(0.15)
    np.testing.assert_allclose(made.data_to_world((5, 6)), bare.data_to_world((5, 6)))
    np.testing.assert_allclose(bare.translate, (1.5, 3.0))
    # The window shows the same part of the image.
    np.testing.assert_allclose(bare.world_to_data(viewer.scene.camera.center[-2:]), before[0])
    assert viewer.scene.camera.zoom == pytest.approx(before[1] / 0.15)
    # What napari's scale bar goes by.
    assert tuple(map(str, viewer.layers.units)) == ("angstrom", "angstrom")
    record = made.metadata["napari-atomseg"]
    assert record["settings"]["sampling"] == pytest.approx(0.15)
    if name == "Localize":
        np.testing.assert_allclose(made.features["y_angstrom"], 0.15 * made.data[:, 0])


def test_a_scale_that_is_known_is_changed_by_the_button_alone(dock: OpenPanel, bare: Any) -> None:
    bare.scale, bare.units = (0.2, 0.2), ("angstrom", "angstrom")
    panel = dock("Localize")
    panel.detector, panel.sensitivity = "peaks", 0.0
    panel.image, panel.sampling = bare, 0.15
    made = panel.run().result(PATIENCE)
    assert layer_sampling(bare) == layer_sampling(made) == pytest.approx(0.2)
    assert made.metadata["napari-atomseg"]["settings"]["sampling"] == pytest.approx(0.15)
    panel.use_scale.click()
    assert layer_sampling(bare) == layer_sampling(made) == pytest.approx(0.15)


@pytest.mark.slow
def test_what_was_made_before_the_scale_was_known_moves_with_the_image(
    dock: OpenPanel, viewer: Any, bare: Any
) -> None:
    other = viewer.add_image(np.zeros((8, 8)), name="elsewhere")
    panel = dock("Restore")
    panel.image, panel.task = bare, "upinterpolation"
    finer = panel.run().result(PATIENCE)
    middle = np.mean([finer.data_to_world((10 + i, 12 + j)) for i in (0, 1) for j in (0, 1)], 0)
    np.testing.assert_allclose(middle, bare.data_to_world((5, 6)))
    localize = dock("Localize")
    localize.detector, localize.sensitivity = "peaks", 0.0
    localize.image = bare
    columns = localize.run().result(PATIENCE)
    # Typed where columns are measured, it holds for the image below them.
    measure = dock("Measure")
    measure.columns, measure.sampling = columns, 0.2
    measure.run().result(PATIENCE)
    for layer in (bare, columns):
        assert layer_sampling(layer) == pytest.approx(0.2)
    assert layer_sampling(finer) == pytest.approx(0.1)
    middle = np.mean([finer.data_to_world((10 + i, 12 + j)) for i in (0, 1) for j in (0, 1)], 0)
    np.testing.assert_allclose(middle, bare.data_to_world((5, 6)))
    np.testing.assert_allclose(other.scale, 1.0)


@pytest.mark.slow
def test_a_stack_keeps_its_frames(dock: OpenPanel, viewer: Any, scene: Simulation) -> None:
    stack = viewer.add_image(np.stack([scene.image[:64, :80]] * 3), name="stack")
    viewer.dims.set_current_step(0, 2)
    panel = dock("Segment")
    panel.image, panel.stack = stack, "shown"
    before = panel.run().result(PATIENCE)
    panel.sampling = 0.15
    made = panel.run().result(PATIENCE)
    for layer in (before, made, stack):
        np.testing.assert_allclose(layer.scale, (1, 0.15, 0.15))
    np.testing.assert_allclose(made.translate, (2, 0, 0))
