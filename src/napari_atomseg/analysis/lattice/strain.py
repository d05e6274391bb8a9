"""Strain from the positions of columns, by an affine fit about each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import SiteIndex, assigned

STRAINS = ("eps_xx", "eps_yy", "eps_xy", "rotation_deg")
Axis = str | float


def axis_angle(x_axis: Axis, lattice: Lattice | None) -> float:
    """Angle of the strain's x axis from the image's, counter-clockwise as seen, degrees.

    Parameters
    ----------
    x_axis : "image", "a" or "b" (of the lattice), or the angle itself.

    Raises
    ------
    ValueError
        It is none of these, or a vector is asked for and there is no lattice.
    """
    if isinstance(x_axis, str):
        if x_axis == "image":
            return 0.0
        if x_axis in ("a", "b") and lattice is not None:
            y, x = lattice.vectors["ab".index(x_axis)] * lattice.scale
            return float(np.degrees(np.arctan2(-y, x)))
        raise ValueError(f'x_axis={x_axis!r} must be "image", "a" or "b" of a lattice, or degrees')
    return float(x_axis)


def strains(gradient: Array, angle_deg: float = 0.0) -> dict[str, Array]:
    """Strain and rotation, finite ones too, by F = R U: strain U - 1, rotation that of R.

    Parameters
    ----------
    gradient : (..., 2, 2) deformation gradient F in (y, x): dr = F dX, from the reference X to the
        place r.
    angle_deg : angle of the x axis of the strain in the image, counter-clockwise as seen.

    Returns
    -------
    ``eps_xx``, ``eps_yy``, ``eps_xy`` of the shape (...), of the tensor, with y a quarter turn
    counter-clockwise from x as seen, up where x points to the right; ``rotation_deg``
    counter-clockwise as seen, of the crystal against the reference.
    """
    angle = np.arctan2(
        gradient[..., 0, 1] * -1.0 + gradient[..., 1, 0], gradient[..., 0, 0] + gradient[..., 1, 1]
    )
    stretch = np.swapaxes(turned(angle), -1, -2) @ gradient
    basis = turned(np.radians(angle_deg))
    stretch = basis.T @ stretch @ basis
    return {
        "eps_xx": stretch[..., 1, 1] - 1.0,
        "eps_yy": stretch[..., 0, 0] - 1.0,
        # Rows of an image run down, the y axis of the strain runs up.
        "eps_xy": -0.5 * (stretch[..., 0, 1] + stretch[..., 1, 0]),
        "rotation_deg": np.degrees(angle),
    }


def strain_errors(covariance: Array, angle_deg: float = 0.0) -> dict[str, Array]:
    """Standard errors of small strains, ``eps_xx_err`` and so on.

    Parameters
    ----------
    covariance : (..., 4, 4) of F_yy, F_yx, F_xy, F_xx.
    angle_deg : as for `strains`.
    """
    basis = turned(np.radians(angle_deg))
    y, x = basis.T
    skew = np.degrees(np.array([[0.0, -0.5], [0.5, 0.0]]))
    forms = {
        "eps_xx": np.outer(x, x),
        "eps_yy": np.outer(y, y),
        "eps_xy": 0.5 * (np.outer(x, y) + np.outer(y, x)),
        "rotation_deg": skew,
    }
    return {
        f"{name}_err": np.sqrt(np.einsum("i,...ij,j->...", form.ravel(), covariance, form.ravel()))
        for name, form in forms.items()
    }


def turned(angle: Array | float) -> Array:
    """(..., 2, 2) rotation in (y, x), counter-clockwise as seen with y down, by radians."""
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [np.stack([cosine, -sine], axis=-1), np.stack([sine, cosine], axis=-1)]
    return np.stack(rows, axis=-2)


RADIUS = 1.6
"""Columns are fitted within this many of the longer lattice vector."""
SPREAD = 0.15
"""Sites about a column must spread over this part of the fit's radius in all directions."""


def strain(
    columns: pd.DataFrame,
    lattice: Lattice,
    *,
    radius: float | None = None,
    x_axis: Axis = "image",
) -> pd.DataFrame:
    """Strain and rotation about each column, against the lattice.

    About each column, an affine map takes the lattice's sites X to the columns r, by least squares
    over all columns within `radius`: r = F X + c_k. Each sublattice has its own shift c_k, so that
    a polar displacement is no strain. F = R U gives the strain U - 1 and the rotation R.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : the reference, where strain is 0: found from all columns, or from those of a region
        (``find_lattice(columns[region])``), or one of known vectors.
    radius : px (mean of y and x); None takes 1.6 of the longer lattice vector, which has the eight
        nearest cells.
    x_axis : x axis of the strain: that of the "image", along "a" or "b" of the lattice, or an angle
        in degrees, counter-clockwise as seen. The y axis is a quarter turn counter-clockwise from
        it: up where x points to the right.

    Returns
    -------
    The table (with sites) and ``eps_xx``, ``eps_yy``, ``eps_xy`` (of the tensor, half of the
    engineering shear; positive where the rising diagonal is stretched), ``rotation_deg``
    (counter-clockwise as seen), each with its standard error ``..._err``, and ``fitted``, the
    number of columns in the fit. The errors are those of positions that deviate from the affine
    map independently, as much as they do on the whole. NaN where columns are too few.

    Raises
    ------
    ValueError
        `radius` is not positive, or `x_axis` is unknown.
    """
    if radius is not None and not radius > 0:
        raise ValueError(f"radius={radius!r} must be positive, px")
    angle = axis_angle(x_axis, lattice)
    scale = lattice.scale
    reach = RADIUS * float(np.hypot(*(lattice.vectors * scale).T).max())
    reach = reach if radius is None else radius * float(scale.mean())
    table = assigned(columns, lattice).copy()
    sites = SiteIndex(table)
    on = sites.on
    reference = lattice.sites(sites.cells[on, 0], sites.cells[on, 1], sites.sublattice[on]) * scale
    gradient, unit_covariance, count, variance = _affine(
        reference, sites.points[on] * scale, sites.sublattice[on], reach
    )
    values = strains(gradient, angle)
    covariance = np.zeros((len(on), 4, 4))
    for part in range(2):
        rows = slice(2 * part, 2 * part + 2)
        covariance[:, rows, rows] = variance[part] * unit_covariance
    values |= strain_errors(covariance, angle)
    for name in (*STRAINS, *(f"{name}_err" for name in STRAINS)):
        whole = np.full(len(table), np.nan)
        whole[on] = values[name]
        table[name] = whole
    fitted = np.zeros(len(table), dtype=np.int64)
    fitted[on] = count
    table["fitted"] = fitted
    return table


def _affine(
    reference: Array, points: Array, kinds: Indices, reach: float
) -> tuple[Array, Array, Indices, Array]:
    """Affine maps about each point, with a shift for each sublattice.

    Returns
    -------
    F (N, 2, 2); its covariance (N, 2, 2) for errors of unit variance, the same for both rows; the
    number of columns in each fit; and the variance of the columns about their maps along y and x.
    """
    number = len(points)
    start, end = _within(reference, reach)
    kinds_of = int(kinds.max(initial=0)) + 1
    group = start * kinds_of + kinds[end]
    members = np.bincount(group, minlength=number * kinds_of)

    def centred(values: Array) -> Array:
        sums = np.stack([np.bincount(group, v, number * kinds_of) for v in values[end].T], axis=1)
        return np.asarray(values[end] - (sums / np.maximum(members, 1)[:, None])[group])

    def summed(left: Array, right: Array) -> Array:
        products = [
            np.bincount(start, left[:, i] * right[:, j], number) for i in range(2) for j in range(2)
        ]
        return np.asarray(np.stack(products, axis=1).reshape(number, 2, 2), dtype=np.float64)

    place, site = centred(points), centred(reference)
    spread = summed(site, site)
    count = np.bincount(start, minlength=number)
    least = np.linalg.eigvalsh(spread)[:, 0] if number else np.zeros(0)
    good = (count >= 4) & (least > (SPREAD * reach) ** 2 * np.maximum(count, 1))
    inverse = np.full((number, 2, 2), np.nan)
    inverse[good] = np.linalg.inv(spread[good])
    gradient = summed(place, site) @ inverse
    rest = place - np.einsum("nij,nj->ni", gradient[start], site)
    shifts = (members.reshape(number, kinds_of) > 0).sum(axis=1)
    spare = (count - shifts - 2)[good].sum()
    squares = (rest[good[start]] ** 2).sum(axis=0)
    variance = squares / spare if spare > 0 else np.full(2, np.nan)
    return gradient, inverse, np.asarray(count, dtype=np.int64), np.asarray(variance)


def _within(points: Array, reach: float) -> tuple[Indices, Indices]:
    """Pairs (start, end) of points within a distance, each point with itself, too."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray") if len(points) else None
    own = np.arange(len(points))
    if pairs is None or len(pairs) == 0:
        return own, own
    start, end = pairs.T
    return np.concatenate([own, start, end]), np.concatenate([own, end, start])
