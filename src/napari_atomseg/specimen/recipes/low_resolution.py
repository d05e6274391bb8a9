"""Recipe of scenes without atoms, seen at low resolution."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import AfterValidator
from pydantic import Field as Option

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import PositiveRange, Probability
from napari_atomseg.specimen.columns import Columns
from napari_atomseg.specimen.matter.low_resolution import (
    bands,
    boxes,
    cracks,
    grains,
    sharp_particles,
    soft_particles,
)
from napari_atomseg.specimen.specimen import Field, Specimen, SpecimenRecipe


def _counts(value: tuple[int, int]) -> tuple[int, int]:
    if not 0 < value[0] <= value[1]:
        raise ValueError(f"counts {value} must be at least 1 and run from low to high")
    return value


Counts = Annotated[tuple[int, int], AfterValidator(_counts)]
"""Fewest and most of something."""
SPACING = 8.0
"""Pixels taken as the natural length of scenes that have no lattice."""
SceneKind = Literal["soft-particles", "sharp-particles", "grains", "bands", "boxes", "cracks"]


class LowResolutionSpecimen(SpecimenRecipe):
    """Particles, grains, bands, boxes and cracks, added up (r_em, Undistorted data generation).

    Numbers of particles and grains and the chance of border lines are the paper's; it gives
    neither sizes nor the numbers of bands, boxes and cracks.

    Attributes
    ----------
    kinds : what may be in a scene; each with the chance `share`, at least one.
    soft, sharp, grains, bands, boxes, cracks : how many of each.
    radius : radius of particles and boxes, as a share of the canvas's shorter side.
    borders : chance of lines between grains.
    """

    kind: Literal["low-resolution"] = "low-resolution"
    kinds: Annotated[tuple[SceneKind, ...], Option(min_length=1)] = (
        "soft-particles",
        "sharp-particles",
        "grains",
        "bands",
        "boxes",
        "cracks",
    )
    share: Probability = 0.35
    soft: Counts = (15, 85)
    sharp: Counts = (15, 40)
    grains: Counts = (15, 175)
    bands: Counts = (2, 12)
    boxes: Counts = (3, 20)
    cracks: Counts = (1, 5)
    radius: PositiveRange = (0.02, 0.12)
    borders: Probability = 0.5

    def draw(self, rng: np.random.Generator, field: Field) -> Specimen:
        """Paint a scene over the canvas: a picture of positive values up to 1, and no columns."""
        chosen = [kind for kind in self.kinds if rng.random() < self.share]
        chosen = chosen or [self.kinds[rng.integers(len(self.kinds))]]
        picture = np.zeros(field.canvas)
        for kind in chosen:
            if kind != "cracks":
                picture += rng.uniform(0.3, 1.0) * self._paint(kind, rng, field.canvas)
        if "cracks" in chosen:
            # Cracks need matter to run through.
            matter = picture if picture.any() else np.ones(field.canvas)
            picture = matter * cracks(rng, field.canvas, _number(rng, self.cracks))
        columns = Columns.empty()
        return Specimen(
            scatterers=columns.scatterers(),
            columns=columns,
            picture=picture / max(float(picture.max()), 1e-12),
            spacing=SPACING * field.sampling,
        )

    def enlarged(self, growth: float) -> LowResolutionSpecimen:
        """The recipe for fields of `growth` times the area, as dense in objects of one size."""
        counts = ("soft", "sharp", "grains", "boxes", "cracks")
        changes: dict[str, object] = {
            name: tuple(round(n * growth) for n in getattr(self, name)) for name in counts
        }
        changes["bands"] = tuple(round(n * growth**0.5) for n in self.bands)
        changes["radius"] = (self.radius[0] / growth**0.5, self.radius[1] / growth**0.5)
        return self.model_copy(update=changes)

    def _paint(self, kind: SceneKind, rng: np.random.Generator, canvas: tuple[int, int]) -> Array:
        if kind == "soft-particles":
            return soft_particles(rng, canvas, _number(rng, self.soft), self.radius)
        if kind == "sharp-particles":
            return sharp_particles(rng, canvas, _number(rng, self.sharp), self.radius)
        if kind == "grains":
            borders = bool(rng.random() < self.borders)
            return grains(rng, canvas, _number(rng, self.grains), borders)
        if kind == "bands":
            return bands(rng, canvas, _number(rng, self.bands))
        return boxes(rng, canvas, _number(rng, self.boxes), self.radius)


def _number(rng: np.random.Generator, bounds: Counts) -> int:
    return int(rng.integers(bounds[0], bounds[1] + 1))
