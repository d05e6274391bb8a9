"""Vectors between columns of two sublattices: the vector pair correlation of a crystal.

Each vector between two sites of the lattice has a distribution of its own over the image, whose
mean, width and shape tell shifts of the sublattices and their disorder.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import SiteIndex, assigned, checked_sublattices
from napari_atomseg.analysis.lattice.spacings import seen_angle

REACH = 1.05
"""Of the longer side of the cell, up to which vectors are taken."""
BOND = ["from", "to", "di", "dj"]
"""What makes one bond of the crystal."""


def bond_vectors(
    columns: pd.DataFrame,
    lattice: Lattice,
    first: int = 0,
    second: int | None = None,
    *,
    reach: float | None = None,
) -> pd.DataFrame:
    """Vectors from the columns of one sublattice to those of another one around them.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.
    first, second : sublattices; None takes the next one, or the first itself if there is one only.
        Between the columns of one sublattice, one of two opposite vectors is taken.
    reach : longest vector between sites, Å, or px where the sampling is not known; None takes a
        little more than the longer side of the cell.

    Returns
    -------
    A row a pair of columns: ``from``, ``to`` (sublattices) and ``di``, ``dj`` (cells from the one
    to the other); ``y``, ``x`` of the middle (px); ``vector_y``, ``vector_x`` and ``length`` (Å, or
    px) and their errors ``_err`` by the errors of the positions (NaN without); ``angle_deg`` (from
    the x axis, counter-clockwise as seen); ``column``, ``neighbour`` (row numbers).

    Raises
    ------
    ValueError
        There is no such sublattice, or `reach` is not positive.
    """
    (one,) = checked_sublattices(first, lattice, "first")[:1]
    chosen = min(one + 1, len(lattice) - 1) if second is None else second
    (other,) = checked_sublattices(chosen, lattice, "second")[:1]
    scale = lattice.scale
    sides = np.hypot(*(lattice.vectors * scale).T)
    far = REACH * float(sides.max()) if reach is None else reach
    if not far > 0:
        raise ValueError(f"reach={reach!r} must be positive")
    sites = SiteIndex(assigned(columns, lattice))
    rows = sites.of((one,))
    parts = []
    for step in _steps(lattice, one, other, far):
        end = sites.rows(sites.cells[rows] + step, other)
        start, end = rows[end >= 0], end[end >= 0]
        vector = (sites.points[end] - sites.points[start]) * scale
        variance = (sites.errors[end] ** 2 + sites.errors[start] ** 2) * scale**2
        length = np.hypot(*vector.T)
        middle = 0.5 * (sites.points[end] + sites.points[start])
        parts.append(
            pd.DataFrame(
                {
                    "from": one,
                    "to": other,
                    "di": step[0],
                    "dj": step[1],
                    "y": middle[:, 0],
                    "x": middle[:, 1],
                    "vector_y": vector[:, 0],
                    "vector_x": vector[:, 1],
                    "length": length,
                    "vector_y_err": np.sqrt(variance[:, 0]),
                    "vector_x_err": np.sqrt(variance[:, 1]),
                    "length_err": np.sqrt((vector**2 * variance).sum(axis=1)) / length,
                    "angle_deg": seen_angle(vector),
                    "column": start,
                    "neighbour": end,
                }
            )
        )
    if not parts:
        raise ValueError(f"reach={far:.3g}: no site of sublattice {other} is so near")
    return pd.concat(parts, ignore_index=True)


def bond_distributions(vectors: pd.DataFrame) -> pd.DataFrame:
    """The distribution of each bond of a crystal over an image.

    Parameters
    ----------
    vectors : as `bond_vectors` gives them.

    Returns
    -------
    A row a bond: ``from``, ``to``, ``di``, ``dj``, ``count``; means ``vector_y``, ``vector_x`` with
    standard errors ``_err`` by the scatter; ``length``, that of the mean vector, and ``angle_deg``;
    deviations ``along`` and ``across`` it, and what the errors of the positions make of them,
    ``along_expected`` and ``across_expected`` (NaN without); ``correlation`` of the two parts; and
    ``skewness`` of the part along the bond, far off zero where two states are mixed unevenly.
    """
    rows = []
    for name, group in vectors.groupby(BOND, sort=False):
        steps = group[["vector_y", "vector_x"]].to_numpy()
        errors = group[["vector_y_err", "vector_x_err"]].to_numpy()
        count = len(steps)
        mean = steps.mean(axis=0)
        length = float(np.hypot(*mean))
        way = mean / length if length > 0 else np.array([0.0, 1.0])
        basis = np.array([way, [-way[1], way[0]]])
        parts = (steps - mean) @ basis.T
        spread = parts.std(axis=0, ddof=1) if count > 1 else np.full(2, np.nan)
        expected = np.sqrt(((errors**2) @ (basis**2).T).mean(axis=0))
        scatter = steps.std(axis=0, ddof=1) / np.sqrt(count) if count > 1 else np.full(2, np.nan)
        known = count > 2 and bool((spread > 0).all())
        rows.append(
            {
                **dict(zip(BOND, name, strict=True)),
                "count": count,
                "vector_y": mean[0],
                "vector_x": mean[1],
                "vector_y_err": scatter[0],
                "vector_x_err": scatter[1],
                "length": length,
                "angle_deg": float(seen_angle(mean[None])[0]),
                "along": spread[0],
                "across": spread[1],
                "along_expected": expected[0],
                "across_expected": expected[1],
                "correlation": np.corrcoef(parts.T)[0, 1] if known else np.nan,
                "skewness": ((parts[:, 0] / spread[0]) ** 3).mean() if known else np.nan,
            }
        )
    return pd.DataFrame(rows).sort_values(["length", "angle_deg"], ignore_index=True)


def _steps(lattice: Lattice, one: int, other: int, far: float) -> list[Indices]:
    """Cells from a site of one sublattice to the sites of the other within a distance."""
    reach = int(np.ceil(far / _thickness(lattice))) + 1
    cells = np.array(list(product(range(-reach, reach + 1), repeat=2)), dtype=np.int64)
    offsets = lattice.sites(cells[:, 0], cells[:, 1], other) - lattice.sites(0, 0, one)
    length = np.hypot(*(offsets * lattice.scale).T)
    near = (length <= far) & (length > 1e-6 * lattice.separation)
    if one == other:
        near &= (cells[:, 0] > 0) | ((cells[:, 0] == 0) & (cells[:, 1] > 0))
    order = np.flatnonzero(near)[np.argsort(length[near], kind="stable")]
    return list(cells[order])


def _thickness(lattice: Lattice) -> float:
    """The shorter height of the cell."""
    vectors = lattice.vectors * lattice.scale
    return abs(float(np.linalg.det(vectors))) / float(np.hypot(*vectors.T).max())
