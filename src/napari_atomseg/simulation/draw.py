"""Recipe to scene: numbers drawn from ranges, the same for the same (recipe, seed, index)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import numpy as np
from scipy.fft import next_fast_len

from napari_atomseg.distortion import Distortion, View
from napari_atomseg.imaging import Optics
from napari_atomseg.simulation.recipe import SimulationRecipe
from napari_atomseg.simulation.scene import Drawn, Scene
from napari_atomseg.specimen import Columns, Field, resolve_columns

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
    columns = brightness(specimen.columns, optics)
    background, contrast = recipe.background, recipe.contrast
    return Scene(
        view=view,
        specimen=specimen,
        labels=resolve_columns(columns, optics.width, limit=recipe.targets.resolution),
        optics=optics,
        unit=brightest(columns),
        scale=scale_of(columns, optics),
        background=None if background is None else background.draw(streams[3], view, specimen),
        contrast=None if contrast is None else contrast.draw(streams[4]),
        distortions=draw_distortions(recipe.distortions, streams[5], view, optics),
        targets=recipe.targets,
        seed=(seed, index),
        settings={"recipe": recipe.name, "seed": seed, "index": index, "shape": shape},
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


def brightness(columns: Columns, optics: Optics) -> Columns:
    """Columns of elements weighted by what the optics see of them."""
    if not columns.numbers:
        return columns
    return replace(columns, weight=columns.counts @ optics.amplitude(np.array(columns.numbers)))


def brightest(columns: Columns) -> float:
    """Weight of the brightest column; 1 where there is none."""
    return float(columns.weight.max()) if len(columns) else 1.0


def scale_of(columns: Columns, optics: Optics) -> float | None:
    """Intensity that an image shows as 1: the brightest column's, or the beam's itself."""
    if optics.coherent:
        return 1.0
    return brightest(columns) if len(columns) else None


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
