from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch

from napari_atomseg import networks
from napari_atomseg._shared.download import CHUNK
from napari_atomseg.networks.files import ModelCard, save_weights
from napari_atomseg.weights.registry import Entry, describe

ARGUMENTS = {"channels_in": 1, "channels_out": 5, "widths": [16, 24]}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache folder of this test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("NAPARI_ATOMSEG_CACHE", str(folder))
    return folder


@pytest.fixture
def weights_file(tmp_path: Path) -> Path:
    """A small but real weights file."""
    torch.manual_seed(0)
    path = tmp_path / "origin" / "tiny.safetensors"
    path.parent.mkdir()
    card = ModelCard(
        name="tiny",
        architecture="unet",
        arguments=ARGUMENTS,
        tasks=("denoise", "denoise_background", "superresolution", "column_map", "column_mask"),
        normalisation="zero mean and unit standard deviation of the image",
        scores={"f1": 0.9},
        description="A small network.",
    )
    save_weights(path, networks.create("unet", **ARGUMENTS), card)
    return path


@pytest.fixture
def entry(weights_file: Path) -> Entry:
    return describe(weights_file)


class Server:
    """A real HTTP server of one file, whose paths misbehave in their own ways.

    `/good` knows ranges and `/plain` does not; `/cut` sends a fifth of what was asked for, and no
    less than a chunk, `/cut-plain` half of the file, `/cut-wrong` half of as many zeros; `/flaky`
    answers 503 twice; `/slow` answers after 2 s, `/stall` sends half and then nothing for 2 s;
    `/shifted` answers with another range than asked for; `/moved` redirects to `/good`,
    `/elsewhere` to a local file; `/NAME/tiny.safetensors` is `/NAME`.
    """

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.requests: list[tuple[str, str | None]] = []
        """Path and range of each request."""
        self._stop = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append((self.path, self.headers["Range"]))
                outer.answer(self)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        class Quiet(ThreadingHTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that hangs up is part of many tests."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def __call__(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{path}"

    def close(self) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: Any) -> None:
        name = handler.path.removesuffix("/tiny.safetensors").split("/")[-1]
        answers: dict[str, Callable[[Any], None]] = {
            "good": lambda h: self._part(h, 1.0),
            "cut": lambda h: self._part(h, 1 / 5),
            "plain": lambda h: self._whole(h, self.content),
            "cut-plain": lambda h: self._whole(h, self.content, 1 / 2),
            "wrong": lambda h: self._whole(h, bytes(len(self.content))),
            "cut-wrong": lambda h: self._whole(h, bytes(len(self.content)), 1 / 2),
            "endless": lambda h: self._whole(h, self.content * 100),
            "short": lambda h: self._whole(h, self.content[:-9]),
            "flaky": self._flaky,
            "slow": self._slow,
            "stall": lambda h: self._part(h, 1 / 2, stall=True),
            "shifted": self._shifted,
            "moved": lambda h: self._redirect(h, self("good")),
            "elsewhere": lambda h: self._redirect(h, "file:///etc/hostname"),
            "forbidden": lambda h: h.send_error(403),
        }
        answers.get(name, lambda h: h.send_error(404))(handler)

    def _whole(self, handler: Any, body: bytes, share: float = 1.0) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body[: int(len(body) * share)])

    def _part(self, handler: Any, share: float, shift: int = 0, stall: bool = False) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "bytes=0-")
        start = int(asked[1]) + shift if asked else 0
        if start >= len(self.content):
            handler.send_error(416)
            return
        body = self.content[start:]
        handler.send_response(206 if handler.headers["Range"] else 200)
        handler.send_header("Content-Length", str(len(body)))
        if handler.headers["Range"]:
            whole = len(self.content)
            handler.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        handler.end_headers()
        handler.wfile.write(body[: max(CHUNK + 1, int(len(body) * share))])
        if stall:
            self._stop.wait(2.0)

    def _flaky(self, handler: Any) -> None:
        if len(self.requests) < 3:
            handler.send_error(503)
        else:
            self._part(handler, 1.0)

    def _slow(self, handler: Any) -> None:
        self._stop.wait(2.0)
        self._whole(handler, self.content)

    def _shifted(self, handler: Any) -> None:
        self._part(handler, 1.0, shift=5 if handler.headers["Range"] else 0)

    def _redirect(self, handler: Any, target: str) -> None:
        handler.send_response(302)
        handler.send_header("Location", target)
        handler.end_headers()


@pytest.fixture
def serve(weights_file: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server of `weights_file`; nothing waits for long."""
    for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
        monkeypatch.delenv(variable.lower(), raising=False)
    monkeypatch.setattr("napari_atomseg._shared.download.PAUSE", 0.01)
    monkeypatch.setattr("napari_atomseg._shared.download.TIMEOUT", 0.3)
    server = Server(weights_file.read_bytes())
    yield server
    server.close()


@pytest.fixture
def publish(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Entry]:
    """Make the small model the only published one, at the given addresses."""

    def to(*urls: str) -> Entry:
        published = entry.model_copy(update={"urls": urls})
        for room in ("catalogue", "exchange", "store"):
            monkeypatch.setattr(
                f"napari_atomseg.weights.{room}.read_registry", lambda: {"tiny": published}
            )
        return published

    return to


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())
