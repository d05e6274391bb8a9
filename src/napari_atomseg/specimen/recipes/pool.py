"""New specimens from old ones: turned, mirrored, scaled and cropped anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field as Choice
from pydantic import PositiveInt

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import PositiveRange, log_uniform
from napari_atomseg.specimen.outline import Thickness
from napari_atomseg.specimen.recipes.low_resolution import LowResolutionSpecimen
from napari_atomseg.specimen.recipes.random import RandomSpecimen
from napari_atomseg.specimen.specimen import Field, Specimen, SpecimenRecipe
from napari_atomseg.specimen.structure import Structure

Rng = np.random.Generator
STEP = 1.25
"""Fields whose samplings differ by less than about this factor share their sources."""


@dataclass(frozen=True)
class Move:
    """A turned, mirrored and scaled copy of the plane: p → (p - source) @ matrix + target."""

    matrix: Array
    source: Array
    target: Array

    @property
    def scale(self) -> float:
        """By how much lengths grow."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def points(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Where points end up."""
        moved = (np.stack([y, x], axis=1) - self.source) @ self.matrix + self.target
        return moved[:, 0], moved[:, 1]

    def back(self, y: Array, x: Array) -> tuple[Array, Array]:
        """Where points came from, each array of any shape."""
        inverse = np.linalg.inv(self.matrix)
        y, x = y - self.target[0], x - self.target[1]
        return (
            y * inverse[0, 0] + x * inverse[1, 0] + self.source[0],
            y * inverse[0, 1] + x * inverse[1, 1] + self.source[1],
        )


def source_field(field: Field, scale: PositiveRange) -> Field:
    """A field large enough that any turn, and any scale of a range, still fills `field`.

    Fields of nearly the same sampling get the same source.
    """
    step = np.log(STEP)
    sampling = float(np.exp(step * np.rint(np.log(field.sampling) / step)))
    pixels = int(np.ceil(np.hypot(*field.canvas) * np.sqrt(STEP) / scale[0])) + 4
    return Field((pixels, pixels), sampling, margin=0)


def renew(
    specimen: Specimen, source: Field, rng: Rng, field: Field, scale: PositiveRange = (1.0, 1.0)
) -> Specimen:
    """A new specimen from an old one, turned, mirrored, scaled and cropped at random.

    Parameters
    ----------
    specimen : drawn for `source`.
    source : `source_field(field, scale)` or larger.
    scale : range of the factor by which lengths grow, drawn evenly on a logarithmic scale.
    """
    move = _random_move(rng, source, field, log_uniform(rng, scale))
    y, x = move.points(specimen.scatterers.y, specimen.scatterers.x)
    scatterers = replace(specimen.scatterers, y=y, x=x).select(_inside(y, x, field))
    y, x = move.points(specimen.columns.y, specimen.columns.x)
    columns = replace(specimen.columns, y=y, x=x).select(_inside(y, x, field))
    return replace(
        specimen,
        scatterers=scatterers,
        columns=columns,
        thickness=_moved_thickness(specimen.thickness, move),
        picture=_moved_picture(specimen.picture, source, move, field),
        spacing=specimen.spacing * move.scale,
        structure=_moved_structure(specimen.structure, move, field),
    )


def _random_move(rng: Rng, source: Field, field: Field, scale: float) -> Move:
    turn = rng.uniform(0.0, 2 * np.pi)
    cosine, sine = np.cos(turn), np.sin(turn)
    mirror = np.diag([1.0, rng.choice([-1.0, 1.0])])
    matrix = scale * mirror @ np.array([[cosine, -sine], [sine, cosine]])
    reach = np.abs(np.linalg.inv(matrix)).T @ (0.5 * (field.upper - field.lower))
    slack = np.maximum(0.5 * (source.upper - source.lower) - reach, 0.0)
    middle = 0.5 * (source.lower + source.upper) + rng.uniform(-slack, slack)
    return Move(matrix, middle, 0.5 * (field.lower + field.upper))


def _inside(y: Array, x: Array, field: Field) -> NDArray[np.bool_]:
    lower, upper = field.lower, field.upper
    return np.asarray((y >= lower[0]) & (y <= upper[0]) & (x >= lower[1]) & (x <= upper[1]))


def _moved_structure(structure: Structure | None, move: Move, field: Field) -> Structure | None:
    if structure is None:
        return None
    y, x = move.points(structure.y, structure.x)
    moved = replace(structure, y=y, x=x, z=structure.z * move.scale)
    return moved.select(_inside(y, x, field))


def _moved_thickness(thickness: Thickness, move: Move) -> Thickness:
    """The thickness at p that the old one has where p came from."""
    inverse = np.linalg.inv(move.matrix)
    start = move.source - move.target @ inverse
    planes, waves = thickness.planes.copy(), thickness.waves.copy()
    # Old: n · r > d with r = p @ inverse + start. Lengths grow, so that n stays a unit vector.
    planes[:, 2] = move.scale * (planes[:, 2] - planes[:, :2] @ start)
    planes[:, :2] = move.scale * planes[:, :2] @ inverse.T
    planes[:, 3] *= move.scale
    waves[:, 2] += 2 * np.pi * waves[:, :2] @ start
    waves[:, :2] = waves[:, :2] @ inverse.T
    return Thickness(planes, waves)


def _moved_picture(picture: Array | None, source: Field, move: Move, field: Field) -> Array | None:
    """The picture resampled bilinearly on the canvas of `field`."""
    from scipy.ndimage import map_coordinates

    if picture is None:
        return None
    rows = np.arange(field.canvas[0], dtype=np.float64) - field.margin
    cols = np.arange(field.canvas[1], dtype=np.float64) - field.margin
    y, x = move.back(field.sampling * rows[:, None], field.sampling * cols[None])
    pixels = np.stack([y, x]) / source.sampling + source.margin
    moved: Array = map_coordinates(picture, pixels, order=1, mode="mirror")
    return moved


Slow = Annotated[RandomSpecimen | LowResolutionSpecimen, Choice(discriminator="kind")]
"""Recipes that are worth a pool."""
KEPT = 256
"""Specimens that a process remembers, over all pools and sizes of fields."""


class PooledSpecimen(SpecimenRecipe):
    """Specimens of another recipe, each drawn once and then turned, mirrored, scaled and cropped.

    Random specimens take longer to draw than an image to form; a pool of them keeps training fed.
    What is drawn depends on the random numbers alone, never on what the process drew before.

    Attributes
    ----------
    specimen : the recipe that fills the pool.
    count : specimens of the pool, for each sampling of the field (in steps of 25 %).
    seed : seed of the pool.
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
