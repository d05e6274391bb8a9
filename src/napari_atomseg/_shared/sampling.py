"""The sampling of an image as it is given; without numpy, for the help of the command line."""

from __future__ import annotations

import re

Sampling = float | tuple[float, float]
"""Å per pixel: one number for square pixels, (dy, dx) for others."""


def read_sampling(value: object) -> Sampling:
    """Sampling that is given as one or two numbers, or as a text with them: "0.1", "0.2 0.1".

    A comma may divide two numbers, as in "0.2,0.1", but not where it may be a decimal comma.

    Raises
    ------
    ValueError
        It is not one or two positive numbers, or a text such as "1,5" that may be one or two.
    """
    from napari_atomseg._shared.units import pixel_size

    if isinstance(value, str) and re.fullmatch(r"\s*\d+,\d+\s*", value):
        number, two = value.strip().replace(",", "."), value.strip().replace(",", " ")
        raise ValueError(f"{value.strip()!r} may be one number or two: write {number} or '{two}'")
    given: object = value.replace(",", " ").split() if isinstance(value, str) else value
    dy, dx = pixel_size(given)  # type: ignore[call-overload]
    return dy if dy == dx else (dy, dx)
