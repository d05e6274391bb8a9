"""The work of the Train button: files of the images, recipe, training, model."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg import weights
from napari_atomseg._napari.models.choice import fetch_model
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train.layers import Taken
from napari_atomseg._napari.train.recipe import (
    ANNOTATED,
    BLIND_SPOT,
    Values,
    recipe_of,
    recipe_text,
)
from napari_atomseg._napari.train.watch import Listener
from napari_atomseg._shared.files import whole_file
from napari_atomseg.networks.card import read_card
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.training import TrainingRecipe, load_recipe, train
from napari_atomseg.training.sources import (
    Annotated,
    AnnotatedImages,
    BlindSpot,
    save_annotated,
    save_blind_spot,
)
from napari_atomseg.weights.store import add_model, free_name


@dataclass(frozen=True)
class Order:
    """Everything that a training needs: values of the settings, images of layers, and the recipe
    that holds for everything without a setting.
    """

    values: Values
    taken: tuple[Taken, ...]
    base: TrainingRecipe

    @property
    def name(self) -> str:
        """Name of the model."""
        return str(self.values["name"])

    @property
    def goes_on(self) -> bool:
        """Whether there is a stopped training to go on with."""
        return bool(self.values["resume"]) and checkpoint_file(self.name).is_file()

    def recipe(self, folder: Path) -> TrainingRecipe:
        """Return the recipe; images of layers are written to a folder, so that it can name them."""
        save = {ANNOTATED: _annotated, BLIND_SPOT: _images}.get(self.values["source"])
        images = None if save is None else save(self.taken, folder).model_dump(exclude={"split"})
        return recipe_of(self.values, self.base, images)


def training_folder(name: str) -> Path:
    """Return the folder of a training: its recipe, checkpoint, scores and weights."""
    return weights.cache_folder() / "training" / name


def recipe_file(name: str) -> Path:
    """Return the file of a training's recipe."""
    return training_folder(name) / f"{name}.yaml"


def checkpoint_file(name: str) -> Path:
    """Return the file from which a training goes on, if it is there."""
    return training_folder(name) / f"{name}.checkpoint"


def read_log(name: str) -> list[dict[str, float]]:
    """Return the scores of a training that was stopped; none if there are none."""
    path = training_folder(name) / f"{name}.csv"
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return [{key: float(value) for key, value in row.items() if value} for row in rows]
    except (OSError, ValueError):
        return []


def require_work(order: Order) -> None:
    """Raise ValueError if a training would overwrite a model that it does not continue, or if
    there is nothing left to do.
    """
    finished = free_name(order.name, replace=order.goes_on)
    if finished.is_file() and read_card(finished).steps >= order.values["steps"]:
        raise ValueError(
            f"{order.name!r} has been trained for {read_card(finished).steps} steps already: "
            "give more steps, or another name"
        )


def save_recipe(order: Order, path: Path) -> Path:
    """Write the recipe of an order, and beside it the images of layers that it names."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    recipe = order.recipe(path.parent / f"{path.stem}-images")
    with whole_file(path) as partial:
        partial.write_text(recipe_text(recipe, path.parent), encoding="utf-8")
    return path


def run_training(order: Order, watch: Listener, progress: Progress, cancel: CancelToken) -> Path:
    """Train, and put the weights where panels offer them; return their file."""
    values, name = order.values, order.name
    if values["initial"]:
        fetch_model(values["initial"], progress, cancel)
    progress(0, 0, "preparing")
    written = save_recipe(order, recipe_file(name))
    device = values["device"]
    trained = train(
        load_recipe(written),
        training_folder(name) / f"{name}.safetensors",
        resume=values["resume"],
        device=preferences().device if device == "preferences" else device,
        tensorboard=values["tensorboard"],
        progress=progress,
        cancel=cancel,
        watch=watch,
    )
    return add_model(trained, name, replace=True)


def _annotated(taken: Sequence[Taken], folder: Path) -> AnnotatedImages:
    images = [
        Annotated(
            _frames(each.data),
            each.points,
            None if each.points is None else each.species,
            None if each.labels is None else _frames(each.labels),
            None if each.target is None else _frames(each.target),
            each.name,
        )
        for each in taken
    ]
    species = tuple(sorted({name for each in taken for name in each.species}))
    return save_annotated(folder, images, species=species)


def _images(taken: Sequence[Taken], folder: Path) -> BlindSpot:
    return save_blind_spot(folder, [_frames(each.data) for each in taken])


def _frames(data: Any) -> Any:
    """Return an image (H, W), or a stack with one leading axis."""
    data = np.asarray(data)
    return data if data.ndim == 2 else data.reshape(-1, *data.shape[-2:])
