"""Recorded images before and after: restored by the proposed model, once and at its best.

    python -m benchmarks restoration recorded FOLDER --pictures PICTURES
    python -m benchmarks restoration recorded FOLDER --only si110 dysco3 --side 0

Every image in the folder and below is read, of a stack every frame. Each is restored by the model
that `weights.propose_model` proposes for its modality and sampling, with the standard quality and
with the best one; where another model is proposed for the best quality, r_em's where it is
imported, also by that one, in a single pass. `--side` restores a square of so many pixels around
the part that is drawn rather than the whole image: r_em's network takes a minute and a half for
1024².

A line for each image and way is printed: pixels at which the raw image is within 3 σ of the
restored one (`trust.consistency`: 99.7 % if the restoration is right), the spread of these
differences, their correlation beside each other along and across the scan (0 if nothing but noise
was taken away; noise of neighbours that was recorded as shared is in it, too), and CPU seconds.

A picture an image: the part raw and restored, and below each where it differs from the raw image by
more than noise, in σ at the scale of a column: red where intensity was lost, blue where it was
added. `sheet.png` has all images, a row each.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.models.recorded import EXPLAINED, Recorded, recorded
from benchmarks.restoration.pictures import RANGE, Row, sheet
from napari_atomseg import weights
from napari_atomseg.trust import consistency

Image = NDArray[np.float32]
STRONGEST = 5.0
"""Difference, in σ, that has the full colour."""
RAW = "raw"


@dataclass(frozen=True)
class Way:
    """A model and a quality."""

    model: str
    quality: str

    @property
    def name(self) -> str:
        """Of its column."""
        return self.model if self.quality == "standard" else f"{self.model}, best"


def ways(image: Recorded, modality: str) -> list[Way]:
    """What is proposed for an image, with the standard and the best quality."""
    proposed = [
        weights.propose_model(modality, "denoise", image.sampling, quality=quality).model
        for quality in ("standard", "best")
    ]
    found = [Way(proposed[0], "standard"), Way(proposed[0], "best"), Way(proposed[1], "standard")]
    return list(dict.fromkeys(found))


def square(image: Recorded, side: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """What is restored of an image, and the part that is drawn of that."""
    if side <= 0:
        return (slice(0, None), slice(0, None)), image.part
    spans, parts = [], []
    for part, length in zip(image.part, image.pixels.shape, strict=True):
        wide = min(length, max(side, part.stop - part.start))
        start = int(np.clip((part.start + part.stop - wide) // 2, 0, length - wide))
        spans.append(slice(start, start + wide))
        parts.append(slice(part.start - start, part.stop - start))
    return (spans[0], spans[1]), (parts[0], parts[1])


def beside(difference: NDArray[np.floating], axis: int) -> float:
    """Correlation of differences with those of the next pixel."""
    one, other = (
        np.moveaxis(difference, axis, 0)[part] for part in (slice(None, -1), slice(1, None))
    )
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def outcomes(
    image: Recorded, options: argparse.Namespace
) -> Iterator[tuple[dict[str, float | str], Image, NDArray[np.floating]]]:
    """A row of the table, the restored image and its differences in σ, for each way."""
    pixels = image.pixels[square(image, options.side)[0]]
    for way in ways(image, options.modality):
        start = time.process_time()
        made = atomseg.restore(
            pixels, model=way.model, quality=way.quality, sampling=image.sampling
        )
        seconds = time.process_time() - start
        test = consistency(pixels, made)
        lost = pixels - np.asarray(made, dtype=float)
        yield (
            {
                "image": image.name,
                "restored by": way.name,
                "explained %": 100 * float((np.abs(test.z) < EXPLAINED).mean()),
                "spread": float(test.spread[0]),
                "along": beside(lost, 1),
                "across": beside(lost, 0),
                "seconds": seconds,
            },
            made,
            test.z,
        )


def draw(path: Path, shown: dict[str, Image], differences: dict[str, NDArray[np.floating]]) -> None:
    """Raw and restored on one scale of grey, and the differences below."""
    figure = Figure(figsize=(3.0 * len(shown), 6.3), layout="constrained")
    axes = figure.subplots(2, len(shown))
    low, high = np.percentile(shown[RAW], RANGE)
    for (top, bottom), (name, image) in zip(axes.T, shown.items(), strict=True):
        top.imshow(image, cmap="gray", vmin=low, vmax=high)
        top.set_title(name, fontsize=9)
        if name in differences:
            bottom.imshow(differences[name], cmap="RdBu_r", vmin=-STRONGEST, vmax=STRONGEST)
        for axis in (top, bottom):
            axis.set_axis_off()
    figure.savefig(path, dpi=80)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The images, and how they are restored and drawn."""
    shared.folder(parser, "images, also in folders below")
    parser.add_argument("--modality", default="STEM", help="of the images")
    parser.add_argument("--only", nargs="+", default=[], help="images whose name starts like this")
    parser.add_argument("--side", type=int, default=256, help="of what is restored; 0: all")
    shared.pictures(parser)
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Restore, print and draw every image of a folder."""
    lines: list[dict[str, float | str]] = []
    rows: list[Row] = []
    for image in recorded(options.folder):
        if options.only and not image.name.startswith(tuple(options.only)):
            continue
        whole, part = square(image, options.side)
        shown, differences = {RAW: image.pixels[whole][part]}, {}
        for line, made, difference in outcomes(image, options):
            lines.append(line)
            shown[str(line["restored by"])] = made[part]
            differences[str(line["restored by"])] = difference[part]
        if options.pictures:
            draw(options.pictures / f"{image.name}.png", shown, differences)
            rows.append(Row(image.name, shown))
        print(f"{image.name}: {', '.join(list(shown)[1:])}", flush=True)
    if rows:
        sheet(options.pictures / "sheet.png", rows)
    tables.show(pd.DataFrame(lines), "Recorded images, restored", 2)
