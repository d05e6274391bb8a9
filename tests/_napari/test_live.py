"""Settings of panels as scripts read and set them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")


def test_settings_are_those_of_the_form(viewer: Any, dock: OpenPanel) -> None:
    panel = dock("Simulate")
    panel.settings.dose = 1234.0
    assert panel.settings["dose"] == panel.dose == panel.form["dose"] == 1234.0
    assert dict(panel.settings)["dose"] == 1234.0
    assert len(panel.settings) == len(dict(panel.settings))
    assert "dose" in dir(panel.settings)


def test_wrong_names_are_refused_and_the_right_one_is_told(viewer: Any, dock: OpenPanel) -> None:
    panel = dock("Measure")
    for act in (
        lambda: setattr(panel, "mesure", "strain"),
        lambda: setattr(panel.settings, "mesure", "strain"),
        lambda: panel.settings.mesure,
        lambda: panel.settings.update(mesure="strain"),
    ):
        with pytest.raises(AttributeError, match="'measure' meant"):
            act()
    with pytest.raises(KeyError, match="mesure"):
        panel.settings["mesure"]


def test_settings_of_a_measurement_follow_its_page(viewer: Any, dock: OpenPanel) -> None:
    panel = dock("Measure")
    panel.settings.measure = "strain"
    panel.settings.radius = 25.0
    assert panel.page.form["radius"] == 25.0
    panel.settings.measure = "lattice"
    with pytest.raises(AttributeError, match="radius"):
        _ = panel.settings.radius


def test_update_sets_all_or_nothing(viewer: Any, dock: OpenPanel) -> None:
    panel = dock("Localize")
    before = dict(panel.settings)
    with pytest.raises(ValueError, match="taste"):
        panel.settings.update(refine="joint", colour_by="taste")
    assert dict(panel.settings) == before
    panel.settings.update(refine="joint", colour_by="sigma")
    assert (panel.refine, panel.colour_by) == ("joint", "sigma")
