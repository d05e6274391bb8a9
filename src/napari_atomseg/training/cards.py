"""The model card of a trained network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from skimage.measure import label, regionprops

from napari_atomseg import networks
from napari_atomseg._shared.files import package_version
from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg.networks.card import ModelCard
from napari_atomseg.networks.schemes import STANDARD
from napari_atomseg.networks.tasks import COLUMNS, ELEMENTS, channels
from napari_atomseg.simulation import SimulationRecipe, draw_scene
from napari_atomseg.specimen.recipes.columns import ColumnsSpecimen
from napari_atomseg.training.recipe import TrainingRecipe
from napari_atomseg.training.sources import Crops, Simulated, SourceMixture, parts_of
from napari_atomseg.training.validation import Validation

FEWEST = 3
"""Fewest columns of an image from which their distance is taken."""
UNKNOWN = (5.0, 34.0)
"""Pixels between columns that a card states where the source gives none."""

NOWHERE = (math.inf, -math.inf)
"""Pixels between columns where there are none: joined with another range, it is that one."""

SpacingRange = tuple[float, float] | None


def network_arguments(recipe: TrainingRecipe, species: Sequence[str]) -> dict[str, Any]:
    """Arguments of the recipe's network, those that follow from the tasks among them."""
    return {
        "channels_in": 1,
        "channels_out": channels(recipe.tasks, species),
        **networks.linear(recipe.network.name),
        **recipe.network.arguments,
    }


def model_card(
    recipe: TrainingRecipe,
    species: Sequence[str],
    validation: Validation,
    steps: int,
    scores: dict[str, float],
) -> ModelCard:
    """The card of the weights file."""
    return ModelCard(
        name=recipe.name,
        architecture=recipe.network.name,
        arguments=network_arguments(recipe, species),
        tasks=recipe.tasks,
        species=tuple(species) if ELEMENTS in recipe.tasks else (),
        normalisation=STANDARD,
        modality=recipe.modality,
        spacing_range=_spacings(recipe, validation),
        recipe=_published(recipe),
        seed=recipe.seed,
        steps=steps,
        code_version=package_version(),
        scores=scores,
        licence="BSD-3-Clause",
        description=recipe.description,
    )


def _published(recipe: TrainingRecipe) -> dict[str, Any]:
    """The recipe without the folder of its initial weights, whose SHA-256 identifies them."""
    initial = None if recipe.initial is None else Path(recipe.initial.name)
    return recipe.model_copy(update={"initial": initial}).model_dump(mode="json")


def spacing_range(recipe: SimulationRecipe, scenes: int = 64) -> SpacingRange:
    """Pixels between closest columns that a recipe shows, but for its rare extremes.

    None where it shows painted scenes, without columns: these look alike at any scale. `NOWHERE`
    where its atoms stand in no columns.
    """
    if isinstance(recipe.specimen, ColumnsSpecimen):
        return recipe.specimen.spacing_px
    shown = []
    for index in range(scenes):
        scene = draw_scene(recipe, 0, index)
        if scene.specimen.picture is not None:
            return None
        if len(scene.labels):
            shown.append(scene.specimen.spacing / scene.sampling)
    return _usual(shown) if shown else NOWHERE


def _spacings(recipe: TrainingRecipe, validation: Validation) -> SpacingRange:
    """Pixels between closest columns that the recipe's sources show, all together.

    Simulations tell, and a card says None where one of them is of no columns; of other sources it
    is what the validation images show.
    """
    leaves = [
        part for part in parts_of(recipe.pairs) if not isinstance(part, Crops | SourceMixture)
    ]
    shown = [spacing_range(part.recipe) for part in leaves if isinstance(part, Simulated)]
    if None in shown:
        return None
    if len(shown) < len(leaves):
        shown.append(_seen(validation))
    known = [bounds for bounds in shown if bounds is not None and bounds != NOWHERE]
    if not known:
        return UNKNOWN
    return min(low for low, _ in known), max(high for _, high in known)


def _seen(validation: Validation) -> SpacingRange:
    """Pixels between closest columns of the validation images, None without a map of columns."""
    task = next((task for task in (*COLUMNS, ELEMENTS) if task in validation.places), None)
    if task is None:
        return None
    truth = validation.targets[:, validation.places[task]].amax(dim=1).cpu().numpy()
    found = []
    for mask in truth > 0.5:
        points = np.array([region.centroid for region in regionprops(label(mask))])
        if len(points) >= FEWEST:
            found.append(median_spacing(points))
    return _usual(found) if found else None


def _usual(spacings: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(spacings, (0.02, 0.98))
    return float(low), float(high)
