"""Libraries of samples on disk: written here, or published as TEM ImageNet v1.3 is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import sha256
from napari_atomseg._shared.types import Image
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.library.download import download_library
from napari_atomseg.simulation.library.files import check_sums, read_sums
from napari_atomseg.simulation.library.folders import FolderStore
from napari_atomseg.simulation.library.layout import (
    HEADER,
    INDEX,
    SUMS,
    Header,
    LibraryError,
    LibrarySample,
    put_together,
    read_params,
)
from napari_atomseg.simulation.library.write import write_library
from napari_atomseg.simulation.library.zarr_store import ZarrStore

__all__ = [
    "Library",
    "LibraryError",
    "LibrarySample",
    "download_library",
    "open_library",
    "select_samples",
    "write_library",
]

Bounds = tuple[float | None, float | None]
"""Lowest and highest value wanted; None where there is no bound."""


class Library:
    """The samples of a library, read when asked for.

    Attributes
    ----------
    folder : folder of the library.
    header : how it was made, None for a public library.
    table : a row a sample: name, material, zone_axis ("u v w"), field_of_view (Å, along a row),
        sampling (Å/px), energy (eV), dose (electrons in a pixel where the signal is 1), psnr and
        snr (dB), columns (their number). What a library does not say is missing.
    """

    def __init__(
        self, folder: Path, header: Header | None, table: pd.DataFrame, store: Any
    ) -> None:
        self.folder, self.header, self.table, self._store = folder, header, table, store

    def __len__(self) -> int:
        return len(self.table)

    def __getitem__(self, number: int) -> LibrarySample:
        return self.sample(number)

    def __iter__(self) -> Iterator[LibrarySample]:
        return (self.sample(number) for number in range(len(self)))

    def sample(self, number: int) -> LibrarySample:
        """Sample by its row in the table.

        Raises
        ------
        IndexError
            There is no such row.
        LibraryError
            A file of the sample is missing or damaged; the message names it.
        """
        return put_together(self._store.read(*self._at(number)))

    def image(self, number: int) -> Image:
        """(H, W) float32 image of a sample, without the rest of it."""
        image: Image = self._store.image(*self._at(number))
        return image

    def picture(self, number: int, name: str) -> Image | None:
        """One picture of a sample by its target's name, without the rest; None if there is none."""
        picture: Image | None = self._store.picture(*self._at(number), name)
        return picture

    def verify(self, progress: Progress | None = None, cancel: CancelToken | None = None) -> None:
        """Compare every file with its checksum.

        Raises
        ------
        LibraryError
            Files are missing or damaged, or the library has no checksums (public ones have none).
        """
        if self.header is None:
            raise LibraryError(f"{self.folder}: has no checksums ({SUMS})")
        check_sums(self.folder, self._sums, progress, cancel)

    @cached_property
    def _sums(self) -> dict[str, str]:
        return read_sums(self.folder / SUMS)

    def _at(self, number: int) -> tuple[int, str]:
        count = len(self)
        if not -count <= number < count:
            raise IndexError(f"sample {number}: the library has {count}")
        return number % count, str(self.table["name"].iloc[number])


def open_library(
    folder: str | Path,
    *,
    verify: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Library:
    """Open a library of either layout, or a public TEM ImageNet v1.3 folder.

    Public folders may have any of their subfolders, but need `image`, and pictures of any common
    suffix. Their positions count from 1, as the authors' program did; here they count from 0. The
    index of a library of ours is verified when it is opened, files in folders when they are read,
    chunks of a store likewise.

    Parameters
    ----------
    folder : folder of the library, or one that holds nothing but it, as unpacked archives do.
    verify : whether to compare every file with its checksum now.

    Raises
    ------
    LibraryError
        It is no library, an unfinished one, or damaged.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LibraryError(f"{folder}: no such folder")
    folder = _home(folder)
    library = (
        _open_own(folder) if (folder / HEADER).is_file() else _open_public(folder, progress, cancel)
    )
    if verify:
        library.verify(progress, cancel)
    return library


def select_samples(
    table: pd.DataFrame,
    *,
    material: str = "",
    zone_axis: str = "",
    field_of_view: Bounds = (None, None),
    dose: Bounds = (None, None),
    psnr: Bounds = (None, None),
) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Rows of a library's table that meet all conditions.

    Parameters
    ----------
    material : part of its name, in any case.
    zone_axis : indices, as "1 1 0", "110" or "[1 -1 0]".
    field_of_view : bounds in Å along a row.
    dose : bounds in electrons a pixel where the signal is 1.
    psnr : bounds in dB.

    Returns
    -------
    (N,) numbers of rows, ascending. Rows that lack what is asked for are left out.
    """
    keep = np.ones(len(table), dtype=bool)
    if material:
        keep &= _words(table, "material").str.contains(material, case=False, regex=False).to_numpy()
    if zone_axis:
        wanted = _compact(zone_axis)
        keep &= np.array([_compact(axis) == wanted for axis in _words(table, "zone_axis")], bool)
    for name, (low, high) in (("field_of_view", field_of_view), ("dose", dose), ("psnr", psnr)):
        numbers = _numbers(table, name)
        # A millionth wider: a field of 20 Å is 19.999999… in floating point.
        if low is not None:
            keep &= numbers >= low - 1e-6 * abs(low)
        if high is not None:
            keep &= numbers <= high + 1e-6 * abs(high)
    return np.flatnonzero(keep)


def _compact(axis: str) -> str:
    return "".join(each for each in axis if each in "-.0123456789")


def _words(table: pd.DataFrame, name: str) -> pd.Series[str]:
    if name not in table:
        return pd.Series([""] * len(table), dtype=str)
    return table[name].fillna("").astype(str)


def _numbers(table: pd.DataFrame, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    if name not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float)


def _home(folder: Path) -> Path:
    """The folder itself, or the only one in it that is a library."""
    if is_library(folder):
        return folder
    inside = [each for each in folder.iterdir() if each.is_dir() and is_library(each)]
    if len(inside) == 1:
        return inside[0]
    raise LibraryError(
        f"{folder}: no library; one has a file {HEADER}, or a folder 'image' as TEM ImageNet has"
    )


def is_library(folder: Path) -> bool:
    """Whether a folder is a library itself: of ours, or with the folders of TEM ImageNet v1.3."""
    return (folder / HEADER).is_file() or any(
        each.name.lower() == "image" and each.is_dir() for each in folder.iterdir()
    )


def _open_own(folder: Path) -> Library:
    header = Header.of(folder / HEADER)
    if not (folder / SUMS).is_file():
        raise LibraryError(
            f"{folder}: an unfinished library of {header.count} samples; "
            "write it again with the same settings and it goes on where it stopped"
        )
    sums = read_sums(folder / SUMS)
    for name in (HEADER, INDEX):
        if not (folder / name).is_file() or sha256(folder / name) != sums.get(name):
            raise LibraryError(f"{folder / name}: missing or damaged")
    table = pd.read_csv(
        folder / INDEX, dtype={"name": str, "material": str, "zone_axis": str}, na_values=[""]
    )
    table = table.fillna({"material": "", "zone_axis": ""})
    store = ZarrStore(folder, sums) if header.layout == "zarr" else FolderStore(folder, sums)
    return Library(folder, header, table, store)


def _open_public(folder: Path, progress: Progress | None, cancel: CancelToken | None) -> Library:
    store = FolderStore(folder, {})
    names = store.names()
    if not names:
        raise LibraryError(f"{folder}: its folder 'image' holds no pictures")
    rows = []
    for done, name in enumerate(names):
        if done % 64 == 0:
            report(progress, cancel, done, len(names), f"reading {folder.name}")
        params = read_params(store.params(name))
        params.pop("params", None)
        rows.append({"name": name} | params)
    report(progress, cancel, len(names), len(names), f"read {folder.name}")
    return Library(folder, None, pd.DataFrame(rows), store)
