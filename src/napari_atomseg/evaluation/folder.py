"""Data sets from files: measured images, or whatever somebody simulated."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from napari_atomseg.evaluation.case import Case, Image
from napari_atomseg.io import read_columns, read_image, write_columns, write_image
from napari_atomseg.training.sources.annotated import AnnotatedImage
from napari_atomseg.training.sources.folder import POINTS, TARGET, annotated_images


@dataclass(frozen=True)
class Files:
    """Images beside what is known of them.

    Attributes
    ----------
    images : the files of each; labels are not used.
    name : of the data set.
    sampling : Å a pixel of images whose files do not say.
    """

    images: tuple[AnnotatedImage, ...]
    name: str
    sampling: float | None = None
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
        recorded = read_image(files.image)
        image = _plane(recorded.data, files.image)
        truth = (
            None if files.target is None else _plane(read_image(files.target).data, files.target)
        )
        if truth is not None and truth.shape != image.shape:
            raise ValueError(f"{files.target}: of shape {truth.shape}, its image of {image.shape}")
        columns = None if files.points is None else reference_columns(files.points)
        found = recorded.sampling if self.sampling is None else self.sampling
        sampling = None if found is None else float(np.mean(found))
        return Case(files.image.stem, image, truth, columns, sampling)


def open_folder(folder: Path, sampling: float | None = None) -> Files:
    """The images of a folder beside `NAME.csv` or `NAME_points.csv` and `NAME_target`.

    Raises
    ------
    OSError
        There is no such folder.
    ValueError
        Nothing tells what its images show.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    images = tuple(i for i in annotated_images(folder) if i.points or i.target)
    if not images:
        raise ValueError(
            f"{folder}: nothing tells what its images show; beside NAME.tif, a file NAME.csv, "
            f"NAME{POINTS}.csv or NAME{TARGET}.tif does"
        )
    return Files(images, folder.resolve().name, sampling)


def reference_columns(path: Path) -> pd.DataFrame:
    """Columns of a table as `read_columns` reads it, or of one of bare numbers.

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
    """Write a case as `open_folder` reads it.

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
