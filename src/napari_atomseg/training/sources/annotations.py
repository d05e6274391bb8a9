"""Annotations of an image as targets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg import imaging
from napari_atomseg._shared.geometry import median_spacing
from napari_atomseg.imaging import FWHM_PER_SIGMA
from napari_atomseg.simulation.targets import SMALL, SPOT_WIDTH
from napari_atomseg.training.sources.base import ELEMENTS
from napari_atomseg.training.sources.frames import Frame, as_image

RADIUS = 0.3
"""Radius of the discs relative to the distance of nearest columns, where none is given."""
SPOT = SPOT_WIDTH / (0.5 * FWHM_PER_SIGMA)
"""Width of the spots of `gaussian_mask` relative to the discs' radius, as the simulator has it."""
UNNAMED = "column"
"""Species of points of which none is given."""


@dataclass(frozen=True)
class Annotated:
    """An image or stack, and at least one of points, labels and target.

    Attributes
    ----------
    image : (H, W), or of a stack (..., H, W), real numbers.
    points : (P, 2) positions (y, x) of columns in pixels; of a stack (P, 3) with the number of the
        frame first, which counts over all leading axes.
    species : a name a point.
    labels : whole numbers of the image's shape: 0, or the number of a pixel's column. A mask, which
        has one number for all columns, is divided into its connected parts.
    target : the image without noise, of its shape and in its units.
    name : that error messages call it by.

    Frames of a stack in which nothing is marked are left out.
    """

    image: NDArray[Any]
    points: NDArray[Any] | None = None
    species: Sequence[str] | None = None
    labels: NDArray[Any] | None = None
    target: NDArray[Any] | None = None
    name: str = "image"


@dataclass(frozen=True)
class Marked:
    """One frame and its annotation: `points` (P, 2) of `species` (P,), `labels` and `target`
    (H, W), each None without one.
    """

    image: NDArray[np.float32]
    points: NDArray[np.float64] | None
    species: tuple[str, ...]
    labels: NDArray[np.int64] | None
    target: NDArray[np.float32] | None


def marked_frames(annotated: Annotated) -> list[Marked]:
    """The frames in which something is marked.

    Raises
    ------
    ValueError
        There is no annotation, or it does not fit the image; the message names the image and the
        fault.
    """
    name, image = annotated.name, as_image(annotated.image, annotated.name)
    points = None if annotated.points is None else _checked_points(annotated, image.shape)
    species = _checked_species(annotated, points)
    labels, target = annotated.labels, None
    if labels is not None:
        labels = _checked_labels(np.asarray(labels), np.shape(annotated.image), name)
    if annotated.target is not None:
        _same_shape(annotated.target, annotated.image, name, "target")
        target = as_image(annotated.target, f"target of {name}")
    if points is None and labels is None and target is None:
        raise ValueError(f"{name}: has neither points nor labels nor a target to learn from")
    frames = []
    for number, one in enumerate(image):
        marks: NDArray[np.float64] | None = None
        kinds: tuple[str, ...] = ()
        if points is not None:
            here = points[:, 0] == number
            marks, kinds = points[here, 1:], tuple(np.array(species)[here].tolist())
        regions = None if labels is None else labels[number]
        clean = None if target is None else target[number]
        if (marks is None or len(marks)) and (regions is None or regions.any()):
            frames.append(Marked(one, marks, kinds, regions, clean))
    if not frames:
        raise ValueError(f"{name}: no frame has both points and labels")
    return frames


def column_radius(frames: Iterable[Marked]) -> float:
    """`RADIUS` times the median distance of nearest points, in pixels, and at least one.

    Raises
    ------
    ValueError
        No frame has two points.
    """
    spacing = median_spacing(*(p for frame in frames if (p := centres(frame)) is not None))
    if math.isnan(spacing):
        raise ValueError("radius: no image has two columns, whose distance gives it; give it (px)")
    return max(RADIUS * spacing, 1.0)


def centres(frame: Marked) -> NDArray[np.float64] | None:
    """(P, 2) positions of the columns: the points, or the centres of the labels."""
    if frame.points is not None or frame.labels is None:
        return frame.points
    pixels = np.argwhere(frame.labels > 0)
    _, number, count = np.unique(
        frame.labels[frame.labels > 0], return_inverse=True, return_counts=True
    )
    sums = [np.bincount(number, weights=axis) / count for axis in pixels.T.astype(float)]
    return np.stack(sums, axis=1)


def frame_of(marked: Marked, radius: float, species: Sequence[str]) -> Frame:
    """A frame with all targets that follow from its annotation.

    Parameters
    ----------
    radius : of the discs, px.
    species : names of the channels of `elements`.
    """
    shape, targets = marked.image.shape, {}
    points = centres(marked)
    if marked.target is not None:
        targets["no_noise"] = torch.from_numpy(marked.target)[None]
    if points is not None:
        discs = _discs(points, radius, shape)
        targets["circular_mask"] = discs
        targets["small_circular_mask"] = _discs(points, SMALL * radius, shape)
        targets["gaussian_mask"] = _spots(points, max(SPOT * radius, 1.0), shape)
    if marked.labels is not None:
        targets["circular_mask"] = torch.from_numpy((marked.labels > 0).astype(np.float32))[None]
    if marked.points is not None:
        kinds = np.array(marked.species)
        maps = [_discs(marked.points[kinds == kind], radius, shape) for kind in species]
        targets[ELEMENTS] = torch.cat(maps) if maps else torch.zeros((0, *shape))
    return Frame(torch.from_numpy(marked.image), targets)


def _discs(points: NDArray[np.float64], radius: float, shape: tuple[int, ...]) -> Tensor:
    y, x = torch.from_numpy(points.T.astype(np.float32))[:, None]
    size = (shape[0], shape[1])
    return imaging.circular_masks(y, x, torch.ones_like(y), torch.tensor([radius]), size)


def _spots(points: NDArray[np.float64], width: float, shape: tuple[int, ...]) -> Tensor:
    y, x = torch.from_numpy(points.T.astype(np.float32))[:, None]
    one = torch.ones_like(y)
    return imaging.gaussians(y, x, one, width * one, (shape[0], shape[1])).clamp_max(1.0)


def _checked_points(annotated: Annotated, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """(P, 3) frame, y and x."""
    name, dimensions = annotated.name, min(np.ndim(annotated.image), 3)
    points = np.asarray(annotated.points, dtype=np.float64)
    if not points.size:
        raise ValueError(f"{name}: its points are empty; mark its columns, or leave it out")
    if points.ndim != 2 or points.shape[1] != dimensions:
        raise ValueError(
            f"{name}: points must be (P, {dimensions}) for an image of shape "
            f"{np.shape(annotated.image)}, not {points.shape}"
        )
    if not np.isfinite(points).all():
        raise ValueError(f"{name}: some of its points are not finite")
    if dimensions == 2:
        points = np.column_stack([np.zeros(len(points)), points])
    points[:, 0] = np.rint(points[:, 0])
    limits = np.array(shape) - 0.5
    if not ((points >= -0.5) & (points < limits)).all(axis=1).any():
        raise ValueError(
            f"{name}: no point lies in its {shape[1]} × {shape[2]} pixels; positions are (y, x) "
            "in pixels"
        )
    return points


def _checked_species(annotated: Annotated, points: NDArray[np.float64] | None) -> tuple[str, ...]:
    count = 0 if points is None else len(points)
    if annotated.species is None:
        return (UNNAMED,) * count
    if len(annotated.species) != count:
        raise ValueError(
            f"{annotated.name}: has {len(annotated.species)} species for {count} points"
        )
    return tuple(str(each) for each in annotated.species)


def _checked_labels(labels: NDArray[Any], shape: tuple[int, ...], name: str) -> NDArray[np.int64]:
    """(N, H, W) labels."""
    from skimage.measure import label

    _same_shape(labels, np.empty(shape, bool), name, "labels")
    if labels.dtype.kind not in "bui":
        raise ValueError(f"{name}: labels must be whole numbers, not {labels.dtype}")
    labels = labels.reshape(-1, *shape[-2:]).astype(np.int64)
    if not (labels > 0).any():
        raise ValueError(f"{name}: its labels are empty; mark its columns, or leave it out")
    if len(np.unique(labels[labels > 0])) == 1:
        labels = np.stack([label(each > 0) for each in labels])
    return labels


def _same_shape(array: NDArray[Any], image: NDArray[Any], name: str, what: str) -> None:
    if np.shape(array) != np.shape(image):
        raise ValueError(
            f"{name}: {what} of shape {np.shape(array)} do not fit the image of shape "
            f"{np.shape(image)}"
        )
