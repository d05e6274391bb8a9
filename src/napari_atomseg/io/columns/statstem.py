"""Columns fitted by StatSTEM, from MATLAB files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.io.columns.table import column_file_error, with_positions
from napari_atomseg.io.matlab import read_variables, save_as_structure

FIRST = 1.0
"""StatSTEM's coordinate of the centre of the first pixel, px: MATLAB counts from 1."""


def read_statstem(path: Path, sampling: Sampling | None = None) -> pd.DataFrame:
    """Columns of StatSTEM: the fitted ones where there are any, otherwise the initial ones.

    StatSTEM stores (x, y) in Å from one pixel before the first one. Its widths rho, heights eta
    and background zeta become ``sigma``, ``amplitude`` and ``background``; ``volume`` follows from
    them, as its scattering cross-sections do (De Backer et al., Ultramicroscopy 171, 104, 2016).
    The type of a column is ``species``, from 1; names of the types are in ``attrs``. Structures are
    read as well as objects of StatSTEM's classes, as its program saves them.

    Raises
    ------
    OSError
        The file is damaged, or has no columns of StatSTEM; the message names it.
    """
    try:
        content = read_variables(path)
    except Exception as error:  # readers of foreign formats raise any exception on a damaged file
        reason = str(error) or type(error).__name__
        raise column_file_error(path, f"damaged, or not a MATLAB file ({reason})") from error
    variables = [content.get("output"), content.get("input"), *content.values(), content]
    places = [each for each in variables if isinstance(each, Mapping)]
    fitted: Mapping[str, Any] = next((p for p in places if _coordinates(p) is not None), {})
    found = _coordinates(fitted)
    if found is None:
        raise column_file_error(path, _without_columns(content))
    if found.ndim != 2 or found.shape[1] not in (2, 3) or found.dtype.kind not in "biuf":
        raise column_file_error(path, f"coordinates of shape {found.shape}; (N, 3) was expected")
    step = next((size for p in places if (size := _number(p, "dx"))), sampling)
    if step is None:
        raise column_file_error(path, "it has no size of a pixel (dx); give the sampling")
    return _table(found.astype(float), fitted, step)


def _table(found: NDArray[Any], fitted: Mapping[str, Any], step: Sampling) -> pd.DataFrame:
    dy, dx = pixel_size(step)
    count, mean = len(found), float(np.sqrt(dy * dx))
    table = pd.DataFrame({"y": found[:, 1], "x": found[:, 0]})
    table = with_positions(table, ("y", "x"), "Å", step, FIRST)
    rho, eta = _vector(fitted, "rho", count), _vector(fitted, "eta", count)
    if rho is not None:
        table["sigma"] = rho / mean
    if eta is not None:
        table["amplitude"] = eta
    zeta = _number(fitted, "zeta")
    if zeta is not None and eta is not None:
        table["background"] = zeta
    if rho is not None and eta is not None:
        table["volume"] = 2 * np.pi * table["sigma"] ** 2 * eta
    if found.shape[1] == 3:
        table["species"] = found[:, 2].astype(np.int64)
    names = np.ravel(np.asarray(fitted.get("types", ()), dtype=object)).tolist()
    table.attrs = {"sampling": step, "source": "StatSTEM"}
    if names and all(isinstance(name, str) for name in names):
        table.attrs["species"] = names
    return table


def _without_columns(content: Mapping[str, Any]) -> str:
    """Why a file has no columns, by the names of its variables."""
    unread = save_as_structure(content)
    if unread:
        return unread
    images = [
        name for name, value in content.items() if isinstance(value, Mapping) and "obs" in value
    ]
    if images:
        return f"{' and '.join(images)} of StatSTEM has an image, but no columns: localize it"
    return f"no columns of StatSTEM; it holds {', '.join(content) or 'nothing'}"


def _coordinates(place: Mapping[str, Any]) -> NDArray[Any] | None:
    for name in ("coordinates", "Coordinates"):
        if name in place and np.size(place[name]):
            return np.atleast_2d(np.asarray(place[name]))
    if "BetaX" in place and "BetaY" in place:
        return np.stack([np.ravel(place["BetaX"]), np.ravel(place["BetaY"])], axis=1)
    return None


def _vector(place: Mapping[str, Any], name: str, count: int) -> NDArray[np.float64] | None:
    """(N,) numbers, a single one repeated; None where their number is another one."""
    if not isinstance(place.get(name), (int, float, np.ndarray, np.number)):
        return None
    values = np.asarray(place[name], dtype=float).ravel()
    if len(values) == 1:
        values = np.repeat(values, count)
    return values if len(values) == count else None


def _number(place: Mapping[str, Any], name: str) -> float | None:
    values = _vector(place, name, 1)
    return float(values[0]) if values is not None and np.isfinite(values[0]) else None
