"""Planted scan jitter: how much of it is left, and what undoing it gains in restored images.

    python -m benchmarks restoration lines FOLDER
    python -m benchmarks restoration lines FOLDER --crystals srtio3 --jitter 0.5 --spacings 10
    python -m benchmarks restoration lines FOLDER --doses 60 400 --orthogonal drift/bin/python

Crystals of `restoration images`, computed by abTEM's multislice into `FOLDER/slow` (once), are seen
turned and shifted at samplings that give their nearest columns the `spacings`. Each row is
displaced along y and x by independent normal numbers of the `jitter`, less their offset and even
growth, which no image shows, and sampled there exactly; then electrons are counted. Means over
crystals of:

- the jitter that is left along y and x (px): as measured, as undone by `scan="auto"`, and the bound
  that the true image gives, for a jitter known to be of this size: the root of the mean of
  1 / (F + 1 / jitter²), F the Fisher information of a line about its displacement;
- PSNR in dB after the best affine fit of intensities, restored by `--model`: without jitter, with
  it, corrected by `auto`, and corrected by the true displacements;
- PSNR of peers that see the same jitter: r_em's network, where it is imported, on the displaced
  image ("r_em"), and on the one that `auto` corrected; and scanning-drift-corr, which needs two
  scans of the field, one with its lines along the rows and one along the columns (`restoration
  orthogonal --help`). Each of them has half of the electrons and jitter of its own. The merged
  image is restored by `--model` as the others are, and laid over the truth by the affine map that
  fits best, as it is shifted and slightly sheared; `PEER_BORDER` pixels are left out. Its grid
  blurs: "less blur" is the PSNR beside the truth that the Gaussian blurs which fits best, so what
  is wrong with its lines alone.

`--orthogonal PYTHON` runs scanning-drift-corr in its environment, some ten seconds an image: for a
part of the table rather than for all of it (135 images of three crystals). What peers made is kept
in FOLDER and stays in the tables of later runs, with new weights of ours, without this option.

None of this may ever choose a model or a setting.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.optimize import least_squares, minimize_scalar

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration import orthogonal
from benchmarks.restoration.images import SIDE, WHOLE, Whole, slow
from benchmarks.restoration.pairs import usable
from benchmarks.restoration.scores import Choice, identity, kept
from benchmarks.runner import elsewhere
from benchmarks.seeds import RESTORATION, SCAN_LINES, generator
from benchmarks.timing import fastest
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
R_EM = "r-em-hr-stem"
PEER_BORDER = 8
"""Pixels at each side that a merged image is not scored on: its lines end somewhere there."""
REACH = 6
"""Pixels by which a merged image may be shifted as a whole; at most `PEER_BORDER`."""
PRECISE = 1e-5
"""Relative change of the map and of the squared error at which its fit ends."""
WIDEST = 4.0
"""Pixels, largest deviation of the Gaussian by which a merged image may be blurred."""


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

    def __call__(self, shifts: Array, axis: int = 0) -> Array:
        """(SIDE, SIDE) image, its rows, or columns (`axis` 1), displaced by (SIDE, 2) pixels."""
        y, x = np.mgrid[:SIDE, :SIDE].astype(float)
        moved = np.expand_dims(shifts, 1 - axis)
        y, x = self.sampling * (y - moved[..., 0]), self.sampling * (x - moved[..., 1])
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


@dataclass(frozen=True)
class Scan:
    """A crystal, seen with jitter by some electrons: what is planted, and what is recorded."""

    seen: Specimen
    spacing: float
    jitter: float
    dose: float

    @property
    def name(self) -> str:
        """Of its files."""
        return f"{self.seen.case.name}-{self.spacing:g}-{self.jitter:g}@{self.dose:g}"

    def random(self, *more: int) -> np.random.Generator:
        """Random numbers of this scan."""
        numbers = WHOLE.index(self.seen.case), int(10 * self.jitter), int(10 * self.spacing)
        return generator(SCAN_LINES, *numbers, int(self.dose), *more)

    @cached_property
    def truth(self) -> Array:
        """(SIDE, SIDE) image without jitter and noise."""
        return self.seen(np.zeros((SIDE, 2)))

    @cached_property
    def recorded(self) -> tuple[Array, NDArray[np.float32], NDArray[np.float32]]:
        """Displacements (SIDE, 2), and the images without and with them."""
        rng = self.random()
        shifts = planted(self.jitter, rng)
        still, moved = (
            rng.poisson(self.dose * image).astype(np.float32)
            for image in (self.truth, self.seen(shifts))
        )
        return shifts, still, moved

    def pair(self) -> NDArray[np.float32]:
        """(2, SIDE, SIDE) scans along rows and columns that share the electrons."""
        rng = self.random(1)
        images = [self.seen(planted(self.jitter, rng), axis) for axis in range(2)]
        return rng.poisson(0.5 * self.dose * np.stack(images)).astype(np.float32)


def scans(options: argparse.Namespace) -> Iterator[Scan]:
    """Every scan that is asked for."""
    for case in [case for case in WHOLE if case.name in options.crystals]:
        cell = slow(options.folder, case, RESTORATION + WHOLE.index(case))
        for spacing in options.spacings:
            seen = Specimen(case, cell, spacing)
            for jitter, dose in product(options.jitter, options.doses):
                yield Scan(seen, spacing, jitter, dose)


def merge(folder: Path, every: Iterator[Scan], python: Path) -> None:
    """Have scanning-drift-corr merge the pairs of scans that it has not merged yet."""
    inputs = folder / "input"
    inputs.mkdir(parents=True, exist_ok=True)
    for scan in every:
        path, pair = inputs / f"{scan.name}.npy", scan.pair()
        if path.exists() and np.array_equal(np.load(path), pair):
            continue
        np.save(path, pair)
        (folder / orthogonal.RESULTS / path.name).unlink(missing_ok=True)
    elsewhere(python, "restoration", "orthogonal", str(folder.resolve()))


def laid_over(image: Array, truth: Array) -> Array:
    """The image, its intensities and its affine map fitted to the truth, less `PEER_BORDER`.

    The search starts at the whole shift of the highest correlation, and ends at the least squared
    error of gain, offset and the six numbers of the map.
    """
    inner = slice(PEER_BORDER, -PEER_BORDER)
    wanted = truth[inner, inner]
    y, x = np.mgrid[: len(truth), : len(truth)].astype(float)
    half = 0.5 * (len(truth) - 1)
    v, u = (y[inner, inner] - half) / half, (x[inner, inner] - half) / half
    spline = ndimage.spline_filter(image.astype(float), 3)

    def seen(numbers: Array) -> Array:
        places = (
            half + half * v + numbers[0] + numbers[1] * v + numbers[2] * u,
            half + half * u + numbers[3] + numbers[4] * v + numbers[5] * u,
        )
        return np.asarray(
            ndimage.map_coordinates(spline, places, order=3, mode="nearest", prefilter=False)
        )

    def scaled(numbers: Array) -> Array:
        moved = seen(numbers)
        gain, offset = np.polyfit(moved.ravel(), wanted.ravel(), 1)
        return np.asarray(gain * moved + offset)

    def alike(shift: tuple[int, int]) -> float:
        rows, cols = (slice(PEER_BORDER + by, len(truth) - PEER_BORDER + by) for by in shift)
        return float(np.corrcoef(image[rows, cols].ravel(), wanted.ravel())[0, 1])

    whole = range(-REACH, REACH + 1)
    dy, dx = max(product(whole, whole), key=alike)
    start = np.array([dy, 0, 0, dx, 0, 0], dtype=float)
    found = least_squares(
        lambda numbers: (scaled(numbers) - wanted).ravel(), start, xtol=PRECISE, ftol=PRECISE
    )
    return scaled(found.x)


def with_blur(image: Array, truth: Array) -> float:
    """PSNR in dB of an image beside the truth with the blur that fits it best."""

    def score(deviation: float) -> float:
        blurred = ndimage.gaussian_filter(truth, deviation)
        inner = slice(PEER_BORDER, -PEER_BORDER)
        return float(atomseg.analyze.psnr(image, blurred[inner, inner], affine=True))

    found = minimize_scalar(lambda d: -score(d), bounds=(0.0, WIDEST), method="bounded")
    return max(score(0.0), score(float(found.x)))


def figures(scan: Scan, folder: Path, model: str) -> dict[str, float | str]:
    """What is left of the jitter of a scan, and what its restored images are worth."""
    seen, jitter, truth = scan.seen, scan.jitter, scan.truth
    shifts, still, moved = scan.recorded
    seconds, made = fastest(
        lambda: atomseg.correct_scan(moved, "auto", sampling=seen.sampling), repeats=1
    )
    measured = atomseg.correct_scan(moved, "rows", sampling=seen.sampling)
    undone, whole = made.frames[0], measured.frames[0].shifts
    bound = seen.bound(scan.dose, jitter)
    auto = undone.shifts.jitter if undone.direction == "rows" else np.zeros((SIDE, 2))
    left = [left_over(each, shifts) for each in (whole.jitter, auto)]
    told = np.sqrt((whole.errors**2).mean(axis=0))
    back = put_back(moved.astype(float), shifts, np.full_like(shifts, 1e-3))

    def restored(image: NDArray[np.generic], model: str = model) -> NDArray[np.float32]:
        given = np.asarray(image, dtype=np.float32)
        return np.asarray(atomseg.restore(given, model=model, sampling=seen.sampling))

    def score(image: NDArray[np.generic]) -> float:
        return float(atomseg.analyze.psnr(restored(image), truth, affine=True))

    row = {
        "crystal": seen.case.name,
        "dose": scan.dose,
        "spacing": scan.spacing,
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
        "auto CPU s": seconds,
    }
    if usable((R_EM,)):
        place = folder / "made" / identity(R_EM, Choice((R_EM,)))
        theirs, _ = kept(place, scan.name, partial(restored, moved, R_EM))
        row["r_em dB"] = float(atomseg.analyze.psnr(theirs, truth, affine=True))
        both = restored(made.image, R_EM) if undone.direction != "none" else theirs
        row["auto, r_em dB"] = float(atomseg.analyze.psnr(both, truth, affine=True))
    pair, merged = (
        folder / "orthogonal" / part / f"{scan.name}.npy" for part in ("input", orthogonal.RESULTS)
    )
    if merged.exists() and np.array_equal(np.load(pair), scan.pair()):
        inner = slice(PEER_BORDER, -PEER_BORDER)
        theirs = laid_over(restored(np.load(merged)), truth)
        row["two scans dB"] = float(atomseg.analyze.psnr(theirs, truth[inner, inner], affine=True))
        row["less blur dB"] = with_blur(theirs, truth)
        row["two scans CPU s"] = orthogonal.seconds(folder / "orthogonal")[scan.name]
    return row


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, and what is planted."""
    shared.folder(parser, "keeps the slow images")
    shared.threads(parser)
    parser.add_argument("--crystals", nargs="+", default=CRYSTALS, choices=[c.name for c in WHOLE])
    parser.add_argument("--jitter", type=float, nargs="+", default=JITTERS, help="px rms")
    parser.add_argument("--spacings", type=float, nargs="+", default=SPACINGS, help="px")
    parser.add_argument("--doses", type=float, nargs="+", default=DOSES, help="brightest pixel")
    parser.add_argument("--model", default="restore-hr-stem", help="restores the images")
    parser.add_argument(
        "--orthogonal", type=Path, metavar="PYTHON", help="of scanning-drift-corr's environment"
    )
    parser.add_argument("--output", type=Path, help="table of every image (.csv)")


def measured(options: argparse.Namespace) -> pd.DataFrame:
    """`figures` of every scan that is asked for, those of scanning-drift-corr included."""
    if options.orthogonal:
        merge(options.folder / "orthogonal", scans(options), options.orthogonal)
    return pd.DataFrame(figures(each, options.folder, options.model) for each in scans(options))


def run(options: argparse.Namespace) -> None:
    """Measure, and print the means over the crystals."""
    table = measured(options)
    if options.output:
        table.to_csv(options.output, index=False)
    keys = ["jitter", "spacing", "dose"]
    means = table.drop(columns="crystal").groupby(keys, sort=True).mean().reset_index()
    tables.show(means, f"Scan lines, means over {', '.join(options.crystals)}", digits=2)
