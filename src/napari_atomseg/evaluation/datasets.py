"""Data sets by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.types import Image
from napari_atomseg.evaluation.case import Case, Dataset
from napari_atomseg.evaluation.simulated import (
    COUNTING,
    FIELDS,
    Crystals,
    EmptyField,
    Multislice,
    SimulatedDataset,
)
from napari_atomseg.io import read_columns, read_image, write_columns, write_image
from napari_atomseg.simulation import SimulationRecipe, load_recipe, recipes
from napari_atomseg.simulation.library.read import Library, is_library, open_library
from napari_atomseg.training.sources.annotated import AnnotatedImage
from napari_atomseg.training.sources.library import POINTS, TARGET, annotated_images, rescaled


@dataclass(frozen=True)
class FileDataset:
    """Images in files beside their truth.

    Attributes
    ----------
    images : files of each image; labels are not used.
    name : name of the data set.
    sampling : Å per pixel, for files without it.
    dataset, frame : of image files with several, as in `read_image`; the frame also of targets and
        tables with frames.
    """

    images: tuple[AnnotatedImage, ...]
    name: str
    sampling: float | None = None
    dataset: int | str | None = None
    frame: int | None = None
    dose: float | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self.images)

    def case(self, index: int) -> Case:
        """See `Dataset.case`.

        Raises
        ------
        OSError
            A file cannot be read.
        ValueError
            The image is a stack, or the target is not of its shape.
        """
        files = self.images[index]
        recorded = read_image(files.image, self.dataset, self.frame)
        image = _plane(recorded.data, files.image)
        truth = None
        if files.target is not None:
            target = read_image(files.target).data
            truth = _plane(target if target.ndim == 2 else self._of_frame(target), files.target)
        if truth is not None and truth.shape != image.shape:
            raise ValueError(f"{files.target}: of shape {truth.shape}, its image of {image.shape}")
        columns = None if files.points is None else reference_columns(files.points)
        if columns is not None and self.frame is not None and "frame" in columns:
            columns = columns[columns["frame"] == self.frame].reset_index(drop=True)
        found = recorded.sampling if self.sampling is None else self.sampling
        sampling = None if found is None else float(np.mean(found))
        return Case(files.image.stem, image, truth, columns, sampling)

    def _of_frame(self, stack: NDArray[Any]) -> NDArray[Any]:
        return stack if self.frame is None else stack[self.frame]


@dataclass(frozen=True)
class LibraryDataset:
    """The first samples of a library on disk, written here or published as TEM ImageNet v1.3 is.

    Attributes
    ----------
    library : an open library.
    count : of its samples, at most.
    sampling : Å per pixel, for samples that do not say.
    """

    library: Library
    count: int
    sampling: float | None = None
    dose: float | None = field(default=None, init=False)

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.library.folder.resolve().name

    def __len__(self) -> int:
        return min(self.count, len(self.library))

    def case(self, index: int) -> Case:
        """See `Dataset.case`.

        In a public library the picture without noise is brought to the units of the image first,
        see `rescaled`.

        Raises
        ------
        LibraryError
            A file is missing or damaged.
        """
        sample = self.library.sample(index)
        truth = sample.ideal
        if truth is not None and self.library.header is None:
            truth = rescaled(sample.image, {"no_noise": truth})["no_noise"]
        known = {"position", "position_radius"} & set(sample.targets) or len(sample.columns)
        sampling = sample.sampling if sample.sampling is not None else self.sampling
        return Case(
            f"{self.name}-{sample.name}",
            sample.image,
            truth,
            sample.columns if known else None,
            sampling,
        )


def open_folder(folder: Path, sampling: float | None = None) -> FileDataset:
    """The images of a folder beside `NAME.csv` or `NAME_points.csv` and `NAME_target`.

    Raises
    ------
    OSError
        There is no such folder.
    ValueError
        There is no truth beside any image.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    images = tuple(i for i in annotated_images(folder) if i.points or i.target)
    if not images:
        raise ValueError(
            f"{folder}: no truth beside any image; beside NAME.tif, it is a file NAME.csv, "
            f"NAME{POINTS}.csv or NAME{TARGET}.tif"
        )
    return FileDataset(images, folder.resolve().name, sampling)


def reference_columns(path: Path) -> pd.DataFrame:
    """Columns of a table that `read_columns` reads, or of one with numbers only.

    Without a line of names, rows and columns of pixels come first, as in StatSTEM's references.

    Raises
    ------
    OSError
        The file is missing or neither.
    """
    try:
        return read_columns(path)
    except FileNotFoundError:
        raise
    except OSError:
        try:
            numbers = np.loadtxt(path, delimiter=",", ndmin=2)
        except (ValueError, UnicodeDecodeError):
            numbers = np.zeros((0, 0))
        if numbers.shape[1] < 2:
            raise
        return pd.DataFrame(numbers[:, :2], columns=["y", "x"])


def write_case(folder: Path, case: Case) -> None:
    """Write a case as files for `open_folder`.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    write_image(folder / f"{case.name}.tif", case.image, case.sampling)
    if case.truth is not None:
        write_image(folder / f"{case.name}{TARGET}.tif", case.truth, case.sampling)
    if case.columns is not None:
        write_columns(folder / f"{case.name}.csv", case.columns, {"sampling": case.sampling})


def _plane(data: object, path: Path) -> Image:
    image = np.asarray(data, dtype=np.float32)
    if image.ndim != 2:
        raise ValueError(f"{path}: of shape {image.shape}; only single images are evaluated")
    return image


DOSES = (5e2, 5e3, 5e4)
"""Default doses of data sets that need one, e⁻/Å²."""
TOGETHER = ","
"""Separator of an image and the table of its columns."""

Data = str | Path | dict[str, Any] | SimulationRecipe | Dataset


def open_datasets(
    data: Sequence[Data],
    *,
    doses: Sequence[float] = (),
    images: int = 20,
    seed: int = 0,
    shape: tuple[int, int] = (256, 256),
    sampling: float | None = None,
    dataset: int | str | None = None,
    frame: int | None = None,
) -> list[Dataset]:
    """Open data sets, those with a dose once for each dose.

    Parameters
    ----------
    data : each a name of "crystals", "multislice", "noise", "vacuum" or "amorphous"; a recipe as
        `load_recipe` takes it; the folder of a library; a folder as `open_folder` takes it;
        "IMAGE,COLUMNS.csv", two files; or a data set.
    doses : e⁻/Å² of the beam; without any, recipes have their own and the others `DOSES`.
    images : of each data set and dose that is simulated, and of a library.
    seed, shape : of what is simulated; multislice has its own shape.
    sampling : Å a pixel of files that do not say.
    dataset, frame : of image files with several, as in `read_image`.

    Raises
    ------
    ValueError
        A name is not known, or a number out of range.
    OSError
        A file or folder is not there.
    """
    if images < 1 or seed < 0 or min(shape) < 16:
        raise ValueError(
            f"images={images!r}, seed={seed!r}, shape={shape!r} must be at least 1, 0 and (16, 16)"
        )
    if not all(dose > 0 for dose in doses):
        raise ValueError(f"doses={tuple(doses)!r} must be positive")
    sets: list[Dataset] = []
    for each in data:
        if isinstance(each, str | Path | dict | SimulationRecipe):
            opened = _opened(each, tuple(doses), images, seed, shape, sampling)
            sets += [
                replace(one, dataset=dataset, frame=frame) if isinstance(one, FileDataset) else one
                for one in opened
            ]
        else:
            sets.append(each)
    keys = [(one.name, one.dose) for one in sets]
    twice = [key for key in keys if keys.count(key) > 1]
    if twice:
        raise ValueError(f"data: two data sets are called {twice[0][0]!r}")
    return sets


def _opened(
    data: str | Path | dict[str, Any] | SimulationRecipe,
    doses: tuple[float, ...],
    images: int,
    seed: int,
    shape: tuple[int, int],
    sampling: float | None,
) -> list[Dataset]:
    if data == "crystals":
        return [Crystals(dose, images, seed, shape) for dose in doses or DOSES]
    if data == "multislice":
        return [Multislice(dose, images, seed) for dose in doses or DOSES]
    if data == "noise":
        return [EmptyField("noise", None, images, seed, shape)]
    if data in FIELDS:
        return [EmptyField(str(data), dose, images, seed, shape) for dose in doses or DOSES]
    if isinstance(data, str | Path):
        files = _from_files(str(data), images, sampling)
        if files is not None:
            return [files]
    recipe = load_recipe(data)
    counts = any(part.kind in COUNTING for part in recipe.distortions)
    levels = doses if counts and doses else (None,)
    return [SimulatedDataset(recipe, dose, images, seed, shape) for dose in levels]


def _from_files(
    data: str, images: int, sampling: float | None
) -> FileDataset | LibraryDataset | None:
    """The data set of a folder or of an image with its columns; None for a name."""
    if TOGETHER in data:
        image, columns = (Path(part.strip()) for part in data.rsplit(TOGETHER, 1))
        for path in (image, columns):
            if not path.is_file():
                raise FileNotFoundError(f"{path}: no such file")
        return FileDataset((AnnotatedImage(image=image, points=columns),), image.stem, sampling)
    path = Path(data)
    is_recipe = path.suffix in (".yaml", ".yml") or data in recipes()
    if is_recipe:
        return None
    if path.is_dir() and is_library(path):
        return LibraryDataset(open_library(path), images, sampling)
    if path.is_dir() or path.name != data:
        return open_folder(path, sampling)
    known = ", ".join(("crystals", "multislice", *FIELDS, *recipes()))
    raise ValueError(f"data={data!r} is not known; choose one of {known}, or give a folder")
