"""Tables of columns: units by name, positions in pixels, and errors that name the file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from napari_atomseg._shared.types import Array, Sampling
from napari_atomseg._shared.units import angstroms, pixel_size

REQUIRED = ("y", "x")

UNITS = {
    "y": "px",
    "x": "px",
    "y_err": "px",
    "x_err": "px",
    "sigma": "px",
    "sigma_err": "px",
    "radius": "px",
    "amplitude": "intensity",
    "amplitude_err": "intensity",
    "background": "intensity",
    "background_err": "intensity",
    "volume": "intensity px²",
    "volume_err": "intensity px²",
    "angle": "°",
    **dict.fromkeys(("p", "p_y", "p_x", "p_y_err", "p_x_err"), "µC/cm²"),
    **dict.fromkeys(("polarization", "polarization_y", "polarization_x"), "µC/cm²"),
}
"""Units of table columns whose name does not end in one."""

_ENDINGS = {"angstrom": "Å", "pm": "pm", "nm": "nm", "px": "px", "deg": "°", "percent": "%"}


def unit_of(name: str) -> str:
    """Unit of a table column by its name or the ending of the name; "" for pure numbers.

    Examples
    --------
    >>> unit_of("volume"), unit_of("dy_pm"), unit_of("x_angstrom"), unit_of("label")
    ('intensity px²', 'pm', 'Å', '')
    """
    ending = re.search(r"_([a-z]+)(?:_err)?$", name)
    return UNITS.get(name) or (_ENDINGS.get(ending[1], "") if ending else "")


def column_file_error(path: Path, reason: str) -> OSError:
    """Error for a file without columns; the message names it."""
    return OSError(f"{path}: {reason}")


def with_positions(
    table: pd.DataFrame,
    found: Sequence[str],
    unit: str | Sequence[str],
    sampling: Sampling | None,
    origin: float = 0.0,
) -> pd.DataFrame:
    """Put ``y`` and ``x`` in pixels first in a table, and add those in Å where there are none.

    Parameters
    ----------
    found : names of the columns with y and x.
    unit : unit of their numbers, "px" or a length; or of each.
    origin : their value at the centre of the first pixel, in pixels.

    Raises
    ------
    ValueError
        The unit is a length and `sampling` is unknown, or `sampling` is not valid.
    """
    steps = None if sampling is None else pixel_size(sampling)
    units = (unit, unit) if isinstance(unit, str) else tuple(unit)
    if list(found) == list(REQUIRED) and set(units) == {"px"} and origin == 0.0:
        result = table.copy()
    else:
        values = [
            to_pixels(table[name].to_numpy(float), each, step) - origin
            for name, each, step in zip(found, units, steps or (None, None), strict=True)
        ]
        result = table.drop(columns=[*found, *(n for n in REQUIRED if n in table)], errors="ignore")
        result.insert(0, "y", values[0])
        result.insert(1, "x", values[1])
    if steps is not None and not {"y_angstrom", "x_angstrom"} & set(result):
        result["y_angstrom"], result["x_angstrom"] = result["y"] * steps[0], result["x"] * steps[1]
    return result


def to_pixels(values: Array, unit: str, step: float | None) -> Array:
    """Numbers in a unit as pixels.

    Raises
    ------
    ValueError
        The unit is a length, and `step`, Å per pixel, is None; or it is neither length nor pixel.
    """
    if unit == "px":
        return values
    factor = angstroms(unit)
    if factor is None or step is None:
        raise ValueError(f"positions are in {unit}; give the sampling, Å per pixel")
    return values * factor / step
