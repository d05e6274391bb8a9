"""What a crystal may look like along a zone axis: the columns that are seen, and their lattice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.analysis.lattice.motif import AROUND
from napari_atomseg.analysis.lattice.vectors import combinations, shortest_basis

if TYPE_CHECKING:
    from napari_atomseg.specimen.crystals.zone import OrientedCell

SAME_PLACE = 0.05
"""Å: a shift that brings columns this close to columns of their kind is a translation."""
SAME_WEIGHT = 0.02
"""Columns of the same elements that scatter alike within this part are equally bright."""
AVERAGED = 0.3
"""Å: columns that a shift brings this close to columns of their kind may look the same."""
MOST_KINDS = 5
"""Each of so many kinds, from the brightest on, is tried as the faintest one that is seen."""
MOST_COLUMNS = 64
"""Most columns in a primitive cell; lattices with more cannot be recognized."""
EITHER = " or "
"""Between the names of columns that cannot be told apart."""


@dataclass(frozen=True)
class Pattern:
    """Columns that are seen of a crystal.

    Attributes
    ----------
    vectors : (2, 2) lattice vectors, each row (y, x) in Å.
    places : (K, 2) columns in fractions of the vectors.
    names : (K,) elements of each, such as "TiO".
    weights : (K,) projected scattering of each, relative.
    spread : deviation of the logarithms of weights that are taken for equal.
    hidden : the brightest column that is not seen, relative to the faintest that is.
    strayed : rms (Å) of small displacements that are averaged.
    apart : the same columns with all kinds and places told apart, where this pattern does not.
    """

    vectors: Array
    places: Array
    names: tuple[str, ...]
    weights: Array
    spread: float = 0.0
    hidden: float = 0.0
    strayed: float = 0.0
    apart: Pattern | None = None

    def __len__(self) -> int:
        """Columns of a cell."""
        return len(self.places)

    def select(self, which: Indices) -> Pattern:
        """The same cell with some of its columns."""
        names = tuple(self.names[i] for i in which)
        return replace(self, places=self.places[which], names=names, weights=self.weights[which])

    def steps(self, first: Array, second: Array) -> Array:
        """(N, M, 2) from the second places to the nearest images of the first, in Å."""
        away = first[:, None] - second
        images = ((away - np.round(away))[..., None, :] + AROUND) @ self.vectors
        nearest = np.hypot(images[..., 0], images[..., 1]).argmin(axis=-1)
        return np.asarray(np.take_along_axis(images, nearest[..., None, None], -2)[..., 0, :])

    def distances(self, first: Array, second: Array) -> Array:
        """(N, M) lengths of `steps`."""
        return np.asarray(np.hypot(*np.moveaxis(self.steps(first, second), -1, 0)))


def patterns(cell: OrientedCell, resolution: float) -> list[Pattern]:
    """All that may be seen of a crystal turned towards the beam, each in its smallest cell.

    Columns of light elements may be too faint to be seen beside bright ones; columns closer than
    the resolution (Å) may be seen as one; where brightness is not known, those of several kinds may
    pass for one kind; and displacements that alternate may be too small to be seen. None where the
    crystal's cell has too many columns.
    """
    from napari_atomseg.specimen.crystals.projection import project_cell

    lattice = project_cell(cell)
    kind, kinds = lattice.species
    names = tuple(kinds[k] for k in kind)
    whole = Pattern(lattice.vectors, lattice.positions, names, lattice.weights)
    if len(whole) > 8 * MOST_COLUMNS:
        return []
    whole = _smallest(whole, _kinds(whole))
    if len(whole) > MOST_COLUMNS:
        return []
    found = []
    for seen in _visible(whole):
        joined = _joined(seen, resolution)
        for columns in [seen] if joined is None else [seen, joined]:
            apart = _smallest(columns, _kinds(columns))
            alike = _smallest(columns, np.zeros(len(columns), np.int64))
            mean = _smallest(apart, _kinds(apart), AVERAGED)
            fewer = [each for each in (alike, mean) if len(each) < len(apart)]
            found += [apart, *(replace(each, apart=apart) for each in fewer)]
    return found


def whole_pattern(seen: Pattern, all_patterns: list[Pattern], faintest: float) -> Pattern:
    """The columns of a pattern, all told apart, with those that should be seen beside them.

    Parameters
    ----------
    seen : a pattern that fits.
    all_patterns : those of the same crystal and axis.
    faintest : columns that scatter at least this part of the brightest should be seen.
    """
    base = seen if seen.apart is None else seen.apart
    area = abs(float(np.linalg.det(base.vectors)))
    density = len(base) / area
    best, most = base, density
    for each in all_patterns:
        own = len(each) / abs(float(np.linalg.det(each.vectors)))
        dimmest = float(each.weights.min() / each.weights.max())
        more = set(base.names) <= set(each.names) and own > most + 1e-9
        if each.apart is None and more and dimmest >= faintest:
            best, most = each, own
    return best


def _kinds(columns: Pattern) -> Indices:
    """(K,) kinds of columns, the brightest first."""
    order = np.argsort(-columns.weights, kind="stable")
    kinds = np.zeros(len(columns), np.int64)
    firsts: list[int] = []
    for i in order:
        for number, j in enumerate(firsts):
            alike = columns.weights[i] > (1 - SAME_WEIGHT) * columns.weights[j]
            if alike and columns.names[i] == columns.names[j]:
                kinds[i] = number
                break
        else:
            kinds[i] = len(firsts)
            firsts.append(int(i))
    return kinds


def _visible(columns: Pattern) -> Iterator[Pattern]:
    """The columns of the brightest kind, of the brightest two, and so on, and all."""
    kinds = _kinds(columns)
    count = int(kinds.max()) + 1
    for most in [*range(1, min(count, MOST_KINDS)), count]:
        seen = columns.select(np.flatnonzero(kinds < most))
        left = columns.weights[kinds >= most]
        yield replace(seen, hidden=float(left.max(initial=0.0) / seen.weights.min()))


def _joined(columns: Pattern, resolution: float) -> Pattern | None:
    """Columns closer than the resolution joined to the brightest of them; None if there are none.

    A joined column stands at the centre of its weights.
    """
    near = columns.distances(columns.places, columns.places) < resolution
    if near.sum() == len(columns):
        return None
    free = np.ones(len(columns), dtype=bool)
    places, names, weights = [], [], []
    for i in np.argsort(-columns.weights, kind="stable"):
        if not free[i]:
            continue
        members = np.flatnonzero(near[i] & free)
        free[members] = False
        weight = columns.weights[members]
        away = columns.steps(columns.places[members], columns.places[i : i + 1])[:, 0]
        centre = weight @ away / weight.sum() @ np.linalg.inv(columns.vectors)
        places.append(columns.places[i] + centre)
        weights.append(weight.sum())
        names.append(_together([columns.names[j] for j in members]))
    return replace(columns, places=np.array(places), names=tuple(names), weights=np.array(weights))


def _smallest(columns: Pattern, kinds: Indices, near: float = SAME_PLACE) -> Pattern:
    """Columns in the smallest cell after which their kinds repeat, within so many Å."""
    present, counts = np.unique(kinds, return_counts=True)
    rarest = columns.places[kinds == present[int(np.argmin(counts))]]
    differ = np.where(kinds[:, None] == kinds, 0.0, np.inf)
    turn = np.linalg.inv(columns.vectors)
    shifts = [np.zeros(2)]
    for shift in rarest[1:] - rarest[0]:
        steps = columns.steps(columns.places + shift, columns.places)
        nearest = (np.hypot(steps[..., 0], steps[..., 1]) + differ).argmin(axis=1)
        # Small displacements are shared out between columns and those that they are brought onto.
        even = shift - steps[np.arange(len(columns)), nearest].mean(axis=0) @ turn
        away = columns.distances(columns.places + even, columns.places) + differ
        known = columns.distances(np.array(shifts), even[None]).min() < near
        if not known and away.min(axis=1).max() < near:
            shifts.append(even)
    starts = np.array(shifts) @ columns.vectors
    cells = combinations(columns.vectors)
    moves = np.concatenate([(cells[:, None] + starts).reshape(-1, 2), starts[1:]])
    rough = shortest_basis(moves, abs(float(np.linalg.det(columns.vectors))) / len(shifts))
    # Whole steps of the large cell make the small one exact.
    whole = np.round(columns.vectors @ np.linalg.inv(rough))
    if round(abs(float(np.linalg.det(whole)))) != len(shifts):
        return columns
    vectors = np.linalg.inv(whole) @ columns.vectors
    small = replace(columns, vectors=vectors)
    places = columns.places @ columns.vectors @ np.linalg.inv(vectors)
    same = small.distances(places, places) + differ < max(near, SAME_PLACE * len(shifts))
    firsts = [i for i in range(len(places)) if not same[i, :i].any()]
    members = [np.flatnonzero(same[i]) for i in firsts]
    offsets = [
        small.steps(places[m], places[i : i + 1])[:, 0]
        for i, m in zip(firsts, members, strict=True)
    ]
    middles = np.array([each.mean(axis=0) for each in offsets])
    spread = np.array([np.log(columns.weights[m]).std() for m in members])
    strayed = np.array([each.var(axis=0).sum() for each in offsets])
    kept = [dict.fromkeys(columns.names[j] for j in m) for m in members]
    return replace(
        small,
        places=(places[firsts] + middles @ np.linalg.inv(vectors)) % 1.0,
        names=tuple(EITHER.join(each) for each in kept),
        weights=np.array([columns.weights[m].mean() for m in members]),
        spread=float(np.sqrt(np.mean(spread**2))),
        strayed=float(np.sqrt(np.mean(strayed))),
    )


def _together(names: list[str]) -> str:
    """Elements of columns that are seen as one, by falling atomic number as in each of them."""
    from ase.data import atomic_numbers
    from ase.symbols import string2symbols

    symbols = {symbol for name in names for symbol in string2symbols(name)}
    return "".join(sorted(symbols, key=lambda symbol: -atomic_numbers[symbol]))
