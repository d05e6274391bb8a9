"""Images in memory to files that a recipe can name, so that others can repeat a training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg.io import write_columns
from napari_atomseg.training.sources.annotated import (
    SPECIES,
    AnnotatedImage,
    AnnotatedImages,
)
from napari_atomseg.training.sources.annotations import Annotated, marked_frames
from napari_atomseg.training.sources.blind_spot import BlindSpot
from napari_atomseg.training.sources.frames import as_image


def save_annotated(
    folder: str | Path, images: Sequence[Annotated], **settings: Any
) -> AnnotatedImages:
    """Write annotated images to a folder.

    Parameters
    ----------
    folder : for the files, `0000.npy` and so on; made if it is not there.
    settings : further fields of `AnnotatedImages`, as `radius`.

    Returns
    -------
    The part of a recipe that gives the very same pairs as `AnnotatedSource` does.

    Raises
    ------
    ValueError
        An image has nothing to learn from; nothing is written.
    OSError
        The folder cannot be written.
    """
    folder = Path(folder)
    for image in images:
        marked_frames(image)
    folder.mkdir(parents=True, exist_ok=True)
    files = [_saved(folder / f"{number:04d}", image) for number, image in enumerate(images)]
    return AnnotatedImages(images=tuple(files), **settings)


def save_blind_spot(
    folder: str | Path, images: Sequence[NDArray[Any]], **settings: Any
) -> BlindSpot:
    """Write images to a folder, for a part of a recipe that learns from them alone.

    Parameters and errors are those of `save_annotated`.
    """
    folder = Path(folder)
    for number, image in enumerate(images):
        as_image(image, f"image {number}")
    folder.mkdir(parents=True, exist_ok=True)
    files = [_array(folder / f"{number:04d}", "", image) for number, image in enumerate(images)]
    return BlindSpot(images=tuple(files), **settings)


def _saved(path: Path, image: Annotated) -> AnnotatedImage:
    points = None
    if image.points is not None:
        axes = ["y", "x"] if np.ndim(image.image) == 2 else ["frame", "y", "x"]
        table = pd.DataFrame(np.asarray(image.points, dtype=float), columns=axes)
        if image.species is not None:
            table[SPECIES[0]] = list(image.species)
        points = path.with_name(f"{path.name}_points.csv")
        write_columns(points, table)
    return AnnotatedImage(
        image=_array(path, "", image.image),
        points=points,
        labels=None if image.labels is None else _array(path, "_labels", image.labels),
        target=None if image.target is None else _array(path, "_target", image.target),
    )


def _array(path: Path, what: str, array: NDArray[Any]) -> Path:
    file = path.with_name(f"{path.name}{what}.npy")
    np.save(file, np.asarray(array), allow_pickle=False)
    return file
