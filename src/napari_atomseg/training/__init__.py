"""Training: losses, sources of pairs, the loop and its checkpoints."""

from napari_atomseg.training.events import TrainingEvent
from napari_atomseg.training.loop import train
from napari_atomseg.training.recipe import TrainingRecipe, load_recipe
from napari_atomseg.training.step import Diverged

__all__ = ["Diverged", "TrainingEvent", "TrainingRecipe", "load_recipe", "train"]
