"""Images with few electrons a pixel: whether it pays to bin them before they are restored.

    python -m benchmarks restoration sparse FOLDER [--enlarge 1 3] [--doses 3 1 0.3 0.1 0.03]

FOLDER is that of `restoration images`: its truths, without jitter, some of them enlarged, with
Poisson counts at each dose, which is the mean number of electrons in the brightest pixel. The
network sees them as they are and binned by 2 and by 4, its result brought back to their pixels; the
last columns are what `restore` chooses, and how often the spacing of the columns that it estimates
is right within a half. Scores are the PSNR in dB after the best affine fit, mean over the images.
"""

from __future__ import annotations

import argparse

import numpy as np
import pandas as pd
from scipy import ndimage

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration.scores import Image
from benchmarks.seeds import RESTORATION as SEED
from benchmarks.seeds import generator
from napari_atomseg import weights
from napari_atomseg.inference import Predictor, estimate_spacing
from napari_atomseg.inference.magnification import Magnifications

BINS = (1, 2, 4)
PART = 120
"""Side of the part of a truth that is enlarged, pixels."""
RIGHT = 1.5
"""Factor within which an estimated spacing is right."""


def enlarged(truth: Image, factor: int) -> Image:
    """A truth with so many pixels in the place of one, its brightest pixel 1."""
    seen = truth if factor == 1 else ndimage.zoom(truth[:PART, :PART], factor, order=3)
    return np.asarray(np.maximum(seen / seen.max(), 0.0), dtype=np.float32)


def figures(predictor: Predictor, truth: Image, dose: float, number: int) -> dict[str, float]:
    """The scores of one image."""
    image = generator(SEED, number, 2).poisson(dose * truth).astype(np.float32)
    spacing = estimate_spacing(truth)
    chosen = predictor.magnifications(image, ("denoise",))
    ratio = chosen.spacing / spacing
    views = {f"binned by {n}, dB": Magnifications(1 / n, (1 / n,), spacing) for n in BINS}
    views["restore, dB"] = chosen
    scores = {"electrons a pixel": float(image.mean())}
    for name, view in views.items():
        made = predictor.maps(image, ("denoise",), view).whole["denoise"]
        scores[name] = atomseg.analyze.psnr(made, truth, affine=True)
    return scores | {"spacing right, %": 100.0 * (1 / RIGHT < ratio < RIGHT)}


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, the model, doses and enlargements."""
    shared.folder(parser, "of `restoration images`")
    parser.add_argument("--model", default="restore-hr-stem")
    parser.add_argument("--doses", type=float, nargs="+", default=[3.0, 1.0, 0.3, 0.1, 0.03])
    parser.add_argument("--enlarge", type=int, nargs="+", default=[1, 3])
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Restore them and print the table."""
    predictor = Predictor(weights.resolve(options.model))
    rows = []
    for factor in options.enlarge:
        for number, path in enumerate(sorted((options.folder / "truth").glob("*.npy"))):
            truth = enlarged(np.load(path), factor)
            for dose in options.doses:
                made = figures(predictor, truth, dose, number)
                rows.append({"enlarged": factor, "dose": dose, **made})
    table = pd.DataFrame(rows).groupby(["enlarged", "dose"], sort=False).mean().reset_index()
    tables.show(table, "", 2)
