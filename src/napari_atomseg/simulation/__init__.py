"""Simulation: recipe → scene → batch of images with ground truth."""

from napari_atomseg.simulation.api import Simulation, simulate
from napari_atomseg.simulation.draw import draw_scene
from napari_atomseg.simulation.recipe import SimulationRecipe
from napari_atomseg.simulation.render import Batch, render
from napari_atomseg.simulation.scene import Background, Noise, Scene
from napari_atomseg.simulation.truth import column_truth

__all__ = [
    "Background",
    "Batch",
    "Noise",
    "Scene",
    "Simulation",
    "SimulationRecipe",
    "column_truth",
    "draw_scene",
    "render",
    "simulate",
]
