"""Results of stacks that are not in memory: in memory where they are small, else in a Zarr."""

from __future__ import annotations

import re
import shutil
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import psutil

from napari_atomseg._napari.layers import is_lazy
from napari_atomseg._shared.types import Sampling
from napari_atomseg.inference.settings import ADVANCED
from napari_atomseg.io.images.contents import LARGE
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import Settings, setting

_SPARE = 0.05
"""Part of a disk that stays free."""
_USABLE = 0.8
"""Part of the memory that is free which may be used."""


class StoreSettings(Settings):
    """Where large results are."""

    store: Path | None = setting(
        None,
        "Large results in",
        f"Results of stacks that are not in memory are kept in this folder, as OME-Zarr, if they "
        f"have more than {LARGE // 2**20} MB; without one, in a temporary folder that is removed "
        "when napari is closed.",
        none="temporary folder",
        section=ADVANCED,
    )


def computed(
    lazy: Any,
    name: str,
    folder: Path | None,
    sampling: Sampling | None,
    record: dict[str, Any],
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Any:
    """Return a stack that was computed frame by frame: in memory, or lazily from a Zarr.

    Parameters
    ----------
    lazy : array of dask (..., H, W).
    name : of the Zarr, where the stack has more than `LARGE` bytes.
    folder : for it; None for a temporary one.
    sampling, record : Å per pixel, and how the stack was made, for the Zarr.

    Raises
    ------
    ValueError
        There is no room for it; a sentence for the user.
    OSError
        It cannot be written; nothing is left of it.
    Cancelled
        `cancel` was raised; nothing is left of it.
    """
    if lazy.nbytes <= LARGE:
        made = np.empty(lazy.shape, lazy.dtype)
        count = int(np.prod(lazy.shape[:-2], dtype=np.int64))
        for number, place in enumerate(np.ndindex(lazy.shape[:-2])):
            report(progress, cancel, number, count, f"Frame {number + 1} of {count}")
            made[place] = lazy[place].compute(scheduler="synchronous")
        return made
    from napari_atomseg.io.images.image import MicroscopeImage
    from napari_atomseg.io.images.layout import PROVENANCE
    from napari_atomseg.io.images.ome_zarr import read_zarr, write_zarr
    from napari_atomseg.io.images.write import resampled

    within = Path(_temporary().name) if folder is None else folder
    require_room(lazy, within)
    path = unused(within, name)
    axes = (*(f"axis {number}" for number in range(lazy.ndim - 2)), "y", "x")
    scales = ((None, None),) * lazy.ndim
    image = MicroscopeImage(
        lazy, None, axes, title=name, scales=scales, metadata={PROVENANCE: record}
    )
    write_zarr(path, resampled(image, sampling), progress, cancel)
    return read_zarr(path)[0].data


def require_room(lazy: Any, folder: Path) -> None:
    """Raise ValueError where a stack has no room in a folder."""
    disk = shutil.disk_usage(folder)
    if lazy.nbytes > disk.free - _SPARE * disk.total:
        raise ValueError(
            f"the result has {size_of(lazy)}, and {folder} {gigabytes(disk.free)} free: choose "
            "another folder under Advanced, or work on the one frame that is shown"
        )


def require_memory(data: Any, needed: int, what: str) -> None:
    """Raise ValueError where a lazy stack that must be in memory as a whole does not fit there.

    Parameters
    ----------
    needed : bytes for each pixel.
    what : is done, for the sentence: "aligning".
    """
    if not is_lazy(data):
        return
    bytes_needed = int(np.prod(data.shape, dtype=np.int64)) * needed
    free = psutil.virtual_memory().available
    if bytes_needed > _USABLE * free:
        raise ValueError(
            f"{what} needs all frames in memory: {' × '.join(map(str, data.shape))} pixels take "
            f"{gigabytes(bytes_needed)}, and {gigabytes(free)} are free; take fewer frames, or a "
            "part of each"
        )


@lru_cache(maxsize=1)
def _temporary() -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="napari-atomseg-")


def unused(folder: Path, name: str) -> Path:
    """Return the path of a Zarr that is not there yet, named after a layer."""
    stem = re.sub(r"[^\w .,()-]+", "_", name).strip(" .") or "result"
    path, number = folder / f"{stem}.zarr", 1
    while path.exists():
        number += 1
        path = folder / f"{stem} {number}.zarr"
    return path


def size_of(data: Any) -> str:
    """Return the shape and size of an array in words."""
    return f"{' × '.join(map(str, data.shape))} pixels, {gigabytes(data.nbytes)}"


def gigabytes(size: float) -> str:
    """Return a number of bytes in words."""
    return f"{size / 1e9:.1f} GB"
