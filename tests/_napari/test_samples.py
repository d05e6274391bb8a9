"""Sample data: simulated scenes, and images fetched from a real server on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.settings import get_plugin_settings
from PIL import Image

from napari_atomseg._napari.samples import published

SHAPE = (24, 32)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Serve a picture; yields its address and hash."""
    folder = tmp_path / "served"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)
    Image.fromarray(pixels).save(folder / "atoms.png")
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        digest = hashlib.sha256((folder / "atoms.png").read_bytes()).hexdigest()
        yield f"http://127.0.0.1:{httpd.server_port}/atoms.png", digest
        httpd.shutdown()
        thread.join()


@pytest.fixture
def cache(plugin: Any, tmp_path: Path) -> Path:
    """An empty cache folder, chosen in Preferences."""
    folder = tmp_path / "cache"
    get_plugin_settings("napari-atomseg").computing.cache_folder = str(folder)
    return folder


@pytest.mark.parametrize("key", ["strontium_titanate", "platinum_particle"])
def test_simulated_scenes_open_with_scale_and_units(viewer: Any, key: str) -> None:
    (layer,) = viewer.open_sample("napari-atomseg", key)
    assert layer.data.shape == (512, 512)
    assert {str(unit) for unit in layer.units} == {"angstrom"}
    assert 0.05 < layer.scale[0] < 0.2
    assert layer.metadata["napari-atomseg"]["action"] == "simulate"


def test_particle_stands_on_vacuum(viewer: Any) -> None:
    (layer,) = viewer.open_sample("napari-atomseg", "platinum_particle")
    image = layer.data
    corners = np.concatenate([image[:64, :64], image[:64, -64:], image[-64:, :64]])
    assert image[192:320, 192:320].std() > 3 * corners.std()


def test_published_image_is_fetched_once(server: tuple[str, str], cache: Path) -> None:
    url, digest = server
    for address in (url, url.replace("http://127.0.0.1", "http://unreachable.invalid")):
        ((data, about, kind),) = published(address, digest, "Atoms", 0.125)
        assert kind == "image"
        assert data.shape == SHAPE
        np.testing.assert_allclose(about["scale"], 0.125)
        assert {str(unit) for unit in about["units"]} == {"angstrom"}
    assert [path.name for path in (cache / "samples").iterdir()] == ["atoms.png"]


def test_altered_image_is_refused_and_not_kept(server: tuple[str, str], cache: Path) -> None:
    with pytest.raises(ConnectionError, match="Atoms could not be downloaded"):
        published(server[0], "0" * 64, "Atoms", 0.125)
    assert list((cache / "samples").iterdir()) == []


@pytest.mark.slow
def test_failed_download_says_what_to_do(cache: Path) -> None:
    url = "http://127.0.0.1:9/atoms.png"
    with pytest.raises(ConnectionError, match="by hand") as caught:
        published(url, "0" * 64, "Atoms", 0.125)
    assert "\n" not in str(caught.value)
    assert url in str(caught.value)
    assert str(cache) in str(caught.value)
