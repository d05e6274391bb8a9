"""Observations: columns and their image, as every measurement takes them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg._shared.objects import plain_image, plain_sampling
from napari_atomseg._shared.types import Array, Mask, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis import (
    Lattice,
    LatticeQuality,
    assign,
    find_lattice,
    lattice_quality,
    species,
)
from napari_atomseg.analysis.positions import Positions, positions_of
from napari_atomseg.figures.tables import kind_text
from napari_atomseg.progress import CancelToken, Progress, report

SITE = ("i", "j", "sublattice")
"""Columns of a table whose lattice was found."""
ALL, SELECTED = "all", "selected"
"""Groups of columns that every table may have; others are a feature and its value."""
_LATTICE = ("origin", "vectors", "motif", "vectors_err", "motif_err")
_SIZE = 10.0
"""px; stands for the spacing of columns that have none."""

Rectangle = tuple[float, float, float, float]


@dataclass(frozen=True)
class Observation:
    """Columns to be measured, and their image.

    Attributes
    ----------
    columns : table with `y`, `x` (px) and all features, numbered from 0; empty without columns.
    sampling : Å per pixel, one number or (dy, dx); None where it is not known.
    image : (H, W); None without one.
    aligned : whether the image has the pixels that positions count in.
    lattice : found before, if it has the same sampling.
    judged : how well the lattices that were relied on explain the columns, for the report's
        cautions; one list with the observations that are made of this one.
    """

    columns: pd.DataFrame
    sampling: Sampling | None = None
    image: Any = None
    aligned: bool = True
    lattice: Lattice | None = None
    judged: list[LatticeQuality] = field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(
        cls,
        columns: Positions | None,
        image: ArrayLike | None = None,
        *,
        sampling: Sampling | None = None,
        use: str = ALL,
        lattice: Lattice | None = None,
        aligned: bool = True,
    ) -> Observation:
        """Take what a user has.

        Parameters
        ----------
        columns : table with `y` and `x` (px), or (N, 2) array of (y, x). A table may have its
            sampling and its lattice in ``attrs``, as a file of `measure lattice` does.
        use : the columns that are measured: "all", "selected" (those whose feature ``selected`` is
            true), or a feature and its value, such as "species=Ti".
        image : (H, W), or an object of another library (see `takes_images`), whose calibration is
            used where neither `sampling` nor the table has one.

        Raises
        ------
        ValueError
            The columns have no positions, or none of them is used; or the image has no pixels.
        TypeError
            The image has no real numbers.
        """
        sampling = plain_sampling(sampling)
        attrs = columns.attrs if isinstance(columns, pd.DataFrame) else {}
        scale = attrs.get("sampling") if sampling is None else sampling
        image, own = plain_image(image, calibrate=scale is None)
        scale = own if scale is None else scale
        _require_real(image)
        if columns is None:
            empty = pd.DataFrame({"y": np.zeros(0), "x": np.zeros(0)})
            return cls(empty, scale, image, aligned=False)
        points = positions_of(columns)
        if isinstance(columns, pd.DataFrame):
            table = columns
        else:
            table = pd.DataFrame(points, columns=["y", "x"])
        chosen = members(table, use)
        if not chosen.any() and len(table):
            raise ValueError(f"use={use!r}: there are no such columns")
        table = table[chosen].reset_index(drop=True)
        table.attrs = {}
        if lattice is None and isinstance(attrs.get("lattice"), dict):
            lattice = Lattice(**(attrs["lattice"] | {"pixel": scale}))
        return cls(table, scale, image, aligned and image is not None, lattice)

    @property
    def unit(self) -> str:
        """Unit of lengths."""
        return "px" if self.sampling is None else "Å"

    @property
    def pixel(self) -> Array:
        """(2,) Å per pixel along y and x; 1 where they are not known."""
        return pixel_scale(self.sampling)

    @property
    def shape(self) -> tuple[int, int] | None:
        """(H, W) of the image in the pixels of the columns."""
        if self.image is None or not self.aligned:
            return None
        height, width = self.image.shape[-2:]
        return int(height), int(width)

    @cached_property
    def spacing(self) -> float:
        """Median distance of nearest neighbours in a frame, px."""
        table = self.columns
        if "frame" in table and len(table):
            table = table[table["frame"] == table["frame"].iloc[0]]
        found = median_spacing(table[["y", "x"]].to_numpy(dtype=float))
        return found if np.isfinite(found) and found > 0 else _SIZE

    def on_sites(
        self,
        progress: Progress | None,
        cancel: CancelToken | None,
        reference: Mask | None = None,
    ) -> Observation:
        """Return the columns on the sites of a lattice, with that lattice.

        Sites that were found before, and perhaps edited since, stand as they are; columns that were
        added since take the sites of that lattice. Without them the lattice is found. What it does
        not explain becomes a caution of the report.

        Parameters
        ----------
        reference : (N,) columns whose lattice it is, found anew; None takes all.
        """
        table, lattice = self.columns, self.lattice
        if reference is not None:
            # Sites of another lattice would be another crystal's.
            table = table.drop(columns=list(SITE), errors="ignore")
            report(progress, cancel, 0, 2, "Finding the unit cell")
            lattice = find_lattice(table[reference], self.sampling)
            self.rely_on(table[reference], lattice)
            return replace(self, columns=table, lattice=lattice)
        there = np.zeros(len(table), bool)
        if set(SITE) <= set(table):
            there = table[list(SITE)].notna().all(axis=1).to_numpy()
        if lattice is None or not there.any():
            report(progress, cancel, 0, 2, "Finding the unit cell")
            lattice = find_lattice(table, self.sampling)
            table = named(assign(table, lattice), lattice)
            self.rely_on(table, lattice)
            return replace(self, columns=table, lattice=lattice)
        if not there.all():
            fresh = assign(table, lattice)
            fresh.loc[there, list(SITE)] = table.loc[there, list(SITE)]
            table = fresh
        report(progress, cancel, 1, 2, "Measuring")
        table = table.astype(dict.fromkeys(SITE, np.int64))
        self.rely_on(table, lattice, part=True)
        return replace(self, columns=table)

    def rely_on(
        self, table: pd.DataFrame, lattice: Lattice, *, part: bool = False
    ) -> LatticeQuality:
        """Judge the lattice of a table, so that the report has its cautions.

        Parameters
        ----------
        part : whether the table may have the columns of some sublattices alone.
        """
        quality = lattice_quality(table, lattice, part=part)
        self.judged.append(quality)
        return quality

    def known_lattice(self) -> Lattice:
        """Return the lattice of `on_sites`."""
        if self.lattice is None:
            raise ValueError("the columns are on no lattice yet")
        return self.lattice

    def within(self, region: Rectangle | None, group: str) -> Mask | None:
        """(N,) which columns lie in a rectangle (y0, x0, y1, x1; px) and are of a group.

        None where that is all of them.
        """
        if region is None and group == ALL:
            return None
        chosen = members(self.columns, group)
        if region is not None:
            y0, x0, y1, x1 = region
            inside = self.columns["y"].between(y0, y1) & self.columns["x"].between(x0, x1)
            chosen &= inside.to_numpy()
        return chosen


def _require_real(image: Any) -> None:
    """Refuse what would become an image of real numbers, such as text or complex waves."""
    if image is None:
        return
    pixels = image if hasattr(image, "dtype") and hasattr(image, "shape") else np.asarray(image)
    if pixels.dtype.kind not in "biuf":
        raise TypeError(f"image has values of type {pixels.dtype}; real numbers are needed")
    if 0 in pixels.shape:
        raise ValueError(f"image has shape {pixels.shape}: it holds no pixels")


def members(table: pd.DataFrame, group: str) -> Mask:
    """(N,) which columns are of a group: "all", "selected", or a feature and its value.

    Raises
    ------
    ValueError
        The table does not have the feature, or none is selected.
    """
    if group == ALL:
        return np.ones(len(table), bool)
    if group == SELECTED:
        chosen = np.zeros(len(table), bool)
        if SELECTED in table:
            chosen = table[SELECTED].to_numpy(dtype=bool, na_value=False)
        if not chosen.any():
            raise ValueError("no columns are selected: select them in the points layer first")
        return chosen
    name, equals, value = group.partition("=")
    if not equals:
        raise ValueError(
            f"{group!r} is no group of columns: it must be {ALL}, {SELECTED}, or a feature and "
            "its value, such as species=Ti"
        )
    if name not in table:
        raise ValueError(f"the columns have no {name!r}: measure it first, or use all columns")
    return np.array([kind_text(each) == value for each in table[name]], dtype=bool)


def named(table: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    """Columns on sites, with species by their intensities, or else by their sublattices."""
    try:
        return species(table, lattice)
    except ValueError:
        # Without intensities each sublattice may be another species.
        kind = table["sublattice"].to_numpy()
        letters = np.array([chr(ord("A") + k % 26) for k in range(len(lattice))] + [""])
        return table.assign(species=letters[kind])


def lattice_record(lattice: Lattice) -> dict[str, Any]:
    """Plain values from which `Observation.of` makes the lattice again."""
    known = [*_LATTICE, "intensity"]
    if not np.isfinite(np.asarray(lattice.intensity)).all():
        known.remove("intensity")
    return {name: np.asarray(getattr(lattice, name)).tolist() for name in known}
