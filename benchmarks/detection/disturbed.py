"""Images of `negatives` with columns and something else: what is found beside them is false."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.detection.common import Array, Truth
from benchmarks.detection.empty import (
    SHAPE,
    Rng,
    as_jpeg,
    log_uniform,
    painting,
    with_hot_pixels,
)
from benchmarks.seeds import DETECTION_NEGATIVES as SEED
from benchmarks.seeds import generator
from napari_atomseg.evaluation.case import known_columns
from napari_atomseg.evaluation.tasks import VISIBLE
from napari_atomseg.simulation import simulate

CRYSTALS = (
    ("SrTiO3", (0, 0, 1)),
    ("Si", (0, 1, 1)),
    ("Pt", (0, 0, 1)),
    ("GaAs", (0, 1, 1)),
    ("MoS2", (0, 0, 1)),
)
SAMPLING = (0.08, 0.16)
"""Å a pixel."""
DOSES = (1e4, 1e5)
"""e⁻/Å²."""
DEAD = 12
"""Lines at most that a detector loses."""


@dataclass(frozen=True)
class Disturbed:
    """An image, its sampling, the columns that can be seen, and those too faint to count."""

    image: Array
    sampling: float
    truth: Truth
    faint: Array


def crystal(rng: Rng, index: int) -> Disturbed:
    """A crystal that fills the image, with shot noise and a little jitter."""
    name, zone_axis = CRYSTALS[index % len(CRYSTALS)]
    made = simulate(
        name,
        zone_axis,
        SHAPE,
        log_uniform(rng, *SAMPLING),
        log_uniform(rng, *DOSES),
        int(rng.integers(2**31)),
        rotation=float(rng.uniform(0.0, 360.0)),
        offset=tuple(rng.uniform(-2.0, 2.0, 2)),
        background=float(rng.uniform(0.0, 0.3)),
        jitter=0.05,
    )
    known = known_columns(made.columns, made.ideal, made.sampling, made.facts["counts"])
    points = known[["y", "x"]].to_numpy(float)
    seen = (known["snr"] >= VISIBLE).to_numpy()
    truth = Truth.of(points, SHAPE)
    truth = Truth(points[seen], SHAPE, np.zeros(seen.sum(), np.int64), truth.radius, truth.border)
    return Disturbed(made.image.astype(float), made.sampling, truth, points[~seen])


def hot_pixels(image: Array, rng: Rng) -> tuple[Array, NDArray[np.bool_]]:
    """Hot pixels."""
    return with_hot_pixels(image, rng), np.zeros(image.shape, bool)


def dead_pixels(image: Array, rng: Rng) -> tuple[Array, NDArray[np.bool_]]:
    """One to three pixels far below zero."""
    dead = image.copy()
    count = int(rng.integers(1, 4))
    rows, cols = (rng.integers(0, n, count) for n in image.shape)
    dead[rows, cols] = -log_uniform(rng, 1e2, 1e6)
    return dead, np.zeros(image.shape, bool)


def bars(image: Array, rng: Rng) -> tuple[Array, NDArray[np.bool_]]:
    """A bar and text, and which pixels they hide."""
    ink, _ = painting(rng, SHAPE)
    low, high = float(image.min()), float(image.max())
    hidden = ~np.isnan(ink)
    return np.where(hidden, low + np.nan_to_num(ink) * (high - low), image), hidden


def dead_lines(image: Array, rng: Rng) -> tuple[Array, NDArray[np.bool_]]:
    """Lines of the scan that are lost, one by one or some together, and hide what is there."""
    lost = np.zeros(SHAPE[0], bool)
    lost[rng.integers(0, SHAPE[0], int(rng.integers(1, DEAD)))] = True
    if rng.random() < 0.5:
        first = int(rng.integers(0, SHAPE[0] - DEAD))
        lost[first : first + int(rng.integers(2, DEAD))] = True
    hidden = np.broadcast_to(lost[:, None], SHAPE)
    return np.where(hidden, image.min(), image), np.asarray(hidden)


def jpeg(image: Array, rng: Rng) -> tuple[Array, NDArray[np.bool_]]:
    """A JPEG file of low quality."""
    return as_jpeg(image, rng), np.zeros(image.shape, bool)


Disturb = Callable[[Array, Rng], tuple[Array, NDArray[np.bool_]]]

DISTURBANCES: dict[str, Disturb] = {
    "hot pixels": hot_pixels,
    "dead pixels": dead_pixels,
    "bar and text": bars,
    "lost lines": dead_lines,
    "JPEG": jpeg,
}
"""Whatever is done to a crystal, by name."""


def disturbed(name: str, index: int) -> tuple[Disturbed, Disturbed]:
    """A crystal, and the same one disturbed; columns that are hidden then do not count in both."""
    number = list(DISTURBANCES).index(name)
    whole = crystal(generator(SEED, 100, index), index)
    image, hidden = DISTURBANCES[name](whole.image, generator(SEED, 101 + number, index))
    place = np.rint(whole.truth.points).astype(int)
    rows, cols = np.clip(place, 0, np.array(SHAPE) - 1).T
    covered = hidden[rows, cols]
    truth = whole.truth
    seen = Truth(truth.points[~covered], SHAPE, truth.kind[~covered], truth.radius, truth.border)
    faint = np.concatenate([whole.faint, truth.points[covered]])
    return (
        Disturbed(whole.image, whole.sampling, seen, faint),
        Disturbed(image, whole.sampling, seen, faint),
    )
