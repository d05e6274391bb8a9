"""False columns an image where none are, or too many: noise, films, fringes, photographs, bars.

    python -m benchmarks detection negatives --images 100
    python -m benchmarks detection negatives --images 4 --only carbon bar --pictures PICTURES

Images of 256² px of many kinds, each from a seed of its own (`empty.py`, `disturbed.py`). Without
columns: all that `localize` finds is false. It is *flagged* where it says that the image is outside
the training range, or finds nothing; *silent* columns are those of images that are not flagged.
With columns: crystals beside the same crystals disturbed. Columns found where none is are false,
unless a column too faint to count or a hidden one is there; nothing is counted within half a
spacing of the border.

Printed are the mean false columns an image, the most of one image, how many are silent, their mean
score, the share of images that are flagged or whose notes name something odd, and the aim. With
--pictures the worst image of each kind is drawn.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import tables
from benchmarks.detection import common
from benchmarks.detection.common import NOTHING, Counts, Found, Image, Truth, localized
from benchmarks.detection.disturbed import DISTURBANCES, Disturbed, disturbed
from benchmarks.detection.empty import KINDS
from benchmarks.seeds import DETECTION_NEGATIVES as SEED
from benchmarks.seeds import generator
from napari_atomseg.evaluation.simulated import SAMPLING

MOST = 1.0
"""Silent false columns an image that are aimed at."""
CARBON = "carbon"
LOST = 0.01
"""Recall that a disturbance may cost."""


@dataclass(frozen=True)
class Worst:
    """The image of a kind with the most false columns."""

    false: float = -1.0
    image: Image | None = None
    found: Found | None = None
    truth: Truth | None = None

    def or_worse(self, false: float, image: Image, found: Found, truth: Truth | None) -> Worst:
        """That one, where it has more."""
        return self if false <= self.false else Worst(false, image, found, truth)

    def draw(self, pictures: Path | None, kind: str) -> None:
        """As a picture, where some are wanted."""
        if pictures is None or self.image is None or self.found is None:
            return
        name = "".join(c if c.isalnum() and c.isascii() else "-" for c in kind)
        title = "\n".join(
            [f"{kind}: {self.false:.0f} false", self.found.verdict, *self.found.notes]
        )
        common.draw(pictures / f"{name}.png", self.image, self.found.points, self.truth, title)


def mean_score(found: list[Found]) -> float:
    """Of all columns found; NaN without any."""
    scores = np.concatenate([np.zeros(0), *(each.table["score"].to_numpy() for each in found)])
    return float(scores.mean()) if len(scores) else float("nan")


def empty_row(kind: str, images: int, find: Any, pictures: Path | None) -> dict[str, object]:
    """A kind of images without columns."""
    number, worst, every = list(KINDS).index(kind), Worst(), []
    for index in range(images):
        image = KINDS[kind](generator(SEED, number, index), index)
        sampling = SAMPLING if kind.startswith(("vacuum", CARBON)) else None
        every.append(find(image, sampling))
        worst = worst.or_worse(len(every[-1].table), image, every[-1], Truth(NOTHING, image.shape))
    worst.draw(pictures, kind)
    counts = np.array([len(found.table) for found in every], dtype=float)
    flagged = np.array([found.flagged for found in every])
    silent = float(np.mean(counts * ~flagged))
    whole = float(counts.mean())
    carbon = kind.startswith(CARBON)
    return {
        "image": kind,
        "images": images,
        "false an image": f"{whole:.2f}",
        "most": f"{counts.max():.0f}",
        "silent": f"{silent:.2f}",
        "mean score": mean_score(every),
        "flagged, %": common.percent(float(flagged.mean())),
        "noted, %": common.percent(float(np.mean([bool(found.notes) for found in every]))),
        "aim": f"{'false' if carbon else 'silent'} ≤ {MOST:g}",
        "reached": common.reached((whole if carbon else silent) <= MOST),
    }


def false_beside(case: Disturbed, found: Found) -> int:
    """Columns where none is, not even a faint or a hidden one."""
    right, _ = case.truth.matched(found.points)
    rest = found.points[~right]
    faint = Truth(case.faint, case.truth.shape, radius=case.truth.radius).matched(rest)[0]
    return int((~faint & case.truth.inner(rest)).sum())


def disturbed_row(kind: str, images: int, find: Any, pictures: Path | None) -> dict[str, object]:
    """A kind of disturbed crystals."""
    worst, every, false = Worst(), [], []
    before = after = Counts()
    for index in range(images):
        clean, spoiled = disturbed(kind, index)
        before += clean.truth.counts(find(clean.image, clean.sampling).points)
        every.append(find(spoiled.image, spoiled.sampling))
        after += spoiled.truth.counts(every[-1].points)
        false.append(false_beside(spoiled, every[-1]))
        worst = worst.or_worse(false[-1], spoiled.image, every[-1], spoiled.truth)
    worst.draw(pictures, f"{kind} on crystals")
    cost, mean = before.recall - after.recall, float(np.mean(false))
    return {
        "crystals with": kind,
        "images": images,
        "recall, %": common.percent(after.recall),
        "without, %": common.percent(before.recall),
        "false an image": f"{mean:.2f}",
        "most": str(max(false)),
        "flagged, %": common.percent(float(np.mean([found.flagged for found in every]))),
        "noted, %": common.percent(float(np.mean([bool(found.notes) for found in every]))),
        "aim": f"false ≤ {MOST:g}, recall ≥ without − {100 * LOST:g}",
        "reached": common.reached(mean <= MOST and cost <= LOST),
    }


def wanted(kinds: Iterator[str], only: list[str]) -> list[str]:
    """Those kinds that have one of the words."""
    return [kind for kind in kinds if not only or any(word in kind for word in only)]


def print_rows(rows: Iterator[dict[str, object]]) -> None:
    """A table that grows line by line."""
    begun = False
    for row in rows:
        if not begun:
            tables.begin(row)
            begun = True
        tables.line(tables.cell(name, value, 2) for name, value in row.items())
    if begun:
        print(flush=True)


def arguments(parser: argparse.ArgumentParser) -> None:
    """How many images, and which."""
    parser.add_argument("--images", type=int, default=100, help="of each kind [%(default)s]")
    parser.add_argument("--only", nargs="*", default=[], help="kinds that have these words")
    common.arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Find and print, a line a kind."""
    chosen = {} if options.model is None else {"model": options.model}

    def find(image: Image, sampling: float | None) -> Found:
        return localized(image.astype(np.float32), sampling, **chosen)

    pictures = options.pictures
    print_rows(
        empty_row(kind, options.images, find, pictures)
        for kind in wanted(iter(KINDS), options.only)
    )
    print_rows(
        disturbed_row(kind, options.images, find, pictures)
        for kind in wanted(iter(DISTURBANCES), options.only)
    )
