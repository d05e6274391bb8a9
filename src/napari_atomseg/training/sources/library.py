"""Pairs from a library of samples on disk, ours or TEM ImageNet v1.3."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from napari_atomseg._shared.types import Image
from napari_atomseg.io import IMAGE_SUFFIXES
from napari_atomseg.ranges import RecipePath
from napari_atomseg.simulation.library.read import Library, LibraryError, open_library
from napari_atomseg.training.sources.annotated import (
    AnnotatedImage,
    AnnotatedImages,
    MarkedPart,
)
from napari_atomseg.training.sources.base import (
    ELEMENTS,
    IMAGES,
    TARGET_NAMES,
    PairSource,
    SourcePart,
    StoredPart,
    chosen,
)
from napari_atomseg.training.sources.frames import Frame, FrameStream, halves

MAPS = "element_maps"
MEMORY = 2**29
"""Bytes of samples that are kept in memory; others are read again."""


class LibraryFolder(StoredPart):
    """Pairs from a library folder.

    Attributes
    ----------
    folder : of a library written here, or of TEM ImageNet v1.3.
    species : names of the species that have a channel in `elements`, which public libraries do
        not have. Without any, there are no `elements`.
    """

    kind: Literal["library"] = "library"
    label = "a library"
    folder: RecipePath
    species: tuple[str, ...] = ()

    def open(self, seed: int, targets: Sequence[str] | None = None) -> LibrarySource:
        """See `SourcePart.open`."""
        library = open_library(self.folder)
        return LibrarySource(library, seed, targets, species=self.species, split=self.split)


class LibrarySource(FrameStream):
    """Pairs from an open library; the parameters are those of `LibraryFolder`.

    Raises
    ------
    LibraryError
        The library has a single sample, or a file is missing or damaged.
    """

    def __init__(
        self,
        library: Library,
        seed: int = 0,
        targets: Sequence[str] | None = None,
        *,
        species: tuple[str, ...] = (),
        split: float = 0.75,
    ) -> None:
        if len(library) < 2:
            raise LibraryError(f"{library.folder}: one sample cannot be split for validation")
        first = library.sample(0).targets
        available = [n for n in TARGET_NAMES if n in first or (n == ELEMENTS and species)]
        wanted = chosen(available, targets, f"the library {library.folder}")
        training, validation = (
            LibraryFrames(library, rows, wanted, species) for rows in halves(len(library), split)
        )
        super().__init__(training, validation, seed, wanted, species)


class LibraryFrames:
    """Samples of a library as frames, read when first asked for."""

    def __init__(
        self,
        library: Library,
        rows: Sequence[int],
        targets: Sequence[str],
        species: Sequence[str],
    ) -> None:
        self._library, self._rows = library, rows
        self._targets, self._species = targets, species
        self._kept: dict[int, Frame] = {}
        self._room = MEMORY

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, number: int, /) -> Frame:
        if number in self._kept:
            return self._kept[number]
        frame = self._read(self._rows[number])
        size = sum(t.nbytes for t in (frame.image, *frame.targets.values()))
        if size <= self._room:
            self._kept[number] = frame
            self._room -= size
        return frame

    def _read(self, row: int) -> Frame:
        image = self._library.image(row)
        names = set(self._targets) - {ELEMENTS}
        # Intensities of public libraries are comparable only after `rescaled`.
        apart = self._library.header is None and not names.isdisjoint(IMAGES)
        found = {n: self._library.picture(row, n) for n in names | set(IMAGES if apart else ())}
        pictures = {name: picture for name, picture in found.items() if picture is not None}
        if apart:
            pictures |= rescaled(image, pictures)
        targets = {}
        for name in self._targets:
            if name == ELEMENTS:
                targets[name] = self._elements(row)
            elif name in pictures:
                targets[name] = torch.from_numpy(pictures[name])[None]
            else:
                raise self._lacking(row, name)
        return Frame(torch.from_numpy(image), targets)

    def _elements(self, row: int) -> torch.Tensor:
        sample = self._library.sample(row)
        if MAPS not in sample.targets:
            raise self._lacking(row, MAPS)
        of_name = dict(zip(sample.settings["elements"], sample.targets[MAPS], strict=True))
        none = np.zeros(sample.image.shape, np.float32)
        maps = [of_name.get(name, none) for name in self._species]
        return torch.from_numpy(np.stack(maps).astype(np.float32))

    def _lacking(self, row: int, name: str) -> LibraryError:
        sample = self._library.table["name"].iloc[row]
        return LibraryError(f"{self._library.folder}: sample {sample} has no {name}")


def rescaled(image: Image, targets: dict[str, Image]) -> dict[str, Image]:
    """Intensities of a public library in the units of its image.

    There each picture is stretched to black and white by itself, by an unrecorded factor. So the
    picture without noise is fitted to the image by least squares, and the ones without
    background to that (or to the image), with a ramp of background; their darkest pixel is 0. A
    super-resolved column has the integral of the column.

    Parameters
    ----------
    image : (H, W).
    targets : (H, W) by name; others than intensities are left out.
    """
    found = {name: targets[name] for name in IMAGES if name in targets}
    level = image
    if "no_noise" in found:
        slope, rest = _fitted(found["no_noise"], image, ramp=False)
        level = found["no_noise"] = slope * found["no_noise"] + rest
    if "no_background_no_noise" in found:
        slope, _ = _fitted(found["no_background_no_noise"], level, ramp=True)
        flat = slope * found["no_background_no_noise"]
        found["no_background_no_noise"] = flat - flat.min()
    sharp = found.get("no_noise_no_background_superresolution")
    if sharp is not None:
        sharp = sharp - sharp.min()
        flat = found.get("no_background_no_noise", level - level.min())
        total = float(sharp.sum())
        found["no_noise_no_background_superresolution"] = sharp * (
            float(flat.sum()) / total if total > 0 else 1.0
        )
    return {name: picture.astype(np.float32) for name, picture in found.items()}


def _fitted(picture: Image, image: Image, *, ramp: bool) -> tuple[float, float]:
    """Slope and offset that bring a picture closest to an image, besides a ramp if there is one."""
    columns = [picture.ravel().astype(np.float64), np.ones(picture.size)]
    if ramp:
        columns += [axis.ravel() for axis in np.indices(picture.shape).astype(np.float64)]
    found, *_ = np.linalg.lstsq(np.stack(columns, axis=1), image.ravel().astype(np.float64))
    return float(found[0]), float(found[1])


LABELS, TARGET, POINTS = "_labels", "_target", "_points"


class Folder(MarkedPart):
    """Pairs from a folder: a library, or images with annotations, matched by their names.

    Beside `scan.tif` may lie `scan.csv` or `scan_points.csv` with its columns, `scan_labels` and
    `scan_target` with any suffix of an image. Images with none of these are left out.

    Attributes
    ----------
    folder : of the library, or of the images.
    """

    kind: Literal["folder"] = "folder"
    label = "a folder of images"
    folder: RecipePath

    def open(self, seed: int, targets: Sequence[str] | None = None) -> PairSource:
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
