"""`write_library`: samples of a recipe on disk, block by block, so that a stop costs one block."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context, parent_process
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any, cast, get_args

import pandas as pd

from napari_atomseg import simulation
from napari_atomseg._shared.files import (
    only_writer,
    package_version,
    release_of,
    remove_partials,
    sha256,
)
from napari_atomseg.progress import Cancelled, CancelToken, Progress, report
from napari_atomseg.simulation.library import folders as library_folders
from napari_atomseg.simulation.library import zarr_store as library_zarr
from napari_atomseg.simulation.library.files import explained_full_disk, format_sums, write_whole
from napari_atomseg.simulation.library.kept import is_slow, read_kept, write_kept
from napari_atomseg.simulation.library.layout import (
    BLOCK,
    HEADER,
    INDEX,
    SUMS,
    Header,
    Layout,
    index_row,
    take_apart,
)

_BLOCKS = ".blocks"
"""Folder with the record of every finished block."""
_LOCK = "lock"
"""File in that folder while a process writes the library."""
_POLL = 0.2
"""Seconds between two looks of a worker at its parent."""
_WORTH = 3 * BLOCK
"""Samples for which another process is started, which takes as long as some fifty of them."""
_RESUME = "free some room and run the same again: it goes on where it stopped"

Ticks = Callable[[], None]


@dataclass(frozen=True)
class _Block:
    """A block to make: everything that another process needs."""

    folder: Path
    header: Header
    number: int

    @property
    def indices(self) -> range:
        """Numbers of its samples in the recipe."""
        first = self.number * BLOCK
        last = min(first + BLOCK, self.header.count)
        return range(self.header.start + first, self.header.start + last)

    @property
    def record(self) -> Path:
        """File that is there when the block is."""
        return self.folder / _BLOCKS / f"{self.number:05d}.json"


def write_library(
    out: str | Path,
    recipe: Any,
    count: int,
    *,
    seed: int = 0,
    shape: tuple[int, int] | None = None,
    layout: str = "folders",
    workers: int | None = 1,
    start: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """Write the samples `start` to `start + count` of a recipe as a library.

    A library that was interrupted, by any means, is continued to the same bytes by the same call;
    a finished one grows with a larger `count`.

    Parameters
    ----------
    out : folder of the library, new or empty, or to be continued.
    recipe : whatever `simulation.load_recipe` takes.
    seed : seed of the recipe; sample i is the same in every library of this recipe and seed.
    shape : rows and columns of the images; the recipe's own by default.
    layout : "folders" of TEM ImageNet v1.3 (8-bit pictures), or "zarr" (one store, exact).
    workers : processes at work at the same time; None for one a core, where samples are so many
        that it pays.
    start : number of the first sample.

    Returns
    -------
    The folder, for `open_library`.

    Raises
    ------
    ValueError
        An argument is out of range, or `out` holds another library.
    OSError
        The disk is full or cannot be written, or another process is writing this library; finished
        blocks of samples stay and count.
    Cancelled
        `cancel` was raised; likewise.
    """
    folder, drawn = Path(out), simulation.load_recipe(recipe)
    header = Header(
        version=package_version(),
        layout=_checked_layout(layout),
        recipe=drawn.model_dump(mode="json"),
        seed=seed,
        shape=_checked_shape(drawn.shape if shape is None else shape),
        start=_at_least("start", start, 0),
        count=_at_least("count", count, 1),
    )
    if workers is None:
        workers = max(1, min(_cores(), count // _WORTH))
    _at_least("workers", workers, 1)
    if _holds_others(folder):
        raise ValueError(f"out={str(folder)!r} holds other files: choose a new or empty folder")
    with explained_full_disk(folder, _RESUME), _alone(folder):
        header = _begin(folder, header)
        blocks = [_Block(folder, header, n) for n in range(-(-count // BLOCK))]
        todo = []
        for block in blocks:
            report(None, cancel, 0, count)
            if not _is_done(block):
                todo.append(block)
        done = count - sum(len(block.indices) for block in todo)

        def tick(samples: int) -> None:
            nonlocal done
            done += samples
            report(progress, cancel, done, count, f"writing {folder.name}")

        tick(0)
        if todo and header.layout == "zarr":
            library_zarr.prepare(folder, take_apart(_sample(header, start), start), count)
        _make(todo, workers, tick)
        _finish(folder, header, blocks)
    return folder


def _holds_others(folder: Path) -> bool:
    if (folder / HEADER).is_file() or not folder.exists():
        return False
    # A header that could not be finished, nor removed, is ours.
    begun = set(folder.glob(f".{HEADER}.*.partial"))
    return any(each.name != _BLOCKS for each in folder.iterdir() if each not in begun)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process writes this library meanwhile."""
    place = folder / _BLOCKS
    place.mkdir(parents=True, exist_ok=True)
    with only_writer(place / _LOCK, folder):
        yield


def _begin(folder: Path, header: Header) -> Header:
    """Make the folder's library the one of the header, or say why it cannot be.

    The header returned keeps the version by which the library was begun, which may be another
    commit of the same release.
    """
    present = folder / HEADER
    remove_partials(folder, below=True)
    if present.is_file():
        known = Header.of(present)
        _require_same(folder, known, header)
        header = header.model_copy(update={"version": known.version})
    (folder / SUMS).unlink(missing_ok=True)
    write_whole(present, header.model_dump_json(indent=1).encode() + b"\n")
    return header


def _require_same(folder: Path, known: Header, header: Header) -> None:
    differing = [
        name
        for name in Header.model_fields
        if name not in ("count", "version") and getattr(known, name) != getattr(header, name)
    ]
    if release_of(known.version) != release_of(header.version):
        differing.insert(0, f"version ({known.version}, this is {header.version})")
    if differing:
        raise ValueError(
            f"out={str(folder)!r} holds a library with another {', '.join(differing)}: "
            "choose another folder"
        )
    if known.count > header.count:
        raise ValueError(
            f"count={header.count}: {str(folder)!r} is a library of {known.count} samples, "
            "and libraries only grow"
        )


def _is_done(block: _Block) -> bool:
    """Whether a block is there, whole and undamaged."""
    if not block.record.is_file():
        return False
    try:
        record = json.loads(block.record.read_text(encoding="utf-8"))
        complete = len(record["rows"]) == len(block.indices)
        sums = dict(record["sums"])
    except (ValueError, TypeError, KeyError):
        return False
    files = ((block.folder / file, wanted) for file, wanted in sums.items())
    return complete and all(file.is_file() and sha256(file) == wanted for file, wanted in files)


def _make(blocks: list[_Block], workers: int, tick: Callable[[int], None]) -> None:
    """Make blocks in this process, or in several; `tick` counts samples and may raise."""
    import dask.callbacks

    workers = min(workers, len(blocks))
    if workers <= 1:
        with _one_thread():
            for block in blocks:
                _make_block(block, lambda: tick(1))
        return

    def count_block(key: Any, result: Any, *_: Any) -> None:
        if isinstance(result, Exception):
            raise result
        tick(result)

    untyped: Any = dask
    context = get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _begin_worker, (stop,))
    try:
        with _interrupts_kept():
            for _ in range(workers):
                pool.submit(int)  # starts a process
        with untyped.callbacks.Callback(posttask=count_block):
            tasks = [untyped.delayed(_outcome, pure=False)(block) for block in blocks]
            untyped.compute(
                *tasks, scheduler="processes", pool=pool, num_workers=workers, chunksize=1
            )
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interrupts_kept() -> Iterator[None]:
    """Ctrl-C waits meanwhile, and processes that are started here never get one.

    One that comes while they import would end them before `_begin_worker` can ignore it.
    """
    here = threading.current_thread() is threading.main_thread()
    if not here or not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _outcome(block: _Block) -> int | Exception:
    """How many samples were made, or why none: errors lose what they carry between processes."""
    try:
        _make_block(block, lambda: None)
    except (Exception, Cancelled) as error:
        return error
    return len(block.indices)


def _make_block(block: _Block, tick: Ticks) -> None:
    header, parts, rows = block.header, [], []
    kept = block.folder / _BLOCKS / f"{block.number:05d}"
    slow = is_slow(header.recipe)
    for index in block.indices:
        file = kept / f"{index:05d}.npz"
        known = read_kept(file) if slow else None
        if known is None:
            made = _sample(header, index)
            known = take_apart(made, index), index_row(made, index, header.seed)
            if slow:
                write_kept(file, *known)
        parts.append(known[0])
        rows.append(known[1])
        tick()
    if header.layout == "zarr":
        sums = library_zarr.write_block(block.folder, block.number, parts)
    else:
        sums = library_folders.write_block(block.folder, parts)
    write_whole(block.record, json.dumps({"rows": rows, "sums": sums}).encode())
    shutil.rmtree(kept, ignore_errors=True)


def _sample(header: Header, index: int) -> Any:
    recipe = _recipe(json.dumps(header.recipe))
    return simulation.sample(recipe, index, header.seed, header.shape)


@lru_cache(maxsize=1)
def _recipe(text: str) -> Any:
    return simulation.load_recipe(json.loads(text))


def _finish(folder: Path, header: Header, blocks: list[_Block]) -> None:
    """Write the index and, last of all, the sums, which make the library complete."""
    records = [json.loads(block.record.read_text(encoding="utf-8")) for block in blocks]
    table = pd.DataFrame([row for record in records for row in record["rows"]])
    text = table.to_csv(index=False, lineterminator="\n")
    sums = {name: digest for record in records for name, digest in record["sums"].items()}
    sums[INDEX] = write_whole(folder / INDEX, text.encode())
    sums[HEADER] = sha256(folder / HEADER)
    if header.layout == "zarr":
        sums |= library_zarr.metadata_sums(folder)
    write_whole(folder / SUMS, format_sums(sums))


def _begin_worker(stop: Event) -> None:
    """Prepare a process that makes blocks: it ends with its parent, or when it is asked to.

    Ctrl-C reaches all processes of a terminal; the parent is the one that answers.
    """
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(stop,), daemon=True).start()


def _end_with_parent(stop: Event) -> None:
    parent = parent_process()
    while not stop.wait(_POLL) and (parent is None or parent.is_alive()):
        pass
    # Also in the middle of a sample, which may take minutes; no file is half-written.
    os._exit(1)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread, so that sums are added in the same order in every process."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_least(name: str, value: int, least: int) -> int:
    if value < least:
        raise ValueError(f"{name}={value} must be {least} or more")
    return value


def _checked_layout(layout: str) -> Layout:
    if layout not in get_args(Layout):
        raise ValueError(f"layout={layout!r}; choose one of {', '.join(get_args(Layout))}")
    return cast("Layout", layout)


def _checked_shape(shape: tuple[int, int]) -> tuple[int, int]:
    if len(shape) != 2 or not all(16 <= n <= 4096 for n in shape):
        raise ValueError(f"shape={shape!r} must be two numbers of pixels from 16 to 4096")
    return int(shape[0]), int(shape[1])
