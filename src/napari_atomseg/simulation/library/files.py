"""Files of a library: there whole or not at all, and known by their SHA-256."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from napari_atomseg._shared.files import sha256, whole_file
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.library.layout import LibraryError

_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, data: bytes) -> str:
    """Write a file under another name, rename it, and return the SHA-256 of its bytes."""
    if not path.parent.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as partial:
        partial.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def read_checked(path: Path, wanted: str | None) -> bytes:
    """The bytes of a file, which must have the SHA-256 that is wanted of them, if any."""
    data = path.read_bytes()
    if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
        raise LibraryError(f"{path}: damaged (its SHA-256 is not the one in the library)")
    return data


def format_sums(sums: Mapping[str, str]) -> bytes:
    """Sums in the format of the command `sha256sum`, in the order of the names."""
    return "".join(f"{sums[name]}  {name}\n" for name in sorted(sums)).encode()


def read_sums(path: Path) -> dict[str, str]:
    """SHA-256 by file, relative to the folder of `path`.

    Raises
    ------
    LibraryError
        The file is no text.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise LibraryError(f"{path}: damaged (not a list of checksums)") from error
    return {name: digest for digest, _, name in (line.partition("  ") for line in lines)}


def check_sums(
    folder: Path,
    sums: Mapping[str, str],
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> None:
    """Compare every file with its sum.

    Raises
    ------
    LibraryError
        Files are missing or damaged; the message names the first ones.
    """
    bad = []
    for done, (name, digest) in enumerate(sums.items()):
        report(progress, cancel, done, len(sums), "verifying")
        path = folder / name
        if not path.is_file():
            bad.append(f"{name} is missing")
        elif sha256(path) != digest:
            bad.append(f"{name} is damaged")
    if bad:
        more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
        raise LibraryError(f"{folder}: {', '.join(bad[:3])}{more}")


@contextmanager
def explained_full_disk(folder: Path, advice: str) -> Iterator[None]:
    """Say in plain words that the disk is full, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise OSError(error.errno, f"the disk is full; {advice}", str(folder)) from error
