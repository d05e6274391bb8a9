"""Units as files write them, read by pint; lengths in Å, and sizes of pixels."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from napari_atomseg._shared.types import Array, Sampling

if TYPE_CHECKING:
    import pint

Dimension = Literal["length", "reciprocal", "angle", "time", "energy", "pixel", "none"]
"""What an axis counts; "none" for numbers without a unit that belongs to an axis."""

_DIMENSIONS: dict[Any, Dimension] = {
    (("[length]", 1),): "length",
    (("[length]", -1),): "reciprocal",
    (("[time]", 1),): "time",
    (("[printing_unit]", 1),): "pixel",
}

_ABSENT = ("", "none", "undefined", "<undefined>", "unknown", "unitless", "a.u.", "-", "?", "n/a")
_SPELLINGS = {
    "a": "angstrom",
    "ang": "angstrom",
    "angs": "angstrom",
    "angström": "angstrom",
    "angströms": "angstrom",
    "ångström": "angstrom",
    "ångströms": "angstrom",
    "ångstrom": "angstrom",
    "ångstroms": "angstrom",
    "angstroem": "angstrom",
    "u": "micrometer",
    "micron": "micrometer",
    "microns": "micrometer",
    "px": "pixel",
    "pix": "pixel",
    "pxl": "pixel",
    "point": "pixel",
    "points": "pixel",
    "pt": "pixel",
    "pts": "pixel",
    "channel": "pixel",
    "channels": "pixel",
    "pixl": "pixel",
    "sec": "second",
    "secs": "second",
    "°": "degree",
    "frames": "count",
    "frame": "count",
}
"""Spellings that pint does not know or takes for other units: "a" is no year, "px" no length."""

_LENGTHS = ("meter", "angstrom", "inch", "bohr")
"""Units of length that microscopes use; printers' points and parsecs are misread names."""

_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")
_PER_PIXEL = re.compile(r"\s*(?:/|per|\bpr)\s*(?:pixels?|px|pix|pts?|points?)\.?$", re.IGNORECASE)
_INVERSE = re.compile(r"^(?:1\s*/\s*|(?:inverse|reciprocal|per)\s+)", re.IGNORECASE)
_POWER = re.compile(r"(?<=[^\W\d])\s*(?:\^|\*\*)?\s*\(?(-?\d)\)?$")
_MOJIBAKE = {"Ã…": "Å", "Â": "", "Îœ": "μ", "Î¼": "μ"}


def parse_unit(text: object) -> pint.Unit | None:
    r"""Unit that a file names; None where it names none, or one that is not known.

    Taken are pint's names and symbols in any case, Å and µ in every encoding (also written out as
    ``\u00B5``), brackets, the ``n_m`` of Berkeley EMD files, ``nm^-1``, ``nm-1``, ``nm⁻¹`` and
    ``1/nm``. A length per pixel is that length, since a scale is always one per pixel.
    """
    plain = _plain(text)
    return None if plain is None else _parsed(plain)


@lru_cache(1024)
def _parsed(plain: str) -> pint.Unit | None:
    inverse = _INVERSE.match(plain)
    plain = _INVERSE.sub("", plain)
    power = _POWER.search(plain)
    exponent = int(power[1]) if power else 1
    unit = _named(plain[: power.start()] if power else plain)
    if unit is None:
        return None
    raised: pint.Unit = unit ** (-exponent if inverse else exponent)
    return raised


def unit_name(text: object) -> str | None:
    """Short symbol of a unit, that pint reads: "nm", "1/nm", "Å"; None where it is not known."""
    unit = parse_unit(text)
    return None if unit is None else f"{unit:~C}"


def is_unknown(text: object) -> bool:
    """Whether a file names a unit, but one that cannot be read."""
    return _plain(text) is not None and parse_unit(text) is None


def dimension(text: object) -> Dimension | None:
    """What a unit measures; None where there is no unit, or one that is not known."""
    unit = parse_unit(text)
    if unit is None:
        return None
    powers = {str(name): power for name, power in unit._units.items()}
    if len(powers) == 1 and set(powers.values()) == {1}:
        (name,) = powers
        if name.endswith(("radian", "degree")):
            return "angle"
        if name.endswith("electron_volt"):
            return "energy"
    return _DIMENSIONS.get(tuple(dict(unit.dimensionality).items()), "none")


def angstroms(unit: object) -> float | None:
    """Å in a unit of length; None for any other unit, and where there is none."""
    if dimension(unit) != "length":
        return None
    parsed = parse_unit(unit)
    return None if parsed is None else float((1 * parsed).to("angstrom").magnitude)


def to_angstrom(length: object, unit: object) -> float | None:
    """A length as files give it, in Å and without sign; None where length or unit is missing."""
    factor = angstroms(unit)
    if factor is None or length is None:
        return None
    return abs(float(length)) * factor  # type: ignore[arg-type]


def _plain(text: object) -> str | None:
    """The text of a unit without brackets, odd signs and what it is counted by."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    if not isinstance(text, str):
        return None
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), text)
    plain = unicodedata.normalize("NFC", plain.translate(_SUPERSCRIPTS))
    for wrong, right in _MOJIBAKE.items():
        plain = plain.replace(wrong, right)
    plain = plain.replace("\u00b5", "u").replace("\u03bc", "u")
    plain = plain.strip().strip("\0").strip().strip("[](){}'\"").strip()
    plain = _PER_PIXEL.sub("", plain).replace("_", "") or plain
    return None if plain.lower() in _ABSENT else plain


def _named(name: str) -> Any:
    """Unit of a name without powers, in the case in which it is written or else in lower case."""
    name = name.strip().strip("()[]")
    for spelling in dict.fromkeys((name, name.lower())):
        unit = _registered(_SPELLINGS.get(spelling.lower(), spelling))
        if unit is not None:
            return unit
    return None


def _registered(name: str) -> Any:
    import pint  # a second to load, and only some files have units

    if not name.replace(" ", "").isalpha():
        return None
    try:
        unit = pint.get_application_registry().parse_units(name)  # type: ignore[no-untyped-call]
    except Exception:  # pint raises errors of tokenize, of its parser and its own
        return None
    dimensions = dict(unit.dimensionality)
    if dimensions == {"[length]": 1}:
        return unit if all(each.endswith(_LENGTHS) for each in _names(unit)) else None
    axis = len(dimensions) <= 1 or any("electron_volt" in each for each in _names(unit))
    return unit if axis else None


def _names(unit: Any) -> list[str]:
    return [str(name) for name in unit._units]


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
