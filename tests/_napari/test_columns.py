"""The Columns panel: columns corrected, plotted, imported, exported and drawn."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest
from matplotlib.backend_bases import MouseEvent
from napari.layers import Points
from napari.utils.interactions import (
    mouse_move_callbacks,
    mouse_press_callbacks,
    mouse_release_callbacks,
)
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication
from scipy.io import savemat

from napari_atomseg import io
from napari_atomseg._napari.columns.colours import KINDS, colour_points
from napari_atomseg._napari.columns.figures import strain_images
from napari_atomseg._napari.layers import MEASURED, PROVENANCE, Placement, points_layer
from napari_atomseg.localization import localize
from napari_atomseg.localization import refit as again
from napari_atomseg.progress import Cancelled, report
from napari_atomseg.simulation import Simulation

from .conftest import placement

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture(scope="session")
def table(scene: Simulation) -> pd.DataFrame:
    found = localize(scene.image, sampling=0.15, detector="peaks", edge="drop", contrast="bright")
    strong = found["volume"] > found["volume"].median()
    return found.assign(species=np.where(strong, "Sr", "TiO"))


@pytest.fixture
def columns(viewer: Any, image_layer: Any, table: pd.DataFrame) -> Any:
    """The columns of the image as Localize shows them."""
    record = io.provenance("localize", "scene", {"refine": "gaussian", "contrast": "bright"})
    layer = points_layer(table, "scene columns", Placement.of(image_layer).arguments(), record)
    viewer.add_layer(layer)
    return layer


@pytest.fixture
def panel(dock: OpenPanel, columns: Any) -> Any:
    return dock("Columns")


def middle(table: pd.DataFrame) -> int:
    """A column with neighbours on all sides."""
    return int(np.hypot(table["y"] - 64, table["x"] - 80).argmin())


def others_are_untouched(layer: Any, table: pd.DataFrame, row: int, now: int) -> None:
    before = table.drop(index=row).reset_index(drop=True)
    after = layer.features.drop(index=now).reset_index(drop=True)
    np.testing.assert_array_equal(np.delete(layer.data, now, axis=0), before[["y", "x"]])
    for name in after:
        pd.testing.assert_series_equal(
            after[name], before[name], check_dtype=False, check_exact=True
        )


def test_an_added_column_is_noticed_and_only_it_is_measured(
    panel: Any, columns: Any, table: pd.DataFrame
) -> None:
    row = middle(table)
    columns.selected_data = {row}
    columns.remove_selected()
    assert "1 deleted" in panel.status.text()
    columns.add(table.loc[row, ["y", "x"]].to_numpy(float) + np.array([0.6, -0.5]))
    new = columns.features.iloc[-1]
    assert new.drop("label").isna().all(), "nothing is known about a column that was just added"
    assert new["label"] not in columns.features["label"].iloc[:-1].tolist()
    assert "1 to be refitted" in panel.status.text()
    assert panel.run_button.isEnabled()
    assert panel.run().result(PATIENCE) is columns
    others_are_untouched(columns, table, row, len(table) - 1)
    refitted, known = columns.features.iloc[-1], table.loc[row]
    assert np.hypot(*(columns.data[-1] - known[["y", "x"]].to_numpy(float))) < known["y_err"]
    assert refitted["volume"] == pytest.approx(known["volume"], rel=0.05)
    assert refitted["y_angstrom"] == pytest.approx(0.15 * columns.data[-1, 0])
    assert refitted["converged"]
    assert "1 column measured on scene" in panel.message.text()
    assert not panel.run_button.isEnabled()


def test_a_column_dragged_with_the_mouse_goes_back_to_its_place(
    panel: Any, columns: Any, table: pd.DataFrame
) -> None:
    row = middle(table)
    columns.features = columns.features.assign(eps_xx=0.01)
    columns.mode = "select"
    start = columns.data_to_world(columns.data[row])
    end = columns.data_to_world(columns.data[row] + 0.8)
    drag(columns, start, end)
    assert np.allclose(columns.data[row], table.loc[row, ["y", "x"]].to_numpy(float) + 0.8)
    assert "1 to be refitted" in panel.status.text()
    panel.run().result(PATIENCE)
    np.testing.assert_allclose(
        columns.data[row], table.loc[row, ["y", "x"]].to_numpy(float), atol=table["y_err"].max()
    )
    features = columns.features
    assert np.isnan(features["eps_xx"][row]), "a strain was measured at another place"
    assert features["species"][row] == table["species"][row]
    assert (features["eps_xx"].drop(index=row) == 0.01).all()
    others_are_untouched(columns, table.assign(eps_xx=0.01), row, row)


def drag(layer: Any, start: Any, end: Any) -> None:
    """Press, move and release the mouse over a layer, in world coordinates."""
    mouse: Any = SimpleNamespace(
        type="mouse_press", position=tuple(start), pos=np.zeros(2), modifiers=(), is_dragging=True,
        view_direction=None, up_direction=None, dims_displayed=[0, 1], handled=False,
    )  # fmt: skip
    mouse_press_callbacks(layer, mouse)
    mouse.type = "mouse_move"
    for part in (0.5, 1.0):
        mouse.position = tuple(np.asarray(start) + part * (np.asarray(end) - np.asarray(start)))
        mouse_move_callbacks(layer, mouse)
    mouse.type = "mouse_release"
    mouse_release_callbacks(layer, mouse)


@pytest.mark.slow
def test_a_refit_keeps_the_width_of_a_joint_fit(
    dock: OpenPanel, viewer: Any, scene: Simulation, image_layer: Any
) -> None:
    made = {"refine": "joint", "contrast": "bright"}
    found = localize(scene.image, sampling=0.15, detector="peaks", **made)
    place = Placement.of(image_layer).arguments()
    record = io.provenance("localize", "scene", made)
    layer = points_layer(found, "scene columns", place, record)
    viewer.add_layer(layer)
    panel = dock("Columns")
    row = middle(found)
    layer.data = layer.data + np.where(np.arange(len(found)) == row, 0.6, 0.0)[:, None]
    panel.run().result(PATIENCE)
    np.testing.assert_allclose(
        layer.data[row], found.loc[row, ["y", "x"]].to_numpy(float), atol=0.02
    )
    np.testing.assert_allclose(layer.features["sigma"], found["sigma"], rtol=1e-9)


def test_edits_and_refits_are_undone_one_by_one(
    panel: Any, columns: Any, table: pd.DataFrame
) -> None:
    columns.selected_data = {2, 5}
    columns.remove_selected()
    columns.add([30.0, 40.0])
    added = columns.data.copy()
    panel.run().result(PATIENCE)
    assert panel.undo()
    np.testing.assert_array_equal(columns.data, added)
    assert "1 to be refitted" in panel.status.text()
    panel.undo_button.click()
    assert len(columns.data) == len(table) - 2
    assert panel.undo()
    np.testing.assert_array_equal(columns.data, table[["y", "x"]])
    pd.testing.assert_frame_equal(columns.features, table.drop(columns=["y", "x"]))
    assert not panel.undo()
    assert not panel.undo_button.isEnabled()


def test_edits_made_before_the_panel_was_opened_are_noticed(dock: OpenPanel, columns: Any) -> None:
    columns.add([[30.0, 40.0], [50.0, 41.0]])
    assert "2 to be refitted" in dock("Columns").status.text()


def test_all_columns_are_measured_again(panel: Any, columns: Any, table: pd.DataFrame) -> None:
    panel.refine = "elliptic"
    assert panel.refit_all().result(PATIENCE) is columns
    ratio = columns.features["ellipticity"]
    assert ratio.notna().mean() > 0.9
    assert (ratio.dropna() >= 1).all()
    record = columns.metadata[PROVENANCE]["refit"]
    assert (record["settings"]["refine"], record["columns"]) == ("elliptic", len(table))
    assert not np.array_equal(columns.data, table[["y", "x"]])


def test_points_drawn_by_hand_are_measured(
    dock: OpenPanel, viewer: Any, image_layer: Any, table: pd.DataFrame
) -> None:
    """A layer without features, and without a word of how it was made."""
    place = Placement.of(image_layer).arguments()
    drawn = viewer.add_points(table[["y", "x"]].to_numpy() + 0.4, name="by hand", **place)
    panel = dock("Columns")
    assert f"{len(table)} to be refitted" in panel.status.text()
    panel.run().result(PATIENCE)
    distance = np.hypot(*(drawn.data - table[["y", "x"]].to_numpy()).T)
    assert np.median(distance) < 0.05
    assert {"y_err", "volume", "sigma"} <= set(drawn.features)


@pytest.mark.slow
def test_columns_of_a_stack_are_measured_in_their_frames(
    dock: OpenPanel, viewer: Any, scene: Simulation, table: pd.DataFrame
) -> None:
    viewer.add_image(np.stack([scene.image, np.roll(scene.image, 3, axis=0)]), name="stack")
    both = pd.concat([table.assign(frame=0), table.assign(frame=1)], ignore_index=True)
    layer = viewer.add_layer(points_layer(both, "columns", {}, {}, leading=(2,)))
    panel = dock("Columns")
    row = len(table) + middle(table)
    data = layer.data.copy()
    data[row, 1:] += [3.4, 0.3]
    layer.data = data
    panel.run().result(PATIENCE)
    place = table.loc[middle(table), ["y", "x"]].to_numpy(float)
    np.testing.assert_allclose(layer.data[row], [1, place[0] + 3, place[1]], atol=0.05)
    np.testing.assert_array_equal(layer.data[: len(table)], data[: len(table)])
    assert panel.figure("overlay") is not None


def test_opening_the_panel_leaves_the_colours_alone(dock: OpenPanel, columns: Any) -> None:
    columns.border_color = "red"
    assert not dock("Columns").colour_by
    np.testing.assert_array_equal(np.unique(columns.border_color, axis=0), [[1, 0, 0, 1]])


def test_columns_without_a_kind_are_white(columns: Any) -> None:
    """No name, as of columns on no site, and no count."""
    species = columns.features["species"].to_numpy(object).copy()
    species[:3] = ""
    counts = np.where(species == "Sr", 5.0, 2.0)
    counts[:3] = np.nan
    columns.features = columns.features.assign(species=species, count=counts)
    for feature, kinds in (("species", {"Sr", "TiO"}), ("count", {"2", "5"})):
        key = colour_points(columns, feature)
        assert set(key.kinds) == kinds
        assert key.unknown == 3
        np.testing.assert_allclose(columns.border_color[:3], 1.0)
        assert len(np.unique(columns.border_color[3:], axis=0)) == 2


def test_colours_of_a_layer_are_taken_over(dock: OpenPanel, columns: Any) -> None:
    colour_points(columns, "volume")
    panel = dock("Columns")
    assert panel.colour_by == "volume"
    assert panel.legend.title.text().startswith("volume")


def test_colours_have_a_legend(panel: Any, columns: Any, table: pd.DataFrame) -> None:
    panel.colour_by = "volume"
    low, high = np.percentile(table["volume"].dropna(), (2, 98))
    legend = panel.legend
    assert legend.title.text().startswith("volume (intensity px²)")
    assert float(legend.low.text()) == pytest.approx(low, rel=1e-3)
    assert float(legend.high.text()) == pytest.approx(high, rel=1e-3)
    weakest = int(table["volume"].argmin())
    np.testing.assert_allclose(columns.border_color[weakest], [0, 1, 1, 1], atol=0.01)
    panel.colour_by = "species"
    assert KINDS[0] in legend.kinds.text()
    assert "Sr" in legend.kinds.text()
    assert "TiO" in legend.kinds.text()
    assert not legend.bar.isVisibleTo(panel)
    colours = {tuple(columns.border_color[table["species"] == kind][0]) for kind in ("Sr", "TiO")}
    assert len(colours) == 2
    columns.data = np.concatenate([columns.data, [[30.0, 40.0]]])
    assert "1 without (white)" in legend.title.text()
    np.testing.assert_array_equal(columns.border_color[-1], [1, 1, 1, 1])
    panel.colour_by = ""
    assert not legend.isVisibleTo(panel)


def test_a_range_of_the_histogram_selects_columns(
    panel: Any, columns: Any, table: pd.DataFrame
) -> None:
    rows = panel.select("volume", 0.0, float(table["volume"].median()))
    expected = np.flatnonzero(table["volume"] <= table["volume"].median())
    np.testing.assert_array_equal(rows, expected)
    assert set(columns.selected_data) == set(expected.tolist())
    assert f"{len(expected)} of {len(table)} selected" in panel.message.text()
    panel.plots.clear_button.click()
    assert not columns.selected_data


def test_selecting_in_the_layer_marks_columns_in_the_plots(panel: Any, columns: Any) -> None:
    columns.selected_data = {1, 4}
    np.testing.assert_array_equal(panel.plots.rows, [1, 4])
    columns.selected_data.add(7)
    np.testing.assert_array_equal(panel.plots.rows, [1, 4, 7])


def test_the_mouse_selects_in_the_plots(panel: Any, columns: Any, table: pd.DataFrame) -> None:
    plots = panel.plots
    plots.across.value, plots.along.value, plots.of.value = "x", "volume", "sigma"
    panel._replot()
    plots.canvas.draw()
    level = float(np.sort(table["volume"])[len(table) // 2 :][:2].mean())  # between two columns
    # A press beside the axes, or on their edge, selects nothing: no column is that near to it.
    inset = plots.scatter.transAxes + plots.scatter.transData.inverted()
    (left, bottom), (_, top) = inset.transform([(0.02, 0.02), (0.98, 0.98)])
    sweep(plots, plots.scatter, [(left, level), (90.0, top)])
    inside = (table["volume"] >= level) & (table["x"] <= 90)
    assert set(columns.selected_data) == set(np.flatnonzero(inside).tolist())
    plots.tool.setCurrentIndex(1)
    plots.canvas.draw()
    corners = [(left, bottom), (90, bottom), (90, level), (left, level), (left, bottom)]
    sweep(plots, plots.scatter, corners)
    inside = (table["volume"] < level) & (table["x"] < 90)
    assert set(columns.selected_data) == set(np.flatnonzero(inside).tolist())
    low, high = np.percentile(table["sigma"].dropna(), (20, 70))
    sweep(plots, plots.histogram, [(low, 1.0), (high, 1.0)])
    inside = (table["sigma"] >= low) & (table["sigma"] <= high)
    assert set(columns.selected_data) == set(np.flatnonzero(inside).tolist())


def sweep(plots: Any, axes: Any, corners: Any) -> None:
    """Press the mouse at the first of some points of a plot, and release it at the last."""
    pixels = axes.transData.transform(corners)
    press, *between, release = [*pixels, pixels[-1]]
    MouseEvent("button_press_event", plots.canvas, *press, 1)._process()
    for place in between:
        MouseEvent("motion_notify_event", plots.canvas, *place, buttons={1})._process()
    MouseEvent("button_release_event", plots.canvas, *release, 1)._process()


def test_measurements_of_others_can_be_plotted_and_colour(panel: Any, columns: Any) -> None:
    columns.features = columns.features.assign(
        eps_xx=np.linspace(-0.01, 0.01, len(columns.data)),
        sublattice=np.arange(len(columns.data)) % 2,
    )
    panel.colour_by = "sublattice"
    assert "1" in panel.legend.kinds.text()
    rows = panel.select("eps_xx", 0.0, 1.0)
    assert rows.min() >= len(columns.data) // 2
    assert "eps" in panel.plots.histogram.get_xlabel()
    panel.plots.along.value = "species"
    assert [label.get_text() for label in panel.plots.scatter.get_yticklabels()] == ["Sr", "TiO"]


@pytest.mark.slow
def test_plots_are_readable_in_both_themes(panel: Any, viewer: Any, columns: Any) -> None:
    for theme in ("light", "dark"):
        viewer.theme = theme
        axes = panel.plots.scatter
        paper = np.mean(panel.plots.figure.get_facecolor()[:3])
        ink = np.mean([int(axes.xaxis.label.get_color()[i : i + 2], 16) / 255 for i in (1, 3, 5)])
        assert abs(paper - ink) > 0.5


@pytest.mark.parametrize("suffix", [".csv", ".xyz", ".cif", ".hdf5"])
def test_columns_are_exported_and_come_back(
    suffix: str, panel: Any, columns: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    panel.export_columns(tmp_path / f"found{suffix}", elements="Sr=Sr,TiO=Ti")
    back = io.read_columns(tmp_path / f"found{suffix}")
    for name in ("y", "x", "volume", "y_err", "label"):
        np.testing.assert_array_equal(back[name], table[name])
    assert back["species"].tolist() == table["species"].tolist()
    assert back.attrs["sampling"] == pytest.approx(0.15)
    assert (back.attrs["action"], back.attrs["source"]) == ("localize", "scene")
    layer = panel.import_columns(tmp_path / f"found{suffix}")
    assert placement(layer) == placement(columns)
    np.testing.assert_array_equal(layer.data, columns.data)
    assert panel.columns is layer
    assert "0 to be" not in panel.status.text()


def test_units_stand_in_the_exported_table(panel: Any, tmp_path: Path) -> None:
    panel.export_columns(tmp_path / "a.csv")
    header = (tmp_path / "a.csv").read_text().splitlines()[0]
    assert json.loads(header.removeprefix("# units: "))["y_angstrom"] == "Å"


@pytest.mark.slow
def test_text_of_other_programs_is_imported_in_its_order(
    panel: Any, image_layer: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    """Positions x, y in nm, counted from 1 as in MATLAB."""
    path = tmp_path / "theirs.txt"
    np.savetxt(path, (table[["x", "y"]].to_numpy() + 1) * 0.015)
    layer = panel.import_columns(path, axes="xy", units="nm", origin=1.0)
    np.testing.assert_allclose(layer.data, table[["y", "x"]], atol=1e-6)
    assert placement(layer) == placement(image_layer)
    assert layer.metadata[PROVENANCE]["settings"]["axes"] == "xy"
    assert "outside" not in panel.message.text()
    panel.import_columns(path, axes="yx", units="nm", origin=1.0)
    assert "outside of 'scene'" in panel.message.text()


@pytest.mark.slow
def test_statstem_and_atomap_are_imported(
    panel: Any, image_layer: Any, table: pd.DataFrame, tmp_path: Path
) -> None:
    coordinates = 0.15 * (table[["x", "y"]].to_numpy() + 1)
    width = np.full((len(table), 1), 0.5)
    output = {"coordinates": coordinates, "rho": width, "eta": width, "zeta": 1.0, "dx": 0.15}
    savemat(tmp_path / "a.mat", {"output": output, "input": {"coordinates": coordinates}})
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        group = file.create_group("0_A_sublattice")
        group["atom_positions"] = table[["x", "y"]].to_numpy()
        group.attrs.update(pixel_size=0.015, units="nm", name="A", sublattice_index=0)
    for name in ("a.mat", "a.hdf5"):
        layer = panel.import_columns(tmp_path / name)
        np.testing.assert_allclose(layer.data, table[["y", "x"]], atol=1e-9)
        assert placement(layer) == placement(image_layer)


@pytest.mark.parametrize(
    "suffix", ["png", *(pytest.param(each, marks=pytest.mark.slow) for each in ("svg", "pdf"))]
)
def test_figures_are_one_button_each(
    suffix: str,
    panel: Any,
    columns: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    count = len(columns.data)
    columns.features = columns.features.assign(
        dy_pm=np.linspace(-9, 9, count), dx_pm=4.0, eps_xx=0.01, eps_yy=np.linspace(0, 0.01, count)
    )
    panel.colour_by = "species"
    for kind, button in panel.figures.buttons.items():
        path = tmp_path / f"{kind}.{suffix}"
        monkeypatch.setattr(panel.figures, "ask", lambda kind, path=path: str(path))
        button.click()
        qtbot.waitUntil(lambda path=path: panel.job.done and path.exists(), timeout=60_000)
        assert path.stat().st_size > 2000
        assert path.name in panel.message.text()
        assert panel.figures.preview.pixmap().width() > 50
    if suffix == "png":
        assert imageio.imread(tmp_path / "overlay.png").std() > 10
    if suffix == "svg":
        text = (tmp_path / "overlay.svg").read_text()
        assert "TiO" in text
        assert "scene columns" in text, "the record of how it was made"


@pytest.mark.parametrize("kind", ["vectors", "strain"])
def test_figures_of_what_was_not_measured_say_so(kind: str, panel: Any, notices: Any) -> None:
    panel.figures.buttons[kind].click()
    panel.job.wait(PATIENCE)
    (notice,) = notices
    assert {"vectors": "no known vectors", "strain": "eps_xx"}[kind] in notice.message
    assert panel.message.text()


def many(viewer: Any) -> Any:
    """10,000 columns on an image of 2048 x 2048 pixels."""
    places = np.indices((100, 100)).reshape(2, -1).T * 20.0 + 30.0
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"y": places[:, 0], "x": places[:, 1]})
    for name in ("volume", "amplitude", "sigma", "x_err", "eps_xx", "rotation_deg"):
        table[name] = rng.normal(50.0, 5.0, len(table))
    table["shift_y_pm"], table["shift_x_pm"] = 10.0 * np.sin(places[:, 1] / 100), 6.0
    viewer.add_image(rng.random((2048, 2048), dtype=np.float32), name="scene")
    layer = points_layer(table, "scene columns", {}, {"source": "scene"})
    viewer.add_layer(layer)
    return layer


@pytest.mark.slow
def test_ten_thousand_columns_stay_fluid(dock: OpenPanel, viewer: Any) -> None:
    """A tenth of a second or two each on a laptop; more than one would not be worked with."""
    layer = many(viewer)
    panel = dock("Columns")
    layer.metadata[MEASURED] = layer.data.copy()

    def drag_one() -> None:
        layer.mode = "select"
        start = layer.data_to_world(layer.data[5050])
        drag(layer, start, np.add(start, 2.0))

    steps: dict[str, Callable[[], Any]] = {
        "colour": lambda: setattr(panel, "colour_by", "volume"),
        "select": lambda: panel.select("sigma", 45.0, 55.0),
        "plot": lambda: setattr(panel.plots.along, "value", "x_err"),
        "drag": drag_one,
        "add": lambda: layer.add([41.0, 41.0]),
        "undo": panel.undo,
    }
    for name, step in steps.items():
        QApplication.processEvents()
        start = time.monotonic()
        step()
        QApplication.processEvents()
        assert time.monotonic() - start < 1.0, name
    assert panel.edits.changed.sum() == 1
    assert len(layer.data) == 10_000


@pytest.mark.slow
def test_the_window_lives_while_large_figures_are_drawn(
    dock: OpenPanel, viewer: Any, tmp_path: Path
) -> None:
    many(viewer)
    panel = dock("Columns")
    beats: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: beats.append(time.monotonic()))
    timer.start(10)
    path = tmp_path / "strain.pdf"
    start = time.monotonic()
    job = panel.save_figure("strain", path)
    assert time.monotonic() - start < 0.5
    assert not panel.figures.buttons["overlay"].isEnabled()
    assert panel.cancel_button.isVisibleTo(panel)
    job.wait(PATIENCE)
    timer.stop()
    assert path.exists()
    assert len(beats) > 10
    assert np.diff([start, *beats]).max() < 2.0, "seconds without a sign of life"
    assert panel.figures.buttons["overlay"].isEnabled()
    path.unlink()
    job = panel.save_figure("vectors", path)
    panel.cancel_button.click()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    assert not path.exists()


@pytest.mark.slow
def test_strain_of_geometric_phase_is_drawn(dock: OpenPanel, viewer: Any) -> None:
    """From its images, as the pixels that they have, in place of the columns' own strain."""
    y, x = np.mgrid[:200, :240] * (2 * np.pi / 16.0)
    data = (np.cos(1.01 * y) + np.cos(x)).astype(np.float32)
    viewer.add_image(data, name="scene", scale=(0.2, 0.2), units=("angstrom", "angstrom"))
    places = np.indices((11, 14)).reshape(2, -1).T * 16.0 + 16.0
    table = pd.DataFrame({"y": places[:, 0], "x": places[:, 1]})
    place = {"scale": (0.2, 0.2), "units": ("angstrom", "angstrom")}
    viewer.add_layer(points_layer(table, "scene columns", place, {"source": "scene"}))
    measure = dock("Measure")
    panel = dock("Columns")
    assert panel.figures.strain.value == ""
    measure.measure = "gpa"
    layers = measure.run().result(PATIENCE).layers
    assert panel.figures.strain.value.startswith("geometric phase, scene columns")
    figure = panel.figure("strain").result(PATIENCE)
    drawn = {axes.get_title(): axes.get_images()[0] for axes in figure.axes if axes.get_title()}
    assert list(drawn) == ["ε$_{xx}$", "ε$_{yy}$", "ε$_{xy}$", "rotation"]
    (shown,) = [layer for layer in layers if "eps_yy" in layer.name]
    known = drawn["ε$_{yy}$"].get_array().filled(np.nan)
    np.testing.assert_allclose(known, shown.data, rtol=1e-6)
    assert any("Å" in text.get_text() or "nm" in text.get_text() for text in figure.axes[0].texts)
    measure.measure = "strain"
    measure.run().result(PATIENCE)
    assert len(strain_images(viewer.layers)) == 2
    panel.figures.strain.value = ""
    own = panel.figure("strain").result(PATIENCE).axes[0].get_images()[0].get_array()
    assert len(np.unique(own.compressed())) <= len(table)


def test_arrows_are_those_that_were_chosen(panel: Any, columns: Any) -> None:
    columns.features = columns.features.assign(
        dy_pm=1.0, dx_pm=1.0, polarization_y=20.0, polarization_x=0.0
    )
    boxes = panel.figures.arrows
    assert [boxes.itemText(k) for k in range(2)] == [
        "polarization (µC/cm²)",
        "offsets from sites (pm)",
    ]
    for arrows, said in (("polarization_y", "20 µC/cm²"), ("dy_pm", "1 pm")):
        panel.figures.arrows.value = arrows
        axes = panel.figure("vectors").result(PATIENCE).axes[0]
        assert said in [text.get_text() for text in axes.texts]


@pytest.mark.parametrize(
    "kind", ["no columns", "empty", "no image", "another place", "another size", "nothing changed"]
)
def test_what_cannot_be_measured_is_told(
    kind: str, dock: OpenPanel, viewer: Any, scene: Simulation, notices: Any
) -> None:
    if kind != "no image":
        size = (20, 20) if kind == "another size" else scene.image.shape
        viewer.add_image(np.ones(size), name="scene")
    points = np.array([[60.0, 60.0], [70.0, 70.0]])
    if kind != "no columns":
        data = np.empty((0, 2)) if kind == "empty" else points
        scale = (2, 2) if kind == "another place" else (1, 1)
        layer = viewer.add_points(data, name="drawn", scale=scale)
        if kind == "nothing changed":
            layer.metadata[MEASURED] = points
    panel = dock("Columns")
    job = panel.run()
    assert job.wait(PATIENCE)
    said = {
        "no columns": "run Localize",
        "empty": "has no points",
        "no image": "no image",
        "another place": "does not lie on the pixels",
        "another size": "2 of the columns to measure lie outside",
        "nothing changed": "no column of 'drawn'",
    }[kind]
    with pytest.raises(ValueError, match=said):
        job.result()
    (notice,) = notices
    assert said in notice.message
    assert panel.message.text()
    for work in (panel.undo, panel.plots.draw, panel.reset_choices):
        work()


def test_without_columns_buttons_wait(dock: OpenPanel) -> None:
    panel = dock("Columns")
    assert "run Localize" in panel.status.text()
    buttons = [panel.run_button, panel.all_button, panel.files.export_button]
    assert not any(button.isEnabled() for button in [*buttons, *panel.figures.buttons.values()])
    with pytest.raises(ValueError, match="run Localize"):
        panel.export_columns("nowhere.csv")


def test_removing_the_columns_is_safe(panel: Any, viewer: Any, columns: Any, notices: Any) -> None:
    columns.add([30.0, 40.0])
    job = panel.run()
    viewer.layers.remove(columns)
    with pytest.raises(ValueError, match="was removed"):
        job.result(PATIENCE)
    assert panel.columns is None
    assert "No columns" in panel.status.text()
    columns.add([31.0, 40.0])
    assert len(notices) == 1


def test_edits_during_a_refit_stay(
    panel: Any, columns: Any, table: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows move, a column is dragged, another added: each keeps what is its own."""
    row = middle(table)
    columns.data = columns.data + np.where(np.arange(len(table)) == row, 0.6, 0.0)[:, None]
    job = panel.run()
    columns.selected_data = {0}
    columns.remove_selected()
    columns.add([30.0, 40.0])
    job.result(PATIENCE)
    place = table.loc[row, ["y", "x"]].to_numpy(float)
    np.testing.assert_allclose(columns.data[row - 1], place, atol=0.05)
    np.testing.assert_array_equal(columns.data[-1], [30.0, 40.0])
    assert "1 to be refitted" in panel.status.text()


@pytest.mark.slow
def test_cancel_leaves_the_columns_as_they_are(
    panel: Any, columns: Any, monkeypatch: pytest.MonkeyPatch, notices: Any
) -> None:
    def endless(image: Any, table: Any, rows: Any, *, progress: Any, cancel: Any, **_: Any) -> None:
        while True:
            report(progress, cancel, 0, 1, "Measuring columns")

    monkeypatch.setattr(again, "refine_columns", endless)
    columns.add([30.0, 40.0])
    before, features = columns.data.copy(), columns.features.copy()
    job = panel.run()
    assert not job.wait(0.2)
    assert not panel.undo_button.isEnabled()
    panel.cancel_button.click()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    np.testing.assert_array_equal(columns.data, before)
    pd.testing.assert_frame_equal(columns.features, features)
    assert panel.message.text() == "Cancelled"
    assert panel.run_button.isEnabled()
    assert notices == []


@pytest.mark.parametrize("content", ["", "1 2 3\n", "y,x\na,b\n"])
def test_files_that_hold_no_columns_are_told(
    content: str, panel: Any, viewer: Any, notices: Any, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    count = len(viewer.layers)
    panel.files.opened.emit(str(path))
    (notice,) = notices
    assert "bad.csv" in notice.message
    assert len(viewer.layers) == count
    panel.files.saved.emit(str(tmp_path / "missing" / "a.csv"))
    assert len(notices) == 2


def test_panel_fits_a_laptop(panel: Any) -> None:
    hint = panel.minimumSizeHint()
    assert hint.height() < 640
    assert hint.width() < 400
    untold = [
        widget
        for widget in (panel.run_button, panel.all_button, panel.undo_button, panel.plots.of,
                       panel.files.axes, panel.files.import_button, panel.figures.width_box)
        if not widget.toolTip()
    ]  # fmt: skip
    assert untold == []


@pytest.mark.slow
def test_what_measurements_draw_is_no_column(dock: OpenPanel, columns: Any, viewer: Any) -> None:
    """Symbols of vacancies and images of strain are not offered, points of a user are."""
    row = middle(pd.DataFrame(columns.data, columns=["y", "x"]))
    columns.selected_data = {row}
    columns.remove_selected()
    measure = dock("Measure")
    for what in ("defects", "strain"):
        measure.measure = what
        drawn = measure.run().result(PATIENCE).layers
        assert drawn
    assert any(isinstance(layer, Points) and layer is not columns for layer in viewer.layers)
    mine = viewer.add_points([[10.0, 20.0], [30.0, 40.0]], name="mine")
    panel = dock("Columns")
    assert list(panel._columns.choices) == [columns, mine]
    assert [image.name for image in panel._image.choices] == ["scene"]
    assert panel.columns.name == mine.name
    panel.columns = "scene columns"
    assert panel.image.name == "scene"


def test_layers_are_chosen_by_name(panel: Any, viewer: Any, table: pd.DataFrame) -> None:
    other = viewer.add_points([[1.0, 2.0]], name="other")
    panel.columns = "other"
    assert panel.columns is other or panel.columns == other
    assert isinstance(panel.columns, Points)
    with pytest.raises(ValueError, match="points layer"):
        panel.columns = "scene"
