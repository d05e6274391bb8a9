"""Tables of columns as text, with units, sampling and provenance."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from napari_atomseg._shared.files import plain, whole_file
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io.columns.foreign import entry, read_foreign
from napari_atomseg.io.columns.positions import locate
from napari_atomseg.io.columns.sheet import decode
from napari_atomseg.io.columns.table import REQUIRED, column_file_error, unit_of, with_positions

_FORMULA, _QUOTE = ("=", "+", "-", "@", "\t", "\r"), "'"
"""What begins a formula in spreadsheets, and what marks a text there."""


def write_csv(path: str | Path, table: pd.DataFrame) -> None:
    """Write a table for spreadsheets and scripts: names, then rows, and no text that is a formula.

    Raises
    ------
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    with whole_file(path) as partial:
        spreadsheet_safe(table).to_csv(partial, index=False)


def write_table(partial: Path, columns: pd.DataFrame, metadata: Mapping[str, Any]) -> None:
    """Write a table with header lines ``# key: value``, values in JSON."""
    units = {name: unit for name in columns if (unit := unit_of(str(name)))}
    header: dict[str, Any] = {"units": units}
    header |= {str(key): value for key, value in columns.attrs.items()} | dict(metadata)
    lines = [
        f"# {key}: {json.dumps(plain(value), ensure_ascii=False)}\n"
        for key, value in header.items()
    ]
    with partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
        spreadsheet_safe(columns).to_csv(file, index=False, lineterminator="\n")


def spreadsheet_safe(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose texts no spreadsheet takes for formulas: those get an apostrophe before them.

    `read_table` takes it away again.
    """
    safe = table.copy()
    for name, column in table.items():
        if not pd.api.types.is_numeric_dtype(column) and column.map(_is_formula).any():
            safe[name] = [_quoted(value) for value in column]
    return safe.rename(columns=_quoted)


def _is_formula(value: object) -> bool:
    return isinstance(value, str) and value.lstrip(_QUOTE)[:1] in _FORMULA and value != ""


def _quoted(value: Any) -> Any:
    return f"{_QUOTE}{value}" if _is_formula(value) else value


def _unquoted(value: Any) -> Any:
    quoted = isinstance(value, str) and value[:1] == _QUOTE and _is_formula(value[1:])
    return value[1:] if quoted else value


def read_table(
    path: Path,
    axes: str | Sequence[str] | None = None,
    units: str | None = None,
    sampling: Sampling | None = None,
    origin: float = 0.0,
) -> pd.DataFrame:
    """Read a table of `write_table`, or else of another program (see `read_foreign`).

    Header lines become ``attrs``, ``units`` left out. See `columns.read_columns` for the arguments.

    Raises
    ------
    OSError
        The file is not a table of positions; the message names it and what is missing.
    ValueError
        An argument is none of those accepted, positions in a length have no `sampling`, or the file
        does not say in which unit they are.
    """
    text = decode(path)
    lines = text.split("\n")
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    attrs: dict[Hashable | None, Any] = dict(entry(line.lstrip("#")) for line in lines[:count])
    in_units = attrs.pop("units", None)
    own = isinstance(in_units, dict) and all(in_units.get(name) == "px" for name in REQUIRED)
    # A spreadsheet may have written it anew with other separators.
    if not own or not set(REQUIRED) <= set(next(csv.reader(lines[count : count + 1]), [])):
        return read_foreign(path, text, axes, units, sampling, origin)
    table = _parsed(path, lines[count:])
    known = attrs.get("sampling", sampling)
    if axes is not None or units or origin != 0.0:
        places = locate(path, list(map(str, table)), {}, axes, units or None)
        table = with_positions(table, places.names, places.units, known, origin)
    elif sampling is not None:
        table = with_positions(table, REQUIRED, "px", known)
    table.attrs = attrs if sampling is None else attrs | {"sampling": known}
    return table


def _parsed(path: Path, body: Sequence[str]) -> pd.DataFrame:
    """The table below the header lines of this package."""
    try:
        table = pd.read_csv(
            io.StringIO("\n".join(body)),
            engine="python",  # parses numbers exactly in every version
            index_col=False,
            keep_default_na=False,
            na_values=[""],
        )
    except (ValueError, csv.Error) as error:
        raise column_file_error(path, f"not a table ({error})") from error
    table.columns = [_unquoted(str(name)) for name in table.columns]
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            table[name] = table[name].map(_unquoted)
    for name in REQUIRED:
        if not table.empty and not pd.api.types.is_numeric_dtype(table[name]):
            raise column_file_error(path, f"column {name!r} must be numbers")
    return table.astype(dict.fromkeys(REQUIRED, float)) if table.empty else table
