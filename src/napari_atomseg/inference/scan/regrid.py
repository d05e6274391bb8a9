"""Samples of displaced scan lines put back where they were taken, and read off on the grid.

A line i that was displaced by (δy, δx) holds the specimen at row i - δy and columns j - δx. Along
the line its samples are evenly spaced, and a shift of the whole line brings them to the grid. From
line to line they are not: there the value on the grid is the weighted least-squares estimate from
the lines around it, at their true rows (simple kriging; Cressie, Statistics for Spatial Data,
1993).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft

from napari_atomseg._shared.types import Array
from napari_atomseg.progress import checkpoint

REACH = 8
"""Lines to either side that a value on the grid is estimated from."""
PADDING = 16
"""Pixels by which lines are mirrored at their ends while they are shifted."""
QUIET = 0.15
"""Part of the spectrum, its end, that is noise where the image is sampled as finely as most."""
ROUNDING = 1e-4
"""Least noise relative to the signal's variance: of interpolation, and of optics that differ along
and across the lines."""
STEP = 1.0 / 128.0
"""Pixels between the distances at which the signal's covariance is tabulated."""
NOWHERE = 1e9
"""Variance, relative to the signal's, of lines beyond the border."""


@dataclass(frozen=True)
class Statistics:
    """What is known of a frame before its lines are put back.

    Attributes
    ----------
    frequencies, power : (K,) cycles per pixel and variance of the signal in each.
    noise : variance of the noise of a pixel.
    """

    frequencies: Array
    power: Array
    noise: float

    @classmethod
    def of(cls, frame: Array) -> Statistics:
        """Statistics of a frame (H, W), from its spectrum along the lines.

        That does not change with the lines' displacement. The optics are taken to be alike along
        and across the lines. The spectrum of the signal is bounded from above by one that falls
        with frequency, so that the peaks of a lattice along the lines say nothing about one across.
        """
        width = frame.shape[1]
        window = np.hanning(width + 2)[1:-1]
        lines = (frame - frame.mean(axis=1, keepdims=True)) * window
        power = (np.abs(fft.rfft(lines, axis=1)) ** 2).mean(axis=0)
        power *= 2.0 / (width * float((window**2).sum()))
        frequencies = fft.rfftfreq(width)
        quiet = power[frequencies >= 0.5 * (1.0 - QUIET)]
        floor = float(np.median(quiet)) if len(quiet) else 0.0
        signal = np.maximum(power - floor, 0.0)
        # Smoothed over a few frequencies, and nowhere below what follows.
        kernel = np.ones(5) / 5.0
        signal = np.convolve(np.pad(signal, 2, mode="edge"), kernel, mode="valid")
        signal = np.maximum.accumulate(signal[::-1])[::-1]
        return cls(frequencies, signal, floor * width / 2.0)

    def covariance(self, distance: Array) -> Array:
        """Covariance of the signal at rows so far apart, pixels, any shape."""
        away = np.abs(distance)
        table = np.arange(0.0, away.max() + 2.0 * STEP, STEP)
        phase = 2.0 * np.pi * table[:, None] * self.frequencies
        return np.interp(away, table, np.cos(phase) @ self.power)

    @property
    def slope(self) -> float:
        """Variance of the signal's derivative, per pixel²."""
        return float(((2.0 * np.pi * self.frequencies) ** 2 * self.power).sum())


def shifted_along(frame: Array, shift: Array) -> Array:
    """Lines (H, W) shifted to the right by (H,) pixels, exactly for frequencies below Nyquist's."""
    pad = min(PADDING, frame.shape[1] - 1)
    padded = np.pad(frame, ((0, 0), (pad, pad)), mode="reflect", reflect_type="odd")
    spectrum = fft.rfft(padded, axis=1)
    ramp = np.exp(-2j * np.pi * shift[:, None] * fft.rfftfreq(padded.shape[1]))
    moved = fft.irfft(spectrum * ramp, n=padded.shape[1], axis=1)
    return np.asarray(moved[:, pad : pad + frame.shape[1]], dtype=np.float64)


def put_back(frame: Array, shifts: Array, errors: Array) -> Array:
    """A frame whose samples are put back where they were taken.

    To the line k, which shows the specimen at row k - δ_k, the difference of the estimates at k
    and at k - δ_k is added. So only the signal is moved: noise stays in its pixel, white if it was
    white, and a line that was not displaced stays as it is.

    Parameters
    ----------
    frame : (H, W) finite.
    shifts : (H, 2) displacement (y, x) of each line in pixels.
    errors : (H, 2) their standard errors; a line counts the less, the less is known of its place.

    Returns
    -------
    (H, W) float64; the frame's own values where nothing is displaced.
    """
    result = frame.astype(np.float64)
    if shifts[:, 1].any():
        result = shifted_along(result, -shifts[:, 1])
    if not shifts[:, 0].any():
        return result
    checkpoint()
    known = Statistics.of(result)
    if not known.power.sum() > 0:
        return result
    weights = _weights(shifts[:, 0], errors, known)
    signal = result - result.mean()
    moved = result.copy()
    for place, offset in enumerate(range(-REACH, REACH + 1)):
        checkpoint()
        lines = np.clip(np.arange(len(result)) + offset, 0, len(result) - 1)
        moved += weights[:, place, None] * signal[lines]
    return moved


def _weights(shift: Array, errors: Array, known: Statistics) -> Array:
    """(H, 2 `REACH` + 1) weights of the lines around each line k in what is added to it."""
    height, count = len(shift), 2 * REACH + 1
    lines = np.arange(height)[:, None] + np.arange(-REACH, REACH + 1)
    there = (lines >= 0) & (lines < height)
    lines = lines.clip(0, height - 1)
    rows = lines - shift[lines]
    power = float(known.power.sum())
    # A line at an uncertain place differs from what is there by its slope times the error.
    doubt = (errors**2).sum(axis=1)[lines] * known.slope
    variance = np.where(there, known.noise + doubt + ROUNDING * power, NOWHERE * power)
    system = known.covariance(rows[:, :, None] - rows[:, None, :])
    system[:, range(count), range(count)] += variance
    grid = np.arange(height, dtype=np.float64)[:, None]
    wanted = known.covariance(rows - grid) - known.covariance(rows - (grid - shift[:, None]))
    weights = np.linalg.solve(system, wanted[..., None])[..., 0]
    return np.where(there, weights, 0.0)
