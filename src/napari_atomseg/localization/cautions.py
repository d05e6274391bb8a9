"""Sentences on columns that the border cuts, on intensities that a detector or a file cut, and on
patterns that may be read in two ways.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.honeycombs import Hexagonal, hexagonal
from napari_atomseg.inference.scale import estimate_spacing, sampled_frames
from napari_atomseg.inference.stacks import merged_notes
from napari_atomseg.localization.fit.centroids import LARGEST, plateaus
from napari_atomseg.localization.table import widths_or_typical

NEAR = 1.5
"""Distance from the border over sigma within which it cuts columns."""
BLACK = 0.03
"""Part of the pixels at the lowest value from which it is worth a word..."""
PILED = 5.0
"""...if it is so many times that of the next value..."""
LEVELS = 5
"""...and the median of the others is so many steps above it: few counts pile up at zero, too."""


MUCH = 0.1
"""Part of the pixels that is saturated from which on columns are mostly flanks: in images of
Gaussian columns that were cut, volumes are up to 10 % off at this part, and up to 30 % at twice as
much."""


def border_notes(table: pd.DataFrame, shape: tuple[int, int]) -> list[str]:
    """A sentence where the border cuts columns and none has an error, as on a restored image.

    Otherwise columns there tell by themselves: those that a fit measured are off by less than twice
    what others are for their errors, and those that none could measure have no error.

    Parameters
    ----------
    table : of `localize`; without widths nothing is said.
    shape : (H, W) of the image.
    """
    sigma = widths_or_typical(table)
    if sigma is None or np.isfinite(table[["y_err", "x_err"]].to_numpy(float)).any():
        return []
    y, x = table["y"].to_numpy(float), table["x"].to_numpy(float)
    away = np.minimum.reduce([y, x, shape[0] - 1 - y, shape[1] - 1 - x])
    count = int((away < NEAR * sigma).sum())
    if not count:
        return []
    plural, verb = ("columns", "are") if count > 1 else ("column", "is")
    return [
        f"{count} {plural} {verb} cut by the border: places and volumes there may be off (edge: "
        "drop leaves them out)"
    ]


def range_notes(frames: Iterable[NDArray[Any]]) -> list[str]:
    """Sentences where many pixels have the lowest or the highest value of their image.

    Parameters
    ----------
    frames : (H, W) raw images; pixels that are not finite do not count.
    """
    low = high = 0.0
    for frame in frames:
        low = max(low, _piled(frame[np.isfinite(frame)]))
        high = max(high, float(plateaus(frame).mean()))
    notes = []
    if low > 0:
        notes.append(
            f"{100 * low:.2g} % of the pixels have the lowest value: if darker ones were cut off, "
            "volumes are too small, and so are their errors"
        )
    if high > LARGEST:
        notes.append(
            f"{100 * high:.2g} % of the pixels are saturated: volumes are too small, places and "
            "widths are off by more than their errors"
        )
    elif high > 0:
        little = ", which is too little: do not compare or count by them" if high > MUCH else ""
        notes.append(
            f"{100 * high:.2g} % of the pixels are saturated and were left out: volumes there rest "
            f"on the flanks of the columns{little}"
        )
    return notes


def contrast_notes(
    frames: NDArray[Any], contrasts: Sequence[str], sampling: Sampling | None
) -> list[str]:
    """A sentence where a hexagonal pattern does not tell whether columns are bright or dark.

    Parameters
    ----------
    frames : (N, H, W) finite images, of a long stack those of `sampled_frames` are looked at.
    contrasts : "bright" or "dark", as was taken of each.
    sampling : Å a pixel where known.
    """
    mean = None if sampling is None else mean_sampling(sampling)
    notes: list[list[str]] = [[] for _ in frames]
    for number in sampled_frames(len(frames)):
        frame = frames[number]
        pattern = hexagonal(frame, estimate_spacing(frame, mean)) if np.ptp(frame) > 0 else None
        if pattern is not None and pattern.told(mean) == "either":
            notes[number] = [_two_readings(pattern, contrasts[number], mean)]
    return notes[0] if len(notes) == 1 else list(merged_notes(notes))


def _two_readings(pattern: Hexagonal, contrast: str, sampling: float | None) -> str:
    """What a hexagonal pattern may be, what it was taken for, and how to have the other."""
    spots, others = ("bright", "dark") if pattern.bright else ("dark", "bright")
    unit, scale = ("px", 1.0) if sampling is None else ("Å", sampling)
    digits = 1 if sampling is None else 2
    near, far = (f"{n * pattern.apart * scale:.{digits}f} {unit}" for n in (1.0, 3.0**0.5))
    other = "dark" if contrast == "bright" else "bright"
    return (
        f"{spots} spots {far} apart may be columns, or the rings of a honeycomb of {others} "
        f"columns {near} apart, and the image does not tell: {contrast} columns were taken "
        f"(contrast: {other} takes the others)"
    )


def _piled(values: NDArray[Any]) -> float:
    """Part of the values that is the lowest, 0 where that may be chance or few counts."""
    if not len(values):
        return 0.0
    lowest = values.min()
    others = values[values > lowest]
    share = 1.0 - len(others) / len(values)
    if share < BLACK or not len(others):
        return 0.0
    following = others.min()
    steps = (np.median(others) - lowest) / (following - lowest)
    next_share = float((others == following).mean()) * (1.0 - share)
    return share if share > PILED * next_share and steps >= LEVELS else 0.0
