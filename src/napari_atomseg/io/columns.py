"""Tables of columns as CSV with units, sampling and provenance in header lines."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from napari_atomseg.io.atomic import whole_file
from napari_atomseg.io.provenance import plain

UNITS = {
    "y": "px",
    "x": "px",
    "y_err": "px",
    "x_err": "px",
    "sigma": "px",
    "radius": "px",
    "amplitude": "intensity",
    "background": "intensity",
    "volume": "intensity px²",
    "y_angstrom": "Å",
    "x_angstrom": "Å",
}
"""Units of the columns of a table."""

_REQUIRED = ("y", "x")


def write_columns(
    path: str | Path, columns: pd.DataFrame, metadata: Mapping[str, Any] | None = None
) -> None:
    """Write a table of columns; numbers come back from `read_columns` exactly.

    Parameters
    ----------
    columns : table with at least ``y`` and ``x``. Its ``attrs`` (among them ``sampling``, Å per
        pixel) go into header lines ``# key: value``, with values in JSON.
    metadata : further header lines.

    Raises
    ------
    OSError
        The file cannot be written; an existing one stays as it was.
    """
    units = {name: unit for name, unit in UNITS.items() if name in columns}
    header: dict[str, Any] = {"units": units}
    header |= {str(key): value for key, value in columns.attrs.items()} | dict(metadata or {})
    lines = [
        f"# {key}: {json.dumps(plain(value), ensure_ascii=False)}\n"
        for key, value in header.items()
    ]
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(lines)
        columns.to_csv(file, index=False, lineterminator="\n")


def read_columns(path: str | Path) -> pd.DataFrame:
    """Read a table of columns; its header lines come as ``attrs``, ``units`` left out.

    Raises
    ------
    OSError
        The file is missing, or no table with ``y`` and ``x`` of numbers; the message names it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = text.split("\n")
        count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
        table = pd.read_csv(
            io.StringIO("\n".join(lines[count:])),
            engine="python",  # parses numbers exactly in every version
            keep_default_na=False,
            na_values=[""],
        )
    except (ValueError, OSError) as error:
        raise OSError(f"{path}: not a table ({error})") from error
    missing = [name for name in _REQUIRED if name not in table]
    if missing:
        raise OSError(f"{path}: not a table of columns; it lacks {' and '.join(missing)}")
    if table.empty:
        table = table.astype(dict.fromkeys(_REQUIRED, float))
    if not all(pd.api.types.is_numeric_dtype(table[name]) for name in _REQUIRED):
        raise OSError(f"{path}: not a table of columns; y and x must be numbers")
    table.attrs = {key: value for key, value in map(_entry, lines[:count]) if key != "units"}
    return table


def _entry(line: str) -> tuple[str, Any]:
    key, _, value = line.lstrip("#").partition(":")
    try:
        parsed = json.loads(value)
    except ValueError:
        parsed = value.strip()
    if key.strip() == "sampling" and isinstance(parsed, list):
        parsed = tuple(parsed)
    return key.strip(), parsed
