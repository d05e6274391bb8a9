"""What the Train button does in another thread: files of the images, recipe, training, model."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_atomseg import weights
from napari_atomseg._napari.models.choice import fetch_model
from napari_atomseg._napari.train.pairs import Taken
from napari_atomseg._napari.train.recipe import make_recipe, recipe_text
from napari_atomseg._napari.train.settings import ANNOTATED, BLIND_SPOT, TrainSettings
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.weights.store import add_model, free_name

if TYPE_CHECKING:
    from napari_atomseg._napari.train.watch import Listener
    from napari_atomseg.training import TrainingRecipe


@dataclass(frozen=True)
class Order:
    """Everything that a training needs; `base` is an opened recipe, None for the defaults."""

    settings: TrainSettings
    taken: tuple[Taken, ...]
    base: TrainingRecipe | None

    def recipe(self, folder: Path) -> TrainingRecipe:
        """Return the recipe; images of layers are written to a folder, so that it can name them."""
        from napari_atomseg.training import TrainingRecipe

        base = self.base or TrainingRecipe()
        return make_recipe(self.settings, base, self._source(folder))

    def _source(self, folder: Path) -> dict[str, Any] | None:
        if self.settings.source == ANNOTATED:
            return _annotated(self.taken, folder)
        if self.settings.source == BLIND_SPOT:
            return _images(self.taken, folder)
        return None


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


def require_work(settings: TrainSettings) -> None:
    """Raise ValueError if a training would overwrite a model that it does not continue, or if
    there is nothing left to do.
    """
    from napari_atomseg.networks.card import read_card

    goes_on = settings.resume and checkpoint_file(settings.name).is_file()
    finished = free_name(settings.name, replace=goes_on)
    if finished.is_file() and read_card(finished).steps >= settings.steps:
        raise ValueError(
            f"{settings.name!r} has been trained for {read_card(finished).steps} steps already: "
            "give more steps, or another name"
        )


def save_recipe(order: Order, path: Path) -> Path:
    """Write the recipe of an order, and beside it the images of layers that it names."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    recipe = order.recipe(path.parent / f"{path.stem}-images")
    path.write_text(recipe_text(recipe, path.parent), encoding="utf-8")
    return path


def run_training(order: Order, watch: Listener, progress: Progress, cancel: CancelToken) -> Path:
    """Train, and put the weights where panels offer them; return their file."""
    from napari_atomseg.training import load_recipe, train

    settings = order.settings
    if settings.initial:
        fetch_model(settings.initial, progress, cancel)
    progress(0, 0, "preparing")
    written = save_recipe(order, recipe_file(settings.name))
    trained = train(
        load_recipe(written),
        training_folder(settings.name) / f"{settings.name}.safetensors",
        resume=settings.resume,
        device=settings.chosen_device,
        tensorboard=settings.tensorboard,
        progress=progress,
        cancel=cancel,
        watch=watch,
    )
    return add_model(trained, settings.name, replace=True)


def _annotated(taken: Sequence[Taken], folder: Path) -> dict[str, Any]:
    from napari_atomseg.training.sources import Annotated, save_annotated

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
    return save_annotated(folder, images, species=species).model_dump()


def _images(taken: Sequence[Taken], folder: Path) -> dict[str, Any]:
    from napari_atomseg.training.sources import save_blind_spot

    return save_blind_spot(folder, [_frames(each.data) for each in taken]).model_dump()


def _frames(data: Any) -> Any:
    """Return an image (H, W), or a stack with one leading axis."""
    data = np.asarray(data)
    return data if data.ndim == 2 else data.reshape(-1, *data.shape[-2:])
