"""Recorded images before and after every model that fits them, counted and drawn.

    python -m benchmarks models recorded FOLDER
    python -m benchmarks models recorded FOLDER --models stem-hr my.safetensors --pictures PICTURES

Every image in the folder and below is read, of a stack every frame. Known by their names are those
of AtomSegNet, StatSTEM, tk_r_em, TEMUL and atomap: what part of them to draw, and where the file
does not say it, the sampling. Models of other modalities than the images' (`--modality`), those
trained on columns at distances that no zoom reaches, and those of the species of one material are
left out; these can be named by `--models`.

A line an image and model is printed:

- columns found and measured: by `localize`; where the model shows no columns, maxima of the image
  that it restored, measured there;
- columns in the vacuum: where the image, smoothed over a column spacing, is in the darkest tenth of
  its range;
- explained: pixels at which the raw image is within 3 σ of the restored one (99.7 % if the
  restoration is right; `trust.consistency`), and the spread of these differences before that test
  scales them to 1;
- seconds of the restoration.

A picture an image, of a column a model: see `sheets.py`. Reference columns are compared by
`napari-atomseg evaluate --data IMAGE,COLUMNS.csv`.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks.models.sheets import Outcome, draw_sheet
from napari_atomseg import weights
from napari_atomseg._shared.types import Sampling
from napari_atomseg.inference import estimate_spacing, predict
from napari_atomseg.inference.magnification import MAGNIFICATIONS
from napari_atomseg.io import IMAGE_SUFFIXES, read_image
from napari_atomseg.io.images.image import ImageFileError
from napari_atomseg.networks.tasks import ELEMENTS, predictable
from napari_atomseg.trust import consistency
from napari_atomseg.weights.registry import Entry, describe

Image = NDArray[np.float32]

EXPLAINED = 3.0
"""Differences up to this many standard deviations are what noise makes."""
SPACINGS_SHOWN = 11
"""Column spacings across the part of an image that is drawn."""
LEAST_SHOWN = 128
"""Pixels across that part, at least."""


@dataclass(frozen=True)
class Known:
    """What is known of an image beyond its file.

    Attributes
    ----------
    centre : of the part that is drawn, as fractions of height and width.
    sampling : Å a pixel.
    vacuum : whether there may be some; else the darkest part of the image is specimen, too.
    """

    centre: tuple[float, float] = (0.5, 0.5)
    sampling: float | None = None
    vacuum: bool = True


KNOWN = {
    "nanoparticle_adf_1182": Known((0.42, 0.80)),
    "ptir_particle_0.1211A": Known((0.33, 0.38), 0.1211),
    "mos2_se_implanted_1024": Known((0.65, 0.53)),
    "hrstem_1024": Known((0.60, 0.20)),
    "hrstem_5x768-0": Known((0.55, 0.20), vacuum=False),
    "hrstem_5x768-1": Known((0.50, 0.18), vacuum=False),
    "hrstem_5x768-2": Known((0.45, 0.42), vacuum=False),
    "hrstem_5x768-3": Known((0.60, 0.45), vacuum=False),
    "hrstem_5x768-4": Known(vacuum=False),
}


@dataclass(frozen=True)
class Recorded:
    """An image, its name, and how it is drawn."""

    name: str
    pixels: Image
    sampling: Sampling | None
    known: Known

    @property
    def spacing(self) -> float:
        """Distance between neighbouring columns, pixels, from the image alone."""
        pixel = None if self.sampling is None else float(np.mean(self.sampling))
        return estimate_spacing(self.pixels, pixel)

    @property
    def part(self) -> tuple[slice, slice]:
        """Rows and columns that are drawn."""
        side = max(LEAST_SHOWN, round(SPACINGS_SHOWN * self.spacing))
        spans = []
        for length, fraction in zip(self.pixels.shape, self.known.centre, strict=True):
            start = int(np.clip(fraction * length - side / 2, 0, max(0, length - side)))
            spans.append(slice(start, min(length, start + side)))
        return spans[0], spans[1]


def recorded(folder: Path) -> Iterator[Recorded]:
    """Every image of a folder, frame by frame; files without one are named."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES:
            continue
        try:
            image = read_image(path)
        except ImageFileError as error:
            print(f"left out: {error}")
            continue
        frames = image.data.reshape(-1, *image.data.shape[-2:])
        for number, frame in enumerate(frames):
            name = path.name.split(".hspy")[0].removesuffix(path.suffix)
            name = f"{name}-{number}" if len(frames) > 1 else name
            known = KNOWN.get(name, Known())
            sampling = known.sampling if image.sampling is None else image.sampling
            yield Recorded(name, frame.astype(np.float32), sampling, known)


def entries(models: list[str], modality: str) -> dict[str, Entry]:
    """What is known of the models, by how they were named; of those here, if none are named."""
    table = weights.models()
    chosen = models or list(table["name"][table["downloaded"]])
    found = {}
    for model in chosen:
        path = weights.resolve(model)
        named = model in set(table["name"])
        entry = weights.model_entry(model) if named else describe(path, path.stem)
        if entry.modality != modality:
            print(f"left out: {entry.name}, a model of {entry.modality} images")
        elif ELEMENTS in entry.tasks and not models:
            print(f"left out: {entry.name}, a model of the species of one material")
        else:
            found[model] = entry
    return found


def fits(entry: Entry, image: Recorded) -> bool:
    """Whether the image, magnified or as it is, has the scale of the model's training."""
    spacing, low_high = image.spacing, entry.spacing_range
    zooms = [
        f for f in MAGNIFICATIONS if low_high is None or low_high[0] <= f * spacing <= low_high[1]
    ]
    if image.sampling is None or entry.sampling_range is None:
        return bool(zooms)
    pixel, (low, high) = float(np.mean(image.sampling)), entry.sampling_range
    return any(low <= pixel / factor <= high for factor in zooms)


def outcome(image: Recorded, model: str, entry: Entry, refine: str) -> tuple[Outcome, str]:
    """What a model makes of an image, and a line on it."""
    able = predictable(entry.tasks)
    task = "denoise" if "denoise" in able else "column_map"
    start = time.perf_counter()
    prediction = predict(image.pixels, (task,), model=model, sampling=image.sampling)
    seconds = time.perf_counter() - start
    made = prediction.maps[task]
    direct = "column_map" in able
    table = atomseg.localize(
        image.pixels if direct else made,
        model,
        image.sampling,
        refine,
        detector="network" if direct else "peaks",
        contrast=prediction.contrast,
    )
    words = [f"{len(table)} columns, {table['y_err'].notna().sum()} measured"]
    if image.known.vacuum:
        dark = vacuum(image.pixels, image.spacing)
        words.append(f"{count_in(dark, table)} in {100 * dark.mean():.0f} % vacuum")
    difference = None
    if task == "denoise":
        test = consistency(image.pixels, made)
        difference = test.z
        explained = 100 * float((np.abs(test.z) < EXPLAINED).mean())
        words.append(f"{explained:.1f} % explained (spread {test.spread[0]:.2f})")
    words.append(f"{prediction.contrast}, zoom {prediction.settings['zoom']:g}")
    words.append(f"{seconds:.1f} s")
    return Outcome(entry.name, task, made, difference, table), ", ".join(words)


def vacuum(image: Image, spacing: float) -> NDArray[np.bool_]:
    """(H, W) where there is no specimen."""
    low, high = np.percentile(ndimage.gaussian_filter(image, 0.15 * spacing), [1, 99])
    dark: NDArray[np.bool_] = ndimage.gaussian_filter(image, spacing) < low + 0.1 * (high - low)
    return dark


def count_in(mask: NDArray[np.bool_], table: pd.DataFrame) -> int:
    """Columns within a mask (H, W)."""
    place = table[["y", "x"]].to_numpy().round().astype(int).clip(0)
    rows, cols = np.minimum(place, np.array(mask.shape) - 1).T
    return int(mask[rows, cols].sum())


def arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the models and how they are drawn."""
    shared.folder(parser, "images, also in folders below")
    shared.models(parser, (), "[all that are here]")
    parser.add_argument("--modality", default="STEM", help="of the images")
    parser.add_argument("--only", nargs="+", default=[], help="images whose name starts like this")
    parser.add_argument("--panel", type=float, default=2.9, help="side of the panels, inches")
    parser.add_argument("--refine", default="gaussian")
    shared.pictures(parser, Path("overlays"))
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Restore, count and draw every image of a folder."""
    known = entries(options.models, options.modality)
    for image in recorded(options.folder):
        if options.only and not image.name.startswith(tuple(options.only)):
            continue
        print(f"{image.name}: {image.pixels.shape}, spacing about {image.spacing:.1f} px")
        outcomes = []
        for model, entry in known.items():
            if not fits(entry, image):
                print(f"  {entry.name}: trained on columns at other distances")
                continue
            made, line = outcome(image, model, entry, options.refine)
            outcomes.append(made)
            print(f"  {entry.name}: {line}", flush=True)
        if outcomes:
            name = image.name.replace(" ", "-").replace("[", "").strip("]")
            path = options.pictures / f"{name}.png"
            draw_sheet(path, image.name, image.pixels, image.part, outcomes, options.panel)
