"""Sites of sublattices: where a lattice should have columns, by averaged cells or by members."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg._shared.geometry import clusters_of
from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.localization.completion.cells import Cells
from napari_atomseg.localization.completion.residual import Residual
from napari_atomseg.localization.completion.sublattices import Sublattice
from napari_atomseg.progress import checkpoint

SAME_SITE = 0.3
"""Columns nearer to a site than this, over the spacing, are on it."""
ONE_SITE = 0.15
"""Predictions of one site are no farther apart."""
STEP, FAR_STEPS = 0.4, 5
"""Steps over sigma, and their number to all sides, in which sites look for their mean peak."""
FEWEST_MEMBERS, BEGUN = 4, 0.05
"""Found columns at one place in the cells that begin a sublattice: so many, and this part of
them."""
CHANCE = 4.0
"""Deviations by which they are more than columns scattered at random."""
SURROUNDED = 3
"""Neighbours of its own kind that a site has whose sublattice is that of the cells."""
COMMON = 3
"""Sites that two sublattices of neighbouring patches share if they are one."""


@dataclass(frozen=True)
class Sites:
    """Sites of sublattices.

    Attributes
    ----------
    places : (S, 2) y and x, pixels, means of what the cells around each predict.
    kind : (S,) number of the sublattice in a patch.
    family : (S,) number of the sublattice in the image: kinds that share sites are one.
    belief : (S,) probability that its light is not that of the tails of others.
    begun : (S,) whether columns of it were found: they state where its sites are.
    own : (S,) whether it is the sublattice that the cells are of.
    """

    places: Array
    kind: Indices
    family: Indices
    belief: Array
    begun: Mask
    own: Mask

    @classmethod
    def none(cls) -> Sites:
        """No sites."""
        no, never = np.zeros(0, np.int64), np.zeros(0, dtype=bool)
        return cls(np.zeros((0, 2)), no, no, np.zeros(0), never, never)

    def __len__(self) -> int:
        return len(self.places)

    def only(self, some: Mask) -> Sites:
        """Some of the sites."""
        return Sites(*(getattr(self, name)[some] for name in self.__dataclass_fields__))

    def joined(self, other: Sites, spacing: float) -> Sites:
        """These and those of others that are none of these."""
        if not len(self) or not len(other):
            return other if not len(self) else self
        away, near = (np.asarray(v) for v in cKDTree(self.places).query(other.places))
        same = away <= SAME_SITE * spacing
        family = other.family + int(self.family.max()) + 1
        for number in np.unique(family):
            common = self.family[near[same & (family == number)]]
            if len(common) >= COMMON:
                family[family == number] = np.bincount(common).argmax()
        other = replace(other, kind=other.kind + int(self.kind.max()) + 1, family=family)
        other = other.only(~same)
        names = self.__dataclass_fields__
        return Sites(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))


def begun_sublattices(cells: list[Cells], points: Array, spacing: float) -> list[Sublattice]:
    """Sublattices that were found in a part of the cells, those of the cells themselves included.

    Columns that lie at one place of the cells, more often than at random, are one sublattice.

    Parameters
    ----------
    points : (N, 2) of all found columns.
    """
    found: list[Sublattice] = []
    for each in cells:
        checkpoint()
        found.append(Sublattice(each, np.zeros(2), own=True, begun=True))
        others = np.ones(len(points), dtype=bool)
        others[each.index] = False
        left = _fractions(each, points[others])
        vectors = each.vectors
        reach = 0.5 * SAME_SITE * spacing
        chance = np.pi * reach**2 / abs(float(np.linalg.det(vectors)))
        while len(left) >= FEWEST_MEMBERS:
            apart = left[:, None] - left
            apart = np.linalg.norm((apart - np.round(apart)) @ vectors, axis=-1) <= reach
            count = apart.sum(axis=1)
            best = int(count.argmax())
            expected = 1.0 + chance * len(left)
            least = max(FEWEST_MEMBERS, BEGUN * len(each.index))
            if count[best] < max(least, expected + CHANCE * np.sqrt(expected)):
                break
            step = left[apart[best]] - left[best]
            place = left[best] + (step - np.round(step)).mean(axis=0)
            found.append(Sublattice(each, place - np.round(place), begun=True))
            left = left[~apart[best]]
    return found


def _fractions(cells: Cells, points: Array) -> Array:
    """(M, 2) places in the cells, -½ to ½, of those of the points (N, 2) that are in one."""
    reach = float(np.hypot(*cells.vectors.T).max())
    away, near = (np.asarray(v) for v in cKDTree(cells.origin).query(points))
    inside = away <= reach
    near = near[inside]
    step = points[inside] - cells.origin[near]
    (a, b), (c, d) = cells.first[near].T, cells.second[near].T
    area = a * d - b * c
    u, v = (step[:, 0] * d - step[:, 1] * c) / area, (step[:, 1] * a - step[:, 0] * b) / area
    fraction = np.stack([u, v], axis=1)
    return np.asarray(fraction - np.round(fraction))


def sites_of(found: list[Sublattice], spacing: float) -> Sites:
    """Sites of all sublattices, each once, however many columns around predict it."""
    if not found:
        return Sites.none()
    all_places = [each.sites() for each in found]
    kind = np.repeat(np.arange(len(found)), [len(places) for places in all_places])
    where = np.concatenate(all_places)
    pairs = cKDTree(where).query_pairs(ONE_SITE * spacing, output_type="ndarray")
    groups = clusters_of(pairs, len(where))
    count = np.bincount(groups)
    places = np.stack([np.bincount(groups, v) / count for v in where.T], axis=1)
    first = np.full(len(count), len(found))
    np.minimum.at(first, groups, kind)
    family = _families(groups, kind, len(found))
    belief, begun = np.zeros(len(count)), np.zeros(len(count), dtype=bool)
    np.maximum.at(belief, groups, np.array([each.belief for each in found])[kind])
    np.logical_or.at(begun, groups, np.array([each.begun for each in found])[kind])
    own = np.array([each.own for each in found])
    theirs = np.bincount(groups, ~own[kind], minlength=len(count)) > 0
    keep = theirs | (count >= SURROUNDED + 1)
    return Sites(places, first, family[first], belief, begun, ~theirs).only(keep)


def _families(groups: Indices, kind: Indices, count: int) -> Indices:
    """(K,) numbers of the families of kinds: those that have sites in common."""
    pairs = np.unique(np.stack([groups, kind], axis=1), axis=0)
    order = pairs[np.argsort(pairs[:, 0], kind="stable")]
    next_ = order[1:, 0] == order[:-1, 0]
    links = np.stack([order[:-1, 1], order[1:, 1]], axis=1)[next_]
    links, often = np.unique(links, axis=0, return_counts=True)
    return clusters_of(links[often >= COMMON], count)


def centred(residual: Residual, sites: Sites) -> Sites:
    """Sites of each sublattice moved together to the peak of their mean height.

    Those whose sublattice has no such peak nearby are left out, and of two that have moved to one
    peak, one. Sites that found columns state stay where they are.
    """
    steps = np.arange(-FAR_STEPS, FAR_STEPS + 1) * (STEP * residual.sigma)
    offsets = np.stack(np.meshgrid(steps, steps, indexing="ij"), axis=-1).reshape(-1, 2)
    places = sites.places
    moved, kept = places.copy(), sites.begun.copy()
    away = np.asarray(residual.tree.query(places)[0])
    for number in np.unique(sites.kind[~sites.begun]):
        checkpoint()
        alike = np.flatnonzero((sites.kind == number) & ~sites.begun)
        open_ = alike[away[alike] > SAME_SITE * residual.spacing]
        if not len(open_):
            kept[alike] = True
            continue
        trials = places[open_] + offsets[:, None]
        inside = residual.inside(trials[..., 0], trials[..., 1]).all(axis=0)
        if not inside.any():
            continue
        trials = trials[:, inside]
        values = residual.at(*trials.reshape(-1, 2).T).reshape(trials.shape[:2])
        mean = np.where(np.isfinite(values), values, 0.0).mean(axis=1)
        best = offsets[int(np.argmax(mean))]
        if np.abs(best).max() < steps[-1]:
            moved[alike] += best
            kept[alike] = True
    # Two sublattices may have moved to one peak.
    for first, second in cKDTree(moved).query_pairs(SAME_SITE * residual.spacing):
        if kept[first] and kept[second]:
            kept[second if sites.begun[first] or not sites.begun[second] else first] = False
    return replace(sites, places=moved).only(kept)
