"""Microseconds a column of the fits, beside `scipy.optimize.curve_fit` in the same run.

    python -m benchmarks speed fitting [--counts 1000 10000]
    PYTHONPATH=../another-checkout/src python -m benchmarks speed fitting

Noisy Gaussians on a square lattice, `SPACING` pixels apart, from starts half a pixel off: clear
columns, and such as faint as the noise, of which "at rest" says how many fits came to an end.
`curve_fit` fits one Gaussian with a background to a square window, without its errors' noise model,
the neighbours and all else that goes with a fit here, `SAMPLE` columns of them. CPU time, one
thread by default.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import curve_fit

from benchmarks import options as shared
from benchmarks import tables
from napari_atomseg.localization.fit.independent import fit_gaussians
from napari_atomseg.localization.fit.joint.solve import fit_jointly

SPACING, SIGMA, HALF = 16, 3.0, 8
SAMPLE = 200
HEIGHTS = {"clear": 20.0, "as faint as the noise": 1.0}
"""Over the deviation of the noise."""

Array = NDArray[np.float64]


def scene(count: int, height: float, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """An image with about so many columns, and where they are looked for, y and x."""
    side = round(count**0.5)
    axis = SPACING * (np.arange(side) + 0.5)
    places = np.arange(side * SPACING, dtype=float)
    profile = np.exp(-0.5 * ((places[:, None] - axis) / SIGMA) ** 2).sum(axis=1)
    image = 5.0 + height * np.outer(profile, profile)
    image += rng.normal(size=image.shape)
    y, x = (each.ravel() for each in np.meshgrid(axis, axis, indexing="ij"))
    return image, y + rng.normal(0.0, 0.5, y.shape), x + rng.normal(0.0, 0.5, x.shape)


def by_scipy(image: Array, y: Array, x: Array) -> float:
    """CPU seconds a column of `curve_fit`."""

    def gaussian(place: Array, *theta: float) -> Array:
        row, col, sigma, amplitude, background = theta
        square = (place[0] - row) ** 2 + (place[1] - col) ** 2
        return np.asarray(amplitude * np.exp(-0.5 * square / sigma**2) + background)

    start, done = time.process_time(), 0
    for row, col in zip(
        y[:: max(1, len(y) // SAMPLE)], x[:: max(1, len(x) // SAMPLE)], strict=True
    ):
        top, left = max(0, round(row) - HALF), max(0, round(col) - HALF)
        part = image[top : top + 2 * HALF + 1, left : left + 2 * HALF + 1]
        place = np.stack(np.meshgrid(*(np.arange(n) for n in part.shape), indexing="ij"))
        first = [row - top, col - left, SIGMA, float(np.ptp(part)), float(np.median(part))]
        with suppress(RuntimeError):  # it did not converge; its time counts
            curve_fit(gaussian, place.reshape(2, -1), part.ravel(), first, maxfev=500)
        done += 1
    return (time.process_time() - start) / done


def arguments(parser: argparse.ArgumentParser) -> None:
    """Numbers of columns and threads."""
    parser.add_argument("--counts", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--joint", action="store_true", help="joint fits, too")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print a line for each number of columns and height."""
    kinds = {"independent": fit_gaussians} | ({"joint": fit_jointly} if options.joint else {})
    tables.begin(["columns", "fit", "seconds", "µs a column", "at rest", "curve_fit over it"])
    for count in options.counts:
        for name, height in HEIGHTS.items():
            image, y, x = scene(count, height, np.random.default_rng(0))
            peer = by_scipy(image, y, x)
            for kind, fit in kinds.items():
                start = time.process_time()
                fits = fit(torch.from_numpy(image), y, x)
                taken = time.process_time() - start
                one = taken / len(y)
                cells = [f"{len(y)}, {name}", kind, f"{taken:.2f}", f"{1e6 * one:.0f}"]
                tables.line([*cells, f"{fits.converged.mean():.0%}", f"{peer / one:.1f}"])
