"""How many atoms stand in each column, by cross-sections of known numbers of atoms."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_atomseg.analysis.counting import LEAST, Counts, counted, sections_of, widths_of
from napari_atomseg.analysis.counting_mixture import fit_scaled
from napari_atomseg.analysis.positions import Array, Indices, Sampling
from napari_atomseg.progress import CancelToken, Progress, stage


def count_by_library(
    columns: pd.DataFrame,
    library: pd.DataFrame | ArrayLike,
    *,
    sampling: Sampling | None = None,
    value: str = "volume",
    scale: float | None = 1.0,
    width: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Counts:
    """Count the atoms of columns by comparing their cross-sections with simulated ones.

    Each cross-section is one of the library's with an error whose width is found from all columns,
    as are the shares of the numbers of atoms. Where the image is not normalized
    to the beam, the scale may be found as well (the hybrid method of De wael et al., Phys. Rev.
    Lett. 119, 246101, 2017); only the curvature of the library over the number of atoms then tells
    one scale from another, and a straight library tells none.

    Cross-sections half a step below the library, or a step above it, are not counted. Fewer than
    four columns without errors of their own do not tell the width, and so no probabilities.

    Parameters
    ----------
    columns : table of columns of one kind, as for `count_by_mixture`.
    library : table with ``count`` and ``section`` (as of `simulate_library`), or the cross-sections
        of 1, 2, … atoms, in Å² times the unit of the image (px² where the sampling is None).
    scale : a factor on the library; None fits it.
    width : of the errors, as for `count_by_mixture`.

    Raises
    ------
    ValueError
        An argument is wrong.
    Cancelled
        `cancel` was raised.
    """
    if scale is not None and not scale > 0:
        raise ValueError(f"scale={scale!r} must be positive, or None")
    numbers, known = _library(library)
    sections, errors, there = sections_of(columns, value, sampling, empty=numbers[0] == 0)
    if len(sections) == 0:
        raise ValueError(f"columns must have a finite value of {value!r} that is positive")
    if scale is not None:
        within = _within(sections, scale * known)
        if not within.any():
            raise ValueError(
                f"{value!r} from {sections.min():.3g} to {sections.max():.3g} lies beyond the "
                f"library, {scale * known[0]:.3g} to {scale * known[-1]:.3g}: is the image "
                "normalized, and the sampling right? scale=None fits the scale"
            )
        sections, errors, there = sections[within], errors[within], there[within]
    ways = widths_of(width)
    fits = [
        fit_scaled(
            sections,
            errors,
            known * (scale or 1.0),
            free=scale is None,
            growing=growing,
            progress=stage(progress, number, len(ways)),
            cancel=cancel,
        )
        for number, growing in enumerate(ways)
    ]
    mixture, factor = min(fits, key=lambda fit: fit[0].icl)
    table = counted(columns, there, mixture, numbers)
    if len(sections) < LEAST and not errors.any():
        # So few do not tell the width of their errors.
        table[["count_err", "count_probability"]] = np.nan
    return Counts(
        table,
        numbers,
        mixture.means,
        np.zeros(len(numbers)),
        mixture.weights,
        mixture.sigma,
        mixture.relative,
        factor * (scale or 1.0),
        float("nan"),
        float("nan"),
        np.zeros(0),
    )


def _within(sections: Array, known: Array) -> NDArray[np.bool_]:
    """(N,) values from half a step below a library to a step above it."""
    steps = known if len(known) == 1 else np.diff(known)
    return np.asarray((sections > known[0] - 0.5 * steps[0]) & (sections < known[-1] + steps[-1]))


def _library(library: pd.DataFrame | ArrayLike) -> tuple[Indices, Array]:
    if isinstance(library, pd.DataFrame):
        missing = [name for name in ("count", "section") if name not in library]
        if missing:
            raise ValueError(f"library must have 'count' and 'section'; it lacks {missing}")
        ordered = library.sort_values("count")
        numbers = ordered["count"].to_numpy(dtype=np.int64)
        known = ordered["section"].to_numpy(dtype=np.float64)
    else:
        known = np.asarray(library, dtype=np.float64).reshape(-1)
        numbers = 1 + np.arange(len(known))
    if len(known) == 0 or not np.all(np.isfinite(known)) or not np.all(np.diff(known) > 0):
        raise ValueError("library must have cross-sections that grow with the number of atoms")
    return numbers, known
