"""Bright and dark columns: whether they are found, or the rings of their honeycomb in their place.

    python -m benchmarks detection contrast
    python -m benchmarks detection contrast --only graphene

Simulated crystals 24 Å a side, in HRTEM with atoms that defocus makes bright or dark, and in
dark-field STEM and its negative, as bright field. The wider the focal spread of HRTEM, and the
smaller the probe's angle, the fewer reflections: with the first ones alone the rings of a honeycomb
look like columns. HRTEM has three doses and two pixels, STEM two angles and two doses. `localize`
has to tell which columns are bright.

Of the images of a kind, a line each says in how many *columns* were found (half of the true ones,
at most a fifth of those found false), or *rings* (over half of what was found lies in middles of
rings), or else *few*; how often the contrast that was taken is *wrong*, and how often that is
*silent*: no note says that it may be. *Noted* counts the images with such a note.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

import napari_atomseg as atomseg
from benchmarks.detection import common
from benchmarks.detection.common import Array, Found, Truth, localized
from benchmarks.detection.negatives import print_rows, wanted
from benchmarks.seeds import DETECTION_CONTRAST as SEED
from napari_atomseg.simulation.result import Simulation

SIDE = 24.0
"""Å."""
RECALL, PRECISION = 0.5, 0.8
"""From which on columns are found."""
NOTE = "(contrast: "
"""What a note has that says which contrast to set for the other reading."""
LENS = {"C3": 1.1e5, "defocus": 85.0}
"""Å, of a corrected lens with which atoms are dark; with both signs reversed they are bright."""
ENERGY = 80e3
SPREADS = (15, 30, 50, 70)
CAMERA = tuple(product((0.1, 0.25), (2e3, 2e4, 2e5)))
"""Å a pixel, and e⁻/Å²."""
SCANS = (("SrTiO3", "001"), ("Si", "110"), ("Au", "111"), ("Au", "110"), ("MoS2", "001"))
PROBE = tuple(product((20.0, 10.0), (2e3, 5e4)))
"""Semi-angle in mrad, and e⁻/Å²."""
PIXEL = 0.15
"""Of scans, Å."""


@dataclass(frozen=True)
class Kind:
    """Images whose atoms are all bright, or all dark."""

    crystal: str
    zone: str
    dark: bool
    spread: float | None = None

    def images(self) -> Iterator[Simulation]:
        """Each of them."""
        axis = tuple(map(int, self.zone))
        for number, (sampling, dose, optics) in enumerate(self._settings()):
            side = round(SIDE / sampling)
            yield atomseg.simulate(
                self.crystal, axis, (side, side), sampling, dose, SEED + number, **optics
            )

    def _settings(self) -> Iterator[tuple[float, float, dict[str, Any]]]:
        """Å a pixel, e⁻/Å², and the optics."""
        if self.spread is None:
            for semiangle, dose in PROBE:
                yield PIXEL, dose, {"semiangle": semiangle, "invert": self.dark}
            return
        lens = {n: value if self.dark else -value for n, value in LENS.items()}
        lens |= {"energy": ENERGY, "focal_spread": self.spread}
        for sampling, dose in CAMERA:
            yield sampling, dose, {"rotation": 7.0, "imaging": "hrtem", **lens}


def kinds() -> dict[str, Kind]:
    """All of them, by name."""
    every = {}
    for dark, spread in product((False, True), SPREADS):
        name = f"graphene, HRTEM, {'dark' if dark else 'bright'}, spread {spread} Å"
        every[name] = Kind("graphene", "001", dark, spread)
    for dark in (False, True):
        name = f"hBN, HRTEM, {'dark' if dark else 'bright'}, spread 30 Å"
        every[name] = Kind("hBN", "001", dark, 30)
    for dark, (crystal, zone) in product((False, True), (*SCANS, ("graphene", "001"))):
        name = f"{crystal} [{zone}], {'negative of ' if dark else ''}ADF"
        every[name] = Kind(crystal, zone, dark)
    return every


def rings(points: Array) -> Array:
    """(M, 2) middles of the rings of a honeycomb: opposite to each neighbour of a column with
    three; none of other lattices.
    """
    if len(points) < 5:
        return np.zeros((0, 2))
    distance, near = cKDTree(points).query(points, k=5)
    three = (distance[:, 3] < 1.25 * distance[:, 1]) & (distance[:, 4] > 1.4 * distance[:, 1])
    return np.asarray((2.0 * points[three, None] - points[near[three, 1:4]]).reshape(-1, 2))


def outcome(found: Found, truth: Truth) -> str:
    """What was found: "columns", "rings", or "few"."""
    counts = truth.counts(found.points)
    if counts.recall >= RECALL and counts.precision >= PRECISION:
        return "columns"
    middles, inner = rings(truth.points), found.points[truth.inner(found.points)]
    if len(middles) and len(inner):
        away = cKDTree(middles).query(inner)[0]
        if (away <= truth.radius).mean() > 0.5:
            return "rings"
    return "few"


def row(name: str, kind: Kind, model: dict[str, str]) -> dict[str, object]:
    """What was found in the images of a kind."""
    outcomes, wrong, noted = [], [], []
    for sim in kind.images():
        found = localized(sim.image, sim.sampling, **model)
        truth = Truth.of(sim.columns[["y", "x"]].to_numpy(float), sim.image.shape)
        outcomes.append(outcome(found, truth))
        wrong.append(found.table.attrs["contrast"] != ("dark" if kind.dark else "bright"))
        noted.append(any(NOTE in note for note in found.notes))
    silent = np.array(wrong) & ~np.array(noted)
    return {
        "image": name,
        "images": len(outcomes),
        **{each: outcomes.count(each) for each in ("columns", "rings", "few")},
        "wrong": sum(wrong),
        "silent": int(silent.sum()),
        "noted": sum(noted),
    }


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which kinds."""
    parser.add_argument("--only", nargs="*", default=[], help="kinds that have these words")
    common.arguments(parser)


def run(options: argparse.Namespace) -> None:
    """Find and print, a line a kind."""
    every = kinds()
    model = {} if options.model is None else {"model": options.model}
    print_rows(row(name, every[name], model) for name in wanted(iter(every), options.only))
