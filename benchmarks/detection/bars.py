"""Error bars of columns whose truth is exact, where noise is white and where neighbours share it.

    python -m benchmarks detection bars
    python -m benchmarks detection bars --images 1 --side 256 --noise white "1 px"

Round Gaussian columns on a jittered grid and a constant background, measured by `localize`. Noise:

- *white*: normal, the same everywhere, at a peak signal-to-noise ratio of `--level` dB (20 log10 of
  a column's height over its deviation);
- *shot*: electrons, as many as give that ratio at the top of a column;
- *0.5, 1, 1.5 px*: normal noise of that deviation, filtered with a Gaussian of that sigma;
- *mean of 8 frames*: frames with shot noise and an eighth of the electrons, each shifted by up to
  two pixels, moved back by cubic splines, as an alignment does it, and averaged;
- *zoomed 1.6 times*: shot noise on pixels 1.6 times as large, resampled by cubic splines.

Printed are, over y and x of all columns but those near the border, the share of errors within one
and 1.96 stated errors, in per cent, which are 68.3 and 95.0 where these are right; the same of the
volumes; the rms of errors over stated errors; and the columns without a stated error.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from scipy import ndimage

import napari_atomseg as atomseg
from benchmarks import tables
from benchmarks.detection import common
from benchmarks.detection.common import Array, localized
from benchmarks.detection.empty import correlated
from benchmarks.localization.scenes import drawn
from benchmarks.seeds import DETECTION_BARS as SEED
from benchmarks.seeds import generator

SIGMA, SPACING = 3.0, 18.0
"""Of the columns, pixels."""
GROUND = 0.2
"""Background over the height of the columns."""
FRAMES, SHIFT = 8, 2.0
"""Of an aligned mean, and how far each is moved at most, px."""
ZOOM = 1.6
NEAR = 1.5
"""Distance within which a column is the true one, px."""
LEVELS = {"68 %": (1.0, 68.3), "95 %": (1.96, 95.0)}
"""Stated errors, and the per cent of normal errors within them."""
POINTS = 3.0
"""By which these may differ."""

Noise = Callable[[Array, float, np.random.Generator], Array]


def clean(points: Array, side: int, scale: float = 1.0, shift: Array | float = 0.0) -> Array:
    """(H, W) expected image of columns of height 1; pixels are `scale` times as large."""
    pixels = round(side / scale)
    image = drawn((pixels, pixels), points / scale + shift, SIGMA / scale, np.ones(len(points)))
    return GROUND + image


def electrons(level: float) -> float:
    """Of a height of 1, for a peak signal-to-noise ratio in dB: A² / (A + b) is its square."""
    return float((1.0 + GROUND) * 10.0 ** (level / 10.0))


def normal(
    points: Array, side: int, level: float, rng: np.random.Generator, length: float
) -> Array:
    """White noise, or that of a correlation length."""
    noise = correlated(rng, (side, side), length)
    return clean(points, side) + 10.0 ** (-level / 20.0) * noise


def shot(points: Array, side: int, level: float, rng: np.random.Generator) -> Array:
    """Electrons."""
    return rng.poisson(electrons(level) * clean(points, side)).astype(float)


def aligned(points: Array, side: int, level: float, rng: np.random.Generator) -> Array:
    """The mean of frames that were moved back by cubic splines."""
    total = np.zeros((side, side))
    for _ in range(FRAMES):
        shift = rng.uniform(-SHIFT, SHIFT, 2)
        frame = rng.poisson(electrons(level) / FRAMES * clean(points, side, shift=shift))
        total += ndimage.shift(frame.astype(float), -shift, order=3, mode="nearest")
    return total / FRAMES


def zoomed(points: Array, side: int, level: float, rng: np.random.Generator) -> Array:
    """Large pixels resampled to small ones."""
    coarse = rng.poisson(electrons(level) * clean(points, side, ZOOM)).astype(float)
    places = np.mgrid[:side, :side] / ZOOM
    return np.asarray(ndimage.map_coordinates(coarse, places, order=3, mode="nearest"))


NOISES: dict[str, Callable[..., Array]] = {
    "white": partial(normal, length=0.0),
    "shot": shot,
    **{f"{n:g} px": partial(normal, length=n) for n in (0.5, 1.0, 1.5)},
    f"mean of {FRAMES} frames": aligned,
    f"zoomed {ZOOM:g} times": zoomed,
}
"""Images with noise, by name."""


def grid(side: int, rng: np.random.Generator) -> Array:
    """(N, 2) columns that fill an image, each moved by up to half a pixel along y and x."""
    count = int(side // SPACING)
    axis = (np.arange(count) + 0.5) * side / count
    points = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    return np.asarray(points + rng.uniform(-0.5, 0.5, points.shape))


def errors(noise: str, refine: str, options: argparse.Namespace) -> pd.DataFrame:
    """Errors over stated errors of all columns, NaN where none is stated: y, x, volume.

    The true volume is that of all columns but for a factor, the unit of the image: it is taken from
    their median.
    """
    chosen = {} if options.model is None else {"model": options.model}
    parts = []
    for index in range(options.images):
        rng = generator(SEED, list(NOISES).index(noise), index)
        points = grid(options.side, rng)
        image = NOISES[noise](points, options.side, options.level, rng)
        found = localized(
            image.astype(np.float32), refine=refine, detector=options.detector, **chosen
        ).table
        i, j = atomseg.analyze.match(found, points, NEAR)
        far = np.minimum(points[j], options.side - 1 - points[j]).min(axis=1)
        inner = far > 0.75 * SPACING
        near, known = found.iloc[i[inner]], points[j[inner]]
        volume = near["volume"].to_numpy()
        parts.append(
            pd.DataFrame(
                {
                    "y": (near["y"].to_numpy() - known[:, 0]) / near["y_err"].to_numpy(),
                    "x": (near["x"].to_numpy() - known[:, 1]) / near["x_err"].to_numpy(),
                    "volume": (volume - np.median(volume)) / near["volume_err"].to_numpy(),
                }
            )
        )
    return pd.concat(parts)


def within(values: Array, z: float) -> float:
    """Per cent of the values within z of zero; NaN without any."""
    return 100.0 * float(np.mean(np.abs(values) < z)) if len(values) else float("nan")


def row(noise: str, refine: str, options: argparse.Namespace) -> dict[str, object]:
    """A line of the table."""
    table = errors(noise, refine, options)
    place = table[["y", "x"]].to_numpy()
    stated = np.isfinite(place).all(axis=1)
    sizes = table["volume"].to_numpy()
    sizes = sizes[np.isfinite(sizes)]
    line: dict[str, object] = {"noise": noise, "refine": refine, "columns": len(table)}
    for name, (z, _) in LEVELS.items():
        line[name] = within(place[stated], z)
    for name, (z, _) in LEVELS.items():
        line[f"volume {name}"] = within(sizes, z)
    good = all(abs(within(place[stated], z) - wanted) <= POINTS for z, wanted in LEVELS.values())
    line["error / stated"] = f"{float(np.sqrt(np.nanmean(place[stated] ** 2))):.2f}"
    line["none stated"] = int((~stated).sum())
    line["aim"] = " and ".join(f"{wanted:g} ± {POINTS:g}" for _, wanted in LEVELS.values())
    return line | {"reached": common.reached(good)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """Noise, fits and sizes."""
    parser.add_argument("--noise", nargs="+", choices=tuple(NOISES), default=list(NOISES))
    parser.add_argument("--refine", nargs="+", default=["gaussian", "joint"])
    parser.add_argument("--images", type=int, default=4, help="of each kind [%(default)s]")
    parser.add_argument("--side", type=int, default=512, help="pixels of an image [%(default)s]")
    parser.add_argument("--level", type=float, default=20.0, help="dB [%(default)s]")
    parser.add_argument("--detector", choices=("network", "peaks"), default="network")
    common.arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Measure and print, a line a kind and fit."""
    begun = False
    for noise in options.noise:
        for refine in options.refine:
            line = row(noise, refine, options)
            if not begun:
                tables.begin(line)
                begun = True
            tables.line(tables.cell(name, value, 1) for name, value in line.items())
    print(flush=True)
