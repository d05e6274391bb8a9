"""Download a library: a ZIP archive, unpacked with care."""

from __future__ import annotations

import errno
import hashlib
import shutil
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from napari_atomseg._shared.download import DownloadError, download
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.library.files import explained_full_disk
from napari_atomseg.simulation.library.layout import LibraryError

_RATIO = 100.0
"""How many times larger than its archive a library may be; pictures hardly shrink."""
_HERE = ("localhost", "127.0.0.1", "::1")
_ADVICE = "free some room and download the library again"


def download_library(
    url: str,
    folder: str | Path,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    sha256: str | None = None,
) -> Path:
    """Download a library as a ZIP archive and unpack it into a folder of its own.

    What arrived before the connection was cut, or before the user cancelled, stays in `folder` as
    a hidden file ``.NAME.KEY.partial``; the next call continues it where the server allows that.

    Parameters
    ----------
    url : address (https; http only of this machine, or where `sha256` is given) of the archive,
        such as https://github.com/xinhuolin/TEM-ImageNet-v1.3/archive/refs/heads/master.zip
    folder : where the library's folder is to be made.
    sha256 : checksum of the archive; None: not checked.

    Returns
    -------
    The library's folder, for `open_library`.

    Raises
    ------
    ValueError
        The address is not one of the web, or what it gives could be changed on the way.
    FileExistsError
        There is a folder of that name.
    ConnectionError
        The address did not give the archive.
    LibraryError
        The file is no ZIP archive, or one that would write outside its folder or far more than it
        has itself.
    Cancelled
        `cancel` was raised.
    """
    url = url.strip()
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.netloc:
        raise ValueError(f"url={url!r} must begin with https://")
    if address.scheme == "http" and sha256 is None and address.hostname not in _HERE:
        raise ValueError(f"url={url!r}: use https://, or give the archive's SHA-256")
    name = PurePosixPath(unquote(address.path)).name or address.netloc
    folder = Path(folder)
    key = sha256 or hashlib.sha256(url.encode()).hexdigest()
    with explained_full_disk(folder, _ADVICE):
        archive = folder / f".{name}.{key[:12]}"
        try:
            download(
                [url],
                archive,
                sha256=sha256,
                partial=archive.with_name(f"{archive.name}.partial"),
                message=f"downloading {name}",
                progress=_in_kilobytes(progress),
                cancel=cancel,
            )
        except DownloadError as error:
            raise ConnectionError(
                f"{url}: could not be downloaded ({error.answers[url]})"
            ) from error
        try:
            return _unpacked(archive, url, name, folder, progress, cancel)
        finally:
            archive.unlink(missing_ok=True)


def _in_kilobytes(progress: Progress | None) -> Progress | None:
    """Progress in kB: progress bars of 32 bits hold no more than 2 GB in bytes."""
    if progress is None:
        return None
    return lambda done, total, message: progress(done // 1024, total // 1024, message)


def _unpacked(
    archive: Path,
    url: str,
    name: str,
    folder: Path,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Path:
    """The library's folder, made of an archive."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking-") as temporary:
        unpacked = Path(temporary) / "unpacked"
        _unpack(archive, url, unpacked, progress, cancel)
        library, name = _inmost(unpacked, name.removesuffix(".zip"))
        home = folder / name
        if home.exists():
            raise FileExistsError(f"{home}: is there already; open it, or move it away")
        library.rename(home)
    return home


def _unpack(
    archive: Path, url: str, folder: Path, progress: Progress | None, cancel: CancelToken | None
) -> None:
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            for member in members:
                if not _stays_inside(member.filename):
                    raise LibraryError(f"{url}: unsafe archive, it holds {member.filename!r}")
            needed, held = sum(member.file_size for member in members), archive.stat().st_size
            if needed > _RATIO * max(held, 2**20):
                raise LibraryError(
                    f"{url}: not unpacked, its {held / 1e6:.0f} MB would become "
                    f"{needed / 1e9:.1f} GB"
                )
            if needed > shutil.disk_usage(archive.parent).free:
                raise OSError(errno.ENOSPC, f"{needed / 1e9:.1f} GB are needed")
            for done, member in enumerate(members):
                report(progress, cancel, done, len(members), f"unpacking {needed / 1e6:.0f} MB")
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
