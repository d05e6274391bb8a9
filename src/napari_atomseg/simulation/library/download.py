"""Fetch a library from an address: a ZIP archive, unpacked with care."""

from __future__ import annotations

import errno
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pooch

from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.library.files import explained_full_disk
from napari_atomseg.simulation.library.layout import LibraryError

TIMEOUT = 30.0
"""Seconds without an answer after which an address is given up."""
_CHUNK = 2**18
"""Bytes between two looks at progress and cancel."""
_ADVICE = "free some room and fetch the library again"


class _Meter:
    """A progress bar as pooch uses it."""

    def __init__(self, name: str, progress: Progress | None, cancel: CancelToken | None) -> None:
        self._message, self._progress, self._cancel = f"downloading {name}", progress, cancel
        self.total: Any = 0
        """Kilobytes hide no download beyond what a progress bar of 32 bits counts."""
        self._done = 0

    def update(self, count: int) -> None:
        self._done += count
        total = int(self.total or 0) // 1024
        done = min(self._done // 1024, total)
        report(self._progress, self._cancel, done, total, self._message)

    def reset(self) -> None:
        """Back to the start: pooch does so before it fills the bar a last time."""
        self._done = 0

    def close(self) -> None:
        """Nothing to close."""


def download_library(
    url: str,
    folder: str | Path,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    sha256: str | None = None,
) -> Path:
    """Fetch a library as a ZIP archive and unpack it into a folder of its own.

    Parameters
    ----------
    url : address (http or https) of the archive, such as
        https://github.com/xinhuolin/TEM-ImageNet-v1.3/archive/refs/heads/master.zip
    folder : where the library's folder is to be made.
    sha256 : checksum of the archive; None: not checked.

    Returns
    -------
    The library's folder, for `open_library`. Nothing is left of a download that failed.

    Raises
    ------
    ValueError
        The address is not one of the web.
    FileExistsError
        There is a folder of that name.
    ConnectionError
        The address did not give the archive.
    LibraryError
        What came is no ZIP archive, or one that would write outside its folder.
    Cancelled
        `cancel` was raised.
    """
    address = urlsplit(url.strip())
    if address.scheme not in ("http", "https") or not address.netloc:
        raise ValueError(f"url={url!r} must begin with https:// or http://")
    name = PurePosixPath(unquote(address.path)).name or address.netloc
    folder = Path(folder)
    with explained_full_disk(folder, _ADVICE):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as temporary:
            archive = _fetch(url.strip(), name, Path(temporary), sha256, progress, cancel)
            unpacked = Path(temporary) / "unpacked"
            _unpack(archive, url, unpacked, progress, cancel)
            library, name = _inmost(unpacked, name.removesuffix(".zip"))
            home = folder / name
            if home.exists():
                raise FileExistsError(f"{home}: is there already; open it, or move it away")
            library.rename(home)
    return home


def _fetch(
    url: str,
    name: str,
    folder: Path,
    sha256: str | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Path:
    meter = _Meter(name, progress, cancel)
    try:
        fetched = pooch.retrieve(
            url,
            known_hash=None if sha256 is None else f"sha256:{sha256}",
            fname="archive.zip",
            path=folder,
            downloader=pooch.HTTPDownloader(progressbar=meter, chunk_size=_CHUNK, timeout=TIMEOUT),
        )
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise ConnectionError(f"{url}: could not be downloaded ({error})") from error
    return Path(fetched)


def _unpack(
    archive: Path, url: str, folder: Path, progress: Progress | None, cancel: CancelToken | None
) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            for member in members:
                if not _stays_inside(member.filename):
                    raise LibraryError(f"{url}: unsafe archive, it holds {member.filename!r}")
            needed = sum(member.file_size for member in members)
            if needed > shutil.disk_usage(archive.parent).free:
                raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed")
            for done, member in enumerate(members):
                report(progress, cancel, done, len(members), "unpacking")
                # ZipFile never makes links: one in the archive becomes a plain file.
                file.extract(member, folder)
    except zipfile.BadZipFile as error:
        raise LibraryError(f"{url}: not a ZIP archive, or a damaged one ({error})") from error
    if not folder.is_dir():
        raise LibraryError(f"{url}: an empty archive")


def _inmost(unpacked: Path, name: str) -> tuple[Path, str]:
    """The folder to keep and its name: the only one in the archive, if it has folders itself."""
    inside = list(unpacked.iterdir())
    if len(inside) == 1 and inside[0].is_dir() and any(f.is_dir() for f in inside[0].iterdir()):
        return inside[0], inside[0].name
    return unpacked, name


def _stays_inside(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return not path.is_absolute() and ".." not in path.parts and ":" not in path.parts[0]
