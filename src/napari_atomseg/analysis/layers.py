"""Quantities of columns averaged over the layers of a crystal, against the distance from one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import intensity_of
from napari_atomseg.analysis.positions import positions_of

FEWEST = 4
"""Layers of fewer columns have no standard error."""
LAGS = 3
"""Neighbours up to so many columns away whose correlation widens the error of a mean."""


def layer_profile(
    columns: pd.DataFrame,
    values: str | Sequence[str],
    lattice: Lattice,
    *,
    along: str = "b",
    interface: int | str | None = None,
) -> pd.DataFrame:
    """Mean and standard error of quantities in each layer of a crystal.

    A layer is a row of columns of one sublattice with the same cell index, so that layers that are
    bent are followed. Distances are those of the layers of the mean lattice.

    Parameters
    ----------
    columns : table with ``i``, ``j``, and ``sublattice`` where it has several, as `assign` or
        `displacements` give it, and the values.
    values : names of the quantities; what is not finite is left out.
    lattice : lattice of the columns.
    along : "a" or "b", the direction in which layers follow each other; they lie along the other.
    interface : index (i or j) of the layer at distance 0; "intensity" takes the middle between the
        two neighbouring layers whose intensities differ most; None the first layer.

    Returns
    -------
    A row a layer, by distance: ``layer`` (cell index), ``sublattice``, ``distance`` (Å, or px
    where the sampling is not known), ``count``, and of each quantity its mean, with the name of the
    quantity, its standard error ``_err`` by the scatter in the layer, and its ``_deviation``.
    Neighbours in a layer need not be independent, as of displacements that share a cage, or in
    domains: their correlation, over all layers, widens the errors.

    Raises
    ------
    ValueError
        A quantity or the sites are missing, or an argument is wrong.
    """
    names = [values] if isinstance(values, str) else list(values)
    _check(columns, [*names, "i", "j"])
    if along not in ("a", "b"):
        raise ValueError(f'along={along!r} must be "a" or "b"')
    axis = "ab".index(along)
    table = columns.assign(layer=columns["ij"[axis]].astype(np.int64))
    if "sublattice" not in table:
        table["sublattice"] = 0
        fraction = np.zeros(1)
    else:
        table = table[table["sublattice"] >= 0]
        fraction = lattice.motif[:, axis]
    step = _layer_distance(lattice, axis)
    groups = table.groupby(["layer", "sublattice"])
    found = _means(groups, names)
    for name in names:
        wider = _correlated(
            table.assign(place=columns["ji"[axis]]), name, found["count"].to_numpy()
        )
        found[f"{name}_err"] *= wider
    kind = found["sublattice"].to_numpy(dtype=np.int64)
    place = found["layer"].to_numpy() + fraction[kind]
    start = _start(table, place, found, interface)
    found.insert(2, "distance", (place - start) * step)
    return found.sort_values("distance", ignore_index=True)


def binned_profile(
    columns: pd.DataFrame,
    values: str | Sequence[str],
    sampling: Sampling | None = None,
    *,
    angle_deg: float = 0.0,
    width: float = 4.0,
    origin: tuple[float, float] | None = None,
) -> pd.DataFrame:
    """Mean and standard error of quantities in strips across a direction, without a lattice.

    Parameters
    ----------
    columns : table with `y` and `x` (px) and the values.
    sampling : Å a pixel, one number or (dy, dx), or None.
    angle_deg : direction of the profile, from the x axis, counter-clockwise as seen.
    width : of a strip, Å, or px without a sampling.
    origin : (y, x) px of distance 0; None takes the first column along the direction.

    Returns
    -------
    A row a strip with columns, as `layer_profile` gives it, ``distance`` that of its middle.

    Raises
    ------
    ValueError
        A quantity is missing, or the width is not positive.
    """
    names = [values] if isinstance(values, str) else list(values)
    _check(columns, names)
    if not width > 0:
        raise ValueError(f"width={width!r} must be positive")
    unit = pixel_scale(sampling)
    turn = np.radians(angle_deg)
    way = np.array([-np.sin(turn), np.cos(turn)])
    away = (positions_of(columns) * unit) @ way
    start = np.nanmin(away) if origin is None else float((np.asarray(origin) * unit) @ way)
    strip = np.floor((away - start) / width)
    finite = np.isfinite(strip)
    table = columns[finite].assign(layer=strip[finite].astype(np.int64), sublattice=-1)
    found = _means(table.groupby(["layer", "sublattice"]), names).drop(columns="sublattice")
    found.insert(1, "distance", (found["layer"] + 0.5) * width)
    return found


def _check(columns: pd.DataFrame, names: list[str]) -> None:
    missing = [name for name in names if name not in columns]
    if missing:
        raise ValueError(
            f"columns lack {', '.join(map(repr, missing))}; they have "
            f"{', '.join(map(str, columns.columns))}"
        )
    for name in names:
        if not pd.api.types.is_numeric_dtype(columns[name]):
            raise ValueError(f"{name!r} has no numbers that could be averaged")


def _means(groups: Any, names: list[str]) -> pd.DataFrame:
    found: pd.DataFrame = groups.size().rename("count").reset_index()
    for name in names:
        finite = groups[name]
        count = finite.count().to_numpy()
        deviation = finite.std(ddof=1).to_numpy()
        # A deviation known from few is unsure itself: that of Student's t is wider.
        spare = np.maximum(count - 3, 1) / np.maximum(count - 1, 1)
        error = np.where(count >= FEWEST, deviation / np.sqrt(np.maximum(count, 1) * spare), np.nan)
        found[name] = finite.mean().to_numpy()
        found[f"{name}_err"] = error
        found[f"{name}_deviation"] = deviation
        found["count"] = np.minimum(found["count"], count) if len(names) == 1 else found["count"]
    return found


def _correlated(table: pd.DataFrame, name: str, count: Array) -> Array:
    """(L,) by which errors of means of so many columns are wider than those of independent ones.

    By the correlations ρ of columns one, two and three apart in all layers: the variance of a mean
    of n is larger by 1 + 2 Σ (1 - l/n) ρ.
    """
    layer = ["layer", "sublattice"]
    table = table[np.isfinite(table[name])]
    rest = table[name] - table.groupby(layer)[name].transform("mean")
    known = table[[*layer, "place"]].assign(rest=rest)
    power = float((rest**2).mean())
    size = np.maximum(count, 1)
    wider = np.ones(len(count))
    for lag in range(1, LAGS + 1):
        moved = known.assign(place=known["place"] - lag)
        pairs = known.merge(moved, on=[*layer, "place"])
        if not len(pairs) or not power > 0:
            break
        # Deviations from a mean of their own are a little less alike.
        share = float((pairs["rest_x"] * pairs["rest_y"]).mean()) / power + 1.0 / np.median(size)
        if share <= 0:
            break
        wider += 2.0 * np.maximum(1.0 - lag / size, 0.0) * share
    return np.asarray(np.sqrt(wider))


def _layer_distance(lattice: Lattice, axis: int) -> float:
    """Distance of neighbouring layers of cells, across the layers."""
    vectors = lattice.vectors * lattice.scale
    area = abs(float(np.linalg.det(vectors)))
    return area / float(np.hypot(*vectors[1 - axis]))


def _start(
    table: pd.DataFrame, place: Array, found: pd.DataFrame, interface: int | str | None
) -> float:
    """Place, in cells, of distance 0."""
    if interface is None:
        return float(place.min()) if len(place) else 0.0
    if interface != "intensity":
        return float(interface)
    bright = intensity_of(table, None)
    if bright is None:
        raise ValueError("interface='intensity' needs columns with volume, amplitude or intensity")
    mean = table.assign(bright=bright).groupby(["layer", "sublattice"])["bright"].median()
    best, middle = -np.inf, 0.0
    for k in found["sublattice"].unique():
        own = mean.xs(k, level="sublattice")
        steps = np.abs(np.diff(own.to_numpy())) / np.diff(own.index.to_numpy())
        there = place[(found["sublattice"] == k).to_numpy()]
        if len(steps) and np.nanmax(steps) > best:
            at = int(np.nanargmax(steps))
            best, middle = float(steps[at]), 0.5 * float(there[at] + there[at + 1])
    if not np.isfinite(best):
        raise ValueError("interface='intensity': there is one layer, or no intensity is known")
    return middle
