"""How well a lattice explains the columns, and where it does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.alternation import Alternation, alternation
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.sites import (
    PICOMETRES,
    SITE,
    SiteIndex,
    assigned,
    intensity_of,
)
from napari_atomseg.analysis.positions import positions_of

NEIGHBOURS = 8
"""Columns of the same sublattice from whose displacements that of one is foretold."""
FLAT = 0.05
"""Neighbours that spread so little in one direction foretell nothing."""
STRAY = 0.1
"""Columns that stray by more than this part of the cell's shorter side are not explained."""
LARGEST = 50.0
"""Å; longer cells are more often a wrong sampling or a wrong lattice than a crystal's."""
MANY_SITES = 32
"""More columns in a cell without a sampling are as rare."""
LOST = 0.1
"""More than this part of the columns on no site is another crystal, or no column."""
MINORITY = 0.5
"""With less than this part of the columns on sites, results are those of a minority."""
NEAREST = 0.6
"""Å; columns nearer to each other are resolved by hardly any microscope."""
LEAST_AREA, MOST_AREA = 1.0, 40.0
"""Å² of a lattice for each of its columns. Those of the built-in crystals along all zone axes with
indices up to 1, as far as columns are resolved, have 1.1 (LiCoO2 [111]) to 23 (Co3O4 [110], of
which one kind of columns is seen)."""
EMPTY = 0.5
"""Sublattices with fewer columns than this part of the fullest one's are doubtful."""

TORN = 0.004
"""Lattice vectors that differ from the mean steps between columns by a larger part are not those of
the crystal: it is torn, and sites on both sides of a dislocation are numbered alike."""
STRAIGHT = 0.3
"""Part of that difference below which a sublattice alone shows none."""
FEWEST_STEPS = 20
FAR, SURE = 4.0, 3.0
"""Steps farther from the usual one than so many median distances are left out, and so many standard
errors of their mean are no accident."""


@dataclass(frozen=True)
class LatticeQuality:
    """How well the sites of a lattice explain columns.

    Attributes
    ----------
    on_sites, columns : number of columns on sites, and of all.
    rms : root mean square distance of columns from the sites of one straight lattice, Å, or px
        where the sampling is not known.
    local_rms : the same from where the neighbours of the same sublattice foretell a column, without
        bending, drift and strain; the error of the neighbours is taken off.
    warnings : sentences on what is not explained; empty if all is.
    doubt : why results that stand on the lattice are not to be taken as they are, in a few words;
        empty if there is no reason.
    """

    on_sites: int
    columns: int
    rms: float
    local_rms: float
    warnings: tuple[str, ...]
    doubt: str = ""


def lattice_quality(
    columns: pd.DataFrame, lattice: Lattice, *, part: bool = False
) -> LatticeQuality:
    """Compare columns with the sites of their lattice.

    Parameters
    ----------
    columns : table with `y` and `x` (px); sites are found where it has none, see `assign`.
    lattice : lattice of the columns.
    part : whether columns may be those of some sublattices alone.
    """
    table = assigned(columns, lattice)
    kind = table["sublattice"].to_numpy()
    on = kind >= 0
    cells = table.loc[on, list(SITE[:2])].to_numpy(dtype=np.int64)
    points = positions_of(table)[on]
    away = (points - lattice.sites(cells[:, 0], cells[:, 1], kind[on])) * lattice.scale
    straight = float(np.sqrt((away**2).sum(axis=1).mean())) if len(away) else float("nan")
    local = _local(points * lattice.scale, away, kind[on])
    warnings = _warnings(lattice, kind, straight, local, part=part) + _torn(table, lattice)
    doubts = []
    if local > STRAY * _shorter_side(lattice):
        doubts.append("the cell does not explain the columns")
    lengths = _impossible_lengths(positions_of(table), lattice)
    if lengths:
        warnings.append(f"{lengths}: check the sampling, {_pixel(lattice)} Å per pixel")
        doubts.append(lengths)
    if on.sum() < MINORITY * len(table):
        doubts.append(f"only {on.sum()} of {len(table)} columns are on the lattice")
    light = intensity_of(table, None)
    light = None if light is None else light[on]
    found = alternation(lattice, away / lattice.scale, points, cells, kind[on], light)
    if found is not None:
        told = _alternating(found, known=lattice.pixel is not None)
        warnings.append(
            f"{told}, too much for chance: there may be two kinds of sites; give the number of "
            f"columns in a cell (Columns per cell: {found.columns})"
        )
        doubts.append(told)
    return LatticeQuality(
        int(on.sum()), len(table), straight, local, tuple(warnings), "; ".join(doubts)
    )


def _impossible_lengths(points: Array, lattice: Lattice) -> str:
    """What no crystal has of the lengths that the sampling gives, in words; "" without any."""
    if lattice.pixel is None:
        return ""
    nearest = median_spacing(points * lattice.scale)
    if nearest < NEAREST:
        return f"nearest columns are {nearest:.2f} Å apart"
    area = lattice.area * float(lattice.scale.prod()) / len(lattice)
    if not LEAST_AREA <= area <= MOST_AREA:
        few = "few" if area < LEAST_AREA else "many"
        return f"{area:.2g} Å² of the image for each column are too {few} for a crystal"
    return ""


def _shorter_side(lattice: Lattice) -> float:
    """Å, or px where the sampling is not known."""
    return float(np.hypot(*(lattice.vectors * lattice.scale).T).min())


def _pixel(lattice: Lattice) -> str:
    """Å a pixel, once where they are the same both ways."""
    return " × ".join(dict.fromkeys(f"{each:.4g}" for each in lattice.scale))


def _alternating(found: Alternation, *, known: bool) -> str:
    """An alternation in words."""
    if found.kind == "intensity":
        parts = f"{100 * found.size:.1f} ± {100 * found.error:.1f} %"
        return f"every other site differs in intensity by {parts}"
    factor, unit = (PICOMETRES, "pm") if known else (1.0, "px")
    size, error = (f"{factor * each:.2g}" for each in (found.size, found.error))
    return f"every other site is displaced by {size} ± {error} {unit} against those between"


def _torn(table: pd.DataFrame, lattice: Lattice) -> list[str]:
    """What the mean steps along a and b say against the lattice vectors.

    Over a dislocation the sites of columns are shifted by its Burgers vector, which bends a lattice
    that is fitted to all of them; steps from column to column are not. Where sublattices turn their
    displacement, as at a wall between polar domains, the crystal is whole: some of its sublattices
    have steps like those of their own lattice.
    """
    sites = SiteIndex(table)
    unit = "Å" if lattice.pixel is not None else "px"
    found = []
    lengths = np.hypot(*(lattice.vectors * lattice.scale).T)
    for name, step, vector, length in zip(
        "ab", np.eye(2, dtype=np.int64), lattice.vectors, lengths, strict=True
    ):
        usual = _usual_step(sites, sites.on, step, lattice.scale)
        if usual is None:
            continue
        off = float(np.hypot(*(usual[0] - vector * lattice.scale)))
        if off <= max(TORN * length, SURE * usual[1]):
            continue
        mean = float(np.hypot(*usual[0]))
        reason = "the crystal is torn, as by a dislocation or a boundary, or bent"
        if _part_is_straight(sites, lattice, step, off):
            reason = (
                "sublattices are displaced against each other in one part of the image otherwise "
                "than in another, as on both sides of a domain wall"
            )
        found.append(
            f"{name} is {length:.4g} {unit} by all sites, but the mean step from column to "
            f"column is {mean:.4g} {unit}, {100 * off / length:.2g} % of it away in length "
            f"and direction: {reason}; believe the steps, or measure a part"
        )
    return found


def _usual_step(
    sites: SiteIndex, rows: Indices, step: Indices, scale: Array
) -> tuple[Array, float] | None:
    """Mean step (2,) from columns to those a cell further, and its error; None of too few."""
    end = sites.rows(sites.cells[rows] + step, sites.sublattice[rows])
    start, end = rows[end >= 0], end[end >= 0]
    if len(start) < FEWEST_STEPS:
        return None
    steps = (sites.points[end] - sites.points[start]) * scale
    away = np.hypot(*(steps - np.median(steps, axis=0)).T)
    usual = steps[away <= FAR * np.median(away)]
    # Of neighbouring steps, one is longer by what the other is shorter: this is too careful.
    return usual.mean(axis=0), float(np.sqrt((usual.std(axis=0) ** 2).sum() / len(usual)))


def _part_is_straight(sites: SiteIndex, lattice: Lattice, step: Indices, off: float) -> bool:
    """Whether one of several sublattices alone, fitted by itself, has the steps of its lattice."""
    for k in range(len(lattice)) if len(lattice) > 1 else ():
        rows = sites.of((k,))
        usual = _usual_step(sites, rows, step, lattice.scale)
        if usual is None:
            continue
        design = np.column_stack([np.ones(len(rows)), sites.cells[rows]])
        vectors = np.linalg.lstsq(design, sites.points[rows] * lattice.scale, rcond=None)[0][1:]
        if float(np.hypot(*(usual[0] - step @ vectors))) < STRAIGHT * off:
            return True
    return False


def _local(points: Array, away: Array, kind: Array) -> float:
    """Root mean square of displacements less those that a plane through their neighbours has."""
    squares, count = 0.0, 0
    for k in np.unique(kind):
        members = np.flatnonzero(kind == k)
        if len(members) <= NEIGHBOURS:
            continue
        near = cKDTree(points[members]).query(points[members], k=NEIGHBOURS + 1)[1]
        index = np.asarray(near)[:, 1:]
        steps = points[members][index] - points[members][:, None]
        design = np.concatenate([np.ones((*steps.shape[:2], 1)), steps], axis=2)
        normal = np.swapaxes(design, 1, 2) @ design
        spread = np.linalg.eigvalsh(normal[:, 1:, 1:])
        good = spread[:, 0] > FLAT * spread[:, 1]
        if not good.any():
            continue
        inverse = np.linalg.inv(normal[good])
        weights = inverse[:, :1] @ np.swapaxes(design[good], 1, 2)
        foretold = (weights @ away[members][index][good])[:, 0]
        rest = away[members][good] - foretold
        squares += float(((rest**2).sum(axis=1) / (1.0 + inverse[:, 0, 0])).sum())
        count += int(good.sum())
    return float(np.sqrt(squares / count)) if count else float("nan")


def _warnings(
    lattice: Lattice, kind: Array, straight: float, local: float, *, part: bool
) -> list[str]:
    found = []
    known = lattice.pixel is not None
    side = _shorter_side(lattice)

    def length(value: float) -> str:
        return f"{PICOMETRES * value:.3g} pm" if known else f"{value:.3g} px"

    if local > STRAY * side:
        found.append(
            f"columns stray by {length(local)} (rms) from where their neighbours foretell them, "
            "more than a tenth of the cell: the cell does not explain them; name the crystal, or "
            "the number of columns in a cell"
        )
    elif straight > STRAY * side:
        found.append(
            f"columns are {length(straight)} (rms) off one straight lattice, more than a tenth of "
            f"the cell, but only {length(local)} off where their neighbours foretell them: the "
            "lattice is bent or strained, or the scan drifted; the mean cell is not that of every "
            "place"
        )
    longest = float(np.hypot(*(lattice.vectors * lattice.scale).T).max())
    if known and longest > LARGEST:
        found.append(
            f"a cell of {longest:.1f} Å is longer than {LARGEST:g} Å: check the sampling, or give "
            "the number of columns in a cell"
        )
    if not known and len(lattice) > MANY_SITES:
        found.append(f"a cell of {len(lattice)} columns is doubtful: name the crystal")
    lost = float((kind < 0).mean()) if len(kind) else 0.0
    if lost > LOST:
        found.append(
            f"{100 * lost:.0f} % of the columns are on no site: of another crystal or grain, or "
            "false; look for several lattices, or measure a part of the image"
        )
    counts = np.bincount(kind[kind >= 0], minlength=len(lattice))
    few = np.flatnonzero((counts < EMPTY * counts.max(initial=0)) & ((counts > 0) | (not part)))
    if len(few):
        names = " and ".join(map(str, few))
        found.append(
            f"sublattice{'s' * (len(few) > 1)} {names}: fewer than half of the sites have a column"
        )
    return found
