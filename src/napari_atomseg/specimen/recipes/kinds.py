"""Every kind of specimen that a recipe may name."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from napari_atomseg.specimen.recipes.columns import ColumnsSpecimen
from napari_atomseg.specimen.recipes.crystal import CrystalSpecimen
from napari_atomseg.specimen.recipes.layers import GrapheneSpecimen, MultilayerSpecimen
from napari_atomseg.specimen.recipes.low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes.pool import PooledSpecimen
from napari_atomseg.specimen.recipes.random import RandomSpecimen

AnySpecimen = Annotated[
    ColumnsSpecimen
    | CrystalSpecimen
    | GrapheneSpecimen
    | MultilayerSpecimen
    | RandomSpecimen
    | LowResolutionSpecimen
    | PooledSpecimen,
    Field(discriminator="kind"),
]
"""A specimen of a recipe, told by its `kind`."""
