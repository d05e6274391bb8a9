"""Vectors between columns of two sublattices: the vector pair correlation of a crystal.

Each vector between two sites of the lattice has a distribution of its own over the image, whose
mean, width and shape tell shifts of the sublattices and their disorder.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import SiteIndex, assigned, checked_sublattices
from napari_atomseg.analysis.lattice.spacings import seen_angle

REACH = 1.05
"""Of the longer side of the cell, up to which vectors are taken."""
BOND = ["from", "to", "di", "dj"]
"""What makes one bond of the crystal."""
FINEST = 3.0
"""Bins of a density within the narrowest spread of a bond."""
MOST_BINS = 801
"""Bins of a density along each axis."""
AROUND = 6.0
"""Spreads of the widest bond about the outermost one that a density shows."""


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


@dataclass(frozen=True)
class BondDensity:
    """Density of projected vectors between columns: the vector pair correlation.

    Attributes
    ----------
    values : (H, W) vectors a column of the first sublattice and Å² (or px²); rows run down as y,
        columns to the right as x. Its sum times `step`² is the number of vectors a column, but for
        what lies outside.
    y, x : (H,) and (W,) middles of the bins, Å (or px).
    step : side of a bin, Å (or px).
    width : standard deviation of the Gaussian by which it was smoothed, Å (or px).
    columns : of the first sublattice, from which vectors start.
    """

    values: Array
    y: Array
    x: Array
    step: float
    width: float
    columns: int

    def table(self) -> pd.DataFrame:
        """A row a bin that is not empty: ``vector_y``, ``vector_x``, ``density``."""
        rows, cols = np.nonzero(self.values > 1e-6 * self.values.max(initial=0.0))
        return pd.DataFrame(
            {
                "vector_y": self.y[rows],
                "vector_x": self.x[cols],
                "density": self.values[rows, cols],
            }
        )


def bond_density(
    vectors: pd.DataFrame, *, step: float | None = None, width: float | None = None
) -> BondDensity:
    """Estimate the two-dimensional density of bond vectors.

    Vectors are counted in square bins and smoothed by a Gaussian. Every pair of columns counts; the
    vectors of one bond pile up about its mean, as wide as they vary, and two states of a bond, as
    of domains, are two maxima. Vectors are not weighted by their errors.

    Parameters
    ----------
    vectors : as `bond_vectors` gives them.
    step : side of a bin, Å (or px); None takes a third of the narrowest bond's spread, but for
        many bins.
    width : of the Gaussian; None takes Scott's rule, the spread of a bond times n^(-1/6) of its n
        vectors (Scott, Multivariate Density Estimation, Wiley 1992), of the narrowest, but not less
        than a bin.

    Raises
    ------
    ValueError
        There are no vectors, or `step` or `width` is not positive.
    """
    if vectors.empty:
        raise ValueError("there are no vectors")
    points = vectors[["vector_y", "vector_x"]].to_numpy()
    groups = [g[["vector_y", "vector_x"]].to_numpy() for _, g in vectors.groupby(BOND)]
    spreads = np.array([_spread(group) for group in groups])
    counts = np.array([len(group) for group in groups])
    known = spreads > 0
    typical = float(np.median(np.hypot(*points.T)))
    narrow = float(spreads[known].min()) if known.any() else 0.01 * typical
    smooth = width
    if smooth is None:
        rule = spreads[known] * counts[known] ** (-1.0 / 6.0)
        smooth = float(rule.min()) if known.any() else narrow
    margin = AROUND * max(float(spreads.max(initial=0.0)), narrow, smooth)
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    side = step
    if side is None:
        side = max(narrow / FINEST, float((high - low).max()) / MOST_BINS)
    # What is narrower than a bin would look as uneven as the bins.
    smooth = max(smooth, side) if width is None else smooth
    for name, value in (("step", side), ("width", smooth)):
        if not value > 0:
            raise ValueError(f"{name}={value!r} must be positive")
    # Bins are those of whole steps from zero, so that densities of two images are alike.
    first, last = np.floor(low / side).astype(int), np.ceil(high / side).astype(int)
    shape = last - first + 1
    if shape.max() > 10 * MOST_BINS:
        raise ValueError(f"step={side!r} makes {shape.max()} bins; take a larger one")
    index = np.round(points / side).astype(int) - first
    values = np.zeros(shape)
    np.add.at(values, (index[:, 0], index[:, 1]), 1.0)
    columns = int(vectors["column"].nunique())
    values = gaussian_filter(values, smooth / side, mode="constant", truncate=6.0)
    return BondDensity(
        values / (columns * side**2),
        side * np.arange(first[0], last[0] + 1),
        side * np.arange(first[1], last[1] + 1),
        side,
        smooth,
        columns,
    )


def _spread(vectors: Array) -> float:
    """Robust standard deviation of vectors (N, 2) along the axis along which it is smaller."""
    away = np.abs(vectors - np.median(vectors, axis=0))
    return float(1.4826 * np.median(away, axis=0).min())


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
