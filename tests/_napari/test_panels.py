"""Laws of all panels, and those of images used as a script or a click does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image, Labels, Points
from napari.settings import get_plugin_settings
from npe2 import PluginManifest
from npe2.manifest.utils import import_python_name
from qtpy.QtWidgets import QApplication, QFormLayout, QWidget
from scipy.spatial import cKDTree

from napari_atomseg import weights
from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.doors import Door
from napari_atomseg._napari.localize.panel import region_of
from napari_atomseg._napari.panel import Panel, Scroll
from napari_atomseg.localization import localize
from napari_atomseg.progress import Cancelled
from napari_atomseg.settings import Settings, setting
from napari_atomseg.simulation import Simulation

from .conftest import placement

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("qtbot")


def names(viewer: Any) -> list[str]:
    return [layer.name for layer in viewer.layers]


def panel_types(kind: type = Docked) -> list[type]:
    """Every class of panels and of tabs with panels."""
    manifest = PluginManifest.from_distribution("napari-atomseg")
    for command in manifest.contributions.commands:
        found = import_python_name(command.python_name)
        if isinstance(found, type) and issubclass(found, Door):
            found.panel_type()
    return [each for sub in kind.__subclasses__() for each in (sub, *panel_types(sub))]


@pytest.mark.slow
def test_public_names_of_panels_hide_nothing_of_qt(viewer: Any, dock: OpenPanel) -> None:
    """`panel.width = 3` must not take the place of the method by which layouts ask for it."""
    manifest = PluginManifest.from_distribution("napari-atomseg")
    for widget in manifest.contributions.widgets:
        dock(widget.display_name)
    panels = [each for each in QApplication.allWidgets() if isinstance(each, Docked)]
    assert len(panels) > len(manifest.contributions.widgets)
    for panel in panels:
        hidden = {name for name in vars(panel) if hasattr(QWidget, name)}
        assert hidden == set(), type(panel).__name__
    for kind in panel_types():
        own = {name for name, value in vars(kind).items() if not callable(value)}
        hidden = {name for name in own if not name.startswith("__") and hasattr(QWidget, name)}
        assert hidden == set(), kind.__name__


def test_setting_with_a_name_of_qt_is_refused() -> None:
    class Wide(Settings):
        width: float = setting(1.0, "Width", "Width of a column.")

    with pytest.raises(TypeError, match="'width'"):

        class Bad(Panel):
            Settings = Wide


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Restore", "Scan", "Segment", "Localize"])
def test_results_lie_on_their_source_and_say_how_they_were_made(
    name: str, dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    panel = dock(name)
    result = panel.run().result(PATIENCE)
    assert placement(result) == placement(image_layer)
    assert viewer.layers.units is not None
    record = result.metadata["napari-atomseg"]
    model = weights.resolve(panel.model)
    assert record["action"] == name.lower()
    assert record["source"] == "scene"
    assert record["sha256"] == weights.sha256(model)
    assert record["settings"]["sampling"] == pytest.approx(0.15)
    assert record["version"]
    told = panel.message.text()
    assert result.name in told or "columns" in told or "scan line" in told


def test_restored_image_is_nearer_to_the_truth(
    dock: OpenPanel, image_layer: Any, scene: Simulation
) -> None:
    restored = dock("Restore").run().result(PATIENCE)
    assert isinstance(restored, Image)

    def error(image: Any) -> float:
        return float(np.sqrt(np.mean((image - scene.ideal) ** 2)))

    assert error(restored.data) < 0.5 * error(scene.image)
    low, high = restored.contrast_limits
    assert low < np.median(restored.data) < high <= restored.data.max()


@pytest.mark.slow
def test_doubled_pixels_lie_on_their_source(dock: OpenPanel, viewer: Any) -> None:
    """Four in the place of each, also of turned, sheared and stacked layers of any pixels."""
    rng = np.random.default_rng(0)
    layer = viewer.add_image(
        rng.normal(size=(2, 40, 48)),
        scale=(3.0, 0.2, 0.3),
        translate=(1.0, 5.0, -7.0),
        rotate=30.0,
        shear=(0.0, 0.0, 0.4),
        name="stack",
    )
    panel = dock("Restore")
    panel.image, panel.task, panel.consistency = layer, "upinterpolation", True
    result = panel.run().result(PATIENCE)
    assert result.name == "stack up-interpolated"
    assert result.data.shape == (2, 80, 96)
    assert result.units == layer.units
    for place in ((0, 0, 0), (1, 0, 47), (1, 39, 0), (1, 20, 30)):
        around = [(place[0], 2 * place[1] + i, 2 * place[2] + j) for i in (0, 1) for j in (0, 1)]
        middle = np.mean([result.data_to_world(pixel) for pixel in around], axis=0)
        np.testing.assert_allclose(middle, layer.data_to_world(place), atol=1e-9)
    np.testing.assert_allclose(
        np.subtract(result.data_to_world((0, 4, 6)), result.data_to_world((0, 0, 0))),
        np.subtract(layer.data_to_world((0, 2, 3)), layer.data_to_world((0, 0, 0))),
        atol=1e-9,
    )
    tested = viewer.layers[-1]
    assert tested.name == "stack up-interpolated consistency"
    assert tested.data.shape == layer.data.shape
    assert placement(tested) == placement(layer)


@pytest.mark.slow
def test_columns_are_found_where_they_are(
    dock: OpenPanel, image_layer: Any, scene: Simulation
) -> None:
    panel = dock("Localize")
    points = panel.run().result(PATIENCE)
    assert isinstance(points, Points)
    strontium = scene.columns[scene.columns["elements"] == "Sr"]
    inside = strontium[["y", "x"]].to_numpy()
    inside = inside[((inside > 5) & (inside < np.array([122, 154]))).all(axis=1)]
    distance, _ = cKDTree(points.data).query(inside)
    assert np.median(distance) < 0.5
    assert {"y_err", "x_err", "sigma", "amplitude", "volume", "score"} <= set(points.features)
    assert f"{len(points.data)} columns" in panel.message.text()
    assert " pm" in panel.message.text()


@pytest.mark.parametrize(
    ("settings", "features"),
    [
        pytest.param(
            {"refine": "rotated"},
            {"ellipticity", "angle", "volume_err"},
            marks=pytest.mark.slow,
        ),
        ({"refine": "joint", "widths": "free", "likelihood": "poisson"}, {"volume_err"}),
        pytest.param(
            {"refine": "joint", "backgrounds": "shared"}, {"volume_err"}, marks=pytest.mark.slow
        ),
        ({"refine": "centre_of_mass", "edge": "drop"}, {"volume"}),
        pytest.param(
            {"refine": "elliptic", "on": "both"},
            {"y_restored", "volume_restored", "ellipticity"},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_columns_are_measured_as_asked(
    settings: dict[str, str], features: set[str], dock: OpenPanel, image_layer: Any
) -> None:
    """With the names and results of `localize`."""
    panel = dock("Localize")
    for name, value in settings.items():
        setattr(panel, name, value)
    points = panel.run().result(PATIENCE)
    assert features <= set(points.features)
    record = points.metadata["napari-atomseg"]["settings"]
    assert {name: record[name] for name in settings} == settings
    taken = ("refine", "widths", "backgrounds", "likelihood", "on", "edge")
    made = {name: record[name] for name in taken}
    expected = localize(image_layer.data, sampling=0.15, contrast="bright", **made)
    np.testing.assert_allclose(points.data, expected[["y", "x"]], atol=1e-6)
    if settings["refine"] == "joint":
        assert (points.features["sigma"].nunique() > 10) == (settings.get("widths") == "free")
        assert (points.features["background"].nunique() > 10) == ("backgrounds" not in settings)


def test_settings_that_change_nothing_are_grey(dock: OpenPanel) -> None:
    panel = dock("Localize")
    widths, likelihood = (panel.form.inputs[name].native for name in ("widths", "likelihood"))
    for refine, able in (
        ("gaussian", (False, True)),
        ("joint", (True, True)),
        ("none", (False,) * 2),
    ):
        panel.refine = refine
        assert (widths.isEnabled(), likelihood.isEnabled()) == able


@pytest.mark.slow
def test_columns_of_a_region_are_measured(
    dock: OpenPanel, viewer: Any, image_layer: Any, scene: Simulation
) -> None:
    """Shapes of a layer that is placed otherwise, and labels on the image's pixels."""
    panel = dock("Localize")
    panel.detector = "peaks"
    whole = panel.run().result(PATIENCE).data
    corners = np.array([[20.0, 30.0], [20.0, 110.0], [90.0, 110.0], [90.0, 30.0]])
    world = np.array([image_layer.data_to_world(corner) for corner in corners])
    place = {"units": ("nm", "nm"), "scale": (0.5, 0.5), "translate": (1.0, 2.0)}
    shapes = viewer.add_shapes(
        [(world - (1.0, 2.0)) / 0.5], shape_type="polygon", name="part", **place
    )
    panel.region = "part"
    found = panel.run().result(PATIENCE)
    inside = (whole > (22, 32)).all(axis=1) & (whole < (88, 108)).all(axis=1)
    distance, _ = cKDTree(found.data).query(whole[inside])
    assert distance.max() < 0.2
    assert np.all((found.data > (18, 28)) & (found.data < (92, 112)))
    assert found.metadata["napari-atomseg"]["settings"]["region"] == "part"
    labels = np.zeros(scene.image.shape, np.uint8)
    labels[:64], labels[64:, :80] = 1, 5
    like = {name: getattr(image_layer, name) for name in ("scale", "translate", "rotate", "units")}
    viewer.add_labels(labels, name="halves", **like)
    panel.region = "halves"
    assert set(panel.run().result(PATIENCE).features["region"]) == {1, 5}
    viewer.add_labels(labels[:50], name="small", **like)
    panel.region = "small"
    with pytest.raises(ValueError, match="pixels of 'scene'"):
        panel.run().result(PATIENCE)
    shapes.data = []
    panel.region = "part"
    with pytest.raises(ValueError, match="no shape with an area"):
        panel.run().result(PATIENCE)
    viewer.layers.remove(shapes)
    assert panel.region == ""


def test_ellipses_are_regions(viewer: Any, image_layer: Any) -> None:
    box = [[10.0, 20.0], [10.0, 60.0], [40.0, 60.0], [40.0, 20.0]]
    shapes = viewer.add_shapes([box], shape_type="ellipse")
    image = viewer.add_image(np.zeros((64, 80)))
    (polygon,) = region_of(shapes, image, viewer.dims.point)
    away = (polygon - (25.0, 40.0)) / (15.0, 20.0)
    np.testing.assert_allclose(np.hypot(*away.T), 1.0)


@pytest.mark.slow
def test_changing_the_colour_recolours_the_result(dock: OpenPanel, image_layer: Any) -> None:
    panel = dock("Localize")
    points = panel.run().result(PATIENCE)
    before = points.border_color.copy()
    panel.colour_by = "x_err"
    assert not np.allclose(points.border_color, before)


@pytest.mark.slow
def test_segments_are_labels_on_the_image(dock: OpenPanel, image_layer: Any) -> None:
    panel = dock("Segment")
    panel.opacity, panel.contour = 0.3, 2
    labels = panel.run().result(PATIENCE)
    assert isinstance(labels, Labels)
    assert labels.data.shape == image_layer.data.shape
    assert labels.data.max() > 20
    assert (labels.opacity, labels.contour) == (0.3, 2)


@pytest.mark.slow
def test_stacks_and_dask_images_are_restored_frame_by_frame(
    dock: OpenPanel, viewer: Any, scene: Simulation
) -> None:
    stack = np.stack([scene.image, np.roll(scene.image, 7, axis=0), 2 * scene.image])
    layer = viewer.add_image(da.from_array(stack, chunks=(1, -1, -1)), name="stack")
    panel = dock("Restore")
    panel.image = layer
    restored = panel.run().result(PATIENCE)
    assert restored.data.shape == stack.shape
    np.testing.assert_allclose(restored.data[2], 2 * restored.data[0], rtol=0.05, atol=0.02)
    points = dock("Localize").run().result(PATIENCE)
    assert points.ndim == 3
    assert set(points.data[:, 0]) == {0.0, 1.0, 2.0}


def test_multiscale_images_are_restored_at_full_resolution(
    dock: OpenPanel, viewer: Any, scene: Simulation
) -> None:
    viewer.add_image([scene.image, scene.image[::2, ::2]], multiscale=True, name="pyramid")
    assert dock("Restore").run().result(PATIENCE).data.shape == scene.image.shape


def test_sampling_follows_the_layer_and_can_be_overruled(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    panel = dock("Restore")
    assert panel.sampling == pytest.approx(0.15)
    image_layer.scale = (0.02, 0.02)
    assert panel.sampling == pytest.approx(0.2)
    panel.image = viewer.add_image(np.zeros((32, 32)), name="bare")
    assert panel.sampling is None
    panel.sampling = 0.12
    assert panel.options(panel.source())["sampling"] == pytest.approx(0.12)


def test_pixels_that_are_not_square_keep_both_samplings(dock: OpenPanel, viewer: Any) -> None:
    viewer.add_image(np.zeros((32, 32)), scale=(0.1, 0.2), units=("angstrom", "angstrom"))
    panel = dock("Restore")
    assert panel.options(panel.source())["sampling"] == pytest.approx((0.1, 0.2))


def test_panels_offer_images_only(dock: OpenPanel, viewer: Any, image_layer: Any) -> None:
    labels = viewer.add_labels(np.ones((8, 8), int), name="cells")
    panel = dock("Restore")
    assert [layer.name for layer in panel.images()] == ["scene"]
    with pytest.raises(ValueError, match="labels layer"):
        panel.image = labels


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["none", "model"])
def test_what_cannot_work_is_told_and_the_panel_goes_on(
    kind: str, dock: OpenPanel, viewer: Any, notices: Any, scene: Simulation, tmp_path: Path
) -> None:
    panel = dock("Restore")
    if kind == "model":
        viewer.add_image(scene.image)
        broken = tmp_path / "broken.safetensors"
        broken.write_bytes(b"not a model")
        panel.model = broken
    job = panel.run()
    assert job.wait(PATIENCE)
    with pytest.raises((ValueError, OSError)):
        job.result()
    (notice,) = notices
    assert notice.severity.value == "error"
    assert "\n" not in notice.message
    assert {"none": "open or choose", "model": "broken.safetensors"}[kind] in notice.message
    panel.image = viewer.add_image(scene.image, name="good")
    panel.model = None
    assert panel.run().result(PATIENCE).name == "good denoised"
    assert panel.run_button.isEnabled()
    assert not panel.progress.isVisible()


def large(viewer: Any, scene: Simulation) -> Any:
    """An image that takes long enough to do something meanwhile."""
    return viewer.add_image(np.tile(scene.image, (12, 10)), name="large")


@pytest.mark.slow
def test_cancel_leaves_no_layer(
    dock: OpenPanel, viewer: Any, scene: Simulation, notices: Any
) -> None:
    large(viewer, scene)
    panel = dock("Restore")
    panel.device = "cpu"
    job = panel.run()
    assert not job.wait(0.1)
    assert not panel.run_button.isEnabled()
    with pytest.raises(RuntimeError, match="still running"):
        panel.run()
    panel.cancel_button.click()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    assert names(viewer) == ["large"]
    assert panel.message.text() == "Cancelled"
    assert panel.run_button.isEnabled()
    assert notices == []


@pytest.mark.slow
def test_closing_the_panel_stops_its_work(dock: OpenPanel, viewer: Any, scene: Simulation) -> None:
    large(viewer, scene)
    panel = dock("Restore")
    panel.device = "cpu"
    job = panel.run()
    assert not job.wait(0.1)
    viewer.window.remove_dock_widget(panel)
    assert job.wait(PATIENCE)
    assert job.cancelled
    assert names(viewer) == ["large"]


@pytest.mark.slow
@pytest.mark.own_viewer
def test_closing_the_viewer_stops_the_work(dock: OpenPanel, viewer: Any, scene: Simulation) -> None:
    large(viewer, scene)
    panel = dock("Restore")
    panel.device = "cpu"
    job = panel.run()
    assert not job.wait(0.1)
    viewer.close()
    assert job.wait(PATIENCE)
    assert job.cancelled


@pytest.mark.slow
def test_removing_the_layer_while_it_is_restored_is_safe(
    dock: OpenPanel, viewer: Any, image_layer: Any
) -> None:
    place = placement(image_layer)
    panel = dock("Restore")
    job = panel.run()
    viewer.layers.remove("scene")
    assert placement(job.result(PATIENCE)) == place
    assert panel.image is None or panel.image.name == "scene denoised"


def test_button_does_what_run_does(dock: OpenPanel, viewer: Any, image_layer: Any) -> None:
    panel = dock("Restore")
    panel.run_button.click()
    assert panel.job.result(PATIENCE) is not None
    assert names(viewer) == ["scene", "scene denoised"]


@pytest.mark.parametrize("name", ["Simulate", "Restore", "Segment", "Localize"])
def test_run_is_in_sight_on_a_laptop(name: str, dock: OpenPanel) -> None:
    panel = dock(name)
    hint = panel.minimumSizeHint()
    assert hint.height() < 500
    assert hint.width() < 400
    shown = [widget for widget in panel.form.inputs.values() if not widget.native.toolTip()]
    assert shown == []


def test_preferences_are_honoured(dock: OpenPanel, image_layer: Any, tmp_path: Path) -> None:
    settings = get_plugin_settings("napari-atomseg")
    settings.computing.tile_size = 256
    settings.computing.precision = "full"
    settings.computing.device = "cpu"
    settings.computing.quality = "best"
    settings.computing.cache_folder = str(tmp_path / "cache")
    panel = dock("Restore")
    options = panel.options(panel.source())
    assert (options["tile_size"], options["precision"], options["device"]) == (256, "full", "cpu")
    assert options["quality"] == "best"
    panel.quality = "standard"
    assert panel.options(panel.source())["quality"] == "standard"
    assert weights.cache_folder() == tmp_path / "cache"
    panel.device = "auto"
    assert panel.options(panel.source())["device"] == "auto"
    settings.computing.cache_folder = ""
    panel.options(panel.source())
    assert weights.cache_folder() != tmp_path / "cache"


@pytest.mark.own_viewer
def test_no_input_lies_below_the_scroll_bar(dock: OpenPanel, viewer: Any, qtbot: Any) -> None:
    viewer.window.resize(1280, 800)
    training = dock("Train").training
    training.window().show()
    training.source, training.objective = "annotated", "own"
    for section in training.form.sections.values():
        section.expand()
    (scroll,) = (area for area in training.findChildren(Scroll) if area.isVisible())
    bar, form = scroll.verticalScrollBar(), scroll.widget()

    def beside() -> bool:
        right = form.mapToGlobal(form.rect().topRight()).x()
        return bar.isVisible() and right < bar.mapToGlobal(bar.rect().topLeft()).x()

    qtbot.waitUntil(beside)
    assert scroll.viewport().width() >= form.minimumSizeHint().width()


@pytest.mark.parametrize("name", ["Restore", "Segment", "Localize", "Scan"])
def test_image_and_sampling_come_first(name: str, dock: OpenPanel) -> None:
    rows = dock(name).form.rows
    items = [rows.itemAt(row, QFormLayout.ItemRole.LabelRole) for row in range(rows.rowCount())]
    labels = [item.widget().text() for item in items if item is not None]
    assert labels[:2] == ["Image", "Sampling"]
