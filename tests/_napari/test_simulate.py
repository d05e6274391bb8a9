"""The Simulate panel: every number of the simulator, a preview that follows, truth as layers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import pairwise
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Labels, Points
from pydantic import TypeAdapter
from qtpy.QtWidgets import QApplication, QLabel

from napari_atomseg._napari.preview import SIDE, Newest
from napari_atomseg._napari.simulate.distortions import DistortionList, distortion_kinds
from napari_atomseg.progress import CancelToken
from napari_atomseg.simulation.settings import SimulationSettings

PATIENCE = 60.0
QUARTER = 0.25

pytestmark = pytest.mark.usefixtures("qtbot")


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        QApplication.processEvents()
        time.sleep(0.002)


@pytest.fixture
def panel(dock: Callable[[str], Any]) -> Any:
    return dock("Simulate")


@pytest.fixture
def shown(make_napari_viewer_proxy: Any, plugin: Any) -> Any:
    """A panel in sight, with its first preview."""
    viewer = make_napari_viewer_proxy(show=True)
    panel = viewer.window.add_plugin_dock_widget("napari-atomseg", "Simulate")[1]
    wait_until(lambda: panel.preview_picture.latency is not None)
    yield panel
    panel.preview = False
    wait_until(lambda: not panel.preview_picture.busy)


def settled(panel: Any) -> Any:
    """The preview after everything that was asked for is drawn."""
    wait_until(lambda: not panel.preview_picture.busy)
    return panel.preview_picture


@pytest.mark.slow
def test_layers_have_scale_units_truth_and_settings(panel: Any, viewer: Any) -> None:
    panel.crystal, panel.zone_axis, panel.shape, panel.sampling = "Si", (1, 1, 0), (96, 128), 0.2
    ideal, image, masks, columns = panel.run().result(PATIENCE)
    assert list(viewer.layers) == [ideal, image, masks, columns]
    assert [type(layer) for layer in viewer.layers] == [Image, Image, Labels, Points]
    for layer in (ideal, image, masks, columns):
        np.testing.assert_allclose(layer.scale, 0.2)
        assert [str(unit) for unit in layer.units] == ["angstrom", "angstrom"]
    assert image.data.shape == masks.data.shape == (96, 128)
    record = image.metadata["napari-atomseg"]["settings"]
    assert (record["crystal"], record["zone_axis"]) == ("Si", [1, 1, 0])
    here = np.rint(columns.data).astype(int)
    inside = ((here >= 0) & (here < image.data.shape)).all(axis=1)
    labels = masks.data[tuple(here[inside].T)]
    assert np.array_equal(labels, np.flatnonzero(inside) + 1)
    assert ideal.data[tuple(here[inside].T)].mean() > 2 * ideal.data.mean()
    assert np.corrcoef(image.data.ravel(), ideal.data.ravel())[0, 1] > 0.5


def test_only_the_layers_that_are_wanted_are_added(panel: Any, viewer: Any) -> None:
    panel.shape = (64, 64)
    panel.add_ideal, panel.add_masks, panel.add_columns = False, False, True
    panel.run().result(PATIENCE)
    assert [type(layer) for layer in viewer.layers] == [Image, Points]


def test_every_argument_of_simulate_is_a_setting_with_its_default(panel: Any) -> None:
    assert panel.form.values().arguments() == SimulationSettings().arguments()
    panel.gamma, panel.dose, panel.tilt, panel.C3, panel.invert = (
        None,
        inf,
        (1.5, -2.0),
        1.2e7,
        True,
    )
    chosen = panel.form.values().arguments()
    assert [chosen[name] for name in ("gamma", "dose", "tilt", "C3", "invert")] == [
        *(None, inf, (1.5, -2.0), 1.2e7, True)
    ]


def test_field_of_view_is_size_times_sampling(panel: Any) -> None:
    panel.shape, panel.sampling = (256, 512), 0.125
    texts = [label.text() for label in panel.form.findChildren(QLabel)]
    assert "32 × 64 Å" in texts


@pytest.mark.slow
def test_preview_follows_the_settings_within_a_quarter_of_a_second(shown: Any) -> None:
    picture = settled(shown)
    assert picture.image.shape == (SIDE, SIDE)
    latencies, images = [], [picture.image]
    for rotation in (10.0, 20.0, 30.0, 40.0):
        shown.rotation = rotation
        images.append(settled(shown).image)
        latencies.append(picture.latency)
    assert min(latencies) < QUARTER
    assert all(not np.array_equal(a, b) for a, b in pairwise(images))
    shown.shape = (64, 1024)
    assert settled(shown).image.shape == (64, SIDE)


def test_preview_says_what_is_wrong_and_goes_on(shown: Any, tmp_path: Path, notices: Any) -> None:
    broken = tmp_path / "broken.cif"
    broken.write_text("data_nothing\n")
    shown.crystal = broken
    assert "broken.cif" in settled(shown).caption
    shown.crystal, shown.zone_axis = "Pt", (0, 0, 0)
    assert "zone_axis" in settled(shown).caption
    shown.zone_axis = (1, 1, 0)
    assert "Å" in settled(shown).caption
    assert notices == []


def test_preview_can_be_switched_off(shown: Any) -> None:
    before = settled(shown).image
    shown.preview = False
    assert not shown.preview_picture.isVisible()
    shown.rotation = 45.0
    assert not shown.preview_picture.busy
    assert shown.preview_picture.image is before
    shown.preview = True
    assert not np.array_equal(settled(shown).image, before)


def test_preview_of_multislice_is_fast(shown: Any) -> None:
    shown.imaging = "multislice-adf"
    assert "without multislice" in settled(shown).caption
    assert shown.form.values().imaging == "multislice-adf"


def test_newest_request_wins_and_nothing_blocks() -> None:
    newest, results, started = Newest(), [], threading.Event()
    newest.settled.connect(lambda result, error: results.append((result, error)))
    drawn = []

    def slow(token: CancelToken) -> str:
        started.set()
        while not token.cancelled:
            time.sleep(0.001)
        return "slow"

    def quick(name: str) -> Callable[[CancelToken], str]:
        return lambda token: drawn.append(name) or name

    asked = time.perf_counter()
    newest.ask(slow)
    assert started.wait(PATIENCE)
    for name in ("one", "two", "three"):
        newest.ask(quick(name))
    assert time.perf_counter() - asked < 5.0
    wait_until(lambda: not newest.busy)
    assert drawn == ["three"]
    assert results == [("three", None)]


def test_pictures_follow_while_requests_keep_coming() -> None:
    newest, shown = Newest(), []
    newest.settled.connect(lambda result, error: shown.append(result))
    for request in range(40):
        newest.ask(lambda token, request=request: time.sleep(0.02) or request)
        QApplication.processEvents()
        time.sleep(0.005)
    wait_until(lambda: not newest.busy)
    assert len(shown) > 4
    assert shown == sorted(shown)
    assert shown[-1] == 39


def test_work_that_fails_is_told() -> None:
    newest, results = Newest(), []
    newest.settled.connect(lambda result, error: results.append((result, error)))
    error = RuntimeError("out of memory")

    def fails(token: CancelToken) -> None:
        raise error

    newest.ask(fails)
    wait_until(lambda: not newest.busy)
    assert results == [(None, error)]


def test_microscope_sets_its_numbers_until_one_is_changed(panel: Any) -> None:
    for name, numbers in panel._presets.items():
        panel.microscope = name
        assert {key: panel.form[key] for key in numbers} == numbers
        assert panel.microscope == name
    panel.energy = panel.energy + 1000.0
    assert panel.microscope == ""
    with pytest.raises(ValueError, match="toy microscope"):
        panel.microscope = "toy microscope"


def test_crystals_from_files_stay_in_the_list(panel: Any, tmp_path: Path) -> None:
    from ase.build import bulk

    path = tmp_path / "copper.cif"
    bulk("Cu", cubic=True).write(path)
    panel.crystal, panel.shape = path, (64, 64)
    assert panel.crystal == str(path)
    layers = panel.run().result(PATIENCE)
    assert layers[-1].name.startswith("copper [001]")
    assert set(layers[-1].features["elements"]) == {"Cu"}
    panel.crystal = "Pt"
    box = panel.form.inputs["crystal"]
    assert str(path) in [box.itemData(place) for place in range(box.count())]


def test_a_file_is_asked_for(panel: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from napari_atomseg._napari.forms import choices

    box = panel.form.inputs["crystal"]
    for answer, crystal in (("", "SrTiO3"), ("/there/some.xyz", "/there/some.xyz")):
        monkeypatch.setattr(choices, "ask_for_file", lambda parent, files, name=answer: name)
        box.setCurrentIndex(box.count() - 1)
        assert panel.crystal == crystal


def test_samples_of_recipes(panel: Any) -> None:
    from napari_atomseg.simulation import sample

    panel.recipe, panel.index, panel.seed, panel.shape = "temimagenet", 5, 2, (96, 96)
    assert panel.form.inputs["index"].isVisibleTo(panel)
    assert not panel.form.inputs["crystal"].isVisibleTo(panel)
    assert not panel.form.sections["Optics"].isVisibleTo(panel)
    image = panel.run().result(PATIENCE)[1]
    assert image.name == "temimagenet 5"
    assert np.array_equal(image.data, sample("temimagenet", 5, 2, (96, 96)).image)
    panel.recipe = ""
    assert panel.form.inputs["crystal"].isVisibleTo(panel)


@pytest.mark.parametrize("kind", sorted(distortion_kinds()))
def test_every_kind_of_distortion_can_be_added(kind: str) -> None:
    from napari_atomseg.distortion import AnyDistortion

    listed = DistortionList()
    listed.show()
    listed.activate(kind)
    (distortion,) = listed.value
    part = TypeAdapter(AnyDistortion).validate_python(distortion)
    assert part.kind == kind
    listed.value = (part,)
    assert TypeAdapter(AnyDistortion).validate_python(listed.value[0]) == part
    listed.close()


def test_distortions_keep_their_order_and_can_be_removed() -> None:
    listed, told = DistortionList(), []
    listed.changed.connect(told.append)
    first = {"kind": "thermal_readout", "sigma": (0.1, 0.2)}
    listed.value = (first, {"kind": "drift", "distance": (1.5, 1.5)})
    assert [one["kind"] for one in listed.value] == ["thermal_readout", "drift"]
    assert listed.value[0] == first
    listed.items[0].removed.emit()
    assert told[-1] == listed.value
    assert [one["kind"] for one in listed.value] == ["drift"]
    assert listed.value[0]["distance"] == (1.5, 1.5)
    with pytest.raises(ValueError, match="earthquake"):
        listed.value = ({"kind": "earthquake"},)
