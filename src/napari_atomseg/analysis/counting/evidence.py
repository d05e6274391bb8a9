"""Whether cross-sections give numbers of atoms: what speaks against it, and what may help."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_atomseg._shared.types import Array
from napari_atomseg.analysis.counting.mixture import EVIDENCE, Mixture
from napari_atomseg.analysis.lattice.find import find_lattice
from napari_atomseg.analysis.lattice.sites import assigned
from napari_atomseg.analysis.lattice.species import species_of_means
from napari_atomseg.analysis.positions import positions_of

RESOLVED = 2.0
"""Steps between classes over their width, from which on two equal classes have two maxima."""
UNSURE = 0.3
"""Atoms; an offset farther from a whole number, or with a larger error, may be another one."""
UNEVEN = (0.45, 1.7)
"""Steps over the median step, with room for those of gold."""
STEPS_OF_GOLD = (0.63, 1.2)
"""Least and largest step over the usual one in multislice cross-sections of up to 10 atoms."""
DISPROPORTION = 2.0
"""Largest over smallest cross-section an atom; gold has 1.7 up to 10 atoms."""
CERTAIN = 3.0
"""Standard errors by which a limit must be passed."""
FEW = 5.0
"""Columns a class, on average, below which the criterion finds classes by chance."""
LEFT_OUT = 0.2
"""Share of the columns beyond a library from which on it is not that of these columns."""
KINDS = 1.5
"""Ratio of the cross-sections of neighbouring sublattices from which on they are of two kinds: one
atom more or less, as on the alternating planes of a slab, makes less from three atoms on."""
MOST_KINDS = 3
"""Kinds of columns that a crystal has at most, told by their cross-sections."""
AROUND = 6
"""Neighbours of another sublattice that a column is compared with."""
ENOUGH = 30
"""Columns from which on sublattices are sought."""
OTHER_WORDS = {
    "y": "a position",
    "x": "a position",
    "i": "a site",
    "j": "a site",
    "sublattice": "a site",
    "sigma": "a width",
    "width": "a width",
    "ellipticity": "a shape",
    "angle": "an angle",
    "background": "a background",
    "score": "a probability",
    "significance": "a significance",
    "label": "a number of a label",
    "frame": "a number of a frame",
    "track": "a number of a track",
    "count": "a number of atoms already",
    "grain": "a number of a grain",
    "order": "a degree of order",
    "orientation": "an angle",
    "rotation": "an angle",
    "length": "a length",
    "distance": "a distance",
    "fitted": "a number of columns",
}
"""Features of columns that are no cross-sections."""
OTHER_STARTS = {
    "shift": "a displacement",
    "displacement": "a displacement",
    "dy": "a displacement",
    "dx": "a displacement",
    "du": "a displacement",
    "dv": "a displacement",
    "site_": "a position",
    "spacing": "a spacing",
    "eps_": "a strain",
    "gpa_": "a strain",
    "polarization": "a polarization",
    "count_": "a property of a number of atoms",
    "intensity_z": "a deviation",
}
_UNITS = ("_angstrom", "_pm", "_px", "_deg", "_nm")
_OF_VALUES = ("_bound", "_probability")


@dataclass(frozen=True)
class Doubt:
    """A reason for which numbers of atoms cannot be told, and what to try."""

    reason: str
    remedy: str


def other_than_section(value: str) -> str:
    """What a feature is that is known to be no cross-section, as "a width"; empty for others."""
    name = value.lower()
    if name.endswith("_err"):
        return "a standard error"
    for end in (*_UNITS, *_OF_VALUES):
        name = name.removesuffix(end)
    if name in OTHER_WORDS:
        return OTHER_WORDS[name]
    return next((word for start, word in OTHER_STARTS.items() if name.startswith(start)), "")


def checked_value(value: str) -> None:
    """Refuse features that are known to be something other than a cross-section.

    Raises
    ------
    ValueError
        It is a displacement, a width, an error or another such feature.
    """
    what = other_than_section(value)
    if what:
        raise ValueError(
            f"value={value!r} is {what}, no cross-section: choose one that grows with the number "
            "of atoms, such as volume or integral"
        )


def checked_kind(columns: pd.DataFrame, value: str, *, by_lattice: bool) -> None:
    """Refuse columns of several kinds, whose cross-sections are those of different atoms.

    The kinds are the ``species`` of the table; without, its sublattices, or those of the lattice
    that the columns show, if neighbours of two of them differ by half or more. With `by_lattice`
    False the species alone count: thicknesses in order on a lattice, whose cross-sections are known
    by a library, look like kinds, too.

    Raises
    ------
    ValueError
        There are several.
    """
    known = np.isfinite(columns[value].to_numpy(dtype=np.float64, na_value=np.nan))
    if "species" in columns:
        names = columns.loc[known, "species"].dropna().astype(str)
        kinds = names[names != ""].value_counts()
        if len(kinds) > 1:
            parts = ", ".join(f"{count} of {name}" for name, count in kinds.items())
            raise ValueError(
                f"columns of several species cannot be counted together ({parts}): choose those of "
                f"one, such as species={kinds.index[0]}"
            )
        if len(kinds) == 1:
            return
    ratio = _sublattice_ratio(columns[known], value) if by_lattice else 1.0
    if ratio >= KINDS:
        raise ValueError(
            f"the columns are of several kinds: neighbours of different sublattices differ by a "
            f"factor of {ratio:.1f} in {value}. Measure the lattice first, and count the columns "
            "of one species, such as species=A; or give all one species, if they are alike"
        )


def _sublattice_ratio(columns: pd.DataFrame, value: str) -> float:
    """Largest ratio of cross-sections between sublattices, 1 where there is one, or no lattice."""
    if not {"y", "x"} <= set(columns) or len(columns) < ENOUGH:
        return 1.0
    table = columns
    if "frame" in table and table["frame"].nunique() > 1:
        table = table[table["frame"] == table["frame"].mode().iloc[0]]
    try:
        if not {"i", "j", "sublattice"} <= set(table):
            table = assigned(table, find_lattice(table, intensity=value))
    except ValueError:
        return 1.0
    values, kind = table[value].to_numpy(dtype=np.float64), table["sublattice"].to_numpy()
    points, largest = positions_of(table), 1.0
    use = (values > 0) & np.isfinite(points).all(axis=1)
    groups = [values[use & (kind == k)] for k in np.unique(kind[use & (kind >= 0)])]
    # More are an order of thicknesses rather than one of elements.
    if int(species_of_means(groups).max(initial=0)) >= MOST_KINDS:
        return 1.0
    for first, second in combinations(sorted(set(kind[kind >= 0])), 2):
        one, other = np.flatnonzero(use & (kind == first)), np.flatnonzero(use & (kind == second))
        if min(len(one), len(other)) < AROUND:
            continue
        near = np.asarray(cKDTree(points[other]).query(points[one], k=AROUND)[1])
        ratio = np.median(np.log(values[one]) - np.log(np.median(values[other][near], axis=1)))
        largest = max(largest, float(np.exp(abs(ratio))))
    return largest


def why_left_out(
    columns: pd.DataFrame, value: str, sections: Array, far: NDArray[np.bool_], *, empty: bool
) -> NDArray[np.object_]:
    """(N,) why each column is not counted; empty for those that are.

    Parameters
    ----------
    sections : (N,) cross-sections, NaN where a column or its error has none.
    far : (N,) which are out of all proportion to the others.
    empty : whether there may be empty columns.
    """
    why = np.full(len(columns), "", dtype=object)
    why[far] = "cross-section out of all proportion to the others"
    if not empty:
        why[sections <= 0] = "cross-section not positive"
    missing = "its share of the image is cut" if value == "integral" else "no cross-section"
    why[~np.isfinite(sections)] = missing
    if value in ("volume", "amplitude") and "converged" in columns:
        why[~np.isfinite(sections)] = "the fit failed"
    return why


def doubts_of_mixture(
    mixture: Mixture,
    errors: Array,
    spread: Array,
    *,
    first: int | None,
    line: tuple[float, float],
    bend: float,
    single: float | None,
) -> tuple[Doubt, ...]:
    """What speaks against the numbers of atoms of a mixture.

    Parameters
    ----------
    errors : (N,) standard errors of the cross-sections.
    spread : (G,) standard errors of the means.
    first : atoms of the thinnest component, if given.
    line : atoms of the thinnest component by the line through the means, and its error.
    bend : atoms by which a parabola puts it elsewhere.
    single : the ICL of one component, where the number of components was found.
    """
    means, found = mixture.means, []
    width = np.sqrt(mixture.variances + float(np.median(errors)) ** 2)
    thinnest = "give the number of atoms in the thinnest column"
    library = "count by a library of simulated cross-sections on an image normalized to the beam"
    better = "use integrals, or a joint fit, of a sharper image, or the mean of aligned frames"
    if len(means) == 1:
        if first is None:
            broad = float(width[0] / abs(means[0]))
            reason = "all cross-sections fall into one class"
            reason += f", {100 * broad:.0f} % wide, which has no scale"
            return (Doubt(reason, f"{library}; or, if all are equally thick, {thinnest}"),)
        if first and width[0] > means[0] / first / RESOLVED:
            step = 100 * width[0] / (means[0] / first)
            reason = f"the only class is {step:.0f} % of an atom wide: several numbers lie in it"
            return (Doubt(reason, f"{better}; or {library}"),)
        return ()
    steps = np.diff(means)
    apart = steps / np.maximum(width[1:], width[:-1])
    if np.median(apart) < RESOLVED:
        reason = f"the classes overlap: {np.median(apart):.1f} widths from one to the next"
        found.append(Doubt(reason, f"{better}; or {library}"))
    if single is not None:
        if single - mixture.icl < EVIDENCE:
            reason = f"{len(means)} classes are hardly likelier than one"
            found.append(Doubt(reason, f"use more columns; or {library}"))
        if len(mixture.posterior) < FEW * len(means):
            reason = f"{len(mixture.posterior)} columns in {len(means)} classes are too few"
            found.append(Doubt(reason, f"use more columns; or {library}"))
    noise = np.hypot(spread[1:], spread[:-1])
    usual = float(np.median(steps))
    if len(steps) > 1:
        low, high = UNEVEN
        wide = steps - CERTAIN * noise > high * usual
        if np.any(wide | (steps + CERTAIN * noise < low * usual)):
            reason = "the classes do not follow each other by equal steps: "
            reason += f"{steps.min() / usual:.1f} to {steps.max() / usual:.1f} of the usual one"
            found.append(Doubt(reason, f"use columns of one kind alone; or {library}"))
    guess, error = line
    start = first if first is not None else max(1, round(guess)) if np.isfinite(guess) else 1
    away = abs(guess - round(guess))
    if first is None and (error > UNSURE or away > UNSURE or guess < 1.0 - UNSURE):
        reason = f"continued to zero, the classes begin at {guess:.2f} ± {error:.2f} atoms, which "
        reason += "is no whole number" if error <= UNSURE else "may be several numbers"
        found.append(Doubt(reason, f"{thinnest}, or {library}"))
    elif first is None and abs(bend) > UNSURE:
        reason = "an atom does not add the same in thin and thick columns, so that a line through "
        reason += "the classes does not lead to zero"
        found.append(Doubt(reason, f"{thinnest}, or {library}"))
    elif start > 0:
        # Light of the background in them, or a wrong start, shows in what an atom adds.
        each = means / (start + np.arange(len(means)))
        off = spread / (start + np.arange(len(means)))
        few, many = int(np.argmin(each)), int(np.argmax(each))
        sure = each[many] - DISPROPORTION * each[few]
        if sure > CERTAIN * np.hypot(off[many], DISPROPORTION * off[few]):
            reason = f"an atom has {each[many] / each[few]:.1f} times the cross-section in columns "
            reason += f"of {start + many} that it has in columns of {start + few}"
            remedy = "take the background off, use columns of one kind alone, or give another "
            found.append(Doubt(reason, remedy + f"number for the thinnest column; or {library}"))
    return tuple(found)


def doubts_of_library(
    beyond: int, total: int, scales: tuple[float, float], *, free: bool
) -> tuple[Doubt, ...]:
    """What speaks against the numbers of atoms of a library.

    Parameters
    ----------
    beyond, total : columns that the library does not reach, and all.
    scales : smallest and largest scale of those that explain the columns about equally well.
    """
    found = []
    if beyond > LEFT_OUT * total:
        reason = f"{beyond} of {total} columns lie beyond the library"
        remedy = "normalize the image to the beam, check the sampling, use integrals, or simulate "
        found.append(Doubt(reason, remedy + "more atoms"))
    if free and scales[1] > 1.05 * scales[0]:
        reason = f"scales of the library from {scales[0]:.3g} to {scales[1]:.3g} explain the "
        reason += "columns equally well"
        found.append(Doubt(reason, "normalize the image to the beam and count with its own scale"))
    return tuple(found)
