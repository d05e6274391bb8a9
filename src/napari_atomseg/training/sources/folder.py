"""Pairs from a folder of whatever there is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from napari_atomseg.io import IMAGE_SUFFIXES
from napari_atomseg.ranges import RecipePath
from napari_atomseg.training.sources.annotated import (
    AnnotatedImage,
    AnnotatedImages,
    Radius,
    Split,
)
from napari_atomseg.training.sources.base import Source, SourcePart
from napari_atomseg.training.sources.library import LibraryFolder

LABELS, TARGET, POINTS = "_labels", "_target", "_points"


class Folder(SourcePart):
    """Pairs from a folder: a library, or images and what is known of them by their names.

    Beside `scan.tif` may lie `scan.csv` or `scan_points.csv` with its columns, `scan_labels` and
    `scan_target` with any suffix of an image. Images with none of these are left out.

    Attributes
    ----------
    radius, species, split : as of `AnnotatedImages` and `LibraryFolder`.
    """

    kind: Literal["folder"] = "folder"
    folder: RecipePath
    radius: Radius | None = None
    species: tuple[str, ...] = ()
    split: Split = 0.75

    def open(self, seed: int, targets: Sequence[str] | None = None) -> Source:
        """See `SourcePart.open`."""
        if not self.folder.is_dir():
            raise FileNotFoundError(f"{self.folder}: no such folder")
        images = annotated_images(self.folder)
        part: SourcePart = LibraryFolder(folder=self.folder, species=self.species, split=self.split)
        if images:
            part = AnnotatedImages(
                images=images, radius=self.radius, species=self.species, split=self.split
            )
        elif any(path.suffix.lower() in IMAGE_SUFFIXES for path in self.folder.iterdir()):
            raise ValueError(
                f"{self.folder}: nothing tells what its images show; beside NAME.tif, a file "
                f"NAME.csv, NAME{LABELS}.tif or NAME{TARGET}.tif does"
            )
        return part.open(seed, targets)


def annotated_images(folder: Path) -> tuple[AnnotatedImage, ...]:
    """The images of a folder that lie beside points, labels or a target, by name."""
    pictures = {p.stem: p for p in sorted(folder.iterdir()) if p.suffix.lower() in IMAGE_SUFFIXES}
    found = []
    for name, path in pictures.items():
        tables = [folder / f"{name}{ending}.csv" for ending in ("", POINTS)]
        points = next((table for table in tables if table.is_file()), None)
        labels, target = pictures.get(name + LABELS), pictures.get(name + TARGET)
        if points or labels or target:
            found.append(AnnotatedImage(image=path, points=points, labels=labels, target=target))
    return tuple(found)
