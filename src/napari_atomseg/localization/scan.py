"""Positions of columns without the displacement of the scan lines they were measured from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array
from napari_atomseg.inference.scan.api import (
    COLUMNS,
    ScanFrame,
    frame_lines,
    image_axes,
    open_meter,
    scan_notes,
)
from napari_atomseg.localization.settings import LocalizeSettings
from napari_atomseg.localization.table import in_angstrom

REACH = 3.0
"""Widths sigma of a column within which lines count."""
USUAL = 1.5
"""Width in pixels of columns whose width was not measured."""


class Unjittered:
    """Takes the displacement of scan lines off the columns of each frame, where that is asked for.

    Parameters
    ----------
    settings : of `localize`; with `scan` "none", tables stay as they are.
    frames : (N, H, W) of the image.
    pixel : (dy, dx) in Å, or None.
    """

    def __init__(
        self, settings: LocalizeSettings, frames: NDArray[Any], pixel: tuple[float, float] | None
    ) -> None:
        self._scan, self._frames, self._pixel = settings.scan, frames, pixel
        self._meter = None if settings.scan == "none" else open_meter(None, settings.device)
        self._found: list[ScanFrame] = []

    def __call__(self, number: int, table: pd.DataFrame) -> pd.DataFrame:
        """The table of a frame with corrected positions, see `without_jitter`."""
        if self._meter is None:
            return table
        lines = frame_lines(self._frames[number], self._scan, self._meter)
        self._found.append(lines)
        return without_jitter(table, lines, self._pixel)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was undone, a sentence."""
        return scan_notes(self._found, self._pixel) if self._found else ()


def without_jitter(
    table: pd.DataFrame, lines: ScanFrame, pixel: tuple[float, float] | None
) -> pd.DataFrame:
    """A table of columns of one frame whose positions are corrected by the shifts of the lines.

    A least-squares fit of a Gaussian of width σ, whose line at distance t from the column was
    displaced by (across, along), is displaced by the means of these over the lines, to first order
    in displacements over σ. The weights are the information that the lines hold about the
    position: exp(-t² / σ²) along the lines and t² exp(-t² / σ²) across them (the squared
    derivatives of the Gaussian, summed along a line). The variance of these means is added to that
    of the fit.

    Parameters
    ----------
    table : with ``y``, ``x`` (pixels), their errors and ``sigma``.
    lines : what was measured in the frame.
    pixel : (dy, dx) in Å, or None.

    Returns
    -------
    The same with corrected ``y``, ``x``, ``y_err`` and ``x_err`` (and ``y_restored`` and so on
    where there are such), and the displacements ``scan_y`` and ``scan_x`` that were taken off.
    """
    if lines.direction == "none" or not len(table):
        return table.assign(scan_y=0.0, scan_x=0.0)
    lying = lines.direction == COLUMNS
    place = table["x" if lying else "y"].to_numpy(float)
    sigma = table["sigma"].to_numpy(float)
    sigma = np.where(np.isfinite(sigma) & (sigma > 0), sigma, USUAL)
    shift, variance = column_shifts(place, sigma, lines)
    shift, variance = (image_axes(each, lines.direction) for each in (shift, variance))
    changed = {f"scan_{name}": shift[:, axis] for axis, name in enumerate("yx")}
    for axis, name in enumerate("yx"):
        for column in (name, f"{name}_restored"):
            if column in table:
                changed[column] = table[column].to_numpy(float) - shift[:, axis]
        error = table[f"{name}_err"].to_numpy(float)
        changed[f"{name}_err"] = np.hypot(error, np.sqrt(variance[:, axis]))
    table = table.assign(**changed)
    return table if pixel is None else in_angstrom(table, pixel)


def column_shifts(place: Array, sigma: Array, lines: ScanFrame) -> tuple[Array, Array]:
    """(N, 2) displacements (across, along) of columns at `place` across the lines, and variances.

    Errors of neighbouring lines are taken to be independent.
    """
    jitter, errors = lines.shifts.jitter, lines.shifts.errors
    reach = int(np.ceil(REACH * float(sigma.max())))
    near = np.rint(place).astype(int)[:, None] + np.arange(-reach, reach + 1)
    there = (near >= 0) & (near < len(jitter))
    near = near.clip(0, len(jitter) - 1)
    far = (near - place[:, None]) / sigma[:, None]
    along = np.where(there, np.exp(-(far**2)), 0.0)
    weights = np.stack([along * far**2, along], axis=2)
    total = weights.sum(axis=1, keepdims=True)
    weights = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    shift = (weights * jitter[near]).sum(axis=1)
    variance = (weights**2 * errors[near] ** 2).sum(axis=1)
    return shift, variance
