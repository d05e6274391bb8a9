"""Steps of strain within a lattice: a film on its substrate, told from a crystal that is bent.

Columns of a strained film go on with those of its substrate, row by row, so that both stand on one
lattice. Their displacements from it tell them apart: they change their slope at the interface. A
crystal that is bent or graded, or a scan that drifts, changes it everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.strain import strains

PLANES: Indices = np.array([[1, 0], [0, 1], [1, 1], [1, -1]])
"""Planes (h, k) of the cell along which interfaces are sought: layer h i + k j."""
WINDOWS = (8, 16, 32)
"""Layers on either side of a cut that are compared."""
FEWEST_LAYERS = 4
"""Layers on either side, at least."""
COARSE = 2.0
"""Layers between the cuts that are tried first."""
WIDTHS = (2.0, 4.0, 6.0, 9.0, 13.0, 18.0, 24.0)
"""Layers over which strain may change instead."""
SHARP = 4.0
"""Sides of the cell; what changes over more is no interface."""
UNEXPLAINED = 0.25
"""Part of the squares that a step explains which it may leave beyond the noise; more is no step."""
SHIFTED = 0.5
"""Part of a change by which that of one sublattice may differ."""
UNCERTAIN = 3.0
"""Logarithms of likelihoods that differ by less do not tell widths apart."""
EVIDENCE = 10.0
"""Logarithm of the likelihood by which a step must explain more than a smooth change does, and than
no change: 1 : 20,000."""
LEAST_STRAIN = 0.004
"""Smaller steps are not told from what scans do."""
LEAST_TURN = 0.4
"""The same of turns, degrees."""
MOST, MOST_TURN = 0.12, 10.0
"""Strain and turn (degrees) of larger steps, at which sites are wrong."""


@dataclass(frozen=True)
class Change:
    """A plane across which the strain of a lattice changes.

    Attributes
    ----------
    plane : (h, k): layers are h i + k j, with the place of the column in the cell.
    layer : the cut; columns of higher layers lie behind it.
    strain : ``eps_xx`` ... ``rotation_deg`` of what lies behind it against what lies before it, as
        means of the layers that were compared.
    width : layers over which strain changes, as far as columns show it.
    sharp : whether it is a step; otherwise a smooth change explains the columns as well, or better.
    evidence : logarithm of the likelihood by which a step explains more than a smooth change does;
        where it is not sharp, by which a change explains more than none.
    """

    plane: tuple[int, int]
    layer: float
    strain: dict[str, float]
    width: float
    sharp: bool
    evidence: float


def find_change(
    points: Array,
    cells: Indices,
    sublattice: Indices,
    lattice: Lattice,
    *,
    smallest: int = 20,
) -> Change | None:
    """Find where the strain among the columns of a lattice changes most clearly.

    On either side of a plane, displacements u from the sites follow an affine map, u = c + D X,
    with a shift c for each sublattice. With one D on both sides there is no step, and with two
    there is one. It must explain the displacements better than D that changes evenly with its
    first and second power over the layers, and than one that changes over more than a few layers.
    Residuals of one layer that are alike, as those of a scan line are, count less.

    Parameters
    ----------
    points : (N, 2) px; of columns on sites.
    cells, sublattice : (N, 2) and (N,), their sites.
    smallest : columns on either side, at least.

    Returns
    -------
    The step with the most evidence; without one, the smooth change with the most; None where
    strain does not change.
    """
    if len(points) < 2 * smallest:
        return None
    sites = lattice.sites(cells[:, 0], cells[:, 1], sublattice)
    away = (points - sites) * lattice.scale
    index = cells + lattice.motif[sublattice]
    best: Change | None = None
    for h, k in PLANES:
        basis = np.array([[h, k], [-k, h]], dtype=np.float64)
        layer, along = basis @ index.T
        for reach in WINDOWS:
            found = _cut(away, layer, along, sublattice, reach, smallest)
            if found is None:
                continue
            change = _judged(found, away, layer, along, sublattice, basis, lattice)
            if change is not None and (best is None or _rank(change) > _rank(best)):
                best = change
            if float(np.ptp(layer)) <= 2 * reach:
                break
    return best


def behind(change: Change, cells: Indices, sublattice: Indices, lattice: Lattice) -> Mask:
    """(N,) which columns lie behind a change."""
    index = cells + lattice.motif[sublattice]
    return np.asarray(index @ np.array(change.plane, dtype=np.float64) > change.layer)


def _rank(change: Change) -> tuple[bool, float]:
    return change.sharp, change.evidence


@dataclass(frozen=True)
class _Cut:
    """Columns about a cut, and the cut."""

    chosen: Mask
    layer: float


def _cut(
    away: Array, layer: Array, along: Array, kind: Indices, reach: int, smallest: int
) -> _Cut | None:
    """The cut at which two maps are better than one by the most, in units of the residuals."""
    low, high = float(layer.min()), float(layer.max())
    first, last = np.ceil(low) + FEWEST_LAYERS - 0.25, high - FEWEST_LAYERS + 1.0

    def gain(cut: float) -> float:
        chosen = np.abs(layer - cut) < reach
        after = layer[chosen] > cut
        if not first <= cut < last or min(after.sum(), (~after).sum()) < smallest:
            return 0.0
        plain, step = _designs(layer[chosen] - cut, along[chosen], kind[chosen])
        spare = len(plain) - plain.shape[1] - 2
        if spare <= 0:
            return 0.0
        _, one = _fit(plain, away[chosen])
        _, two = _fit(np.concatenate([plain, step], axis=1), away[chosen])
        squares = (two**2).sum(axis=0)
        return float((((one**2).sum(axis=0) - squares) / np.maximum(squares / spare, 1e-12)).sum())

    coarse = np.arange(first, last, COARSE)
    if not len(coarse):
        return None
    middle = coarse[int(np.argmax([gain(cut) for cut in coarse]))]
    fine = np.arange(middle - COARSE + 0.5, middle + COARSE, 0.5)
    gains = [gain(cut) for cut in fine]
    cut = float(fine[int(np.argmax(gains))])
    return _Cut(np.abs(layer - cut) < reach, cut) if max(gains) > 0.0 else None


def _judged(
    cut: _Cut,
    away: Array,
    layer: Array,
    along: Array,
    kind: Indices,
    basis: Array,
    lattice: Lattice,
) -> Change | None:
    """The change of strain at a cut, if there is one."""
    chosen = cut.chosen
    t, v, values = layer[chosen] - cut.layer, along[chosen], away[chosen]
    plain, step = _designs(t, v, kind[chosen])
    whole = np.concatenate([plain, step], axis=1)
    coefficients, rest = _fit(whole, values)
    spare = max(len(t) - whole.shape[1], 1)
    squares = (rest**2).sum(axis=0)
    variance = np.maximum(squares / spare, 1e-12) * _shared(rest, t)

    def left_by(design: Array) -> Array:
        _, other = _fit(np.concatenate([plain, design], axis=1), values)
        return np.asarray((other**2).sum(axis=0))

    def worse(left: Array) -> float:
        return float(((left - squares) / variance).sum()) / 2.0

    none = left_by(np.zeros((len(t), 0)))
    if worse(none) < EVIDENCE:
        return None
    ramps = {0.0: squares} | {width: left_by(_ramp(t, v, width)) for width in WIDTHS}
    width = min(ramps, key=lambda each: worse(ramps[each]))
    row = np.hypot(*((basis[1] @ lattice.vectors) * lattice.scale))
    side = row / np.sqrt(lattice.area * lattice.scale.prod())
    narrow = min(worse(left) for each, left in ramps.items() if each <= SHARP * side)
    smooth = left_by(np.stack([t**2, t**3, v * t, v * t**2], axis=1))
    noise = np.maximum(_noise(rest, t, v), 1e-12)

    def unexplained(left: Array) -> float:
        return float((left / noise - len(t)).sum() / ((none - left) / noise).sum())

    sharp = (
        narrow - worse(ramps[width]) < UNCERTAIN
        and worse(smooth) >= EVIDENCE
        and unexplained(squares) <= UNEXPLAINED
    )
    if not sharp and min(map(unexplained, (smooth, ramps[width]))) > 2.0 * UNEXPLAINED:
        return None
    evidence = worse(smooth) if sharp else worse(none)
    if not _common(np.concatenate([plain, step], axis=1), kind[chosen], values, coefficients[-2:]):
        return None
    # Derivatives by (layer, along) become those by the place in Å.
    basis_change = (np.linalg.inv(lattice.vectors * lattice.scale) @ basis.T).T
    before = np.eye(2) + coefficients[-4:-2].T @ basis_change
    after = before + coefficients[-2:].T @ basis_change
    parts = strains(after @ np.linalg.inv(before))
    jump = {name: float(value) for name, value in parts.items()}
    strain = max(abs(value) for name, value in jump.items() if name.startswith("eps"))
    turn = abs(jump["rotation_deg"])
    if (strain < LEAST_STRAIN and turn < LEAST_TURN) or strain > MOST or turn > MOST_TURN:
        return None
    h, k = (round(float(each)) for each in basis[0])
    return Change((h, k), cut.layer, jump, width, sharp, evidence)


def _designs(t: Array, v: Array, kind: Indices) -> tuple[Array, Array]:
    """Shifts of each sublattice on either side, and slopes; and what a step adds to slopes."""
    side = (t > 0).astype(np.int64)
    _, group = np.unique(2 * kind + side, return_inverse=True)
    shifts = np.eye(int(group.max()) + 1)[group.ravel()]
    plain = np.column_stack([shifts, t, v - v.mean()])
    return plain, np.column_stack([np.maximum(t, 0.0), side * (v - v.mean())])


def _ramp(t: Array, v: Array, width: float) -> Array:
    """(N, 2) what slopes add that change evenly over a width about the cut."""
    part = np.clip(t / width + 0.5, 0.0, 1.0)
    grown = np.where(t >= width / 2, t, 0.5 * width * part**2)
    return np.column_stack([grown, part * (v - v.mean())])


def _fit(design: Array, values: Array) -> tuple[Array, Array]:
    """Coefficients (P, 2) of least squares, and what is left (N, 2)."""
    normal = design.T @ design
    normal[np.diag_indices_from(normal)] += 1e-9 * np.trace(normal) / len(normal)
    coefficients = np.linalg.solve(normal, design.T @ values)
    return np.asarray(coefficients, np.float64), np.asarray(values - design @ coefficients)


def _common(design: Array, kind: Indices, values: Array, joint: Array) -> bool:
    """Whether all sublattices change their slopes alike: what one does alone is a polar shift."""
    for k in np.unique(kind):
        own = kind == k
        if own.sum() > 2 * design.shape[1]:
            apart = _fit(design[own], values[own])[0][-2:] - joint
            if np.linalg.norm(apart) > SHIFTED * np.linalg.norm(joint):
                return False
    return True


def _noise(rest: Array, t: Array, v: Array) -> Array:
    """(2,) variance of residuals (N, 2) that nearest neighbours do not share."""
    places = np.column_stack([t, v])
    near = np.asarray(cKDTree(places).query(places, k=2)[1])[:, 1]
    return np.asarray(0.5 * ((rest - rest[near]) ** 2).mean(axis=0))


def _shared(rest: Array, t: Array) -> Array:
    """(2,) factor by which means of layers vary more than independent residuals make them."""
    _, layer = np.unique(np.round(t).astype(np.int64), return_inverse=True)
    layer = layer.ravel()
    count = np.bincount(layer)
    factors = []
    for part in rest.T:
        mean = np.bincount(layer, part) / count
        variance = max(float((part**2).mean()), 1e-24)
        factors.append(max(1.0, float((count * mean**2).mean()) / variance))
    return np.array(factors)
