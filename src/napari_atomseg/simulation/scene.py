"""Scenes: the numbers of one image; recipes draw them, the same for each (recipe, seed, index)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from napari_atomseg._shared.geometry import nearest_distances
from napari_atomseg._shared.types import Array
from napari_atomseg.distortion import Distortion, View
from napari_atomseg.imaging import Contrast, MultisliceImaging, Optics, RadialImaging
from napari_atomseg.simulation.background import Background
from napari_atomseg.simulation.recipe import SimulationRecipe, TargetsRecipe
from napari_atomseg.specimen import Columns, Field, Specimen, resolve_columns


@dataclass(frozen=True)
class Drawn:
    """A distortion that happens, its place among all of the recipe, and its numbers."""

    place: int
    distortion: Distortion
    values: dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One image to render.

    Attributes
    ----------
    view : the field of view.
    labels : the columns that can be told apart (`resolve_columns`), weighted by their intensity.
    unit : weight of a lone column whose peak counts as 1, that of the brightest.
    scale : intensity that the image shows as 1; None for the brightest pixel's.
    contrast : what is done to the ideal image (`napari_atomseg.imaging.Contrast`), or None.
    distortions : those that happen, in their order.
    seed : seed of the noise.
    settings : the arguments that repeat the scene.
    multislice : how abTEM forms the image in place of the optics, or None.
    """

    view: Field
    specimen: Specimen
    labels: Columns
    optics: Optics
    unit: float
    scale: float | None
    background: Background | None
    contrast: Contrast | None
    distortions: tuple[Drawn, ...]
    targets: TargetsRecipe
    seed: tuple[int, int]
    settings: dict[str, Any] = field(default_factory=dict)
    multislice: MultisliceImaging | None = None

    @property
    def sampling(self) -> float:
        """Å a pixel."""
        return self.view.sampling

    @property
    def sigma(self) -> float:
        """Width of a lone peak, in pixels."""
        return self.optics.width / self.view.sampling

    @cached_property
    def closest(self) -> float:
        """Smallest distance of two labels, Å; infinite of fewer."""
        labels = self.labels
        return float(nearest_distances(labels.points).min()) if len(labels) > 1 else math.inf

    def placed(self) -> tuple[Array, Array, NDArray[np.bool_]]:
        """(N,) rows and columns of the labels in pixels, and which of them the image shows, after
        distortions that befall the truth too.
        """
        y, x = self.labels.y / self.sampling, self.labels.x / self.sampling
        seen = np.ones(len(y), dtype=bool)
        for drawn in self.distortions:
            y, x = drawn.distortion.move(drawn.values, y, x)
            seen &= drawn.distortion.keeps(drawn.values, y, x)
        rows, cols = self.view.shape
        seen &= (y >= -0.5) & (y < rows - 0.5) & (x >= -0.5) & (x < cols - 0.5)
        return y, x, seen


MARGIN = 22
"""Fewest pixels rendered beyond each border, so that neither the periodic image nor scan jitter
shows."""


def draw_scene(
    recipe: SimulationRecipe, seed: int, index: int, shape: tuple[int, int] | None = None
) -> Scene:
    """Draw scene number `index` of a recipe for an image of `shape` pixels (the recipe's).

    Each part of the recipe has a stream of random numbers of its own, so that a change of one
    leaves the others as they were.
    """
    streams = [np.random.default_rng((seed, index, part)) for part in range(6)]
    shape = recipe.shape if shape is None else shape
    view = Field(shape, recipe.field.draw(streams[0], shape), margin(shape))
    specimen = recipe.specimen.draw(streams[1], view)
    optics = recipe.imaging.draw(streams[2], view, specimen)
    background, contrast = recipe.background, recipe.contrast
    scene = compose(
        view,
        specimen,
        optics,
        background=None if background is None else background.draw(streams[3], view, specimen),
        contrast=None if contrast is None else contrast.draw(streams[4]),
        distortions=draw_distortions(recipe.distortions, streams[5], view, optics),
        targets=recipe.targets,
        seed=(seed, index),
        settings={"recipe": recipe.name, "seed": seed, "index": index, "shape": shape},
    )
    slow = None if isinstance(recipe.imaging, RadialImaging) else recipe.imaging.multislice
    if slow is None:
        return scene
    # How bright columns are is known when the image is there: its brightest pixel is 1.
    return replace(scene, multislice=slow, scale=1.0 if optics.coherent else None)


def compose(
    view: Field,
    specimen: Specimen,
    optics: Optics,
    *,
    background: Background | None,
    contrast: Contrast | None,
    distortions: tuple[Drawn, ...],
    seed: tuple[int, int],
    settings: dict[str, Any],
    targets: TargetsRecipe | None = None,
    peak: float | None = None,
) -> Scene:
    """Put the drawn parts of a scene together, with its labels and the scale of its image.

    Parameters
    ----------
    peak : brightest intensity, as a fraction of the beam, of images that are formed beforehand.
    """
    targets = TargetsRecipe() if targets is None else targets
    columns = weighted(specimen.columns, optics)
    brightest = float(columns.weight.max()) if len(columns) else 1.0
    scale = peak if peak is not None else brightest if len(columns) else None
    return Scene(
        view=view,
        specimen=specimen,
        labels=resolve_columns(columns, optics.width, limit=targets.resolution),
        optics=optics,
        unit=brightest,
        scale=1.0 if optics.coherent else scale,
        background=background,
        contrast=contrast,
        distortions=distortions,
        targets=targets,
        seed=seed,
        settings=settings,
    )


@lru_cache(maxsize=64)
def margin(shape: tuple[int, int], least: int = MARGIN) -> int:
    """Margin of at least so many pixels that makes the canvas quick to Fourier transform."""
    wide = least
    while any(next_fast_len(n + 2 * wide, real=True) != n + 2 * wide for n in shape):
        wide += 1
        if wide > 2 * least:
            return least
    return wide


def weighted(columns: Columns, optics: Optics) -> Columns:
    """Columns whose weights are the amplitudes of their elements in the image."""
    if not columns.numbers:
        return columns
    return replace(columns, weight=columns.counts @ optics.amplitude(np.array(columns.numbers)))


def draw_distortions(
    distortions: Iterable[Distortion], rng: np.random.Generator, view: Field, optics: Optics
) -> tuple[Drawn, ...]:
    """The distortions that chance lets happen, with their numbers."""
    sight = View(view.sampling, optics.width, view.shape)
    drawn = []
    for place, distortion in enumerate(distortions):
        happens = rng.random() < distortion.probability
        values = distortion.draw(rng, sight)
        if happens:
            drawn.append(Drawn(place, distortion, values))
    return tuple(drawn)
