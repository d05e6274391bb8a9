"""Files read and written through napari."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array
import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from napari.utils.notifications import notification_manager

from napari_atomseg import io
from napari_atomseg._napari.files import get_columns_reader, get_image_reader
from napari_atomseg._napari.layers import PROVENANCE, Placement, layer_sampling, points_layer
from napari_atomseg._napari.opened import file_layers
from napari_atomseg.io.images.image import ImageFileError

from .conftest import placement

PIXELS = np.random.default_rng(0).random((16, 20)).astype(np.float32)


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


@pytest.mark.slow
def test_microscope_image_opens_with_its_scale(viewer: Any, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((16, 20)).astype(np.float32)
    path = tmp_path / "image.mrc"
    write_mrc(path, pixels, sampling=0.2)
    (layer,) = viewer.open(str(path), plugin="napari-atomseg")
    np.testing.assert_allclose(np.asarray(layer.data), pixels)
    np.testing.assert_allclose(layer.scale, 0.2, rtol=1e-5)
    assert {str(unit) for unit in layer.units} == {"angstrom"}


def write_hspy(path: Path, *images: tuple[str, Any, str, float]) -> None:
    """Images as HyperSpy stores them: title, pixels, and unit and step of the last two axes."""
    with h5py.File(path, "w") as file:
        for title, data, unit, step in images:
            group = file.create_group(f"Experiments/{title or 'signal'}")
            group["data"] = data
            for axis in range(data.ndim):
                last = axis >= data.ndim - 2
                about = {"units": unit if last else "", "scale": step if last else 1.0}
                group.create_group(f"axis-{axis}").attrs.update(about)
            group.create_group("metadata/General").attrs["title"] = title


def told(kind: str) -> list[str]:
    """Messages of a kind that napari has shown, which are then forgotten."""
    manager = notification_manager
    found = [str(each.message) for each in manager.records if each.severity.value == kind]
    manager.records.clear()
    return found


def test_every_detector_is_a_layer(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "field.hspy"
    images = [(name, number * PIXELS, "nm", 0.02) for number, name in enumerate(["BF", "HAADF"], 1)]
    write_hspy(path, *images)
    layers = viewer.open(str(path), plugin="napari-atomseg")
    assert [layer.name for layer in layers] == ["field BF", "field HAADF"]
    for layer, (_, pixels, _, _) in zip(layers, images, strict=True):
        np.testing.assert_array_equal(layer.data, pixels)
        assert layer_sampling(layer) == pytest.approx(0.2)
    assert layers[1].contrast_limits[1] > 1.5 * layers[0].contrast_limits[1]


def test_diffraction_is_left_out_beside_an_image(viewer: Any, tmp_path: Path) -> None:
    path = tmp_path / "both.hspy"
    write_hspy(path, ("FFT", PIXELS, "1/nm", 0.1), ("HAADF", PIXELS, "nm", 0.1))
    told("info")
    (layer,) = viewer.open(str(path), plugin="napari-atomseg")
    assert layer.name == "both"
    assert any("FFT (diffraction)" in message for message in told("info"))


def test_diffraction_alone_opens_with_its_own_units(viewer: Any, tmp_path: Path) -> None:
    write_hspy(tmp_path / "saed.hspy", ("", PIXELS, "1/nm", 0.05))
    (layer,) = viewer.open(str(tmp_path / "saed.hspy"), plugin="napari-atomseg")
    assert layer.name == "saed (diffraction)"
    assert {str(unit) for unit in layer.units} == {"1 / nanometer"}
    np.testing.assert_allclose(layer.scale, 0.05)
    assert layer_sampling(layer) is None
    viewer.add_image(PIXELS, scale=(0.1, 0.1), units=("angstrom", "angstrom"))


def test_length_of_a_pattern_is_no_sampling(viewer: Any) -> None:
    """As of the screen that some cameras record."""
    scales = ((0.016, "cm"), (0.016, "cm"))
    pattern = io.MicroscopeImage(
        PIXELS, None, ("y", "x"), {}, "a", kind="diffraction", scales=scales
    )
    (layer,) = file_layers(Path("a.blo"), [pattern])
    assert layer_sampling(layer) is None


@pytest.mark.parametrize("step", [1e18, 1e-30, 0.0, -1.0])
def test_absurd_scale_breaks_no_viewer(viewer: Any, tmp_path: Path, step: float) -> None:
    write_hspy(tmp_path / "a.hspy", ("", PIXELS, "m", step))
    (layer,) = viewer.open(str(tmp_path / "a.hspy"), plugin="napari-atomseg")
    viewer.add_image(PIXELS)
    np.testing.assert_array_equal(layer.scale, 1.0)


def test_spectrum_is_refused_with_the_list_of_what_there_is(viewer: Any, tmp_path: Path) -> None:
    write_hspy(tmp_path / "a.hspy", ("EELS", np.ones((30, 200)), "eV", 0.1))
    with pytest.raises(ImageFileError, match=r"a\.hspy: no image in it; it has 0: EELS.*spectrum"):
        get_image_reader(str(tmp_path / "a.hspy"))(str(tmp_path / "a.hspy"))


def test_what_was_not_understood_is_shown_as_a_warning(viewer: Any, tmp_path: Path) -> None:
    write_hspy(tmp_path / "a.hspy", ("", PIXELS, "bananas", 0.1))
    told("warning")
    viewer.open(str(tmp_path / "a.hspy"), plugin="napari-atomseg")
    assert any("a.hspy: The unit 'bananas'" in message for message in told("warning"))


@pytest.mark.parametrize("suffix", [".tif", ".hdf5"])
def test_calibrated_file_of_a_shared_suffix_is_read_here(
    viewer: Any, tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    if suffix == ".tif":
        io.write_image(path, PIXELS, sampling=(0.2, 0.1))
    else:
        write_hspy(path, ("", PIXELS, "nm", 0.02))
    (layer,) = viewer.open(str(path), plugin="napari-atomseg")
    expected = (0.2, 0.1) if suffix == ".tif" else 0.2
    np.testing.assert_allclose(layer.scale, expected, rtol=1e-5)
    assert {str(unit) for unit in layer.units} == {"angstrom"}


def test_files_of_which_nothing_is_known_are_left_to_napari(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "photo.tif", PIXELS)
    (tmp_path / "damaged.tif").write_bytes(b"II*\0")
    (tmp_path / "words.txt").write_text("not an image")
    for name in ("photo.tif", "damaged.tif", "words.txt", "absent.tif"):
        assert get_image_reader(str(tmp_path / name)) is None
    assert get_image_reader(str(tmp_path)) is None


def test_channels_have_a_layer_and_a_contrast_each() -> None:
    data = np.stack([PIXELS, 100 * PIXELS])
    scales = ((None, None), (0.02, "nm"), (0.02, "nm"))
    image = io.MicroscopeImage(
        data, 0.2, ("channel", "y", "x"), {"channels": ["BF", ""]}, "field", scales=scales
    )
    layers = file_layers(Path("field.tif"), [image])
    assert [layer.name for layer in layers] == ["field BF", "field channel 1"]
    assert layers[1].contrast_limits[1] > 50 * layers[0].contrast_limits[1]
    assert all(layer_sampling(layer) == 0.2 for layer in layers)


def test_frames_keep_their_numbers_and_depth_its_length() -> None:
    for axis, scale, expected in [
        ("time", (0.5, "s"), (1.0, "pixel")),
        ("z", (0.5, "nm"), (5.0, "angstrom")),
    ]:
        data = np.stack([PIXELS] * 3)
        scales = (scale, (0.2, "Å"), (0.2, "Å"))
        image = io.MicroscopeImage(data, 0.2, (axis, "y", "x"), {}, "a", scales=scales)
        (layer,) = file_layers(Path("a.mrc"), [image])
        assert (layer.scale[0], str(layer.units[0])) == expected
        assert layer.axis_labels == (axis, "y", "x")
        assert layer.metadata["file"]["scales"] == scales


def test_data_in_a_file_stay_there() -> None:
    lazy = dask.array.from_array(np.stack([PIXELS] * 3), chunks=(1, -1, -1))
    scales = ((None, None),) * 3
    image = io.MicroscopeImage(lazy, None, ("frame", "y", "x"), {}, "a", scales=scales)
    (layer,) = file_layers(Path("a.mrc"), [image])
    assert hasattr(layer.data, "dask")


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


@pytest.mark.slow
@pytest.mark.parametrize("ndim", [2, 3])
def test_points_that_napari_saved_itself_come_back(
    viewer: Any, tmp_path: Path, columns: pd.DataFrame, ndim: int
) -> None:
    table, leading = columns.assign(species="Sr"), (2,) * (ndim - 2)
    if leading:
        table["frame"] = np.arange(len(table)) % 2
    saved = points_layer(table, "columns", {}, {}, leading=leading)
    viewer.add_layer(saved)
    saved.save(str(tmp_path / "a.csv"), plugin="napari")
    viewer.layers.clear()
    (layer,) = viewer.open(str(tmp_path / "a.csv"), plugin="napari-atomseg")
    np.testing.assert_allclose(layer.data, saved.data)
    assert set(layer.features["species"]) == {"Sr"}
    np.testing.assert_allclose(layer.features["volume"], saved.features["volume"])


@pytest.mark.parametrize(
    "content",
    ["1,2\n3,4\n", "a,b\n1,2\n", "index,shape-type,vertex-index,axis-0,axis-1\n0,line,0,1,2\n", ""],
)
def test_other_tables_are_left_to_napari(tmp_path: Path, content: str) -> None:
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    assert get_columns_reader(str(tmp_path / "a.csv")) is None
