"""Models of others in the panels: the licence is asked for, archives are imported; and what Restore
proposes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from qtpy.QtWidgets import QFileDialog, QInputDialog, QMessageBox

from napari_atomseg import weights
from napari_atomseg.networks.files import load_weights, save_weights
from napari_atomseg.weights.foreign.r_em import card
from napari_atomseg.weights.store import models_folder

PATIENCE = 60.0
IMPORT = "napari_atomseg._napari.models.panel.weights.import_foreign"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setattr("napari_atomseg._napari.preferences._OUTSIDE", str(folder))
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, bool]]:
    """What is asked for; a small network of this package stands in for the imported one."""
    asked: list[tuple[str, Any, bool]] = []

    def stand_in(name: str, source: Any, *, accepted: bool, **_: Any) -> str:
        asked.append((name, source, accepted))
        network, own = load_weights(weights.resolve("restore-hr-stem"))
        described = card(name.removeprefix("r-em-"))
        kind = {"architecture": own.architecture, "arguments": own.arguments}
        models_folder().mkdir(parents=True, exist_ok=True)
        path = models_folder() / f"{name}.safetensors"
        save_weights(path, network, described.model_copy(update=kind))
        return name

    monkeypatch.setattr(IMPORT, stand_in)
    return asked


def line(panel: Any, name: str) -> str:
    texts = [panel.list.item(number).text() for number in range(panel.list.count())]
    return next(text for text in texts if text.startswith(f"{name} "))


def answer(monkeypatch: pytest.MonkeyPatch, button: Any) -> list[str]:
    """Answer every question so, and return what was asked."""
    asked: list[str] = []

    def question(_parent: Any, _title: str, text: str) -> Any:
        asked.append(text)
        return button

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


def test_download_shows_the_licence_first(
    dock: Any, imports: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = dock("Models")
    panel.selected = "r-em-hr-stem"
    assert "to import" in line(panel, "r-em-hr-stem")
    assert "GPL-3.0" in panel.description.text()
    assert "npj Computational Materials" in panel.description.text()
    asked = answer(monkeypatch, QMessageBox.StandardButton.No)
    panel.buttons["Download"].click()
    assert "GPL-3.0" in asked[0]
    assert imports == []
    answer(monkeypatch, QMessageBox.StandardButton.Yes)
    panel.buttons["Download"].click()
    panel.job.result(PATIENCE)
    assert imports == [("r-em-hr-stem", None, True)]
    assert "imported" in line(panel, "r-em-hr-stem")
    assert "Downloaded to" in panel.message.text()
    assert not panel.buttons["Rename …"].isEnabled()
    panel.selected = "r-em-lr-stem"
    asked = answer(monkeypatch, QMessageBox.StandardButton.No)
    panel.buttons["Download"].click()
    panel.job.result(PATIENCE)
    assert asked == []


def test_an_archive_is_imported_by_dialog_and_the_model_offered(
    dock: Any, imports: list[Any], image_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    restore = dock("Restore")
    with pytest.raises(ValueError, match="not known"):
        restore.model = "r-em-hr-tem"
    panel = dock("Models")
    archive = "/somewhere/tk_r_em-1.0.4.tar.gz"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (archive, ""))
    monkeypatch.setattr(QInputDialog, "getItem", lambda *_: ("r-em-hr-tem", True))
    panel.buttons["Import …"].click()
    panel.job.result(PATIENCE)
    assert imports == [("r-em-hr-tem", archive, True)]
    restore.model = "r-em-hr-tem"
    assert restore.run().result(PATIENCE).data.shape == image_layer.data.shape


def test_restore_proposes_a_model_for_the_modality(
    dock: Any, image_layer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = dock("Restore")
    assert panel.model == "stem-hr"
    assert not panel.why.isVisibleTo(panel)
    panel.modality = "TEM"
    assert panel.model == "restore-hr-tem"
    assert "TEM images at atomic resolution" in panel.why.text()
    assert panel.why.isVisibleTo(panel)
    panel.sampling = 5.0
    assert panel.model == "restore-lr-tem"
    panel.task = "superresolution"
    assert panel.model == "stem-hr"
    assert "trained on STEM images" in panel.why.text()
    panel.task = "denoise"
    panel.model = "stem-hr"
    assert panel.options(panel.source())["model"] == "stem-hr"
    panel.modality = None
    assert not panel.why.isVisibleTo(panel)
