"""Oxygen octahedra of perovskites seen along a pseudocubic axis: their tilts and the oxygen places.

Cations are seen in dark field, oxygen in annular bright field or by iDPC. Of a pair of images that
were recorded together, the columns of both stand on the same pixels; of one image that shows both,
the oxygen columns are sublattices of its lattice.

Tilts make the cell of the lattice larger than that of one B column. The B columns alone are a
square net, though, so that a net of their own is found first, whatever the cell.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.assign import assign
from napari_atomseg.analysis.lattice.find import find_lattice
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import (
    PICOMETRES,
    SITE,
    SiteIndex,
    assigned,
    checked_sublattices,
    errors_of,
    intensity_of,
)
from napari_atomseg.analysis.lattice.species import species_of_means
from napari_atomseg.analysis.positions import Positions, positions_of

TOLERANCE = 0.25
"""An oxygen column stands within this part of the side of the cell of the middle of its bond."""
NET = 0.8
"""Part of the columns of one cation that must stand on a net of one column a cell."""
CLEARER = 1.5
"""Oxygen moves across the bonds of the cation in the middle of its octahedra; by this factor it
must move further across than along for the one cation, and less for the other, to tell them."""
SIDES: Indices = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
"""Cells of the B columns that face a B column, along a and b."""
ORDERS: dict[str, tuple[int, int]] = {
    "the same everywhere": (0, 0),
    "alternating along a": (1, 0),
    "alternating along b": (0, 1),
    "alternating along a and b": (1, 1),
}
"""Ways in which tilts may follow each other: signs (-1)^(m i + n j)."""


@dataclass(frozen=True)
class Octahedra:
    """Octahedra and oxygen columns; lengths are in Å, or px where the sampling is not known.

    Attributes
    ----------
    table : a row a B column with oxygen on two opposite sides at least: ``i``, ``j``, ``y``, ``x``
        (px), ``oxygens`` (2 to 4); ``tilt_a_deg`` and ``tilt_b_deg``, by which the lines of oxygen
        along a and b are turned against those of the B columns, counter-clockwise as seen, and
        ``tilt_deg``, their mean, with errors ``_err``; ``size_a``, ``size_b`` between opposite
        oxygens; ``dy``, ``dx`` of B from the middle of its oxygens (px, ``_pm`` with a sampling)
        with errors; ``column``, the row number.
    oxygen : a row an oxygen column between two B columns: ``axis`` of the bond, ``i``, ``j`` of the
        first B, ``y``, ``x`` (px); ``dy``, ``dx`` from the middle of the bond (px, ``_pm``) with
        errors; ``bond_1``, ``bond_2`` (lengths to both); ``angle_deg``, B-O-B as projected.
    order : a row a way in which tilts may be ordered: ``order``, the mean tilt with these signs,
        ``tilt_deg``, and its error ``tilt_deg_err``. Signs of alternating orders depend on where
        the net of the B columns begins.
    sublattices : those taken for B.
    net : lattice of the B columns, one a cell, whose cells ``i`` and ``j`` count.
    chosen_by : how B was told from A: "given", "oxygen", which moves across the bonds of B, or
        "brightness", where oxygen does not tell.
    """

    table: pd.DataFrame
    oxygen: pd.DataFrame
    order: pd.DataFrame
    sublattices: tuple[int, ...]
    net: Lattice
    chosen_by: str


def octahedra(
    columns: pd.DataFrame,
    lattice: Lattice,
    oxygen: Positions | None = None,
    *,
    sublattice: int | None = None,
    oxygen_sublattices: tuple[int, ...] | None = None,
) -> Octahedra:
    """Tilts of the octahedra around B columns, and the places of the oxygen columns.

    Tilts are of the projection: of rotations about other axes than the beam's, it shows a part. A
    and B columns need not be where an ideal perovskite has them; tilts are against the line of the
    two B columns beside each. The cell of the lattice may be any: sublattices of one brightness
    that make a net of one column a cell are taken together.

    Along a pseudocubic axis oxygen is as far from A as from B. Without a number, the cation is
    taken for B across whose bonds oxygen moves, as it does where octahedra turn; where it does not
    move, the second brightest one is.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.
    oxygen : columns of oxygen in the same pixels, from the image that shows them, with or without
        the others; None takes those of `columns`. Columns that were found but not measured, whose
        errors are NaN while others have some, are left out.
    sublattice : one of the B columns; None tells them by the oxygen.
    oxygen_sublattices : of the oxygen columns, where they are of `columns`; None takes those in the
        middle between B columns.

    Raises
    ------
    ValueError
        There is no such sublattice, B columns make no net, or no oxygen column is beside one.
    """
    table = assigned(columns, lattice)
    if sublattice is not None:
        (kind,) = checked_sublattices(sublattice, lattice, "sublattice")[:1]
        choices = [_alike(table, lattice, kind)]
    else:
        choices = _cations(table, lattice)
    found: list[Octahedra] = []
    problem: ValueError | None = None
    for kinds in choices:
        try:
            found.append(_of_cations(table, lattice, kinds, oxygen, oxygen_sublattices))
        except ValueError as error:
            problem = problem or error
    if not found:
        raise problem or ValueError("the lattice has no cations")
    if sublattice is not None:
        return found[0]
    ratio = [_across(each) for each in found]
    best = int(np.argmax(ratio))
    told = len(found) > 1 and ratio[best] > CLEARER and min(ratio) < 1.0 / CLEARER
    return replace(found[best if told else -1], chosen_by="oxygen" if told else "brightness")


def _alike(table: pd.DataFrame, lattice: Lattice, kind: int) -> tuple[int, ...]:
    """The sublattices of the species of one."""
    return next((group for group in _species(table, lattice) if kind in group), (kind,))


def _species(table: pd.DataFrame, lattice: Lattice) -> list[tuple[int, ...]]:
    """Sublattices (those with columns) by species: by their names in the table, if they have some,
    or their brightness; the brightest first.
    """
    mine = table["sublattice"].to_numpy()
    present = [k for k in range(len(lattice)) if (mine == k).any()]
    values = intensity_of(table, None)
    known = np.zeros(len(table), bool) if values is None else np.isfinite(values)
    bright = {
        k: -float(np.median(np.abs(values[known & (mine == k)])))
        if values is not None and (known & (mine == k)).any()
        else 0.0
        for k in present
    }
    names: dict[int, str] = dict.fromkeys(present, "")
    if "species" in table:
        each = table["species"].astype(str).to_numpy()
        names = {k: str(pd.Series(each[mine == k]).mode().iloc[0]) for k in present}
    if all(name not in ("", "nan") for name in names.values()):
        groups = {name: [k for k in present if names[k] == name] for name in names.values()}
        found = [tuple(group) for group in groups.values()]
    elif values is None or not all(bright.values()):
        found = [(k,) for k in present]
    else:
        kinds = species_of_means([values[known & (mine == k)] for k in present])
        found = [
            tuple(k for k, one in zip(present, kinds, strict=True) if one == which)
            for which in np.unique(kinds)
        ]
    return sorted(found, key=lambda group: min(bright[k] for k in group))


def _cations(table: pd.DataFrame, lattice: Lattice) -> list[tuple[int, ...]]:
    """The two brightest species of columns, A and B in either order."""
    return _species(table, lattice)[:2]


def _across(found: Octahedra) -> float:
    """How much further oxygen stands from the middle of its bonds across them than along."""
    table = found.oxygen
    if not len(table):
        return 1.0
    a, b = (found.net.vectors * found.net.scale).copy()
    way = np.where((table["axis"] == "a").to_numpy()[:, None], a, b)
    way = way / np.hypot(*way.T)[:, None]
    away = table[["dy", "dx"]].to_numpy() * found.net.scale
    along = (away * way).sum(axis=1)
    across = away[:, 1] * way[:, 0] - away[:, 0] * way[:, 1]
    return float(np.sqrt((across**2).mean()) / max(np.sqrt((along**2).mean()), 1e-12))


def _of_cations(
    table: pd.DataFrame,
    lattice: Lattice,
    kinds: tuple[int, ...],
    oxygen: Positions | None,
    chosen: tuple[int, ...] | None,
) -> Octahedra:
    """Octahedra about the columns of some sublattices."""
    mine = table["sublattice"].isin(kinds).to_numpy()
    mine = mine & _measured(positions_of(table), errors_of(table))
    cations = table[mine].drop(columns=list(SITE))
    sampling = None if lattice.pixel is None else (lattice.pixel[0], lattice.pixel[1])
    net = find_lattice(positions_of(cations), sampling, cell="primitive", sublattices=1)
    if len(net) != 1:
        raise ValueError(f"sublattices {kinds} make no net of one column a cell")
    placed = assign(cations.reset_index(drop=True), net)
    if (placed["sublattice"] >= 0).mean() < NET:
        raise ValueError(
            f"sublattices {kinds} make no net of one column a cell: choose another, or name the "
            "species of A and B"
        )
    points, errors = _oxygen(table, mine, lattice, oxygen, chosen)
    sites = SiteIndex(placed)
    rows = sites.of((0,))
    faces = np.stack([sites.rows(sites.cells[rows] + side, 0) for side in SIDES])
    near = _beside(sites.points, rows, faces, net, points)
    if not (near >= 0).any():
        raise ValueError(
            "no oxygen column stands between two B columns: check that both images have the same "
            "pixels, and the sublattice; where A and B are equally bright, name their species"
        )
    bonds = _bonds(sites, rows, faces, near, points, errors, net)
    found, shares = _octahedra(sites, rows, faces, near, points, errors, net)
    found["column"] = np.flatnonzero(mine)[found["column"]]
    return Octahedra(found, bonds, _order(found, shares), kinds, net, "given")


def _oxygen(
    table: pd.DataFrame,
    cations: NDArray[np.bool_],
    lattice: Lattice,
    oxygen: Positions | None,
    chosen: tuple[int, ...] | None,
) -> tuple[Array, Array]:
    """(M, 2) places of what may be oxygen columns, and their errors, px."""
    if oxygen is not None:
        points = positions_of(oxygen, "oxygen")
        known = oxygen if isinstance(oxygen, pd.DataFrame) else pd.DataFrame(points)
        errors = errors_of(known)
    else:
        mine = ~cations & (table["sublattice"].to_numpy() >= 0)
        if chosen is not None:
            others = checked_sublattices(chosen, lattice, "oxygen_sublattices")
            mine = table["sublattice"].isin(others).to_numpy()
        points, errors = positions_of(table)[mine], errors_of(table)[mine]
    finite = _measured(points, errors)
    return points[finite], errors[finite]


def _measured(points: Array, errors: Array) -> NDArray[np.bool_]:
    """(N,) which columns have a place, and an error if others do: without one, a column was found
    but its fit failed, and it stands where it was expected.
    """
    known = np.isfinite(points).all(axis=1)
    fitted = np.isfinite(errors).all(axis=1)
    return np.asarray(known & fitted if fitted.any() else known)


def _beside(
    points: Array, rows: Indices, faces: Indices, lattice: Lattice, oxygen: Array
) -> Indices:
    """(4, R) rows of the oxygen on each side of the B columns, -1 without.

    It should be in the middle between two B columns; beside one at the border, half a vector away.
    """
    steps = (SIDES @ lattice.vectors)[:, None]
    half = np.where((faces >= 0)[..., None], points[faces] - points[rows], steps) / 2.0
    places = points[rows] + half
    if not len(oxygen):
        return np.full(faces.shape, -1)
    scale = lattice.scale
    reach = TOLERANCE * float(np.hypot(*(lattice.vectors * scale).T).min())
    distance, near = cKDTree(oxygen * scale).query(places * scale, distance_upper_bound=reach)
    return np.asarray(np.where(np.isfinite(distance), near, -1), dtype=np.int64)


def _bonds(
    sites: SiteIndex,
    rows: Indices,
    faces: Indices,
    near: Indices,
    points: Array,
    errors: Array,
    lattice: Lattice,
) -> pd.DataFrame:
    """The oxygen columns between two B columns."""
    parts = []
    for axis, side in (("a", 0), ("b", 2)):
        there = (faces[side] >= 0) & (near[side] >= 0)
        first, second, third = rows[there], faces[side][there], near[side][there]
        ends = sites.points[[first, second]]
        away = points[third] - ends.mean(axis=0)
        error = np.sqrt(
            errors[third] ** 2 + 0.25 * (sites.errors[first] ** 2 + sites.errors[second] ** 2)
        )
        arms = (ends - points[third]) * lattice.scale
        length = np.hypot(arms[..., 0], arms[..., 1])
        cosine = (arms[0] * arms[1]).sum(axis=1) / length.prod(axis=0)
        part = {
            "axis": axis,
            "i": sites.cells[first, 0],
            "j": sites.cells[first, 1],
            "y": points[third, 0],
            "x": points[third, 1],
            **_shift(away, error, lattice),
            "bond_1": length[0],
            "bond_2": length[1],
            "angle_deg": np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))),
        }
        parts.append(pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def _octahedra(
    sites: SiteIndex,
    rows: Indices,
    faces: Indices,
    near: Indices,
    points: Array,
    errors: Array,
    lattice: Lattice,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The B columns with oxygen on opposite sides, and which columns turn each.

    The latter has a row a column that a tilt depends on: ``row`` of the first table, ``column``,
    a number of its own, and ``weight``, degrees of tilt for a standard error of that column.
    """
    scale = lattice.scale
    tilts, tilt_errors, sizes = [], [], []
    shares: list[tuple[Indices, Indices, Array]] = []
    for ahead, behind in ((0, 1), (2, 3)):
        whole = (near[ahead] >= 0) & (near[behind] >= 0)
        line = (points[near[ahead]] - points[near[behind]]) * scale
        length = np.where(whole, np.hypot(*line.T), 1.0)
        # Against the two B columns beside, or the lattice at the border.
        front = np.where((faces[ahead] >= 0)[:, None], sites.points[faces[ahead]], np.nan)
        back = np.where((faces[behind] >= 0)[:, None], sites.points[faces[behind]], np.nan)
        base = (front - back) * scale
        plain = 2.0 * SIDES[ahead] @ lattice.vectors * scale
        both = (faces[ahead] >= 0) & (faces[behind] >= 0)
        base = np.where(both[:, None], base, plain)
        cross = base[:, 1] * line[:, 0] - base[:, 0] * line[:, 1]
        # Counter-clockwise as seen, with y down.
        angle = -np.arctan2(cross, (base * line).sum(axis=1))
        across = np.array([-base[:, 1], base[:, 0]]) / np.hypot(*base.T)
        variance = (errors[near[ahead]] ** 2 + errors[near[behind]] ** 2) * scale**2
        # The line of the two B columns, which are as uncertain, is longer.
        ends = np.where(both, sites.errors[faces[ahead]].T ** 2, 0.0).T
        ends = ends + np.where(both, sites.errors[faces[behind]].T ** 2, 0.0).T
        long = np.hypot(*base.T)
        ends = (ends * scale**2 * across.T**2).sum(axis=1) / long**2
        spread = np.sqrt((variance * across.T**2).sum(axis=1) / length**2 + ends)
        for column, unsure, part, known in (
            (near[ahead], errors[near[ahead]], length, whole),
            (near[behind], errors[near[behind]], -length, whole),
            (faces[ahead] + len(points), sites.errors[faces[ahead]], -long, whole & both),
            (faces[behind] + len(points), sites.errors[faces[behind]], long, whole & both),
        ):
            turn = np.sqrt((unsure**2 * scale**2 * across.T**2).sum(axis=1)) / part
            shares.append((np.flatnonzero(known), column[known], np.degrees(turn[known])))
        tilts.append(np.where(whole, np.degrees(angle), np.nan))
        tilt_errors.append(np.where(whole, np.degrees(spread), np.nan))
        sizes.append(np.where(whole, length, np.nan))
    tilt, error, size = np.stack(tilts), np.stack(tilt_errors), np.stack(sizes)
    lines = np.isfinite(tilt).sum(axis=0)
    kept = lines > 0
    away, away_error = _off_centre(sites, rows, near, points, errors, np.isfinite(tilt))
    mean = np.nansum(tilt, axis=0) / np.maximum(lines, 1)
    mean_error = np.sqrt((np.where(np.isfinite(tilt), error, 0.0) ** 2).sum(axis=0))
    table = pd.DataFrame(
        {
            "i": sites.cells[rows, 0],
            "j": sites.cells[rows, 1],
            "y": sites.points[rows, 0],
            "x": sites.points[rows, 1],
            "oxygens": (near >= 0).sum(axis=0),
            "tilt_deg": mean,
            "tilt_deg_err": mean_error / np.maximum(lines, 1),
            "tilt_a_deg": tilt[0],
            "tilt_a_deg_err": error[0],
            "tilt_b_deg": tilt[1],
            "tilt_b_deg_err": error[1],
            "size_a": size[0],
            "size_b": size[1],
            **_shift(away, away_error, lattice),
            "column": rows,
        }
    )
    which, column, weight = (np.concatenate(part) for part in zip(*shares, strict=True))
    row = np.cumsum(kept) - 1
    parts = pd.DataFrame({"row": row[which], "column": column, "weight": weight / lines[which]})
    return table.iloc[np.flatnonzero(kept)].reset_index(drop=True), parts


def _off_centre(
    sites: SiteIndex,
    rows: Indices,
    near: Indices,
    points: Array,
    errors: Array,
    lines: NDArray[np.bool_],
) -> tuple[Array, Array]:
    """(R, 2) of B columns from the middle of the oxygens on opposite sides, and errors; px."""
    used = np.repeat(lines, 2, axis=0)[..., None]
    count = np.maximum(used.sum(axis=0), 1)
    centre = np.where(used, points[near], 0.0).sum(axis=0) / count
    variance = np.where(used, errors[near] ** 2, 0.0).sum(axis=0) / count**2
    return sites.points[rows] - centre, np.sqrt(variance + sites.errors[rows] ** 2)


def _shift(away: Array, error: Array, lattice: Lattice) -> dict[str, Array]:
    found = {"dy": away[:, 0], "dx": away[:, 1], "dy_err": error[:, 0], "dx_err": error[:, 1]}
    if lattice.pixel is not None:
        factor = PICOMETRES * lattice.pixel
        found |= {"dy_pm": factor[0] * away[:, 0], "dx_pm": factor[1] * away[:, 1]}
        found |= {"dy_err_pm": factor[0] * error[:, 0], "dx_err_pm": factor[1] * error[:, 1]}
    return found


def _order(table: pd.DataFrame, shares: pd.DataFrame) -> pd.DataFrame:
    """Mean tilts with the signs of each order.

    Octahedra share their oxygen: what turns one to the left turns the next one to the right, which
    hardly changes a mean of all, and changes one of alternating signs twice. The scatter is that of
    the tilts; how much of it the mean keeps follows from what the columns have in common.
    """
    rows = []
    tilt = table["tilt_deg"].to_numpy()
    single = float((table["tilt_deg_err"].to_numpy() ** 2).sum())
    for name, (m, n) in ORDERS.items():
        sign = 1 - 2 * ((m * table["i"] + n * table["j"]).to_numpy() % 2)
        signed, count = tilt * sign, len(tilt)
        error = signed.std(ddof=1) / np.sqrt(count) if count > 1 else np.nan
        moved = sign[shares["row"].to_numpy()] * shares["weight"].to_numpy()
        net = np.bincount(shares["column"].to_numpy(), moved)
        if np.isfinite(single) and single > 0:
            error = error * np.sqrt((net**2).sum() / single)
        rows.append((name, signed.mean() if count else np.nan, error))
    return pd.DataFrame(rows, columns=["order", "tilt_deg", "tilt_deg_err"])
