"""Downloads, against a real HTTP server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from napari_atomseg.networks.files import WeightsError, load_weights
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.weights import models, resolve
from napari_atomseg.weights.download import download
from napari_atomseg.weights.registry import Entry, describe


@pytest.fixture
def serve(weights_file: Path) -> Iterator[Callable[[str], str]]:
    """A server of `weights_file`: good, with wrong bytes, cut short, endless or not at all."""
    good = weights_file.read_bytes()
    wrong = bytes(len(good))
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            body = {"/good": good, "/cut": good, "/wrong": wrong, "/endless": good * 100}.get(
                self.path
            )
            if body is None:
                self.send_error(403 if self.path == "/forbidden" else 404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if self.path == "/cut" else body)

        def log_message(self, *_: object) -> None:
            """Keep the test's output clean."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()

    def address(path: str) -> str:
        return f"http://127.0.0.1:{server.server_port}/{path}"

    address.requests = requests  # type: ignore[attr-defined]
    yield address
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def entry(weights_file: Path) -> Entry:
    return describe(weights_file)


def at(entry: Entry, *urls: str) -> Entry:
    return entry.model_copy(update={"urls": urls})


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_good_download_is_the_model_and_happens_once(
    tmp_path: Path, serve: Callable[[str], str], entry: Entry, weights_file: Path
) -> None:
    path = download(at(entry, serve("good")), tmp_path / "models")
    assert path.read_bytes() == weights_file.read_bytes()
    assert load_weights(path)[1].name == "tiny"
    assert files_in(tmp_path / "models") == ["tiny.safetensors"]
    download(at(entry, serve("good")), tmp_path / "models")
    assert serve.requests == ["/good"]  # type: ignore[attr-defined]


def test_progress_reaches_the_whole_size(
    tmp_path: Path, serve: Callable[[str], str], entry: Entry
) -> None:
    seen: list[tuple[int, int]] = []
    download(
        at(entry, serve("good")),
        tmp_path / "models",
        progress=lambda done, total, _: seen.append((done, total)),
    )
    assert seen[-1] == (entry.size, entry.size)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "404"),
        ("forbidden", "403"),
        ("wrong", "hash"),
        ("cut", "(?i)incomplete|broken|hash"),
        ("endless", "more than"),
    ],
)
def test_bad_answer_is_reported_and_leaves_nothing(
    tmp_path: Path, serve: Callable[[str], str], entry: Entry, path: str, message: str
) -> None:
    folder = tmp_path / "models"
    with pytest.raises(WeightsError, match=message) as caught:
        download(at(entry, serve(path)), folder)
    assert serve(path) in str(caught.value)
    assert str(folder) in str(caught.value)
    assert files_in(folder) == []


def test_dead_server_is_reported(tmp_path: Path, entry: Entry) -> None:
    with pytest.raises(WeightsError, match=r"127\.0\.0\.1:9/"):
        download(at(entry, "http://127.0.0.1:9/tiny.safetensors"), tmp_path / "models")


def test_next_address_stands_in_for_a_broken_one(
    tmp_path: Path, serve: Callable[[str], str], entry: Entry
) -> None:
    bad_then_good = at(entry, serve("missing"), serve("wrong"), serve("good"))
    assert download(bad_then_good, tmp_path / "models").stat().st_size == entry.size


def test_cancel_leaves_nothing(tmp_path: Path, serve: Callable[[str], str], entry: Entry) -> None:
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        download(at(entry, serve("good")), tmp_path / "models", cancel=cancel)
    assert files_in(tmp_path / "models") == []


def test_file_put_there_by_hand_needs_no_network(
    tmp_path: Path, entry: Entry, weights_file: Path
) -> None:
    assert download(at(entry), weights_file.parent) == weights_file


def test_file_with_another_hash_is_replaced(
    tmp_path: Path, serve: Callable[[str], str], entry: Entry, weights_file: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / entry.file).write_bytes(b"stale")
    path = download(at(entry, serve("good")), folder)
    assert path.read_bytes() == weights_file.read_bytes()


def test_published_model_is_listed_before_and_found_after_download(
    cache: Path, serve: Callable[[str], str], entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    published = {entry.name: at(entry, serve("good"))}
    monkeypatch.setattr("napari_atomseg.weights.find.read_registry", lambda: published)
    assert not models().set_index("name").loc["tiny", "downloaded"]
    path = resolve("tiny")
    assert path.is_relative_to(cache)
    assert models().set_index("name").loc["tiny", "downloaded"]
