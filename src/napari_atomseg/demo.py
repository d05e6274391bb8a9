"""The main job from end to end: restore, segment and localize one image, and show it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg import analysis, inference, io, localization, simulation
from napari_atomseg.networks.tasks import RESTORATION
from napari_atomseg.progress import CancelToken, Progress

Array = NDArray[Any]
VISIBLE = 5.0
"""Columns of the truth with a signal below this many times their noise are not asked for: the Rose
criterion."""


@dataclass(frozen=True)
class Result:
    """An image and all that was made of it; `simulation` is the truth where there is one."""

    name: str
    image: Array
    sampling: float | tuple[float, float] | None
    restored: dict[str, Array]
    labels: NDArray[np.int32]
    columns: pd.DataFrame
    simulation: simulation.Simulation | None


def run_demo(
    path: Path | None = None,
    *,
    model: str | Path | None = None,
    sampling: float | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Result:
    """Restore, segment and localize SrTiO3 [001], simulated at low dose, or an image of one's own.

    Parameters
    ----------
    path : image file; None simulates.
    model : name or file of a model.
    sampling : Å a pixel, where the file does not say.
    """
    truth = None
    pixel: float | tuple[float, float] | None
    if path is None:
        truth = simulation.simulate("SrTiO3", (0, 0, 1), (512, 512), 0.1, 6e3, seed=1)
        name, image, pixel = "SrTiO3 [001]", truth.image, truth.sampling
    else:
        read = io.read_image(path)
        name, image = read.name, np.asarray(read.data)
        pixel = sampling if sampling is not None else read.sampling
    options: dict[str, Any] = {"model": model, "progress": progress, "cancel": cancel}
    prediction = inference.predict(image, RESTORATION, sampling=pixel, **options)
    labels = localization.segment(image, sampling=pixel, **options)
    columns = localization.localize(image, sampling=pixel, **options)
    return Result(name, image, pixel, prediction.maps, labels, columns, truth)


def summary(result: Result) -> list[str]:
    """What was found and, where the truth is known, how good it is, a line each."""
    columns = result.columns
    lines = [f"{result.name}: {len(columns)} columns"]
    error = float(np.nanmedian([np.nan, *np.hypot(columns["y_err"], columns["x_err"])]))
    if np.isfinite(error):
        pixel = result.sampling if isinstance(result.sampling, float) else None
        lines.append(f"typical standard error of a position: {_length(error, pixel)}")
    if result.simulation is None:
        return lines
    truth = result.simulation
    for task, target in (("denoise", "no_noise"), ("denoise_background", "no_background_no_noise")):
        before = analysis.psnr(truth.image, truth.targets[target], affine=True)
        after = analysis.psnr(result.restored[task], truth.targets[target], affine=True)
        lines.append(f"{task}: PSNR {before:.1f} dB as recorded, {after:.1f} dB restored")
    visible = truth.columns[truth.columns["snr"] >= VISIBLE]
    score = analysis.scores(columns, visible, radius=0.5 / truth.sampling)
    lines.append(
        f"columns against the truth: precision {score.precision:.3f}, recall {score.recall:.3f}, "
        f"F1 {score.f1:.3f} ({score.matched} of {score.truth})"
    )
    lines.append(f"RMSE of the positions: {_length(score.rmse, truth.sampling)}")
    return lines


def _length(pixels: float, sampling: float | None) -> str:
    picometres = f" = {100 * pixels * sampling:.1f} pm" if sampling else ""
    return f"{pixels:.3f} px{picometres}"


def save(result: Result, folder: Path) -> tuple[Path, Path]:
    """Write the figure (PNG) and the table of columns (CSV); return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = "demo" if result.simulation is not None else Path(result.name).stem
    table = folder / f"{stem}-columns.csv"
    io.write_columns(table, result.columns, {"sampling": result.sampling})
    picture = folder / f"{stem}.png"
    _draw(result, picture)
    return picture, table


def _draw(result: Result, path: Path) -> None:
    from matplotlib.figure import Figure
    from skimage.segmentation import find_boundaries

    def first(array: Array) -> Array:
        return np.asarray(array.reshape(-1, *array.shape[-2:])[0])

    columns = result.columns
    if "frame" in columns:
        columns = columns[columns["frame"] == 0]
    names = {
        "denoise": "denoised",
        "denoise_background": "background removed",
        "superresolution": "super-resolved",
    }
    panels: list[tuple[str, Array, Callable[[Any], None] | None]] = [
        ("recorded", first(result.image), None)
    ]
    panels += [(names[task], first(image), None) for task, image in result.restored.items()]
    edges = np.ma.masked_equal(find_boundaries(first(result.labels), mode="inner"), 0)
    panels.append(
        ("segmented", first(result.image), lambda axes: axes.imshow(edges, cmap="autumn"))
    )
    panels.append(
        (
            f"{len(columns)} columns",
            first(result.restored["denoise"]),
            lambda axes: axes.plot(columns["x"], columns["y"], "+", color="tab:red", ms=4),
        )
    )
    figure = Figure(figsize=(12, 8.4), layout="constrained")
    figure.suptitle(result.name)
    for axes, (title, image, overlay) in zip(figure.subplots(2, 3).ravel(), panels, strict=True):
        low, high = np.nanpercentile(image, (0.5, 99.7))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high if high > low else None)
        if overlay:
            overlay(axes)
        axes.set(title=title, xticks=[], yticks=[])
        axes.set(xlim=(-0.5, image.shape[1] - 0.5), ylim=(image.shape[0] - 0.5, -0.5))
    figure.savefig(path, dpi=110)


def has_screen() -> bool:
    """Whether a window can be opened here."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True
