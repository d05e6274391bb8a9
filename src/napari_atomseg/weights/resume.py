"""One request for a file that goes on where an earlier one was cut."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

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
