"""Public functions: `localize` and `segment`, from an image to its columns."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from napari_atomseg import weights
from napari_atomseg._shared.types import Array, Labels, Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference import predict
from napari_atomseg.inference.api import Prediction, as_frames
from napari_atomseg.inference.scale import estimate_spacing, guess_contrast
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
)
from napari_atomseg.localization.completion.frame import Completed, Completion, frame_notes
from napari_atomseg.localization.detect import (
    Detections,
    columns_from_map,
    columns_from_peaks,
    grown_labels,
    species_of,
)
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.fit.windows import nearest_neighbours
from napari_atomseg.localization.settings import (
    DetectionSettings,
    FitSettings,
    LocalizeOptions,
    LocalizeSettings,
    Refine,
)
from napari_atomseg.localization.table import column_table, joined, measured_columns
from napari_atomseg.networks.card import ModelCard, read_card
from napari_atomseg.networks.tasks import COLUMNS, ELEMENTS
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.trust.judge import DENOISED, Judge

COLUMN_MAP, COLUMN_MASK = COLUMNS
EDGE = 0.5
"""Columns nearer to the border than this fraction of the typical spacing are cut by it."""


def localize(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    refine: Refine = "gaussian",
    *,
    region: Any = None,
    fit: FitSettings | None = None,
    detection: DetectionSettings | None = None,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[LocalizeOptions],
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
    region : measure only columns in it: a boolean mask (H, W), labels (H, W), or polygons (V, 2)
        of y, x in pixels.
    fit, detection, inference : settings of all that follows, in place of the defaults; keywords
        (and `model`, and a `refine` other than "gaussian") take precedence.
    widths : "shared" by all columns of a joint fit, or "free".
    backgrounds : of a joint fit, "local" to the cell of each column, or one "shared" by all, which
        gives more precise volumes where the background is as even as that.
    likelihood : noise that fits assume: "gaussian" (the same everywhere), "poisson" (counts, or a
        multiple of them), or "auto", a mixture of both with any zero, estimated from the residuals.
    detector : "network", or "peaks" of the filtered image, without a model.
    on : measure columns on the "raw" image, on the "restored" one of the model, or on "both". A
        restored image gives no standard errors, as its noise is not that of single pixels.
    edge : "keep" or "drop" columns that the border of the image cuts.
    min_score : columns with a lower score are dropped; by default those that are more likely no
        columns, where scores are probabilities.
    sensitivity : expected number of false columns in an image of noise. Columns that the detector
        missed are looked for in what the others leave of the raw image: one by one, and as whole
        sublattices where they stand out when it is averaged over the cells of the lattice.
        Detections that the raw image shows nothing of are dropped. 0 turns all of it off.
    contrast : "bright" or "dark" columns; "auto" looks at the image.
    device, precision, tile_size : as in `predict`.

    Returns
    -------
    One row a column: ``y``, ``x`` and their standard errors ``y_err``, ``x_err`` (pixels);
    ``sigma`` (pixels), of ellipses the geometric mean; ``amplitude``, ``background`` (units of the
    image; the amplitude of dark columns is negative) and ``volume`` 2π σ² amplitude, with its
    standard error ``volume_err``; ``converged``, whether the measurement came to an end;
    ``ellipticity``, long over short width, and ``angle``, of the long axis in degrees from x
    towards y, where ellipses are fitted; ``score`` of the detection in 0..1, the
    probability that the column is real where the model is calibrated; ``label``, its number in
    `segment` where the network detects, or one after those; ``significance``, the height in the
    raw image over the local noise of such heights; ``found_by``, "network" or "peaks", or
    "sublattice" or "residual" for columns that were added. Where the network detects, also
    ``consistency``, z of the raw image against the restored one (negative: the raw image shows
    less of a column); ``signal``, the height over its error; and ``in_range``, whether it looks
    like the columns that the model was trained on, which those that were added do not; and
    ``species`` where the model distinguishes them. On "both" images
    ``y_restored``, ``x_restored``, ``sigma_restored``, ``amplitude_restored``,
    ``background_restored`` and ``volume_restored`` follow; with `region` its number ``region``.
    With `sampling` also ``y_angstrom``, ``x_angstrom``; for a stack, first of all, ``frame``
    (over all leading axes). What was not measured is NaN: a fit that failed leaves the detected
    position with NaN errors. ``attrs`` holds how the table was made, whether the score is
    ``calibrated``, in ``training_range`` whether the image is like those of the training, and in
    ``notes`` what was added and dropped, a sentence each.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong, or the model restores nothing; the message names it.
    WeightsError
        The model's file cannot be used.
    Cancelled
        `cancel` was raised.
    """
    groups = (dict(group) for group in (fit, detection, inference) if group is not None)
    given: dict[str, Any] = {**options}
    given |= {} if model is None else {"model": model}
    given |= {} if refine == "gaussian" else {"refine": refine}
    chosen = LocalizeSettings(**ChainMap(given, *groups))
    pixel = pixel_size(sampling)
    frames, shape = as_frames(image)
    regions = None if region is None else region_labels(region, (shape[-2], shape[-1]))
    mean = None if pixel is None else float(np.mean(pixel))
    contrast: str = chosen.contrast
    prediction, judge, spacing = None, None, 0.0
    if chosen.detector == "network" or chosen.on != "raw":
        path = weights.resolve(chosen.model)
        card = read_card(path)
        prediction = predict(
            image,
            _tasks(card, chosen),
            model=path,
            sampling=sampling,
            inference=chosen,
            precision="half" if chosen.precision == "auto" else chosen.precision,
            progress=progress,
            cancel=cancel,
        )
        contrast = prediction.contrast
    if prediction is not None and chosen.detector == "network":
        judge = Judge(image, prediction, card, path, mean, chosen.min_score)
    else:
        middle = frames[len(frames) // 2]
        spacing = estimate_spacing(middle, mean)
        contrast = guess_contrast(middle, spacing) if contrast == "auto" else contrast
    sign = -1.0 if contrast == "dark" else 1.0
    find = _Detector(frames, sign, spacing, prediction if judge is not None else None)
    measure = _Measure(
        Refinement(chosen, chosen.device),
        sign,
        np.asarray(image).reshape(frames.shape).astype(np.float64),
        _restored(prediction, frames) if chosen.on != "raw" else None,
        chosen.on,
        regions,
    )
    least = judge.least if judge is not None else chosen.min_score or 0.0
    complete = Completion(chosen, chosen.device, chosen.sensitivity, chosen.detector, least)
    tables, remarks = [], []
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Measuring columns")
        found, judged = find(number), None
        if judge is not None:
            judged = judge.columns(number, found.y, found.x, found.score)
        score = found.score if judged is None else judged["score"].to_numpy()
        columns = complete(measure.sign * measure.raw[number], found, score, cancel)
        measured, inside = measure(number, columns, cancel)
        if judge is not None and judged is not None:
            seen = judge.seen(number, columns.y[columns.added], columns.x[columns.added])
            judged = columns.extended(judged, seen.consistency, seen.signal)
        table = column_table(measured, columns, pixel, judged)
        species = find.species(number, found, columns)
        if species is not None:
            table["species"] = species
        keep = inside & (table["score"] >= least).to_numpy()
        if chosen.edge == "drop":
            keep &= ~_cut(columns, found.labels, frame.shape)
        remarks.append(columns.notes)
        tables.append(table[keep].reset_index(drop=True))
    report(progress, cancel, len(frames), len(frames), "Measuring columns")
    notes = frame_notes(remarks)
    attrs = _record(chosen, prediction) | {
        "notes": notes,
        "contrast": contrast,
        "sampling": sampling,
    }
    if judge is not None:
        attrs |= {"calibrated": judge.calibrated, "training_range": judge.verdict()}
    return joined(tables, stacked=len(shape) > 2, attrs=attrs)


def segment(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[InferenceOptions],
) -> Labels:
    """Label the pixels of each atomic column.

    The columns are those of `localize` of any score; each grows over the model's column mask, by
    watershed from its place in the column map.

    Parameters
    ----------
    image, model, sampling, inference : as in `localize`.
    contrast, device, precision, tile_size : as in `localize`.

    Returns
    -------
    int32 labels of the image's shape: 0 is no column, k the column with ``label`` k in the table
    of `localize`; columns that `localize` adds are not labelled. Every frame of a stack is numbered
    from 1.

    Raises
    ------
    ValueError, TypeError, WeightsError, Cancelled
        As in `localize`.
    """
    frames, shape = as_frames(image)
    prediction = predict(
        image,
        COLUMNS,
        model=model,
        sampling=sampling,
        inference=inference,
        progress=progress,
        cancel=cancel,
        **options,
    )
    maps, masks = (prediction.maps[task].reshape(frames.shape) for task in COLUMNS)
    labels = np.zeros(frames.shape, np.int32)
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Labelling columns")
        if np.ptp(frame) > 0:
            found = columns_from_map(maps[number])
            labels[number] = grown_labels(found, maps[number], masks[number])
    return labels.reshape(shape)


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


def regions_at(labels: Labels, y: Array, x: Array) -> Labels:
    """(N,) numbers of the regions at positions, those beyond the border at the nearest pixel."""
    last = np.array(labels.shape) - 1
    row = np.clip(np.rint(y), 0, last[0]).astype(int)
    col = np.clip(np.rint(x), 0, last[1]).astype(int)
    found: Labels = labels[row, col]
    return found


@dataclass(frozen=True)
class _Detector:
    """Finds the columns of a frame, in the maps of a network or as peaks of the image."""

    frames: NDArray[Any]
    sign: float
    spacing: float
    prediction: Prediction | None

    def __call__(self, number: int) -> Detections:
        """The columns of a frame; none where it is constant."""
        frame = self.frames[number]
        if np.ptp(frame) == 0:
            return columns_from_map(np.zeros_like(frame))
        if self.prediction is None:
            return columns_from_peaks(self.sign * frame, self.spacing)
        return columns_from_map(self.prediction.maps[COLUMN_MAP].reshape(self.frames.shape)[number])

    def species(
        self, number: int, found: Detections, columns: Completed
    ) -> NDArray[np.str_] | None:
        """(N,) species of the columns of a frame; None where the network does not give them."""
        if self.prediction is None or ELEMENTS not in self.prediction.maps:
            return None
        maps = self.prediction.maps[ELEMENTS]
        maps = maps.reshape(len(self.frames), -1, *self.frames.shape[1:])[number]
        row, col = (
            np.clip(np.rint(v[columns.added]), 0, n - 1).astype(int)
            for v, n in zip((columns.y, columns.x), maps.shape[1:], strict=True)
        )
        names = np.array(self.prediction.species)
        new = names[maps[:, row, col].argmax(axis=0)]
        return np.append(species_of(found, maps, self.prediction.species)[columns.detections], new)


@dataclass(frozen=True)
class _Measure:
    """Measures the columns that were found in a frame, on the images that were asked for."""

    refinement: Refinement
    sign: float
    raw: Array
    restored: Array | None
    on: str
    regions: NDArray[np.int32] | None

    def __call__(
        self, number: int, found: Completed, cancel: CancelToken | None
    ) -> tuple[dict[str, Any], NDArray[np.bool_]]:
        """Columns of the table, and (N,) which of the columns are in a region."""
        inside = np.ones(len(found), dtype=bool)
        numbers = {}
        if self.regions is not None:
            numbers["region"] = regions_at(self.regions, found.y, found.x)
            inside = numbers["region"] > 0

        refine, sign = self.refinement.fit.refine, self.sign

        def fits(frames: Array) -> Fits:
            if frames is self.raw and refine == "gaussian":
                return found.fits
            image = self.sign * frames[number]
            if inside.all():
                return self.refinement(image, found.y, found.x, cancel)
            return self.refinement.some(image, found.y, found.x, inside, cancel)

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


def _tasks(card: ModelCard, chosen: DetectionSettings) -> list[str]:
    """Maps that are needed of a model."""
    if chosen.on != "raw" and DENOISED not in card.tasks:
        raise ValueError(
            f"on={chosen.on!r} needs a model that restores images; {card.name!r} does not"
        )
    wanted = [COLUMN_MAP, ELEMENTS] if chosen.detector == "network" else []
    return [task for task in (*wanted, DENOISED) if task == COLUMN_MAP or task in card.tasks]


def _restored(prediction: Prediction | None, frames: NDArray[Any]) -> Array | None:
    if prediction is None:
        return None
    return prediction.maps[DENOISED].reshape(frames.shape).astype(np.float64)


def _record(chosen: LocalizeSettings, prediction: Prediction | None) -> dict[str, Any]:
    """How a table was made, for its ``attrs``."""
    names = ["detector", "refine", "edge", "sensitivity"]
    names += ["widths", "backgrounds"] if chosen.refine == "joint" else []
    record = {name: getattr(chosen, name) for name in (*names, "likelihood", "on")}
    if prediction is not None:
        record |= {"model": prediction.model, "sha256": prediction.sha256}
    return record


def _cut(found: Completed, labels: Labels, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """(N,) columns whose light the border of the image cuts."""
    spacing, _ = nearest_neighbours(found.y, found.x)
    near = spacing[np.isfinite(spacing)]
    area = np.bincount(labels.ravel(), minlength=int(found.label.max(initial=0)) + 1)[found.label]
    radius = EDGE * float(np.median(near)) if len(near) else np.sqrt(area / np.pi)
    height, width = shape
    border = np.minimum.reduce([found.y, found.x, height - 1 - found.y, width - 1 - found.x])
    cut: NDArray[np.bool_] = border < radius
    return cut
