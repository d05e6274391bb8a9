"""Public function: `calibrate`, the size of a pixel from what a user knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import angstroms, pixel_size
from napari_atomseg.analysis import find_lattice, find_zone_axis
from napari_atomseg.calibration.bar import find_scale_bar
from napari_atomseg.calibration.crystal import PixelShape, pixel_shape
from napari_atomseg.calibration.settings import By, CalibrationSettings, Unit
from napari_atomseg.progress import CancelToken, Progress

SAME = 0.01
"""Relative difference of samplings below which two zone axes say the same."""
CLEAR = 3.0
"""Standard errors beyond which pixels are not square, or leaning."""


@dataclass(frozen=True)
class Calibration:
    """The size of the pixels of an image.

    Attributes
    ----------
    sampling : Å per pixel, one number or (dy, dx).
    error : standard error of dy and dx, Å; NaN where it is not known.
    notes : how it is known, a sentence each.
    pixels : size and shear of the pixels as a crystal shows them, with `correct` and
        `correct_columns`; None for other ways.
    columns : table of the columns by which they were found; None for other ways.
    """

    sampling: Sampling
    error: tuple[float, float]
    notes: tuple[str, ...]
    pixels: PixelShape | None = None
    columns: pd.DataFrame | None = None


@takes_images("image")
def calibrate(
    image: Any = None,
    by: By = "pixel",
    *,
    pixel: Sampling | None = None,
    line: ArrayLike | None = None,
    length: float | None = None,
    unit: Unit = "nm",
    crystal: str | None = None,
    zone_axis: str | None = None,
    tolerance: float = 0.05,
    columns: pd.DataFrame | None = None,
    sampling: Sampling | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Calibration:
    """Find the size of a pixel from what is known of an image.

    Parameters
    ----------
    image : (H, W) for the bar, or for a crystal whose columns are to be localized first.
    by : "pixel", its size; "line", of known length; "bar", the burnt-in one and the length that is
        written at it; or "crystal", a known one, whose lattice shows size and shear of the pixels.
    pixel : size of a pixel in `unit`, one number or (dy, dx).
    line : (2, 2) ends (y, x) of the line in pixels. Pixels are taken to be square.
    length : of the line or the bar in `unit`.
    unit : "pm", "Å", "nm" or "µm".
    crystal : name of a crystal or a structure file.
    zone_axis : of the crystal, such as "1 1 0"; by default the one that fits.
    tolerance : error of lengths and angles that may be expected before, as a part of them.
    columns : table of the columns of the crystal; by default they are localized.
    sampling : Å per pixel as known before, if only roughly; without it zone axes are told by the
        shape of the cell alone.

    Raises
    ------
    ValueError, TypeError
        What is needed is missing, there is no bar, or the crystal does not fit; the message says
        what.
    OSError
        A structure file is missing or cannot be read.
    Cancelled
        `cancel` was raised.
    """
    chosen = CalibrationSettings(
        by=by,
        pixel=pixel,
        length=length,
        unit=unit,
        crystal=crystal,
        zone_axis=zone_axis,
        tolerance=tolerance,
    )
    factor = float(angstroms(chosen.unit) or 1.0)
    if chosen.by == "pixel":
        return _typed(chosen, factor)
    if chosen.by == "crystal":
        hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
        return _by_crystal(image, columns, chosen, sampling, hooks)
    if chosen.length is None:
        raise ValueError(f"length is missing: give that of the {chosen.by}, in {chosen.unit}")
    known = factor * chosen.length
    if chosen.by == "bar":
        if image is None:
            raise ValueError("image is missing: the bar is found in it")
        bar = find_scale_bar(image)
        size = known / bar.length
        error = size * bar.error / bar.length
        note = (
            f"the burnt-in bar is {bar.length:g} ± {bar.error:g} px long, "
            f"{chosen.length:g} {chosen.unit}: {size:.5g} ± {error:.2g} Å/px"
        )
        return Calibration(size, (error, error), (note,))
    if line is None:
        raise ValueError("line is missing: give its ends (y, x) in pixels")
    ends = np.asarray(line, dtype=float)
    if ends.shape != (2, 2) or not np.isfinite(ends).all() or not np.ptp(ends, axis=0).any():
        raise ValueError(f"line={ends.tolist()} must be two different ends (y, x) in pixels")
    drawn = float(np.hypot(*(ends[1] - ends[0])))
    size = known / drawn
    note = f"a line of {drawn:.2f} px is {chosen.length:g} {chosen.unit}: {size:.5g} Å/px"
    return Calibration(size, (float("nan"),) * 2, (note,))


def _typed(chosen: CalibrationSettings, factor: float) -> Calibration:
    if chosen.pixel is None:
        raise ValueError(f"pixel is missing: give its size in {chosen.unit}")
    dy, dx = (factor * size for size in pixel_size(chosen.pixel))
    sampling: Sampling = dy if dy == dx else (dy, dx)
    sizes = f"{dy:.5g}" if dy == dx else f"{dy:.5g} × {dx:.5g}"
    return Calibration(sampling, (float("nan"),) * 2, (f"a pixel is {sizes} Å, as given",))


def _by_crystal(
    image: Any,
    columns: pd.DataFrame | None,
    chosen: CalibrationSettings,
    sampling: Sampling | None,
    hooks: dict[str, Any],
) -> Calibration:
    if chosen.crystal is None:
        raise ValueError("crystal is missing: name the one that is seen")
    if columns is None:
        if image is None:
            raise ValueError("give the image, or its columns")
        from napari_atomseg.localization import localize

        columns = localize(image, sampling=sampling, **hooks)
    lattice = find_lattice(columns, sampling)
    zones = find_zone_axis(lattice, chosen.crystal, tolerance=chosen.tolerance, **hooks)
    if chosen.zone_axis is not None:
        zones = zones[[_same_axis(each, chosen.zone_axis) for each in zones["zone_axis"]]]
        if not len(zones):
            raise ValueError(f"zone_axis={chosen.zone_axis!r} does not fit the columns at all")
    best = zones.iloc[0]
    if not best["fits"]:
        raise ValueError(
            f"no zone axis of {chosen.crystal} fits the columns; the nearest is "
            f"{best['zone_axis']}, lengths off by {best['length_misfit_percent']:+.1f} %"
        )
    alike = zones[zones["rank"] == best["rank"]]
    off = (alike["sampling"] / best["sampling"] - 1.0).abs()
    if (off > SAME).any():
        names = ", ".join(
            f"{row.zone_axis} ({row.sampling:.4f} Å/px)" for row in alike.itertuples()
        )
        raise ValueError(
            f"these zone axes fit alike, with different scales: {names}; give the zone axis, or a "
            "rough sampling"
        )
    pixels = pixel_shape(lattice, best)
    return Calibration(
        pixels.sampling, pixels.sampling_err, tuple(_told(pixels, best, columns)), pixels, columns
    )


def _told(pixels: PixelShape, best: pd.Series, columns: pd.DataFrame) -> list[str]:
    (dy, dx), (dy_err, dx_err) = pixels.sampling, pixels.sampling_err
    notes = [
        f"{len(columns)} columns of {best['crystal']} {best['zone_axis']}: {dy:.5f} ± {dy_err:.5f} "
        f"Å/px along y, {dx:.5f} ± {dx_err:.5f} along x, sheared by {pixels.shear_deg:+.3f} ± "
        f"{pixels.shear_err_deg:.3f}°"
    ]
    square = abs(dy - dx) < CLEAR * np.hypot(dy_err, dx_err)
    upright = abs(pixels.shear_deg) < CLEAR * pixels.shear_err_deg
    if square and upright:
        notes.append("within the errors pixels are square and upright: there is nothing to correct")
    notes.append(
        "errors are those of the lattice; the crystal's constants are taken as exact, and strain "
        "or a tilt of the specimen counts as scale"
    )
    return notes


def _same_axis(found: str, wanted: str) -> bool:
    """Whether "[1 1 0]" and "110", "1 1 0" or "1,1,0" name one axis, up to its sign."""
    text = wanted.strip("[] ").replace(",", " ")
    parts = text.split() if " " in text else list(text)
    try:
        indices = [int(part) for part in parts]
    except ValueError:
        raise ValueError(
            f"zone_axis={wanted!r} must be three whole numbers, such as 1 1 0"
        ) from None
    own = [int(part) for part in found.strip("[]").split()]
    return indices in (own, [-i for i in own])
