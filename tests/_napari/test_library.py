"""The Library panel: browsing, searching, generating and downloading, as a script or click does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
import pandas as pd
import pytest
from napari.layers import Image, Labels, Points

from napari_atomseg._napari.library.browse import sample_layers
from napari_atomseg._napari.library.gallery import PAGE, SIDE, description, thumbnail
from napari_atomseg.progress import Cancelled
from napari_atomseg.simulation.library import read as core

PATIENCE = 120.0
OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A public library of 30 samples; those with odd numbers are 20 Å wide, the others 10 Å."""
    home = tmp_path / "TEM-ImageNet"
    for name in ("image", "circularMask", "noNoiseUpinterpolation2x", "positionRadius", "params"):
        (home / name).mkdir(parents=True)
    for number in range(30):
        name = f"{number:05d}"
        mask = np.zeros((32, 40), np.uint8)
        mask[4:9, 4:9] = mask[20:25, 30:35] = 255
        grey = np.full((32, 40), 3 * number, np.uint8) + mask // 4
        imageio.imwrite(home / "image" / f"{name}.png", grey)
        imageio.imwrite(home / "circularMask" / f"{name}.png", mask)
        double = np.kron(grey, np.ones((2, 2), np.uint8))
        imageio.imwrite(home / "noNoiseUpinterpolation2x" / f"{name}.png", double)
        (home / "positionRadius" / f"{name}.txt").write_text("7 7 2.5\n23 33 2.5\n")
        width = 20 if number % 2 else 10
        (home / "params" / f"{name}.txt").write_text(f"{width} 0 0 0 0 200 0 24 0.9 16 30 0 0")
    return home


@pytest.fixture
def panel(dock: OpenPanel) -> Any:
    return dock("Library")


@pytest.fixture
def opened(panel: Any, folder: Path) -> Any:
    """The panel with the library open and its thumbnails read."""
    panel.open(folder).result(PATIENCE)
    panel.browse.gallery.job.result(PATIENCE)
    return panel.browse


def test_a_library_is_browsed_page_by_page(opened: Any) -> None:
    gallery = opened.gallery
    assert opened.message.text() == "30 samples in TEM-ImageNet"
    assert gallery.list.count() == PAGE
    assert gallery.position.text() == f"1–{PAGE} of 30"
    assert not gallery.back.isEnabled()
    gallery.forth.click()
    gallery.job.result(PATIENCE)
    assert gallery.numbers == list(range(PAGE, 30))
    assert gallery.position.text() == f"{PAGE + 1}–30 of 30"
    assert not gallery.forth.isEnabled()
    shown = gallery.list.item(5).icon().pixmap(SIDE, SIDE).toImage()
    corner, column = (shown.pixelColor(x, y).lightness() for x, y in ((36, 20), (6, 6)))
    assert column > corner + 100
    assert "20.0 Å across" in gallery.list.item(5).toolTip()


def test_the_search_narrows_the_gallery_at_once(opened: Any) -> None:
    opened.field_of_view = (15.0, None)
    assert opened.gallery.position.text() == "1–15 of 15"
    assert opened.gallery.numbers == list(range(1, 30, 2))
    opened.field_of_view = (None, 15.0)
    assert opened.gallery.numbers == list(range(0, 30, 2))
    opened.material = "Pt"
    assert opened.gallery.numbers == []
    assert not opened.show_button.isEnabled()
    opened.material, opened.field_of_view = "", (None, None)
    assert opened.gallery.numbers == list(range(PAGE))
    assert opened.show_button.isEnabled()


def test_a_sample_opens_as_layers_in_one_place(opened: Any, viewer: Any) -> None:
    opened.gallery.list.setCurrentRow(3)
    opened.show_button.click()
    layers = {layer.name: layer for layer in viewer.layers}
    image = layers["00003"]
    assert isinstance(image, Image)
    np.testing.assert_allclose(image.scale, 20 / 40)
    assert {str(unit) for layer in layers.values() for unit in layer.units} == {"angstrom"}
    assert image.metadata["napari-atomseg"]["source"] == "TEM-ImageNet"
    masks, points = layers["00003 circular mask"], layers["00003 true columns"]
    assert isinstance(masks, Labels)
    assert (masks.data[6, 6], masks.data[22, 32], masks.data[0, 0]) == (1, 2, 0)
    assert isinstance(points, Points)
    assert points.data.tolist() == [[6, 6], [22, 32]]
    double = layers["00003 no noise 2x"]
    assert double.data.shape == (64, 80)
    # Each pixel of the image covers exactly its four of the finer one.
    for corner in ((-0.5, -0.5), (31.5, 39.5)):
        finer = (np.array(corner) + 0.5) * 2 - 0.5
        np.testing.assert_allclose(double.data_to_world(finer), image.data_to_world(corner))
    assert {name for name, layer in layers.items() if layer.visible} == {image.name, points.name}


@pytest.mark.slow
def test_the_next_sample_takes_the_place_of_the_last(opened: Any, viewer: Any) -> None:
    own = viewer.add_image(np.zeros((8, 8)), name="own")
    opened.targets = False
    opened.gallery.list.itemActivated.emit(opened.gallery.list.item(2))
    assert [layer.name for layer in viewer.layers] == ["own", "00002", "00002 true columns"]
    viewer.layers.remove("00002")
    opened.columns = False
    opened.show_sample(5)
    assert [layer.name for layer in viewer.layers] == ["own", "00005"]
    opened.replace = False
    opened.show_sample(6)
    assert [layer.name for layer in viewer.layers] == ["own", "00005", "00006"]
    assert own in viewer.layers


def test_a_damaged_sample_is_told_and_the_panel_goes_on(
    opened: Any, folder: Path, notices: Any
) -> None:
    (folder / "circularMask" / "00001.png").write_bytes(b"not a picture")
    opened.gallery.list.setCurrentRow(1)
    opened.show_button.click()
    assert "00001.png: damaged" in notices[-1].message
    assert "00001.png: damaged" in opened.message.text()
    assert len(opened.show_sample(2)) > 1


@pytest.mark.parametrize("tab", ["browse", "generate", "download"])
def test_without_a_folder_nothing_starts(tab: str, panel: Any, notices: Any) -> None:
    job = getattr(panel, tab).run()
    with pytest.raises(ValueError, match="choose a folder"):
        job.result(PATIENCE)
    assert "choose a folder" in notices[-1].message


def test_a_folder_without_a_library_is_told(panel: Any, notices: Any, tmp_path: Path) -> None:
    with pytest.raises(core.LibraryError, match="no library"):
        panel.open(tmp_path).result(PATIENCE)
    assert "no library" in panel.browse.message.text()


def test_a_generated_library_opens_at_once(panel: Any, tmp_path: Path) -> None:
    generate = panel.generate
    generate.folder, generate.count, generate.shape = str(tmp_path / "new"), 3, (48, 64)
    generate.format, generate.seed = "zarr", 4
    panel.tabs.setCurrentWidget(generate)
    assert generate.run().result(PATIENCE) == tmp_path / "new"
    panel.browse.job.result(PATIENCE)
    assert panel.tabs.currentWidget() is panel.browse
    assert panel.browse.message.text() == "3 samples in new"
    assert panel.browse.library.image(2).shape == (48, 64)
    header = panel.browse.library.header
    assert (header.seed, header.layout, header.recipe["name"]) == (4, "zarr", "temimagenet")


def test_generating_can_be_cancelled_and_resumed(panel: Any, tmp_path: Path) -> None:
    generate = panel.generate
    generate.folder, generate.count, generate.shape = str(tmp_path / "new"), 10_000, (64, 64)
    job = generate.run()
    assert generate.cancel_button.isVisibleTo(generate)
    job.progressed.connect(lambda *_: generate.cancel())
    with pytest.raises(Cancelled):
        job.result(PATIENCE)
    assert generate.message.text() == "Cancelled"
    assert not panel.browse.library


def test_a_downloaded_library_opens_at_once(
    panel: Any, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def fetch(url: str, into: Path, progress: Any, cancel: Any, sha256: str | None) -> Path:
        asked.extend((url, into, sha256))
        progress(1, 2, "downloading master.zip")
        return folder

    monkeypatch.setattr(core, "download_library", fetch)
    panel.download.folder = str(tmp_path)
    assert "TEM-ImageNet-v1.3" in panel.download.url
    panel.download.url = " https://example.org/lib.zip "
    assert panel.download.run().result(PATIENCE) == folder
    panel.browse.job.result(PATIENCE)
    assert asked == ["https://example.org/lib.zip", tmp_path, None]
    assert len(panel.browse.library) == 30


def test_maps_of_species_are_layers_of_their_own() -> None:
    sample = core.LibrarySample(
        name="7",
        image=np.zeros((8, 8), np.float32),
        targets={"element_maps": np.eye(8, dtype=np.float32)[None].repeat(2, axis=0), "radius": 2},
        columns=pd.DataFrame({"y": [], "x": []}),
        sampling=None,
        settings={"elements": ["Sr", "Ti"]},
    )
    names = [layer.name for layer in sample_layers(sample, "library")]
    assert names == ["7", "7 map of Sr", "7 map of Ti"]


def test_thumbnails_keep_shape_and_brightness() -> None:
    image = np.tile(np.linspace(0, 1, 300, dtype=np.float32), (150, 1))
    small = thumbnail(image)
    assert small.shape == (30, 60)
    assert (small[:, 0] < 8).all()
    assert (small[:, -1] > 247).all()
    assert (np.diff(small[0].astype(int)) > 0).all()
    assert thumbnail(np.zeros((8, 5), np.float32)).shape == (8, 5)


def test_what_is_unknown_of_a_sample_is_not_described() -> None:
    row = pd.Series({"name": "1", "material": "", "zone_axis": "1 1 0", "dose": np.nan})
    assert description(row) == "[1 1 0]"
