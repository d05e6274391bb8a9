"""MRC files and their relatives: maps, stacks and tomograms of IMOD, movies of Direct Electron."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_atomseg.io.images.contents import Content, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage
from napari_atomseg.io.images.rosetta import rosetta_contents, shortened

SUFFIXES = (".mrc", ".mrcs", ".map", ".st", ".rec", ".ali", ".preali")

_HEADER = 1024
_SIZES, _COUNT, _INTERVALS, _CELL, _SPACE_GROUP, _EXTENDED = 0, 8, 28, 40, 88, 92
_EXTREMES, _VERSION = 76, 108
"""Bytes at which NX, NZ, MX, the cell's edges in Å, the space group, the length of the extended
header, the extreme values and the version of the format stand (Cheng et al., J. Struct. Biol. 192,
146, 2015)."""
_IMOD, _IMOD_FLAGS = b"IMOD", 152
"""Mark of files of IMOD, and the byte at which it and its flags stand; the flag 1 is for signed
bytes."""
_BYTES = {0: 1, 1: 2, 2: 4, 4: 8, 6: 2, 12: 2}
"""Bytes of a number of each mode."""
_VOLUME = 1
"""Space group of a volume; stacks of images have 0."""

_STANDARD = 20140
"""Version of the format since which bytes are signed."""

Order = Literal["<", ">"]


def read_mrc(path: Path) -> list[MicroscopeImage]:
    """The image, stack or volume of an MRC file.

    Pixels are the cell over its intervals (CELLA over MX, MY, MZ), and of unknown size where either
    is not positive: programs that know no scale write zero or a negative number there.
    """
    with path.open("rb") as file:
        header = file.read(_HEADER)
    order = _byte_order(header)
    if order is None and path.suffix.lower() == ".map":  # a map of spectra by JEOL, of that suffix
        return images_of(path, rosetta_contents(path, "jeol"))
    if order is None:
        raise ImageFileError(f"{path}: not an MRC file, or one with a damaged header")
    contents = _contents(path, header, order)
    return images_of(path, [_with_scales(each, header, order) for each in contents])


def _contents(path: Path, header: bytes, order: Order) -> list[Content]:
    """A file as RosettaSciIO reads it, or the whole images of a stack that was cut."""
    options: dict[str, Any] = {"endianness": order} if order == ">" else {}
    columns, rows, count, mode = struct.unpack_from(f"{order}4i", header, _SIZES)
    start = _HEADER + struct.unpack_from(f"{order}i", header, _EXTENDED)[0]
    whole = (path.stat().st_size - start) // (columns * rows * _BYTES.get(mode, 1))
    if not 0 < whole < count:
        return rosetta_contents(path, "mrc", **options)
    with shortened(path, _COUNT, struct.pack(f"{order}i", whole)) as copy:
        contents = rosetta_contents(copy, "mrc", lazy=False, **options)
    note = f"The file was cut: {whole} of {count} images are whole."
    return [{**each, "notes": [note]} for each in contents]


def _byte_order(header: bytes) -> Order | None:
    """Byte order in which the header has sizes and a mode that an MRC file can have."""
    orders: tuple[Order, Order] = ("<", ">")
    for order in orders:
        if len(header) == _HEADER:
            *sizes, mode = struct.unpack_from(f"{order}4i", header, _SIZES)
            if all(0 < size < 2**24 for size in sizes) and 0 <= mode <= 101:
                return order
    return None


def _with_scales(content: Content, header: bytes, order: Order) -> Content:
    original = content.get("original_metadata", {})
    axes = [dict(axis) for axis in content["axes"]]
    data = content["data"]
    if order == ">":
        data = np.asarray(data)
        data = data.view(data.dtype.newbyteorder(">"))
    if data.dtype == np.uint8 and _has_signed_bytes(header, order):
        data = data.view(np.int8)
    if "de_metadata" in original:
        # -1 in the description of a movie stands for an unknown size, which is read as 1.
        scales: list[float | None] = [
            None if axis.get("scale") in (1, -1) and axis.get("units") != "sec" else axis["scale"]
            for axis in axes
        ]
    elif "fei_header" in original and not _is_of_imod(header) and axes[-1].get("scale"):
        scales = [axis.get("scale") for axis in axes]
    else:
        steps = _steps(header, order)
        scales = [None if step is None else step / 10 for step in steps[3 - len(axes) :]]
    volume = struct.unpack_from(f"{order}i", header, _SPACE_GROUP)[0] == _VOLUME
    for axis, scale in zip(axes, scales, strict=True):
        axis["scale"] = scale
        if axis.get("name") == "z":
            axis["name"] = "z" if volume and scale is not None else ""
            axis["units"] = "nm" if volume else None
    notes = [*content.get("notes", ()), *_notes(axes[-2:])]
    return {**content, "data": data, "axes": axes, "notes": notes}


def _is_of_imod(header: bytes) -> bool:
    return header[_IMOD_FLAGS : _IMOD_FLAGS + 4] in (_IMOD, _IMOD[::-1])


def _has_signed_bytes(header: bytes, order: Order) -> bool:
    """Whether the bytes of mode 0 are signed, as the standard has it since 2014.

    IMOD writes unsigned ones if no flag says otherwise; so do programs of before 2014, whose files
    are told by their extreme values.
    """
    if _is_of_imod(header):
        return bool(header[_IMOD_FLAGS + 4 if order == "<" else _IMOD_FLAGS + 7] & 1)
    low, high = struct.unpack_from(f"{order}2f", header, _EXTREMES)
    version = struct.unpack_from(f"{order}i", header, _VERSION)[0]
    return bool(low < 0 or (version >= _STANDARD and not high > np.iinfo(np.int8).max))


def _steps(header: bytes, order: Order) -> list[float | None]:
    """Å between points along z, y and x."""
    intervals: Sequence[int] = struct.unpack_from(f"{order}3i", header, _INTERVALS)
    edges: Sequence[float] = struct.unpack_from(f"{order}3f", header, _CELL)
    return [
        edge / count if count > 0 and edge > 0 and np.isfinite(edge) else None
        for edge, count in zip(reversed(edges), reversed(intervals), strict=True)
    ]


def _notes(axes: Sequence[dict[str, Any]]) -> list[str]:
    steps = [axis.get("scale") for axis in axes if axis.get("units") == "nm"]
    if steps and all(step is not None and np.isclose(step, 0.1, rtol=1e-6) for step in steps):
        return [
            "The pixels are exactly 1 Å, which programs also write where they know no scale: "
            "check it."
        ]
    return []
