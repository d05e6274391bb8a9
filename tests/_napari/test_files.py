"""Files read and written through napari."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from napari_atomseg import io
from napari_atomseg._napari.files import get_columns_reader
from napari_atomseg._napari.layers import PROVENANCE, Placement, points_layer

from .conftest import placement


@pytest.fixture
def columns() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.random((20, 2)) * 100, columns=["y", "x"])
    return table.assign(volume=rng.random(20), elements="Sr", label=np.arange(20))


def write(viewer: Any, layer: Any, path: Path) -> Any:
    """Save a layer, open the file again, and return the new layer."""
    assert layer.save(str(path), plugin="napari-atomseg") == [str(path)]
    (back,) = viewer.open(str(path), plugin="napari-atomseg")
    return back


def test_columns_come_back_as_they_were(
    viewer: Any, image_layer: Any, columns: pd.DataFrame, tmp_path: Path
) -> None:
    place = Placement.of(image_layer).arguments()
    made = io.provenance("localize", "scene", {"refine": "gaussian"}, model="m", sha256="0f")
    layer = viewer.add_layer(points_layer(columns, "found", place, made))
    back = write(viewer, layer, tmp_path / "found.csv")
    np.testing.assert_array_equal(back.data, layer.data)
    assert placement(back) == placement(layer)
    for name in ("volume", "elements", "label"):
        assert back.features[name].tolist() == columns[name].tolist()
    np.testing.assert_allclose(back.features["y_angstrom"], columns["y"] * 0.15)
    record = back.metadata[PROVENANCE]
    assert record["sampling"] == pytest.approx(0.15)
    assert {name: record[name] for name in made} == made


def test_columns_of_a_stack_keep_their_frames(
    viewer: Any, columns: pd.DataFrame, tmp_path: Path
) -> None:
    stack = viewer.add_image(np.zeros((4, 100, 100)), scale=(1, 0.2, 0.2))
    frames = columns.assign(frame=np.arange(20) % 4)
    place = Placement.of(stack).arguments()
    layer = viewer.add_layer(points_layer(frames, "found", place, {}, leading=(4,)))
    back = write(viewer, layer, tmp_path / "found.csv")
    np.testing.assert_array_equal(back.data, layer.data)


def test_points_edited_by_hand_are_written_as_they_are(
    viewer: Any, image_layer: Any, columns: pd.DataFrame, tmp_path: Path
) -> None:
    place = Placement.of(image_layer).arguments()
    layer = viewer.add_layer(points_layer(columns, "found", place, {}))
    layer.add((1.5, 2.5))
    layer.selected_data = {0}
    layer.remove_selected()
    table = io.read_columns(write(viewer, layer, tmp_path / "edited.csv").source.path)
    assert len(table) == 20
    assert table[["y", "x"]].iloc[-1].tolist() == [1.5, 2.5]
    assert table["label"].iloc[0] == 1


def test_tables_of_the_command_line_open_with_their_scale(
    viewer: Any, columns: pd.DataFrame, tmp_path: Path
) -> None:
    path = tmp_path / "columns.csv"
    io.write_columns(path, columns, {"sampling": 0.25})
    (layer,) = viewer.open(str(path), plugin="napari-atomseg")
    np.testing.assert_allclose(layer.scale, 0.25)
    assert {str(unit) for unit in layer.units} == {"angstrom"}


def test_other_tables_are_left_to_others(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "points.csv"
    path.write_text("index,axis-0,axis-1\n0,1.0,2.0\n")
    (layer,) = viewer.open(str(path))
    assert type(layer).__name__ == "Points"
    assert PROVENANCE not in layer.metadata


def test_microscope_image_opens_with_its_scale(viewer: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((16, 20)).astype(np.float32)
    path = tmp_path / "image.mrc"
    write_mrc(path, pixels, sampling=0.2)
    (layer,) = viewer.open(str(path), plugin="napari-atomseg")
    np.testing.assert_allclose(np.asarray(layer.data), pixels)
    np.testing.assert_allclose(layer.scale, 0.2, rtol=1e-5)
    assert {str(unit) for unit in layer.units} == {"angstrom"}


def write_mrc(path: Path, pixels: Any, sampling: float) -> None:
    """Write an image as MRC2014 (mode 2), whose cell gives the sampling."""
    rows, columns = pixels.shape
    header = np.zeros(256, dtype="<i4")
    header[:4] = (columns, rows, 1, 2)
    header[7:10] = (columns, rows, 1)
    header.view("<f4")[10:13] = (columns * sampling, rows * sampling, 1.0)
    header.view("<f4")[13:16] = 90.0
    header[16:19] = (1, 2, 3)
    header.view("S4")[52] = b"MAP "
    header[53] = 0x00004444
    path.write_bytes(header.tobytes() + pixels.astype("<f4").tobytes())


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("y;x\n10,5;20,25\n30;40\n", [[10.5, 20.25], [30, 40]]),
        ("index,axis-0,axis-1\n0.0,10.5,20.25\n1.0,30,40\n", [[10.5, 20.25], [30, 40]]),
        ("y,x\nnan,1\n30,40\n", [[30, 40]]),
    ],
)
def test_tables_of_other_programs_open_as_points(
    viewer: Any, tmp_path: Path, content: str, found: list[list[float]]
) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-16")
    (layer,) = viewer.open(str(tmp_path / "a.csv"), plugin="napari-atomseg")
    np.testing.assert_allclose(layer.data, found)


@pytest.mark.parametrize(
    "content",
    ["1,2\n3,4\n", "a,b\n1,2\n", "index,shape-type,vertex-index,axis-0,axis-1\n0,line,0,1,2\n", ""],
)
def test_other_tables_are_left_to_napari(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    assert get_columns_reader(str(tmp_path / "a.csv")) is None
