"""The steps from an image to a figure, as a user goes through them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QMainWindow

from napari_atomseg._napari.layers import PROVENANCE, image_layer, points_layer, unwrapped
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.step_row import StepRow, open_panel
from napari_atomseg._napari.steps import STEPS, next_step, others, recorded_image
from napari_atomseg.simulation import Simulation

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")

WIDGETS = [
    each.display_name
    for each in PluginManifest.from_distribution("napari-atomseg").contributions.widgets or ()
]
MAIN = [way.panel for step in STEPS for way in step.ways]


@pytest.fixture
def survey(viewer: Any, scene: Simulation) -> Any:
    """A recorded image without a scale."""
    return viewer.add_image(scene.image, name="survey")


def restored_from(viewer: Any, raw: Any) -> Any:
    record = {"action": "restore", "source": raw.name, "raw": raw.name}
    layer = image_layer(np.asarray(raw.data), f"{raw.name} denoised", {}, record)
    return viewer.add_layer(layer)


def columns_on(viewer: Any, raw: Any, scene: Simulation, name: str = "") -> Any:
    record = {"action": "localize", "source": raw.name}
    table = scene.columns[["y", "x"]].reset_index(drop=True)
    return viewer.add_layer(points_layer(table, name or f"{raw.name} columns", {}, record))


def done(row: StepRow) -> list[str]:
    return [name for name, button in row.buttons.items() if button.done]


def test_the_table_names_panels_that_exist() -> None:
    """Each step leads to another, and every panel is a step or listed beside them."""
    assert [step.name for step in STEPS] == [
        "Open", "Restore", "Find", "Correct", "Measure", "Figure",
    ]  # fmt: skip
    assert set(MAIN) <= set(WIDGETS)
    assert set(others(WIDGETS)) == set(WIDGETS) - set(MAIN)
    followed = [next_step(way.panel, way.page) for step in STEPS for way in step.ways]
    assert {step.name for step in followed if step} == {step.name for step in STEPS[1:]}


@pytest.mark.parametrize("name", dict.fromkeys(MAIN))
def test_the_row_is_slim_and_every_word_is_read(
    viewer: Any, dock: OpenPanel, name: str, qtbot: Any
) -> None:
    """At 300 pixels of width."""
    row = dock(name).step_row
    assert row.sizeHint().height() < 30
    assert row.minimumSizeHint().width() <= 288
    row.resize(288, row.sizeHint().height())
    row.layout().activate()
    for button in (*row.buttons.values(), row.more):
        assert button.shown_text() == button.text()
    assert [step for step, button in row.buttons.items() if button.current] == [
        step.name for step in STEPS if step.way(name) is not None
    ]


def test_steps_are_done_as_layers_say(
    viewer: Any, dock: OpenPanel, survey: Any, scene: Simulation
) -> None:
    row = dock("Restore").step_row
    row.refresh()
    assert done(row) == []
    survey.scale, survey.units = (0.15, 0.15), ("angstrom", "angstrom")
    restored = restored_from(viewer, survey)
    row.refresh()
    assert done(row) == ["Open", "Restore"]
    assert restored.name in row.buttons["Restore"].toolTip()
    columns = columns_on(viewer, survey, scene)
    row.refresh()
    assert done(row) == ["Open", "Restore", "Find"]
    columns.metadata[PROVENANCE] |= {"refit": {"columns": 1}}
    viewer.add_image(np.ones((8, 8)), metadata={PROVENANCE: {"action": "measure"}})
    row.refresh()
    assert done(row) == ["Open", "Restore", "Find", "Correct", "Measure"]
    viewer.layers.clear()
    row.refresh()
    assert done(row) == []


def test_a_click_opens_a_step_once_and_raises_it(
    window: QMainWindow, viewer: Any, dock: OpenPanel, survey: Any, qtbot: Any
) -> None:
    start = dock("Start")
    qtbot.waitUntil(start.isVisible, timeout=2000)
    start.step_row.buttons["Restore"].click()
    restore = dock("Restore")
    qtbot.waitUntil(lambda: not restore.visibleRegion().isEmpty(), timeout=2000)
    restore.step_row.buttons["Open"].click()
    assert dock("Start") is start
    qtbot.waitUntil(lambda: not start.visibleRegion().isEmpty(), timeout=2000)
    actions = start.step_row.buttons["Find"].menu().actions()
    assert [action.text().partition(":")[0] for action in actions] == ["Localize", "Segment"]
    actions[1].trigger()
    assert dock("Segment").image.name == "survey"
    start.step_row.more.menu().aboutToShow.emit()
    assert [action.text() for action in start.step_row.more.menu().actions()] == others(WIDGETS)


def test_figures_are_a_page_of_columns_and_a_step_of_their_own(
    viewer: Any, survey: Any, scene: Simulation
) -> None:
    columns_on(viewer, survey, scene)
    columns = open_panel(unwrapped(viewer), "Columns", "Figures")
    assert columns.tabs.tabText(columns.tabs.currentIndex()) == "Figures"
    assert columns.step_row.buttons["Figure"].current
    assert not columns.step_row.buttons["Correct"].current
    assert open_panel(unwrapped(viewer), "Columns") is columns
    assert columns.step_row.buttons["Correct"].current


def test_each_panel_takes_what_the_last_step_left(
    viewer: Any, dock: OpenPanel, survey: Any, scene: Simulation
) -> None:
    """The recorded image and the newest columns; what the user chose stays."""
    restored = restored_from(viewer, survey)
    localize, measure = dock("Localize"), dock("Measure")
    assert localize.image.name == "survey"
    first = columns_on(viewer, survey, scene)
    measure.take_newest()
    assert measure.columns.name == first.name
    assert measure.image.name == "survey"
    columns_on(viewer, survey, scene, "again")
    measure.take_newest()
    assert measure.columns.name == "again"
    measure.columns = first
    localize.image = restored
    for panel in (measure, localize):
        panel.take_newest()
    assert measure.columns.name == first.name
    assert localize.image.name == restored.name
    other = viewer.add_image(np.ones((8, 8)), name="other")
    localize.take_newest()
    assert localize.image.name == other.name


def test_records_lead_back_to_the_recorded_image(
    viewer: Any, survey: Any, scene: Simulation
) -> None:
    restored_from(viewer, survey)
    columns_on(viewer, survey, scene)
    record = {"action": "measure", "source": "survey columns"}
    viewer.add_image(np.ones((8, 8)), name="strain", metadata={PROVENANCE: record})
    layers = unwrapped(viewer).layers
    assert {recorded_image(layer, layers).name for layer in layers} == {"survey"}
    layers.remove("survey")
    assert recorded_image(layers["strain"], layers) is None
    layers["strain"].metadata[PROVENANCE]["source"] = "strain"
    assert recorded_image(layers["strain"], layers) is None


@pytest.mark.slow
def test_the_next_step_is_offered_after_a_job_that_worked(
    viewer: Any, dock: OpenPanel, survey: Any
) -> None:
    localize = dock("Localize")
    assert localize.next_button.isHidden()
    localize.run().result(120.0)
    assert not localize.next_button.isHidden()
    assert localize.next_button.text() == "Next: Correct the columns →"
    columns = localize.next_button.go()
    assert columns is dock("Columns")
    assert columns.columns.name == "survey columns"
    viewer.layers.clear()
    localize.run().wait(10.0)
    assert localize.next_button.isHidden()


@pytest.mark.slow
def test_run_stands_at_the_same_place_in_each_panel(
    window: QMainWindow, viewer: Any, dock: OpenPanel, survey: Any, qtbot: Any
) -> None:
    """Whatever is above it, with and without progress and messages."""
    places = {}
    for name in WIDGETS:
        panel = dock(name)
        if not isinstance(panel, Panel):
            continue
        qtbot.waitUntil(lambda panel=panel: not panel.visibleRegion().isEmpty(), timeout=5000)

        def place(panel: Any = panel) -> int:
            QApplication.processEvents()
            button = panel.run_button
            return int(button.mapTo(window, button.rect().bottomLeft()).y())

        before = place()
        panel.message.setText("words " * 30)
        panel.progress.show()
        places[name] = {before, place()}
    assert len(places) >= 7
    assert len(set.union(*places.values())) == 1, places


@pytest.mark.parametrize("name", ["Restore", "Columns", "Measure", "Start", "Models"])
def test_tab_stays_in_the_panel(
    window: QMainWindow, viewer: Any, dock: OpenPanel, name: str, qtbot: Any
) -> None:
    """From the first input through all others, to Run where that can be pressed, and back."""
    viewer.layers.clear()
    panel = dock(name)
    qtbot.waitUntil(lambda: not panel.visibleRegion().isEmpty(), timeout=2000)
    stops = panel.tab_stops()
    stops[0].setFocus()
    passed = [window.focusWidget()]
    for _ in range(len(stops)):
        QTest.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
        passed.append(window.focusWidget())
        assert panel.isAncestorOf(passed[-1])
    assert passed[-1] is passed[0]
    assert len(set(passed)) == len(stops)
    if isinstance(panel, Panel) and panel.run_button.isEnabled():
        assert passed[-2] is panel.run_button or panel.run_button in passed[-4:]
    QTest.keyClick(window.focusWidget(), Qt.Key.Key_Backtab)
    assert window.focusWidget() is passed[-2]
