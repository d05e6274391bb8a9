"""The specimen of one image, its field of view, and the base of its recipes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import Part
from napari_atomseg.specimen.columns import Columns, Scatterers
from napari_atomseg.specimen.outline import Thickness
from napari_atomseg.specimen.structure import Structure


@dataclass(frozen=True)
class Field:
    """The field of view, with a margin that is simulated beyond each border and cut off.

    Attributes
    ----------
    shape : (H, W) of the image in pixels.
    sampling : Å a pixel.
    margin : pixels beyond each border.
    """

    shape: tuple[int, int]
    sampling: float
    margin: int = 24

    @property
    def canvas(self) -> tuple[int, int]:
        """(H, W) with the margins."""
        return (self.shape[0] + 2 * self.margin, self.shape[1] + 2 * self.margin)

    @property
    def size(self) -> Array:
        """Height and width of the image in Å."""
        return np.array(self.shape) * self.sampling

    @property
    def lower(self) -> Array:
        """First corner (y, x) of the canvas in Å; the image's first pixel lies at 0."""
        return np.full(2, -self.margin * self.sampling)

    @property
    def upper(self) -> Array:
        """Last corner (y, x) of the canvas in Å."""
        return self.size + self.margin * self.sampling


@dataclass(frozen=True)
class Specimen:
    """A specimen drawn for one image.

    Attributes
    ----------
    scatterers : every point that scatters.
    columns : the true columns among them, resolved or not.
    species : names of the columns' species, as "SrO".
    thickness : relative thickness across the field.
    picture : (H, W) of the canvas, what a low-resolution scene adds to the scattering, or None.
    spacing : distance of closest columns, Å.
    material, zone_axis : for tables; empty where there is none.
    structure : the single atoms, or None where only columns are given.
    atoms : makes the single atoms of the columns where they are asked for, or None.
    notes : what should be known of it, a sentence each.
    """

    scatterers: Scatterers
    columns: Columns
    species: tuple[str, ...] = ()
    thickness: Thickness = field(default_factory=Thickness)
    picture: Array | None = None
    spacing: float = 2.0
    material: str = ""
    zone_axis: tuple[int, ...] = ()
    structure: Structure | None = None
    notes: tuple[str, ...] = ()
    atoms: Callable[[], Structure] | None = None


class SpecimenRecipe(Part, ABC):
    """A recipe of specimens.

    Attributes
    ----------
    kind : its name in a recipe.
    """

    kind: str

    @abstractmethod
    def draw(self, rng: np.random.Generator, field: Field) -> Specimen:
        """Draw a specimen that fills the field with its margin."""
