"""Panels open at once, and what they need is loaded behind the window."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from npe2 import PluginManifest
from qtpy.QtCore import QEventLoop, QTimer

from napari_atomseg._napari import doors
from napari_atomseg._napari.doors import Door
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.restore import Restore
from napari_atomseg._napari.warm import Loader, in_event_loop, loaded

HEAVY = ("torch", "scipy", "skimage", "pandas", "matplotlib", "h5py", "zarr", "imageio", "requests")

pytestmark = pytest.mark.usefixtures("qtbot")


def test_nothing_heavy_is_imported_by_the_click_that_opens_a_panel() -> None:
    """The manifest's widgets are doors, whose module needs Qt and the standard library alone."""
    manifest = PluginManifest.from_distribution("napari-atomseg")
    commands = {command.id: command.python_name for command in manifest.contributions.commands}
    modules = {commands[each.command].partition(":")[0] for each in manifest.contributions.widgets}
    code = (
        f"import sys\nfor name in {sorted(modules)}: __import__(name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout
    assert output.strip() == "[]"


def within_event_loop(act: Any, patience: int = 20_000) -> None:
    """Do something in the event loop, as a click does, and stay until it returns True."""
    loop, failures = QEventLoop(), []

    def step() -> None:
        try:
            if act():
                loop.quit()
        except Exception as error:
            failures.append(error)
            loop.quit()

    timer, end = QTimer(), QTimer()
    timer.timeout.connect(step)
    end.setSingleShot(True)
    end.timeout.connect(loop.quit)
    timer.start(5)
    end.start(patience)
    loop.exec()
    for failure in failures:
        raise failure
    assert end.isActive(), "nothing came of it"


def test_a_script_gets_the_panel_and_a_click_a_door_until_it_is_loaded(
    viewer: Any, image_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not in_event_loop()
    assert isinstance(doors.Restore(viewer), Restore)
    monkeypatch.setattr(doors, "loaded", lambda module: False)
    seen: list[Any] = []

    def click() -> bool:
        if not seen:
            assert in_event_loop()
            seen.append(viewer.window.add_plugin_dock_widget("napari-atomseg", "Restore")[1])
            assert isinstance(seen[0], Door)
            assert not seen[0].ready
        return bool(seen[0].ready)

    within_event_loop(click)
    (door,) = seen
    assert isinstance(door.panel, Restore)
    assert door.panel.parentWidget() is door
    door.task = "superresolution"
    assert door.settings.task == "superresolution"
    assert door.panel.form["task"] == "superresolution"
    assert door.image.name == image_layer.name
    with pytest.raises(AttributeError, match="tsak"):
        door.tsak = "denoise"


def test_a_door_that_is_asked_for_the_panel_does_not_wait_for_the_thread(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "loaded", lambda module: False)
    monkeypatch.setattr(doors, "in_event_loop", lambda: True)
    monkeypatch.setattr(doors, "loader", Loader())
    monkeypatch.setattr(doors.loader, "ask", lambda modules, later=False: None)
    door: Any = doors.Simulate(viewer)
    assert not door.ready
    assert door.seed == door.settings.seed
    assert isinstance(door.panel, Panel)
    door.closed()
    door.deleteLater()
    figures: Any = doors.Columns(viewer)
    figures.turn_to("Figures")
    figures.take_newest()
    assert not figures.ready
    assert figures.tabs.tabText(figures.tabs.currentIndex()) == "Figures"
    figures.closed()
    figures.deleteLater()


def test_modules_are_loaded_in_order_and_faults_do_not_stop_it(qtbot: Any) -> None:
    loader, settled = Loader(), []
    loader.settled.connect(settled.append)
    loader.settled.connect(lambda _module: loader.made())
    loader.ask(["napari_atomseg.no_such_module", "json"])
    loader.ask(["json", "wave"], later=True)
    qtbot.waitUntil(lambda: len(settled) == 3, timeout=5000)
    assert settled == ["napari_atomseg.no_such_module", "json", "wave"]
    assert loaded("wave")
    assert not loaded("napari_atomseg.no_such_module")


def test_doors_have_no_names_of_their_own_that_panels_use() -> None:
    """A name of a door would hide the panel's; those that both have are passed on."""
    passed_on = {"closed", "reset_choices", "turn_to", "take_newest", "event"}
    own = {name for name in vars(Door) if not name.startswith("_")} - passed_on
    assert own == {"panel", "ready", "panel_type", "made"}
    for door in Door.__subclasses__():
        names = own | {"place", "module", "name_of_panel"}
        assert not names & set(dir(door.panel_type()))
