"""Detection, positions and restoration on simulated images that no training ever drew.

    python benchmarks/simulated.py
    python benchmarks/simulated.py --images 50 --refine gaussian joint --csv scores.csv

Half of the images are random scenes of the training recipe's ranges, drawn from a seed of their
own; half are named crystals from `napari_atomseg.simulate`. The dose of each is set so that the
signal-to-noise ratio, the variance of the noise-free image over that of its shot noise, is 5, 10,
15, 20 or 25 dB in turn.

Columns whose matched-filter signal is at least `VISIBLE` times its noise are to be found; fainter
ones count neither way. The bound is that of a lone Gaussian column as wide as the probe, as high as
the column, on what lies under it, with the image's shot noise. The baseline filters with a
Gaussian, takes local maxima above the mean, and fits Gaussians with the same code.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

import napari_atomseg as atomseg
from napari_atomseg.distortion import ScanJitter, Shot
from napari_atomseg.imaging import Probe, peak_width
from napari_atomseg.inference import estimate_spacing
from napari_atomseg.localization import cramer_rao_bounds
from napari_atomseg.localization.fits import fit_gaussians
from napari_atomseg.simulation import Scene, SimulationRecipe, draw_scene, render
from napari_atomseg.simulation.draw import draw_distortions
from napari_atomseg.simulation.setup import COLLECTED

LEVELS = (5, 10, 15, 20, 25)
SEED = 770_001
SHAPE = (256, 256)
VISIBLE = 4.0
CRYSTALS = (
    ("Pt", (0, 1, 1), 0.16),
    ("Si", (0, 1, 1), 0.12),
    ("SrTiO3", (0, 0, 1), 0.18),
    ("graphene", (0, 0, 1), 0.14),
    ("MoS2", (0, 0, 1), 0.16),
)

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Test:
    """An image, its noise-free self, and its columns with the bounds of their positions (px)."""

    kind: str
    level: int
    image: Image
    ideal: Image
    sigma: float
    columns: pd.DataFrame


def tests(count: int, jitter: float) -> Iterator[Test]:
    """Random scenes and crystals in turn, through all levels."""
    for number in range(count):
        level = LEVELS[(number // 2) % len(LEVELS)]
        turn = number // (2 * len(LEVELS))
        yield (crystal_test if number % 2 else scene_test)(number, turn, level, jitter)


def scene_test(number: int, turn: int, level: int, jitter: float) -> Test:
    """A random scene of the training's ranges that shows something."""
    recipe = SimulationRecipe()
    for attempt in range(100):
        scene = draw_scene(recipe, SEED, 100 * number + attempt, SHAPE)
        scene = replace(scene, distortions=())
        ideal = render([scene]).ideal[0].numpy()
        if len(scene.labels) and ideal.std() > 0.05:
            break
    counts = needed_counts(ideal, level)
    noise = [Shot(counts=(counts, counts))]
    if jitter > 0:
        noise.insert(0, ScanJitter(probability=1.0, sigma=(jitter, jitter), odds=(0, 0, 1)))
    rng = np.random.default_rng((SEED, number))
    loud = replace(scene, distortions=draw_distortions(noise, rng, scene.view, scene.optics))
    batch = render([loud])
    table = scene_columns(loud, ideal, counts)
    return Test("scene", level, batch.image[0].numpy(), ideal, scene.sigma, table)


def scene_columns(scene: Scene, ideal: Image, counts: float) -> pd.DataFrame:
    """The resolved columns of a scene, inside the image."""
    peak = scene.labels.weight / scene.unit
    y, x = scene.labels.y / scene.sampling, scene.labels.x / scene.sampling
    return measured(y, x, peak, ideal, scene.sigma, counts)


def crystal_test(number: int, turn: int, level: int, jitter: float) -> Test:
    """A named crystal at random orientation and place."""
    rng = np.random.default_rng((SEED, number))
    name, zone_axis, sampling = CRYSTALS[turn % len(CRYSTALS)]
    sampling *= float(np.exp(rng.uniform(-0.4, 0.4)))
    settings = {
        "zone_axis": zone_axis,
        "shape": SHAPE,
        "sampling": sampling,
        "seed": SEED + number,
        "rotation": float(rng.uniform(0, 360)),
        "offset": tuple(rng.uniform(-2, 2, 2)),
        "background": float(rng.uniform(0, 0.5)),
        "background_kind": str(rng.choice(["constant", "ramp", "nonlinear"])),
        "shape_kind": str(rng.choice(["bulk", "wedge", "edge"])),
        "jitter": jitter,
    }
    ideal = atomseg.simulate(name, dose=np.inf, **settings).ideal
    counts = needed_counts(ideal, level)
    sim = atomseg.simulate(name, dose=counts / (sampling**2 * COLLECTED), **settings)
    sigma = peak_width(Probe(source_size=0.8)) / sampling
    known = (sim.columns[c].to_numpy(float) for c in ("y", "x", "intensity"))
    return Test(name, level, sim.image, ideal, sigma, measured(*known, ideal, sigma, counts))


def needed_counts(ideal: Image, level: float) -> float:
    """Electrons in a pixel of intensity 1 at which shot noise is `level` dB below the contrast."""
    return float(ideal.mean() / ideal.var() * 10 ** (level / 10))


def measured(
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    peak: NDArray[np.float64],
    ideal: Image,
    sigma: float,
    counts: float,
) -> pd.DataFrame:
    """Columns in the image with their signal over noise and the bounds of their positions."""
    rows, cols = ideal.shape
    inside = (y > -0.5) & (y < rows - 0.5) & (x > -0.5) & (x < cols - 0.5) & (peak > 0)
    y, x, peak = y[inside], x[inside], peak[inside]
    here = ideal[np.rint(y).astype(int), np.rint(x).astype(int)]
    under = np.maximum(here - peak, 0.0)
    signal = peak * np.sqrt(2 * np.pi * sigma**2 * counts / (peak + 2.0 * under))
    bound = cramer_rao_bounds(peak, sigma, under, gain=1.0 / counts)
    return pd.DataFrame({"y": y, "x": x, "signal": signal, "bound": np.hypot(bound.y, bound.x)})


def baseline(image: Image) -> tuple[Image, pd.DataFrame]:
    """Gaussian filter; local maxima above the mean; Gaussian fits."""
    spacing = estimate_spacing(image)
    smooth = ndimage.gaussian_filter(image, 0.12 * spacing)
    peaks = peak_local_max(
        smooth,
        min_distance=max(1, round(0.35 * spacing)),
        threshold_abs=float(smooth.mean()),
        exclude_border=False,
    ).astype(float)
    if len(peaks) == 0:
        return smooth, pd.DataFrame({"y": [], "x": []})
    fits = fit_gaussians(torch.from_numpy(image.astype(np.float64)), *peaks.T.copy())
    return smooth, pd.DataFrame({"y": fits.y, "x": fits.x})


def evaluate(test: Test, method: str, restored: Image, table: pd.DataFrame) -> dict[str, object]:
    """Counts and sums of one image, which add up to the figures of many."""
    radius = max(1.5, test.sigma)
    i, j = atomseg.analyze.match(table, test.columns, radius)
    visible = (test.columns["signal"] >= VISIBLE).to_numpy()
    hits = visible[j]
    step = table[["y", "x"]].to_numpy()[i] - test.columns[["y", "x"]].to_numpy()[j]
    place = test.columns[["y", "x"]].to_numpy()[j]
    border = np.minimum(place, np.array(test.image.shape) - 1 - place).min(axis=1)
    counted = hits & (border > 2 * test.sigma)
    square = (step**2).sum(axis=1)[counted]
    ratio = square / test.columns["bound"].to_numpy()[j][counted] ** 2
    return {
        "level": test.level,
        "kind": test.kind,
        "method": method,
        "found": len(table) - int((~hits).sum()),
        "visible": int(visible.sum()),
        "hits": int(hits.sum()),
        "counted": int(counted.sum()),
        "square": float(square.sum()),
        "ratio": float(ratio.sum()),
        "ratios": ratio,
        "psnr_in": atomseg.analyze.psnr(test.image, test.ideal),
        "psnr_out": atomseg.analyze.psnr(restored, test.ideal),
        "affine_in": atomseg.analyze.psnr(test.image, test.ideal, affine=True),
        "affine_out": atomseg.analyze.psnr(restored, test.ideal, affine=True),
    }


def summarize(rows: pd.DataFrame) -> pd.Series:
    """Figures of a group of images."""
    total = rows[["found", "visible", "hits", "counted", "square", "ratio"]].sum()
    ratios = np.concatenate(rows["ratios"].to_list())
    return pd.Series(
        {
            "images": len(rows),
            "F1": 2 * total["hits"] / max(total["found"] + total["visible"], 1),
            "RMSE px": np.sqrt(total["square"] / max(total["counted"], 1)),
            "RMSE/bound": np.sqrt(total["ratio"] / max(total["counted"], 1)),
            "median/bound": np.sqrt(np.median(ratios) / (2 * np.log(2))) if len(ratios) else np.nan,
            "PSNR in": rows["psnr_in"].mean(),
            "PSNR out": rows["psnr_out"].mean(),
            "affine in": rows["affine_in"].mean(),
            "affine out": rows["affine_out"].mean(),
        }
    )


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--refine", nargs="+", default=["gaussian"])
    parser.add_argument("--model", default=None)
    parser.add_argument("--jitter", type=float, default=0.0, help="of scan lines, Å")
    parser.add_argument("--csv", default=None, help="write the table here")
    options = parser.parse_args()
    rows = []
    for test in tests(options.images, options.jitter):
        restored = atomseg.restore(test.image, model=options.model)
        for refine in options.refine:
            table = atomseg.localize(test.image, model=options.model, refine=refine)
            rows.append(evaluate(test, f"network, {refine}", restored, table))
        smooth, table = baseline(test.image)
        rows.append(evaluate(test, "filter, maxima, fit", smooth, table))
    results = pd.DataFrame(rows)
    levels = results.groupby(["level", "method"], sort=True)
    kinds = results.assign(level="all " + results["kind"]).groupby(["level", "method"])
    every = results.assign(level="all").groupby(["level", "method"])
    table = pd.concat([g.apply(summarize, include_groups=False) for g in (levels, kinds, every)])
    table.index.names = ["SNR dB", "method"]
    print(table.to_string(float_format="%.3f"))
    if options.csv:
        table.to_csv(options.csv)


if __name__ == "__main__":
    main()
