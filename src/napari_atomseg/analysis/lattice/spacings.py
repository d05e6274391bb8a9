"""Distances between columns, and the precision that their scatter shows."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import PICOMETRES, SiteIndex, assigned
from napari_atomseg.analysis.positions import Positions, positions_of

AXES = ("a", "b")
ENDS = ["column", "neighbour"]
CHAINED = 1.5
"""Variance of a sample variance of spacings in a row, over that of independent ones: neighbouring
spacings share a column, have the correlation -1/2, and add 2 (1/2)² to it."""


def neighbours(
    columns: Positions, sampling: Sampling | None = None, count: int = 1
) -> pd.DataFrame:
    """The nearest neighbours of each column.

    Parameters
    ----------
    columns : table with `y` and `x` (px), or (N, 2).
    sampling : Å a pixel, one number or (dy, dx), or None.
    count : neighbours of each column, nearest first; fewer where there are fewer columns.

    Returns
    -------
    A row a pair: ``column`` and ``neighbour`` (row numbers), ``rank`` from 1, ``distance`` (px),
    ``angle_deg`` (from the x axis, counter-clockwise as the image is seen), and with `sampling`
    ``distance_angstrom``.

    Raises
    ------
    ValueError
        `count` is not positive, or positions are not finite.
    """
    if count < 1:
        raise ValueError(f"count={count!r} must be 1 or more")
    points, unit = positions_of(columns), pixel_scale(sampling)
    if not np.isfinite(points).all():
        raise ValueError("columns must have finite positions")
    found = min(count, max(len(points) - 1, 0))
    start = np.repeat(np.arange(len(points)), found)
    if found:
        near = cKDTree(points * unit).query(points * unit, k=found + 1)[1]
        # A column may come after another one at the same place.
        itself = near == np.arange(len(points))[:, None]
        itself[~itself.any(axis=1), -1] = True
        end = np.asarray(near)[~itself]
    else:
        end = start[:0]
    step = points[end] - points[start]
    table = pd.DataFrame(
        {
            "column": start,
            "neighbour": end,
            "rank": np.tile(np.arange(1, found + 1), len(points)),
            "distance": np.hypot(*step.T),
            "angle_deg": seen_angle(step * unit),
        }
    )
    if sampling is not None:
        table["distance_angstrom"] = np.hypot(*(step * unit).T)
    return table


def spacings(columns: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    """Distances from each column to the next one of its sublattice along a and along b.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.

    Returns
    -------
    A row a pair of columns that both exist: ``axis`` "a" or "b"; ``i``, ``j``, ``sublattice`` of
    the first; ``y``, ``x`` of the middle (px); ``length`` (px) and ``length_err``, of the errors
    of the positions (NaN without); ``angle_deg`` (from the x axis, counter-clockwise as seen);
    ``column`` and ``neighbour`` (row numbers); and where the lattice knows its sampling,
    ``length_angstrom`` and ``length_err_angstrom``.
    """
    sites = SiteIndex(assigned(columns, lattice))
    parts = []
    for axis, step in zip(AXES, np.eye(2, dtype=np.int64), strict=True):
        end = sites.rows(sites.cells[sites.on] + step, sites.sublattice[sites.on])
        start, end = sites.on[end >= 0], end[end >= 0]
        parts.append(_pairs(axis, start, end, sites, lattice))
    return pd.concat(parts, ignore_index=True)


def _pairs(
    axis: str, start: Indices, end: Indices, sites: SiteIndex, lattice: Lattice
) -> pd.DataFrame:
    step = sites.points[end] - sites.points[start]
    variance = sites.errors[end] ** 2 + sites.errors[start] ** 2
    length = np.hypot(*step.T)
    middle = 0.5 * (sites.points[end] + sites.points[start])
    table = pd.DataFrame(
        {
            "axis": axis,
            "i": sites.cells[start, 0],
            "j": sites.cells[start, 1],
            "sublattice": sites.sublattice[start],
            "y": middle[:, 0],
            "x": middle[:, 1],
            "length": length,
            "length_err": np.sqrt((step**2 * variance).sum(axis=1)) / length,
            "angle_deg": seen_angle(step * lattice.scale),
            "column": start,
            "neighbour": end,
        }
    )
    if lattice.pixel is not None:
        step, variance = step * lattice.pixel, variance * lattice.pixel**2
        length = np.hypot(*step.T)
        table["length_angstrom"] = length
        table["length_err_angstrom"] = np.sqrt((step**2 * variance).sum(axis=1)) / length
    return table


def spacing_precision(
    columns: pd.DataFrame, lattice: Lattice, target_pm: float = 1.0
) -> pd.DataFrame:
    """How precise columns are, by the scatter of the spacings a and b (Lin et al. 2021, Fig. 11).

    Columns next to each other share slow distortions of the scan, so that the deviation σ of their
    spacings is that of noise, of fast distortions, and of columns that really stand elsewhere; a
    single column's, along the spacing, is σ/√2. The noise follows from the errors of the positions;
    what is left of σ², in square, is the real part. That of the mean of N frames is σ_n/√N, so that
    (σ_n/target)² frames are needed (Yankovich et al. 2014); the real part of columns stays.

    Parameters
    ----------
    columns, lattice : as for `spacings`; the lattice must know its sampling.
    target_pm : deviation of the mean of the frames that is asked for, pm.

    Returns
    -------
    One row for "a" and one for "b" (the index): ``count`` of spacings; their mean
    ``mean_angstrom`` and its error ``mean_err_angstrom``, of columns that stray independently of
    each other: of spacings in a row, only the first and the last column count; their deviation
    ``deviation_pm`` with its standard error ``deviation_err_pm``; ``robust_pm``, the same by the
    median absolute deviation, which single bad columns do not change; ``expected_pm``, by the
    errors of the positions alone (NaN without); ``real_pm``, what is left of the deviation beside
    it, with its standard error ``real_err_pm`` (both NaN without); ``column_pm`` σ/√2; and
    ``frames`` needed against the noise, or, where positions have no errors, against all of the
    deviation, which is the most that can be needed. A mean is taken for each sublattice on its own.

    Raises
    ------
    ValueError
        The sampling is not known, or `target_pm` is not positive.
    """
    if lattice.pixel is None:
        raise ValueError("the lattice knows no sampling: give find_lattice one, in Å a pixel")
    if not target_pm > 0:
        raise ValueError(f"target_pm={target_pm!r} must be positive")
    table = spacings(columns, lattice)
    rows = [_precision(table[table["axis"] == axis], target_pm) for axis in AXES]
    return pd.DataFrame(rows, index=pd.Index(AXES, name="axis"))


def _precision(table: pd.DataFrame, target_pm: float) -> dict[str, float]:
    length = PICOMETRES * table["length_angstrom"].to_numpy()
    groups = table["sublattice"].to_numpy()
    kinds, group = np.unique(groups, return_inverse=True)
    count, spare = len(length), len(length) - len(kinds)
    means = np.bincount(group, length) / np.maximum(np.bincount(group), 1)
    rest = length - means[group]
    nan = float("nan")
    deviation = float(np.sqrt((rest**2).sum() / spare)) if spare > 0 else nan
    expected = PICOMETRES * np.sqrt(np.mean(table["length_err_angstrom"] ** 2)) if count else nan
    noise = float(expected) if np.isfinite(expected) else deviation
    error = deviation * np.sqrt(CHAINED / (2 * spare)) if spare > 0 else nan
    real, real_err = _rest_of(deviation**2 - expected**2, 2 * deviation * error)
    # A column between two spacings makes one longer by what it makes the other shorter.
    ends = table[ENDS].to_numpy().ravel()
    net = np.bincount(ends, np.tile([-1.0, 1.0], count))
    loose = np.sqrt(0.5 * (net**2).sum())
    return {
        "count": count,
        "mean_angstrom": length.mean() / PICOMETRES if count else nan,
        "mean_err_angstrom": float(deviation * loose / count / PICOMETRES) if count else nan,
        "deviation_pm": deviation,
        "deviation_err_pm": error,
        "robust_pm": 1.4826 * float(np.median(np.abs(rest))) if count else nan,
        "expected_pm": float(expected),
        "real_pm": real,
        "real_err_pm": real_err,
        "column_pm": deviation / np.sqrt(2),
        "frames": frames_needed(noise, target_pm) if spare > 0 else nan,
    }


def _rest_of(square: float, square_err: float) -> tuple[float, float]:
    """Root of a variance and its standard error; 0 where the variance is not positive.

    Near zero it is the variance that has a normal error, and the root is at most that of one error
    more.
    """
    if not np.isfinite(square):
        return float("nan"), float("nan")
    root = float(np.sqrt(max(square, 0.0)))
    return root, float(np.sqrt(max(square + square_err, 0.0))) - root


def frames_needed(deviation_pm: float, target_pm: float = 1.0) -> float:
    """Frames whose mean deviates by `target_pm`, when the noise of one is `deviation_pm`:
    (σ/target)², rounded up (Lin et al. 2021).
    """
    return float(max(1.0, np.ceil((deviation_pm / target_pm) ** 2)))


def seen_angle(vectors: Array) -> Array:
    """(N,) angles of vectors (N, 2) (y, x) from the x axis, counter-clockwise as the image, with y
    down, is seen; degrees in -180..180.
    """
    return np.asarray(np.degrees(np.arctan2(-vectors[:, 0], vectors[:, 1])))
