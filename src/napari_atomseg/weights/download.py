"""Fetch a published model, verified by its hash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pooch

from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.weights.registry import Entry, sha256

TIMEOUT = 30.0
"""Seconds without an answer after which an address is given up."""

CHUNK = 2**16
"""Bytes between two looks at progress and cancel; pooch counts the last one as whole."""


class _Meter:
    """What pooch calls a progress bar; it also stops a download longer than announced."""

    def __init__(self, entry: Entry, progress: Progress | None, cancel: CancelToken | None) -> None:
        self.entry, self.progress, self.cancel = entry, progress, cancel
        self.total: Any = entry.size
        self.done = 0

    def update(self, count: int) -> None:
        self.done += count
        if self.done >= self.entry.size + CHUNK:
            raise ValueError(f"more than the expected {self.entry.size} bytes")
        message = f"downloading {self.entry.name}"
        done = min(self.done, self.entry.size)
        report(self.progress, self.cancel, done, self.entry.size, message)

    def reset(self) -> None:
        """Back to the start: pooch does so before it fills the bar a last time."""
        self.done = 0

    def close(self) -> None:
        """Nothing to close."""


def download(
    entry: Entry,
    folder: Path,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """The model's file in `folder`, fetched from the first of its addresses that gives it.

    A file that is there already and has the right hash is not fetched again, so that it may have
    come by any way; a broken download leaves nothing.

    Raises
    ------
    WeightsError
        No address gave a file with the registered SHA-256; the message says what each answered.
    Cancelled
        `cancel` was raised.
    """
    from napari_atomseg.networks.card import WeightsError

    present = folder / entry.file
    if present.is_file() and sha256(present) == entry.sha256:
        return present
    faults = []
    for url in entry.urls:
        meter = _Meter(entry, progress, cancel)
        try:
            fetched = pooch.retrieve(
                url,
                known_hash=f"sha256:{entry.sha256}",
                fname=entry.file,
                path=folder,
                downloader=pooch.HTTPDownloader(
                    progressbar=meter, chunk_size=CHUNK, timeout=TIMEOUT
                ),
            )
        except (OSError, ValueError) as error:
            faults.append(f"{url}: {error}")
        else:
            return Path(fetched)
    reasons = "; ".join(faults) or "it has no address"
    raise WeightsError(
        f"model {entry.name!r} could not be downloaded ({reasons}); "
        f"you may put {entry.file} into {folder} by hand"
    )
