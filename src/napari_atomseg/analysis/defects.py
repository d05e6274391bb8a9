"""Defects: sites of a lattice without a column, and dislocations, the circuits around which do
not close in a perfect crystal.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import clusters_of, delaunay_triangles, sides_of
from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.lattice.assign import assign
from napari_atomseg.analysis.lattice.find import find_lattice
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.positions import placed

AROUND = 2.2
"""Radius, in roots of the area of a site, of the neighbours that surround a site of the crystal."""
OPENING = 150.0
"""Widest gap between those neighbours, degrees; a site with a wider one lies outside."""
FREE = 0.5
"""A column within this part of the smallest distance of two sites occupies a site."""
TORN = 0.15
"""Largest deviation of the displacements around a site, over the same distance; it is larger where
a dislocation has slipped, and there the sites are not those of one crystal."""
TELLING = 8
"""Neighbours from whose displacements that of an empty site is estimated."""


def find_vacancies(
    columns: pd.DataFrame, sampling: Sampling | None = None, lattice: Lattice | None = None
) -> pd.DataFrame:
    """Find the sites in a crystal that no column stands on.

    Where a missing column would stand follows from the displacements of the columns around, so that
    strain and drift of the scan do not matter. Sites with a gap of more than 150° between their
    neighbours lie outside of the crystal; where the crystal is torn, as in the core of a
    dislocation, there are none.

    Parameters
    ----------
    columns : table with `y` and `x` (px); of one image and grain.
    sampling : Å a pixel, one number or (dy, dx).
    lattice : lattice of the columns; found where there is none.

    Returns
    -------
    A row a vacancy: ``y``, ``x`` (px), the errors ``y_err``, ``x_err`` of the place, from how the
    displacements around differ, the site ``i``, ``j``, ``sublattice``; ``surrounded``, whether
    every other site about it (within 2.2 roots of the area of a site) has its column, which is not
    so beside another vacancy, a hole or the border; and with a sampling ``y_angstrom``,
    ``x_angstrom``.

    Raises
    ------
    ValueError
        An argument is wrong, or there is no lattice to be found.
    """
    points = placed(columns, None)
    lattice = find_lattice(columns, sampling) if lattice is None else lattice
    table = assign(columns, lattice)
    table = table[table["sublattice"] >= 0]
    taken = table[["i", "j", "sublattice"]].to_numpy(dtype=np.int64)
    displaced = table[["dy", "dx"]].to_numpy(dtype=np.float64)
    if len(taken) == 0:
        nothing = np.zeros((0, 2))
        return _result(np.zeros((0, 3), np.int64), nothing, nothing, np.zeros(0, bool), sampling)
    sites = _empty_sites(taken, len(lattice))
    ideal, full = lattice.sites(*sites.T), lattice.sites(*taken.T)
    scale = lattice.scale
    reach = AROUND * np.sqrt(lattice.area * scale.prod() / len(lattice))
    tree = cKDTree(full * scale)
    around_each = tree.query_ball_point(ideal * scale, reach)
    inside = np.array(
        [
            _gap((full[near] - place) * scale) < OPENING
            for near, place in zip(around_each, ideal, strict=True)
        ],
        dtype=bool,
    )
    whole = np.array(list(map(len, around_each))) >= _sites_about(lattice, reach)[sites[:, 2]]
    sites, ideal, whole = sites[inside], ideal[inside], whole[inside]
    if len(sites) == 0:
        return _result(sites, ideal, ideal, whole, sampling)
    _, nearest = tree.query(ideal * scale, k=min(TELLING, len(full)))
    around = displaced[np.asarray(nearest).reshape(len(ideal), -1)]
    expected = ideal + around.mean(axis=1)
    apart, _ = cKDTree(points * scale).query(expected * scale)
    torn = np.hypot(*(around.std(axis=1) * scale).T) > TORN * lattice.separation
    free = (np.asarray(apart) > FREE * lattice.separation) & ~torn
    count = around.shape[1]
    # A deviation known from so few is unsure itself: that of Student's t with count - 1 degrees.
    wider = np.sqrt((count - 1) / (count - 3)) if count > 3 else np.nan
    error = wider * around.std(axis=1, ddof=1) / np.sqrt(count)
    return _result(sites[free], expected[free], error[free], whole[free], sampling)


def _sites_about(lattice: Lattice, reach: float) -> Indices:
    """(K,) other sites within a distance (Å, or px) of a site of each sublattice."""
    cells = int(np.ceil(reach / np.hypot(*(lattice.vectors * lattice.scale).T).min())) + 1
    span = np.arange(-cells, cells + 1)
    i, j, k = (
        each.ravel() for each in np.meshgrid(span, span, np.arange(len(lattice)), indexing="ij")
    )
    every = lattice.sites(i, j, k) * lattice.scale
    zero = np.zeros(len(lattice), np.int64)
    own = lattice.sites(zero, zero, np.arange(len(lattice))) * lattice.scale
    near = cKDTree(every).query_ball_point(own, reach, return_length=True)
    return np.asarray(near, dtype=np.int64) - 1


def _empty_sites(taken: Array, sublattices: int) -> Array:
    """(M, 3) sites (i, j, k) without a column in the cells that have one, and in those beside."""
    beside = np.array([(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)])
    cells = np.unique((taken[:, None, :2] + beside).reshape(-1, 2), axis=0)
    every = np.column_stack(
        [
            np.repeat(cells, sublattices, axis=0),
            np.tile(np.arange(sublattices), len(cells)),
        ]
    )
    low = every.min(axis=0)
    span = np.ptp(every, axis=0) + 1
    keys = np.ravel_multi_index((every - low).T, span)
    held = np.ravel_multi_index((taken - low).T, span)
    return np.asarray(every[~np.isin(keys, held)])


def _gap(ways: Array) -> float:
    """Degrees of the widest gap between directions (M, 2)."""
    if len(ways) < 3:
        return 360.0
    turns = np.sort(np.degrees(np.arctan2(ways[:, 0], ways[:, 1])))
    return float(np.diff(turns, append=turns[0] + 360.0).max())


def _result(
    sites: Array, places: Array, error: Array, whole: Array, sampling: Sampling | None
) -> pd.DataFrame:
    found = pd.DataFrame(
        {
            "y": places[:, 0],
            "x": places[:, 1],
            "y_err": error[:, 0],
            "x_err": error[:, 1],
            "i": sites[:, 0],
            "j": sites[:, 1],
            "sublattice": sites[:, 2],
            "surrounded": whole,
        }
    )
    if sampling is not None:
        found[["y_angstrom", "x_angstrom"]] = placed(found, sampling)
    return found


LONGEST = 2.6
"""Vectors of the lattice: triangles with longer sides span a border, not a vacancy."""
PARTS = 4
"""Parts of the image along y and along x in which the lattice is measured."""
FEWEST = 6
"""Smallest number of steps in a part, and of parts for an error."""


@dataclass(frozen=True)
class BurgersCircuit:
    """A closed way from column to column.

    Attributes
    ----------
    path : (M + 1, 2) columns (y, x) in px, clockwise as the image is shown, the first one again at
        the end.
    steps : (M, 2) steps between them in the perfect crystal, in units of a and b.
    burgers : (2,) Burgers vector in units of a and b.
    vector : (2,) the same (y, x), in px.
    vector_err : (2,) its standard error, from that of the lattice, px.
    vector_angstrom : (2,) in Å; NaN where the sampling is not known.
    """

    path: Array
    steps: Indices
    burgers: Indices
    vector: Array
    vector_err: Array
    vector_angstrom: Array

    @property
    def length_angstrom(self) -> float:
        """Length of the Burgers vector, Å."""
        return float(np.hypot(*self.vector_angstrom))


def find_dislocations(
    columns: pd.DataFrame, sampling: Sampling | None = None, lattice: Lattice | None = None
) -> pd.DataFrame:
    """Find the dislocations of a crystal, and their Burgers vectors.

    Each side of the triangles between neighbouring columns is a vector of the perfect lattice, the
    one it is nearest to. Around a triangle of good crystal these add up to nothing, whatever the
    strain; around the core of a dislocation they lack the Burgers vector (the discrete form of
    Burgers' circuit). Triangles that meet are one core, and those that cancel none, as around
    vacancies and misplaced columns.

    The circuits run clockwise as the image is shown, and the vector points from their finish to
    their start in the perfect crystal: FS/RH, with the line running into the image (Hirth and
    Lothe, Theory of Dislocations, 2nd edition, section 1-5). Only the part of the vector in the
    image can be seen.

    Parameters
    ----------
    columns : table with `y` and `x` (px); of one grain.
    sampling : Å a pixel, one number or (dy, dx).
    lattice : primitive lattice of the columns; found where there is none. Of several sublattices,
        the one with the most columns is looked at.

    Returns
    -------
    A row a dislocation: ``y``, ``x`` of the core and ``core_err``, the radius within which its
    columns lie (px); ``burgers_a``, ``burgers_b``, whole numbers of the lattice vectors; the
    Burgers vector ``burgers_y``, ``burgers_x`` and its errors ``burgers_y_err``, ``burgers_x_err``
    (px); with a sampling also ``…_angstrom`` and ``burgers_angstrom``, its length.

    Raises
    ------
    ValueError
        An argument is wrong, or there is no lattice to be found.
    """
    mesh = _mesh(columns, sampling, lattice)
    wrong = np.flatnonzero(mesh.residue.any(axis=1))
    corners = mesh.triangles[wrong]
    ties = np.stack([np.repeat(np.arange(len(wrong)), 3), corners.reshape(-1)], axis=1)
    ties[:, 1] += len(wrong)
    cluster = clusters_of(ties, len(wrong) + len(mesh.points))[: len(wrong)]
    rows = []
    for number in np.unique(cluster):
        members = cluster == number
        burgers = mesh.residue[wrong[members]].sum(axis=0)
        if not burgers.any():
            continue
        core = mesh.points[np.unique(corners[members])]
        centre = mesh.points[corners[members]].mean(axis=(0, 1))
        reach = np.sqrt(((core - centre) ** 2).sum(axis=1).mean())
        vector, error = _in_pixels(burgers, mesh.lattice)
        rows.append([*centre, reach, *burgers, *vector, *error])
    names = ["y", "x", "core_err", "burgers_a", "burgers_b", "burgers_y", "burgers_x"]
    table = pd.DataFrame(rows, columns=[*names, "burgers_y_err", "burgers_x_err"])
    table = table.astype({"burgers_a": int, "burgers_b": int})
    if sampling is not None:
        dy, dx = pixel_scale(sampling)
        for name in ("y", "burgers_y"):
            table[f"{name}_angstrom"] = dy * table[name]
        for name in ("x", "burgers_x"):
            table[f"{name}_angstrom"] = dx * table[name]
        table["burgers_angstrom"] = np.hypot(
            table["burgers_y_angstrom"], table["burgers_x_angstrom"]
        )
    return table


def burgers_circuit(
    columns: pd.DataFrame,
    centre: tuple[float, float],
    radius: float,
    sampling: Sampling | None = None,
    lattice: Lattice | None = None,
) -> BurgersCircuit:
    """Follow a circuit around a place of a crystal; what it lacks to close is the Burgers vector.

    Parameters
    ----------
    columns : table with `y` and `x` (px); of one grain.
    centre : (y, x) of the circuit, px.
    radius : radius of the circuit, px.
    sampling, lattice : as for `find_dislocations`, whose convention gives the sign.

    Raises
    ------
    ValueError
        An argument is wrong, or no columns stand all around the place at that radius.
    """
    if not radius > 0:
        raise ValueError(f"radius={radius!r} must be positive, in px")
    mesh = _mesh(columns, sampling, lattice)
    middles = mesh.points[mesh.triangles].mean(axis=1)
    inside = np.hypot(*(middles - np.asarray(centre, dtype=np.float64)).T) <= radius
    path = _border(mesh.triangles[inside])
    if len(path) < 3:
        raise ValueError(
            f"centre={centre!r} with radius={radius:g} px has no ring of columns around it"
        )
    steps = _steps(mesh.points[np.roll(path, -1)] - mesh.points[path], mesh.lattice)
    burgers = -steps.sum(axis=0)
    vector, error = _in_pixels(burgers, mesh.lattice)
    unit = np.full(2, np.nan) if sampling is None else pixel_scale(sampling)
    return BurgersCircuit(
        mesh.points[[*path, path[0]]], steps, burgers, vector, error, vector * unit
    )


@dataclass(frozen=True)
class _Mesh:
    """Columns of a sublattice (N, 2), the triangles between them (T, 3), and by what (T, 2) the
    way around each does not close, in units of a and b.
    """

    points: Array
    triangles: Indices
    residue: Indices
    lattice: Lattice


def _mesh(columns: pd.DataFrame, sampling: Sampling | None, lattice: Lattice | None) -> _Mesh:
    points = placed(columns, None)
    known = lattice is not None
    lattice = find_lattice(columns, sampling, cell="primitive") if lattice is None else lattice
    if len(lattice) > 1:
        found = assign(columns, lattice)["sublattice"].to_numpy()
        commonest = np.bincount(found[found >= 0], minlength=1).argmax()
        points = points[found == commonest]
    longest = LONGEST * float(lattice.lengths.max())
    triangles = delaunay_triangles(points, longest)
    lattice = lattice if known else _refined(points, triangles, lattice)
    residue = np.zeros((len(triangles), 2), dtype=np.int64)
    for k in range(3):
        residue -= _steps(points[triangles[:, (k + 1) % 3]] - points[triangles[:, k]], lattice)
    return _Mesh(points, triangles, residue, lattice)


def _refined(points: Array, triangles: Indices, lattice: Lattice) -> Lattice:
    """The lattice with vectors fitted to the steps a and b between neighbours.

    Over a dislocation the sites of columns are shifted by its Burgers vector, which bends a lattice
    that is fitted to all of them; steps are not. The errors are those of the mean over parts of the
    image, whose strains differ. Of the diagonals of a cell near a rectangle the triangles have the
    one that noise made shorter, which would shrink the lattice.
    """
    sides = sides_of(triangles)
    vectors = points[sides[:, 1]] - points[sides[:, 0]]
    steps = _steps(vectors, lattice).astype(np.float64)
    single = np.abs(steps).sum(axis=1) == 1
    sides, vectors, steps = sides[single], vectors[single], steps[single]
    middle = points[sides].mean(axis=1)
    low, size = points.min(axis=0, initial=np.inf), np.ptp(points, axis=0) if len(points) else 1.0
    part = np.minimum(PARTS * (middle - low) / np.maximum(size, 1e-9), PARTS - 1).astype(np.int64)
    number = part @ [PARTS, 1]
    fits = []
    for which in np.unique(number):
        here = number == which
        normal = steps[here].T @ steps[here]
        if here.sum() >= FEWEST and np.linalg.matrix_rank(normal) == 2:
            fits.append(np.linalg.solve(normal, steps[here].T @ vectors[here]))
    if len(fits) < FEWEST:
        return lattice
    return replace(
        lattice,
        vectors=np.mean(fits, axis=0),
        vectors_err=np.std(fits, axis=0, ddof=1) / np.sqrt(len(fits)),
    )


def _steps(vectors: Array, lattice: Lattice) -> Indices:
    """(M, 2) the lattice vectors nearest to vectors (M, 2) in px, in units of a and b."""
    fractions = vectors @ np.linalg.inv(lattice.vectors)
    base = np.floor(fractions)
    around = np.array([[i, j] for i in (-1, 0, 1, 2) for j in (-1, 0, 1, 2)], dtype=np.float64)
    tried = base[:, None] + around
    away = (tried - fractions[:, None]) @ lattice.vectors * lattice.scale
    nearest = (away**2).sum(axis=2).argmin(axis=1)
    return np.asarray(tried[np.arange(len(tried)), nearest], dtype=np.int64)


def _in_pixels(burgers: Indices, lattice: Lattice) -> tuple[Array, Array]:
    error = np.sqrt(burgers.astype(float) ** 2 @ lattice.vectors_err**2)
    return burgers @ lattice.vectors, error


def _border(triangles: Indices) -> Indices:
    """(M,) corners along the outer border of triangles, in their sense; none if it is not one."""
    sides = {(int(t[k]), int(t[(k + 1) % 3])) for t in triangles for k in range(3)}
    outer = {a: b for a, b in sides if (b, a) not in sides}
    if not outer or len(outer) != sum((b, a) not in sides for a, b in sides):
        return np.zeros(0, dtype=np.int64)
    start = next(iter(outer))
    path, here = [start], outer[start]
    while here != start:
        path.append(here)
        here = outer[here]
    if len(path) != len(outer):
        return np.zeros(0, dtype=np.int64)
    return np.array(path, dtype=np.int64)
