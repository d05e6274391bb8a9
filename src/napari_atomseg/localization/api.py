"""Public functions: `localize` and `segment`, from an image to its columns."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skimage.draw import polygon2mask

from napari_atomseg import weights
from napari_atomseg._shared.geometry import nearest_pixels
from napari_atomseg._shared.types import Array, Labels, Sampling
from napari_atomseg._shared.units import mean_sampling, pixel_size
from napari_atomseg.inference import predict
from napari_atomseg.inference.api import Prediction, common_contrast
from napari_atomseg.inference.frames import examine
from napari_atomseg.inference.scale import agreed_contrasts, estimate_spacing, leaning
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
    inference_settings,
)
from napari_atomseg.localization.completion.frame import Completed, Completion, frame_notes
from napari_atomseg.localization.detect import (
    Detections,
    columns_from_peaks,
    grown_labels,
    species_of,
)
from napari_atomseg.localization.fit.correlation import NoiseFound, noise_notes, noise_record
from napari_atomseg.localization.fit.independent import Fits
from napari_atomseg.localization.fit.refinement import Refinement, levelled
from napari_atomseg.localization.fit.windows import nearest_neighbours
from napari_atomseg.localization.joining import columns_of, hints_of
from napari_atomseg.localization.scan import Unjittered
from napari_atomseg.localization.settings import (
    DetectionSettings,
    FitSettings,
    LocalizeOptions,
    LocalizeSettings,
    Refine,
    frame_weights,
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
        plateaus of saturated ones, hot or dead pixels, and burnt-in bars, words and bands.
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
        How far neighbouring pixels share their noise is estimated from the residuals, too.
    frames : number of aligned frames that the image is the mean of, or (H, W) how many lie in each
        pixel: the variance there is in inverse proportion, and pixels without any are not measured.
        One number matters with likelihood "poisson" alone: of counts the noise is then known, the
        mean's gain is 1 / frames.
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
    scan : whether "rows" or "columns" of the image are scan lines, whose displacement is measured
        and taken off the positions; "auto" looks, and "none" leaves them as recorded. See
        `correct_scan`.
    contrast : "bright" or "dark" columns; "auto" looks at each frame.
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
    With `scan` ``scan_y`` and ``scan_x``, the displacements that were taken off (pixels), whose
    errors are in those of the positions. With `sampling` also ``y_angstrom``, ``x_angstrom``; for
    a stack, first of all, ``frame`` (over all leading axes). What was not measured is NaN: a fit
    that failed leaves the detected position with NaN errors. ``attrs`` holds how the table was
    made, whether the score is ``calibrated``, in ``training_range`` whether the image is like
    those of the training, in ``contrast`` "bright" or "dark", a list of one a frame where the
    frames of a stack differ, and in ``notes`` what else should be known, a sentence each, such as
    what was added and dropped.

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
    pixel = pixel_size(sampling)
    examined = examine(image)
    frames, shape = examined.frames, examined.shape
    often = frame_weights(given, frames.shape[1:])
    chosen = LocalizeSettings(**ChainMap(given, *groups))
    regions = None if region is None else region_labels(region, (shape[-2], shape[-1]))
    mean = None if pixel is None else float(np.mean(pixel))
    contrasts: Sequence[str] = (chosen.contrast,) * len(frames)
    prediction, judge, spacings = None, None, [0.0] * len(frames)
    if chosen.detector == "network" or chosen.on != "raw":
        path = weights.resolve(chosen.model)
        card = read_card(path)
        prediction = predict(
            examined,
            _tasks(card, chosen),
            model=path,
            sampling=sampling,
            inference=chosen,
            precision="half" if chosen.precision == "auto" else chosen.precision,
            progress=progress,
            cancel=cancel,
        )
        contrasts = prediction.contrasts
    if prediction is not None and chosen.detector == "network":
        judge = Judge(examined, prediction, card, path, mean, chosen.min_score)
    else:
        spacings = [estimate_spacing(frame, mean) for frame in frames]
        if prediction is None and chosen.contrast == "auto":
            contrasts = agreed_contrasts(list(map(leaning, frames, spacings)))
    notes = list(examined.notes)
    signs = [-1.0 if contrast == "dark" else 1.0 for contrast in contrasts]
    find = _Detector(frames, signs, spacings, prediction if judge is not None else None)
    measure = _Measure(
        Refinement(chosen, chosen.device, frames=often),
        signs,
        examined.measured(),
        _restored(prediction, frames) if chosen.on != "raw" else None,
        chosen.on,
        regions,
    )
    least = judge.least if judge is not None else chosen.min_score or 0.0
    complete = Completion(chosen, chosen.device, chosen.sensitivity, chosen.detector, least, often)
    unjittered = Unjittered(chosen, frames, pixel)
    tables, remarks, counts = [], [], np.zeros(2, dtype=int)
    for number, frame in enumerate(frames):
        report(progress, cancel, number, len(frames), "Measuring columns")
        found, judged = find(number), None
        if judge is not None:
            judged = judge.columns(number, found.y, found.x, found.score, found.magnification)
        score = found.score if judged is None else judged["score"].to_numpy()
        plane, _ = levelled(measure.raw[number], chosen)
        columns = complete(signs[number] * plane, found, score, find.hints(number, found), cancel)
        measured, inside = measure(number, columns, cancel)
        if judge is not None and judged is not None:
            seen = judge.seen(number, columns.y[columns.added], columns.x[columns.added])
            judged = columns.extended(judged, seen.consistency, seen.signal)
        table = column_table(measured, columns, pixel, judged)
        species = find.species(number, found, columns)
        if species is not None:
            table["species"] = species
        likely = (table["score"] >= least).to_numpy()
        inside &= ~examined.hides(number, columns.y, columns.x)
        keep = inside & likely
        counts += np.array([inside.sum(), (inside & ~likely).sum()])
        if chosen.edge == "drop":
            keep &= ~_cut(columns, found.labels, frame.shape)
        remarks.append(columns.notes)
        tables.append(unjittered(number, table[keep].reset_index(drop=True)))
    report(progress, cancel, len(frames), len(frames), "Measuring columns")
    attrs = _record(chosen, prediction)
    notes += frame_notes(remarks)
    attrs |= {"contrast": common_contrast(contrasts), "sampling": sampling, "notes": notes}
    if judge is not None:
        attrs |= {"calibrated": judge.calibrated, "training_range": judge.verdict()}
    attrs["noise"] = noise_record(measure.noise)
    if counts[1]:
        notes.append(
            f"{counts[1]} of {counts[0]} columns found were dropped: score below {least:g}"
        )
    notes += [*noise_notes(measure.noise), *unjittered.notes]
    return joined(tables, stacked=len(shape) > 2, attrs=attrs)


def segment(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    min_score: float | None = None,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[InferenceOptions],
) -> Labels:
    """Label the pixels of each atomic column.

    The columns are those that the network finds and `localize` keeps; each grows over the model's
    column mask, by watershed from its place in the column map.

    Parameters
    ----------
    image, model, sampling, min_score, inference : as in `localize`.
    contrast, device, precision, tile_size : as in `localize`.

    Returns
    -------
    int32 labels of the image's shape: 0 is no column, k the column with ``label`` k in the table
    of `localize`. Numbers of dropped columns are missing, and columns that `localize` adds are not
    labelled. Every frame of a stack is numbered from 1.

    Raises
    ------
    ValueError, TypeError, WeightsError, Cancelled
        As in `localize`.
    """
    examined = examine(image)
    frames, shape = examined.frames, examined.shape
    chosen = inference_settings(inference, model, options)
    pixel = None if sampling is None else mean_sampling(sampling)
    path = weights.resolve(chosen.model, tasks=COLUMNS)
    card = read_card(path)
    prediction = predict(
        examined,
        [*COLUMNS, *(task for task in (DENOISED,) if task in card.tasks)],
        model=path,
        sampling=sampling,
        inference=chosen,
        progress=progress,
        cancel=cancel,
    )
    judge = Judge(examined, prediction, card, path, pixel, min_score)
    maps, masks = (prediction.maps[task].reshape(frames.shape) for task in COLUMNS)
    labels = np.zeros(frames.shape, np.int32)
    for number in range(len(frames)):
        report(progress, cancel, number, len(frames), "Labelling columns")
        found = columns_of(prediction, number)
        judged = judge.columns(number, found.y, found.x, found.score, found.magnification)
        likely = (judged["score"] >= judge.least).to_numpy()
        keep = likely & ~examined.hides(number, found.y, found.x)
        labels[number] = grown_labels(found.keeping(keep), maps[number], masks[number])
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
    found: Labels = labels[nearest_pixels(labels.shape, y, x)]
    return found


@dataclass(frozen=True)
class _Detector:
    """Finds the columns of a frame, in the maps of a network or as peaks of the image."""

    frames: NDArray[Any]
    signs: Sequence[float]
    spacings: Sequence[float]
    prediction: Prediction | None

    def __call__(self, number: int) -> Detections:
        """The columns of a frame; none where it is constant."""
        frame = self.frames[number]
        if np.ptp(frame) == 0:
            return Detections.none(frame.shape)
        if self.prediction is None:
            return columns_from_peaks(self.signs[number] * frame, self.spacings[number])
        return columns_of(self.prediction, number)

    def hints(self, number: int, found: Detections) -> Array:
        """(M, 2) further places in a frame where the network sees something; none of peaks."""
        if self.prediction is None or not len(found):
            return np.zeros((0, 2))
        return hints_of(self.prediction, found, number)

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
    """Measures the columns that were found in a frame, on the images that were asked for.

    `noise` is what the fits of the raw frames so far have shown of it.
    """

    refinement: Refinement
    signs: Sequence[float]
    raw: Array
    restored: Array | None
    on: str
    regions: NDArray[np.int32] | None
    noise: list[NoiseFound | None] = field(default_factory=list)

    def __call__(
        self, number: int, found: Completed, cancel: CancelToken | None
    ) -> tuple[dict[str, Any], NDArray[np.bool_]]:
        """Columns of the table, and (N,) which of the columns are in a region."""
        inside = np.ones(len(found), dtype=bool)
        numbers = {}
        if self.regions is not None:
            numbers["region"] = regions_at(self.regions, found.y, found.x)
            inside = numbers["region"] > 0

        refine, sign = self.refinement.fit.refine, self.signs[number]

        def fits(frames: Array) -> Fits:
            image, offset = levelled(frames[number], self.refinement.fit)
            if frames is self.raw and refine == "gaussian":
                made = found.fits
            elif inside.all():
                made = self.refinement(sign * image, found.y, found.x, cancel)
            else:
                made = self.refinement.some(sign * image, found.y, found.x, inside, cancel)
            if frames is self.raw:
                self.noise.append(made.noise)
            return replace(made, background=made.background + sign * offset)

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
    record = {name: getattr(chosen, name) for name in (*names, "likelihood", "frames", "on")}
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
