"""Pictures of the three studies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import PIL.Image
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator
from numpy.typing import ArrayLike

from benchmarks.studies.images import SAMPLING, Array, Image, Sample

ARROW = 100.0
"""Arrows of usual errors are about so long in pm as they are drawn."""
FACTORS = (1, 2, 5, 10, 20, 50)
"""By one of which errors are magnified."""
COLOURS = 256
"""Of a picture's palette."""
TICKS = (2, 5, 10, 20, 50)
MOST = 3
"""Methods whose images are drawn."""


def draw_bulk(
    path: Path, table: pd.DataFrame, shown: list[tuple[int, float, dict[str, Image]]]
) -> None:
    """Precision of positions and cross-sections against thickness, and the extreme images."""
    doses, methods = list(dict.fromkeys(table["dose"])), list(dict.fromkeys(table["method"]))
    width = max(2 * len(doses), len(shown) * min(len(methods), MOST))
    figure = Figure(figsize=(11.0, 6.2), layout="constrained")
    graphs, pictures = figure.subfigures(2, 1, height_ratios=(1.1, 1.0))
    axes = graphs.subplots(1, 2 * len(doses), squeeze=False)[0]
    quantities = (
        ("precision", "bound", "position, pm"),
        ("section precision", "section bound", "cross-section, %"),
    )
    panels = ((dose, quantity) for quantity in quantities for dose in doses)
    for axis, (dose, (name, bound, title)) in zip(axes, panels, strict=True):
        some = table[table["dose"] == dose]
        for number, method in enumerate(methods):
            one = some[some["method"] == method]
            axis.loglog(one["atoms"], one[name], "o-", ms=3, color=f"C{number}", label=method)
        axis.loglog(one["atoms"], one[bound], "k--", lw=1, label="Cramér–Rao bound")
        axis.set_title(f"{title}; {dose:g} e⁻/Å²", fontsize=9)
        axis.set_xlabel("atoms a column", fontsize=8)
        axis.set_xticks(TICKS, TICKS)
        axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
        axis.yaxis.set_major_formatter("{x:g}")
        axis.minorticks_off()
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=7)
    panels_below = pictures.subplots(1, width, squeeze=False)[0]
    each = [
        (f"{method}: {atoms} atoms, {dose:g} e⁻/Å²", images[method])
        for atoms, dose, images in shown
        for method in methods[:MOST]
    ]
    for axis in panels_below:
        axis.set_axis_off()
    for axis, (title, image) in zip(panels_below, each, strict=False):
        show(axis, image, title)
    save(figure, path, 90)


def draw_dislocation(
    path: Path,
    sample: Sample,
    shown: list[tuple[float, dict[str, Image], dict[str, Array], dict[str, Array | None]]],
    rings: pd.DataFrame,
) -> None:
    """Images with errors as arrows and a Burgers circuit, and errors against distance."""
    methods = list(shown[0][1])[:MOST]
    columns = len(methods) + 1
    figure = Figure(figsize=(3.4 * columns, 3.5 * len(shown)), layout="constrained")
    axes = figure.subplots(len(shown), columns, squeeze=False)
    for row, (dose, images, errors, circuits) in zip(axes, shown, strict=True):
        factor = magnification(errors[methods[0]])
        for axis, name in zip(row, methods, strict=False):
            show(axis, images[name], f"{name}: {dose:g} e⁻/Å², errors × {factor}")
            arrow = factor / (100.0 * SAMPLING) * errors[name]
            axis.quiver(
                sample.x, sample.y, arrow[:, 1], arrow[:, 0],
                angles="xy", scale_units="xy", scale=1.0, color="#ff9500", width=0.008,
            )  # fmt: skip
            walk = circuits[name]
            if walk is not None:
                axis.plot(walk[:, 1] / SAMPLING, walk[:, 0] / SAMPLING, "-", color="#32ade6", lw=1)
                ends = walk[[0, -1]] / SAMPLING
                axis.plot(ends[:, 1], ends[:, 0], "-", color="#ff3b30", lw=2.5)
        graph = row[-1]
        for number, name in enumerate(images):
            one = rings[(rings["dose"] == dose) & (rings["method"] == name)]
            graph.plot(one["middle"], one["rmse"], "o-", color=f"C{number}", label=name)
        graph.plot(one["middle"], one["bound"], "k--", lw=1, label="bound of shot noise")
        graph.set_ylim(bottom=0)
        graph.set_title("RMSE of positions, pm", fontsize=9)
        graph.set_xlabel("distance to the core, Å", fontsize=8)
        graph.tick_params(labelsize=7)
        graph.legend(fontsize=7)
    save(figure, path, 80)


def draw_particle(path: Path, sample: Sample, counted: dict[tuple[float, str], Array]) -> None:
    """Atoms of each column, errors of the counts of one image, and how often each error occurs."""
    doses, methods = (list(dict.fromkeys(part)) for part in zip(*counted, strict=True))
    shown = methods[:MOST]
    columns = len(shown) + 2
    figure = Figure(figsize=(3.0 * columns, 2.9 * len(doses)), layout="constrained")
    axes = figure.subplots(len(doses), columns, squeeze=False)
    for row, dose in zip(axes, doses, strict=True):
        points = scatter(row[0], sample, sample.atoms, "viridis", (1, int(sample.atoms.max())))
        row[0].set_title("atoms of the columns", fontsize=9)
        figure.colorbar(points, ax=row[0], shrink=0.8)
        for axis, name in zip(row[1:], shown, strict=False):
            off = counted[dose, name]
            points = scatter(axis, sample, off[0], "RdBu_r", (-4, 4))
            share = 100.0 * np.mean(off == 0)
            axis.set_title(f"{name}, {dose:g} e⁻/Å²: {share:.0f} % right", fontsize=9)
        figure.colorbar(points, ax=row[-2], shrink=0.8, label="counted too many")
        for number, name in enumerate(methods):
            off = counted[dose, name]
            edges = np.arange(-6.5, 7.0)
            heights = np.histogram(off[np.isfinite(off)], edges)[0] / off.size
            row[-1].stairs(100.0 * heights, edges, color=f"C{number}", lw=1.6, label=name)
        row[-1].set_title("error of the count, % of columns", fontsize=9)
        row[-1].tick_params(labelsize=7)
        row[-1].legend(fontsize=7)
    save(figure, path, 75)


def scatter(
    axis: Axes, sample: Sample, values: ArrayLike, colours: str, limits: tuple[int, int]
) -> PathCollection:
    """Columns as dots of a colour."""
    axis.set_axis_off()
    axis.set_aspect("equal")
    axis.invert_yaxis()
    return axis.scatter(
        sample.x, sample.y, c=values, s=22, cmap=colours, vmin=limits[0], vmax=limits[1],
        edgecolors="0.6", linewidths=0.3,
    )  # fmt: skip


def magnification(errors: Array) -> int:
    """The factor that makes arrows of errors (N, 2) in pm long enough to be seen."""
    usual = float(np.sqrt(np.nanmean((errors**2).sum(axis=1))))
    return min(FACTORS, key=lambda factor: abs(np.log(factor * usual / ARROW)))


def save(figure: Figure, path: Path, dpi: int) -> None:
    """A figure as a picture of few colours, and so a small file."""
    canvas = FigureCanvasAgg(figure)
    figure.set_dpi(dpi)
    canvas.draw()
    picture = PIL.Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])
    picture.quantize(COLOURS, dither=PIL.Image.Dither.NONE).save(path, optimize=True)


def show(axis: Axes, image: Image, title: str) -> None:
    """An image in grey."""
    low, high = np.percentile(image, [0.5, 99.8])
    axis.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    axis.set_title(title, fontsize=8)
    axis.set_axis_off()
