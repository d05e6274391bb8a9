"""Crystals with shot noise alone: PSNR and seconds of ours, BM3D, and filters of SciPy.

    python -m benchmarks peers denoise FOLDER

Three crystals of 256² with 400, 60 and 12 electrons in the brightest pixel, and nothing else that
would favour one of them. BM3D (4.0.3) gets the counts after the Anscombe transform, with a noise of
one, and its result is transformed back without bias, all in an environment of its own; so does
SciPy's Wiener filter, of 5 × 5 pixels. The Gaussian is the best of many widths by the truth, which
no user has. Of ours, `restore-hr-stem` is told the sampling; it is made for distorted images and
has not seen these crystals at these scales alone. PSNR in dB after the best affine fit, the mean of
the crystals; CPU seconds of one image, without imports and loading.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage, signal

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.peers.environments import machine, pythons
from benchmarks.runner import elsewhere
from napari_atomseg._shared.metrics import psnr

Image = NDArray[np.float64]
CRYSTALS = (("SrTiO3", 0.12), ("Au", 0.2), ("Si", 0.1))
"""And the sampling, Å."""
ELECTRONS = (400, 60, 12)
SIDE = 256
WIDTHS = np.arange(0.5, 4.01, 0.25)
MODEL = "restore-hr-stem"
BM3D = "bm3d"


def scenes() -> dict[str, tuple[Image, Image, float]]:
    """Counts, truth and sampling by name."""
    import napari_atomseg as atomseg

    made = {}
    for crystal, sampling in CRYSTALS:
        simulated = atomseg.simulate(crystal, shape=(SIDE, SIDE), sampling=sampling, seed=3)
        truth = np.asarray(simulated.ideal, dtype=float)
        for electrons in ELECTRONS:
            expected = electrons * truth / truth.max()
            counts = np.random.default_rng(electrons).poisson(expected).astype(float)
            made[f"{crystal}-{electrons}"] = counts, expected, sampling
    return made


def even(counts: Image) -> Image:
    """Counts with a noise of one (Anscombe 1948)."""
    return 2.0 * np.sqrt(counts + 0.375)


def counted(values: Image) -> Image:
    """Back without bias (Mäkitalo & Foi 2011, closed form)."""
    z = np.maximum(values, 2.0 * np.sqrt(0.375))
    return (
        z**2 / 4 + np.sqrt(1.5) / (4 * z) - 11 / (8 * z**2) + 5 * np.sqrt(1.5) / (8 * z**3) - 0.125
    )


def wiener(counts: Image) -> Image:
    """SciPy's, with the noise that is known to be one."""
    return counted(signal.wiener(even(counts), 5, 1.0))


def timed(job: Callable[[Image], Image], image: Image) -> tuple[Image, float]:
    """What a method makes, and its CPU seconds."""
    start = time.process_time()
    result = np.asarray(job(image), dtype=float)
    return result, time.process_time() - start


def arguments(parser: argparse.ArgumentParser) -> None:
    """Where."""
    shared.folder(parser, "keeps the environment, and the images that go to it")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Make the images, restore them by each method, and print the table."""
    import napari_atomseg as atomseg

    every = scenes()
    rows = []

    def add(method: str, name: str, result: Image, seconds: float) -> None:
        value = psnr(result, every[name][1], affine=True)
        electrons = int(name.rpartition("-")[2])
        rows.append({"method": method, "electrons": electrons, "PSNR": value, "CPU s": seconds})

    atomseg.restore(next(iter(every.values()))[0], model=MODEL)  # loads the network
    for name, (counts, truth, sampling) in every.items():
        add("raw", name, counts, np.nan)
        ours = partial(atomseg.restore, model=MODEL, sampling=sampling)
        add("napari-atomseg", name, *timed(ours, counts))
        add("SciPy, Wiener", name, *timed(wiener, counts))
        blurred = [timed(partial(ndimage.gaussian_filter, sigma=w), counts) for w in WIDTHS]
        add("SciPy, best Gaussian", name, *max(blurred, key=lambda b: psnr(b[0], truth, True)))
    if python := pythons((BM3D,), options.folder).get(BM3D):
        for name, (result, seconds) in by_bm3d(every, options.folder / "denoise", python).items():
            add("BM3D", name, result, seconds)
    mean = pd.DataFrame(rows).groupby(["method", "electrons"], sort=False).mean()
    table = mean["PSNR"].unstack().add_suffix(" e⁻, dB")
    table.insert(len(table.columns), "CPU s", mean["CPU s"].unstack().mean(axis=1))
    tables.show(table.reset_index(), machine(), digits=2)


def by_bm3d(
    every: dict[str, tuple[Image, Image, float]], folder: Path, python: Path
) -> dict[str, tuple[Image, float]]:
    """What BM3D makes of the images in its environment, and its CPU seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (counts, _, _) in every.items():
        np.save(folder / f"{name}.npy", even(counts))
    elsewhere(python, "restoration", "block", str(folder.resolve()))
    made = {}
    for name in every:
        answer = np.load(folder / f"{name}.npz")
        made[name] = counted(answer["image"]), float(answer["seconds"])
    return made
