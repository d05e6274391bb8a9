"""The tour, in a real viewer: each step by its own panel, in the user's order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.layers import Layer
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMainWindow

from napari_atomseg._napari import samples
from napari_atomseg._napari.dock import dock_of
from napari_atomseg._napari.layers import unwrapped
from napari_atomseg._napari.tour import STOPS, Tour
from napari_atomseg.simulation import sample

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less of the sample than a user gets."""

    def small() -> list[Any]:
        return samples._layers(sample("polar-domains", 0, 1, (160, 192)))

    monkeypatch.setattr(samples, "polar_domains", small)


def test_the_sample_is_the_recipe_and_has_its_scale() -> None:
    ((data, options, kind),) = samples.polar_domains()
    layer = Layer.create(data, options, kind)
    assert kind == "image"
    assert layer.scale == pytest.approx([0.17, 0.17])
    assert np.array_equal(data, sample("polar-domains", 0, 1).image)


def test_steps_are_in_the_users_hands(dock: OpenPanel, viewer: Any, qtbot: Any) -> None:
    """Steps that lack something say so; those that are done in a panel count; Leave keeps all."""
    tour: Tour = dock("Tour")
    assert not tour.back_button.isEnabled()
    for place, missing in ((1, "there is no image yet"), (3, "there are no columns yet")):
        tour.go(place)
        assert tour.do() is None
        assert missing in tour.message.text()
    # Without the tour: an image, and columns that were found some other way.
    viewer.add_image(np.zeros((32, 32)), name="mine")
    tour.go(0)
    assert tour.message.text().startswith("Done.")
    assert tour.heading.text().count("●") == 1
    tour.next_button.click()
    panel = tour.open_panel()
    assert panel.title == "Restore"
    assert tour._outline.parent() is panel
    assert tour._outline.geometry() == panel.rect()
    tour.go(99)
    assert tour.stop is STOPS[-1]
    assert not tour.next_button.isEnabled()
    # A panel that the user closes takes its frame along.
    tour.go(1)
    tour.open_panel()
    viewer.window.remove_dock_widget(dock_of(panel))
    panel.deleteLater()
    qtbot.waitUntil(lambda: tour._outline is None, timeout=2000)
    tour.leave_button.click()
    assert [layer.name for layer in viewer.layers] == ["mine"]
    viewer.add_image(np.zeros((8, 8)))  # the tour no longer follows


def test_the_tour_stands_below_the_image(dock: OpenPanel, viewer: Any, qtbot: Any) -> None:
    tour, window = dock("Tour"), unwrapped(unwrapped(viewer).window)._qt_window
    area = Qt.DockWidgetArea.BottomDockWidgetArea
    assert isinstance(window, QMainWindow)
    qtbot.waitUntil(lambda: window.dockWidgetArea(dock_of(tour)) == area, timeout=2000)
    assert tour.minimumSizeHint().height() < 140


@pytest.mark.slow
@pytest.mark.usefixtures("small_sample")
def test_five_steps_lead_from_sample_data_to_a_map(dock: OpenPanel, viewer: Any) -> None:
    tour: Tour = dock("Tour")
    for place, stop in enumerate(STOPS):
        assert tour.place == place
        job = tour.do()
        assert job is not None
        assert "still at work" in tour.message.text() if tour.do() is None else job.done
        job.result(PATIENCE)
        assert stop.reached(viewer.layers)
        tour.next_button.click()
    image, *others = viewer.layers
    assert image.metadata["napari-atomseg"]["action"] == "simulate"
    localized = next(
        layer for layer in others if layer.metadata["napari-atomseg"]["action"] == "localize"
    )
    # Columns are measured in the recorded image, though a restored one is newer.
    assert localized.metadata["napari-atomseg"]["source"] == image.name
    shifts = localized.features["shift_y_pm"].dropna()
    assert len(shifts) > 20
    # PbTiO3 has up and down, by 16 pm in bulk.
    assert np.percentile(shifts, 10) < -8.0
    assert np.percentile(shifts, 90) > 8.0
    assert tour.heading.text().count("●") == len(STOPS)
    assert "same steps work on an image of yours" in tour.message.text()
