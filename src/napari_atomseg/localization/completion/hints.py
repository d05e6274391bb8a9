"""Hints: places where the detector sees something that is not enough for a column."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import betainc

from napari_atomseg._shared.types import Array, Mask

CLOSE, ASIDE = 2.0, 0.2
"""Pixels, and part of the spacing, that a hint of a column may lie beside it."""
HINTED = 0.5
"""Part of the columns of a sublattice that the detector must have found, or have hints of."""
MISSED_HINTED = 0.2
"""Part of those columns of it that were not found that there must be hints of."""
RAREST = 0.02
"""Share of places without a column that have a hint by chance, at least."""
SAME_NOISE = 0.5
"""Part of the evidence of a hint that counts beside the height: both have the same noise."""


@dataclass(frozen=True)
class Hints:
    """Places (M, 2) where there may be columns, spacing pixels apart; None for everywhere."""

    places: Array | None
    spacing: float

    def near(self, places: Array) -> Mask:
        """(N,) positions (N, 2) with a hint as near as a column that is found anew may lie."""
        if self.places is None:
            return np.ones(len(places), dtype=bool)
        if not len(self.places) or not len(places):
            return np.zeros(len(places), dtype=bool)
        return self._together(places, self.places)

    def beside(self, points: Array) -> Hints:
        """Hints that lie beside the columns (N, 2) that were found."""
        if self.places is None or not len(self.places) or not len(points):
            return self
        return Hints(self.places[~self._together(self.places, points)], self.spacing)

    def count(self, origin: Array | None = None, reach: float = 0.0) -> float:
        """Number of hints, or of those within reach pixels of places (N, 2); ∞ for everywhere."""
        if self.places is None:
            return np.inf
        if origin is None or not len(self.places):
            return len(self.places)
        away = np.asarray(cKDTree(origin).query(self.places)[0])
        return int(np.count_nonzero(away <= reach))

    def by_chance(self, sites: Array, free: float) -> float:
        """Share of places without a column that have a hint.

        Parameters
        ----------
        sites : (N, 2) found columns, and places where others may be.
        free : area away from these, pixels.
        """
        if self.places is None or not len(self.places):
            return RAREST
        elsewhere = int((~self._together(self.places, sites)).sum())
        return float(np.clip(elsewhere * np.pi * self._reach**2 / max(free, 1.0), RAREST, 1.0))

    def evidence(self, seen: Mask, weight: Array, rare: float) -> Array:
        """(N,) log ratios of the likelihoods of what is seen of sites that are occupied, and not.

        Parameters
        ----------
        seen, weight : (N,) which sites have a hint, and their probability of being occupied.
        rare : share of places without a column that have one.
        """
        if self.places is None:
            return np.zeros(len(seen))
        often = ((weight * seen).sum() + 1.0) / (weight.sum() + 2.0)
        rare = min(rare, often)
        ratio = np.where(seen, np.log(often / rare), np.log((1.0 - often) / (1.0 - rare)))
        return np.asarray(SAME_NOISE * ratio)

    def support(self, detected: int, added: Mask, seen: Mask, weight: Array) -> float:
        """Probability that a detector sees enough of the columns of a sublattice.

        That it has found or has hints of the part `HINTED` of all, and has hints of the part
        `MISSED_HINTED` of those that it missed.

        Parameters
        ----------
        detected : columns that it found.
        added : (A,) which of those added by a search have a hint.
        seen, weight : (N,) which of the other sites have one, and their probability of being
            occupied.
        """
        if self.places is None:
            return 1.0
        yes = float(added.sum()) + float((weight * seen).sum()) + 0.5
        no = float((~added).sum()) + float((weight * ~seen).sum()) + 0.5
        missed = 1.0 - betainc(yes, no, MISSED_HINTED)
        return float(missed * (1.0 - betainc(detected + yes, no, HINTED)))

    @property
    def _reach(self) -> float:
        """Pixels that a hint of a column may lie beside it."""
        return max(CLOSE, ASIDE * self.spacing)

    def _together(self, places: Array, others: Array) -> Mask:
        """(N,) places (N, 2) that lie beside one of others (M, 2) at most."""
        away = np.asarray(cKDTree(others).query(places)[0])
        near: Mask = away <= self._reach
        return near
