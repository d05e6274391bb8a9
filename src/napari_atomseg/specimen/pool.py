"""Recipe of specimens from a pool, which are drawn once and renewed endlessly."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Choice
from pydantic import PositiveInt

from napari_atomseg.ranges import Part, PositiveRange
from napari_atomseg.specimen.recipes_low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes_random import RandomSpecimen
from napari_atomseg.specimen.renew import renew, source_field
from napari_atomseg.specimen.specimen import Field, Specimen

Slow = Annotated[RandomSpecimen | LowResolutionSpecimen, Choice(discriminator="kind")]
"""Recipes that are worth a pool."""
KEPT = 256
"""Specimens that a process remembers, over all pools and sizes of fields."""


class PooledSpecimen(Part):
    """Specimens of another recipe, each drawn once and then turned, mirrored, scaled and cropped.

    Random specimens take longer to draw than an image to form; a pool of them keeps training fed.
    What is drawn depends on the random numbers alone, never on what the process drew before.

    Attributes
    ----------
    specimen : the recipe that fills the pool.
    count : specimens of the pool, for each sampling of the field (in steps of 25 %).
    seed : of the pool.
    scale : range of the factor by which lengths grow.
    """

    kind: Literal["pooled"] = "pooled"
    specimen: Slow
    count: PositiveInt = 16
    seed: int = 0
    scale: PositiveRange = (0.9, 1.1)

    def draw(self, rng: np.random.Generator, field: Field) -> Specimen:
        """One of the pool, renewed for the field."""
        source = source_field(field, self.scale)
        index = int(rng.integers(self.count))
        growth = float(np.prod(source.size) / np.prod(field.upper - field.lower))
        # Fields that share a source share its specimens too.
        recipe = self.specimen.enlarged(float(np.rint(growth)))
        specimen = _drawn(recipe, source, self.seed, index)
        return renew(specimen, source, rng, field, self.scale)


@lru_cache(maxsize=KEPT)
def _drawn(
    recipe: RandomSpecimen | LowResolutionSpecimen, source: Field, seed: int, index: int
) -> Specimen:
    return recipe.draw(np.random.default_rng((seed, index)), source)
