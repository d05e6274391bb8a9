"""Simulation: recipe → scene → batch of images with ground truth."""

from napari_atomseg.simulation.api import simulate
from napari_atomseg.simulation.library.read import download_library, open_library, write_library
from napari_atomseg.simulation.recipe import SimulationRecipe, load_recipe, recipes
from napari_atomseg.simulation.render import Batch, render
from napari_atomseg.simulation.result import Simulation, column_table, sample
from napari_atomseg.simulation.scene import Scene, draw_scene

__all__ = [
    "Batch",
    "Scene",
    "Simulation",
    "SimulationRecipe",
    "column_table",
    "download_library",
    "draw_scene",
    "load_recipe",
    "open_library",
    "recipes",
    "render",
    "sample",
    "simulate",
    "write_library",
]
