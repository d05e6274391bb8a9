"""Fetching a library from an address: a web server of the test's own."""

from __future__ import annotations

import functools
import hashlib
import http.server
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

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
    assert {message for *_, message in seen} == {"downloading master.zip", "unpacking 0 MB"}
    assert all(0 <= done <= total for done, total, _ in seen)
    with pytest.raises(FileExistsError, match="is there already"):
        download_library(f"{address}/master.zip", tmp_path / "libraries")


def visible(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith(".")]


def test_a_cancelled_download_leaves_no_library(site: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = site
    zipped(folder, "")
    cancel, libraries = CancelToken(), tmp_path / "libraries"
    with pytest.raises(Cancelled):
        download_library(
            f"{address}/master.zip", libraries, progress=lambda *_: cancel.cancel(), cancel=cancel
        )
    assert visible(libraries) == []
    assert len(open_library(download_library(f"{address}/master.zip", libraries))) == 3
    assert [path.name for path in libraries.iterdir()] == ["master"]


class _Ranges(_Quiet):
    """A server that sends parts of files, and marks each version of a file by an ETag."""

    asked: ClassVar[list[str | None]] = []
    cuts: ClassVar[int] = 0

    def do_GET(self) -> None:
        self.asked.append(self.headers["Range"])
        content = Path(self.translate_path(self.path)).read_bytes()
        tag = f'"{hashlib.sha256(content).hexdigest()}"'
        start = 0
        if self.headers["Range"] and self.headers["If-Range"] in (None, tag):
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        body = content[start:]
        if type(self).cuts:
            type(self).cuts -= 1
            body = body[: len(body) // 2]
        self.wfile.write(body)


@pytest.fixture
def ranges(site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of the same folder at a server that knows ranges."""
    monkeypatch.setattr("napari_atomseg._shared.download.PAUSE", 0.01)
    monkeypatch.setattr(_Ranges, "asked", [])
    handler = functools.partial(_Ranges, directory=str(site[0]))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def large(folder: Path, seed: int = 0) -> Path:
    """An archive of a small library with 100 kB that no compression shrinks."""
    archive = zipped(folder, "")
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("notes/random", np.random.default_rng(seed).bytes(100_000))
    return archive


@pytest.mark.parametrize("known", [True, False])
def test_a_download_continues_where_it_was_cut(
    known: bool,
    site: tuple[Path, str],
    ranges: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = large(site[0])
    monkeypatch.setattr(_Ranges, "cuts", 1)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest() if known else None
    home = download_library(f"{ranges}/master.zip", tmp_path / "libraries", sha256=sha256)
    assert len(open_library(home)) == 3
    assert [path.name for path in home.parent.iterdir()] == ["master"]
    first, second = _Ranges.asked
    assert first is None
    start = int(str(second).removeprefix("bytes=").removesuffix("-"))
    assert archive.stat().st_size / 4 < start <= archive.stat().st_size / 2


@pytest.mark.parametrize("altered", [False, True])
def test_a_cancelled_download_continues_later_unless_the_archive_is_another_one(
    altered: bool, site: tuple[Path, str], ranges: str, tmp_path: Path
) -> None:
    large(site[0])
    cancel, libraries = CancelToken(), tmp_path / "libraries"

    def stop_at_half(done: int, total: int, _: str) -> None:
        if 2 * done >= total:
            cancel.cancel()

    with pytest.raises(Cancelled):
        download_library(f"{ranges}/master.zip", libraries, stop_at_half, cancel)
    assert visible(libraries) == []
    (held,) = (path.stat().st_size for path in libraries.iterdir() if path.suffix == ".partial")
    if altered:
        large(site[0], seed=1)
    seen: list[int] = []
    home = download_library(
        f"{ranges}/master.zip",
        libraries,
        lambda done, _total, message: seen.append(done) if "download" in message else None,
    )
    assert _Ranges.asked == [None, f"bytes={held}-"]
    assert (seen[0] == 0) == altered
    random = np.random.default_rng(int(altered)).bytes(100_000)
    assert (home / "notes" / "random").read_bytes() == random
    assert [path.name for path in libraries.iterdir()] == ["master"]


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
