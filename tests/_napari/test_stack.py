"""Stacks in the window: all frames or the one shown, and frames that are not in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pytest
from napari.layers import Image

from napari_atomseg._napari.large import require_memory, require_room
from napari_atomseg._napari.layers import Source, contrast_limits, grey_data
from napari_atomseg._napari.stack import frames_of
from napari_atomseg.inference import restore
from napari_atomseg.io import read_image
from napari_atomseg.simulation import Simulation

OpenPanel = Callable[[str], Any]
PATIENCE = 120.0

pytestmark = pytest.mark.usefixtures("qtbot")


class Film:
    """A dask stack that counts how often each of its frames is computed."""

    def __init__(self, frame: Any, lengths: tuple[int, ...], seed: int = 0) -> None:
        self.frame, self.read = np.asarray(frame, np.float32), Counter[tuple[int, ...]]()
        chunks = (*((1,) * n for n in lengths), *((n,) for n in self.frame.shape))
        self.data = da.map_blocks(
            self._block, chunks=chunks, dtype=np.float32, meta=np.empty((0,) * len(chunks), "f4")
        )

    def _block(self, block_info: Any = None) -> Any:
        index = tuple(int(i) for i in block_info[None]["chunk-location"][:-2])
        self.read[index] += 1
        return np.roll(self.frame, sum(index), axis=0)[(None,) * len(index)]


@pytest.fixture
def film(viewer: Any, scene: Simulation) -> Film:
    """Two thousand frames, of which the viewer shows number 7, calibrated."""
    made = Film(scene.image[:64, :80], (2000,))
    viewer.add_image(
        made.data,
        name="film",
        contrast_limits=(0, 1),
        scale=(1, 0.15, 0.15),
        translate=(0, 3, 4),
        units=("pixel", "angstrom", "angstrom"),
    )
    viewer.dims.set_current_step(0, 7)
    made.read.clear()
    return made


def shown_only(film: Film) -> bool:
    """Whether no other frame was read, but for the middle one by which records know a stack."""
    return set(film.read) <= {(7,), (1000,)}


def test_the_frame_shown_is_restored_and_appears_there(
    dock: OpenPanel, viewer: Any, film: Film
) -> None:
    panel = dock("Restore")
    panel.stack = "shown"
    restored = panel.run().result(PATIENCE)
    assert shown_only(film)
    assert restored.data.shape == (1, 64, 80)
    np.testing.assert_allclose(restored.translate, (7, 3, 4))
    assert restored.name == "film frame 7 denoised"
    assert restored.metadata["napari-atomseg"]["settings"]["frame"] == 7
    alone = viewer.add_image(film.data[7].compute(), scale=(0.15, 0.15), units=("angstrom",) * 2)
    panel.image = alone
    same = panel.run().result(PATIENCE)
    np.testing.assert_array_equal(restored.data[0], same.data)
    assert viewer.layers.units is not None


@pytest.mark.parametrize("name", ["Segment", "Scan"])
def test_results_of_a_frame_lie_on_it(name: str, dock: OpenPanel, film: Film) -> None:
    panel = dock(name)
    panel.stack = "shown"
    made = panel.run().result(PATIENCE)
    assert shown_only(film)
    assert made.data.shape == (1, 64, 80)
    np.testing.assert_allclose(made.data_to_world((0, 5, 6)), (7, 3.75, 4.9))


@pytest.mark.slow
def test_columns_of_a_frame_are_in_it(dock: OpenPanel, viewer: Any, film: Film) -> None:
    panel = dock("Localize")
    panel.stack, panel.detector, panel.sensitivity, panel.edge = "shown", "peaks", 0.0, "drop"
    points = panel.run().result(PATIENCE)
    assert shown_only(film)
    assert set(points.data[:, 0]) == {7.0}
    assert set(points.features["frame"]) == {7}
    np.testing.assert_allclose(points.scale, viewer.layers["film"].scale)
    # They are measured again on the stack, of which only their frame is read.
    columns = dock("Columns")
    columns.refit_all().result(PATIENCE)
    assert shown_only(film)
    assert columns.plots.histogram.get_title() == "frame 7"


@pytest.mark.slow
def test_of_more_axes_the_slice_in_sight_counts(
    dock: OpenPanel, viewer: Any, scene: Simulation
) -> None:
    film = Film(scene.image[:64, :80], (3, 2))
    layer = viewer.add_image(film.data, name="4-D", contrast_limits=(0, 1))
    viewer.dims.current_step = (2, 1, 0, 0)
    panel = dock("Localize")
    panel.stack, panel.detector, panel.sensitivity = "shown", "peaks", 0.0
    viewer.dims.transpose()
    points = panel.run().result(PATIENCE)
    assert set(map(tuple, points.data[:, :2])) == {(2.0, 1.0)}
    assert set(points.features["frame"]) == {5}
    assert points.metadata["napari-atomseg"]["settings"]["frame"] == [2, 1]
    viewer.dims.roll()
    assert panel.run().error is not None
    assert "shows no single frame of '4-D'" in panel.message.text()
    viewer.dims.order = (0, 1, 2, 3)
    layer.translate = (5, 0, 0, 0)
    viewer.add_image(np.zeros((3, 2, 8, 8)))
    viewer.dims.current_step = (0, 0, 0, 0)
    panel.image = layer
    assert panel.run().error is not None
    assert "no frame at this place" in panel.message.text()


def test_frames_are_offered_of_stacks_only(
    dock: OpenPanel, viewer: Any, image_layer: Any, scene: Simulation
) -> None:
    stack = viewer.add_image(np.stack([scene.image] * 2), name="stack")
    panel = dock("Restore")
    for layer, shown in ((stack, True), (image_layer, False)):
        panel.image = layer
        assert panel.form.inputs["stack"].native.isHidden() == (not shown)
    # What was chosen for a stack does not matter for a single image.
    panel.stack = "shown"
    assert panel.source().frame == ()


@pytest.fixture
def short(viewer: Any, scene: Simulation) -> Film:
    """Two channels of two frames that are not in memory."""
    made = Film(scene.image[:48, :56], (2, 2))
    place = {"scale": (1, 1, 0.15, 0.15), "units": ("pixel", "pixel", "angstrom", "angstrom")}
    viewer.add_image(made.data, name="a/b µ", contrast_limits=(0, 1), **place)
    return made


@pytest.mark.slow
@pytest.mark.parametrize("large", [False, True])
def test_all_frames_of_a_film_are_restored_one_by_one(
    large: bool,
    dock: OpenPanel,
    short: Film,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    if large:
        for module in ("_napari.large", "io.images.contents"):
            monkeypatch.setattr(f"napari_atomseg.{module}.LARGE", 1000)
    panel = dock("Restore")
    panel.store = tmp_path
    short.read.clear()
    restored = panel.run().result(PATIENCE)
    # Once to settle the contrast, once to restore, and the middle one for the record.
    assert max(short.read.values()) <= 3
    np.testing.assert_array_equal(
        np.asarray(restored.data), restore(short.data.compute(), sampling=0.15)
    )
    assert hasattr(restored.data, "dask") == large
    files = [path.name for path in tmp_path.iterdir()]
    assert files == (["a_b µ denoised.zarr"] if large else [])
    if large:
        # Another run does not touch the file that a layer shows.
        restored.name = "mine"
        panel.run().result(PATIENCE)
        assert {path.name for path in tmp_path.iterdir()} == {*files, "a_b µ denoised 2.zarr"}
        file = read_image(tmp_path / files[0])
        assert file.metadata["provenance"]["action"] == "restore"
        assert file.sampling == pytest.approx(0.15)
    panel.consistency = True
    assert panel.run().error is not None
    assert "not in memory" in panel.message.text()


def test_cancelling_leaves_nothing_of_a_large_result(
    dock: OpenPanel, viewer: Any, short: Film, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("napari_atomseg._napari.large.LARGE", 1000)
    panel = dock("Restore")
    panel.store = tmp_path
    job = panel.run()
    job.progressed.connect(lambda done, _total, _message: done and panel.cancel())
    assert job.wait(PATIENCE)
    assert job.cancelled
    assert list(tmp_path.iterdir()) == []
    assert len(viewer.layers) == 1


def test_what_has_no_room_is_refused_with_the_sizes(
    dock: OpenPanel, short: Film, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    disk = SimpleNamespace(total=10**12, free=10**9)
    monkeypatch.setattr("shutil.disk_usage", lambda _folder: disk)
    many = da.zeros((3000, 512, 512), dtype=np.float32, chunks=(1, -1, -1))
    with pytest.raises(ValueError, match=r"3000 × 512 × 512 pixels, 3.1 GB.* 1.0 GB free"):
        require_room(many, tmp_path)
    memory = SimpleNamespace(available=10**9)
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    with pytest.raises(ValueError, match=r"aligning needs .* take 25.2 GB, and 1.0 GB are free"):
        require_memory(many, 32, "aligning")
    require_memory(np.zeros((2, 8, 8)), 10**9, "what is in memory already")


@pytest.mark.slow
def test_edits_and_plots_of_a_stack_say_their_frames(
    dock: OpenPanel, viewer: Any, scene: Simulation
) -> None:
    stack = np.stack([scene.image[:64, :80]] * 3)
    viewer.add_image(stack, name="stack")
    panel = dock("Localize")
    panel.detector, panel.sensitivity, panel.edge = "peaks", 0.0, "drop"
    points = panel.run().result(PATIENCE)
    columns = dock("Columns")
    columns.select("y", 0.0, 1e3)
    assert columns.plots.histogram.get_title() == "3 frames together, 0 to 2"
    before = {k: points.data[points.data[:, 0] == k] for k in (0, 2)}
    viewer.dims.set_current_step(0, 1)
    there = np.flatnonzero(points.data[:, 0] == 1)[0]
    points.selected_data = {int(there)}
    points.remove_selected()
    points.add([1.0, 30.4, 40.2])
    columns.run().result(PATIENCE)
    assert columns.summary(points).startswith("1 column ")
    for frame, places in before.items():
        np.testing.assert_array_equal(points.data[points.data[:, 0] == frame], places)


def test_only_a_frame_is_looked_at_for_the_contrast(scene: Simulation) -> None:
    film = Film(scene.image, (9,))
    contrast_limits(film.data)
    assert film.read == {(4,): 1}


def test_colours_and_levels_that_are_not_in_memory_stay_there() -> None:
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 255, (4, 8, 9, 3)).astype(np.uint8)
    film = Image(da.from_array(colours, chunks=(1, -1, -1, -1)), rgb=True, multiscale=False)
    grey = grey_data(film)
    assert hasattr(grey, "dask")
    whole = grey_data(Image(colours, rgb=True))
    np.testing.assert_allclose(grey.compute(), whole, rtol=1e-6)
    levels = [da.zeros((5, 8, 8), chunks=1), da.zeros((5, 4, 4), chunks=1)]
    pyramid = Image(levels, multiscale=True)
    assert Source.of(pyramid).data.shape == (5, 8, 8)
    assert frames_of(pyramid) == 5
