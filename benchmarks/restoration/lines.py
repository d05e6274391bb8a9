"""Planted scan jitter: how much of it is left, and what undoing it gains in restored images.

    python -m benchmarks restoration lines FOLDER
    python -m benchmarks restoration lines FOLDER --crystals srtio3 --jitter 0.5 --spacings 10

Crystals of `restoration images`, computed by abTEM's multislice into `FOLDER/slow` (once), are seen
turned and shifted at samplings that give their nearest columns the `spacings`. Each row is
displaced along y and x by independent normal numbers of the `jitter`, less their offset and even
growth, which no image shows, and sampled there exactly; then electrons are counted. Means over
crystals of:

- the jitter that is left along y and x (px): as measured, as undone by `scan="auto"`, and the bound
  that the true image gives, for a jitter known to be of this size: the root of the mean of
  1 / (F + 1 / jitter²), F the Fisher information of a line about its displacement;
- PSNR in dB after the best affine fit of intensities, restored by `--model`: without jitter, with
  it, corrected by `auto`, and corrected by the true displacements.

None of this may ever choose a model or a setting.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration.images import SIDE, WHOLE, Whole, slow
from benchmarks.seeds import RESTORATION, SCAN_LINES, generator
from napari_atomseg.inference.scan.measure import fitted
from napari_atomseg.inference.scan.regrid import put_back
from napari_atomseg.specimen import get_crystal
from napari_atomseg.specimen.crystals.projection import project

Array = NDArray[np.float64]
CRYSTALS = ("srtio3", "gaas", "pt")
JITTERS = (0.0, 0.2, 0.5, 1.0, 2.0)
SPACINGS = (5.0, 10.0, 20.0)
DOSES = (400.0, 60.0, 12.0)
STEP = 0.05
"""Pixels over which slopes of the true image are taken."""
DARKEST = 0.02
"""Least expected electrons of a pixel in the Fisher information."""


def nearest_columns(case: Whole) -> float:
    """Å between the nearest bright columns of a crystal."""
    lattice = project(get_crystal(case.crystal), case.zone_axis)
    return float(lattice.nearest_spacing())


class Specimen:
    """A crystal, turned and shifted, seen at any place."""

    def __init__(self, case: Whole, cell: NDArray[np.float32], spacing: float) -> None:
        self.case, self._cell = case, ndimage.spline_filter(cell, 5, mode="grid-wrap")
        self.sampling = nearest_columns(case) / spacing
        rng = generator(SCAN_LINES, WHOLE.index(case))
        self._angle, self._start = rng.uniform(0.0, 2.0 * math.pi), rng.uniform(0.0, 10.0, 2)
        self._unit = float(cell.max())

    def __call__(self, shifts: Array) -> Array:
        """(SIDE, SIDE) image whose rows are displaced by (SIDE, 2) pixels."""
        y, x = np.mgrid[:SIDE, :SIDE].astype(float)
        y, x = self.sampling * (y - shifts[:, :1]), self.sampling * (x - shifts[:, 1:])
        cos, sin = math.cos(self._angle), math.sin(self._angle)
        turned = (self._start[0] + cos * y - sin * x, self._start[1] + sin * y + cos * x)
        places = [
            p * n / length
            for p, n, length in zip(turned, self._cell.shape, self.case.cell, strict=True)
        ]
        image = ndimage.map_coordinates(
            self._cell, places, order=5, mode="grid-wrap", prefilter=False
        )
        return np.maximum(np.asarray(image, dtype=np.float64), 0.0) / self._unit

    def bound(self, dose: float, jitter: float) -> Array:
        """(2,) least rms error of displacements (y, x), given the true image and their size."""
        if jitter == 0:
            return np.zeros(2)
        still = np.zeros((SIDE, 2))
        slopes = [
            (self(still + STEP * axis) - self(still - STEP * axis)) / (2.0 * STEP)
            for axis in np.eye(2)
        ]
        counts = np.maximum(self(still) * dose, DARKEST)
        known = np.empty((SIDE, 2, 2))
        for a, b in product(range(2), repeat=2):
            known[:, a, b] = (dose**2 * slopes[a] * slopes[b] / counts).sum(axis=1)
        left = np.linalg.inv(known + np.eye(2) / jitter**2)
        return np.sqrt(left[:, range(2), range(2)].mean(axis=0))


def planted(jitter: float, rng: np.random.Generator) -> Array:
    """(SIDE, 2) displacements that an image can show."""
    shifts = rng.normal(0.0, 1.0, (SIDE, 2))
    return jitter * (shifts - fitted(shifts, np.ones_like(shifts), 0))


def left_over(found: Array, true: Array) -> Array:
    """(2,) rms of what displacements differ by, but for what no image shows."""
    wrong = found - true
    wrong = wrong - fitted(wrong, np.ones_like(wrong), 0)
    return np.sqrt((wrong**2).mean(axis=0))


def rows(
    folder: Path, crystals: list[str], every: Iterator[tuple[float, float, float]], model: str
) -> Iterator[dict[str, float | str]]:
    """Figures of each crystal, spacing, jitter and dose."""
    for case, (spacing, jitter, dose) in product(
        [case for case in WHOLE if case.name in crystals], list(every)
    ):
        number = WHOLE.index(case)
        seen = Specimen(case, slow(folder, case, RESTORATION + number), spacing)
        rng = generator(SCAN_LINES, number, int(10 * jitter), int(10 * spacing), int(dose))
        shifts = planted(jitter, rng)
        truth = seen(np.zeros((SIDE, 2)))
        still, moved = (
            rng.poisson(dose * image).astype(np.float32) for image in (truth, seen(shifts))
        )
        made = atomseg.correct_scan(moved, "auto", sampling=seen.sampling)
        measured = atomseg.correct_scan(moved, "rows", sampling=seen.sampling)
        undone, whole = made.frames[0], measured.frames[0].shifts
        bound = seen.bound(dose, jitter)
        auto = undone.shifts.jitter if undone.direction == "rows" else np.zeros((SIDE, 2))
        left = [left_over(each, shifts) for each in (whole.jitter, auto)]
        told = np.sqrt((whole.errors**2).mean(axis=0))
        back = put_back(moved.astype(float), shifts, np.full_like(shifts, 1e-3))

        def score(image: NDArray[np.generic], truth: Array = truth, seen: Specimen = seen) -> float:
            restored = atomseg.restore(
                np.asarray(image, dtype=np.float32), model=model, sampling=seen.sampling
            )
            return float(atomseg.analyze.psnr(restored, truth, affine=True))

        yield {
            "crystal": case.name,
            "dose": dose,
            "spacing": spacing,
            "jitter": jitter,
            "bound y": bound[0],
            "bound x": bound[1],
            "measured y": left[0][0],
            "measured x": left[0][1],
            "stated y": told[0],
            "stated x": told[1],
            "auto y": left[1][0],
            "auto x": left[1][1],
            "direction wrong": float(undone.direction == "columns"),
            "still dB": score(still),
            "jittered dB": score(moved),
            "auto dB": score(made.image),
            "truth dB": score(back) if jitter else score(moved),
        }


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and what is planted."""
    shared.folder(parser, "keeps the slow images")
    shared.threads(parser)
    parser.add_argument("--crystals", nargs="+", default=CRYSTALS, choices=[c.name for c in WHOLE])
    parser.add_argument("--jitter", type=float, nargs="+", default=JITTERS, help="px rms")
    parser.add_argument("--spacings", type=float, nargs="+", default=SPACINGS, help="px")
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES, help="brightest pixel")
    parser.add_argument("--model", default="restore-hr-stem", help="restores the images")
    parser.add_argument("--output", type=Path, help="table of every image (.csv)")


def run(options: argparse.Namespace) -> None:
    """Measure, and print the means over the crystals."""
    every = product(options.spacings, options.jitter, options.doses)
    table = pd.DataFrame(rows(options.folder, options.crystals, every, options.model))
    if options.output:
        table.to_csv(options.output, index=False)
    keys = ["jitter", "spacing", "dose"]
    means = table.drop(columns="crystal").groupby(keys, sort=True).mean().reset_index()
    tables.show(means, f"Scan lines, means over {', '.join(options.crystals)}", digits=2)
