"""A two-dimensional lattice in an image: its vectors, the sites of its cell, and their errors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product

import numpy as np
from numpy.typing import ArrayLike

from napari_atomseg._shared.types import Array, Indices

SAME_SITE = 1e-6
"""Sites nearer to each other than this part of a cell are one."""


def _nan(*shape: int) -> Array:
    return np.full(shape, np.nan)


@dataclass(frozen=True)
class Lattice:
    """A lattice with K sites a cell: site k of cell (i, j) is at origin + (i, j, motif_k) vectors.

    Attributes
    ----------
    origin : (2,) place (y, x) of a site of sublattice 0, px.
    vectors : (2, 2) rows a and b as (y, x), px.
    motif : (K, 2) sites of a cell in fractions of a and b; the first is (0, 0).
    pixel : (2,) Å a pixel along y and x; None where it is not known.
    origin_err, vectors_err, motif_err : standard errors, in the same units, of columns that stray
        from their sites independently of each other; NaN where they are not known.
    rms : root mean square distance of the columns from their sites, px.
    intensity : (K,) mean intensity of the columns of each sublattice; NaN where none is known.
    occupancy : (K,) share of the most occupied sublattice's columns that each sublattice has.
    """

    origin: Array
    vectors: Array
    motif: Array = field(default_factory=lambda: np.zeros((1, 2)))
    pixel: Array | None = None
    origin_err: Array = field(default_factory=lambda: _nan(2))
    vectors_err: Array = field(default_factory=lambda: _nan(2, 2))
    motif_err: Array | None = None
    rms: float = float("nan")
    intensity: Array | None = None
    occupancy: Array | None = None

    def __post_init__(self) -> None:
        """Take lists for arrays, and refuse what spans no cell."""
        set_ = object.__setattr__
        set_(self, "origin", _array(self.origin, (2,), "origin"))
        set_(self, "vectors", _array(self.vectors, (2, 2), "vectors"))
        set_(self, "motif", _array(self.motif, (-1, 2), "motif"))
        if self.pixel is not None:
            set_(self, "pixel", _array(np.broadcast_to(self.pixel, 2), (2,), "pixel"))
        for name, shape in (("motif_err", (len(self), 2)), ("intensity", (len(self),))):
            if getattr(self, name) is None:
                set_(self, name, _nan(*shape))
        if self.occupancy is None:
            set_(self, "occupancy", np.ones(len(self)))
        scale = np.abs(self.vectors).max()
        if len(self) == 0 or not self.area > 1e-9 * scale**2:
            raise ValueError(
                f"vectors={self.vectors.tolist()} with {len(self)} sites span no cell; give two "
                "vectors that are not parallel, and a site or more"
            )

    def __len__(self) -> int:
        """Sites of a cell."""
        return len(self.motif)

    @property
    def scale(self) -> Array:
        """(2,) what turns px into a length that is the same in all directions: Å, or px."""
        return np.ones(2) if self.pixel is None else self.pixel

    @property
    def lengths(self) -> Array:
        """(2,) lengths of a and b in px."""
        return np.asarray(np.hypot(*self.vectors.T))

    @property
    def lengths_angstrom(self) -> Array:
        """(2,) lengths of a and b in Å; NaN where the sampling is not known."""
        return (
            _nan(2) if self.pixel is None else np.asarray(np.hypot(*(self.vectors * self.pixel).T))
        )

    @property
    def lengths_err(self) -> Array:
        """(2,) standard errors of `lengths`, px."""
        along = self.vectors / self.lengths[:, None]
        return np.asarray(np.hypot(*(along * self.vectors_err).T))

    @property
    def angle_deg(self) -> float:
        """Angle from a to b in 0..180°."""
        a, b = self.vectors * self.scale
        return float(np.degrees(np.arctan2(abs(a[0] * b[1] - a[1] * b[0]), a @ b)))

    @property
    def rotation_deg(self) -> float:
        """Angle of a from the x axis, positive counter-clockwise as the image is seen (y down)."""
        a = self.vectors[0] * self.scale
        return float(np.degrees(np.arctan2(-a[0], a[1])))

    @property
    def area(self) -> float:
        """Area of a cell, px²."""
        return float(abs(np.linalg.det(self.vectors)))

    @property
    def reciprocal(self) -> Array:
        """(2, 2) rows a*, b* as (y, x) in cycles a px: a · a* = 1, a · b* = 0."""
        return np.asarray(np.linalg.inv(self.vectors).T)

    @property
    def separation(self) -> float:
        """Least distance of two sites, in Å, or in px where the sampling is not known."""
        steps = np.array(list(product((-1, 0, 1), repeat=2)), dtype=float)
        offsets = self.motif[:, None, None] - self.motif[None, :, None] + steps
        distance = np.hypot(*np.moveaxis(offsets @ self.vectors * self.scale, -1, 0))
        return float(distance[distance > SAME_SITE * np.sqrt(self.area)].min())

    def sites(self, i: ArrayLike, j: ArrayLike, sublattice: ArrayLike = 0) -> Array:
        """(..., 2) places (y, x) in px of the sites of sublattices in cells (i, j)."""
        cell = np.stack(np.broadcast_arrays(i, j), axis=-1)
        fractions = cell + self.motif[np.asarray(sublattice)]
        return np.asarray(self.origin + fractions @ self.vectors)

    def fractions(self, points: Array) -> Array:
        """(N, 2) places in px in fractions of a and b, from the origin."""
        return np.asarray((points - self.origin) @ np.linalg.inv(self.vectors))

    def nearest(self, points: Array) -> tuple[Indices, Indices, Array]:
        """The site nearest to each of N places: cells (N, 2), sublattices (N,), and how far and
        where from it each place stands, (N, 2) px.
        """
        fractions = self.fractions(points)
        best = np.full(len(points), np.inf)
        cells, sublattice = np.zeros((len(points), 2), np.int64), np.zeros(len(points), np.int64)
        away = np.zeros((len(points), 2))
        for k, site in enumerate(self.motif):
            offset = fractions - site
            cell = np.round(offset)
            step = (offset - cell) @ self.vectors
            distance = np.hypot(*(step * self.scale).T)
            nearer = distance < best
            best[nearer], away[nearer] = distance[nearer], step[nearer]
            cells[nearer], sublattice[nearer] = cell[nearer].astype(np.int64), k
        return cells, sublattice, away

    def with_cell(self, matrix: ArrayLike) -> Lattice:
        """The same sites in another cell, whose vectors are integer combinations of a and b.

        Parameters
        ----------
        matrix : (2, 2) integers; rows are the new a and b in units of the old ones.
        """
        steps = np.asarray(matrix, dtype=np.float64)
        reach = int(np.abs(steps).sum()) + 1
        cells = np.array(list(product(range(-reach, reach + 1), repeat=2)), dtype=float)
        fractions = (cells[:, None] + self.motif).reshape(-1, 2) @ np.linalg.inv(steps)
        origin = np.tile(np.arange(len(self)), len(cells))
        inside = np.all((fractions > -SAME_SITE) & (fractions < 1.0 - SAME_SITE), axis=1)
        order = np.lexsort((*fractions[inside].T.round(6), origin[inside]))
        return replace(
            self,
            vectors=steps @ self.vectors,
            motif=np.clip(fractions[inside][order], 0.0, None),
            vectors_err=np.sqrt(steps**2 @ self.vectors_err**2),
            motif_err=None,
            intensity=np.asarray(self.intensity)[origin[inside][order]],
            occupancy=np.asarray(self.occupancy)[origin[inside][order]],
        )


def _array(values: ArrayLike, shape: tuple[int, ...], name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    wrong = array.ndim != len(shape) or any(
        want not in (-1, has) for want, has in zip(shape, array.shape, strict=True)
    )
    if wrong or not np.isfinite(array).all():
        raise ValueError(f"{name}={values!r} must be finite numbers of shape {shape}")
    return array
