"""Read and write tables of columns, in the formats of this and other programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.notices import warn_caller
from napari_atomseg._shared.objects import plain_sampling
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.io.columns.atoms import (
    THICKNESS,
    Elements,
    columns_to_atoms,
    read_cif,
    read_xyz,
    write_cif,
    write_xyz,
)
from napari_atomseg.io.columns.csv_table import read_table, write_table
from napari_atomseg.io.columns.hdf5 import read_hdf5, write_hdf5
from napari_atomseg.io.columns.statstem import read_statstem
from napari_atomseg.io.columns.table import REQUIRED

HDF5_SUFFIXES = (".hdf5", ".h5", ".hspy")
XYZ_SUFFIXES = (".xyz", ".extxyz")
COLUMN_SUFFIXES = (".csv", ".txt", ".tsv", ".dat", ".mat", *HDF5_SUFFIXES, *XYZ_SUFFIXES, ".cif")
"""Suffixes of files that `read_columns` reads, in lower case; others are read as text."""


def write_columns(
    path: str | Path,
    columns: pd.DataFrame,
    metadata: Mapping[str, Any] | None = None,
    *,
    image: ArrayLike | None = None,
    elements: Elements | None = None,
    shape: tuple[int, int] | None = None,
    thickness: float = THICKNESS,
) -> None:
    """Write a table of columns; `read_columns` restores numbers, units and provenance.

    Parameters
    ----------
    path : the suffix sets the format: extended XYZ (``.xyz``), ``.cif``, HDF5 for Atomap and
        HyperSpy (``.hdf5``, ``.h5``, ``.hspy``), CSV with header lines ``# key: value`` for any
        other.
    columns : table with at least ``y`` and ``x``. Its ``attrs`` (among them ``sampling``, Å per
        pixel) are written, too.
    metadata : further entries beside those of ``attrs``.
    image : (H, W) image of the columns, for HDF5, and for the size of the box.
    elements : symbol of all atoms in XYZ and CIF, or of each value of the column ``elements``,
        ``element``, ``species`` or ``sublattice``; see `columns_to_atoms`.
    shape : (H, W) of the image, for the size of the box in XYZ and CIF.
    thickness : size of that box along the beam, Å.

    Raises
    ------
    OSError
        The file cannot be written; an existing one stays as it was.
    ValueError
        The table lacks positions; or, for XYZ and CIF, the sampling or any column.
    """
    path, metadata = Path(path), dict(metadata or {})
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise ValueError(f"a table of columns needs y and x; it lacks {' and '.join(missing)}")
    suffix = path.suffix.lower()
    if suffix in (*XYZ_SUFFIXES, ".cif"):
        size = np.shape(image) if shape is None and image is not None else shape
        frames = _frames(columns, metadata, elements, size, thickness)
        write = write_cif if suffix == ".cif" else write_xyz
        with whole_file(path) as partial:
            write(partial, frames, metadata)
    elif suffix in HDF5_SUFFIXES:
        with whole_file(path) as partial:
            write_hdf5(partial, columns, metadata, image)
    else:
        with whole_file(path) as partial:
            write_table(partial, columns, metadata)


def read_columns(
    path: str | Path,
    *,
    axes: str | Sequence[str] | None = None,
    units: str | None = None,
    sampling: Sampling | None = None,
    origin: float = 0.0,
) -> pd.DataFrame:
    """Read a table of columns of this package, StatSTEM, Atomap, or any program that writes text.

    Positions are in pixels, with the centre of the first one at 0. Further information of the file
    is in ``attrs``: ``source``, where its program is known; ``notes``, sentences on what was
    assumed or is missing, which are also warnings.

    Parameters
    ----------
    path : ``.mat`` (StatSTEM); ``.hdf5``, ``.h5`` or ``.hspy`` (Atomap or this package); ``.xyz``
        and ``.cif``; text for any other suffix: separated by commas, semicolons, tabs, bars or
        blanks, with a decimal point or comma, in UTF-8, UTF-16 or Latin 1. Comments and other lines
        above the names are left out.
    axes : for text. "yx" or "xy": the order of the rows and columns of the image in the first two
        columns of numbers; or the names of the table's columns with y and with x. By default
        recognized by name, also those of points layers of napari (axis-0, axis-1), TrackMate,
        ThunderSTORM and Fiji.
    units : for text. Unit of the positions: "px", or a length such as "Å", "nm" or "pm"; by default
        that of each column in its name, as in "x [nm]" or "y_px", in a line below the names or in a
        comment "# units: nm", otherwise px. Fiji and TrackMate write lengths where the image is
        calibrated: their tables need it where they do not state it.
    sampling : Å per pixel, one number or (dy, dx), for files without it.
    origin : for text. Coordinate of the centre of the first pixel, in pixels: 1 in MATLAB, 0.5 in
        ImageJ.

    Raises
    ------
    OSError
        The file is missing, damaged, or holds no columns; the message names it.
    ValueError
        An argument is not accepted, the sampling is needed and unknown, or a table does not say in
        which unit it is.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    sampling = plain_sampling(sampling)
    if sampling is not None:
        pixel_size(sampling)
    suffix = path.suffix.lower()
    text = suffix not in (".mat", ".cif", *HDF5_SUFFIXES, *XYZ_SUFFIXES)
    if not text and (axes is not None or units is not None or origin != 0.0):
        raise ValueError(f"axes, units and origin are for text; a {suffix} file has its own")
    if suffix == ".mat":
        return read_statstem(path, sampling)
    if suffix in HDF5_SUFFIXES:
        return read_hdf5(path, sampling)
    if suffix in XYZ_SUFFIXES:
        return read_xyz(path, sampling)
    if suffix == ".cif":
        return read_cif(path)
    table = read_table(path, axes, units, sampling, origin)
    for note in table.attrs.get("notes", ()):
        warn_caller(note)
    return table


def _frames(
    columns: pd.DataFrame,
    metadata: Mapping[str, Any],
    elements: Elements | None,
    shape: tuple[int, int] | None,
    thickness: float,
) -> list[Any]:
    """Each frame's table with its atoms."""
    if columns.empty:
        raise ValueError("there are no columns, and files of atoms cannot be empty")
    sampling = metadata.get("sampling", columns.attrs.get("sampling"))
    parts = [columns]
    if "frame" in columns:
        parts = [part for _, part in columns.groupby("frame", sort=False, dropna=False)]
    for part in parts:
        part.attrs = columns.attrs
    return [
        (
            part,
            columns_to_atoms(part, sampling, elements=elements, shape=shape, thickness=thickness),
        )
        for part in parts
    ]
