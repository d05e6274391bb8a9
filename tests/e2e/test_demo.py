"""The demo in napari, and what it says where there is no screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_atomseg import simulate
from napari_atomseg.cli import demo as window
from napari_atomseg.cli.demo import DemoResult, run_demo, screen_problem, show
from napari_atomseg.inference import InferenceSettings
from napari_atomseg.io import read_image, write_image
from napari_atomseg.progress import Cancelled, CancelToken


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames of a platinum crystal, the middle one the brightest."""
    path = tmp_path_factory.mktemp("stack") / "frames.tif"
    image = simulate("Pt", shape=(128, 144), sampling=0.12, dose=5e4).image
    write_image(path, np.stack([image, 3 * image, image]), 0.12)
    return path


@pytest.fixture(scope="module")
def result(stack: Path, tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(
        stack,
        tmp_path_factory.mktemp("results"),
        inference=InferenceSettings(device="cpu"),
    )


def test_of_a_stack_the_middle_frame_is_taken(stack: Path, result: DemoResult) -> None:
    np.testing.assert_array_equal(result.image, read_image(stack).data[1])
    assert result.name == "frames-1"
    assert result.labels.shape == (128, 144)
    assert set(result.restored) == {"denoise", "denoise_background", "superresolution"}
    assert result.labels.max() == len(result.columns)
    assert result.scores == {}


@pytest.mark.slow
def test_window_has_every_layer_in_place(
    result: DemoResult, make_napari_viewer_proxy: object
) -> None:
    import napari

    assert show(result, block=False) is None
    viewer = napari.current_viewer()
    try:
        kinds = [layer._type_string for layer in viewer.layers]
        assert kinds == ["image"] * 4 + ["labels", "points"]
        for layer in viewer.layers:
            np.testing.assert_allclose(layer.scale, (0.12, 0.12), rtol=1e-6)
        assert len(viewer.layers[-1].data) == len(result.columns)
    finally:
        viewer.close()


def test_cancelled_demo_writes_nothing(stack: Path, tmp_path: Path) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        run_demo(stack, tmp_path / "out", inference=InferenceSettings(device="cpu"), cancel=cancel)
    assert list(tmp_path.iterdir()) == []


def test_without_a_screen_there_is_a_reason_and_no_window(
    result: DemoResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert "DISPLAY" in str(show(result))


def test_screen_that_qt_cannot_open_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(window, "_TRIAL", "raise SystemExit('could not connect to display')")
    assert "could not connect to display" in str(screen_problem())


def test_missing_napari_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "find_spec", lambda _: None)
    assert 'pip install "napari-atomseg[all]"' in str(screen_problem())
