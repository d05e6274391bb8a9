"""One page that shows an image, what was made of it, and the columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from skimage.segmentation import find_boundaries

from napari_atomseg.io.atomic import whole_file

if TYPE_CHECKING:
    from napari_atomseg.demo.job import DemoResult

SIDE = 640
"""Larger images are shown by their middle, at most this many pixels a side."""

TITLES = {
    "denoise": "denoised",
    "denoise_background": "without background",
    "superresolution": "super-resolved",
}
_BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Lengths of scale bars, Å."""


def draw_figure(result: DemoResult) -> None:
    """Write the figure of a result to its file."""
    figure = Figure(figsize=(13.5, 9.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = list(figure.subplots(2, 3).flat)
    rows, columns = (_middle(length) for length in result.image.shape)
    _show(axes[0], "image", result.image[rows, columns])
    if result.sampling is not None:
        dx = float(np.ravel(result.sampling)[-1])
        _scale_bar(axes[0], dx, columns.stop - columns.start)
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


def _scale_bar(panel: Axes, sampling: float, width: int) -> None:
    length = max((bar for bar in _BARS if bar <= 0.3 * width * sampling), default=_BARS[0])
    x, y = 0.05 * width, panel.get_ylim()[0] - 0.05 * width
    patch = Rectangle((x, y), length / sampling, 0.012 * width, color="white", ec="black", lw=0.5)
    panel.add_patch(patch)
    label = f"{length} Å" if length < 10 else f"{length // 10} nm"
    panel.text(x, y - 0.01 * width, label, color="white", weight="bold")


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
