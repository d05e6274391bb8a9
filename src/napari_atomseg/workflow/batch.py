"""Apply a workflow to many files: one table of results, going on after bad files, resumable."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg._shared.files import only_writer, remove_partials
from napari_atomseg._shared.notices import one_line
from napari_atomseg._shared.types import Sampling
from napari_atomseg.alignment.settings import noise_of
from napari_atomseg.inference.workers import on_worker
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.workflow.images import ImageArray, ImageFile, forget
from napari_atomseg.workflow.run import part_of, run
from napari_atomseg.workflow.saved import (
    FAILED,
    FileResult,
    file_name,
    key_of,
    save,
    saved,
    write_summary,
)
from napari_atomseg.workflow.steps import Workflow

TABLE, WORKFLOW = "results.csv", "workflow.yaml"
"""Files in the folder of results."""
_LOCK = ".lock"
"""File in that folder while a process writes into it."""
_POLL = 0.2
"""Seconds between two looks at the workers."""
_SECONDS, _ROWS = 1.0, 1000
"""Least time between two writings of the table of results, for so many rows at most; of more in
proportion."""

_Image = ImageFile | ImageArray


def run_files(
    workflow: Workflow,
    images: Iterable[str | Path | ImageFile | ImageArray],
    output: str | Path,
    *,
    sampling: Sampling | None = None,
    client: Any = None,
    done: Callable[[FileResult], None] | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[FileResult]:
    """Apply a workflow to image files, or to the frames of stacks.

    Each image has a folder of its name in `output` with the results of every step; the table
    ``results.csv`` has a row an image, those that failed with the reason. A later run does only
    what is missing: images that are new or were changed, failed before, or were done by another
    workflow.

    Parameters
    ----------
    images : files of any kind that `io.read_image` reads; `frames` and `frames_of` make one image
        of each frame of a stack.
    output : folder, made where there is none.
    sampling : Å per pixel of all images, in place of what the files say.
    client : of ``dask.distributed``, over whose workers the images are spread; they read and write
        the same paths. What a worker that dies was working on is done again by another; an image
        at which several die has failed.
    done : called after each image; of those that an earlier run has done, ``kept`` is true.

    Returns
    -------
    A result an image, in their order.

    Raises
    ------
    OSError
        The folder cannot be written, or another process is writing into it.
    ValueError
        There are no images, or one is given twice.
    Cancelled
        `cancel` was set; what is done stays.
    """
    files = [image if isinstance(image, _Image) else ImageFile(Path(image)) for image in images]
    if not files:
        raise ValueError("there are no images")
    folder = Path(output)
    places = _places(files, folder)
    folder.mkdir(parents=True, exist_ok=True)
    pairs = list(zip(files, places, strict=True))
    work = partial(_one, workflow, sampling)
    each_of = _here(work, pairs, progress, cancel)
    if client is not None:
        each_of = _on_workers(work, pairs, client, cancel)
    found: list[FileResult] = []
    written = -math.inf
    with only_writer(folder / _LOCK, folder):
        workflow.save(folder / WORKFLOW)
        remove_partials(folder)
        try:
            for result in each_of:
                found.append(result)
                # The whole table of a long film for each of its frames would take hours.
                if time.monotonic() - written > _SECONDS * max(1.0, len(found) / _ROWS):
                    write_summary(folder / TABLE, found)
                    written = time.monotonic()
                if done is not None:
                    done(result)
                report(progress, cancel, len(found), len(files), Path(result.image).name)
        finally:
            forget()
            if found:
                write_summary(folder / TABLE, found)
    return found


def _here(
    work: Callable[..., FileResult],
    pairs: Sequence[tuple[_Image, Path]],
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Iterator[FileResult]:
    for number, (file, place) in enumerate(pairs):
        hook = partial(part_of, progress, cancel, number, len(pairs), Path(file.label).name)
        hook(0, 1, "")
        yield work(file, place, progress=hook, cancel=cancel)


def _on_workers(
    work: Callable[..., FileResult],
    pairs: Sequence[tuple[_Image, Path]],
    client: Any,
    cancel: CancelToken | None,
) -> Iterator[FileResult]:
    """Results of the workers of a cluster, in the order of the images."""
    futures = [client.submit(on_worker, work, *pair, pure=False) for pair in pairs]
    try:
        for (file, _), future in zip(pairs, futures, strict=True):
            while not future.done():
                if cancel is not None:
                    cancel.raise_if_cancelled()
                time.sleep(_POLL)
            error = future.exception()
            failed = FileResult(file.label, FAILED, "" if error is None else one_line(error))
            yield future.result() if error is None else failed
    finally:
        client.cancel(futures)


def _one(
    workflow: Workflow,
    sampling: Sampling | None,
    file: _Image,
    place: Path,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> FileResult:
    """Apply a workflow to one file, unless that is done; an error becomes the reason."""
    try:
        remove_partials(place)
        key = key_of(workflow, file, sampling)
        before = saved(place, key)
        if before is not None:
            # By the name that it has in this run.
            return replace(before, image=file.label)
        image = file.read()
        _check_pixels(image.data)
        pixel = image.sampling if sampling is None else sampling
        hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
        noise = noise_of(image.metadata.get("provenance", {}))
        results = run(workflow, image.data, sampling=pixel, **noise, **hooks)
        return save(workflow, results, place, file.label, key, image)
    except (ValueError, TypeError, OSError, ImportError, MemoryError, RuntimeError) as error:
        return FileResult(file.label, FAILED, one_line(error))


def _check_pixels(data: Any) -> None:
    """Refuse an image without a number; of lazy data, the middle image stands for all."""
    lazy = hasattr(data, "dask") and data.ndim > 2
    seen = data[tuple(size // 2 for size in data.shape[:-2])] if lazy else data
    if not np.isfinite(np.asarray(seen)).any():
        raise ValueError("no pixel of the image has a number: all are NaN or infinite")


def _places(files: Sequence[_Image], folder: Path) -> list[Path]:
    """A folder of results for each file: its name, with the suffix where two would be one."""
    whole = [str(Path(file.label).absolute()) for file in files]
    twice = next((label for label, count in Counter(whole).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is given twice")
    stems = [file_name(file.stem).lower() for file in files]
    several = Counter(stems)
    names = [
        file_name(file.stem if several[stem] == 1 else Path(file.label).name)
        for file, stem in zip(files, stems, strict=True)
    ]
    first: dict[str, int] = {}
    for place, name in enumerate(map(str.lower, list(names))):
        if first.setdefault(name, place) != place:
            names[place] = f"{names[place]}-{place + 1}"
    return [folder / name for name in names]
