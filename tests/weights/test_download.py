"""Downloads, against a real HTTP server."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from napari_atomseg._shared.download import CHUNK, ROUNDS
from napari_atomseg.networks.files import WeightsError, load_weights
from napari_atomseg.progress import Cancelled, CancelToken
from napari_atomseg.weights import downloads_folder, models, resolve
from napari_atomseg.weights.catalogue import download_model as download
from napari_atomseg.weights.registry import Entry


def at(entry: Entry, *urls: str) -> Entry:
    return entry.model_copy(update={"urls": urls})


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def is_the_model(path: Path, weights_file: Path) -> bool:
    return path.read_bytes() == weights_file.read_bytes() and files_in(path.parent) == [path.name]


def test_good_download_is_the_model_and_happens_once(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    path = download(at(entry, serve("good")), tmp_path / "models")
    assert is_the_model(path, weights_file)
    assert load_weights(path)[1].name == "tiny"
    download(at(entry, serve("good")), tmp_path / "models")
    assert serve.requests == [("/good", None)]


def test_progress_grows_to_the_whole_size(tmp_path: Path, serve: Any, entry: Entry) -> None:
    seen: list[tuple[int, int]] = []
    download(
        at(entry, serve("good")),
        tmp_path / "models",
        progress=lambda done, total, _: seen.append((done, total)),
    )
    assert all(before <= after for (before, _), (after, _) in itertools.pairwise(seen))
    assert len(seen) > 3
    assert seen[-1] == (entry.size, entry.size)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("missing", "404"),
        ("forbidden", "403"),
        ("wrong", "hash"),
        ("short", "cut after"),
        ("endless", "more than"),
        ("slow", "no answer"),
        ("elsewhere", "file:"),
    ],
)
def test_bad_answer_is_reported_and_leaves_no_model(
    tmp_path: Path, serve: Any, entry: Entry, path: str, message: str
) -> None:
    folder = tmp_path / "models"
    with pytest.raises(WeightsError, match=message) as caught:
        download(at(entry, serve(path)), folder)
    assert serve(path) in str(caught.value)
    assert str(folder) in str(caught.value)
    assert "tiny.safetensors" not in files_in(folder)
    if path in ("wrong", "endless", "elsewhere"):
        assert files_in(folder) == []


@pytest.mark.parametrize("path", ["missing", "forbidden", "wrong"])
def test_an_answer_that_will_not_change_is_not_asked_for_again(
    tmp_path: Path, serve: Any, entry: Entry, path: str
) -> None:
    with pytest.raises(WeightsError):
        download(at(entry, serve(path)), tmp_path / "models")
    assert len(serve.requests) == 1


def test_cut_connection_is_gone_on_with_from_where_it_was_cut(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    path = download(at(entry, serve("cut"), serve("good")), tmp_path / "models")
    assert is_the_model(path, weights_file)
    (_, first), (_, second) = serve.requests
    start = int(second.removeprefix("bytes=").removesuffix("-"))
    assert first is None
    assert entry.size / 5 - CHUNK <= start <= entry.size / 5


def test_a_connection_that_is_cut_again_and_again_ends_with_the_model(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    path = download(at(entry, serve("cut")), tmp_path / "models")
    assert is_the_model(path, weights_file)
    assert len(serve.requests) > ROUNDS
    starts = [int(asked[6:-1]) for _, asked in serve.requests[1:]]
    assert starts == sorted(starts)


def test_a_server_without_ranges_sends_the_whole_file_again(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    path = download(at(entry, serve("cut-plain"), serve("plain")), tmp_path / "models")
    assert is_the_model(path, weights_file)
    with pytest.raises(WeightsError, match=r"cut"):
        download(at(entry, serve("cut-plain")), tmp_path / "other")


@pytest.mark.parametrize("second", ["good", "plain", "shifted"])
def test_wrong_bytes_before_a_cut_do_not_spoil_the_next_address(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path, second: str
) -> None:
    path = download(at(entry, serve("cut-wrong"), serve(second)), tmp_path / "models")
    assert is_the_model(path, weights_file)


def test_a_passing_failure_is_asked_for_again(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    assert is_the_model(download(at(entry, serve("flaky")), tmp_path / "models"), weights_file)
    assert len(serve.requests) == 3


@pytest.mark.parametrize(
    "first", ["http://127.0.0.1:9", "missing", "forbidden", "wrong", "slow", "stall"]
)
def test_next_address_stands_in_for_a_broken_one(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path, first: str
) -> None:
    url = first if first.startswith("http") else serve(first)
    path = download(at(entry, url, serve("good")), tmp_path / "models")
    assert is_the_model(path, weights_file)


def test_a_redirection_is_followed(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    assert is_the_model(download(at(entry, serve("moved")), tmp_path / "models"), weights_file)


def test_the_proxy_of_the_environment_is_asked(
    tmp_path: Path,
    serve: Any,
    entry: Entry,
    weights_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTP_PROXY", serve(""))
    monkeypatch.setenv("http_proxy", serve(""))
    path = download(at(entry, "http://models.example/good"), tmp_path / "models")
    assert is_the_model(path, weights_file)
    assert serve.requests == [("http://models.example/good", None)]


def test_unreachable_addresses_are_all_named(tmp_path: Path, serve: Any, entry: Entry) -> None:
    with pytest.raises(WeightsError) as caught:
        download(at(entry, "http://127.0.0.1:9/a", serve("missing")), tmp_path / "models")
    assert "127.0.0.1:9/a: cannot be reached" in str(caught.value)
    assert f"{serve('missing')}: 404" in str(caught.value)


def test_a_model_without_address_says_so(tmp_path: Path, entry: Entry) -> None:
    with pytest.raises(WeightsError, match="no address"):
        download(entry, tmp_path / "models")


def test_cancel_in_the_middle_leaves_a_part_to_go_on_with(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    folder, cancel = tmp_path / "models", CancelToken()

    def stop_at_half(done: int, total: int, _: str) -> None:
        if 2 * done >= total:
            cancel.cancel()

    with pytest.raises(Cancelled):
        download(at(entry, serve("good")), folder, stop_at_half, cancel)
    (part,) = folder.iterdir()
    assert part == folder / entry.partial
    assert entry.size / 2 <= part.stat().st_size < entry.size
    held = part.stat().st_size
    assert is_the_model(download(at(entry, serve("good")), folder), weights_file)
    assert serve.requests[-1] == ("/good", f"bytes={held}-")


def test_cancel_ends_the_pause_between_two_rounds(
    tmp_path: Path, serve: Any, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_atomseg._shared.download.PAUSE", 60.0)
    cancel = CancelToken()
    threading.Timer(0.2, cancel.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        download(at(entry, "http://127.0.0.1:9/"), tmp_path / "models", cancel=cancel)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("silent", ["slow", "stall"])
def test_cancel_does_not_wait_for_a_silent_server(
    silent: str, tmp_path: Path, serve: Any, entry: Entry
) -> None:
    """It answers, or goes on, after two seconds; what arrived by then is kept."""
    folder, cancel = tmp_path / "models", CancelToken()
    threading.Timer(0.3, cancel.cancel).start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        download(at(entry, serve(silent)), folder, cancel=cancel)
    assert time.monotonic() - began < 1.3
    held = sum(file.stat().st_size for file in folder.iterdir())
    assert held > 0 if silent == "stall" else held == 0


def test_a_whole_part_needs_no_request(tmp_path: Path, entry: Entry, weights_file: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / entry.partial).write_bytes(weights_file.read_bytes())
    path = download(at(entry, "http://127.0.0.1:9/"), folder)
    assert is_the_model(path, weights_file)


@pytest.mark.parametrize("part", [b"other bytes", b"x" * 10**6])
def test_a_part_of_another_file_is_thrown_away(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path, part: bytes
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / entry.partial).write_bytes(part)
    assert is_the_model(download(at(entry, serve("good")), folder), weights_file)


def test_file_with_another_hash_is_replaced(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / entry.file).write_bytes(b"stale")
    assert is_the_model(download(at(entry, serve("good")), folder), weights_file)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, serve: Any, entry: Entry) -> None:
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(WeightsError, match=r"could not be written to .*models"):
        download(at(entry, serve("good")), tmp_path / "models")


def test_two_downloads_at_once_both_end_with_the_model(
    tmp_path: Path, serve: Any, entry: Entry, weights_file: Path
) -> None:
    folder, paths = tmp_path / "models", []

    def fetch() -> None:
        paths.append(download(at(entry, serve("good"), serve("plain")), folder))

    threads = [threading.Thread(target=fetch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(paths) == 2
    assert is_the_model(paths[0], weights_file)


def test_published_model_is_listed_before_and_found_after_download(
    cache: Path, serve: Any, publish: Callable[..., Entry]
) -> None:
    publish(serve("good"))
    assert not models().set_index("name").loc["tiny", "downloaded"]
    path = resolve("tiny")
    assert path.parent == downloads_folder()
    assert path.is_relative_to(cache)
    assert models().set_index("name").loc["tiny", "downloaded"]
    resolve("tiny")
    assert len(serve.requests) == 1
