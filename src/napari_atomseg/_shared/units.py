"""Units of length, as files write them, in Å."""

from __future__ import annotations

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
    r"""Å in a unit of length; None for any other unit, and for none.

    Micro and ring signs are taken in all their encodings, also written out as ``\u00B5``.
    """
    if not isinstance(unit, str):
        return None
    plain = unit.strip().strip("\0").replace("\u00c5", "å").replace("\u212b", "å").lower()
    for micro in ("\u00b5", "\u03bc", "\\u00b5", "\\u03bc"):
        plain = plain.replace(micro, "u")
    plain = plain.replace("\\u00c5", "å").replace("ångström", "å").replace("metre", "meter")
    return _ANGSTROM.get(plain)


def pixel_size(scale: object, unit: object) -> float | None:
    """Å per pixel of a scale in a unit, or None."""
    factor = angstroms(unit)
    if factor is None or scale is None:
        return None
    return abs(float(scale)) * factor  # type: ignore[arg-type]
