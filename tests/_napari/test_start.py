"""The first panel: opening an image, what it is, and its scale for all panels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from npe2 import PluginManifest

from napari_atomseg._napari.layers import PROVENANCE, layer_sampling
from napari_atomseg._napari.start import image_in_words

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")


def test_the_panel_says_what_to_do_and_then_what_the_image_is(viewer: Any, dock: OpenPanel) -> None:
    start = dock("Start")
    assert start.image is None
    assert start.about.text().startswith("No image yet")
    assert start.next_button.isHidden()
    survey = viewer.add_image(np.ones((40, 60)), name="survey")
    start.reset_choices()
    assert start.image.name == "survey"
    assert "no scale known" in start.about.text()
    assert not start.next_button.isHidden()
    viewer.add_image(np.ones((8, 8)), name="other", scale=(0.2, 0.2), units=("nm", "nm"))
    assert start.image.name == "other"
    assert "2 Å" in start.about.text()
    viewer.layers.selection.active = survey
    assert start.image.name == "survey"
    survey.scale, survey.units = (0.1, 0.1), ("angstrom", "angstrom")
    assert "40 × 60 pixels of 0.1 Å" in start.about.text()
    assert start.step_row.buttons["Open"].done


@pytest.mark.parametrize(
    ("shape", "options", "words"),
    [
        ((40, 60), {"scale": (0.5, 0.5)}, "pixels of 0.5 Å: a field of 2 × 3 nm."),
        (
            (40, 60),
            {"scale": (0.5, 0.25)},
            "of 0.5 × 0.25 Å: a field of 2 × 1.5 nm.",
        ),
        (
            (3, 40, 60),
            {"scale": (1, 1e4, 1e4)},
            "3 frames of 40 × 60 pixels of 1000 nm: a field of",
        ),
        ((40, 60, 3), {"scale": (0.5, 0.5), "rgb": True}, "A picture in colours"),
    ],
)
def test_an_image_in_words(
    viewer: Any, shape: tuple[int, ...], options: dict[str, Any], words: str
) -> None:
    units = ["angstrom"] * len(options["scale"])
    layer = viewer.add_image(np.ones(shape), units=units, **options)
    assert words in image_in_words(layer)


@pytest.mark.parametrize(
    ("instrument", "word"),
    [({"TEM": {"acquisition_mode": "STEM"}}, "STEM"), ({"SEM": {"beam_energy": 5.0}}, "SEM")],
)
def test_the_microscope_is_named_where_the_file_does(
    viewer: Any, instrument: dict[str, Any], word: str
) -> None:
    file = {"metadata": {"Acquisition_instrument": instrument}}
    layer = viewer.add_image(np.ones((8, 8)), metadata={"file": file})
    assert f"Recorded by {word}." in image_in_words(layer)


def test_sample_data_are_those_of_the_manifest(viewer: Any, dock: OpenPanel) -> None:
    start = dock("Start")
    actions = {action.text(): action for action in start.sample_button.menu().actions()}
    manifest = PluginManifest.from_distribution("napari-atomseg")
    assert set(actions) == {each.display_name for each in manifest.contributions.sample_data or ()}
    actions["SrTiO3 [001], simulated at low dose"].trigger()
    assert start.image in list(viewer.layers)
    assert layer_sampling(start.image) == pytest.approx(0.1)


@pytest.mark.parametrize("name", ["Restore", "Measure"])
def test_a_typed_scale_is_given_to_all_that_lies_on_the_image_at_once(
    viewer: Any, dock: OpenPanel, name: str
) -> None:
    """The button is there as long as the layer has another scale than the panel."""
    viewer.add_image(np.ones((40, 60)), name="survey")
    record = {"action": "localize", "source": "survey"}
    points = viewer.add_points([[5.0, 5.0], [20.0, 30.0]], metadata={PROVENANCE: record})
    panel, other = dock(name), dock("Localize")
    assert panel.use_scale.isHidden()
    panel.settings.sampling = 0.2
    assert not panel.use_scale.isHidden()
    panel.use_scale.click()
    assert panel.use_scale.isHidden()
    assert [layer_sampling(layer) for layer in viewer.layers] == pytest.approx([0.2, 0.2])
    assert other.settings.sampling == 0.2
    np.testing.assert_allclose(points.data_to_world([20.0, 30.0]), [4.0, 6.0])
    panel.settings.sampling = 0.3
    assert not panel.use_scale.isHidden()
    panel.settings.sampling = None
    assert panel.use_scale.isHidden()
