"""Restoration scored against the truth: our models beside those of peers, on the same images.

    python -m benchmarks restoration images FOLDER
    python -m benchmarks restoration scores FOLDER --models restore-hr-stem r-em-hr-stem --best

`FOLDER/input/NAME@GROUP.npy` (or `NAME.npy`: one group) are the images, `FOLDER/truth/NAME.npy`
what they should be. Every other folder there but `slow` and `made` holds what a peer made of the
inputs, under their names, and CPU seconds in `seconds.csv` (`restoration peer` writes both). What
models make of them is kept in `made`, by the SHA-256 of their weights, so that a run which was
stopped goes on. `--best` adds the mean over mirror images, `--baselines bm3d` a filter, `--every 2`
leaves out every other specimen, for a trial. `--lines` adds what models make of images whose scan
lines were put back (`scan="auto"`).

The score is the PSNR in dB, 20 log10 of the truth's range over the rms error after the best affine
fit of intensities, mean over a group's images. Rows of models marked `1:1` are of the network at
the pixels as they are, without the search for its scale (`--native`).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.restoration.pictures import Row, draw, sheet
from napari_atomseg import weights
from napari_atomseg.evaluation.baselines import FILTERS
from napari_atomseg.inference import Predictor, estimate_spacing
from napari_atomseg.inference.magnification import Magnifications
from napari_atomseg.inference.scale import guess_contrast

Image = NDArray[np.float32]


@dataclass(frozen=True)
class Case:
    """An image to restore, and what it should be."""

    name: str
    group: str
    image: Image
    truth: Image

    @property
    def stem(self) -> str:
        """Name of its files."""
        return f"{self.name}@{self.group}" if self.group else self.name


def cases(folder: Path, every: int = 1) -> Iterator[Case]:
    """The images of a folder; of its specimens, in the order of their names, one in `every`."""
    paths = sorted((folder / "input").glob("*.npy"))
    names = sorted({path.stem.partition("@")[0] for path in paths})[::every]
    for path in paths:
        name, _, group = path.stem.partition("@")
        if name not in names:
            continue
        yield Case(name, group, np.load(path), np.load(folder / "truth" / f"{name}.npy"))


def native(path: Path, image: Image) -> Image:
    """Restored by the network at the pixels as they are."""
    predictor = Predictor(path)
    spacing = estimate_spacing(image)
    sign = np.float32(-1.0 if guess_contrast(image, spacing) == "dark" else 1.0)
    scales = Magnifications(1.0, (1.0,), spacing)
    return sign * predictor.maps(sign * image, ("denoise",), scales).whole["denoise"]


@dataclass(frozen=True)
class Choice:
    """What is run.

    Attributes
    ----------
    models : names or weights files.
    baselines : names of filters.
    best : the mean over mirror images, too.
    lines : the same with scan lines put back before, too.
    native : the networks at the pixels as they are, too.
    every : of how many specimens one is taken.
    once : models that are not run at their best.
    """

    models: tuple[str, ...]
    baselines: tuple[str, ...] = ()
    best: bool = False
    lines: bool = False
    native: bool = False
    every: int = 1
    once: tuple[str, ...] = ()


def methods(chosen: Choice) -> dict[str, Callable[[Image], Image]]:
    """What is run here, by the name of its row."""
    run: dict[str, Callable[[Image], Image]] = {"raw": lambda image: image}
    run |= {name: FILTERS[name] for name in chosen.baselines}
    for model in chosen.models:
        name = Path(model).stem
        run[name] = partial(atomseg.restore, model=model)
        if chosen.best and model not in chosen.once:
            run[f"{name}, best"] = partial(atomseg.restore, model=model, quality="best")
        if chosen.lines:
            still = partial(atomseg.restore, model=model, scan="auto")
            run[f"{name}, lines put back"] = still
            if chosen.best and model not in chosen.once:
                run[f"{name}, lines put back, best"] = partial(still, quality="best")
        if chosen.native:
            run[f"{name}, 1:1"] = partial(native, weights.resolve(model))
    return run


def identity(name: str, chosen: Choice) -> str:
    """Name of the folder that keeps what a method makes: the weights' hash is part of it."""
    model = next((m for m in chosen.models if Path(m).stem == name.partition(",")[0]), None)
    digest = "" if model is None else f" {weights.sha256(weights.resolve(model))[:12]}"
    return f"{name}{digest}"


def kept(folder: Path, stem: str, make: Callable[[], Image]) -> tuple[Image, float]:
    """A restored image and its CPU seconds, made if it is not in the folder yet."""
    path, times = folder / f"{stem}.npy", folder / f"{stem}.txt"
    if path.exists() and times.exists():
        return np.load(path), float(times.read_text())
    start = time.process_time()
    restored = make()
    seconds = time.process_time() - start
    folder.mkdir(parents=True, exist_ok=True)
    np.save(path, restored)
    times.write_text(f"{seconds:.3f}")
    return restored, seconds


def peers(folder: Path) -> dict[str, dict[str, float]]:
    """CPU seconds of each restored image of the peers, by name and file."""
    found = {}
    for path in sorted(folder.glob("*/seconds.csv")):
        times = pd.read_csv(path, header=None, index_col=0, dtype={0: str})
        found[path.parent.name] = {str(stem): float(value) for stem, value in times[3].items()}
    return found


def results(folder: Path, chosen: Choice, pictures: Path | None = None) -> pd.DataFrame:
    """One row an image and method: name, group, method, dB, seconds.

    Where `pictures` are wanted, that folder gets one of each image, and `sheet.png` of them all.
    """
    run, known = methods(chosen), peers(folder)
    places = {name: folder / "made" / identity(name, chosen) for name in run}
    rows, drawn = [], []
    for case in cases(folder, chosen.every):
        made: dict[str, tuple[Image, float]] = {}
        for name, method in run.items():
            made[name] = kept(places[name], case.stem, partial(method, case.image))
        for peer, seconds in known.items():
            if case.stem in seconds:
                made[peer] = np.load(folder / peer / f"{case.stem}.npy"), seconds[case.stem]
        for name, (restored, seconds_of_it) in made.items():
            score = atomseg.analyze.psnr(restored, case.truth, affine=True)
            rows.append((case.name, case.group, name, score, seconds_of_it))
        if pictures:
            images = {n: image for n, (image, _) in made.items()}
            draw(pictures / f"{case.stem}.png", case.truth, images)
            drawn.append(Row(case.stem, images, case.truth))
    if pictures and drawn:
        sheet(pictures / "sheet.png", drawn)
    return pd.DataFrame(rows, columns=["name", "group", "method", "dB", "seconds"])


def summary(table: pd.DataFrame) -> pd.DataFrame:
    """Methods down, groups across (those of the most electrons first), and seconds an image."""
    scores = table.pivot_table(index="method", columns="group", values="dB", sort=False)
    order = sorted(scores.columns, key=lambda g: -float(g) if g else 0.0)
    return scores[order].assign(seconds=table.groupby("method")["seconds"].median())


def choices(parser: argparse.ArgumentParser, images: str) -> None:
    """What is compared on images, and what is printed and drawn of it."""
    parser.add_argument("--best", action="store_true", help="the mean over mirror images, too")
    parser.add_argument("--baselines", nargs="*", default=[], choices=list(FILTERS))
    parser.add_argument("--every", type=int, default=1, help=f"take one in so many {images}")
    parser.add_argument("--each", action="store_true", help="print every image's score, too")
    shared.pictures(parser)
    shared.threads(parser)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The images, the models and what is printed."""
    shared.folder(parser, "images, truth and what peers made of them")
    shared.models(parser, ["stem-hr"])
    parser.add_argument("--lines", action="store_true", help="with scan lines put back, too")
    parser.add_argument("--native", action="store_true", help="the networks at 1:1, too")
    choices(parser, "specimens")


def run(options: argparse.Namespace) -> None:
    """Score a folder."""
    chosen = Choice(
        tuple(options.models),
        tuple(options.baselines),
        options.best,
        options.lines,
        options.native,
        options.every,
    )
    table = results(options.folder, chosen, options.pictures)
    if options.each:
        each = table.pivot_table(index=["name", "group"], columns="method", values="dB", sort=False)
        tables.show(each.reset_index(), digits=1)
    title = f"{table['name'].nunique()} specimens: PSNR (dB) after the best affine fit, CPU seconds"
    tables.show(summary(table).reset_index(), title, 2)
