"""Images as text: a line for each row, as ImageJ, Gwyddion and spreadsheets write them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.io.images.contents import Axis, images_of
from napari_atomseg.io.images.image import ImageFileError, MicroscopeImage

SUFFIXES = (".txt", ".asc", ".dat", ".csv", ".tsv")

_SMALLEST = 8
"""Fewer rows or columns of numbers are a table."""
_HEADER = 100
"""Lines before the numbers, at most."""
_EXTENT = re.compile(
    r"^\W*(width|height)\s*[:=]\s*([-+.\d]+(?:e[-+]?\d+)?)\s*(\S+)\s*$", re.IGNORECASE
)
_ENCODINGS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}


def read_text_image(path: Path) -> list[MicroscopeImage]:
    """Rows of numbers, between which stand tabs, semicolons, commas or blanks.

    Commas in numbers are decimal where something else stands between them. Gwyddion's header
    (``# Width: 5 nm``) gives the size of the pixels.
    """
    content = path.read_bytes()
    encoding = _ENCODINGS.get(content[:2]) or _ENCODINGS.get(content[:3]) or "latin-1"
    lines = [line.strip("\r\0") for line in content.decode(encoding).split("\n")]
    lines = [line for line in lines if line.strip()]
    start = next((n for n, line in enumerate(lines[:_HEADER]) if _row(line) is not None), None)
    rows = [] if start is None else [_row(line) for line in lines[start:]]
    lengths = {0 if row is None else len(row) for row in rows}
    if len(lengths) != 1 or min(len(rows), *lengths) < _SMALLEST:
        raise ImageFileError(
            f"{path}: no image as text, which is {_SMALLEST} rows or more of equally many numbers"
        )
    data = np.array(rows)
    return images_of(path, [{"data": data, "axes": _axes(lines[:start], data.shape)}])


def _row(line: str) -> Array | None:
    """Numbers of a line; None where it has other things."""
    for separator in ("\t", ";"):
        if separator in line:
            parts = line.strip().rstrip(separator).replace(",", ".").split(separator)
            break
    else:
        parts = line.strip().rstrip(",").split("," if "," in line else None)
    try:
        return np.array([float(part) for part in parts])
    except ValueError:
        return None


def _axes(header: list[str], shape: tuple[int, ...]) -> list[Axis]:
    """Steps of rows and columns, by the extents in the header."""
    extents = {
        found[1].lower(): (float(found[2]), found[3])
        for line in header
        if (found := _EXTENT.match(line))
    }
    if set(extents) != {"width", "height"}:
        return []
    return [
        {"scale": extents[name][0] / count, "units": extents[name][1]}
        for name, count in zip(("height", "width"), shape, strict=True)
    ]
