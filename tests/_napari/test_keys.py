"""What colours mean stands in the canvas, as long as its layer is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from napari.layers import Image
from qtpy.QtGui import QColor
from superqt.utils import qimage_to_array

from napari_atomseg._napari.columns.colours import colour_points
from napari_atomseg._napari.keys import Key, draw_key, key_of, power_of, show_key, ticks_between
from napari_atomseg._napari.layers import points_layer

from .test_measure import add, measure, perovskite

OpenPanel = Callable[[str], Any]
DARK, BRIGHT = QColor("black"), QColor("white")

pytestmark = pytest.mark.usefixtures("qtbot")


@given(st.floats(-50.0, 50.0), st.floats(-9.0, 9.0))
def test_ticks_are_round_numbers_within_the_bar(offset: float, power: float) -> None:
    span = 10.0**power
    low, high = offset * span, (offset + 1.0) * span
    ticks, unit = ticks_between(low, high), 10.0 ** power_of(low, high)
    assert 1 <= len(ticks) <= 7
    for value, text in ticks:
        assert low - 1e-3 * (high - low) <= value <= high + 1e-3 * (high - low)
        read = unit * float(text.replace("\N{MINUS SIGN}", "-"))
        assert read == pytest.approx(value, abs=2e-3 * (high - low))
        assert len(text) <= 9


def test_long_numbers_have_their_power_in_the_heading() -> None:
    assert Key("volume", 2e5, 1e6, title="volume").heading == ["volume", "× 10⁶"]
    assert [text for _, text in ticks_between(2e5, 1e6)] == ["0.2", "0.4", "0.6", "0.8", "1.0"]
    assert Key("volume", 2.0, 99e3, title="volume").heading == ["volume"]


def test_zero_is_in_the_middle_of_a_signed_bar() -> None:
    assert [text for _, text in ticks_between(-2.6, 2.6)][1:-1] in (
        ["\N{MINUS SIGN}1", "0", "1"],
        ["0"],
    )


@pytest.mark.parametrize(
    "key",
    [
        Key("volume", 0.0, 3.0),
        Key("species", kinds={"Sr": "#ff0000", "-1": "#00ff00"}, unknown=3),
        Key("angle_deg", -180.0, 180.0, colormap="hsv", wheel=True, title="towards"),
        Key("flat", 1.0, 1.0),
    ],
    ids=lambda key: key.feature,
)
def test_letters_are_read_on_any_theme_and_screen(key: Key) -> None:
    pictures = [qimage_to_array(draw_key(key, colour, 1.0)) for colour in (DARK, BRIGHT)]
    assert pictures[0].shape == pictures[1].shape
    letters = [picture[7:20, 7:40, :3].astype(int) for picture in pictures]
    assert letters[0].max() > 200
    assert letters[1].min() < 60
    fine = draw_key(key, DARK, 2.0)
    assert abs(fine.width() - 2 * pictures[0].shape[1]) <= 2


def test_wheel_has_the_colours_of_its_directions() -> None:
    key = Key("angle_deg", -180.0, 180.0, colormap="hsv", wheel=True, title="to")
    wheel = qimage_to_array(draw_key(key, DARK))
    middle = np.array([wheel.shape[0] - 7 - 32, 7 + 32])
    right, up = (wheel[tuple(middle + np.array(step))] for step in ((0, 24), (-24, 0)))
    # Of hsv from -180°: 0° is cyan, 90° violet.
    assert right[0] < 60 < right[2]
    assert up[2] > 200 > up[1]


def in_canvas(viewer: Any) -> Any:
    """Right upper corner of the canvas, where keys are."""
    return viewer.screenshot(canvas_only=True, flash=False)[:230, -230:, :3].astype(int)


@pytest.mark.slow
@pytest.mark.own_viewer
def test_keys_are_in_the_canvas_and_go_with_their_layers(viewer: Any) -> None:
    viewer.show()
    empty = in_canvas(viewer)
    table = pd.DataFrame({"y": [0.0, 9.0], "x": [0.0, 9.0], "species": ["Sr", "Ti"]})
    layer = points_layer(table, "columns", {}, {}, colour_by="species")
    layer.opacity = 0.0  # of the points alone
    viewer.add_layer(layer)
    shown = in_canvas(viewer)
    assert np.abs(shown - empty).max() > 100
    assert list(key_of(layer).kinds) == ["Sr", "Ti"]
    layer.visible = False
    np.testing.assert_array_equal(in_canvas(viewer), empty)
    layer.visible = True
    np.testing.assert_array_equal(in_canvas(viewer), shown)
    colour_points(layer, None)
    assert key_of(layer) is None
    np.testing.assert_array_equal(in_canvas(viewer), empty)
    colour_points(layer, "species")
    viewer.layers.clear()
    np.testing.assert_array_equal(in_canvas(viewer), empty)
    limits = {"contrast_limits": (-1.0, 1.0), "colormap": "RdBu_r", "opacity": 0.0}
    image = Image(np.zeros((8, 8)), **limits)
    show_key(image, Key("eps_xx", title="strain"))
    viewer.add_layer(image)
    first = in_canvas(viewer)
    image.contrast_limits = (-5.0, 5.0)
    second = in_canvas(viewer)
    assert np.abs(second - first).max() > 100
    viewer.theme = "light"
    assert np.abs(in_canvas(viewer) - second).mean() > 50


@pytest.mark.slow
def test_map_hides_the_rings_and_gives_them_back(dock: OpenPanel, viewer: Any) -> None:
    layer = add(viewer, perovskite())
    panel = dock("Measure")
    measure(panel, "lattice")
    assert layer.visible
    maps = measure(panel, "strain").images
    shown = [name for name, each in maps.items() if each.visible]
    assert shown == ["eps_xx"]
    key = key_of(maps["eps_xx"])
    assert key.title == "strain ε_xx\nin percent"
    assert sum(maps["eps_xx"].contrast_limits) == pytest.approx(0.0)
    assert not layer.visible
    panel.component = "eps_yy"
    assert not layer.visible
    maps["eps_yy"].visible = False
    assert layer.visible
    maps["eps_yy"].visible = True
    layer.visible = True  # looked at together
    maps["eps_yy"].visible = False
    assert layer.visible
    maps["eps_yy"].visible = True
    viewer.layers.remove(maps["eps_yy"])
    assert layer.visible


@pytest.mark.slow
def test_headline_stands_above_the_tables(dock: OpenPanel, viewer: Any) -> None:
    add(viewer, perovskite())
    panel = dock("Measure")
    assert panel.headline.isHidden()
    report = measure(panel, "lattice").report
    assert not panel.headline.isHidden()
    assert report.headline.startswith("a = 3.")
    assert report.headline in panel.headline.text()
    assert "145 columns on 2 sublattices" in panel.headline.text()
    assert "standard error" in panel.headline.text()
    measure(panel, "strain")
    values = panel.results.tables["Columns"]
    assert {"y", "x", "eps_xx", "eps_xx_err"} <= set(values)
    assert len(values) == 145
