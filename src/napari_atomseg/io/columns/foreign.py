"""Text tables of other programs: positions in pixels, units by column, and what was assumed."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.plain_json import read_json
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import angstroms, dimension, mean_sampling, pixel_size
from napari_atomseg.io.columns.positions import (
    ASK_UNIT,
    Positions,
    has_positions,
    locate,
    split_unit,
)
from napari_atomseg.io.columns.sheet import Sheet, read_sheet
from napari_atomseg.io.columns.table import (
    REQUIRED,
    UNITS,
    column_file_error,
    to_pixels,
    with_positions,
)

_LENGTHS = [name for name, unit in UNITS.items() if unit == "px" and name not in REQUIRED]
"""Columns of this package's tables that are in pixels, beside the positions."""

_FEWEST, _CLOSEST = 5, 2.0
"""Columns from which their spacing is judged, and the least one that an image resolves, px."""


def read_foreign(
    path: Path,
    text: str,
    axes: str | Sequence[str] | None = None,
    units: str | None = None,
    sampling: Sampling | None = None,
    origin: float = 0.0,
) -> pd.DataFrame:
    """Read a table that another program wrote, in any common dialect.

    Positions may have a unit each: in their names ("x [nm]", "y_px"), in a line below the names, or
    in a comment "# units: nm". Without any they are in pixels, but for programs known to write
    lengths. Widths and errors of this package's names ("sigma [nm]") become pixels, too.

    Parameters
    ----------
    text : content of the file.
    axes, units, sampling, origin : see `read_columns`.

    Returns
    -------
    ``attrs`` has the entries of comments "# key: value", ``source`` where the program is known,
    and in ``notes`` what the user should know.

    Raises
    ------
    OSError, ValueError
        See `read_columns`.
    """
    try:
        sheet = read_sheet(path, text, lambda names: _recognized(names, axes))
    except csv.Error as error:
        raise column_file_error(path, f"not a table ({error})") from error
    attrs = dict(entry(line) for line in sheet.comments) if sheet.titled else {}
    attrs = {key: value for key, value in attrs.items() if value not in ("", None)}
    in_units = [attrs.pop(key) for key in list(attrs) if key.lower() in ("units", "unit")]
    said = _said(sheet, next(iter(in_units), None))
    places = locate(path, sheet.names, said, axes, units or None)
    table = _numbers(path, sheet, places)
    notes: list[str] = []
    if "sampling" in attrs:
        try:
            pixel_size(attrs["sampling"])
        except ValueError:
            notes.append(f"The sampling {attrs.pop('sampling')!r} in {path.name} was left out.")
    known = attrs.get("sampling", sampling)
    if known is None and set(places.units) != {"px"}:
        raise ValueError(
            f"{path}: {_in_units(places)}; give the sampling, Å per pixel (sampling=, or "
            "--sampling), or choose the image that they belong to"
        )
    table = with_positions(table, places.names, places.units, known, origin)
    table = table[[*REQUIRED, *(name for name in table if name not in REQUIRED)]]
    table = _with_lengths(table, said, places, known, notes)
    table = _with_frames(table, places)
    if "index" not in table:
        table = table.rename(columns={"": "index"})  # a first column that counts the rows
    notes += _doubts(path, table, in_pixels=not places.stated)
    if places.program:
        attrs["source"] = places.program
    if sampling is not None:
        attrs["sampling"] = known
    if notes:
        attrs["notes"] = notes
    table.attrs.update(attrs.items())
    return table


def is_table(path: Path, text: str) -> bool:
    """Whether a text is a table with columns of positions, by their names."""
    try:
        sheet = read_sheet(path, text, has_positions)
    except (OSError, csv.Error):
        return False
    return has_positions(sheet.names) and "vertex-index" not in sheet.names


def entry(line: str) -> tuple[str, Any]:
    """Key and value of a header line "key: value", with the value in JSON or as text."""
    key, _, value = line.partition(":")
    try:
        parsed = read_json(value)
    except ValueError:
        parsed = value.strip()
    if key.strip() == "sampling" and isinstance(parsed, list):
        parsed = tuple(parsed)
    return key.strip(), parsed


def _recognized(names: Sequence[str], axes: str | Sequence[str] | None) -> bool:
    if axes is not None and not isinstance(axes, str):
        return set(axes) <= set(names)
    return has_positions(names)


def _said(sheet: Sheet, comment: Any) -> dict[str, str]:
    """Units by column from the line below the names, or else from a comment."""
    said = {name: unit for name, unit in zip(sheet.names, sheet.units, strict=True) if unit}
    for name, cells in zip(sheet.names, sheet.cells, strict=True):
        if name.lower() in ("unit", "units") and len(set(cells)) == 1 and _usable(cells[0]):
            comment = comment or cells[0]  # Imaris has a column of units
    if isinstance(comment, Mapping):
        return {str(name): str(unit) for name, unit in comment.items() if unit} | said
    if isinstance(comment, str) and _usable(comment):
        return dict.fromkeys(sheet.names, comment) | said
    return said


def _usable(unit: str) -> bool:
    return dimension(unit) in ("length", "pixel")


def _numbers(path: Path, sheet: Sheet, places: Positions) -> pd.DataFrame:
    """The table, its positions being numbers."""
    columns = {name: sheet.values(i) for i, name in enumerate(sheet.names)}
    table = pd.DataFrame(columns, columns=sheet.names)
    if table.empty:
        return table.astype(dict.fromkeys(places.names, float))
    for name in places.names:
        if table[name].dtype.kind not in "if":
            raise column_file_error(
                path,
                f"column {name!r} must be numbers, and holds "
                f"{sheet.strange(sheet.names.index(name))}",
            )
    return table


def _with_lengths(
    table: pd.DataFrame,
    said: Mapping[str, str],
    places: Positions,
    sampling: Sampling | None,
    notes: list[str],
) -> pd.DataFrame:
    """Widths and errors in pixels, and the units of other columns in their names."""
    result = table.copy()
    steps = (None, None) if sampling is None else pixel_size(sampling)
    mean = None if sampling is None else mean_sampling(sampling)
    for name in map(str, table):
        plain, unit = split_unit(name)
        unit = unit or said.get(name)
        if name in REQUIRED or table[name].dtype.kind not in "if":
            continue
        if plain not in _LENGTHS:
            if unit and split_unit(name)[1] is None and dimension(unit) is not None:
                result = result.rename(columns={name: f"{name} [{unit}]"})
            continue
        if unit is None and set(places.units) != {"px"}:
            other = f"{name} (unit not given)"
            notes.append(f"{name} has no unit, while the positions have: it is kept as {other!r}.")
            result = result.rename(columns={name: other})
            continue
        step = steps["yx".index(plain[0])] if plain in ("y_err", "x_err") else mean
        pixels = unit is None or dimension(unit) == "pixel"
        if pixels or (angstroms(unit) is not None and step is not None):
            values = to_pixels(table[name].to_numpy(float), "px" if pixels else str(unit), step)
            if name == plain or plain not in table:
                result = result.rename(columns={name: plain})
                result[plain] = values
    return result


def _with_frames(table: pd.DataFrame, places: Positions) -> pd.DataFrame:
    """Frames counted from 0 in ``frame``; none where a known program wrote of one image."""
    if not places.frame or places.frame not in table:
        return table
    values = table[places.frame].to_numpy()
    if values.dtype.kind not in "if" or not np.all(np.isfinite(values)):
        return table
    frames = np.rint(values).astype(np.int64) - places.first
    if not np.array_equal(frames + places.first, values) or np.any(frames < 0):
        return table
    left = table.drop(columns=places.frame)
    return left if not frames.any() else left.assign(frame=frames)


def _in_units(places: Positions) -> str:
    y, x = (split_unit(name)[0] for name in places.names)
    if places.units[0] == places.units[1]:
        return f"{y} and {x} are in {places.units[0]}"
    return f"{y} is in {places.units[0]} and {x} in {places.units[1]}"


def _doubts(path: Path, table: pd.DataFrame, in_pixels: bool) -> list[str]:
    """What the user should know of the positions, a sentence each.

    Parameters
    ----------
    in_pixels : whether positions were taken for pixels without the file or the user saying so.
    """
    points = table[list(REQUIRED)].to_numpy(float)
    missing = int((~np.isfinite(points)).any(axis=1).sum())
    notes = []
    if missing:
        rows = "1 row has" if missing == 1 else f"{missing} rows have"
        notes.append(f"{path.name}: {rows} no position, of {len(table)}.")
    if not in_pixels or len(points) < _FEWEST:
        return notes
    frames = table["frame"].to_numpy() if "frame" in table else np.zeros(len(points))
    spacing = median_spacing(*(points[frames == each] for each in np.unique(frames)))
    if 0 < spacing < _CLOSEST:
        notes.append(
            f"{path.name}: columns would be {spacing:.2g} px apart, closer than an image can show. "
            f"Where positions are not in pixels, give {ASK_UNIT}."
        )
    return notes
