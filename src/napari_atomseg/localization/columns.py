"""From an image to the table of its columns, and to one label a column."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from skimage.segmentation import watershed

from napari_atomseg import inference, weights
from napari_atomseg.inference.api import CONTRASTS
from napari_atomseg.inference.arrays import as_frames
from napari_atomseg.inference.scale import estimate_spacing, guess_contrast
from napari_atomseg.localization.centroids import centroids
from napari_atomseg.localization.detect import Detections, columns_from_map, species_of
from napari_atomseg.localization.fits import Fits, fit_gaussians
from napari_atomseg.localization.joint import fit_jointly
from napari_atomseg.localization.peaks import columns_from_peaks
from napari_atomseg.localization.table import Sampling, column_table, joined, pixel_size
from napari_atomseg.localization.windows import nearest_neighbours
from napari_atomseg.networks.abilities import ELEMENTS
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.device import choose_device
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.trust.judge import DENOISED, Judge

REFINEMENTS = ("none", "centroid", "gaussian", "joint")
DETECTORS = ("network", "peaks")
EDGES = ("keep", "drop")
EDGE = 0.5
"""Columns nearer to the border than this fraction of the typical spacing are cut by it."""
MASK_THRESHOLD = 0.5


def localize(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    refine: str = "gaussian",
    *,
    detector: str = "network",
    contrast: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile_size: int = 1024,
    edge: str = "keep",
    min_score: float | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> pd.DataFrame:
    """Find the atomic columns of an image and measure them.

    Parameters
    ----------
    image : (H, W) or a stack (..., H, W) of real numbers; NaN pixels are not measured.
    model : name of a model, path of a weights file, or None for the default.
    sampling : Å a pixel, one number or (dy, dx).
    refine : how positions are measured on the image as given: "none" (centroids of the detector's
        map), "centroid" (of intensity), "gaussian" (independent fits) or "joint" (all together).
    detector : "network", or "peaks" of the filtered image, without a model.
    contrast : "bright" or "dark" columns; "auto" looks.
    device, precision, tile_size : as in `predict`.
    edge : "keep" or "drop" columns that the border of the image cuts.
    min_score : columns found with a lower score are dropped; by default those that are more likely
        none, where scores are probabilities.

    Returns
    -------
    One row a column: ``y``, ``x`` and their standard errors ``y_err``, ``x_err`` (pixels);
    ``sigma`` (pixels); ``amplitude``, ``background`` (units of the image; the amplitude of dark
    columns is negative) and ``volume`` 2π σ² amplitude; ``score`` of the detection in 0..1, the
    probability that the column is real where the model is calibrated; ``label``, its number in
    `segment` where the network detects. Where it does, also ``consistency``, z of the raw image
    against the restored one (negative: the raw image shows less of a column); ``signal``, the
    height over its error; and ``in_range``, whether it looks like the columns that the model was
    trained on; and ``species`` where the model tells them apart. With `sampling` also
    ``y_angstrom``, ``x_angstrom``; for a stack, first of all, ``frame`` (over all leading axes).
    What was not measured is NaN: a fit that failed leaves the detected position with NaN errors.
    ``attrs`` holds how the table was made, whether the score is ``calibrated``, and in
    ``training_range`` whether the image is like those of the training.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.
    WeightsError
        The model's file cannot be used.
    Cancelled
        `cancel` was raised.
    """
    _check(refine=(refine, REFINEMENTS), detector=(detector, DETECTORS), edge=(edge, EDGES))
    _check(contrast=(contrast, CONTRASTS))
    pixel = pixel_size(sampling)
    frames, shape = as_frames(image)
    raw = np.asarray(image).reshape(frames.shape).astype(np.float64)
    attrs: dict[str, Any] = {"detector": detector, "refine": refine, "edge": edge}
    judge, elements = None, None
    if detector == "network":
        path = weights.resolve(model)
        card = read_card(path)
        prediction = inference.predict(
            image,
            ["column_map", *(task for task in (DENOISED, ELEMENTS) if task in card.tasks)],
            model=path,
            sampling=sampling,
            contrast=contrast,
            device=device,
            precision="half" if precision == "auto" else precision,
            tile_size=tile_size,
            progress=progress,
            cancel=cancel,
        )
        maps = prediction.maps["column_map"].reshape(frames.shape)
        if ELEMENTS in prediction.maps:
            elements = prediction.maps[ELEMENTS].reshape(len(frames), -1, *frames.shape[1:])
        contrast = prediction.contrast
        attrs |= {"model": prediction.model, "sha256": prediction.sha256}
        mean = None if pixel is None else float(np.mean(pixel))
        judge = Judge(image, prediction, card, path, mean, min_score)
    else:
        middle = frames[len(frames) // 2]
        spacing = estimate_spacing(middle, None if pixel is None else float(np.mean(pixel)))
        contrast = guess_contrast(middle, spacing) if contrast == "auto" else contrast
    sign = -1.0 if contrast == "dark" else 1.0
    where = _fit_device(device)
    tables = []
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Measuring columns")
        if np.ptp(frame) == 0:
            found = columns_from_map(np.zeros_like(frame))
        elif detector == "network":
            found = columns_from_map(maps[number])
        else:
            found = columns_from_peaks(sign * frame, spacing)
        fits = _refined(sign * raw[number], found, refine, where, cancel)
        judged = None
        if judge is not None:
            judged = judge.columns(number, found.y, found.x, found.score)
        table = column_table(fits, found, sign, pixel, judged)
        if elements is not None:
            table["species"] = species_of(found, elements[number], prediction.species)
        keep = table["score"] >= (judge.least if judge is not None else min_score or 0.0)
        if edge == "drop":
            keep &= ~_cut(found, frame.shape)
        tables.append(table[keep].reset_index(drop=True))
    report(progress, cancel, len(frames), len(frames), "Measuring columns")
    attrs |= {"contrast": contrast, "sampling": sampling}
    if judge is not None:
        attrs |= {"calibrated": judge.calibrated, "training_range": judge.verdict()}
    return joined(tables, stacked=len(shape) > 2, attrs=attrs)


def segment(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    contrast: str = "auto",
    device: str = "auto",
    precision: str = "auto",
    tile_size: int = 1024,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> NDArray[np.int32]:
    """Label the pixels of each atomic column.

    The columns are those of `localize` of any score; each grows over the model's column mask, by
    watershed from its place in the column map.

    Parameters
    ----------
    image, model, sampling, contrast, device, precision, tile_size : as in `localize`.

    Returns
    -------
    int32 labels of the image's shape: 0 is no column, k the column with ``label`` k in the table
    of `localize`. Every frame of a stack is numbered from 1.

    Raises
    ------
    ValueError, TypeError, WeightsError, Cancelled
        As in `localize`.
    """
    _check(contrast=(contrast, CONTRASTS))
    pixel_size(sampling)
    frames, shape = as_frames(image)
    prediction = inference.predict(
        image,
        ("column_map", "column_mask"),
        model=model,
        sampling=sampling,
        contrast=contrast,
        device=device,
        precision=precision,
        tile_size=tile_size,
        progress=progress,
        cancel=cancel,
    )
    maps = prediction.maps["column_map"].reshape(frames.shape)
    masks = prediction.maps["column_mask"].reshape(frames.shape)
    labels = np.zeros(frames.shape, np.int32)
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Labelling columns")
        if np.ptp(frame) > 0:
            labels[number] = grown_labels(
                columns_from_map(maps[number]), maps[number], masks[number]
            )
    return labels.reshape(shape)


def grown_labels(
    found: Detections, column_map: NDArray[np.float32], column_mask: NDArray[np.float32]
) -> NDArray[np.int32]:
    """Labels (H, W) grown from detections over the mask; every detection keeps its own pixels."""
    mask = (np.nan_to_num(column_mask) > MASK_THRESHOLD) | (found.labels > 0)
    labels: NDArray[np.int32] = watershed(-np.nan_to_num(column_map), found.labels, mask=mask)
    return labels.astype(np.int32)


def _check(**arguments: tuple[str, tuple[str, ...]]) -> None:
    for name, (value, accepted) in arguments.items():
        if value not in accepted:
            raise ValueError(f"{name}={value!r}; choose one of {', '.join(accepted)}")


def _fit_device(name: str) -> torch.device:
    """Where fits run: they need double precision, which mps does not have."""
    device = choose_device(name)
    return torch.device("cpu") if device.type == "mps" else device


def _refined(
    image: NDArray[np.float64],
    found: Detections,
    refine: str,
    device: torch.device,
    cancel: CancelToken | None,
) -> Fits:
    if refine == "none" or len(found) == 0:
        missing = np.full((5, len(found)), np.nan)
        return Fits(found.y, found.x, *missing)
    finite = np.where(np.isfinite(image), image, np.nan)
    there = torch.from_numpy(finite).to(device)
    if refine == "centroid":
        return centroids(there, found.y, found.x)
    if refine == "gaussian":
        return fit_gaussians(there, found.y, found.x, cancel)
    return fit_jointly(there, found.y, found.x, cancel)


def _cut(found: Detections, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(N,) columns whose light the border of the image cuts."""
    spacing, _ = nearest_neighbours(found.y, found.x)
    near = spacing[np.isfinite(spacing)]
    area = np.bincount(found.labels.ravel())[1:]
    radius = EDGE * float(np.median(near)) if len(near) else np.sqrt(area / np.pi)
    height, width = shape
    border = np.minimum.reduce([found.y, found.x, height - 1 - found.y, width - 1 - found.x])
    cut: NDArray[np.bool_] = border < radius
    return cut
