"""How many atoms stand in each column, from their scattering cross-sections."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array, Indices, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.counting.evidence import (
    STEPS_OF_GOLD,
    Doubt,
    checked_kind,
    checked_value,
    doubts_of_mixture,
    why_left_out,
)
from napari_atomseg.analysis.counting.mixture import (
    Mixture,
    component_errors,
    fit_every_number,
    likeliest,
)
from napari_atomseg.progress import CancelToken, Progress, stage

LEAST = 4
"""Columns that a mixture needs."""
FAR = 5.0
"""Farther from the median than this many ranges of nine in ten, or medians, is no column."""
UNKNOWN = -1
"""Stands for a number of atoms that cannot be told."""
BENT = 3.0
"""Standard errors by which means must leave a straight line."""
WIDTHS = {"auto": (False, True), "common": (False,), "growing": (True,)}
"""Whether the width of components grows with their mean."""


@dataclass(frozen=True)
class Counts:
    """Numbers of atoms, and how sure they are.

    Attributes
    ----------
    columns : the table that was counted, with ``count`` (the likeliest number of atoms, or <NA>
        where there is no cross-section), ``count_err`` (rms deviation of the number from
        it) and ``count_probability`` (that the number is right).
    numbers : (G,) atoms of a column of each component; -1 where they cannot be told.
    sections : (G,) mean cross-section of each component, in Å² times the unit of the image, or px²
        where the sampling is not known.
    sections_err : (G,) their standard errors.
    weights : (G,) share of the columns in each component.
    sigma : standard deviation of the cross-sections of a component, beside their own errors.
    relative : standard deviation in proportion to the mean, which adds to `sigma` in square; 0
        where one width is enough.
    scale : scale of the library; NaN without one.
    first : atoms of the thinnest component as the data have it, before rounding; NaN where it was
        given.
    first_err : its standard error. Where it is not well below 1/2, all counts may be wrong by the
        same number of atoms.
    icl : (M,) integrated classification likelihood of 1, 2, … components; empty with a library.
    doubts : reasons for which the numbers cannot be told, with what to try; empty where they can.
        With doubts no column has a count, and there is no total.
    left_out : a row for each column that was not counted: ``column`` (row number), ``y``, ``x``
        (px, where the table has them) and ``reason``.
    criterion : the curves by which the number of components was chosen: ``classes`` and a column
        for each way of widths, ``icl_common``, ``icl_growing``; empty with a library.
    """

    columns: pd.DataFrame
    numbers: Indices
    sections: Array
    sections_err: Array
    weights: Array
    sigma: float
    relative: float
    scale: float
    first: float
    first_err: float
    icl: Array
    doubts: tuple[Doubt, ...] = ()
    left_out: pd.DataFrame = field(default_factory=pd.DataFrame)
    criterion: pd.DataFrame = field(default_factory=pd.DataFrame)

    @property
    def known(self) -> bool:
        """Whether the numbers can be told."""
        return not self.doubts

    @property
    def first_range(self) -> tuple[int, int] | None:
        """Least and most atoms that the thinnest component may have; None where that is known.

        A straight line through the classes takes an atom to add as much below the thinnest one as
        between them. Multislice cross-sections of gold do not: their steps grow at first and shrink
        later. The range allows for steps below the thinnest class that differ as much.
        """
        if not (self.known and np.isfinite(self.first)):
            return None
        least, most = (self.first / step for step in reversed(STEPS_OF_GOLD))
        number = int(self.numbers[0])
        return max(1, min(number, round(least))), max(number, round(most))

    @property
    def miscounted(self) -> float:
        """Expected share of wrong counts, if the components are right; NaN without counts."""
        return float(1.0 - self.columns["count_probability"].mean())

    @property
    def total(self) -> tuple[float, float]:
        """Number of all atoms and its standard error, if the components are right; or NaN."""
        if not self.known:
            return float("nan"), float("nan")
        return (
            float(self.columns["count"].sum()),
            float(np.sqrt((self.columns["count_err"] ** 2).sum())),
        )


def count_by_mixture(
    columns: pd.DataFrame,
    components: int | None = None,
    *,
    sampling: Sampling | None = None,
    value: str = "volume",
    first: int | None = None,
    max_components: int = 30,
    width: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Counts:
    """Count the atoms of columns by the classes that their cross-sections fall into.

    The cross-sections of one kind of column are a mixture of normal distributions, one for each
    number of atoms (Van Aert et al., Phys. Rev. B 87, 064107, 2013). If their number is not
    given, it is that of the best integrated classification likelihood, which also decides whether
    they have one width, as there, or one that grows with thickness, σ² = s₀² + (s₁ · mean)²,
    without which thick classes would be split. Neighbouring components are taken to differ by one
    atom. Cross-sections that are not positive, or out of all proportion to the others, are not
    counted.

    The mixture alone does not give the number of atoms in the thinnest component. Unless `first` is
    given, it is the whole number nearest to where a straight line through the components' means,
    continued to zero, puts it: this holds where cross-sections are in proportion to the number of
    atoms, as in thin specimens, and where no background is left in them. See `Counts.first_err`.

    The numbers are not told, and `Counts.doubts` says why, where all columns fall into one class
    that has no scale, where classes overlap or are hardly likelier than one, where they do not
    follow each other by about equal steps or in proportion to their atoms, or where the line
    gives no whole number.

    Parameters
    ----------
    columns : table of columns of one kind, with `value` and, where known, its standard error under
        the same name with ``_err``.
    components : how many; None finds out.
    sampling : Å a pixel, one number or (dy, dx).
    value : name of the cross-section.
    first : atoms of the thinnest component.
    max_components : the most that are tried.
    width : "common" to all components, "growing" with the mean, or "auto".

    Raises
    ------
    ValueError
        An argument is wrong, the columns are of several kinds, `value` is no cross-section, or
        there are too few columns.
    Cancelled
        `cancel` was raised.
    """
    if components is not None and components < 1:
        raise ValueError(f"components={components!r} must be at least 1, or None")
    if max_components < 1:
        raise ValueError(f"max_components={max_components!r} must be at least 1")
    if first is not None and first < 0:
        raise ValueError(f"first={first!r} must not be negative")
    sections, errors, why = sections_of(columns, value, sampling, empty=first == 0)
    there = np.flatnonzero(why == "")
    if len(sections) < LEAST:
        raise ValueError(
            f"columns must have at least {LEAST} finite positive values of {value!r}, "
            f"not {len(sections)}"
        )
    most = min(components or max_components, len(np.unique(sections)))
    if components is not None and components > most:
        raise ValueError(f"components={components} is more than the {most} different values")
    ways = widths_of(width)
    families = [
        fit_every_number(
            sections,
            errors,
            most,
            patient=components is not None,
            growing=growing,
            progress=stage(progress, number, len(ways)),
            cancel=cancel,
        )
        for number, growing in enumerate(ways)
    ]
    chosen = [
        family[-1] if components is not None else min(family, key=lambda each: each.icl)
        for family in families
    ]
    family, mixture = min(zip(families, chosen, strict=True), key=lambda pair: pair[1].icl)
    icl = np.array([each.icl for each in family])
    spread = component_errors(mixture, errors)
    guess, guess_err = (
        (float("nan"), float("nan")) if first is not None else _first(mixture, spread)
    )
    start = first if first is not None else max(1, round(guess)) if np.isfinite(guess) else 1
    line = (guess, guess_err) if first is None else _first(mixture, spread)
    single = None if components is not None else float(family[0].icl)
    doubts = doubts_of_mixture(
        mixture, errors, spread, first=first, line=line, bend=_bend(mixture, spread), single=single
    )
    numbers = start + np.arange(len(mixture.means))
    return Counts(
        without_counts(columns) if doubts else counted(columns, there, mixture, numbers),
        np.full_like(numbers, UNKNOWN) if doubts else numbers,
        mixture.means,
        spread,
        mixture.weights,
        mixture.sigma,
        mixture.relative,
        float("nan"),
        guess,
        guess_err,
        icl,
        doubts,
        left_out_of(columns, why),
        _criterion(ways, families),
    )


def _criterion(ways: tuple[bool, ...], families: list[list[Mixture]]) -> pd.DataFrame:
    """The criterion by the number of classes, for each way of widths."""
    longest = max(map(len, families))
    table = pd.DataFrame({"classes": 1 + np.arange(longest)})
    for growing, family in zip(ways, families, strict=True):
        values = np.full(longest, np.nan)
        values[: len(family)] = [each.icl for each in family]
        table["icl_growing" if growing else "icl_common"] = values
    return table


def widths_of(width: str) -> tuple[bool, ...]:
    """Whether the width of components grows, in each way that is to be tried."""
    if width not in WIDTHS:
        raise ValueError(f"width={width!r}; choose one of {', '.join(WIDTHS)}")
    return WIDTHS[width]


def _first(mixture: Mixture, spread: Array) -> tuple[float, float]:
    """Atoms of the thinnest component by a line through the means, and its standard error."""
    if len(mixture.means) < 2:
        return float("nan"), float("nan")
    order = np.arange(len(mixture.means), dtype=np.float64)
    design = np.stack([order, np.ones_like(order)], axis=1)
    root = 1.0 / spread[:, None]
    (slope, intercept), residual, *_ = np.linalg.lstsq(
        design * root, mixture.means * root[:, 0], rcond=None
    )
    covariance = np.linalg.inv((design * root).T @ (design * root))
    # Means that scatter about the line by more than their errors make it less certain.
    covariance *= max(1.0, float(residual[0]) / max(len(order) - 2, 1)) if len(residual) else 1.0
    gradient = np.array([-intercept / slope**2, 1.0 / slope])
    return float(intercept / slope), float(np.sqrt(gradient @ covariance @ gradient))


def _bend(mixture: Mixture, spread: Array) -> float:
    """By how many atoms a parabola through the means puts the thinnest component elsewhere than a
    line does; 0 where the means are straight within their errors.
    """
    means = mixture.means
    if len(means) < 4:
        return 0.0
    order = np.arange(len(means), dtype=np.float64)
    line, parabola = (np.polynomial.Polynomial.fit(order, means, n, w=1 / spread) for n in (1, 2))
    chi = [(((means - curve(order)) / spread) ** 2).sum() for curve in (line, parabola)]
    if chi[0] - chi[1] < BENT**2 * max(1.0, chi[1] / (len(means) - 3)):
        return 0.0
    zeros = parabola.roots()
    zeros = zeros.real[(np.abs(zeros.imag) < 1e-9) & (zeros.real < 0.5)]
    straight = float(line.roots().real[0])
    return float(np.max(zeros) - straight) if len(zeros) else float("inf")


def counted(
    columns: pd.DataFrame, there: Indices, mixture: Mixture, numbers: Indices
) -> pd.DataFrame:
    """The table with counts in the rows `there`, and how sure they are."""
    chosen = likeliest(mixture)
    away = (numbers - numbers[chosen][:, None]).astype(np.float64)
    deviation = np.sqrt((mixture.posterior * away**2).sum(axis=1))
    count = pd.array([pd.NA] * len(columns), dtype="Int64")
    count[there] = numbers[chosen]
    filled = {"count_err": deviation, "count_probability": mixture.posterior.max(axis=1)}
    table = columns.assign(count=count)
    for name, values in filled.items():
        whole = np.full(len(columns), np.nan)
        whole[there] = values
        table[name] = whole
    return table


def without_counts(columns: pd.DataFrame) -> pd.DataFrame:
    """The table with counts that are not known."""
    unknown = pd.array([pd.NA] * len(columns), dtype="Int64")
    return columns.assign(count=unknown, count_err=np.nan, count_probability=np.nan)


def left_out_of(columns: pd.DataFrame, why: NDArray[np.object_]) -> pd.DataFrame:
    """A row for each column with a reason (N,) why it was not counted."""
    there = np.flatnonzero(why != "")
    table = pd.DataFrame({"column": there})
    for name in ("y", "x"):
        if name in columns:
            table[name] = columns[name].to_numpy()[there]
    return table.assign(reason=why[there])


def sections_of(
    columns: pd.DataFrame,
    value: str,
    sampling: Sampling | None,
    *,
    empty: bool,
    by_lattice: bool = True,
) -> tuple[Array, Array, NDArray[np.object_]]:
    """Cross-sections in Å² (px²) that can be counted, their errors, and (N,) why others are not.

    Only where there may be `empty` columns, they need not be positive. See `checked_kind`.
    """
    checked_value(value)
    if value not in columns:
        raise ValueError(f"columns must have the column {value!r}; it has {list(columns)}")
    checked_kind(columns, value, by_lattice=by_lattice)
    area = float(np.prod(pixel_scale(sampling)))
    sections = columns[value].to_numpy(dtype=np.float64, na_value=np.nan) * area
    errors = np.zeros(len(columns))
    if f"{value}_err" in columns:
        errors = columns[f"{value}_err"].to_numpy(dtype=np.float64, na_value=np.nan) * area
    sections = np.where(np.isfinite(sections) & np.isfinite(errors), sections, np.nan)
    fine = np.isfinite(sections) & (empty | (sections > 0))
    far = np.zeros(len(columns), dtype=bool)
    if fine.any():
        low, middle, high = np.quantile(sections[fine], [0.05, 0.5, 0.95])
        far[fine] = np.abs(sections[fine] - middle) > FAR * max(high - low, abs(middle))
    why = why_left_out(columns, value, sections, far, empty=empty)
    there = why == ""
    return sections[there], errors[there], why
