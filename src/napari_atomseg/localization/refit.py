"""Columns of a table measured again, all of them or only those that were edited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, Unpack

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference.stacks import Frames
from napari_atomseg.localization.fit.correlation import NoiseFound, noise_record
from napari_atomseg.localization.fit.refinement import Refinement, levelled
from napari_atomseg.localization.overlap import is_overlap_note, overlap_notes
from napari_atomseg.localization.settings import (
    FitOptions,
    FitSettings,
    Refine,
    frame_weights,
    known_noise,
)
from napari_atomseg.localization.table import in_angstrom, measured_columns
from napari_atomseg.progress import CancelToken, Progress, report

SIGNS = {"bright": 1.0, "dark": -1.0}
SAME = 1e-4
"""Values that differ by less than this part are one that a file has rounded."""


@takes_images("image")
def refine_columns(
    image: Any,
    columns: pd.DataFrame,
    only: ArrayLike | None = None,
    *,
    refine: Refine | None = None,
    fit: FitSettings | None = None,
    contrast: Literal["bright", "dark"] | Sequence[str] | None = None,
    device: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[FitOptions],
) -> pd.DataFrame:
    """Measure columns of a table on an image, starting from where the table has them.

    For columns that were added or dragged by hand, or that come from another program.

    Parameters
    ----------
    image : (H, W), or a stack where the table has a ``frame``; pixels that are NaN, hot or dead are
        not measured. Of an array of dask only frames with such columns are read.
    columns : table with ``y`` and ``x`` in pixels, other columns as of `localize` or fewer. Where
        ``columns.attrs`` has a sampling (dy, dx), columns are round in Å.
    only : (N,) which rows, as booleans, or the places of rows; None for all. The others are
        neighbours that are taken into account and stay as they are. A width or background that
        these share, from a joint fit, is that of the rows measured now.
    refine, widths, backgrounds, likelihood, frames, noise : as in `localize`; None takes what the
        table was made with according to ``columns.attrs``, or else the default there.
    fit : all of these, in place of those of the table.
    contrast : "bright" or "dark" columns, or one a frame; None takes that of the table, or else
        bright ones.
    device : as in `predict`.

    Returns
    -------
    A copy with the measurements of those rows in place of the former ones.

    Raises
    ------
    ValueError
        An argument is wrong; the message names it.
    Cancelled
        `cancel` was raised.
    """
    if fit is None:
        made = {
            name: columns.attrs[name] for name in FitSettings.model_fields if name in columns.attrs
        }
        fit = FitSettings(**made)
    raw = Frames(image)
    given = {**options, "refine": refine}
    often, known = frame_weights(given, raw.shape[-2:]), known_noise(given)
    fit = fit.updated(**{name: value for name, value in given.items() if value is not None})
    pixel = pixel_size(columns.attrs.get("sampling"))
    refinement = Refinement(fit, device, frames=often, pixel=pixel, noise=known)
    signs = _signs(contrast or columns.attrs.get("contrast", "bright"), len(raw))
    places = _places(columns)
    frame = columns["frame"].to_numpy(int) if "frame" in columns else np.zeros(len(columns), int)
    if len(frame) and not 0 <= frame.min() <= frame.max() < len(raw):
        raise ValueError(
            f"columns are of frames {frame.min()} to {frame.max()}; image has {len(raw)}"
        )
    chosen = _chosen(only, len(columns))
    noise: list[NoiseFound | None] = []
    new = columns.copy()
    numbers = np.unique(frame[chosen])
    for done, number in enumerate(numbers):
        report(progress, cancel, done, len(numbers), "Measuring columns")
        there = np.flatnonzero(frame == number)
        some = chosen[there]
        y, x = places[:, there]
        sign = signs[number]
        plane, offset = levelled(raw[int(number)].measured()[0], fit)
        shared = _shared(columns.iloc[there[~some]], fit, sign, offset)
        measure = replace(refinement, common=shared)
        fits = measure.some(sign * plane, y, x, some, cancel)
        noise.append(fits.noise)
        fits = replace(fits, background=fits.background + sign * offset)
        for name, values in measured_columns(fits, sign, fit.refine).items():
            if name not in new:
                new[name] = False if name == "converged" else np.nan
            kept = new[name].to_numpy(copy=True)
            kept[there[some]] = values[some]
            new[name] = kept
    report(progress, cancel, len(numbers), len(numbers), "Measuring columns")
    pixel = pixel_size(columns.attrs.get("sampling"))
    new.attrs = columns.attrs | {"refine": fit.refine}
    if chosen.all():
        new.attrs |= {"noise": noise_record(noise)}
    # What an earlier way of measuring said of overlap is no longer so.
    before = [note for note in columns.attrs.get("notes", []) if not is_overlap_note(note)]
    each = [new[frame == number] for number in np.unique(frame)]
    notes = before + overlap_notes(each, fit.refine, refinement.aspect)
    if notes or "notes" in columns.attrs:
        new.attrs["notes"] = notes
    return new if pixel is None else in_angstrom(new, pixel)


def _signs(contrast: str | Sequence[str], count: int) -> list[float]:
    """Sign of each frame: 1 for bright columns, -1 for dark ones."""
    each = [contrast] * count if isinstance(contrast, str) else list(contrast)
    if len(each) != count or not set(each) <= set(SIGNS):
        accepted = f"choose one of {', '.join(SIGNS)}, or {count} of them, one a frame"
        raise ValueError(f"contrast={contrast!r}; {accepted}")
    return [SIGNS[one] for one in each]


def _shared(others: pd.DataFrame, fit: FitSettings, sign: float, offset: float) -> dict[str, float]:
    """Width and background of the bright columns of `sign * (image - offset)` of all others."""
    choices = {"sigma": fit.widths, "background": fit.backgrounds}
    shared = {}
    for name, choice in choices.items():
        if choice == "shared" and name in others:
            values = others[name].to_numpy(float)
            values = values[np.isfinite(values)]
            if len(values) > 1 and np.ptp(values) <= SAME * np.abs(values).max():
                value = float(np.median(values))
                shared[name] = sign * (value - offset) if name == "background" else value
    return shared


def _places(columns: pd.DataFrame) -> NDArray[np.float64]:
    """(2, N) y and x."""
    missing = [name for name in ("y", "x") if name not in columns]
    if missing:
        raise ValueError(f"columns has no {' and no '.join(missing)}")
    places = columns[["y", "x"]].to_numpy(float).T
    if not np.isfinite(places).all():
        raise ValueError("columns has positions that are not finite")
    return places


def _chosen(only: ArrayLike | None, count: int) -> NDArray[np.bool_]:
    """(N,) which rows to measure."""
    if only is None:
        return np.ones(count, dtype=bool)
    rows = np.asarray(only)
    if rows.dtype == bool and rows.shape == (count,):
        return rows.copy()
    whole = rows.dtype.kind in "iu" or rows.size == 0
    if rows.ndim != 1 or not whole or np.any((rows < -count) | (rows >= count)):
        raise ValueError(f"only={only!r} must be {count} booleans, or places of {count} rows")
    chosen = np.zeros(count, dtype=bool)
    chosen[rows.astype(int)] = True
    return chosen
