"""Lengths in Å: units as files write them, and sizes of pixels."""

from __future__ import annotations

from typing import overload

import numpy as np

from napari_atomseg._shared.types import Array, Sampling

_ANGSTROM = {
    "pm": 1e-2,
    "picometer": 1e-2,
    "a": 1.0,
    "å": 1.0,
    "ang": 1.0,
    "angstrom": 1.0,
    "angstroms": 1.0,
    "nm": 10.0,
    "nanometer": 10.0,
    "nanometers": 10.0,
    "um": 1e4,
    "micron": 1e4,
    "microns": 1e4,
    "micrometer": 1e4,
    "mm": 1e7,
    "millimeter": 1e7,
    "cm": 1e8,
    "centimeter": 1e8,
    "inch": 2.54e8,
    "m": 1e10,
    "meter": 1e10,
}


def angstroms(unit: object) -> float | None:
    r"""Å in a unit of length; None for any other unit, and where there is none.

    Micro and ring signs are taken in all their encodings, also written out as ``\u00B5``.
    """
    if not isinstance(unit, str):
        return None
    plain = unit.strip().strip("\0").replace("\u00c5", "å").replace("\u212b", "å").lower()
    for micro in ("\u00b5", "\u03bc", "\\u00b5", "\\u03bc"):
        plain = plain.replace(micro, "u")
    plain = plain.replace("\\u00c5", "å").replace("ångström", "å").replace("metre", "meter")
    return _ANGSTROM.get(plain)


def to_angstrom(length: object, unit: object) -> float | None:
    """A length as files give it, in Å and without sign; None where length or unit is missing."""
    factor = angstroms(unit)
    if factor is None or length is None:
        return None
    return abs(float(length)) * factor  # type: ignore[arg-type]


@overload
def pixel_size(sampling: Sampling) -> tuple[float, float]: ...
@overload
def pixel_size(sampling: None) -> None: ...
@overload
def pixel_size(sampling: Sampling | None) -> tuple[float, float] | None: ...


def pixel_size(sampling: Sampling | None) -> tuple[float, float] | None:
    """(dy, dx) of a pixel in Å; None where the sampling is unknown.

    Raises
    ------
    ValueError
        The sampling is not one or two positive numbers.
    """
    if sampling is None:
        return None
    try:
        values = np.asarray(sampling, dtype=float).ravel()
    except (TypeError, ValueError):
        values = np.zeros(0)
    if values.size not in (1, 2) or not np.all(np.isfinite(values)) or np.any(values <= 0):
        raise ValueError(f"sampling={sampling!r} must be one or two positive numbers, Å a pixel")
    return float(values[0]), float(values[-1])


def pixel_scale(sampling: Sampling | None) -> Array:
    """(2,) factors from pixels (y, x) to Å, or ones where the sampling is unknown.

    Raises
    ------
    ValueError
        The sampling is not one or two positive numbers.
    """
    return np.ones(2) if sampling is None else np.array(pixel_size(sampling))


def mean_sampling(sampling: Sampling) -> float:
    """Å per pixel of the square pixel that has the same area.

    Raises
    ------
    ValueError
        The sampling is not one or two positive numbers.
    """
    dy, dx = pixel_size(sampling)
    return dy if dy == dx else float(np.sqrt(dy * dx))
