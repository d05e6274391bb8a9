"""Samples of a recipe, each with all its ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari_atomseg.simulation.draw import draw_scene
from napari_atomseg.simulation.recipe import SimulationRecipe, load_recipe
from napari_atomseg.simulation.render import render
from napari_atomseg.simulation.result import Simulation, collect


def sample(
    recipe: str | Path | dict[str, Any] | SimulationRecipe,
    index: int = 0,
    seed: int = 0,
    shape: tuple[int, int] | None = None,
    device: str = "cpu",
) -> Simulation:
    """Sample number `index` of a recipe; the same whenever and wherever it is made.

    Parameters
    ----------
    recipe : as `load_recipe` takes it.
    index, seed : not negative.
    shape : rows and columns of the image; the recipe's own by default.
    device : where to render. Another device draws other noise.

    Raises
    ------
    OSError, ValueError
        As `load_recipe`, or an argument is out of range; the message names it.
    """
    recipe = load_recipe(recipe)
    for name, value in (("index", index), ("seed", seed)):
        if int(value) != value or value < 0:
            raise ValueError(f"{name}={value!r} must be a whole number from 0")
    if shape is not None and (len(shape) != 2 or min(shape) < 16 or max(shape) > 16384):
        raise ValueError(f"shape={shape!r} must be two numbers of pixels from 16 to 16384")
    scene = draw_scene(recipe, seed, index, shape)
    return collect(scene, render([scene], device))
