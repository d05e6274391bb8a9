"""Zone axes as they are written, with three indices or four, and the side they are seen from."""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import gcd
from numbers import Integral
from typing import Literal

import numpy as np

from napari_atomseg._shared.types import Array

Axis = tuple[int, int, int]
View = Literal["towards", "along"]

HEXAGONAL = 0.02
"""Largest difference of |a| and |b|, relative, and of γ from 120° (radians), of hexagonal axes."""


def read_axis(axis: str | Iterable[int]) -> tuple[int, ...]:
    """Indices of a direction, [uvw] or [uvtw], from a sequence or a text.

    Parameters
    ----------
    axis : as (1, 1, 0), "1 1 0", "[1 0 -1 0]" or "[10-10]". Without spaces or commas between them,
        each index is one digit with its sign.

    Raises
    ------
    ValueError
        These are not three or four whole numbers, all are zero, or the third of four is not
        -(u + v).
    """
    given = axis
    if isinstance(axis, str):
        axis = _indices(axis)
    found = list(axis) if isinstance(axis, Iterable) else []
    if len(found) not in (3, 4) or not all(_is_whole(index) for index in found):
        raise ValueError(
            f"zone_axis={given!r} must be three integers u v w, or four u v t w of a hexagonal "
            "crystal"
        )
    indices = tuple(int(index) for index in found)
    if not any(indices):
        raise ValueError(f"zone_axis={given!r} must not be zero")
    if len(indices) == 4 and sum(indices[:3]) != 0:
        u, v, t, _ = indices
        raise ValueError(
            f"zone_axis={given!r}: the third of four indices must be -(u + v) = {-(u + v)}, not {t}"
        )
    return indices


def three_indices(axis: str | Iterable[int], cell: Array) -> Axis:
    """The smallest integers [uvw] of a direction, in units of the vectors of a crystal's cell.

    Four indices are those of Miller and Bravais, by which directions that the six-fold axis makes
    alike look alike: [uvtw] is [2u + v, u + 2v, w] (Frank, Acta Cryst. 18, 862, 1965).

    Parameters
    ----------
    axis : as for `read_axis`.
    cell : (3, 3) rows are the vectors of the cell, Å.

    Raises
    ------
    ValueError
        As `read_axis`; or there are four indices and the cell has no hexagonal axes.
    """
    indices = read_axis(axis)
    if len(indices) == 4:
        if not is_hexagonal(cell):
            raise ValueError(
                f"zone_axis={axis!r}: four indices need hexagonal axes, |a| = |b| at 120°, which "
                "this crystal's cell does not have; give three"
            )
        u, v, _, w = indices
        indices = (2 * u + v, u + 2 * v, w)
    u, v, w = indices
    divisor = gcd(u, v, w)
    return u // divisor, v // divisor, w // divisor


def is_hexagonal(cell: Array) -> bool:
    """Whether a and b of a cell (3, 3) are alike and 120° apart, and c stands on both."""
    a, b, c = np.asarray(cell, dtype=np.float64)
    lengths = [float(np.linalg.norm(vector)) for vector in (a, b, c)]
    if min(lengths) <= 0:
        return False
    angles = [
        np.arccos(np.clip(first @ second / (p * q), -1.0, 1.0))
        for first, second, p, q in (
            (a, b, lengths[0], lengths[1]),
            (a, c, lengths[0], lengths[2]),
            (b, c, lengths[1], lengths[2]),
        )
    ]
    off = np.abs(np.array(angles) - np.deg2rad([120.0, 90.0, 90.0]))
    return abs(lengths[0] / lengths[1] - 1.0) < HEXAGONAL and bool(off.max() < HEXAGONAL)


def _indices(text: str) -> list[int]:
    bare = text.strip().strip("[]()<>{}").replace("−", "-").strip()
    apart = re.split(r"[\s,;]+", bare)
    parts = apart if len(apart) > 1 else re.findall(r"[-+]?\d", bare)
    if "".join(parts) != "".join(apart):
        return []
    return [int(part) for part in parts if re.fullmatch(r"[-+]?\d+", part)]


def _is_whole(index: object) -> bool:
    if isinstance(index, bool):
        return False
    if isinstance(index, Integral):
        return True
    return isinstance(index, float) and index.is_integer()
