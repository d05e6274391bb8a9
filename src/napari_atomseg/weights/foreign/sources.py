"""Files of others' models, read from a folder or from an archive that nobody has looked at.

Nothing is unpacked: of an archive, the bytes of the files that are wanted are read into memory, and
nothing else is kept. So no name in it can lead out of a folder, and no link is followed.
"""

from __future__ import annotations

import gzip
import hashlib
import tarfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path, PurePosixPath
from typing import IO

from napari_atomseg._shared.download import download
from napari_atomseg.networks.card import WeightsError
from napari_atomseg.progress import CancelToken, Progress

MOST_MEMBERS = 10_000
MOST_UNPACKED = 2**29
"""Bytes of an archive, unpacked, after which it is given up; r_em's has 240 MB."""
LARGEST_READ = 2**26
"""Bytes that are read at once; a header of an archive that claims more is damaged."""
ARCHIVES = (".tar.gz", ".tgz", ".tar")


@dataclass(frozen=True)
class Wanted:
    """A file of a public repository.

    Attributes
    ----------
    path : within the repository.
    size, sha256 : of its contents.
    """

    path: str
    size: int
    sha256: str

    def check(self, content: bytes, where: str) -> bytes:
        """The content, if it is that of the published file.

        Raises
        ------
        WeightsError
            It is not.
        """
        self.check_size(len(content), where)
        if hashlib.sha256(content).hexdigest() != self.sha256:
            raise WeightsError(f"{where}: not the published file (wrong SHA-256)")
        return content

    def check_size(self, size: int, where: str) -> None:
        """Refuse a file of another size, before it is read.

        Raises
        ------
        WeightsError
            It has not as many bytes as the published one.
        """
        if size != self.size:
            raise WeightsError(f"{where}: {size} bytes; the published file has {self.size}")


def read_files(
    source: Path, wanted: Sequence[Wanted], cancel: CancelToken | None = None
) -> list[bytes]:
    """Contents of the files, in their order.

    Parameters
    ----------
    source : an archive (.tar.gz) of the repository, its unpacked folder, or any folder between that
        one and the files; a file's name may be that of a copy in which only the last parts of its
        path are left.

    Raises
    ------
    WeightsError
        The source or a file in it is missing, or another than the published one.
    Cancelled
        `cancel` was raised.
    """
    if source.is_dir():
        return [_from_folder(source, file) for file in wanted]
    if not source.is_file():
        raise WeightsError(f"{source}: no such folder or archive")
    if not source.name.lower().endswith(ARCHIVES):
        raise WeightsError(f"{source}: neither a folder nor an archive ({', '.join(ARCHIVES)})")
    return _from_archive(source, wanted, cancel)


def fetch_files(
    base: str,
    wanted: Sequence[Wanted],
    folder: Path,
    message: str,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[bytes]:
    """Download the files from below an address and return their contents.

    They lie in `folder` while they are fetched, so that a download that was cut goes on; then they
    are deleted.

    Raises
    ------
    DownloadError
        They could not be had, or are not the published ones.
    Cancelled
        `cancel` was raised.
    """
    places = [folder / f"{file.sha256[:12]}-{PurePosixPath(file.path).name}" for file in wanted]
    for file, place in zip(wanted, places, strict=True):
        download(
            [f"{base}/{file.path}"],
            place,
            sha256=file.sha256,
            size=file.size,
            message=message,
            progress=progress,
            cancel=cancel,
        )
    contents = [
        file.check(place.read_bytes(), str(place))
        for file, place in zip(wanted, places, strict=True)
    ]
    for place in places:
        place.unlink()
    return contents


def _from_folder(folder: Path, file: Wanted) -> bytes:
    parts = PurePosixPath(file.path).parts
    tails = [Path(*parts[start:]) for start in range(len(parts))]
    # The folder of an unpacked archive holds one folder with its name and version.
    tops = [folder, *sorted(each for each in folder.iterdir() if each.is_dir())]
    for top in tops:
        for tail in tails:
            place = top / tail
            if not place.is_file():
                continue
            if not place.resolve().is_relative_to(folder.resolve()):
                raise WeightsError(f"{place}: a link that leads out of {folder}")
            file.check_size(place.stat().st_size, str(place))
            return file.check(place.read_bytes(), str(place))
    raise WeightsError(f"{folder}: {file.path} is not in it")


def _from_archive(
    source: Path, wanted: Sequence[Wanted], cancel: CancelToken | None
) -> list[bytes]:
    missing = {file.path: file for file in wanted}
    found: dict[str, bytes] = {}
    try:
        with (
            source.open("rb") as raw,
            tarfile.open(fileobj=_limited(source, raw), mode="r:") as archive,
        ):
            for number, member in enumerate(archive):
                if cancel is not None:
                    cancel.raise_if_cancelled()
                if number >= MOST_MEMBERS:
                    raise WeightsError(f"{source}: more than {MOST_MEMBERS} files")
                name = _within(member.name)
                if name not in missing:
                    continue
                file, where = missing.pop(name), f"{source}: {member.name}"
                if not member.isreg():
                    raise WeightsError(f"{where}: not a regular file")
                file.check_size(member.size, where)
                content = archive.extractfile(member)
                found[name] = file.check(b"" if content is None else content.read(), where)
                if not missing:
                    break
    except (tarfile.TarError, EOFError, zlib.error, ValueError) as error:
        raise WeightsError(f"{source}: not an archive, or damaged ({error})") from error
    if missing:
        raise WeightsError(f"{source}: {next(iter(missing))} is not in it")
    return [found[file.path] for file in wanted]


def _within(name: str) -> str:
    """Path of a member within the repository: without the folder that holds all of it."""
    return "/".join(PurePosixPath(name).parts[1:])


def _limited(source: Path, raw: IO[bytes]) -> IO[bytes]:
    """The unpacked bytes of an archive, which end with an error where there are too many."""
    start = raw.read(2)
    raw.seek(0)
    return _Limited(source, raw, packed=start == b"\x1f\x8b")  # type: ignore[return-value]


class _Limited(RawIOBase):
    """A stream, forwards only in effect, of at most `MOST_UNPACKED` bytes."""

    def __init__(self, source: Path, raw: IO[bytes], *, packed: bool) -> None:
        self._source = source
        self._stream: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > LARGEST_READ:
            raise WeightsError(f"{self._source}: damaged, or no archive of models")
        self._check(self._stream.tell() + size)
        return self._stream.read(size)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, offset: int, whence: int = 0) -> int:
        if whence != 0:
            raise WeightsError(f"{self._source}: damaged, or no archive of models")
        self._check(offset)
        return self._stream.seek(offset)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def _check(self, end: int) -> None:
        if end > MOST_UNPACKED:
            raise WeightsError(f"{self._source}: more than {MOST_UNPACKED / 1e6:.0f} MB unpacked")


def total(files: Iterable[Wanted]) -> int:
    """Bytes of files together."""
    return sum(file.size for file in files)
