"""The History panel in a real viewer: what panels did is repeated, bit for bit, from its record."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Points
from qtpy.QtWidgets import QApplication
from typer.testing import CliRunner

from napari_atomseg._napari.columns.layers import layer_described, write_layer
from napari_atomseg.cli import app
from napari_atomseg.io import read_columns, read_image, write_image
from napari_atomseg.simulation import Simulation
from napari_atomseg.workflow import history_of

OpenPanel = Callable[[str], Any]
PATIENCE = 300.0
SAMPLING = 0.15

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture
def survey(viewer: Any, scene: Simulation, tmp_path: Path) -> Any:
    """An image that was opened from a file."""
    write_image(tmp_path / "survey.tif", scene.image, SAMPLING)
    (layer,) = viewer.open(tmp_path / "survey.tif", plugin="napari-atomseg")
    return layer


def measured(dock: OpenPanel, survey: Any) -> Any:
    """The panels, after restoring, localizing and measuring a lattice and then strain."""
    panels = {name: dock(name) for name in ("Restore", "Localize", "Measure")}
    panels["Restore"].image = survey.name
    panels["restored"] = panels["Restore"].run().result(PATIENCE)
    find, measure = panels["Localize"], panels["Measure"]
    find.image = survey.name
    find.settings.sensitivity = 0.0
    panels["columns"] = find.run().result(PATIENCE)
    measure.columns, measure.image = panels["columns"].name, panels["restored"].name
    measure.settings.measure = "lattice"
    measure.run().result(PATIENCE)
    measure.settings.measure = "strain"
    measure.settings.radius = 30.0
    panels["strain"] = measure.run().result(PATIENCE)
    return panels


@pytest.mark.slow
def test_what_panels_did_is_repeated_from_its_file_to_the_same_bytes(
    dock: OpenPanel, viewer: Any, survey: Any, tmp_path: Path
) -> None:
    done = measured(dock, survey)
    history = dock("History")
    viewer.layers.selection.active = done["columns"]
    found = history.history
    assert found.problem == ""
    assert [step.action for step in found.workflow.steps] == [
        "localize",
        "measure lattice",
        "restore",
        "measure strain",
    ]
    assert found.lines[0].startswith("survey.tif: 128 × 160 pixels, 0.15 Å per pixel")
    history.save_workflow(tmp_path / "strain.yaml")
    with contextlib.chdir(tmp_path):
        words = ["run", "strain.yaml", "survey.tif", "-o", "out"]
        told = CliRunner().invoke(app, words)
    assert told.exit_code == 0, told.output
    out = tmp_path / "out" / "survey"
    assert read_image(out / "denoised.tif").data.tobytes() == done["restored"].data.tobytes()
    layer = done["columns"]
    table = read_columns(out / f"{found.result}.csv")
    assert table[["y", "x"]].to_numpy().tobytes() == layer.data.tobytes()
    for name in ("volume", "y_err", "eps_xx", "eps_xy", "sublattice"):
        assert table[name].to_numpy().tobytes() == layer.features[name].to_numpy().tobytes(), name
    # The map that the measurement drew has the same chain, also when the image layer is gone.
    viewer.layers.remove(survey)
    (first, *_) = done["strain"].layers
    drawn = history_of(layer_described(first))
    assert drawn.workflow == found.workflow
    # So do the files of the run, and a file that napari wrote of the layer.
    write_layer(tmp_path / "mine.csv", *layer.as_layer_data_tuple()[:2])
    for file in (out / f"{found.result}.csv", tmp_path / "mine.csv"):
        (again,) = viewer.open(file, plugin="napari-atomseg")
        steps = history_of(layer_described(again)).workflow.steps
        assert [s.action for s in steps] == [s.action for s in found.workflow.steps]

    names: dict[str, Any] = {}
    history.copy_python()
    exec(QApplication.clipboard().text(), names)  # noqa: S102 - the script is ours
    pd.testing.assert_series_equal(
        names["strain"].columns["eps_xx"], layer.features["eps_xx"], check_exact=True
    )
    viewer.layers.selection.active = layer
    history.copy_commands()
    for command in QApplication.clipboard().text().splitlines():
        told = CliRunner().invoke(app, shlex.split(command)[1:])
        assert told.exit_code == 0, told.output
    table = read_columns(tmp_path / f"survey-{found.result}.csv")
    np.testing.assert_array_equal(table["eps_xx"], layer.features["eps_xx"])


def peaks(dock: OpenPanel, image: str, **settings: Any) -> Points:
    """Columns that need no network."""
    panel = dock("Localize")
    panel.image = image
    chosen = {"detector": "peaks", "on": "raw", "sensitivity": 0.0, **settings}
    for name, value in chosen.items():
        setattr(panel.settings, name, value)
    return panel.run().result(PATIENCE)


@pytest.mark.slow
def test_drawn_regions_are_repeated(dock: OpenPanel, viewer: Any, survey: Any) -> None:
    corners = SAMPLING * np.array([[20.0, 10.0], [20.0, 90.0], [80.0, 90.0], [80.0, 10.0]])
    viewer.add_shapes([corners], name="field", units=("angstrom",) * 2)
    layer = peaks(dock, survey.name, region="field")
    (step,) = history_of(layer_described(layer)).workflow.steps
    np.testing.assert_allclose(step.region[0], corners / SAMPLING)
    viewer.add_labels(np.ones(survey.data.shape, int), name="mask", scale=survey.scale)
    layer = peaks(dock, survey.name, region="mask")
    assert "labels 'mask'" in history_of(layer_described(layer)).problem


@pytest.mark.slow
def test_columns_that_were_corrected_are_told(
    dock: OpenPanel, viewer: Any, survey: Any, tmp_path: Path
) -> None:
    """And stay so in the file, and in what is measured of them."""
    layer = peaks(dock, survey.name)
    assert history_of(layer_described(layer)).problem == ""
    before, features = layer.data.copy(), layer.features.copy()
    moved = before[:-2].copy()
    moved[0] += 0.5
    layer.data = moved
    panel = dock("History")
    viewer.layers.selection.active = layer
    told = panel.history.problem
    assert "changed by hand (1 added or moved, 2 deleted)" in told
    with pytest.raises(ValueError, match="by hand"):
        panel.save_workflow(tmp_path / "w.yaml")
    write_layer(tmp_path / "mine.csv", *layer.as_layer_data_tuple()[:2])
    (again,) = viewer.open(tmp_path / "mine.csv", plugin="napari-atomseg")
    assert "by hand" in history_of(layer_described(again)).problem
    layer.data, layer.features = before, features
    assert history_of(layer_described(layer)).problem == ""


def test_changed_pixels_are_no_file(dock: OpenPanel, viewer: Any, survey: Any) -> None:
    """A script would read other pixels than those that were measured."""
    survey.data = 2.0 * np.asarray(survey.data)
    layer = peaks(dock, survey.name)
    found = history_of(layer_described(layer))
    assert found.workflow is not None
    with pytest.raises(ValueError, match="changed by hand since it was opened"):
        found.python()


def test_a_file_that_changed_is_told_after_copying(
    dock: OpenPanel, viewer: Any, survey: Any, scene: Simulation, tmp_path: Path
) -> None:
    layer = peaks(dock, survey.name)
    write_image(tmp_path / "survey.tif", scene.ideal, SAMPLING)
    panel = dock("History")
    viewer.layers.selection.active = layer
    panel.copy_python()
    assert panel.job.result(PATIENCE)
    assert "other pixels" in panel.message.text()


@pytest.mark.slow
def test_a_typed_scale_and_one_frame_are_repeated(
    dock: OpenPanel, viewer: Any, scene: Simulation, tmp_path: Path
) -> None:
    stack = np.stack([scene.image, scene.image[::-1], scene.image[:, ::-1]])
    write_image(tmp_path / "film.tif", stack, SAMPLING)
    (layer,) = viewer.open(tmp_path / "film.tif", plugin="napari-atomseg")
    viewer.dims.set_point(0, 2)
    columns = peaks(dock, layer.name, stack="shown", sampling=0.2)
    found = history_of(layer_described(columns))
    (step,) = found.workflow.steps
    assert (step.frame, found.workflow.sampling) == ((2,), 0.2)
    names: dict[str, Any] = {}
    exec(found.python(), names)  # noqa: S102 - the script is ours
    np.testing.assert_array_equal(names["columns"][["y", "x"]], columns.data[:, -2:])


def test_a_layer_of_something_else_says_so(dock: OpenPanel, viewer: Any) -> None:
    panel = dock("History")
    viewer.add_points(np.zeros((1, 2)), name="mine")
    panel.refresh()
    assert panel.message.text() == "'mine' was not made by this plugin."
    assert not panel.python_button.isEnabled()
    viewer.add_layer(Image(np.zeros((4, 4)), name="blank"))
    panel.refresh()
    assert "no step was applied to it yet" in panel.message.text()


@pytest.mark.slow
def test_the_script_runs_in_a_process_of_its_own(
    dock: OpenPanel, viewer: Any, survey: Any, tmp_path: Path
) -> None:
    layer = peaks(dock, survey.name)
    script = history_of(layer_described(layer)).python()
    script += f"columns.to_pickle({str(tmp_path / 'columns.pkl')!r})\n"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=tmp_path)
    table = pd.read_pickle(tmp_path / "columns.pkl")  # noqa: S301 - written just now
    assert table[["y", "x"]].to_numpy().tobytes() == layer.data.tobytes()
