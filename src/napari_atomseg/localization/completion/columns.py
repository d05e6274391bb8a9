"""Columns of an image under completion: those of the detector, and those added to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.localization.fit.independent import Fits

DETECTED, SUBLATTICE, RESIDUAL = "detector", "sublattice", "residual"
"""Where columns come from: the detector, a sublattice, or the residual at one place."""
MOST = 0.5
"""Part of the columns found from which on it is odd that they are dropped."""


@dataclass(frozen=True)
class Columns:
    """Columns of one image, those of the detector first.

    Attributes
    ----------
    y, x : (N,) pixels, where fits start.
    score : (N,) of the detection, or the probability of what was added.
    source : (N,) one of `DETECTED`, `SUBLATTICE`, `RESIDUAL`.
    believed : (N,) columns that are taken to be there.
    significance : (N,) height in the raw image over its noise; NaN where it is unknown.
    """

    y: Array
    x: Array
    score: Array
    source: NDArray[np.str_]
    believed: Mask
    significance: Array

    @classmethod
    def of(
        cls, y: Array, x: Array, score: Array, believed: Mask | None = None, source: str = DETECTED
    ) -> Columns:
        """Columns of one source, all of them believed if not stated otherwise."""
        believed = np.ones(len(y), dtype=bool) if believed is None else believed
        sources = np.full(len(y), source, dtype="U10")
        return cls(y, x, score, sources, believed, np.full(len(y), np.nan))

    @classmethod
    def none(cls) -> Columns:
        """No columns."""
        return cls.of(np.zeros(0), np.zeros(0), np.zeros(0))

    def __len__(self) -> int:
        return len(self.y)

    @property
    def places(self) -> Array:
        """(N, 2) y and x, pixels."""
        return np.stack([self.y, self.x], axis=1)

    def only(self, some: Mask) -> Columns:
        """Some of the columns."""
        return Columns(*(getattr(self, name)[some] for name in self.__dataclass_fields__))

    def joined(self, other: Columns) -> Columns:
        """These and further columns."""
        names = self.__dataclass_fields__
        return Columns(*(np.concatenate([getattr(self, n), getattr(other, n)]) for n in names))

    def with_candidates(self, more: Columns, reach: float) -> tuple[Columns, Mask]:
        """These and candidates, with a mask (N,) of the candidates.

        A candidate within reach pixels of a detection that was not believed takes its place.
        """
        columns, new = self, np.zeros(len(self), dtype=bool)
        doubted = np.flatnonzero(~self.believed)
        if len(doubted) and len(more):
            query = cKDTree(self.places[doubted]).query(more.places)
            away, near = np.asarray(query[0]), np.asarray(query[1])
            same = away <= reach
            # Of two candidates at one detection, the nearer one.
            order = np.flatnonzero(same)[np.argsort(-away[same], kind="stable")]
            own = doubted[near[order]]
            parts = {name: getattr(self, name).copy() for name in ("y", "x", "score", "source")}
            parts["score"][own] = np.maximum(self.score[own], more.score[order])
            for name in ("y", "x", "source"):
                parts[name][own] = getattr(more, name)[order]
            new[own] = True
            columns = replace(self, **parts, believed=self.believed | new)
            more = more.only(~same)
        return columns.joined(more), np.append(new, np.ones(len(more), dtype=bool))


@dataclass
class Found:
    """Result of a search.

    Attributes
    ----------
    columns : those of the detector, and those added.
    dropped : (N,) columns of the detector that the raw image does not show.
    notes : what was added and dropped, one sentence each.
    """

    columns: Columns
    fits: Fits
    dropped: Mask
    notes: list[str] = field(default_factory=list)


Fit = Callable[[Columns, Fits, Mask], Fits]
"""``fit(columns, former, new)``: Gaussians of all columns, `former` (M,) of the first of them."""


def apart(places: Array, rank: Array, least: float) -> Mask:
    """(N,) candidates that remain if of two that are closer than `least`, the higher one does.

    Candidates of rank -∞ do not count.
    """
    keep: Mask = rank > -np.inf
    index = np.flatnonzero(keep)
    if len(index) > 1:
        close = cKDTree(places[index]).query_pairs(least, output_type="ndarray")
        pairs = index[close]
        for first, second in pairs[np.argsort(-rank[pairs].max(axis=1), kind="stable")]:
            if keep[first] and keep[second]:
                keep[first if rank[first] < rank[second] else second] = False
    return keep


def notes_on(columns: Columns, fits: Fits, dropped: Mask) -> list[str]:
    """What was added and dropped, one sentence each."""
    notes = []
    detected = columns.source == DETECTED
    usual = np.abs(fits.amplitude[detected & columns.believed & ~dropped])
    usual = usual[np.isfinite(usual)]
    for source, words in (
        (SUBLATTICE, "of a faint sublattice"),
        (RESIDUAL, "left by the detector"),
    ):
        some = columns.source == source
        count = int(some.sum())
        if count:
            height = np.abs(fits.amplitude[some])
            height = height[np.isfinite(height)]
            plural = "columns" if count > 1 else "column"
            verb = "were" if count > 1 else "was"
            ratio = ""
            if len(usual) and len(height):
                ratio = f" ({np.median(height) / np.median(usual):.2g} of the height of the others)"
            notes.append(f"{count} {plural} {words} {verb} added{ratio}")
    count = int(dropped.sum())
    if count:
        plural, verb = ("columns", "were") if count > 1 else ("column", "was")
        note = f"{count} {plural} without intensity in the raw image {verb} dropped"
        found = int((detected & columns.believed).sum())
        if count > MOST * found:
            note += f", of {found} found: contrast, model or sampling may not fit the image"
        notes.append(note)
    return notes
