"""The Models panel: lists, downloads from a real server, imports, removes, and shows cards."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog, QMessageBox

from napari_atomseg import weights
from napari_atomseg._napari.models.panel import Models
from napari_atomseg.networks.files import load_weights, save_weights
from napari_atomseg.progress import Cancelled
from napari_atomseg.weights.registry import Entry, describe

PATIENCE = 60.0


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("napari_atomseg._napari.preferences._OUTSIDE", str(folder))
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(folder))
    publish(monkeypatch, {})
    return folder


def publish(monkeypatch: pytest.MonkeyPatch, entries: dict[str, Entry]) -> None:
    """Make these, and the default, the only models that are published."""
    default = {weights.DEFAULT: weights.registry.read_registry()[weights.DEFAULT]}
    for room in ("catalogue", "exchange", "store"):
        monkeypatch.setattr(
            f"napari_atomseg.weights.{room}.read_registry", lambda: default | entries
        )


@pytest.fixture
def oxides(tmp_path: Path, cache: Path) -> Path:
    """The weights file of another model."""
    network, card = load_weights(weights.resolve())
    path = tmp_path / "oxides.safetensors"
    save_weights(path, network, card.model_copy(update={"name": "oxides", "modality": "TEM"}))
    return path


@pytest.fixture
def gate() -> threading.Event:
    """While it is closed, the server sends no more than the first half."""
    event = threading.Event()
    event.set()
    return event


@pytest.fixture
def published(
    oxides: Path, gate: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[str | None]]:
    """The model is published at a server, whose requests (their ranges) are returned."""
    content, ranges = oxides.read_bytes(), []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers["Range"]
            ranges.append(asked)
            body = content[int(asked[6:-1]) if asked else 0 :]
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(body)))
            start = len(content) - len(body)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            for start in range(0, len(body) // 2, len(body) // 6):
                self.wfile.write(body[start : min(start + len(body) // 6, len(body) // 2)])
                time.sleep(0.1)  # progress is shown now and then
            gate.wait(PATIENCE)
            self.wfile.write(body[len(body) // 2 :])

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """A panel that cancels hangs up."""

    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/oxides.safetensors"
    publish(monkeypatch, {"oxides": describe(oxides).model_copy(update={"urls": (url,)})})
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(variable, raising=False)
    yield ranges
    gate.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def open_panel(dock: Callable[[str], Any], cache: Path) -> Callable[[], Any]:
    return lambda: dock("Models")


def lines(panel: Any) -> list[str]:
    return [panel.list.item(number).text() for number in range(panel.list.count())]


def enabled(panel: Any) -> set[str]:
    return {text for text, button in panel.buttons.items() if button.isEnabled()} - {"Cancel"}


def test_the_list_and_the_card_say_what_the_model_is(open_panel: Any) -> None:
    panel = open_panel()
    assert panel.selected == weights.DEFAULT
    line = lines(panel)[0]
    for words in ("stem-hr — bundled", "STEM, 3.5 MB", "super-resolution", "column mask"):
        assert words in line
    card = panel.description.text()
    for words in ("Denoising", "pixels between columns", "PSNR", "F1", "million parameters"):
        assert words in card
    for words in ("BSD-3-Clause", "recipe stem-hr", str(weights.resolve())):
        assert words in card
    assert enabled(panel) == {"Import …", "Export …"}


def test_a_downloaded_model_is_here_and_can_be_removed(
    published: list[str | None], open_panel: Any, oxides: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = open_panel()
    panel.selected = "oxides"
    assert "oxides — to download\nTEM" in lines(panel)[1]
    assert enabled(panel) == {"Download", "Import …"}
    seen: list[int] = []
    panel.progress.valueChanged.connect(seen.append)
    panel.buttons["Download"].click()
    path = panel.job.result(PATIENCE)
    assert path.read_bytes() == oxides.read_bytes()
    assert seen[-1] == oxides.stat().st_size
    assert not panel.progress.isVisibleTo(panel)
    assert "oxides — downloaded" in lines(panel)[1]
    assert panel.selected == "oxides"
    assert str(path) in panel.description.text()
    assert enabled(panel) == {"Import …", "Export …", "Remove …"}
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes)
    panel.buttons["Remove …"].click()
    assert not path.exists()
    assert "oxides — to download" in lines(panel)[1]


@pytest.mark.slow
def test_a_cancelled_download_goes_on_later(
    published: list[str | None], open_panel: Any, oxides: Path, gate: threading.Event, qtbot: Any
) -> None:
    panel = open_panel()
    gate.clear()
    job = panel.download("oxides")
    with pytest.raises(RuntimeError, match="still running"):
        panel.download("oxides")
    qtbot.waitUntil(lambda: panel.progress.value() > 5 * 10**5, timeout=20000)
    assert " MB" in panel.message.text()
    assert panel.buttons["Cancel"].isVisibleTo(panel)
    panel.buttons["Cancel"].click()
    gate.set()
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    assert weights.find_file("oxides") is None
    (part,) = weights.downloads_folder().iterdir()
    held = part.stat().st_size
    assert panel.download("oxides").result(PATIENCE).read_bytes() == oxides.read_bytes()
    assert published == [None, f"bytes={held}-"]


def test_a_failed_download_says_why_in_the_panel(
    published: list[str | None], open_panel: Any, notices: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = weights.catalogue.read_registry()
    lost = entries["oxides"].model_copy(update={"urls": ("http://127.0.0.1:9/x",)})
    monkeypatch.setattr(
        "napari_atomseg.weights.catalogue.read_registry", lambda: entries | {"oxides": lost}
    )
    monkeypatch.setattr("napari_atomseg._shared.download.PAUSE", 0.01)
    panel = open_panel()
    with pytest.raises(OSError, match="could not be downloaded"):
        panel.download("oxides").result(PATIENCE)
    assert "127.0.0.1:9/x: cannot be reached" in panel.message.text()
    assert len(notices) == 1


@pytest.mark.slow
def test_an_imported_model_is_offered_and_used_at_once(
    open_panel: Any, oxides: Path, dock: Callable[[str], Any], image_layer: Any, tmp_path: Path
) -> None:
    others = [dock(name) for name in ("Restore", "Segment", "Localize")]
    panel = open_panel()
    assert panel.add(oxides) == panel.selected == "oxides"
    for other in others:
        other.model = "oxides"
    restored = others[0].run().result(PATIENCE)
    assert restored.metadata["napari-atomseg"]["model"] == "oxides"
    assert np.isfinite(restored.data).all()
    panel.rename("oxides", "for SrTiO3")
    assert panel.selected == "for SrTiO3"
    copy = panel.export("for SrTiO3", tmp_path / "copy")
    panel.remove("for SrTiO3")
    assert panel.selected == weights.DEFAULT
    assert [other.model for other in others] == [weights.DEFAULT] * 3
    assert describe(copy).parameters == describe(oxides).parameters


def test_a_model_is_exported_in_the_format_of_the_dialog(
    open_panel: Any, oxides: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job writes what `export_model` does; its progress is no size of a download."""
    asked: list[tuple[Any, ...]] = []

    def export(name: str, path: Any, format: str = "weights", **hooks: Any) -> Path:
        asked.append((name, format))
        hooks["progress"](1, 2, "comparing with torch")
        return Path(path).with_suffix(".onnx")

    panel = open_panel()
    panel.add(oxides)
    monkeypatch.setattr(weights, "export_model", export)
    chosen = (str(tmp_path / "copy"), "ONNX (*.onnx)")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: chosen)
    panel.buttons["Export …"].click()
    panel.job.wait(PATIENCE)
    assert asked == [("oxides", "onnx")]
    assert panel.message.text() == f"Wrote {tmp_path / 'copy.onnx'}"


def test_a_file_with_the_published_hash_stands_in_for_the_download(
    published: list[str | None], open_panel: Any, oxides: Path
) -> None:
    panel = open_panel()
    assert panel.add(oxides.rename(oxides.with_name("from a stick.safetensors"))) == "oxides"
    assert "oxides — downloaded" in lines(panel)[1]
    assert not published


def test_a_foreign_file_is_refused_with_a_sentence(
    open_panel: Any, notices: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = tmp_path / "picture.safetensors"
    picture.write_bytes(b"not a model")
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(picture), ""))
    panel = open_panel()
    panel.buttons["Import …"].click()
    assert "not a safetensors file" in panel.message.text()
    assert len(notices) == 1
    assert len(lines(panel)) == 1 + 6  # The published model, and those of r_em.


@pytest.fixture
def shown(plugin: Any, cache: Path, qtbot: Any) -> Models:
    """A panel on the screen, as wide as a dock of its own accord."""
    panel = Models()
    qtbot.addWidget(panel)
    panel.resize(panel.sizeHint().width(), 700)
    panel.show()
    return panel


def test_a_file_put_into_the_folder_is_listed_when_the_panel_is_shown_again(
    shown: Models, oxides: Path
) -> None:
    weights.models_folder().mkdir(parents=True)
    oxides.rename(weights.models_folder() / oxides.name)
    shown.hide()
    shown.show()
    assert "oxides — own" in lines(shown)[1]


def test_the_panel_fits_a_laptop_and_nothing_is_cut_off(
    shown: Models, oxides: Path, qtbot: Any
) -> None:
    shown.add(oxides)
    qtbot.wait(50)
    assert shown.minimumSizeHint().height() <= 600
    assert shown.minimumSizeHint().width() <= 330
    assert shown.description.horizontalScrollBar().maximum() == 0
    assert shown.list.horizontalScrollBar().maximum() == 0


@pytest.fixture
def denoiser(cache: Path) -> str:
    """A model of the user's own that only denoises."""
    network, card = load_weights(weights.resolve())
    weights.models_folder().mkdir(parents=True)
    path = weights.models_folder() / "denoiser.safetensors"
    save_weights(path, network, card.model_copy(update={"name": path.stem, "tasks": ("denoise",)}))
    return path.stem


def offered(panel: Any) -> list[str]:
    return [text for text in panel.form.inputs["model"].choices if text != "browse"]


def test_panels_offer_the_models_that_can_do_their_task(
    denoiser: str, dock: Callable[[str], Any]
) -> None:
    restore = dock("Restore")
    assert offered(restore) == [weights.DEFAULT, denoiser]
    assert offered(dock("Segment")) == [weights.DEFAULT]
    localize = dock("Localize")
    assert offered(localize) == [weights.DEFAULT]
    with pytest.raises(ValueError, match=r"cannot column_map.*choose one of stem-hr, or give"):
        localize.model = denoiser
    restore.model = denoiser
    restore.task = "superresolution"
    assert offered(restore) == [restore.model] == [weights.DEFAULT]
    restore.task = "upinterpolation"
    assert offered(restore) == [weights.DEFAULT, denoiser]


def test_a_panel_says_if_no_model_can_do_its_task(
    denoiser: str, dock: Callable[[str], Any], image_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_atomseg.weights.catalogue.read_registry", dict)
    panel = dock("Localize")
    assert offered(panel) == [""]
    assert "no model can do this" in panel.form.inputs["model"].native.currentText()
    job = panel.run()
    assert isinstance(job.error, ValueError)
    assert "no model here can do column_map: give the path" in panel.message.text()
    panel.detector, panel.refine = "peaks", "none"
    assert len(panel.run().result(PATIENCE).data)
