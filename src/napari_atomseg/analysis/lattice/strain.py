"""Strain from the positions of columns, by an affine fit about each of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree
from scipy.special import chdtri

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


FEWEST = 5
"""Columns of a fit, at least; with four, one is left to show how well it fits."""
SHARE = 0.25
"""Part of the typical number of columns that a fit must have: fewer are those of a corner, or of an
isolated column that is false."""
PRIOR_FREEDOM = 12.0
"""Degrees of freedom of the prior on the variance about a column, which is that of most columns."""
UNLIKELY = 1e-3
"""Probability of a variance below which it is that of a misfit."""
SHARED = 6.0
"""Factor on the variance of a misfit: some six columns are off together."""
SURROUNDINGS = 40
"""Columns whose median map foretells by how many lattice vectors sites are off across a cut."""
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

    Round a dislocation, sites are many-valued: along some cut those of neighbours differ by the
    Burgers vector. Sites that are whole lattice vectors from where the map of the surroundings has
    them are shifted by these, so that strain goes on across the cut.

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
    map independently, as much as they do in the neighbourhood (moderated by most of the others, as
    Smyth, Stat. Appl. Genet. Mol. Biol. 3, 3, 2004): they are larger where no affine map holds, as
    in the core of a dislocation or where one sublattice jumps. NaN where columns are fewer than
    five, or than a quarter of those that most fits have.

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
        reference, sites.points[on] * scale, sites.sublattice[on], reach, lattice.vectors * scale
    )
    values = strains(gradient, angle)
    covariance = np.zeros((len(on), 4, 4))
    for part in range(2):
        rows = slice(2 * part, 2 * part + 2)
        covariance[:, rows, rows] = variance[:, part, None, None] * unit_covariance
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
    reference: Array, points: Array, kinds: Indices, reach: float, vectors: Array
) -> tuple[Array, Array, Indices, Array]:
    """Affine maps about each point, with a shift for each sublattice.

    Returns
    -------
    F (N, 2, 2); its covariance (N, 2, 2) for errors of unit variance, the same for both rows; the
    number of columns in each fit; and the variance (N, 2) of the columns about their maps along y
    and x.
    """
    start, end = _within(points, reach)
    site, place = reference[end] - reference[start], points[end] - points[start]
    near = np.hypot(*site.T) <= reach
    fits = _Fits(start[near], kinds[end[near]], site[near], place[near], len(points), reach)
    if fits.good.any():
        shift = _whole_vectors(fits, points, start, site, place, vectors)
        if np.any(shift[near]) or np.any(shift[~near]):
            site = site + shift @ vectors
            near = np.hypot(*site.T) <= reach
            fits = _Fits(start[near], kinds[end[near]], site[near], place[near], len(points), reach)
    return fits.gradient, fits.inverse, fits.count, fits.variance()


def _whole_vectors(
    fits: _Fits, points: Array, start: Indices, site: Array, place: Array, vectors: Array
) -> Indices:
    """(P, 2) lattice vectors by which the sites of pairs are off, by the map of the surroundings.

    Along a cut the maps themselves are wrong: the median of many columns is not.
    """
    known = np.flatnonzero(fits.good)
    count = min(SURROUNDINGS, len(known))
    around = known[cKDTree(points[known]).query(points, k=count)[1].reshape(len(points), count)]
    typical = np.median(fits.gradient[around], axis=1)
    flat = np.abs(np.linalg.det(typical)) < 1e-3
    typical[flat] = np.eye(2)
    there = np.einsum("nij,nj->ni", np.linalg.inv(typical)[start], place)
    return np.asarray(np.round((there - site) @ np.linalg.inv(vectors)), dtype=np.int64)


class _Fits:
    """Affine maps of P pairs of columns, each of one of N columns with one about it.

    Parameters
    ----------
    start : (P,) the column of the fit.
    kinds : (P,) sublattice of the other.
    site, place : (P, 2) steps between their sites, and between them.

    Attributes
    ----------
    gradient, inverse : (N, 2, 2) maps, and their covariance for errors of unit variance; NaN where
        columns are too few.
    count : (N,) columns in each fit.
    good : (N,) whether there is a map.
    """

    def __init__(
        self, start: Indices, kinds: Indices, site: Array, place: Array, number: int, reach: float
    ) -> None:
        self._number, self._start = number, start
        self._kinds = int(kinds.max(initial=0)) + 1
        self._group = start * self._kinds + kinds
        self._members = np.bincount(self._group, minlength=number * self._kinds)
        place, site = self._centred(place), self._centred(site)
        spread = self._summed(site, site)
        self.count: Indices = np.bincount(start, minlength=number).astype(np.int64)
        least = np.linalg.eigvalsh(spread)[:, 0] if number else np.zeros(0)
        enough = max(FEWEST, SHARE * float(np.median(self.count))) if number else FEWEST
        self.good = (self.count >= enough) & (least > (SPREAD * reach) ** 2 * self.count)
        self.inverse = np.full((number, 2, 2), np.nan)
        self.inverse[self.good] = np.linalg.inv(spread[self.good])
        self.gradient = self._summed(place, site) @ self.inverse
        self._rest = place - np.einsum("nij,nj->ni", self.gradient[start], site)

    def variance(self) -> Array:
        """(N, 2) of the columns about each map, moderated by what most maps have."""
        shifts = (self._members.reshape(self._number, self._kinds) > 0).sum(axis=1)
        spare = (self.count - shifts - 2).astype(np.float64)
        known = self.good & (spare > 0)
        if not known.any():
            return np.full((self._number, 2), np.nan)
        squares = np.stack(
            [np.bincount(self._start, v**2, self._number) for v in self._rest.T], axis=1
        )
        own = squares[known] / spare[known, None]
        freedom = float(np.median(spare[known]))
        # The median of χ² of so many degrees of freedom lies below their mean.
        usual = np.median(own, axis=0) * freedom / chdtri(freedom, 0.5)
        result = np.full((self._number, 2), np.nan)
        weight = spare[known, None] + PRIOR_FREEDOM
        result[known] = (squares[known] + PRIOR_FREEDOM * usual) / weight
        # Noise hardly exceeds this; neighbours share what does, and it averages less.
        limit = usual * chdtri(freedom, UNLIKELY) / freedom
        result[known] += (SHARED - 1.0) * np.maximum(own - limit, 0.0)
        return result

    def _centred(self, values: Array) -> Array:
        size = self._number * self._kinds
        sums = np.stack([np.bincount(self._group, v, size) for v in values.T], axis=1)
        return np.asarray(values - (sums / np.maximum(self._members, 1)[:, None])[self._group])

    def _summed(self, left: Array, right: Array) -> Array:
        products = [
            np.bincount(self._start, left[:, i] * right[:, j], self._number)
            for i in range(2)
            for j in range(2)
        ]
        return np.asarray(np.stack(products, axis=1).reshape(self._number, 2, 2))


def _within(points: Array, reach: float) -> tuple[Indices, Indices]:
    """Pairs (start, end) of points within a distance, each point with itself, too."""
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray") if len(points) else None
    own = np.arange(len(points))
    if pairs is None or len(pairs) == 0:
        return own, own
    start, end = pairs.T
    return np.concatenate([own, start, end]), np.concatenate([own, end, start])
