"""How near measurements of columns come to what their electrons allow, and how fast.

    python -m benchmarks localization bounds FOLDER --threads 2 --peers

Isolated columns over peak signal-to-noise ratio (a column's height over the deviation of the noise
at its top, in dB 20 log10 of it): RMSE over the Cramér–Rao bound, and how many errors are within
the stated ones, of 68 % and of 95 % that should be.

A two-species lattice, distorted, whose nearest columns are four sigmas apart, with 2,500 columns in
1024² and 10,000 in 2048² pixels: RMSE over three bounds. "isolated" is that of all pixels of a
column far from others; "single" that of seven parameters of an ellipse in the column's own cell,
with the noise of its neighbours' light; "joint" that of all columns and backgrounds with one width.
Seconds are those of the processor over all threads, and of the clock.

Peers are scipy's `curve_fit` and, where it can be imported, Atomap. All start from the same places,
half a pixel from the true ones.

Measured images of FOLDER: the Pt–Ir particle against the places that StatSTEM found, and the spread
of spacings in Si [110] and DyScO3 on the raw and on the restored image.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from skimage.io import imread

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.localization.fits import Method, methods
from benchmarks.localization.scenes import Array, Scene, isolated, two_species
from benchmarks.localization.silicon import inside, silicon_spacings, spacings
from benchmarks.seeds import ISOLATED_AND_OVERLAPPING as SEED
from benchmarks.seeds import generator
from napari_atomseg.analysis import find_lattice, match
from napari_atomseg.localization.fit.independent import Fits

PARTICLE, PLACES = "ptir_particle_0.1211A.tif", "ptir_particle_reference_columns.csv"
SILICON, SCANDATE = "si110_adf_512.png", "dysco3_adf_1024.png"
PIXELS = {PARTICLE: 0.1211, SILICON: 0.098, SCANDATE: 80.0 / 1024}
"""Å."""


def ratio(fits: Fits, scene: Scene, bound: Array) -> float:
    """RMSE of y and x over the rms of a bound, of the inner columns that were measured."""
    good = scene.inner & np.isfinite(fits.amplitude + fits.y)
    good = good if good.any() else scene.inner
    error = np.stack([fits.y - scene.y, fits.x - scene.x])[:, good]
    bound = np.broadcast_to(bound, (2, len(scene.y)))[:, good]
    return float(np.sqrt(np.mean(error**2) / np.mean(bound**2)))


def volume_error(fits: Fits, scene: Scene) -> float:
    """RMSE of the volumes of the inner columns that were measured, per cent of their own."""
    error = (fits.volume / scene.volume - 1.0)[scene.inner]
    return 100 * float(np.sqrt(np.nanmean(error**2))) if np.isfinite(error).any() else np.nan


def coverage(fits: Fits, scene: Scene) -> dict[str, float]:
    """Per cent of the inner columns' places and volumes that lie within 1 and 1.96 errors."""
    there = scene.inner & np.isfinite(fits.y_err)
    if not there.any():
        return {}
    place = np.stack([(fits.y - scene.y) / fits.y_err, (fits.x - scene.x) / fits.x_err])
    size = (fits.volume - scene.volume) / fits.volume_err
    values = {}
    for name, z in (("", place[:, there]), ("volume ", size[there])):
        if np.isfinite(z).all():
            values[f"{name}68 %"] = 100 * float(np.mean(np.abs(z) < 1.0))
            values[f"{name}95 %"] = 100 * float(np.mean(np.abs(z) < 1.96))
    return values


def timed(method: Method, scene: Scene) -> tuple[Fits, dict[str, float]]:
    """What a method measures, and its seconds."""
    clock, processor = time.perf_counter(), time.process_time()
    fits = method(scene)
    processor, clock = time.process_time() - processor, time.perf_counter() - clock
    return fits, {"CPU s": processor, "s": clock}


def over_levels(levels: list[float], side: int) -> pd.DataFrame:
    """Isolated columns."""
    chosen = {name: methods(False)[name] for name in ("single", "single, elliptic")}
    chosen["joint"] = methods(False)["joint, shared width"]
    rows = []
    for level in levels:
        scene = isolated(level, side, generator(SEED, int(level)))
        for name, method in chosen.items():
            fits = method(scene)
            row = {"dB": level, "fit": name, "columns": int(scene.inner.sum())}
            row |= {"RMSE / bound": ratio(fits, scene, scene.isolated())}
            rows.append(row | coverage(fits, scene))
    return pd.DataFrame(rows)


def overlapping(scenes: Sequence[Scene], chosen: Mapping[str, Method]) -> pd.DataFrame:
    """Two-species lattices: root mean squares of their ratios, means of all else."""
    rows = []
    for scene in scenes:
        bounds = {
            "isolated": np.asarray(scene.isolated()),
            "single": scene.single(),
            "joint": scene.together("shared"),
        }
        for name, method in chosen.items():
            fits, seconds = timed(method, scene)
            row = {"method": name}
            row |= {f"RMSE / {key}": ratio(fits, scene, bound) for key, bound in bounds.items()}
            row["RMSE of volumes, %"] = volume_error(fits, scene)
            rows.append(row | coverage(fits, scene) | seconds)
    table = pd.DataFrame(rows)
    ratios = [name for name in table if name.startswith("RMSE")]
    table[ratios] **= 2
    table = table.groupby("method", sort=False).mean()
    table[ratios] **= 0.5
    return table.reset_index()


def particle(folder: Path) -> pd.DataFrame:
    """Distances in pixels to the places that StatSTEM found."""
    image = imread(folder / PARTICLE).astype(float)
    known = np.loadtxt(folder / PLACES, delimiter=",")[:, :2]
    rows = []
    ways = {name: {"refine": name} for name in ("centroid", "gaussian", "joint")}
    ways["joint, one background"] = {"refine": "joint", "backgrounds": "shared"}
    ways["joint, one background, free widths"] = ways["joint, one background"] | {"widths": "free"}
    for name, way in ways.items():
        found = atomseg.localize(image, sampling=PIXELS[PARTICLE], detector="peaks", **way)
        points = found[["y", "x"]].to_numpy(float)
        ours, theirs = match(points, known, 4.0)
        distance = np.hypot(*(points[ours] - known[theirs]).T)
        row = {"fit": name, "found": len(points), "of StatSTEM's": f"{len(ours)}/{len(known)}"}
        rows.append(
            row | {"median px": np.median(distance), "95 % px": np.quantile(distance, 0.95)}
        )
    return pd.DataFrame(rows)


def crystals(folder: Path) -> pd.DataFrame:
    """Standard deviations in pm of the distances of columns one lattice vector apart.

    Those of the part down the image are free of the jitter of its lines, which run across.
    """
    rows = []
    for name in (SILICON, SCANDATE):
        image = imread(folder / name).astype(np.float32)
        image = image.mean(axis=-1) if image.ndim == 3 else image
        found = {}
        for on in ("raw", "restored"):
            for refine in ("gaussian", "joint"):
                table = atomseg.localize(image, sampling=PIXELS[name], refine=refine, on=on)
                found[refine, on] = table.loc[table["converged"], ["y", "x"]].to_numpy(float)
        if name == SILICON:
            measured = silicon_spacings({str(key): v for key, v in found.items()}, image.shape)
            pairs = {key: (measured[str(key)].a, measured[str(key)].b) for key in found}
            pixel = measured[str(("gaussian", "raw"))].pixel
        else:
            a, b = find_lattice(pd.DataFrame(found["gaussian", "raw"], columns=["y", "x"])).vectors
            reach, border = 0.15 * float(np.hypot(*a)), 0.5 * float(np.hypot(*a))
            inner = {key: v[inside(v, image.shape, border)] for key, v in found.items()}
            pairs = {
                key: (spacings(v, a, reach), spacings(v, b, reach)) for key, v in inner.items()
            }
            pixel = 100 * PIXELS[name]
        for (refine, on), (along_a, along_b) in pairs.items():
            row = {"image": name, "fit": refine, "on": on, "columns": len(found[refine, on])}
            for axis, steps in (("a", along_a), ("b", along_b)):
                row[f"{axis}, pm"] = pixel * np.hypot(*steps.T).std()
                row[f"{axis} down, pm"] = pixel * steps[:, 0].std()
            rows.append(row)
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Images, levels and sizes."""
    shared.folder(parser, "measured images, none without it", needed=False)
    parser.add_argument("--levels", nargs="+", type=float, default=[10, 15, 20, 25, 30])
    parser.add_argument("--side", type=int, default=64, help="isolated columns, squared")
    parser.add_argument("--pixels", nargs="*", type=int, default=[1024, 2048])
    parser.add_argument("--scenes", type=int, default=1, help="lattices of each size")
    parser.add_argument("--lattice-level", type=float, default=20.0, help="dB of the lattice")
    parser.add_argument("--peers", action="store_true")
    shared.threads(parser, 2)


def run(options: argparse.Namespace) -> None:
    """Print all tables."""
    if options.side:
        tables.show(over_levels(options.levels, options.side), "Isolated columns")
    if options.peers and importlib.util.find_spec("atomap") is None:
        print("\nAtomap is not installed: no figures of it")
    for pixels in options.pixels:
        scenes = [
            two_species(options.lattice_level, pixels, generator(SEED, pixels, seed))
            for seed in range(options.scenes)
        ]
        title = f"{len(scenes[0].y)} columns in {pixels}², {options.threads} threads"
        tables.show(overlapping(scenes, methods(options.peers)), title)
    if options.folder:
        tables.show(particle(options.folder), "Pt–Ir particle against StatSTEM")
        tables.show(crystals(options.folder), "Spread of spacings")
