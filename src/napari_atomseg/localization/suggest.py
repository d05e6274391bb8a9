"""Columns suggested for annotation, and the uncertainty that ranks the images to annotate first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg import inference, weights
from napari_atomseg._shared.objects import takes_images
from napari_atomseg.localization.detect import species_of
from napari_atomseg.localization.joining import columns_at_magnifications
from napari_atomseg.networks.card import read_card

_TASKS = ("elements", "column_map", "column_mask")
"""Tasks whose maps show columns, the most informative first."""
UNNAMED = "column"
"""Species of columns where the network distinguishes none."""


@dataclass(frozen=True)
class Suggestion:
    """Columns that a network suggests in an image.

    Attributes
    ----------
    columns : table of `y`, `x` (px), `score` (the map's peak) and `species`.
    uncertainty : mean entropy of the maps at the largest magnification, see `uncertainty`.
    """

    columns: pd.DataFrame
    uncertainty: float


@takes_images("image", sampling=True)
def suggest(image: Any, model: str | Path, **options: Any) -> Suggestion:
    """Suggest the columns of an image.

    Parameters
    ----------
    image : (H, W) real numbers.
    model : name or weights file of a network with `elements`, `column_map` or `column_mask`.
    options : see `inference.predict`.

    Raises
    ------
    ValueError
        The network shows no columns, or the image is a stack.
    """
    if np.ndim(image) != 2:
        raise ValueError(f"image of shape {np.shape(image)} must be of two axes")
    card = read_card(weights.resolve(model))
    task = next((task for task in _TASKS if task in card.tasks), None)
    if task is None:
        raise ValueError(
            f"model {card.name!r} shows no columns: it has been trained for {', '.join(card.tasks)}"
        )
    prediction = inference.predict(image, (task,), model=model, **options)
    height, width = np.shape(image)
    maps = prediction.maps[task].reshape(-1, height, width)
    species = prediction.species if task == "elements" else (UNNAMED,)
    # Columns of all species together, each of the one whose map is highest there.
    common = {
        factor: planes[task].reshape(-1, *planes[task].shape[-2:]).max(axis=0)
        for factor, planes in prediction.magnified.items()
    }
    found = columns_at_magnifications(common, (height, width))
    names = species_of(found, maps, species)
    columns = pd.DataFrame({"y": found.y, "x": found.x, "score": found.score, "species": names})
    # The largest of several magnifications is sure of nothing between columns.
    finest = prediction.magnified[max(prediction.magnified)][task]
    return Suggestion(columns, uncertainty(finest))


def uncertainty(maps: NDArray[np.float32]) -> float:
    """Mean entropy of probabilities p in bits: 0 where all is certain, 1 where nothing is.

    -p log₂ p - (1 - p) log₂ (1 - p), the mean over all pixels and maps; annotating an image of high
    uncertainty improves the network most (uncertainty sampling, Lewis & Gale 1994).
    """
    p = np.clip(np.asarray(maps, dtype=np.float64), 1e-12, 1.0 - 1e-12)
    return float(np.mean(-p * np.log2(p) - (1.0 - p) * np.log2(1.0 - p)))
