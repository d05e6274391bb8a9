"""One request for a file that goes on where an earlier one was cut."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pooch
import requests

from napari_atomseg._shared.files import sha256
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.weights.registry import Entry

TIMEOUT = 20.0
"""Seconds without an answer after which an address is given up."""

CHUNK = 2**13
"""Bytes between two looks at progress and cancel, and those at most that a cut loses."""

_PASSING = {408, 425, 429, 500, 502, 503, 504}
"""HTTP answers that may be another one a moment later."""


class Refused(ConnectionError):
    """The address does not give the file; asking again would not help."""


class Broken(ConnectionError):
    """The connection failed or was cut; what came is kept."""


class Unfit(ConnectionError):
    """What the address gave, together with what was there, is not the file; nothing is kept."""


class ResumingDownloader:
    """What pooch calls to fetch an address into a file.

    Bytes are gathered in `partial`, which stays when the connection breaks or the user cancels;
    the next call, whatever its address, asks for the rest (HTTP ``Range``, RFC 9110, section 14).
    Proxies and certificates are those of the environment (``HTTPS_PROXY``, ``NO_PROXY``,
    ``REQUESTS_CA_BUNDLE``).

    Parameters
    ----------
    size : bytes of the whole file; more are not taken.
    advance : called with the bytes that are here, after each chunk; may raise to stop.
    """

    def __init__(self, partial: Path, size: int, advance: Callable[[int], None]) -> None:
        self.partial, self.size, self._advance = partial, size, advance
        self.resumed = False
        """Whether the last call went on with bytes of an earlier one."""

    @property
    def held(self) -> int:
        """Bytes that are here."""
        return self.partial.stat().st_size if self.partial.exists() else 0

    def __call__(self, url: str, output_file: str, pooch: Any = None) -> None:
        """Fetch the file, or what is missing of it.

        Raises
        ------
        Refused, Broken, Unfit
            See there.
        OSError
            The file cannot be written.
        """
        self.resumed = self.held > 0
        if self.held != self.size:
            with _explained(), self._request(url) as response:
                self._write(response)
        if self.held < self.size:
            raise Broken(f"cut after {self.held} of {self.size} bytes")
        self.partial.replace(output_file)

    def discard(self) -> None:
        """Forget the bytes that are here."""
        self.partial.unlink(missing_ok=True)

    def _request(self, url: str) -> requests.Response:
        headers = {"Accept-Encoding": "identity"}
        if self.held:
            headers["Range"] = f"bytes={self.held}-"
        return requests.get(url, headers=headers, stream=True, timeout=TIMEOUT)

    def _write(self, response: requests.Response) -> None:
        if self.resumed and response.status_code == 416:
            self._unfit("it has fewer bytes than were here already")
        if not response.ok:
            passing = response.status_code in _PASSING
            answer = f"{response.status_code} {response.reason}"
            raise Broken(answer) if passing else Refused(answer)
        if response.status_code != 206:
            self.resumed = False
        elif _start(response) != self.held:
            self._unfit("it answered with another part of the file")
        with self.partial.open("ab" if self.resumed else "wb") as file:
            done = self.held if self.resumed else 0
            self._advance(done)
            for chunk in response.iter_content(CHUNK):
                done += len(chunk)
                if done > self.size:
                    break
                file.write(chunk)
                self._advance(done)
        if done > self.size:
            self._unfit(f"it gave more than the expected {self.size} bytes")

    def _unfit(self, reason: str) -> None:
        self.discard()
        raise Unfit(reason)


def _start(response: requests.Response) -> int | None:
    """The first byte of a partial answer."""
    match = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(match[1]) if match else None


@contextmanager
def _explained() -> Iterator[None]:
    """Say what went wrong in words, and whether it may go better a moment later."""
    try:
        yield
    except requests.exceptions.SSLError as error:
        hint = "name your firewall's certificates in REQUESTS_CA_BUNDLE"
        raise Refused(f"its certificate is not trusted; {hint}") from error
    except requests.exceptions.ProxyError as error:
        raise Broken("the proxy does not answer; see HTTPS_PROXY") from error
    except (requests.Timeout, requests.ConnectionError) as error:
        slow = "timed out" in str(error)
        reason = f"no answer for {TIMEOUT:g} s" if slow else "cannot be reached, or was cut"
        raise Broken(reason) from error
    except requests.exceptions.ChunkedEncodingError as error:
        raise Broken("incomplete: the connection was cut") from error
    except requests.RequestException as error:
        raise Refused(str(error)) from error


ROUNDS = 4
"""How often all addresses are asked without one new byte before the download is given up."""

PAUSE = 0.5
"""Seconds before the second round; each further pause is twice as long."""

_TICK = 0.05
"""Seconds between two looks at cancel during a pause."""


pooch.get_logger().setLevel("WARNING")  # Progress is reported; pooch need not print it, too.


def download(
    entry: Entry,
    folder: Path,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """The model's file in `folder`, fetched from the first of its addresses that gives it.

    A file that is there already and has the right hash is not fetched again. What a cut
    connection or a cancelled download left is gone on with, from whichever address.

    Raises
    ------
    WeightsError
        No address gave a file with the registered SHA-256, or the folder cannot hold it; the
        message says what each address answered.
    Cancelled
        `cancel` was raised; a later call goes on.
    """
    from napari_atomseg.networks.card import WeightsError

    message = f"downloading {entry.name}"
    downloader = ResumingDownloader(
        folder / entry.partial,
        entry.size,
        lambda done: report(progress, cancel, done, entry.size, message),
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _from_any(entry, folder, downloader, cancel)
    except (Refused, Broken, Unfit) as error:
        raise WeightsError(
            f"model {entry.name!r} could not be downloaded ({error}); fetch {entry.file} by any "
            f"other way and import it, or put it into {folder}"
        ) from error
    except OSError as error:
        raise WeightsError(
            f"model {entry.name!r} could not be written to {folder} ({error})"
        ) from error


def _from_any(
    entry: Entry, folder: Path, downloader: ResumingDownloader, cancel: CancelToken | None
) -> Path:
    """Ask one address after the other, and again those whose connection failed."""
    answers: dict[str, str] = {}
    urls, stalled = list(entry.urls), 0
    while urls and stalled < ROUNDS:
        if stalled:
            _wait(PAUSE * 2 ** (stalled - 1), cancel)
        before = downloader.held
        for url in tuple(urls):
            try:
                return _from_one(url, entry, folder, downloader)
            except Broken as error:
                answers[url] = str(error)
            except (Refused, Unfit) as error:
                answers[url] = str(error)
                urls.remove(url)
        stalled = 0 if downloader.held > before else stalled + 1
    raise Refused("; ".join(f"{url}: {said}" for url, said in answers.items()) or "no address")


def _from_one(url: str, entry: Entry, folder: Path, downloader: ResumingDownloader) -> Path:
    """Fetch from one address; from the start if what was gone on with turns out to be wrong."""
    present = folder / entry.file
    if present.is_file() and sha256(present) == entry.sha256:
        return present
    try:
        return _verified(url, entry, folder, downloader)
    except Unfit:
        if not downloader.resumed:
            raise
        return _verified(url, entry, folder, downloader)


def _verified(url: str, entry: Entry, folder: Path, downloader: ResumingDownloader) -> Path:
    try:
        return Path(
            pooch.retrieve(
                url,
                known_hash=f"sha256:{entry.sha256}",
                fname=entry.file,
                path=folder,
                downloader=downloader,
            )
        )
    except ValueError as error:
        raise Unfit("its bytes are not those of the model (wrong SHA-256 hash)") from error


def _wait(seconds: float, cancel: CancelToken | None) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if cancel is not None:
            cancel.raise_if_cancelled()
        time.sleep(min(left, _TICK))
