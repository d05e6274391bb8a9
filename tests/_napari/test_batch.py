"""The Batch panel in a real viewer: a folder with bad files, frames of a stack, and its results."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.layers import Image, Points

from napari_atomseg.io import read_columns, write_image
from napari_atomseg.localization import localize
from napari_atomseg.progress import Cancelled
from napari_atomseg.simulation import Simulation
from napari_atomseg.workflow import Workflow

OpenPanel = Callable[[str], Any]
PATIENCE = 300.0
SAMPLING = 0.15
PEAKS = {"detector": "peaks", "sensitivity": 0.0}

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture
def folder(scene: Simulation, tmp_path: Path) -> Path:
    """Three images and a text that is called one, with a workflow beside them."""
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(3):
        write_image(folder / f"{number}.tif", scene.image[number:], SAMPLING)
    (folder / "bad.tif").write_text("no image")
    Workflow.of([{"name": "columns", "action": "localize", "settings": PEAKS}]).save(
        tmp_path / "columns.yaml"
    )
    return folder


def rows(panel: Any) -> list[list[str]]:
    table = panel.table
    return [
        [table.item(row, column).text() for column in range(table.columnCount())]
        for row in range(table.rowCount())
    ]


@pytest.mark.slow
def test_a_folder_is_worked_through_and_gone_on_with(
    dock: OpenPanel, viewer: Any, folder: Path, scene: Simulation
) -> None:
    panel = dock("Batch")
    panel.settings.workflow = str(folder.parent / "columns.yaml")
    panel.settings.folder = folder
    panel.found.connect(lambda _result: panel.cancel())
    job = panel.run()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    panel.found.disconnect()
    panel.found.connect(panel._add)
    panel.run().result(PATIENCE)
    table = localize(scene.image, sampling=SAMPLING, **PEAKS)
    error = 100 * SAMPLING * np.nanmedian(np.hypot(table["y_err"], table["x_err"]))
    first, *_, bad = rows(panel)
    assert first[:4] == ["0.tif", str(len(table)), f"{error:.1f} pm", "done before"]
    assert [row[3] for row in rows(panel)][-1] == "failed"
    assert bad[0] == "bad.tif"
    assert "damaged" in bad[4]
    assert "4 images: 3 done" in panel.message.text()
    assert "before), 1 failed" in panel.message.text()
    written = read_columns(folder / "results" / "0" / "columns.csv")
    np.testing.assert_array_equal(written["y"], table["y"])

    panel.open_result(0).result(PATIENCE)
    image, columns = viewer.layers
    assert isinstance(image, Image)
    assert isinstance(columns, Points)
    np.testing.assert_array_equal(columns.data, table[["y", "x"]])
    np.testing.assert_allclose(columns.scale, SAMPLING)


@pytest.mark.slow
def test_frames_of_a_stack_are_done_as_a_layer_was_made(
    dock: OpenPanel, viewer: Any, scene: Simulation, tmp_path: Path
) -> None:
    stack = np.stack([scene.image, scene.image[::-1]])
    units = ("pixel", "angstrom", "angstrom")
    viewer.add_image(stack, name="film", scale=(1, SAMPLING, SAMPLING), units=units)
    one = viewer.add_image(
        scene.image, name="one", scale=(SAMPLING, SAMPLING), units=("angstrom",) * 2
    )
    find = dock("Localize")
    find.image = one
    for name, value in {**PEAKS, "on": "raw"}.items():
        setattr(find.settings, name, value)
    columns = find.run().result(PATIENCE)
    panel = dock("Batch")
    panel.settings.workflow = f"as layer {columns.name}"
    panel.settings.images = "film"
    assert not panel.form.inputs["folder"].native.isVisibleTo(panel)
    with pytest.raises(ValueError, match="folder for the results"):
        panel.prepare()
    panel.settings.output = tmp_path / "out"
    panel.run().result(PATIENCE)
    assert [row[3] for row in rows(panel)] == ["done", "done"]
    assert rows(panel)[0][1] == str(len(columns.data))
    panel.open_result(1).result(PATIENCE)
    np.testing.assert_array_equal(viewer.layers["film-0001"].data, stack[1])


def test_what_is_missing_is_told(dock: OpenPanel, tmp_path: Path) -> None:
    panel = dock("Batch")
    panel.run()
    assert "there is no workflow" in panel.message.text()
    panel.settings.workflow = str(tmp_path / "none.yaml")
    panel.run()
    assert "none.yaml" in panel.message.text()
    Workflow.of([{"name": "columns", "action": "localize"}]).save(tmp_path / "w.yaml")
    panel.settings.workflow = str(tmp_path / "w.yaml")
    panel.run()
    assert "choose the folder" in panel.message.text()
    panel.settings.folder = tmp_path
    panel.run()
    assert "there are no images" in panel.message.text()
