"""Files that are written whole or not at all, their SHA-256, and the provenance of results."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from glob import escape
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from filelock import FileLock, Timeout

from napari_atomseg._shared.outputs import check_file

_IN_USE: set[Path] = set()
"""Partial files and folders that this process is writing, and folders that it moved aside."""

_WRITER = re.compile(r"\.(\d{1,10})-\w+\.(?:partial|old)$")
"""The process that writes a partial file, in the name of the file."""
_MOST_VALUES = 4_000_000
"""Values of a stack up to which its digest is that of all."""


@cache
def package_version() -> str:
    """Version of the installed package."""
    return metadata.version("napari-atomseg")


def release_of(version: str) -> tuple[int, ...]:
    """Numbers of the release that a version belongs to.

    Those of 0.3, 0.3.0, 0.3.0rc1 and 0.3.0.dev5+g1a2b3c4 are (0, 3): commits on the way to a
    release belong to it. () where the version has no number.
    """
    found = re.match(r"\d+(\.\d+)*", version)
    numbers = [int(number) for number in found[0].split(".")] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def provenance(
    action: str,
    source: str,
    settings: Mapping[str, Any],
    *,
    model: str = "",
    sha256: str = "",
    inputs: Mapping[str, Any] | None = None,
    result: Any = None,
) -> dict[str, Any]:
    """Provenance of one result, in values that JSON can hold.

    Parameters
    ----------
    action : "simulate", "restore", "segment" or "localize".
    source : name of the image or crystal that the result was made from.
    settings : all settings needed to repeat it.
    model, sha256 : name of the trained network and hash of its file, where one was used.
    inputs : what it was made from, as `io.inputs` describes it: "of", and "on" for the image of a
        measurement of columns.
    result : array of which the record has the `digest`, so that later changes are known.
    """
    record: dict[str, Any] = {
        "package": "napari-atomseg",
        "version": package_version(),
        "versions": _versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "action": action,
        "source": source,
        "settings": {name: plain(value) for name, value in settings.items()},
    }
    if model:
        record |= {"model": model, "sha256": sha256}
    if inputs:
        record["inputs"] = plain(inputs)
    return record | ({} if result is None else {"result": digest(result)})


@cache
def _versions() -> dict[str, str]:
    """Versions of the packages that make the numbers."""
    return {name: metadata.version(name) for name in ("numpy", "scipy", "torch")}


def digest(data: Any) -> str:
    """SHA-256 of the shape, the type and the values of an array.

    Of large stacks only the middle image is taken, and of a very large image every second or third
    row and so on, so that this takes a tenth of a second at most, also of lazy data.
    """
    values = data
    if data.ndim > 2 and np.prod(data.shape, dtype=float) > _MOST_VALUES:
        values = data[tuple(size // 2 for size in data.shape[:-2])]
    step = -(-int(np.prod(values.shape, dtype=float)) // (4 * _MOST_VALUES))
    values = np.asarray(values[:: max(step, 1)])
    values = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    known = hashlib.sha256(f"{tuple(map(int, data.shape))} {values.dtype.name}".encode())
    known.update(values.tobytes())
    return known.hexdigest()


def plain(value: Any) -> Any:
    """`value` in the types of JSON: arrays become lists, paths and other objects strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist())
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value.as_posix() if isinstance(value, Path) else value)


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path that replaces `path` if the block succeeds, and is removed if not.

    Each call has a path of its own: of several at once, the last one to succeed stays.

    Raises
    ------
    OSError
        The file cannot be written, for example because the disk is full, or `path` is no regular
        file. The message names `path`, which is left unchanged.
    """
    path = Path(path)
    check_file(path)
    partial = _beside(path, "partial")
    _IN_USE.add(partial)
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        # The system names the partial file or none; the user knows only `path`.
        if error.errno is None or not (error.filename is None or _is(error.filename, partial)):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
        _IN_USE.discard(partial)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A temporary folder that replaces `path` if the block succeeds, and is removed if not.

    Raises
    ------
    OSError
        The folder cannot be written; what was at `path` is left unchanged.
    """
    path = Path(path)
    remove_partial(path)
    partial, old = _beside(path, "partial"), _beside(path, "old")
    _IN_USE.update((partial, old))
    try:
        partial.mkdir()
        yield partial
        if path.exists():
            path.replace(old)
        try:
            partial.replace(path)
        except OSError:
            if old.exists():
                old.replace(path)
            raise
    except OSError as error:
        if error.errno is None or not _is(error.filename, partial):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        _remove(partial)
        # The older folder may be all there is, where it could not be moved back.
        if path.exists():
            _remove(old)
        _IN_USE.difference_update((partial, old))


def _is(name: object, path: Path) -> bool:
    """Whether an error names this path; some libraries make names absolute."""
    return isinstance(name, (str, os.PathLike)) and Path(name).absolute() == path.absolute()


def remove_partial(path: Path) -> None:
    """Remove what processes left that were killed while they wrote a file or a folder.

    What processes that are alive write stays. A folder that was moved aside for one that did not
    come any more is there again.
    """
    for left in _abandoned(path.parent.glob(f".{escape(path.name)}.*.old")):
        if not path.exists():
            left.replace(path)
        _remove(left)
    _remove_left(path.parent.glob(f".{escape(path.name)}.*.partial"))


def remove_partials(folder: Path, *, below: bool = False) -> None:
    """Remove what killed processes left of all files that they wrote in a folder.

    Parameters
    ----------
    below : also in the folders in it, and what Zarr left, whose names tell no process: for folders
        of which this process is the `only_writer`.
    """
    _remove_left(folder.rglob("*.partial") if below else folder.glob(".*.partial"))


def _remove_left(found: Iterable[Path]) -> None:
    for left in _abandoned(found):
        _remove(left)


def _abandoned(found: Iterable[Path]) -> Iterator[Path]:
    """Those files and folders whose process has ended."""
    for left in found:
        named = _WRITER.search(left.name)
        writer = 0 if named is None else int(named.group(1))
        alive = left in _IN_USE if writer == os.getpid() else writer and psutil.pid_exists(writer)
        if not alive:
            yield left


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def only_writer(lock: Path, result: Path) -> Iterator[None]:
    """While the block runs, no other call has this lock, in this process or another one.

    Parameters
    ----------
    lock : a file that is made for it, and removed.
    result : what is written, for the message.

    Raises
    ------
    OSError
        Another one has it, or the file cannot be made.
    """
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout as error:
        raise OSError(
            f"{result}: another process is writing it; wait until it has ended"
        ) from error
    except NotImplementedError:  # a file system without locks
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes it when it is released
            lock.unlink()
        held.release()


def _beside(path: Path, kind: str) -> Path:
    """A hidden name beside `path` that tells its process, and that no other call has."""
    return path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.{kind}")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
