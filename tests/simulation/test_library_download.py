"""Fetching a library from an address: a web server of the test's own."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.simulation.library.read import LibraryError, download_library, open_library


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its address on the web."""
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def zipped(folder: Path, top: str) -> Path:
    """An archive of a small public library under the folder `top`."""
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    archive = folder / "master.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for number in range(3):
            picture = imageio.imwrite("<bytes>", grey + number, extension=".png")
            file.writestr(f"{top}image/{number:05d}.png", picture)
    return archive


@pytest.mark.parametrize(("top", "name"), [("Lib-v1.3/", "Lib-v1.3"), ("", "master")])
def test_a_library_is_fetched_and_opens(
    top: str, name: str, site: tuple[Path, str], tmp_path: Path
) -> None:
    folder, address = site
    archive = zipped(folder, top)
    seen: list[tuple[int, int, str]] = []
    home = download_library(
        f"{address}/master.zip",
        tmp_path / "libraries",
        progress=lambda *report: seen.append(report),
        sha256=hashlib.sha256(archive.read_bytes()).hexdigest(),
    )
    assert home == tmp_path / "libraries" / name
    library = open_library(home)
    np.testing.assert_array_equal(np.rint(library.image(2) * 255)[0, :3], [2, 3, 4])
    assert [each.name for each in home.parent.iterdir()] == [name]
    assert {message for *_, message in seen} == {"downloading master.zip", "unpacking"}
    assert all(0 <= done <= total for done, total, _ in seen)
    with pytest.raises(FileExistsError, match="is there already"):
        download_library(f"{address}/master.zip", tmp_path / "libraries")


def test_nothing_is_left_of_a_cancelled_download(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    zipped(folder, "")
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        download_library(
            f"{address}/master.zip",
            tmp_path / "libraries",
            progress=lambda *_: cancel.cancel(),
            cancel=cancel,
        )
    assert not list((tmp_path / "libraries").iterdir())


@pytest.mark.parametrize("member", ["../evil.png", "/etc/evil.png", "a/../../evil.png", "C:\\x"])
def test_archives_that_reach_outside_are_refused(
    member: str, site: tuple[Path, str], tmp_path: Path
) -> None:
    folder, address = site
    with zipfile.ZipFile(folder / "evil.zip", "w") as file:
        file.writestr(zipfile.ZipInfo(member), b"x")
    with pytest.raises(LibraryError, match="unsafe archive"):
        download_library(f"{address}/evil.zip", tmp_path / "libraries")
    assert not list(tmp_path.rglob("evil.png"))
    assert not list((tmp_path / "libraries").iterdir())


def test_what_is_not_an_archive_is_said(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    (folder / "page.zip").write_bytes(b"<html>")
    with pytest.raises(LibraryError, match="not a ZIP archive"):
        download_library(f"{address}/page.zip", tmp_path)
    with pytest.raises(ConnectionError, match=r"missing\.zip: could not be downloaded"):
        download_library(f"{address}/missing.zip", tmp_path)
    with pytest.raises(ConnectionError, match="hash"):
        download_library(f"{address}/page.zip", tmp_path, sha256="0" * 64)
    for url in ("ftp://example.org/a.zip", "file:///etc/passwd", "library"):
        with pytest.raises(ValueError, match="must begin with https"):
            download_library(url, tmp_path)
