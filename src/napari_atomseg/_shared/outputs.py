"""What results may be written to: neither what is read, nor each other, nor anything but files."""

from __future__ import annotations

import stat
from collections.abc import Iterable
from pathlib import Path

_FOLDERS = (".zarr",)
"""Suffixes of results that are folders; those who write them know which ones they may replace."""


def check_outputs(
    outputs: Iterable[str | Path | None], inputs: Iterable[str | Path | None] = ()
) -> None:
    """Refuse results, before anything is computed, that could not or must not be written.

    Parameters
    ----------
    outputs : files that will be written; None stands for none.
    inputs : files and folders that are read.

    Raises
    ------
    ValueError
        Two results would be one file, or a result one of the inputs, under whatever name.
    OSError
        A result would replace a folder or a device, or its folder is a file.
    """
    read = {_place(Path(each)): each for each in inputs if each is not None}
    written: dict[object, str | Path] = {}
    for output in (Path(each) for each in outputs if each is not None):
        check_file(output)
        place = _place(output)
        if place in read:
            raise ValueError(f"the result would overwrite {output}, which is read")
        if place in written:
            raise ValueError(f"several results would be written to {output}")
        written[place] = output


def check_file(path: Path) -> None:
    """Refuse to write what is no regular file, such as a device or a folder.

    Raises
    ------
    OSError
        Something else has this name, or what should be its folder is a file.
    """
    try:
        kind = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(kind) and path.suffix.lower() in _FOLDERS:
        return
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(f"{path}: this is a folder; name a file for the result")
    if not stat.S_ISREG(kind):
        raise OSError(f"{path}: this is no regular file; name another one for the result")


def _place(path: Path) -> object:
    """What tells files apart: the file itself where it exists, else where it would be."""
    path = path.resolve()
    try:
        found = path.stat()
    except OSError:
        return path
    return found.st_dev, found.st_ino
