"""Pairs from annotated images, a few of which are enough (Chen et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated as Checked
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from napari_atomseg.io import read_columns, read_image, write_columns
from napari_atomseg.ranges import Part, RecipePath
from napari_atomseg.settings import setting
from napari_atomseg.training.sources.annotations import (
    UNNAMED,
    Annotated,
    Marked,
    centres,
    column_radius,
    frame_of,
    marked_frames,
)
from napari_atomseg.training.sources.base import TARGET_NAMES, StoredPart, chosen
from napari_atomseg.training.sources.frames import Frame, FrameStream, saved_array, split_frames

SPECIES = ("elements", "species")
"""Columns of a table in which the species are looked for."""


class AnnotatedImage(Part):
    """Files of an image and of its annotation.

    Attributes
    ----------
    image : image or stack, of any kind that `read_image` reads.
    points : table as `read_columns` reads it: y and x in pixels, `frame` for a stack.
    species : column of the table that names the species; by default `elements` or `species`.
    labels : label image.
    target : the image without noise.
    """

    image: RecipePath
    points: RecipePath | None = None
    species: str | None = None
    labels: RecipePath | None = None
    target: RecipePath | None = None

    def read(self) -> Annotated:
        """The contents of the files."""
        image = read_image(self.image).data
        points, species = None, None
        if self.points is not None:
            points, species = _read_points(self.points, self.species, image.ndim)
        return Annotated(
            image,
            points,
            species,
            None if self.labels is None else read_image(self.labels).data,
            None if self.target is None else read_image(self.target).data,
            str(self.image),
        )


class MarkedPart(StoredPart):
    """A source of images with marked columns.

    Attributes
    ----------
    radius : of the discs and, in proportion, of the spots, in pixels; by default 0.3 of the
        distance between nearest columns.
    species : names of the channels of `elements`; by default all, sorted. Columns of others are in
        no channel. A single one also names columns of which no species is given.
    """

    radius: Checked[float, Field(gt=0.0, allow_inf_nan=False)] | None = setting(
        None,
        "Disc radius",
        "Radius of the discs about marked columns.",
        unit="px",
        limits=(0.0, 1e4),
        none="0.3 of their distance",
        section="Advanced",
    )
    species: tuple[str, ...] = ()


class AnnotatedImages(MarkedPart):
    """Pairs from images with marked columns, labels, or a version without noise.

    Of four images or frames and more, some are kept for validation; of fewer, a part of each.

    Attributes
    ----------
    images : files of each image and its annotation.
    """

    kind: Literal["annotated"] = "annotated"
    label = "annotated images"
    images: Checked[tuple[AnnotatedImage, ...], Field(min_length=1)]

    def open(self, seed: int, targets: Sequence[str] | None = None) -> AnnotatedSource:
        """See `SourcePart.open`."""
        images = [each.read() for each in self.images]
        return AnnotatedSource(
            images, seed, targets, radius=self.radius, species=self.species, split=self.split
        )


class AnnotatedSource(FrameStream):
    """Pairs from annotated images in memory; the parameters are those of `AnnotatedImages`.

    Raises
    ------
    ValueError
        There is nothing to learn from; the message names the image and the reason.
    """

    def __init__(
        self,
        images: Sequence[Annotated],
        seed: int = 0,
        targets: Sequence[str] | None = None,
        *,
        radius: float | None = None,
        species: Sequence[str] = (),
        split: float = 0.75,
    ) -> None:
        if not images:
            raise ValueError("images: there are none to learn from")
        marked = [frame for image in images for frame in marked_frames(image)]
        names = tuple(species) or tuple(sorted({name for f in marked for name in f.species}))
        if len(names) == 1:
            marked = [_named(frame, names[0]) for frame in marked]
        if radius is None and any(centres(frame) is not None for frame in marked):
            radius = column_radius(marked)
        frames = [frame_of(frame, radius or 1.0, names) for frame in marked]
        available = [n for n in TARGET_NAMES if all(n in frame.targets for frame in frames)]
        if not available:
            raise ValueError("images: no kind of annotation is common to all of them")
        wanted = chosen(available, targets, "the annotated images")
        places = [centres(frame) for frame in marked]
        frames = [Frame(f.image, {n: f.targets[n] for n in wanted}) for f in frames]
        super().__init__(*split_frames(frames, split, places), seed, wanted, names)


def _named(frame: Marked, species: str) -> Marked:
    """The frame with unnamed points being of a species."""
    return replace(
        frame, species=tuple(species if each == UNNAMED else each for each in frame.species)
    )


def _read_points(
    path: Path, column: str | None, dimensions: int
) -> tuple[NDArray[np.float64], tuple[str, ...] | None]:
    """Points of a table, with the frame first if there are three dimensions, and their species."""
    table = read_columns(path)
    axes = ["y", "x"] if dimensions == 2 else ["frame", "y", "x"]
    wanted = [*axes, *([] if column is None else [column])]
    missing = [name for name in wanted if name not in table]
    if missing:
        raise OSError(f"{path}: lacks the column {' and '.join(map(repr, missing))}")
    found = column or next((name for name in SPECIES if name in table), None)
    species = None if found is None else tuple(table[found].fillna(UNNAMED).astype(str))
    return table[axes].to_numpy(dtype=np.float64), species


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
        image=saved_array(path, "", image.image),
        points=points,
        labels=None if image.labels is None else saved_array(path, "_labels", image.labels),
        target=None if image.target is None else saved_array(path, "_target", image.target),
    )
