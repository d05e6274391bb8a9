"""Restore, segment and localize one image; write a figure and a table; score them if possible."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg import analysis, localization
from napari_atomseg.demo.figure import draw_figure
from napari_atomseg.inference import predict
from napari_atomseg.io import MicroscopeImage, provenance, read_image, write_columns
from napari_atomseg.io.image import Sampling
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.simulation import Simulation, simulate

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
"""True columns whose signal is below this many times their noise are not asked for (Rose)."""

MATCH = 3.0
"""A column counts as found within this distance of a true one, px."""


@dataclass(frozen=True)
class DemoResult:
    """What the demo made of an image.

    Attributes
    ----------
    image : (H, W) as it came.
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
        """Lines that say what was found, how good it is, and where the files are."""
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
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    contrast: str = "auto",
    device: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> DemoResult:
    """Restore, segment and localize an image and write a figure (PNG) and a table (CSV).

    Parameters
    ----------
    image : a file, of a stack of which the middle frame is taken; None simulates `SCENE`.
    folder : for the files; it is created.
    sampling : Å per pixel, instead of what the file says.

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
    source = _simulated(simulation) if simulation else _middle_frame(read_image(image or ""))
    pixel = source.sampling if sampling is None else sampling
    options: dict[str, Any] = {
        "model": model,
        "sampling": pixel,
        "contrast": contrast,
        "device": device,
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
