"""Downloads that continue where they were cut, from the first of several addresses that answers."""

from __future__ import annotations

import queue
import re
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_atomseg._shared.files import sha256 as file_sha256
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    import requests

TIMEOUT = 20.0
"""Seconds without an answer after which an address is given up."""

ROUNDS = 4
"""Rounds over all addresses without one new byte after which the download is given up."""

PAUSE = 0.5
"""Seconds before the second round; each further pause is twice as long."""

CHUNK = 2**13
"""Bytes between two reports of a small file, and at most as many are lost by a cut."""

_LARGEST_CHUNK = 2**20
"""The same for a file of gigabytes."""

_UNKNOWN_CHUNK = 2**18
"""The same where the server does not send the size of the file."""

_TICK = 0.05
"""Seconds between two checks of `cancel` while nothing arrives."""

_AHEAD = 8
"""Pieces that may have arrived before they are written."""

_TEMPORARY = {408, 425, 429, 500, 502, 503, 504}
"""HTTP errors after which another attempt may succeed."""

_LOCKS: dict[Path, threading.Lock] = {}
"""A lock for each file that this process downloads."""


class DownloadError(ConnectionError):
    """No address gave the file.

    Attributes
    ----------
    answers : what was wrong with each address; the message lists it all.
    """

    def __init__(self, answers: Mapping[str, str]) -> None:
        super().__init__(
            "; ".join(f"{url}: {text}" for url, text in answers.items()) or "no address"
        )
        self.answers = dict(answers)


class _RefusedError(ConnectionError):
    """The address does not give the file; another attempt would not help."""


class _BrokenError(ConnectionError):
    """The connection failed or was cut; the bytes that arrived are kept."""


class _UnfitError(ConnectionError):
    """The bytes are not those of the file; none are kept."""


def download(
    urls: Sequence[str],
    path: str | Path,
    *,
    sha256: str | None = None,
    size: int | None = None,
    partial: str | Path | None = None,
    message: str = "downloading",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """Download a file from the first of its addresses that gives it.

    Bytes are gathered in a partial file, which stays when the connection breaks or the user
    cancels; the next call asks for the rest (HTTP ``Range``, RFC 9110, section 14). Where no hash
    is known, the server must confirm that the file is still the same (``If-Range``, section
    13.1.5), or the download starts anew. Proxies and certificates are those of the environment
    (``HTTPS_PROXY``, ``NO_PROXY``, ``REQUESTS_CA_BUNDLE``).

    Parameters
    ----------
    urls : addresses (http or https) of the file, tried in this order.
    path : the file to make. One that has the right hash already is not downloaded again.
    sha256, size : hash (hexadecimal) and bytes of the whole file, None where unknown.
    partial : file in which an unfinished download is kept; by default beside `path`.
    message : for `progress`, which counts bytes.

    Returns
    -------
    `path`.

    Raises
    ------
    DownloadError
        No address gave the file, or not the one with this hash.
    OSError
        The file cannot be written.
    Cancelled
        `cancel` was raised; a later call continues.
    """
    path = Path(path)

    def advance(done: int, total: int | None) -> None:
        if total is None:
            report(progress, cancel, 0, 0, f"{message} ({done / 1e6:.0f} MB)")
        else:
            report(progress, cancel, done, total, message)

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial") if partial is None else Path(partial)
    file = _Download(path, partial, sha256, size, advance, cancel)
    with _alone(path, cancel):
        try:
            _from_any(urls, file, cancel)
        finally:
            if file.held == 0:
                file.discard()
    return path


class _Download:
    """A file on its way.

    Attributes
    ----------
    resumed : whether the last request continued an earlier one.
    """

    def __init__(
        self,
        path: Path,
        partial: Path,
        digest: str | None,
        size: int | None,
        advance: Callable[[int, int | None], None],
        cancel: CancelToken | None,
    ) -> None:
        self._cancel = cancel
        self.path, self.partial, self._digest, self._size = path, partial, digest, size
        self._validator = partial.with_name(f"{partial.name}.etag")
        self._advance = advance
        self.resumed = False

    @property
    def held(self) -> int:
        """Bytes that arrived."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    def discard(self) -> None:
        """Remove the bytes that arrived."""
        self.partial.unlink(missing_ok=True)
        self._validator.unlink(missing_ok=True)

    def fetch(self, url: str) -> None:
        """Fetch the file from one address; from its start if the bytes held are of another file.

        Raises
        ------
        _RefusedError, _BrokenError, _UnfitError
            See there.
        OSError
            The file cannot be written.
        """
        if self._digest and self.path.is_file() and file_sha256(self.path) == self._digest:
            return
        try:
            self._attempt(url)
        except _UnfitError:
            if not self.resumed:
                raise
            self._attempt(url)

    def _attempt(self, url: str) -> None:
        self.resumed = self.held > 0
        if self._size is None or self.held != self._size:
            stream = _beside(self._stream(url, self._headers()), self._cancel)
            with _explained(), closing(stream):
                response = next(stream)
                self._receive(response, stream)
        if self._digest and file_sha256(self.partial) != self._digest:
            self._refuse("its bytes are not those expected (wrong SHA-256 hash)")
        self.partial.replace(self.path)
        self._validator.unlink(missing_ok=True)

    def _headers(self) -> dict[str, str]:
        """What is asked for: the rest of the bytes, where some are held."""
        headers = {"Accept-Encoding": "identity"}
        if self.held and self._digest is None:
            if self._validator.exists():
                headers["If-Range"] = self._validator.read_text(encoding="utf-8")
            else:
                self.discard()
        if self.held:
            headers["Range"] = f"bytes={self.held}-"
        return headers

    def _stream(self, url: str, headers: dict[str, str]) -> Generator[Any, None, None]:
        """The answer of an address, then the bytes of the file in pieces."""
        import requests

        with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
            yield response
            held = self.held if response.status_code == 206 else 0
            yield from response.iter_content(_chunk(self._size or _whole_size(response, held)))

    def _receive(self, response: requests.Response, chunks: Iterator[bytes]) -> None:
        if self.resumed and response.status_code == 416:
            if response.headers.get("Content-Range") == f"bytes */{self.held}":
                return
            self._refuse("it has fewer bytes than were here already")
        if not response.ok:
            answer = f"{response.status_code} {response.reason}"
            temporary = response.status_code in _TEMPORARY
            raise _BrokenError(answer) if temporary else _RefusedError(answer)
        if response.status_code != 206:
            self.resumed = False
        elif _first_byte(response) != self.held:
            self._refuse("it answered with another part of the file")
        if self._digest is None:
            self._keep_validator(response)
        done = self.held if self.resumed else 0
        total = self._size or _whole_size(response, done)
        with self.partial.open("ab" if self.resumed else "wb") as file:
            self._advance(done, total)
            for chunk in chunks:
                done += len(chunk)
                if total is not None and done > total:
                    break
                file.write(chunk)
                self._advance(done, total)
        if total is not None and done > total:
            self._refuse(f"it gave more than the expected {total} bytes")
        if total is not None and done < total:
            raise _BrokenError(f"cut after {done} of {total} bytes")

    def _keep_validator(self, response: requests.Response) -> None:
        """Note the mark by which the server recognizes this version of the file."""
        tag = response.headers.get("ETag", "")
        mark = tag if tag and not tag.startswith("W/") else response.headers.get("Last-Modified")
        if mark:
            self._validator.write_text(mark, encoding="utf-8")
        else:
            self._validator.unlink(missing_ok=True)

    def _refuse(self, reason: str) -> None:
        self.discard()
        raise _UnfitError(reason)


def _from_any(urls: Sequence[str], file: _Download, cancel: CancelToken | None) -> None:
    """Try one address after the other, and those whose connection failed again."""
    answers: dict[str, str] = {}
    left, stalled = list(urls), 0
    while left and stalled < ROUNDS:
        if stalled:
            _wait(PAUSE * 2 ** (stalled - 1), cancel)
        before = file.held
        for url in tuple(left):
            try:
                return file.fetch(url)
            except _BrokenError as error:
                answers[url] = str(error)
            except (_RefusedError, _UnfitError) as error:
                answers[url] = str(error)
                left.remove(url)
        stalled = 0 if file.held > before else stalled + 1
    raise DownloadError(answers)


def _first_byte(response: requests.Response) -> int | None:
    """Position of the first byte of a partial answer."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _whole_size(response: requests.Response, start: int) -> int | None:
    """Bytes of the whole file, by the headers of an answer that begins at byte `start`."""
    if match := re.fullmatch(r"bytes \d+-\d+/(\d+)", response.headers.get("Content-Range", "")):
        return int(match[1])
    length = response.headers.get("Content-Length", "")
    if "Content-Encoding" in response.headers or not length.isdecimal():
        return None
    return start + int(length)


def _chunk(total: int | None) -> int:
    """Bytes between two reports of progress."""
    return _UNKNOWN_CHUNK if total is None else min(max(total // 2**10, CHUNK), _LARGEST_CHUNK)


@contextmanager
def _explained() -> Iterator[None]:
    """Turn an error of the connection into words, and into one of the errors above."""
    import requests

    try:
        yield
    except requests.exceptions.SSLError as error:
        hint = "name your firewall's certificates in REQUESTS_CA_BUNDLE"
        raise _RefusedError(f"its certificate is not trusted; {hint}") from error
    except requests.exceptions.ProxyError as error:
        raise _BrokenError("the proxy does not answer; see HTTPS_PROXY") from error
    except (requests.Timeout, requests.ConnectionError) as error:
        slow = "timed out" in str(error)
        reason = f"no answer for {TIMEOUT:g} s" if slow else "cannot be reached, or was cut"
        raise _BrokenError(reason) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise _BrokenError("incomplete: the connection was cut") from error
    except requests.RequestException as error:
        raise _RefusedError(str(error)) from error


@contextmanager
def _alone(path: Path, cancel: CancelToken | None) -> Iterator[None]:
    """Wait until no other thread downloads this file."""
    lock = _LOCKS.setdefault(path.resolve(), threading.Lock())
    while not lock.acquire(timeout=_TICK):
        _check(cancel)
    try:
        yield
    finally:
        lock.release()


def _beside(
    items: Generator[Any, None, None], cancel: CancelToken | None
) -> Generator[Any, None, None]:
    """Items that are made in another thread, so that waiting for a silent server is cancelled.

    The other thread alone touches the connection, and closes it when its time is out.
    """
    arrived: queue.Queue[tuple[Any, BaseException | None]] = queue.Queue(maxsize=_AHEAD)
    stopped = threading.Event()

    def put(item: Any, error: BaseException | None) -> bool:
        while not stopped.is_set():
            with suppress(queue.Full):
                arrived.put((item, error), timeout=_TICK)
                return True
        return False

    def make() -> None:
        try:
            with closing(items):
                for item in items:
                    if not put(item, None):
                        return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    threading.Thread(target=make, name="download", daemon=True).start()
    try:
        while True:
            _check(cancel)
            try:
                item, error = arrived.get(timeout=_TICK)
            except queue.Empty:
                continue
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item
    finally:
        stopped.set()


def _wait(seconds: float, cancel: CancelToken | None) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        _check(cancel)
        time.sleep(min(left, _TICK))


def _check(cancel: CancelToken | None) -> None:
    if cancel is not None:
        cancel.raise_if_cancelled()
