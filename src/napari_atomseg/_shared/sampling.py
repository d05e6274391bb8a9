"""The sampling of an image as it is given; without numpy, for the help of the command line."""

from __future__ import annotations

Sampling = float | tuple[float, float]
"""Å per pixel: one number for square pixels, (dy, dx) for others."""


def read_sampling(value: object) -> Sampling:
    """Sampling that is given as one or two numbers, or as a text with them: "0.1", "0.2 0.1".

    Raises
    ------
    ValueError
        It is not one or two positive numbers.
    """
    from napari_atomseg._shared.units import pixel_size

    given: object = value.replace(",", " ").split() if isinstance(value, str) else value
    dy, dx = pixel_size(given)  # type: ignore[call-overload]
    return dy if dy == dx else (dy, dx)
