"""Columns that merge: how many fits of dumbbells converge, and whether their errors hold.

    python -m benchmarks localization dumbbells [--distances 1.5 2 2.5 3 4] [--levels 200 1000]

Dumbbells of two columns in all directions, the second a little fainter, far from one another and
with counted electrons, are fitted from starts within 0.3 px of the truth. Of the fits that
converged: the root mean square of deviations over stated errors, along y and x, which should be 1;
how many are within one error, of 68 % that should be; and the same deviations over the Cramér–Rao
bound of such columns.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.localization.fits import Method, methods
from benchmarks.localization.scenes import GROUND, Array, Scene, drawn
from benchmarks.seeds import DUMBBELLS, generator

SIGMA = 3.0
SECOND = 0.8
"""Height of the second column over that of the first."""
CELL = 30.0
"""px between dumbbells: ten sigmas."""
NEAR = 0.3
"""px; starts are off by at most so much along y and along x."""
WAYS = ("single", "single, elliptic", "joint, shared width", "joint, free widths")


def dumbbells(distance: float, height: float, side: int, rng: np.random.Generator) -> Scene:
    """`side` by `side` dumbbells in random directions.

    Parameters
    ----------
    distance : of the two columns, over sigma.
    height : electrons in the brightest pixel of the first column.
    """
    axis = (np.arange(side) + 0.5) * CELL
    middle = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    middle = middle + rng.uniform(-0.5, 0.5, middle.shape)
    angle = rng.uniform(0.0, 2 * np.pi, len(middle))
    half = 0.5 * distance * SIGMA * np.stack([np.sin(angle), np.cos(angle)], axis=1)
    points = np.concatenate([middle - half, middle + half])
    heights = height * np.repeat([1.0, SECOND], len(middle))
    pixels = round(side * CELL)
    clean = GROUND * height + drawn((pixels, pixels), points, SIGMA, heights)
    start = points.T + rng.uniform(-NEAR, NEAR, (2, len(points)))
    image = rng.poisson(clean).astype(float)
    inner = np.ones(len(points), dtype=bool)
    return Scene(*points.T, heights, SIGMA, GROUND * height, clean, image, start, inner)


def measured(scene: Scene, method: Method) -> dict[str, Array]:
    """Deviations of y and x (2, n) of the columns that converged, and what they are over."""
    fits = method(scene)
    good = fits.converged & np.isfinite(fits.y_err)
    off = np.stack([fits.y - scene.y, fits.x - scene.x])[:, good]
    stated = np.stack([fits.y_err, fits.x_err])[:, good]
    return {"off": off, "stated": stated, "good": good}


def over_distances(
    distances: list[float], levels: list[float], side: int, ways: tuple[str, ...] = WAYS
) -> pd.DataFrame:
    """A row for each distance, level and way of fitting."""
    rows = []
    chosen = methods(False)
    for number, distance in enumerate(distances):
        for level in levels:
            scene = dumbbells(distance, level, side, generator(DUMBBELLS, number, int(level)))
            bound = scene.together("shared")
            for way in ways:
                found = measured(scene, chosen[way])
                good, z = found["good"], found["off"] / found["stated"]
                allowed = np.sqrt(np.mean(bound[:, good] ** 2)) if good.any() else np.nan
                rows.append(
                    {
                        "distance / sigma": distance,
                        "electrons at the top": level,
                        "fit": way,
                        "converged, %": 100 * float(np.mean(good)),
                        "deviation / error": float(np.sqrt(np.mean(z**2))),
                        "by the median": 1.4826 * float(np.median(np.abs(z))),
                        "within 1, %": 100 * float(np.mean(np.abs(z) < 1)),
                        "deviation / bound": float(np.sqrt(np.mean(found["off"] ** 2)) / allowed),
                        "bound, px": float(allowed),
                    }
                )
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Distances, levels and how many."""
    parser.add_argument("--distances", nargs="+", type=float, default=[1.5, 2, 2.5, 3, 4])
    parser.add_argument("--levels", nargs="+", type=float, default=[100, 400, 2000])
    parser.add_argument("--side", type=int, default=10, help="dumbbells, squared")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    tables.show(over_distances(options.distances, options.levels, options.side))
