"""Stated errors against the differences of repeats, on recorded images.

    python -m benchmarks measurements repeats FILE ... [--sampling 0.1]

The even and the odd scan lines of an image are two images of the same columns, on pixels twice as
high: noise and jitter of their lines are independent, drift and slow distortions are the same. Of a
recorded stack, each frame is compared with the next one. What columns are off by from one to the
other, less the shift of all, should be as large as their errors together, along y and along x
alike. Jitter moves all columns on a line at once: differences of columns side by side are then
alike, more than of those above each other. Two columns of the table have these correlations. Where
lines share their noise, as in an image that was interpolated, the halves are too much alike: the
last column has the correlation of the noise with the next line, as the fits of the whole image
find it. Misfit, such as columns that are no Gaussians, is the same in both halves, too, and errors
that allow for it are larger than the differences.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.measurements.planted import Array
from napari_atomseg.analysis import Lattice, assign, displacements, find_lattice, spacings
from napari_atomseg.analysis.lattice.assign import follow
from napari_atomseg.analysis.lattice.find import fitted
from napari_atomseg.io import read_image
from napari_atomseg.localization import localize, refine_columns

SAMPLING = 0.1
"""Å a pixel, where neither the file nor the user knows one: of errors only ratios matter."""
NEIGHBOUR = 1.5
"""Neighbours whose differences are compared are nearer than so many median distances."""
ASIDE = 30.0
"""Degrees from a scan line, or from across it, within which a neighbour lies side by side."""
FEWEST = 8


@dataclass(frozen=True)
class Repeat:
    """The same columns measured twice, rows alike, in pixels of the whole image.

    Attributes
    ----------
    start : columns of the whole image, from which both fits began.
    """

    one: pd.DataFrame
    other: pd.DataFrame
    start: pd.DataFrame

    def off(self) -> tuple[Array, Array]:
        """(N, 2) differences along y and x less the shift of all, and what their errors allow."""
        away = (self.other[["y", "x"]] - self.one[["y", "x"]]).to_numpy()
        names = ["y_err", "x_err"]
        stated = np.hypot(self.one[names].to_numpy(), self.other[names].to_numpy())
        away[~np.isfinite(stated)] = np.nan
        return away - np.nanmedian(away, axis=0), stated


def starting(image: Array, sampling: float | tuple[float, float]) -> pd.DataFrame:
    """Columns of an image, without those that the border cuts."""
    return localize(image, sampling=sampling, detector="peaks", edge="drop")


def halves(image: Array, pixel: tuple[float, float], refine: str = "gaussian") -> Repeat:
    """Even and odd lines of an image, two images on pixels twice as high."""
    start = starting(image, pixel)
    fits = []
    for first in (0, 1):
        table = start[["x"]].assign(y=(start["y"] - first) / 2)
        table.attrs["sampling"] = (2 * pixel[0], pixel[1])
        found = refine_columns(
            image[first::2], table, refine=refine, contrast=start.attrs["contrast"]
        )
        whole = found.assign(y=2 * found["y"] + first, y_err=2 * found["y_err"])
        fits.append(whole)
    return Repeat(fits[0], fits[1], start)


def frames(stack: Array, pixel: tuple[float, float], refine: str = "gaussian") -> Iterator[Repeat]:
    """Each frame of a stack and the next one."""
    start = starting(stack.mean(axis=0), pixel)
    places = start[["y", "x"]].copy()
    places.attrs["sampling"] = pixel
    contrast = start.attrs["contrast"]
    fits = [refine_columns(frame, places, refine=refine, contrast=contrast) for frame in stack]
    for one, other in pairwise(fits):
        yield Repeat(one, other, start)


def alike(repeat: Repeat, axis: int, along: bool) -> float:
    """Correlation of differences along an axis with those of neighbours on, or across, lines."""
    points, (off, _) = repeat.start[["y", "x"]].to_numpy(), repeat.off()
    known = np.isfinite(off[:, axis])
    points, off = points[known], off[known, axis]
    if len(points) < FEWEST:
        return np.nan
    near = float(np.median(cKDTree(points).query(points, k=2)[0][:, 1]))
    pairs = cKDTree(points).query_pairs(NEIGHBOUR * near, output_type="ndarray")
    step = np.abs(points[pairs[:, 1]] - points[pairs[:, 0]])
    beside = np.degrees(np.arctan2(step[:, 0], step[:, 1]))
    some = pairs[beside < ASIDE if along else beside > 90.0 - ASIDE]
    if len(some) < FEWEST:
        return np.nan
    # Single columns that went astray would decide alone.
    off = off.clip(*np.quantile(off, [0.02, 0.98]))
    return float(np.mean(off[some[:, 0]] * off[some[:, 1]]) / np.mean(off**2))


def shared_noise(repeat: Repeat) -> float:
    """Correlation of the noise of the whole image with that of the next line."""
    return float((repeat.start.attrs.get("noise") or {}).get("correlation_y", np.nan))


def row(name: str, off: Array, stated: Array, unit: str, factor: float = 1.0) -> dict[str, object]:
    """Differences (n,) beside what their errors allow, both in a unit."""
    known = np.isfinite(off) & np.isfinite(stated) & (stated > 0)
    off, stated = off[known], stated[known]
    if not len(off):
        return {"measurement": name, "values": "0"}
    z = off / stated
    return {
        "measurement": name,
        "values": str(len(off)),
        f"rms difference, {unit}": factor * float(np.sqrt(np.mean(off**2))),
        f"stated, {unit}": factor * float(np.sqrt(np.mean(stated**2))),
        "difference / error": float(np.sqrt(np.mean(z**2))),
        "by the median": 1.4826 * float(np.median(np.abs(z))),
    }


def of_columns(repeats: list[Repeat], pixel: tuple[float, float]) -> list[dict[str, object]]:
    """Rows of places and volumes."""
    rows = []
    for axis, name in enumerate("yx"):
        parts = [repeat.off() for repeat in repeats]
        off, stated = (np.concatenate([part[k][:, axis] for part in parts]) for k in (0, 1))
        rows.append(
            row(f"places along {name}", off, stated, "pm", 100 * pixel[axis])
            | {
                "alike on a line": np.nanmean([alike(each, axis, True) for each in repeats]),
                "alike across": np.nanmean([alike(each, axis, False) for each in repeats]),
                "noise shared with the next line": shared_noise(repeats[0]),
            }
        )
    off, stated = [], []
    for each in repeats:
        scale = (each.other["volume"] / each.one["volume"]).median()
        size = each.one["volume"].median()
        off.append((each.other["volume"] - scale * each.one["volume"]).to_numpy() / size)
        error = np.hypot(scale * each.one["volume_err"], each.other["volume_err"])
        stated.append(error.to_numpy() / size)
    rows.append(row("volumes", np.concatenate(off), np.concatenate(stated), "%", 100))
    return rows


def of_lattices(repeats: list[Repeat], pixel: tuple[float, float]) -> list[dict[str, object]]:
    """Rows of what follows from places: sides of the cell, spacings, mean displacements."""
    sides: list[tuple[float, float]] = []
    steps: list[tuple[Array, Array]] = []
    shifts: list[tuple[float, float]] = []
    for each in repeats:
        try:
            known = find_lattice(each.start, pixel)
        except ValueError:
            continue
        sites = assign(each.start, known)
        pair = [
            fit.assign(**{name: sites[name] for name in ("i", "j", "sublattice")})
            for fit in (each.one, each.other)
        ]
        measured = [measure_sides(fit, known) for fit in pair]
        for k in range(2):
            error = np.hypot(measured[0][1][k], measured[1][1][k])
            sides.append((measured[1][0][k] - measured[0][0][k], error))
        one, other = (spacings(fit, known) for fit in pair)
        steps.append(
            (
                (other["length_angstrom"] - one["length_angstrom"]).to_numpy(),
                np.hypot(one["length_err_angstrom"], other["length_err_angstrom"]).to_numpy(),
            )
        )
        if len(known) > 1:
            one, other = (displacements(fit, known, 1) for fit in pair)
            for name in ("dy", "dx"):
                off = (other[f"{name}_pm"] - one[f"{name}_pm"]).to_numpy()
                error = np.hypot(one[f"{name}_err_pm"], other[f"{name}_err_pm"]).to_numpy()
                good = np.isfinite(off + error)
                if good.sum() >= FEWEST:
                    mean_error = np.sqrt((error[good] ** 2).sum()) / good.sum()
                    shifts.append((float(off[good].mean()), float(mean_error)))
    rows = []
    if sides:
        off, stated = np.transpose(sides)
        rows.append(row("sides of the cell", off, stated, "pm", 100))
        off, stated = (np.concatenate(part) for part in zip(*steps, strict=True))
        rows.append(row("spacings", off, stated, "pm", 100))
    if shifts:
        off, stated = np.transpose(shifts)
        rows.append(row("mean displacements", off, stated, "pm"))
    return rows


def measure_sides(sites: pd.DataFrame, known: Lattice) -> tuple[Array, Array]:
    """Lengths of a and b and their errors, Å, fitted to columns whose sites are known."""
    points = sites[["y", "x"]].to_numpy()
    lattice = fitted(known, points, follow(points, known), numbered=False)
    lengths = lattice.lengths_angstrom
    return lengths, lattice.lengths_err * lengths / lattice.lengths


def over_files(paths: list[Path], sampling: float | None, refine: str) -> pd.DataFrame:
    """The rows of all files."""
    rows = []
    for path in paths:
        image = read_image(path)
        pixel = image.sampling or (sampling or SAMPLING)
        pixel = tuple(np.broadcast_to(pixel, 2).astype(float))
        data = np.asarray(image.data, dtype=float)
        if data.ndim == 3 and data.shape[-1] in (3, 4):
            data = data[..., :3].mean(axis=-1)
        repeats = [halves(data, pixel, refine)] if data.ndim == 2 else []
        if data.ndim == 3:
            repeats = list(frames(data, pixel, refine))
        found = of_columns(repeats, pixel) + of_lattices(repeats, pixel)
        rows += [{"file": path.name, **each} for each in found]
    return pd.DataFrame(rows)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Recorded files."""
    parser.add_argument("files", type=Path, nargs="+", help="recorded images, or stacks of frames")
    parser.add_argument("--sampling", type=float, help="Å a pixel, of files that do not know it")
    parser.add_argument("--refine", default="gaussian", help="how columns are fitted [%(default)s]")
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Print the table."""
    tables.show(over_files(options.files, options.sampling, options.refine))
