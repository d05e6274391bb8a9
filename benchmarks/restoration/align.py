"""Planted shifts, lines and orthogonal scans: how well frames are laid on each other.

    python -m benchmarks restoration align FOLDER
    python -m benchmarks restoration align FOLDER --parts shifts fits --spacings 5 10 --doses 1 20
    python -m benchmarks restoration align FOLDER --parts orthogonal --orthogonal drift/bin/python

A square lattice of Gaussian columns, turned at random, of which 1 % are brighter and 1 % darker
than the others (`--features`; without any, frames cannot tell lattice vectors apart), is seen in
`--frames` frames of `--side` pixels whose drift is a random walk of `--drift` pixels a step along y
and x. The dose is the mean number of electrons of a pixel on a column. Means over `--seeds`:

- shifts: rms error of the shifts (px), rms of the errors stated, how many frames are off by more
  than half of a lattice vector, and the same of scikit-image's `phase_cross_correlation`, frame by
  frame on the one before, with phases alone (its default) and with plain cross-correlation.
- lines: with jitter and a bent drift within each frame besides, rms of the displacements of lines
  that are planted and left, but for what all frames have in common, and z rms of what is left.
- orthogonal: two scans along rows and columns with one linear drift and jitter: rms of columns from
  their places, after the best affine map (px): in the first scan, in the plain mean of both shifted
  frames, as aligned, and as scanning-drift-corr merges them (`--orthogonal PYTHON`, see
  `restoration orthogonal`).
- fits: columns fitted in the average of aligned frames: rms of (position - truth) over the error
  stated, but for a common shift, with the noise's correlation handed over and as estimated.

None of this may ever choose a setting.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

import napari_atomseg as atomseg
from benchmarks import tables
from benchmarks.restoration import orthogonal
from benchmarks.runner import elsewhere
from benchmarks.seeds import ALIGN, generator
from napari_atomseg.alignment import Alignment

Array = NDArray[np.float64]
PARTS = ("shifts", "lines", "orthogonal", "fits")
MARGIN = 80
"""Pixels about the field that drift may bring into it."""
BACKGROUND, WIDTH = 0.1, 0.2
"""Of the columns: background over height, and sigma over spacing."""
JITTER, BENT = 0.3, 0.7
"""Pixels rms: jitter of lines, and drift within a frame."""
LINEAR = (3.0, -4.0)
"""Pixels (y, x) that the specimen drifts during an orthogonal scan."""
NEAR = 0.3
"""A column is one that was planted within this part of the spacing."""
RIM = 2.0
"""Spacings at the border that are not scored."""


class Scene:
    """A lattice of columns in a field larger than a frame."""

    def __init__(
        self, side: int, spacing: float, features: float, rng: np.random.Generator
    ) -> None:
        self.side, self.spacing = side, spacing
        size, sigma = side + 2 * MARGIN, WIDTH * spacing
        angle, count = rng.uniform(0.0, np.pi), int(2 * size / spacing)
        a = spacing * np.array([np.cos(angle), np.sin(angle)])
        cells = np.stack(np.meshgrid(*[np.arange(-count, count)] * 2), axis=-1).reshape(-1, 2)
        places = cells @ np.stack([a, [-a[1], a[0]]]) + size / 2 + rng.uniform(0.0, 1.0, 2)
        places = places[((places > -4 * sigma) & (places < size + 4 * sigma)).all(axis=1)]
        height, chance = np.ones(len(places)), rng.uniform(size=len(places))
        height[chance < features / 2], height[chance > 1 - features / 2] = 0.5, 1.5
        self.columns = places - MARGIN
        image = np.full((size, size), BACKGROUND)
        reach = int(np.ceil(6 * sigma))
        for (y, x), tall in zip(places, height, strict=True):
            rows, cols = (
                np.arange(max(0, round(p) - reach), min(size, round(p) + reach + 1)) for p in (y, x)
            )
            light = [np.exp(-0.5 * ((n - p) / sigma) ** 2) for n, p in ((rows, y), (cols, x))]
            image[np.ix_(rows, cols)] += tall * np.outer(*light)
        self._spline = ndimage.spline_filter(image, 5, mode="mirror")

    def __call__(self, shift: Array, lines: Array | None = None, axis: int = 0) -> Array:
        """(side, side) image, displaced by a shift (2,) and its lines by (side, 2) pixels."""
        y, x = np.mgrid[: self.side, : self.side].astype(float)
        moved = np.zeros((self.side, 2)) if lines is None else lines
        moved = np.expand_dims(moved, 1 - axis) + shift
        places = [y - moved[..., 0] + MARGIN, x - moved[..., 1] + MARGIN]
        image = ndimage.map_coordinates(self._spline, places, order=5, prefilter=False)
        return np.maximum(np.asarray(image, dtype=np.float64), 0.0)


def walk(frames: int, drift: float, rng: np.random.Generator) -> Array:
    """(N, 2) shifts of a random walk from no shift."""
    steps = rng.normal(0.0, drift, (frames, 2))
    steps[0] = 0.0
    return np.cumsum(steps, axis=0)


def bent(frames: int, side: int, rng: np.random.Generator) -> Array:
    """(N, side, 2) jitter and a drift of second degree of the lines of frames, without mean."""
    at = np.linspace(-1.0, 1.0, side)[None, :, None]
    slope, curve = rng.normal(0.0, BENT, (2, frames, 1, 2))
    lines = rng.normal(0.0, JITTER, (frames, side, 2)) + slope * at + curve * (at**2 - 1 / 3) / 2
    return lines - lines.mean(axis=1, keepdims=True)


def shifts_of(made: Alignment) -> tuple[Array, Array]:
    """(N, 2) shifts and their errors."""
    return tuple(  # type: ignore[return-value]
        made.shifts[[f"shift_y{end}", f"shift_x{end}"]].to_numpy() for end in ("", "_err")
    )


def lines_of(made: Alignment, frames: int) -> tuple[Array, Array]:
    """(N, side, 2) displacements of all lines, shifts included, and their errors."""
    if made.lines is None:
        raise ValueError("lines were not aligned")
    parts = {
        name: made.lines[[name.format("y"), name.format("x")]].to_numpy().reshape(frames, -1, 2)
        for name in ("shift_{}", "drift_{}", "shift_{}_err")
    }
    whole = parts["shift_{}"] + parts["drift_{}"] + shifts_of(made)[0][:, None]
    return whole, parts["shift_{}_err"]


def one_by_one(stack: Array, normalization: str | None) -> Array:
    """(N, 2) shifts by scikit-image, each frame on the one before."""
    from skimage.registration import phase_cross_correlation

    steps = [np.zeros(2)]
    for before, after in pairwise(stack):
        found = phase_cross_correlation(
            before, after, upsample_factor=50, normalization=normalization
        )
        steps.append(-found[0])
    return np.cumsum(steps, axis=0)


def rms(values: Any) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(values))))


def off_lattice(found: Array, true: Array, spacing: float) -> tuple[Array, Array]:
    """(N,) frames off by more than half of the spacing from most, and errors of the shifts of the
    others against the first of them.
    """
    wrong = found - true
    wrong = wrong - np.median(wrong, axis=0)
    jumped = np.hypot(*wrong.T) > spacing / 2
    rest = wrong[~jumped]
    return jumped, rest[1:] - rest[0] if len(rest) > 1 else np.full((1, 2), np.nan)


def shifts(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table of shifts."""
    for spacing in options.spacings:
        for dose in options.doses:
            rows = []
            for seed in range(options.seeds):
                rng = generator(ALIGN, 1, int(10 * spacing), int(100 * dose), seed)
                scene = Scene(options.side, spacing, options.features, rng)
                true = walk(options.frames, options.drift, rng)
                stack = rng.poisson(dose * np.stack([scene(each) for each in true])).astype(float)
                made = atomseg.align(stack)
                found, error = shifts_of(made)
                jumped, left = off_lattice(found, true, spacing)
                lost, _ = off_lattice(one_by_one(stack, "phase"), true, spacing)
                astray, peer = off_lattice(one_by_one(stack, None), true, spacing)
                rows.append(
                    {
                        "rms": rms(left),
                        "stated": rms(error[~jumped][1:]),
                        "jumped": int(jumped.sum()),
                        "rms, cross": rms(peer),
                        "jumped, cross": int(astray.sum()),
                        "jumped, phase": int(lost.sum()),
                    }
                )
            counts = ("jumped", "jumped, cross", "jumped, phase")
            table = pd.DataFrame(rows)
            mean = {
                name: int(table[name].sum()) if name in counts else rms(table[name])
                for name in table
            }
            yield {"spacing": f"{spacing:g}", "dose": dose, **mean}


def lines(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table of lines."""
    for spacing in options.spacings:
        for dose in options.doses:
            planted, left, scores = [], [], []
            for seed in range(options.seeds):
                rng = generator(ALIGN, 2, int(10 * spacing), int(100 * dose), seed)
                scene = Scene(options.side, spacing, options.features, rng)
                true = walk(options.frames, options.drift, rng)
                own = bent(options.frames, options.side, rng)
                seen = [scene(shift, each) for shift, each in zip(true, own, strict=True)]
                stack = rng.poisson(dose * np.stack(seen)).astype(float)
                found, error = lines_of(atomseg.align(stack, "lines"), options.frames)
                wrong = found - own - true[:, None]
                wrong = wrong - wrong.mean(axis=0)
                planted.append(rms(own - own.mean(axis=0)))
                left.append(rms(wrong))
                scores.append(rms(wrong / error))
            yield {
                "spacing": f"{spacing:g}", "dose": dose, "planted": rms(planted),
                "left": rms(left), "z rms": rms(scores),
            }  # fmt: skip


def columns_off(image: Array, scene: Scene) -> float:
    """Pixels rms of columns in an image from their places, after the best affine map."""
    found = atomseg.localize(image, detector="peaks", sensitivity=0.0)
    places = found[["y", "x"]].to_numpy()
    middle = (np.array(image.shape) - 1) / 2
    inside = (np.abs(places - middle) < middle - RIM * scene.spacing - 8).all(axis=1)
    places = places[inside]
    truth = scene.columns
    moved, ones = places.copy(), np.ones((len(places), 1))
    for _ in range(6):
        distance, index = cKDTree(truth).query(moved)
        near = distance < NEAR * scene.spacing
        if near.sum() < 10:
            return float("nan")
        basis = np.hstack([places, ones])
        turn, *_ = np.linalg.lstsq(basis[near], truth[index[near]], rcond=None)
        moved = basis @ turn
    distance, _ = cKDTree(truth).query(moved)
    return rms(distance[distance < NEAR * scene.spacing])


def scans(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table of orthogonal scans."""
    folder: Path = options.folder / "orthogonal"
    (folder / "input").mkdir(parents=True, exist_ok=True)
    cases = {}
    for spacing in options.spacings:
        for dose in options.doses:
            for seed in range(options.seeds):
                rng = generator(ALIGN, 3, int(10 * spacing), int(100 * dose), seed)
                scene = Scene(options.side, spacing, options.features, rng)
                ramp = np.linspace(-0.5, 0.5, options.side)[:, None] * LINEAR
                drawn = [
                    scene(shift, ramp + rng.normal(0.0, JITTER, ramp.shape), axis)
                    for axis, shift in enumerate((np.zeros(2), rng.normal(0.0, 2.0, 2)))
                ]
                pair = rng.poisson(dose * np.stack(drawn)).astype(float)
                name = f"{spacing:g}-{dose:g}-{seed}"
                cases[name] = spacing, dose, scene, pair
                np.save(folder / "input" / f"{name}.npy", pair.astype(np.float32))
    if options.orthogonal:
        elsewhere(options.orthogonal, "restoration", "orthogonal", str(folder.absolute()))
    rows = []
    for name, (spacing, dose, scene, pair) in cases.items():
        peer = folder / orthogonal.RESULTS / f"{name}.npy"
        plain = atomseg.align(pair)
        merged = atomseg.align(pair, directions="orthogonal")
        rows.append(
            {
                "spacing": f"{spacing:g}",
                "dose": dose,
                "first scan": columns_off(pair[0], scene),
                "plain mean": columns_off(np.nan_to_num(plain.average), scene),
                "aligned": columns_off(np.nan_to_num(merged.average), scene),
                orthogonal.RESULTS: (
                    columns_off(np.load(peer).astype(float), scene) if peer.exists() else np.nan
                ),
            }
        )
    for _, table in pd.DataFrame(rows).groupby(["spacing", "dose"], sort=False):
        numbers = table.iloc[:, 2:].apply(rms)
        yield {"spacing": table["spacing"].iloc[0], "dose": table["dose"].iloc[0], **numbers}


def fits(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Rows of the table of fits on averages."""
    for spacing in options.spacings:
        for dose in options.doses:
            scores: dict[str, list[float]] = {"handed": [], "estimated": []}
            shared = []
            for seed in range(options.seeds):
                rng = generator(ALIGN, 4, int(10 * spacing), int(100 * dose), seed)
                scene = Scene(options.side, spacing, 0.02, rng)
                true = walk(options.frames, options.drift, rng)
                stack = rng.poisson(dose * np.stack([scene(each) for each in true])).astype(float)
                made = atomseg.align(stack, field="common")
                shared.append(made.noise.beside[1])
                for name, noise in (("handed", made.noise), ("estimated", None)):
                    known = {} if noise is None else {"noise": noise}
                    found = atomseg.localize(
                        made.average, detector="peaks", sensitivity=0.0, **known
                    )
                    scores[name].append(z_rms(found, made, scene))
            yield {
                "spacing": f"{spacing:g}", "dose": dose, "correlation": float(np.mean(shared)),
                **{f"z {name}": rms(values) for name, values in scores.items()},
            }  # fmt: skip


def z_rms(found: pd.DataFrame, made: Alignment, scene: Scene) -> float:
    """Rms of positions less their truth over their errors, but for a common shift."""
    places = found[["y", "x"]].to_numpy() + np.asarray(made.origin)
    errors = found[["y_err", "x_err"]].to_numpy()
    height, width = made.average.shape
    inside = (found[["y", "x"]].to_numpy() > RIM * scene.spacing).all(axis=1)
    inside &= (np.array([height, width]) - found[["y", "x"]] > RIM * scene.spacing).all(axis=1)
    distance, index = cKDTree(scene.columns).query(places)
    good = inside & (distance < NEAR * scene.spacing) & np.isfinite(errors).all(axis=1)
    wrong = (places - scene.columns[index])[good]
    return rms((wrong - wrong.mean(axis=0)) / errors[good])


def arguments(parser: argparse.ArgumentParser) -> None:
    """What is planted."""
    parser.add_argument("folder", type=Path, help="for pairs of scans and what peers make of them")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--spacings", nargs="+", type=float, default=(5.0, 10.0, 20.0))
    parser.add_argument("--doses", nargs="+", type=float, default=(0.3, 3.0, 30.0))
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--drift", type=float, default=0.7, help="pixels a step")
    parser.add_argument("--features", type=float, default=0.02)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--orthogonal", type=Path, help="Python with scanning-drift-corr")


def run(options: argparse.Namespace) -> None:
    """Print the tables."""
    made = {"shifts": shifts, "lines": lines, "orthogonal": scans, "fits": fits}
    for part in options.parts:
        tables.show(pd.DataFrame(made[part](options)), part.capitalize())
