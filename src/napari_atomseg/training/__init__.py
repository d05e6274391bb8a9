"""Training: losses, simulated pairs, the loop and its checkpoints."""

from napari_atomseg.training.loop import train
from napari_atomseg.training.recipe import TrainingRecipe, load_recipe

__all__ = ["TrainingRecipe", "load_recipe", "train"]
