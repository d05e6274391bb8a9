"""Scores of the restoration models for their cards, beside the raw image, BM3D and r_em.

    python -m benchmarks restoration cards FOLDER --images 8 --write

Images are those of `napari-atomseg evaluate --data hr-stem` and so on: r_em's random specimens with
all distortions of the modality, of a seed that no training uses. The score is the PSNR in dB after
the best affine fit of intensities, mean over the images. BM3D needs `napari-atomseg[bm3d]`, and
r_em's networks must be imported; what is not there has no score. What was made is kept in the
folder, as by `restoration scores`. With `--write` the scores go into the cards of `models/`, and
the registry is rebuilt. `--pictures` draws every image, and a sheet a modality.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration.pairs import KINDS, usable
from benchmarks.restoration.scores import Choice, results
from benchmarks.seeds import CARDS as SEED
from napari_atomseg.evaluation.simulated import SimulatedDataset
from napari_atomseg.weights.__main__ import main as rebuild
from napari_atomseg.weights.description import BENCHMARK
from napari_atomseg.weights.store import clone_folder, set_scores


def make_images(folder: Path, kind: str, count: int, side: int) -> None:
    """Simulate the images of a modality that the folder lacks."""
    data = SimulatedDataset(kind, None, count, SEED, (side, side))
    for part in ("input", "truth"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number in range(count):
        place = folder / "truth" / f"{number}.npy"
        if place.exists():
            continue
        case = data.case(number)
        if case.truth is None:
            raise ValueError(f"images of {kind} have no truth")
        np.save(folder / "input" / f"{number}.npy", case.image)
        np.save(place, case.truth)


def endings(kind: str) -> dict[str, str]:
    """Endings of the scores on a card, by method."""
    ours, theirs = f"restore-{kind}", f"r-em-{kind}"
    return {
        "raw": "_raw",
        "bm3d": "_bm3d",
        ours: "",
        f"{ours}, best": "_best",
        theirs: "_r_em",
    }


def filters() -> tuple[str, ...]:
    """BM3D, if it is installed."""
    try:
        import bm3d  # noqa: F401
    except ImportError:
        return ()
    return ("bm3d",)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, the images and whether the cards are written."""
    shared.folder(parser, "keeps the images, and what was made of them")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--images", type=int, default=24, help="of each modality")
    parser.add_argument("--side", type=int, default=128, help="of an image, pixels")
    parser.add_argument("--write", action="store_true", help="write the scores into the cards")
    shared.pictures(parser)
    shared.threads(parser)


def run(options: argparse.Namespace) -> None:
    """Simulate, restore, score, and write."""
    rows = []
    models = clone_folder()
    for kind in options.kinds:
        folder = options.folder / kind
        make_images(folder, kind, options.images, options.side)
        pictures = options.pictures and options.pictures / kind
        if pictures:
            pictures.mkdir(parents=True, exist_ok=True)
        theirs = usable((f"r-em-{kind}",))
        chosen = Choice((f"restore-{kind}", *theirs), filters(), best=True, once=theirs)
        mean = results(folder, chosen, pictures).groupby("method")["dB"].mean()
        scores = {
            f"{BENCHMARK}{ending}": float(mean[method])
            for method, ending in endings(kind).items()
            if method in mean
        }
        rows.append({"images": kind, **{k.removeprefix(BENCHMARK): v for k, v in scores.items()}})
        if options.write and models is not None:
            set_scores(models / f"restore-{kind}.safetensors", scores)
    tables.show(pd.DataFrame(rows), "PSNR (dB) after the best affine fit, mean", 2)
    if options.write:
        rebuild([])
