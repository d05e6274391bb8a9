"""Restore, segment and localize one image; write a figure and a table; score them if possible."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from napari_atomseg import analysis, localization
from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.types import Sampling
from napari_atomseg.figures.picture import scale_bar
from napari_atomseg.inference import InferenceSettings, predict
from napari_atomseg.io import MicroscopeImage, provenance, read_image, write_columns
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.simulation import Simulation, simulate

SIDE = 640
"""Larger images are shown by their middle, at most this many pixels a side."""

TITLES = {
    "denoise": "denoised",
    "denoise_background": "without background",
    "superresolution": "super-resolved",
}


def draw_figure(result: DemoResult) -> None:
    """Write the figure of a result to its file."""
    figure = Figure(figsize=(13.5, 9.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(2, 3).flat)
    rows, columns = (_middle(length) for length in result.image.shape)
    _show(axes[0], "image", result.image[rows, columns])
    shown = rows.stop - rows.start, columns.stop - columns.start
    scale_bar(axes[0], result.sampling, shown)
    for panel, (task, title) in zip(axes[1:4], TITLES.items(), strict=True):
        _show(panel, title, result.restored[task][rows, columns])
    _show(axes[4], "segmented", result.image[rows, columns])
    outlines = find_boundaries(result.labels[rows, columns], mode="inner")
    axes[4].imshow(np.ma.masked_equal(outlines, 0), cmap="autumn", interpolation="nearest")
    _show(axes[5], f"{len(result.columns)} columns localized", result.image[rows, columns])
    _dots(axes[5], result, rows, columns)
    figure.suptitle(_title(result))
    with whole_file(result.figure) as partial:
        figure.savefig(partial, dpi=110, format=result.figure.suffix[1:])


def _middle(length: int) -> slice:
    start = max(0, (length - SIDE) // 2)
    return slice(start, min(length, start + SIDE))


def _show(panel: Axes, title: str, data: NDArray[Any]) -> None:
    finite = data[np.isfinite(data)]
    low, high = np.percentile(finite, (0.5, 99.8)) if finite.size else (0.0, 1.0)
    panel.imshow(data, cmap="gray", vmin=low, vmax=max(high, low + 1e-12))
    panel.set_title(title)
    panel.set_axis_off()


def _dots(panel: Axes, result: DemoResult, rows: slice, columns: slice) -> None:
    table = result.columns
    y, x = table["y"] - rows.start, table["x"] - columns.start
    inside = y.between(-0.5, rows.stop - rows.start - 0.5)
    inside &= x.between(-0.5, columns.stop - columns.start - 0.5)
    size = 20.0 if inside.sum() < 500 else 5.0
    volume = table["volume"].abs()[inside]
    panel.scatter(x[inside], y[inside], s=size, c=volume, cmap="plasma", lw=0)


def _title(result: DemoResult) -> str:
    if not result.scores:
        return result.name
    score = result.scores
    return (
        f"{result.name}:  PSNR {score['psnr_before']:.1f} → {score['psnr_after']:.1f} dB,  "
        f"F1 {score['f1']:.3f},  position error {score['rmse_pm']:.1f} pm"
    )


_TRIAL = "from qtpy.QtWidgets import QApplication; QApplication([])"
_PATIENCE = 60.0
"""Seconds that a first window may take to open."""


def show(result: DemoResult, *, block: bool = True) -> str | None:
    """Open napari with the layers and wait until it is closed.

    Returns
    -------
    Why there is no window, or None if there was one.
    """
    problem = screen_problem()
    if problem:
        return problem
    from napari_atomseg._napari.show import open_viewer

    open_viewer(
        result.image,
        result.sampling,
        dict(result.restored),
        result.labels,
        result.columns,
        name=result.name,
        block=block,
    )
    return None


def screen_problem() -> str | None:
    """Why no window can be opened here; None if one can.

    Qt ends the whole process where it finds no screen, so that another process tries first.
    """
    if find_spec("napari") is None:
        return 'napari is not installed; run: pip install "napari-atomseg[all]"'
    if sys.platform.startswith("linux") and not (
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    ):
        return "no screen here (DISPLAY is not set)"
    try:
        trial = subprocess.run(  # noqa: S603
            [sys.executable, "-c", _TRIAL], capture_output=True, timeout=_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        return "the screen does not answer"
    if trial.returncode == 0:
        return None
    lines = trial.stderr.decode(errors="replace").strip().splitlines()
    return f"Qt cannot open one ({lines[0] if lines else 'no reason given'})"


SCENE: dict[str, Any] = {
    "crystal": "SrTiO3",
    "zone_axis": (0, 0, 1),
    "shape": (512, 512),
    "sampling": 0.1,
    "dose": 6e3,
    "seed": 1,
}
"""The simulated scene, as `simulate` takes it."""

TASKS = ("denoise", "denoise_background", "superresolution")

VISIBLE = 5.0
"""Signal over noise of true columns below which they need not be found (Rose criterion)."""

MATCH = 3.0
"""A column counts as found within this distance of a true one, px."""


@dataclass(frozen=True)
class DemoResult:
    """Results of the demo.

    Attributes
    ----------
    image : (H, W) raw.
    sampling : Å per pixel, or None.
    restored : restored images by task.
    labels : (H, W), one label a column.
    columns : table of `localize`.
    scores : against the truth of a simulated image; empty for another.
    figure, table : files written.
    """

    name: str
    image: NDArray[Any]
    sampling: Sampling | None
    restored: dict[str, NDArray[np.float32]]
    labels: NDArray[np.int32]
    columns: pd.DataFrame
    scores: dict[str, float]
    figure: Path
    table: Path

    def report(self) -> list[str]:
        """Lines with the number of columns, the scores and the files."""
        rows, columns = self.image.shape
        known = "sampling unknown"
        if self.sampling is not None:
            known = f"{np.mean(self.sampling):.4g} Å per pixel"
        lines = [
            f"{self.name}: {rows} × {columns} pixels, {known}",
            f"{len(self.columns)} columns localized",
        ]
        if self.scores:
            score = self.scores
            lines += [
                f"PSNR: {score['psnr_before']:.1f} dB before, {score['psnr_after']:.1f} dB after",
                f"detection: F1 {score['f1']:.3f} (precision {score['precision']:.3f}, "
                f"recall {score['recall']:.3f} of {score['visible']:.0f} visible columns)",
                f"position error: {score['rmse_px']:.3f} px = {score['rmse_pm']:.1f} pm (rms)",
            ]
        return [*lines, f"figure: {self.figure}", f"table: {self.table}"]


def run_demo(
    image: str | Path | None = None,
    folder: str | Path = "demo",
    *,
    sampling: Sampling | None = None,
    dataset: int | str | None = None,
    frame: int | None = None,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> DemoResult:
    """Restore, segment and localize an image and write a figure (PNG) and a table (CSV).

    Parameters
    ----------
    image : a file; None simulates `SCENE`.
    folder : for the files; it is created.
    sampling : Å per pixel, in place of that of the file.
    dataset, frame : as in `read_image`; by default the middle frame of a stack.
    inference : the model, and how it is applied.

    Raises
    ------
    OSError
        The image cannot be read or the results cannot be written.
    ValueError
        An argument is wrong; the message names it.
    Cancelled
        `cancel` was raised; nothing was written.
    """
    simulation = simulate(**SCENE, progress=progress, cancel=cancel) if image is None else None
    source = (
        _simulated(simulation)
        if simulation
        else _middle_frame(read_image(image or "", dataset, frame))
    )
    pixel = source.sampling if sampling is None else sampling
    options: dict[str, Any] = {
        "sampling": pixel,
        "inference": inference,
        "progress": progress,
        "cancel": cancel,
    }
    prediction = predict(source.data, TASKS, **options)
    labels = localization.segment(source.data, **options)
    columns = localization.localize(source.data, **options)
    scores = _scores(simulation, prediction.maps["denoise"], columns) if simulation else {}
    if cancel is not None:
        cancel.raise_if_cancelled()
    Path(folder).mkdir(parents=True, exist_ok=True)
    result = DemoResult(
        source.name,
        source.data,
        pixel,
        prediction.maps,
        labels,
        columns,
        scores,
        Path(folder) / f"{source.name}-figure.png",
        Path(folder) / f"{source.name}-columns.csv",
    )
    settings = {**prediction.settings, **(simulation.settings if simulation else {})}
    record = provenance(
        "demo", source.name, settings, model=prediction.model, sha256=prediction.sha256
    )
    draw_figure(result)
    write_columns(result.table, columns, {**record, "scores": scores})
    return result


def _simulated(simulation: Simulation) -> MicroscopeImage:
    name = f"SrTiO3-{''.join(map(str, SCENE['zone_axis']))}"
    return MicroscopeImage(
        simulation.image, simulation.sampling, ("y", "x"), simulation.settings, name
    )


def _middle_frame(image: MicroscopeImage) -> MicroscopeImage:
    if image.data.ndim == 2:
        return image
    frames = image.data.reshape(-1, *image.data.shape[-2:])
    middle = len(frames) // 2
    return replace(image, data=frames[middle], axes=("y", "x"), name=f"{image.name}-{middle}")


def _scores(
    simulation: Simulation, denoised: NDArray[np.float32], columns: pd.DataFrame
) -> dict[str, float]:
    """Scores against the truth: a faint true column may be found, but need not."""
    ideal, truth = simulation.targets["no_noise"], simulation.columns
    precision = analysis.scores(columns, truth, MATCH).precision
    visible = truth[truth["snr"] >= VISIBLE]
    matched = analysis.scores(columns, visible, MATCH)
    return {
        "psnr_before": analysis.psnr(simulation.image, ideal, affine=True),
        "psnr_after": analysis.psnr(denoised, ideal, affine=True),
        "precision": precision,
        "recall": matched.recall,
        "f1": 2 * precision * matched.recall / max(precision + matched.recall, 1e-12),
        "visible": float(len(visible)),
        "rmse_px": matched.rmse,
        "rmse_pm": matched.rmse * simulation.sampling * 100.0,
    }
