"""AtomSegNet's benchmark of precision: our localizer beside 2-D Gaussian fits (Lin et al. 2021).

    python -m benchmarks localization precision FOLDER --pictures docs/models

Simulated (the paper's Figure 6): crystals of equal columns with shot noise, at a series of peak
signal-to-noise ratios. That is a column's height over the deviation of the noise at its top, in dB
20 log10 of it: 20 dB are 10, and 100 electrons in the brightest pixel. The scenes are the same at
all levels. Errors are those of columns that every method found, so that none gains by finding the
easy ones alone; those that the border cuts are left out.

Measured (the paper's Figure 11): `FOLDER/si110_adf_512.png`, Si [110]. How far distances between
columns one lattice vector apart spread, along a = [1-10]/2 and b = [001], for columns of both kinds
of the dumbbells. Left out are columns closer than half a dumbbell to the border, and nothing else.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.io import imread

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.localization.finders import methods
from benchmarks.localization.silicon import Spacings, silicon_spacings
from benchmarks.seeds import PRECISION as SEED
from benchmarks.seeds import generator
from napari_atomseg.evaluation import Case, Method
from napari_atomseg.evaluation.case import known_columns
from napari_atomseg.evaluation.simulated import with_shot_noise
from napari_atomseg.evaluation.tasks import pair
from napari_atomseg.simulation import Simulation, simulate

SILICON = "si110_adf_512.png"
CRYSTALS = (("Si", (0, 1, 1)), ("Pt", (0, 1, 1)), ("Pt", (0, 0, 1)), ("graphene", (0, 0, 1)))
"""Crystals whose columns are all alike."""
SAMPLING = (0.1, 0.2)
"""Å a pixel."""
PAPER = {"AtomSegNet (paper)": (7.14, 6.78), "2-D Gaussian (paper)": (7.57, 8.25)}
"""Deviation of spacings along a and b in pm, with pixels of `PAPER_PIXEL`."""
PAPER_PIXEL = 9.4
"""pm, as the paper has it; by the lattice in the image they are smaller."""


@dataclass(frozen=True)
class Errors:
    """Errors of M true columns by K methods, (K, M) in pixels and NaN where one was not found;
    their bounds in pixels and pixels in pm, both (M,); and columns found that are not true, (K,).
    """

    error: NDArray[np.float64]
    bound: NDArray[np.float64]
    pixel: NDArray[np.float64]
    false: NDArray[np.float64]

    @property
    def common(self) -> NDArray[np.bool_]:
        """(M,) columns that every method found."""
        return np.isfinite(self.error).all(axis=0)


def scene(index: int, side: int) -> Simulation:
    """A crystal turned and shifted at random, without noise."""
    rng = generator(SEED, index)
    crystal, zone_axis = CRYSTALS[index % len(CRYSTALS)]
    return simulate(
        crystal,
        zone_axis,
        (side, side),
        float(np.exp(rng.uniform(*np.log(SAMPLING)))),
        1e6,
        int(rng.integers(2**31)),
        rotation=float(rng.uniform(0, 360)),
        offset=tuple(rng.uniform(-2, 2, 2)),
        background=0.0,
        jitter=0.0,
    )


def noisy(made: Simulation, index: int, level: float) -> Case:
    """A scene with the shot noise of a peak signal-to-noise ratio in dB."""
    counts = 10.0 ** (level / 10.0)
    image = with_shot_noise(made.ideal, counts, generator(SEED, index, int(level)))
    known = known_columns(made.columns, made.ideal, made.sampling, counts)
    return Case(f"{index}-{level:g}", image, made.ideal, known, made.sampling)


def errors_of(case: Case, chosen: Sequence[Method]) -> Errors:
    """What all methods make of a case."""
    known = case.columns[["y", "x"]].to_numpy(float)
    far = np.array(case.image.shape) - 1 - known
    inner = np.minimum(known, far).min(axis=1) >= case.edge
    error, false = np.full((len(chosen), len(known)), np.nan), np.zeros(len(chosen))
    for row, method in enumerate(chosen):
        pairs = pair(case, method(case).columns)
        step = pairs.found[["y", "x"]].to_numpy(float)[pairs.i] - known[pairs.j]
        error[row, pairs.j] = np.hypot(*step.T)
        false[row] = (~pairs.uncounted).sum() - len(pairs.i)
    bound = case.columns["bound"].to_numpy(float)[inner]
    return Errors(error[:, inner], bound, np.full(inner.sum(), 100.0 * case.sampling), false)


def simulated(
    levels: Sequence[float], count: int, side: int, chosen: Sequence[Method]
) -> dict[float, Errors]:
    """Errors at each level, of all images together."""
    parts: dict[float, list[Errors]] = {level: [] for level in levels}
    for index in range(count):
        made = scene(index, side)
        for level in levels:
            parts[level].append(errors_of(noisy(made, index, level), chosen))
    return {level: joined(some) for level, some in parts.items()}


def joined(parts: Sequence[Errors]) -> Errors:
    """Errors of several images as of one; false columns as their mean."""
    return Errors(
        np.concatenate([each.error for each in parts], axis=1),
        np.concatenate([each.bound for each in parts]),
        np.concatenate([each.pixel for each in parts]),
        np.mean([each.false for each in parts], axis=0),
    )


def simulated_table(results: dict[float, Errors], names: Sequence[str]) -> pd.DataFrame:
    """A row each level and method."""
    rows = []
    for level, each in results.items():
        common = each.common
        bound = root(each.bound[common] * each.pixel[common])
        for name, error, false in zip(names, each.error, each.false, strict=True):
            at, pixel = error[common], each.pixel[common]
            rows.append(
                {
                    "dB": level,
                    "method": name,
                    "columns": int(common.sum()),
                    "bound": bound,
                    "rmse_pm": root(at * pixel),
                    "rmse_px": root(at),
                    "over_bound": root(at / each.bound[common]),
                    "found": float(np.isfinite(error).mean()),
                    "false": false,
                }
            )
    return pd.DataFrame(rows)


def root(values: NDArray[np.float64]) -> float:
    """Root mean square; NaN of nothing."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else float("nan")


def pivoted(table: pd.DataFrame, cell: Any) -> pd.DataFrame:
    """Levels down, methods across, and in the cells what `cell` makes of a row, as text."""
    first = table.drop_duplicates("dB").set_index("dB")
    rows = {"peak SNR (dB)": [f"{level:g}" for level in first.index]}
    rows["columns"] = [str(n) for n in first["columns"]]
    rows["bound (pm)"] = [f"{value:.1f}" for value in first["bound"]]
    for name, some in table.groupby("method", sort=False):
        rows[str(name)] = [cell(row) for row in some.to_dict("records")]
    return pd.DataFrame(rows)


def print_simulated(table: pd.DataFrame) -> None:
    """Four tables in Markdown."""
    cells = {
        "RMSE of columns that all found, pm (px)": lambda r: (
            f"{r['rmse_pm']:.1f} ({r['rmse_px']:.3f})"
        ),
        "the same over the Cramér–Rao bound": lambda r: f"{r['over_bound']:.2f}",
        "share of columns found": lambda r: f"{r['found']:.3f}",
        "false columns an image": lambda r: f"{r['false']:.2f}",
    }
    for number, (title, cell) in enumerate(cells.items()):
        shown = pivoted(table, cell)
        tables.show(shown if number == 0 else shown.drop(columns=["columns", "bound (pm)"]), title)


def print_silicon(measured: dict[str, Spacings]) -> None:
    """The table of Si [110], each method's own and the paper's."""
    rows = [
        {
            "method": name,
            "columns": str(each.columns),
            "spacings counted, a and b": " and ".join(
                f"{len(steps)} of {places}"
                for steps, places in zip((each.a, each.b), each.places, strict=True)
            ),
            "σ(a), σ(b) (pm)": in_pm(each.deviations),
            "across the lines": in_pm(each.across),
            f"σ(a), σ(b) at {PAPER_PIXEL} pm a pixel": in_pm(
                np.array(each.deviations) * PAPER_PIXEL / each.pixel
            ),
        }
        for name, each in measured.items()
    ]
    rows += [
        {"method": name, f"σ(a), σ(b) at {PAPER_PIXEL} pm a pixel": in_pm(pair)}
        for name, pair in PAPER.items()
    ]
    one = next(iter(measured.values()))
    title = f"Si [110], deviation of spacings; by the lattice a pixel has {one.pixel:.2f} pm"
    tables.show(pd.DataFrame(rows).fillna(""), title)


def in_pm(pair: Sequence[float] | NDArray[np.float64]) -> str:
    """Two numbers as a cell of a table."""
    return f"{pair[0]:.2f}, {pair[1]:.2f}"


def draw(path: Path, table: pd.DataFrame, measured: dict[str, Spacings]) -> None:
    """Errors and shares found over peak SNR, and the spread of the spacings of silicon."""
    figure = Figure(figsize=(14, 4.2), layout="constrained")
    errors, found, silicon = figure.subplots(1, 3)
    for name, some in table.groupby("method", sort=False):
        errors.semilogy(some["dB"], some["rmse_pm"], "o-", ms=3, label=name)
        found.plot(some["dB"], some["found"], "o-", ms=3)
    first = table.drop_duplicates("dB")
    errors.semilogy(first["dB"], first["bound"], "k--", lw=1, label="Cramér–Rao bound")
    errors.set(xlabel="peak SNR (dB)", ylabel="RMSE (pm)", title="columns that all methods found")
    errors.legend(fontsize=7)
    found.set(xlabel="peak SNR (dB)", ylabel="share of columns found", ylim=(0, 1.02))
    bars = {name: each.deviations for name, each in measured.items()}
    bars |= PAPER
    places = np.arange(len(bars))
    for shift, axis in enumerate("ab"):
        width = [pair[shift] for pair in bars.values()]
        silicon.barh(places + 0.38 * shift, width, 0.36, label=f"along {axis}")
    silicon.set_yticks(places + 0.19, list(bars), fontsize=8)
    silicon.invert_yaxis()
    silicon.set(xlabel="deviation of spacings (pm)", title="Si [110]")
    silicon.legend(fontsize=7)
    figure.savefig(path, dpi=80)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Models, levels and sizes."""
    shared.folder(parser, "measured images")
    shared.models(parser, ["stem-hr"])
    parser.add_argument("--levels", nargs="+", type=float, default=[5, 10, 15, 20, 25, 30])
    parser.add_argument("--images", type=int, default=12)
    parser.add_argument("--side", type=int, default=128, help="pixels of a simulated image")
    shared.pictures(parser)
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Run both parts and print their tables."""
    chosen = methods(options.models)
    names = [method.name for method in chosen]
    results = simulated(options.levels, options.images, options.side, chosen)
    table = simulated_table(results, names)
    print_simulated(table)
    case = Case("silicon", imread(options.folder / SILICON).astype(np.float32))
    found = {m.name: m(case).columns[["y", "x"]].to_numpy(float) for m in chosen}
    measured = silicon_spacings(found, case.image.shape)
    print_silicon(measured)
    if options.pictures:
        draw(options.pictures / "precision.png", table, measured)
