"""Lossless text encoding of tables, for formats without types: one word for each value."""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.files import plain
from napari_atomseg._shared.plain_json import read_json

RECORD = "napari_atomseg"
"""Name of the entry of a file that holds names, types and provenance."""

_MISSING, _EMPTY = "?", "%"


def numbers(column: pd.Series) -> NDArray[Any] | None:
    """Numbers or truth values of a column, missing integers as NaN; None for a column of text."""
    if column.dtype.kind not in "biuf":
        return None
    if isinstance(column.dtype, np.dtype) or not column.hasnans:
        return column.to_numpy()
    return column.to_numpy(float, na_value=np.nan)


def words(column: pd.Series) -> list[str]:
    """Each value as one word: shortest exact numbers, percent-encoded text."""
    found = numbers(column)
    if found is not None:
        return [str(value) for value in found.tolist()]
    values: list[Any] = column.tolist()
    return [_MISSING if pd.isna(v) else quote(str(v), safe="+-.") or _EMPTY for v in values]


def record(columns: pd.DataFrame, metadata: Mapping[str, Any]) -> str:
    """Names, types and attributes that `table` needs beside the words, as ASCII JSON."""
    tags = tag_names(columns)
    arrays = [numbers(column) for _, column in columns.items()]
    types = ["text" if each is None else each.dtype.str for each in arrays]
    content = {
        "columns": [
            [tag, str(name), kind] for tag, name, kind in zip(tags, columns, types, strict=True)
        ],
        "attrs": plain({**columns.attrs, **metadata}),
    }
    return json.dumps(content)


def tag_names(columns: pd.DataFrame) -> list[str]:
    """A unique name of letters, digits and underscores for each column."""
    names: list[str] = []
    for name in columns:
        tag = re.sub(r"\W", "_", str(name), flags=re.ASCII) or "_"
        while tag in names:
            tag += "_"
        names.append(tag)
    return names


def table(content: str, values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Rebuild a table from its `record` and the words, or numbers, of each of its tags.

    Raises
    ------
    ValueError, KeyError, TypeError
        The record and the values do not match.
    """
    parsed = read_json(content)
    series = {}
    for tag, name, kind in parsed["columns"]:
        series[name] = _values(list(values[tag]), kind)
    result = pd.DataFrame(series)
    result.attrs = restored(parsed["attrs"])
    return result


def restored(attrs: Mapping[Hashable | None, Any]) -> dict[Hashable | None, Any]:
    """Attributes as before JSON: a sampling of two numbers is a tuple."""
    result = dict(attrs)
    if isinstance(result.get("sampling"), list):
        result["sampling"] = tuple(result["sampling"])
    return result


def _values(found: list[Any], kind: str) -> Any:
    if kind == "text":
        text = [str(value) for value in found]
        return [None if t == _MISSING else "" if t == _EMPTY else unquote(t) for t in text]
    dtype = np.dtype(kind)
    if dtype.kind == "b":
        return np.array([str(value) in ("True", "T") for value in found], dtype)
    convert = float if dtype.kind == "f" else int
    return np.array([convert(value) for value in found], dtype)
