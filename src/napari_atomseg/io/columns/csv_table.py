"""Tables of columns as text: with units, sampling and provenance, or of other programs."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from napari_atomseg._shared.files import plain
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import angstroms
from napari_atomseg.io.columns.table import REQUIRED, column_file_error, unit_of, with_positions

_NAMES = {
    "y": ("y", "row", "rows", "r", "i", "y_px", "ypos", "y_position", "y position", "pos_y", "yc"),
    "x": ("x", "col", "column", "cols", "c", "j", "x_px", "xpos", "x_position", "x position",
          "pos_x", "xc"),
}  # fmt: skip
"""Names of rows and columns in other programs, in lower case, without units in brackets."""

_SEPARATORS = (",", ";", "\t")
_PIXELS = ("", "px", "pixel", "pixels")


def write_table(path: Path, columns: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
    """Write a table with header lines ``# key: value``, values in JSON."""
    units = {name: unit for name in columns if (unit := unit_of(str(name)))}
    header: dict[str, Any] = {"units": units}
    header |= {str(key): value for key, value in columns.attrs.items()} | dict(metadata)
    lines = [
        f"# {key}: {json.dumps(plain(value), ensure_ascii=False)}\n"
        for key, value in header.items()
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
        columns.to_csv(file, index=False, lineterminator="\n")


def read_table(
    path: Path,
    axes: str | Sequence[str] | None = None,
    units: str | None = None,
    sampling: Sampling | None = None,
    origin: float = 0.0,
) -> pd.DataFrame:
    """Read a table of `write_table` or of another program.

    Header lines become ``attrs``, ``units`` left out. See `columns.read_columns` for the arguments.

    Raises
    ------
    OSError
        The file is not a table of positions; the message names it and what is missing.
    ValueError
        An argument is none of those accepted, or positions in a length have no `sampling`.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except ValueError as error:
        raise column_file_error(path, f"not a table ({error})") from error
    lines = text.split("\n")
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    table, titles = _parsed(path, lines[count:], lines[:count])
    attrs: dict[Hashable | None, Any] = {}
    if not titles:
        attrs.update((key, value) for key, value in map(_entry, lines[:count]) if key != "units")
    ours = set(REQUIRED) <= set(table) and axes is None and units is None and origin == 0.0
    found, unit = (
        (list(REQUIRED), "px") if ours else _places(path, list(map(str, table)), axes, units)
    )
    if table.empty:
        table = table.astype(dict.fromkeys(found, float))
    if not all(pd.api.types.is_numeric_dtype(table[name]) for name in found):
        raise column_file_error(path, f"{found[0]} and {found[1]} must be numbers")
    known = attrs.get("sampling", sampling)
    if not ours or sampling is not None:
        table = with_positions(table, found, unit, known, origin)
    table.attrs = attrs if sampling is None else attrs | {"sampling": known}
    return table


def _parsed(path: Path, body: Sequence[str], header: Sequence[str]) -> tuple[pd.DataFrame, bool]:
    """The table, and whether it has no line of names (they may come from the last comment)."""
    first = next((line for line in body if line.strip()), "")
    separator = max(_SEPARATORS, key=first.count)
    blank = first.count(separator) == 0
    fields = first.split() if blank else next(csv.reader([first], delimiter=separator), [])
    bare = bool(fields) and all(_is_number(field) for field in fields)
    names: list[str] | None = None
    if bare:
        last = header[-1].lstrip("#").strip() if header else ""
        said = last.split() if blank else last.split(separator)
        comment = len(said) == len(fields) and not any(map(_is_number, said))
        names = [s.strip() for s in said] if comment else [str(i) for i in range(len(fields))]
    try:
        table = pd.read_csv(
            io.StringIO("\n".join(body)),
            engine="python",  # parses numbers exactly in every version
            sep=r"\s+" if blank and len(fields) > 1 else separator,
            header=None if bare else 0,
            names=names,
            index_col=False,
            keep_default_na=False,
            na_values=["", "nan", "NaN"] if bare else [""],
        )
    except (ValueError, csv.Error) as error:
        raise column_file_error(path, f"not a table ({error})") from error
    table.columns = [str(name) for name in table.columns]
    return table, bare


def _places(
    path: Path, names: list[str], axes: str | Sequence[str] | None, units: str | None
) -> tuple[list[str], str]:
    """Names of the columns that hold y and x, and the unit of their numbers."""
    if axes in ("yx", "xy"):
        order = [names.index(n) for n in _guessed(names) or names[:2]]
        if len(order) < 2:
            raise column_file_error(path, "not a table of positions; it has one column")
        first, second = (names[i] for i in sorted(order))
        found = [first, second] if axes == "yx" else [second, first]
    elif axes is not None:
        if isinstance(axes, str) or len(axes) != 2:
            raise ValueError(f"axes={axes!r}; give 'yx', 'xy', or the names of the y and x columns")
        found = list(axes)
        missing = [name for name in found if name not in names]
        if missing:
            raise column_file_error(path, f"no column {missing[0]!r}; it has {', '.join(names)}")
    else:
        found = _guessed(names)
        if not found and all(name.isdigit() for name in names):
            raise column_file_error(
                path, "numbers without names; give the order of the first two columns: yx or xy"
            )
        if not found:
            raise column_file_error(path, f"not a table of columns; it lacks {_lacking(names)}")
    said = {_split(name)[1] for name in found}
    unit = units or (said.pop() if len(said) == 1 else "")
    unit = "px" if unit.lower() in _PIXELS else unit
    if unit != "px" and angstroms(unit) is None:
        raise ValueError(f"units={unit!r}; positions are in px or in a length, as Å, nm or pm")
    return found, unit


def _guessed(names: list[str]) -> list[str]:
    """Names of the y and x columns of a table; empty where one is missing."""
    plain_names = [_split(name)[0].lower() for name in names]
    found = []
    for axis in REQUIRED:
        hits = [n for known in _NAMES[axis] for n, p in zip(names, plain_names, strict=True)
                if p == known]  # fmt: skip
        if not hits:
            return []
        found.append(hits[0])
    return found


def _lacking(names: list[str]) -> str:
    return " and ".join(name for name in REQUIRED if name not in names) or "y and x"


def _split(name: str) -> tuple[str, str]:
    """Split a name from the unit in brackets, where there is one: "x [nm]" has "nm"."""
    match = re.fullmatch(r"\s*(.*?)\s*[\[(]([^\])]*)[\])]?\s*", name)
    if match is None:
        return name.strip(), ""
    known = angstroms(match[2]) is not None or match[2].strip().lower() in _PIXELS
    return match[1], match[2].strip() if known else ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _entry(line: str) -> tuple[str, Any]:
    key, _, value = line.lstrip("#").partition(":")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value.strip()
    if key.strip() == "sampling" and isinstance(parsed, list):
        parsed = tuple(parsed)
    return key.strip(), parsed
