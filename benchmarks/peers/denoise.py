"""Crystals with shot noise alone: PSNR and seconds of ours, BM3D, and filters of SciPy.

    python -m benchmarks peers denoise FOLDER

Three crystals of 192² with 400, 60 and 12 electrons in the brightest pixel, and nothing else that
would favour one of them. BM3D gets the counts after the Anscombe transform, with a noise of one,
and its result is transformed back without bias, in an environment of its own: by default, and with
the search window that reaches the next cell of a crystal. SciPy's Wiener filter and scikit-image's
non-local means get the same. "Best" is the best of several widths, sizes or strengths by the truth,
which no user has. Of ours, `restore-hr-stem` is told the sampling. It is trained on images of the
simulator that makes these, with many distortions and at many scales, which favours it. PSNR in dB
after the best affine fit, the mean of the crystals; CPU seconds of one image and setting, without
imports and loading.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import skimage
from numpy.typing import NDArray
from scipy import ndimage, signal
from skimage.restoration import denoise_nl_means

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.peers.environments import PEERS, machine, pythons
from benchmarks.restoration.block import WAYS
from benchmarks.runner import elsewhere
from benchmarks.timing import fastest
from napari_atomseg._shared.metrics import psnr

Image = NDArray[np.float64]
CRYSTALS = (("SrTiO3", 0.12), ("Au", 0.2), ("Si", 0.1))
"""And the sampling, Å."""
ELECTRONS = (400, 60, 12)
SIDE = 192
WIDTHS = np.arange(0.5, 4.01, 0.25)
WINDOWS = (3, 5, 7)
STRENGTHS = (0.4, 0.6, 0.8, 1.0)
PATCH, REACH = 11, 21
"""Side of the patches of non-local means, and how far they are looked for, pixels."""
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


def wiener(counts: Image, side: int) -> Image:
    """SciPy's, with the noise that is known to be one."""
    with np.errstate(divide="ignore"):  # windows without variance, which it replaces afterwards
        return counted(signal.wiener(even(counts), side, 1.0))


def non_local(counts: Image, strength: float) -> Image:
    """scikit-image's non-local means, with the noise that is known to be one."""
    options = {"h": strength, "sigma": 1.0, "fast_mode": True}
    return counted(denoise_nl_means(even(counts), PATCH, REACH, **options))


TUNED: dict[str, list[Callable[[Image], Image]]] = {
    "SciPy, best Gaussian": [partial(ndimage.gaussian_filter, sigma=width) for width in WIDTHS],
    "SciPy, best Wiener": [partial(wiener, side=side) for side in WINDOWS],
    "scikit-image, best non-local means": [partial(non_local, strength=h) for h in STRENGTHS],
}
"""Filters, of which the best by the truth is taken."""


def timed(job: Callable[[Image], Image], image: Image) -> tuple[Image, float]:
    """What a method makes, and its CPU seconds."""
    seconds, result = fastest(partial(job, image), repeats=1)
    return np.asarray(result, dtype=float), seconds


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
        row = {"method": method, "image": name, "electrons": electrons}
        rows.append(row | {"PSNR": value, "CPU s": seconds})

    atomseg.restore(next(iter(every.values()))[0], model=MODEL)  # loads the network
    for name, (counts, truth, sampling) in every.items():
        add("raw", name, counts, np.nan)
        ours = partial(atomseg.restore, model=MODEL, sampling=sampling)
        add("napari-atomseg", name, *timed(ours, counts))
        for method, jobs in TUNED.items():
            tried = [timed(job, counts) for job in jobs]
            add(method, name, *max(tried, key=lambda each: psnr(each[0], truth, affine=True)))
    if python := pythons((BM3D,), options.folder).get(BM3D):
        for made in by_bm3d(every, options.folder / "denoise", python):
            add(*made)
    found = pd.DataFrame(rows)
    each = found.pivot_table(index="method", columns="image", values="PSNR", sort=False)
    tables.show(each.reset_index(), "PSNR of each image, dB", digits=2)
    mean = found.groupby(["method", "electrons"], sort=False).mean(numeric_only=True)
    table = mean["PSNR"].unstack().add_suffix(" e⁻, dB")
    table.insert(len(table.columns), "CPU s", mean["CPU s"].unstack().mean(axis=1))
    versions = (
        f"SciPy {scipy.__version__}, scikit-image {skimage.__version__}, {PEERS[BM3D].package}"
    )
    tables.show(table.reset_index(), f"{machine()}, {versions}", digits=2)


def by_bm3d(
    every: dict[str, tuple[Image, Image, float]], folder: Path, python: Path
) -> Iterator[tuple[str, str, Image, float]]:
    """Method, image, what BM3D makes of it in its environment, and CPU seconds."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, (counts, _, _) in every.items():
        np.save(folder / f"{name}.npy", even(counts))
    elsewhere(python, "restoration", "block", str(folder.resolve()))
    for method in WAYS:
        for name in every:
            answer = np.load(folder / method / f"{name}.npz")
            yield method, name, counted(answer["image"]), float(answer["seconds"])
