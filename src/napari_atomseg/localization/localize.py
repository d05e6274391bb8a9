"""From an image to the table of its columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from napari_atomseg import inference, weights
from napari_atomseg._shared.types import Labels, Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference.api import CONTRASTS, as_frames
from napari_atomseg.inference.scale import estimate_spacing, guess_contrast
from napari_atomseg.localization.detect import (
    Detections,
    columns_from_map,
    columns_from_peaks,
    species_of,
)
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.windows import nearest_neighbours
from napari_atomseg.localization.refine import Refinement, check_choices
from napari_atomseg.localization.table import column_table, joined, measured_columns
from napari_atomseg.networks.card import ModelCard, read_card
from napari_atomseg.networks.tasks import ELEMENTS
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.trust.judge import DENOISED, Judge


def region_labels(region: Any, shape: tuple[int, int]) -> Labels:
    """Number the pixels of each region of interest, 0 outside of all.

    Parameters
    ----------
    region : (H, W) boolean mask, or (H, W) integer labels, or a sequence of polygons (V, 2) of
        corners y, x in pixels, which are numbered from 1 in their order.
    shape : (H, W) of the image.

    Raises
    ------
    ValueError
        It is none of these, or of another shape.
    """
    accepted = f"a boolean or label image of shape {shape}, or polygons (V, 2) of y, x"
    if isinstance(region, Sequence):
        return _polygons([np.asarray(corners) for corners in region], shape, accepted)
    labels = np.asarray(region)
    if labels.shape != shape or labels.dtype.kind not in "bui":
        found = f"{labels.dtype} of shape {labels.shape}"
        raise ValueError(f"region is {found}; it must be {accepted}")
    return labels.astype(np.int32)


def _polygons(polygons: list[NDArray[Any]], shape: tuple[int, int], accepted: str) -> Labels:
    labels = np.zeros(shape, np.int32)
    for number, corners in enumerate(polygons, start=1):
        if corners.ndim != 2 or corners.shape[1] != 2 or len(corners) < 3:
            raise ValueError(
                f"region has a polygon of shape {corners.shape}; it must be {accepted}"
            )
        labels[polygon2mask(shape, corners.astype(float))] = number
    return labels


def regions_at(labels: Labels, y: NDArray[np.float64], x: NDArray[np.float64]) -> Labels:
    """(N,) numbers of the regions at positions, those beyond the border at the nearest pixel."""
    last = np.array(labels.shape) - 1
    row = np.clip(np.rint(y), 0, last[0]).astype(int)
    col = np.clip(np.rint(x), 0, last[1]).astype(int)
    found: Labels = labels[row, col]
    return found


DETECTORS = ("network", "peaks")
EDGES = ("keep", "drop")
IMAGES = ("raw", "restored", "both")
"""Images that columns are measured on."""
COLUMN_MAP = "column_map"
EDGE = 0.5
"""Columns nearer to the border than this fraction of the typical spacing are cut by it."""

Frames = NDArray[np.float64]


def localize(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    refine: str = "gaussian",
    *,
    detector: str = "network",
    widths: str = "shared",
    backgrounds: str = "local",
    likelihood: str = "auto",
    on: str = "raw",
    region: Any = None,
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
    image : (H, W) or a stack (..., H, W) of real numbers; NaN pixels are not measured, nor are
        plateaus of saturated ones.
    model : name of a model, path of a weights file, or None for the default.
    sampling : Å a pixel, one number or (dy, dx).
    refine : how positions are measured: "none" (centroids of the detector's map), "centroid" (of
        intensity, in the column's cell), "centre_of_mass" (in a disc, as Atomap does), independent
        fits of "gaussian" (round), "elliptic" (along the image's axes) or "rotated" (elliptic along
        any axes) columns, or "joint" (round ones, all together).
    detector : "network", or "peaks" of the filtered image, without a model.
    widths : "shared" by all columns of a joint fit, or "free".
    backgrounds : of a joint fit, "local" to the cell of each column, or one "shared" by all, which
        knows volumes much better where the background is as even as that.
    likelihood : noise that fits are to expect: "gaussian" (the same everywhere), "poisson" (counts,
        or a multiple of them), or "auto", both together with any zero, as the residuals say.
    on : measure columns on the "raw" image, on the "restored" one of the model, or on "both". A
        restored image gives no standard errors, as its noise is not that of single pixels.
    region : measure only columns in it: a boolean mask (H, W), labels (H, W), or polygons (V, 2)
        of y, x in pixels.
    contrast : "bright" or "dark" columns; "auto" looks.
    device, precision, tile_size : as in `predict`.
    edge : "keep" or "drop" columns that the border of the image cuts.
    min_score : columns found with a lower score are dropped; by default those that are more likely
        none, where scores are probabilities.

    Returns
    -------
    One row a column: ``y``, ``x`` and their standard errors ``y_err``, ``x_err`` (pixels);
    ``sigma`` (pixels), of ellipses the geometric mean; ``amplitude``, ``background`` (units of the
    image; the amplitude of dark columns is negative) and ``volume`` 2π σ² amplitude, with its
    standard error ``volume_err``; ``converged``, whether the measurement came to an end;
    ``ellipticity``, long over short width, and ``angle``, of the long axis in degrees from x
    towards y, where ellipses are fitted; ``score`` of the detection in 0..1, the
    probability that the column is real where the model is calibrated; ``label``, its number in
    `segment` where the network detects. Where it does, also ``consistency``, z of the raw image
    against the restored one (negative: the raw image shows less of a column); ``signal``, the
    height over its error; and ``in_range``, whether it looks like the columns that the model was
    trained on; and ``species`` where the model tells them apart. On "both" images
    ``y_restored``, ``x_restored``, ``sigma_restored``, ``amplitude_restored``,
    ``background_restored`` and ``volume_restored`` follow; with `region` its number ``region``.
    With `sampling` also ``y_angstrom``, ``x_angstrom``; for a stack, first of all, ``frame``
    (over all leading axes). What was not measured is NaN: a fit that failed leaves the detected
    position with NaN errors. ``attrs`` holds how the table was made, whether the score is
    ``calibrated``, and in ``training_range`` whether the image is like those of the training.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, or the model restores nothing; the message names it.
    WeightsError
        The model's file cannot be used.
    Cancelled
        `cancel` was raised.
    """
    refinement = Refinement(refine, widths, backgrounds, likelihood, device)
    check_choices(detector=(detector, DETECTORS), edge=(edge, EDGES))
    check_choices(contrast=(contrast, CONTRASTS), on=(on, IMAGES))
    pixel = pixel_size(sampling)
    frames, shape = as_frames(image)
    regions = None if region is None else region_labels(region, (shape[-2], shape[-1]))
    raw = np.asarray(image).reshape(frames.shape).astype(np.float64)
    attrs: dict[str, Any] = {"detector": detector, "refine": refine, "edge": edge}
    attrs |= {"widths": widths, "backgrounds": backgrounds} if refine == "joint" else {}
    attrs |= {"likelihood": likelihood, "on": on}
    judge, prediction, elements = None, None, None
    if detector == "network" or on != "raw":
        path = weights.resolve(model)
        card = read_card(path)
        prediction = inference.predict(
            image,
            _tasks(card, detector, on),
            model=path,
            sampling=sampling,
            contrast=contrast,
            device=device,
            precision="half" if precision == "auto" else precision,
            tile_size=tile_size,
            progress=progress,
            cancel=cancel,
        )
        contrast = prediction.contrast
        attrs |= {"model": prediction.model, "sha256": prediction.sha256}
    if prediction is not None and detector == "network":
        maps = prediction.maps[COLUMN_MAP].reshape(frames.shape)
        if ELEMENTS in prediction.maps:
            elements = prediction.maps[ELEMENTS].reshape(len(frames), -1, *frames.shape[1:])
        mean = None if pixel is None else float(np.mean(pixel))
        judge = Judge(image, prediction, card, path, mean, min_score)
    else:
        middle = frames[len(frames) // 2]
        spacing = estimate_spacing(middle, None if pixel is None else float(np.mean(pixel)))
        contrast = guess_contrast(middle, spacing) if contrast == "auto" else contrast
    sign = -1.0 if contrast == "dark" else 1.0
    restored = None
    if prediction is not None and on != "raw":
        restored = prediction.maps[DENOISED].reshape(frames.shape).astype(np.float64)
    measure = _Measure(refinement, sign, raw, restored, on, regions)
    tables = []
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Measuring columns")
        if np.ptp(frame) == 0:
            found = columns_from_map(np.zeros_like(frame))
        elif detector == "network":
            found = columns_from_map(maps[number])
        else:
            found = columns_from_peaks(sign * frame, spacing)
        measured, inside = measure(number, found, cancel)
        judged = None
        if judge is not None:
            judged = judge.columns(number, found.y, found.x, found.score)
        table = column_table(measured, found, pixel, judged)
        if elements is not None and prediction is not None:
            table["species"] = species_of(found, elements[number], prediction.species)
        least = judge.least if judge is not None else min_score or 0.0
        keep = inside & (table["score"] >= least).to_numpy()
        if edge == "drop":
            keep &= ~_cut(found, frame.shape)
        tables.append(table[keep].reset_index(drop=True))
    report(progress, cancel, len(frames), len(frames), "Measuring columns")
    attrs |= {"contrast": contrast, "sampling": sampling}
    if judge is not None:
        attrs |= {"calibrated": judge.calibrated, "training_range": judge.verdict()}
    return joined(tables, stacked=len(shape) > 2, attrs=attrs)


@dataclass(frozen=True)
class _Measure:
    """Measures the columns that were found in a frame, on the images that were asked for."""

    refinement: Refinement
    sign: float
    raw: Frames
    restored: Frames | None
    on: str
    regions: NDArray[np.int32] | None

    def __call__(
        self, number: int, found: Detections, cancel: CancelToken | None
    ) -> tuple[dict[str, Any], NDArray[np.bool_]]:
        """Columns of the table, and (N,) which of the detections are in a region."""
        inside = np.ones(len(found), dtype=bool)
        numbers = {}
        if self.regions is not None:
            numbers["region"] = regions_at(self.regions, found.y, found.x)
            inside = numbers["region"] > 0

        def fits(frames: Frames) -> Fits:
            image = self.sign * frames[number]
            if inside.all():
                return self.refinement(image, found.y, found.x, cancel)
            return self.refinement.some(image, found.y, found.x, inside, cancel)

        refine, sign = self.refinement.refine, self.sign
        if self.restored is None:
            return measured_columns(fits(self.raw), sign, refine) | numbers, inside
        there = measured_columns(_without_errors(fits(self.restored)), sign, refine)
        if self.on == "restored":
            return there | numbers, inside
        names = ("y", "x", "sigma", "amplitude", "background", "volume")
        also = {f"{name}_restored": there[name] for name in names}
        return measured_columns(fits(self.raw), sign, refine) | also | numbers, inside


def _without_errors(fits: Fits) -> Fits:
    missing = np.full(len(fits.y), np.nan)
    return replace(fits, y_err=missing, x_err=missing, volume_err=missing)


def _tasks(card: ModelCard, detector: str, on: str) -> list[str]:
    """Maps that are needed of a model."""
    if on != "raw" and DENOISED not in card.tasks:
        raise ValueError(f"on={on!r} needs a model that restores images; {card.name!r} does not")
    wanted = [COLUMN_MAP, ELEMENTS] if detector == "network" else []
    return [task for task in (*wanted, DENOISED) if task == COLUMN_MAP or task in card.tasks]


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
