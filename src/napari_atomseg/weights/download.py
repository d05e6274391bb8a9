"""Fetch a published model from its mirrors, verified by its hash."""

from __future__ import annotations

import time
from pathlib import Path

import pooch

from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.weights.registry import Entry, sha256
from napari_atomseg.weights.resume import Broken, Refused, ResumingDownloader, Unfit

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
