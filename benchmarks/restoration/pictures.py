"""Pictures of restored images: one of each with its errors, and a sheet of many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as Pillow

import napari_atomseg as atomseg

Image = NDArray[np.float32]
SHOWN = 128
"""Side of the part of an image that is drawn."""
PIXELS = 100
"""Dots an inch of a sheet, so that sides are in hundredths of pixels."""
TITLE = 14
"""Pixels of the line above a row of a sheet."""
SHADES = 48
"""Of grey in a sheet: noise in more of them only makes the file large."""
RANGE = (0.2, 99.8)
"""Percentiles of an image that has no truth, from black to white."""


@dataclass(frozen=True)
class Row:
    """A row of a sheet: an image in the states that are compared, and its truth if it is known."""

    name: str
    images: Mapping[str, Image]
    truth: Image | None = None

    def panels(self) -> dict[str, tuple[Image, str]]:
        """Panels on one scale of grey from 0 to 1, with their titles."""
        first = next(iter(self.images.values()))
        on = first if self.truth is None else self.truth
        low, high = np.percentile(on, RANGE if self.truth is None else (0, 100))
        shown = {}
        for name, image in self.images.items():
            fitted = on_scale(image, on)
            score = "" if self.truth is None else f" {atomseg.analyze.psnr(fitted, on):.1f}"
            shown[name] = fitted, name + score
        if self.truth is not None:
            shown["truth"] = self.truth, "truth"
        span = max(float(high - low), 1e-12)
        return {
            name: (np.clip((middle(image) - low) / span, 0, 1), title)
            for name, (image, title) in shown.items()
        }


def sheet(path: Path, rows: Sequence[Row], side: int = SHOWN) -> None:
    """Write rows of panels, a pixel of the image a pixel, to a PNG file of greys.

    Parameters
    ----------
    side : of the middle of each image that is drawn, pixels.
    """
    drawn = [row.panels() for row in rows]
    across = max(len(panels) for panels in drawn)
    width, height = across * (side + 2), len(rows) * (side + TITLE)
    figure = Figure(figsize=(width / PIXELS, height / PIXELS), dpi=PIXELS)
    for number, panels in enumerate(drawn):
        for place, (image, title) in enumerate(panels.values()):
            grey = np.round((SHADES - 1) * middle(image, side)) / (SHADES - 1)
            left, top = place * (side + 2), number * (side + TITLE) + TITLE
            bottom = height - top - grey.shape[0]
            figure.figimage(grey, left, bottom, cmap="gray", vmin=0, vmax=1)
            figure.text(left / width, 1 - (top - 3) / height, title, fontsize=6.5)
    buffer = BytesIO()
    figure.savefig(buffer, dpi=PIXELS)
    buffer.seek(0)
    Pillow.open(buffer).convert("L").save(path, optimize=True)


def draw(path: Path, truth: Image, images: Mapping[str, Image]) -> None:
    """The middle of everything side by side, and its error below, ten times as bright."""
    panels = {**images, "truth": truth}
    figure = Figure(figsize=(2.6 * len(panels), 5.4), layout="constrained")
    axes = figure.subplots(2, len(panels))
    low, high = float(truth.min()), float(truth.max())
    for (top, bottom), (name, image) in zip(axes.T, panels.items(), strict=True):
        fitted = on_scale(image, truth)
        top.imshow(middle(fitted), cmap="gray", vmin=low, vmax=high)
        error = middle(fitted - truth)
        bottom.imshow(error, cmap="RdBu", vmin=-0.1 * (high - low), vmax=0.1 * (high - low))
        score = "" if name == "truth" else f" {atomseg.analyze.psnr(fitted, truth):.1f} dB"
        top.set_title(f"{name}{score}", fontsize=9)
        for axis in (top, bottom):
            axis.set_axis_off()
    figure.savefig(path, dpi=80)


def on_scale(image: Image, truth: Image) -> Image:
    """The image after the best affine fit of its intensities to the truth."""
    gain, offset = np.polyfit(image.ravel().astype(float), truth.ravel().astype(float), 1)
    return np.asarray(gain * image + offset, dtype=np.float32)


def middle(image: Image, side: int = SHOWN) -> Image:
    """At most `side` pixels each way."""
    top, left = (max(0, (n - side) // 2) for n in image.shape)
    return image[top : top + side, left : left + side]
