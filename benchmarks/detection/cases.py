"""Images of a folder, recorded or made: recall, precision, lattice constant and what is said.

    python -m benchmarks detection cases FOLDER
    python -m benchmarks detection cases FOLDER --only ptir bar hum --pictures PICTURES

Every image in the folder and below is read, of a stack every frame. Its true columns are in
`truth.csv` beside it, in `NAME.csv`, `NAME_points.csv` or `NAME_reference_columns.csv`, or in
`--truth`; a table without names has rows and columns of pixels. Those beneath a painted bar do
not count. Some images are known by their
names, see `KNOWN`: sampling, truth and what is aimed at.

A line is printed for each frame:

- columns found, of them false (no true column within a fifth of the distance of columns), F1,
  recall and precision, all over the whole image;
- the shorter lattice constant of the columns found, in Å where the sampling is known, else pixels;
- the verdict on the training range and the notes;
- the aim, and whether it is reached.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

import napari_atomseg as atomseg
from benchmarks import options as shared
from benchmarks import tables
from benchmarks.detection import common
from benchmarks.detection.common import Array, Found, Image, Truth, localized
from napari_atomseg.evaluation.datasets import reference_columns
from napari_atomseg.io import IMAGE_SUFFIXES, read_image

BASE = 0.96
"""F1 of a clear crystal, with its faint columns."""
SAME = 0.01
"""How much an image may differ from the one that it was made from, in F1 and lattice constant."""

PAINTED = 5
"""Side of the square about a place that is all of one value where something was painted, pixels."""


@dataclass(frozen=True)
class Known:
    """What is known of an image beyond its file, and what is aimed at.

    Attributes
    ----------
    truth : table of its columns, relative to the image's folder.
    sampling : Å a pixel.
    drift : (dy, dx) of the specimen from frame to frame, pixels.
    f1 : at least.
    lattice : constant, Å.
    empty : whether no columns are there: none are found, or the image is flagged.
    noted : whether something is to be noted.
    """

    truth: str = ""
    sampling: float | None = None
    drift: tuple[float, float] = (0.0, 0.0)
    f1: float | None = None
    lattice: float | None = None
    empty: bool = False
    noted: bool = False

    @property
    def aim(self) -> str:
        """In words."""
        words = [
            *([f"F1 ≥ {self.f1:g}"] if self.f1 is not None else []),
            *([f"{self.lattice:g} Å"] if self.lattice is not None else []),
            *(["none, or flagged"] if self.empty else []),
            *(["noted"] if self.noted else []),
        ]
        return ", ".join(words)


STRONTIUM_TITANATE = Known("../base/truth.csv", 0.1, f1=BASE, lattice=3.905)
KNOWN = {
    "ptir_particle_0.1211A": Known("ptir_particle_reference_columns.csv", 0.1211, f1=BASE),
    "base/img": STRONTIUM_TITANATE,
    "n1_x100": replace(STRONTIUM_TITANATE, noted=True),
    "bar": replace(STRONTIUM_TITANATE, noted=True),
    "three": replace(STRONTIUM_TITANATE, drift=(3.0, 0.0)),
    "hum": Known(empty=True),
    "si110_adf_512": Known(sampling=0.098),
    "dysco3_adf_1024": Known(sampling=80.0 / 1024),
}
"""By name of the file without its suffix, and of its folder where the name alone is none."""


def known_of(path: Path) -> Known:
    """What is known of a file."""
    return KNOWN.get(f"{path.parent.name}/{path.stem}", KNOWN.get(path.stem, Known()))


def paths(folder: Path, only: list[str]) -> Iterator[Path]:
    """The images of a folder and below, those whose path has one of the words."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in IMAGE_SUFFIXES or not path.is_file():
            continue
        if not only or any(word in str(path.relative_to(folder)) for word in only):
            yield path


def truth_of(path: Path, known: Known, other: Path | None) -> Array | None:
    """(N, 2) true columns of an image, or None."""
    beside = (f"{path.stem}{end}.csv" for end in ("", "_points", "_reference_columns"))
    places = [known.truth, *beside, "truth.csv"]
    found = [path.parent / name for name in places if name and (path.parent / name).is_file()]
    chosen = found[0] if found else other
    return None if chosen is None else reference_columns(chosen)[["y", "x"]].to_numpy(float)


def painted_over(plane: Image, points: Array) -> NDArray[np.bool_]:
    """(N,) places about which all pixels are the same: beneath a bar, there is nothing to find."""
    low, high = (f(plane, PAINTED) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    place = np.rint(points).astype(int)
    rows, cols = np.clip(place, 0, np.array(plane.shape) - 1).T
    return np.asarray(low[rows, cols] == high[rows, cols])


def lattice_constant(found: Found, sampling: float | None) -> float:
    """The shorter one, Å where the sampling is known, else pixels; NaN where there is no lattice.

    A centred cell is described by the distance of like columns, as find_lattice gives it.
    """
    try:
        lattice = atomseg.analyze.find_lattice(found.table, sampling)
    except ValueError:
        return float("nan")
    lengths = lattice.lengths if sampling is None else lattice.lengths_angstrom
    return float(np.min(lengths))


def rows_of(
    name: str,
    frames: Image,
    found: Found,
    known: Known,
    points: Array | None,
    pictures: Path | None,
) -> Iterator[dict[str, object]]:
    """A row each frame."""
    planes = frames.reshape(-1, *frames.shape[-2:])
    for number, (plane, each) in enumerate(zip(planes, found.frames(), strict=True)):
        title = name if len(planes) == 1 else f"{name} [{number}]"
        row: dict[str, object] = {"image": title, "columns": len(each.points)}
        truth, f1 = None, float("nan")
        if points is not None:
            seen = points + number * np.array(known.drift)
            truth = Truth.of(seen[~painted_over(plane, seen)], plane.shape, edges=True)
            counts = truth.counts(each.points)
            f1 = counts.f1
            row |= {"true": str(counts.true), "false": str(counts.false), "F1": f1}
            row |= {"recall": counts.recall, "precision": counts.precision}
        constant = lattice_constant(each, known.sampling)
        row |= {"lattice": constant, "verdict": each.verdict, "notes": "; ".join(each.notes)}
        good = reached(known, each, f1, constant)
        yield row | {"aim": known.aim, "reached": common.reached(good)}
        if pictures:
            common.draw(
                pictures / f"{title.replace('/', '-')}.png",
                plane,
                each.points,
                truth,
                f"{title}: {len(each.points)} columns, F1 {f1:.3f}\n{each.verdict}",
            )


def reached(known: Known, found: Found, f1: float, constant: float) -> bool | None:
    """Whether an image is as good as is aimed at; None without an aim."""
    if not known.aim:
        return None
    good = not known.empty or found.flagged
    good &= known.f1 is None or f1 >= known.f1
    good &= known.lattice is None or abs(constant / known.lattice - 1.0) <= SAME
    return good and (not known.noted or bool(found.notes))


def rows(options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """Of all images; one that cannot be read has a row that tells the reason."""
    chosen = {} if options.model is None else {"model": options.model}
    for path in paths(options.folder, options.only):
        name = str(path.relative_to(options.folder).with_suffix(""))
        known = known_of(path)
        try:
            image = read_image(path)
            sampling = image.sampling if known.sampling is None else known.sampling
            mean = None if sampling is None else float(np.mean(sampling))
            if max(image.data.shape[-2:]) > options.largest:
                yield {"image": name, "notes": f"not tried: larger than {options.largest} px"}
                continue
            found = localized(image.data, sampling, **chosen)
        except (OSError, ValueError, TypeError) as error:
            yield {"image": name, "notes": f"not measured: {error}"}
            continue
        points = truth_of(path, known, options.truth)
        here = replace(known, sampling=mean)
        yield from rows_of(name, image.data, found, here, points, options.pictures)


def arguments(parser: argparse.ArgumentParser) -> None:
    """The folder, which images, and their truth."""
    shared.folder(parser, "images, and tables of their columns")
    parser.add_argument("--only", nargs="*", default=[], help="images whose path has these words")
    parser.add_argument("--truth", type=Path, help="columns of images without a table of their own")
    parser.add_argument("--largest", type=int, default=1200, help="side of an image, pixels")
    common.arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Measure and print."""
    table = pd.DataFrame(list(rows(options)))
    if table.empty:
        print(f"{options.folder}: no images")
        return
    text = [name for name in ("true", "false", "verdict", "notes", "aim") if name in table]
    table[text] = table[text].fillna("")
    counted = "columns" in table
    if counted:
        table["columns"] = [("" if np.isnan(n) else f"{n:.0f}") for n in table["columns"]]
    tables.show(table.fillna({"reached": ""}), "Images and their columns")
