"""Public functions: `localize` and `segment`, from an image to its columns."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array, Labels, Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference.api import Prediction, common_contrast
from napari_atomseg.inference.frames import Examined, examine
from napari_atomseg.inference.scale import agreed_contrasts, estimate_spacing, leaning
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
    inference_settings,
)
from napari_atomseg.inference.stacks import Frames, StackView, each_frame, is_lazy
from napari_atomseg.inference.tiles import Tile
from napari_atomseg.inference.windows import bounded, checked, is_large, planes_of, read
from napari_atomseg.inference.workers import current_client, spread
from napari_atomseg.localization.completion.frame import Completion, frame_notes
from napari_atomseg.localization.detect import (
    add_discs,
    grown_labels,
)
from napari_atomseg.localization.finding import Finder, Search
from napari_atomseg.localization.fit.correlation import noise_notes, noise_record
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.large import Seen, divisible, localized, seen_by, segmented
from napari_atomseg.localization.measure import Measure, cut_by_border
from napari_atomseg.localization.model import Model
from napari_atomseg.localization.overlap import overlap_notes
from napari_atomseg.localization.regions import region_labels
from napari_atomseg.localization.scan import Unjittered
from napari_atomseg.localization.settings import (
    DetectionSettings,
    Detector,
    FitSettings,
    LocalizeOptions,
    LocalizeSettings,
    MapDetector,
    Refine,
    frame_weights,
    known_noise,
)
from napari_atomseg.localization.shares import first_share, one_of, part, rest_of
from napari_atomseg.localization.stacks import attrs_of, stack_view
from napari_atomseg.localization.table import column_table, joined
from napari_atomseg.networks.tasks import COLUMNS
from napari_atomseg.progress import (
    CancelToken,
    Progress,
    divided,
    report,
    stage,
    tell,
    telling,
    within,
)
from napari_atomseg.trust.correlation import NoiseCorrelation
from napari_atomseg.trust.judge import DENOISED

JUDGED = 0.2
"""Part of the time behind the network that the comparison with the recorded image takes, about."""
JUDGING = "Comparing the columns with the recorded image"


@takes_images("image")
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
    image : (H, W) or a stack (..., H, W) of real numbers; an array of dask is read and localized
        frame by frame. NaN pixels are not measured, nor are plateaus of saturated ones, hot or dead
        pixels, and burnt-in bars, words and bands.
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
    noise : how far neighbouring pixels share their noise, where that is known, as `noise` of an
        `Alignment`; by default it is estimated.
    detector : "network"; "otsu", regions of the model's mask above Otsu's threshold and their
        centroids, as AtomSegNet and AP-GAN find columns, which is taken for any model that gives a
        mask and no column map; or "peaks" of the filtered image, without a model.
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
    device, quality, precision, tile_size : as in `predict`.

    Returns
    -------
    One row a column: ``y``, ``x`` and their standard errors ``y_err``, ``x_err`` (pixels);
    ``sigma`` (pixels), of ellipses the geometric mean; ``amplitude``, ``background`` (units of the
    image; the amplitude of dark columns is negative) and ``volume`` 2π σ² amplitude, with its
    standard error ``volume_err``; ``converged``, whether the measurement came to an end;
    ``ellipticity``, long over short width, and ``angle``, of the long axis in degrees
    counter-clockwise from x as shown, where ellipses are fitted; ``score`` of the detection in
    0..1, the probability that the column is real where the model is calibrated; ``label``, its
    number in `segment` where the network detects, or one after those; ``significance``, the height
    in the raw image over the local noise of such heights; ``found_by``, "network", "otsu" or
    "peaks", or "sublattice" or "residual" for columns that were added. Where the network detects,
    also ``consistency``, z of the raw image against the restored one (negative: the raw image shows
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
    image = checked(image)
    shape = (image.shape[-2], image.shape[-1])
    often, known = frame_weights(given, shape), known_noise(given)
    chosen = LocalizeSettings(**ChainMap(given, *groups))
    regions = None if region is None else region_labels(region, shape)
    limits = _Limits(regions, often, known)

    def work(side: int | None) -> pd.DataFrame:
        if side is None or not divisible(chosen):
            return _in_one_piece(image, sampling, chosen, limits, progress, cancel)
        return _in_windows(image, side, sampling, chosen, limits, progress, cancel)

    with telling(partial(report, progress, cancel, 0, 0)):
        return bounded(work, image.shape, "localizing the columns of an image")


def _in_one_piece(
    image: Any,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: _Limits,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> pd.DataFrame:
    """Columns of an image, or of a stack whose frames are not too large, see `localize`."""
    frames = Frames(image if len(image.shape) > 2 else examine(read(image)))
    if frames.whole is not None:
        return _localized(frames.whole, sampling, chosen, limits, None, progress, cancel)[0]
    view, tables = stack_view(frames, sampling, chosen), []
    client = current_client()
    if client is not None:
        parts = [
            (frames.plane(number), sampling, chosen, limits, view.of_frame(number))
            for number in range(len(frames))
        ]
        for table in spread(client, _on_worker, parts, cancel):
            tables.append(table)
            report(progress, cancel, len(tables), len(parts), "Localizing on workers")
        return joined(tables, stacked=True, attrs=attrs_of(tables))
    for number in range(len(frames)):
        of_frame = one_of(progress, cancel, number, len(frames))
        alone = view.of_frame(number)
        with telling(partial(of_frame, 0, 1)):
            frame = frames[number]
        tables.append(_localized(frame, sampling, chosen, limits, alone, of_frame, cancel)[0])
    return joined(tables, stacked=True, attrs=attrs_of(tables))


def _on_worker(
    plane: Any,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: _Limits,
    view: StackView,
) -> pd.DataFrame:
    """Columns of one frame, on a worker of a cluster."""
    return _localized(examine(plane), sampling, chosen, limits, view, None, None)[0]


def _in_windows(
    image: Any,
    side: int,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: _Limits,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> pd.DataFrame:
    """Columns of an image or stack window by window, see `localize`."""
    planes, tables = planes_of(image), []
    seen = seen_by(
        planes[len(planes) // 2],
        sampling,
        chosen,
        lambda using: using.tasks(chosen, using.detector(chosen.detector)),
    )
    for number, plane in enumerate(planes):
        hook = one_of(progress, cancel, number, len(planes))
        tables.append(
            localized(plane, seen, side, sampling, chosen, limits, _localized, hook, cancel)
        )
    stacked = len(image.shape) > 2
    return joined(tables, stacked=True, attrs=attrs_of(tables)) if stacked else tables[0]


@dataclass(frozen=True)
class _Limits:
    """What is known of the pixels of all frames.

    Attributes
    ----------
    regions : (H, W) numbers of the regions in which columns are measured.
    often : (H, W) how many frames lie in each pixel of an average.
    noise : how far neighbouring pixels share theirs.
    """

    regions: Labels | None
    often: Array | None
    noise: NoiseCorrelation | None

    def within(self, tile: Tile) -> _Limits:
        """What is known of the pixels of a window."""
        rows, cols = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
        regions = None if self.regions is None else self.regions[rows, cols]
        often = None if self.often is None else self.often[rows, cols]
        return _Limits(regions, often, self.noise)


def _localized(
    examined: Examined,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: _Limits,
    view: StackView | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[pd.DataFrame, int]:
    """Columns of frames, see `localize`, and the last number of a label.

    `view` is that of the stack, or of the image, that a single frame is of.
    """
    pixel, frames, shape = pixel_size(sampling), examined.frames, examined.shape
    mean = None if pixel is None else float(np.mean(pixel))
    contrasts: Sequence[str] = (chosen.contrast,) * len(frames)
    prediction, judge, restored, spacings = None, None, None, [0.0] * len(frames)
    notes, detector, mask = list(examined.notes), chosen.detector, ""
    if chosen.detector != "peaks" or chosen.on != "raw":
        using = Model.of(examined, chosen.model, view=view)
        detector = using.detector(chosen.detector)
        tasks = using.tasks(chosen, detector)
        prediction = using.predict(tasks, sampling, chosen, stage(progress, 0, 2), cancel)
        progress = stage(progress, 1, 2)
        report(progress, cancel, 0, 1, JUDGING)
        judging, progress = progress, rest_of(progress, JUDGED)
        contrasts = prediction.contrasts
        if chosen.on != "raw":
            restored = using.restored(prediction)
        if detector == "network":
            with divided(partial(first_share, judging, cancel, JUDGED)):
                judge = using.judge(prediction, sampling, chosen.min_score)
        elif detector == "otsu":
            mask = using.mask
        if detector != chosen.detector:
            notes.append(
                f"{using.card.name} gives no column map: Otsu's threshold divides its mask"
            )
    if judge is None:
        spacings = [estimate_spacing(frame, mean) for frame in frames]
        if prediction is None and chosen.contrast == "auto":
            leanings = list(map(leaning, frames, spacings))
            contrasts = agreed_contrasts(leanings, frames)
            if view is not None:
                contrasts = [view.contrast(0, frames[0], lambda _: leanings[0])]
    signs = [-1.0 if contrast == "dark" else 1.0 for contrast in contrasts]
    read = None if detector == "peaks" else prediction
    find = Finder(frames, signs, spacings, read, mask)
    refinement = Refinement(
        chosen, chosen.device, frames=limits.often, pixel=pixel, noise=limits.noise
    )
    measure = Measure(refinement, signs, examined.measured(), restored, chosen.on, limits.regions)
    least = judge.least if judge is not None else chosen.min_score or 0.0
    complete = Completion(
        *(chosen, chosen.device, chosen.sensitivity, detector, least),
        limits.often,
        pixel,
        limits.noise,
    )
    search = Search(find, complete, judge, measure.raw, chosen)
    unjittered = Unjittered(chosen, frames, pixel)
    # Fits of the search are those of the table where the same method makes both.
    searching = 0.95 if chosen.refine == "gaussian" else 0.7
    tables, remarks, counts, last = [], [], np.zeros(2, dtype=int), 0
    for number, frame in enumerate(frames):
        with part(progress, cancel, number, len(frames), "Finding columns"):
            with within(0.0, searching):
                found, judged, columns = search(number, cancel)
            with within(searching, 1.0):
                tell("Measuring columns", 0.0)
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
            keep &= ~cut_by_border(columns, found.labels, frame.shape)
        remarks.append(columns.notes)
        last = max(last, int(columns.label.max(initial=0)))
        tables.append(unjittered(number, table[keep].reset_index(drop=True)))
    report(progress, cancel, len(frames), len(frames), "Measuring columns")
    attrs = _record(chosen, detector, prediction)
    notes += frame_notes(remarks)
    attrs |= {"contrast": common_contrast(contrasts), "sampling": sampling, "notes": notes}
    if judge is not None:
        attrs |= {"calibrated": judge.calibrated, "training_range": judge.verdict()}
    attrs["noise"] = noise_record(measure.noise)
    if counts[1]:
        notes.append(
            f"{counts[1]} of {counts[0]} columns found were dropped: score below {least:g}"
        )
    if any(map(len, tables)):
        notes += noise_notes(measure.noise)
        notes += overlap_notes(tables, chosen.refine, refinement.aspect)
    notes += unjittered.notes
    return joined(tables, stacked=len(shape) > 2, attrs=attrs), last


@takes_images("image")
def segment(
    image: Any,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    detector: MapDetector = "network",
    min_score: float | None = None,
    sensitivity: float = 0.05,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[InferenceOptions],
) -> Labels:
    """Label the pixels of each atomic column.

    The columns are those of `localize` with the same arguments. Each that the network finds grows
    over the model's column mask, by watershed from its place in the column map; one that is added
    is a disc of its width.

    Parameters
    ----------
    image, model, sampling, min_score, sensitivity, inference : as in `localize`; without the search
        (``sensitivity=0``) it is faster.
    detector : "network", or "otsu": the regions of the model's mask above Otsu's threshold, which
        is taken for any model that gives a mask and no column map.
    contrast, device, quality, precision, tile_size : as in `localize`.

    Returns
    -------
    int32 labels of the image's shape, of an array of dask one that is labelled frame by frame when
    it is computed: 0 is no column, k the column with ``label`` k in the table
    of `localize`. Numbers of dropped columns are missing; the notes of that table say why they were
    dropped. Every frame of a stack is numbered from 1.

    Raises
    ------
    ValueError, TypeError, WeightsError, Cancelled
        As in `localize`.
    """
    applied = inference_settings(inference, model, options)
    chosen = LocalizeSettings(
        **dict(applied), detector=detector, min_score=min_score, sensitivity=sensitivity
    )
    image = checked(image)
    if is_lazy(image) and (image.ndim > 2 or is_large(image.shape)):
        some = partial(_segmented_view, sampling=sampling, chosen=chosen)
        work = partial(_segmented_frame, sampling=sampling, chosen=chosen, hooks=(progress, cancel))
        labels: Labels = each_frame(image, some, work, np.int32)
        return labels

    def labelled(side: int | None) -> Labels:
        if side is None:
            return _segmented(examine(read(image)), sampling, chosen, None, progress, cancel)[0]
        planes = planes_of(image)
        seen = _segmented_seen(planes[len(planes) // 2], sampling, chosen)
        made = [
            segmented(plane, seen, side, sampling, chosen, _segmented, hook, cancel)
            for number, plane in enumerate(planes)
            for hook in [one_of(progress, cancel, number, len(planes))]
        ]
        return made[0].reshape(image.shape) if len(made) == 1 else np.stack(made)

    with telling(partial(report, progress, cancel, 0, 0)):
        return bounded(labelled, image.shape, "segmenting an image")


def _segmented_seen(plane: Any, sampling: Sampling | None, chosen: LocalizeSettings) -> Seen:
    """How the windows of a large image that is segmented are seen."""
    return seen_by(plane, sampling, chosen, partial(_labelling, chosen=chosen), COLUMNS)


def _segmented_view(
    frames: Frames, sampling: Sampling | None, chosen: LocalizeSettings
) -> StackView:
    """How a network sees a stack that is segmented, by some of its frames."""
    if is_large(frames.shape):
        return _segmented_seen(frames.plane(len(frames) // 2), sampling, chosen).view
    using = Model.of(frames[len(frames) // 2], chosen.model, COLUMNS)
    return using.view_of(frames, _labelling(using, chosen), sampling, chosen)


def _segmented_frame(
    frame: Any,
    view: StackView,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    hooks: tuple[Progress | None, CancelToken | None],
) -> Labels:
    """Labels of one frame of a stack that is not in memory."""

    def labelled(side: int | None) -> Labels:
        if side is None:
            return _segmented(examine(frame), sampling, chosen, view, *hooks)[0]
        seen = _segmented_seen(frame, sampling, chosen)
        if view.level is not None and view.magnifications is not None:
            seen = Seen(view, view.magnifications.spacing)
        return segmented(frame, seen, side, sampling, chosen, _segmented, *hooks)

    return bounded(labelled, frame.shape, "segmenting an image")


def _labelling(using: Model, chosen: LocalizeSettings) -> list[str]:
    """Maps that `segment` needs."""
    by_mask = using.detector(chosen.detector) == "otsu"
    return [using.mask] if by_mask else using.offered([*COLUMNS, DENOISED])


def _segmented(
    examined: Examined,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    view: StackView | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[Labels, int]:
    """Labels of frames, see `segment`, and the last number; `view` as of `_localized`."""
    frames, shape = examined.frames, examined.shape
    min_score, sensitivity = chosen.min_score, chosen.sensitivity
    using = Model.of(examined, chosen.model, COLUMNS, view)
    detector = using.detector(chosen.detector)
    by_mask, tasks = detector == "otsu", _labelling(using, chosen)
    prediction = using.predict(tasks, sampling, chosen, stage(progress, 0, 2), cancel)
    progress = stage(progress, 1, 2)
    report(progress, cancel, 0, 1, JUDGING)
    judge = None if by_mask else using.judge(prediction, sampling, min_score)
    signs = [-1.0 if contrast == "dark" else 1.0 for contrast in prediction.contrasts]
    find = Finder(frames, signs, (), prediction, using.mask if by_mask else "")
    least = judge.least if judge is not None else min_score or 0.0
    complete = Completion(
        *(chosen, chosen.device, sensitivity, detector, least),
        pixel=pixel_size(sampling),
    )
    search = Search(find, complete, judge, examined.measured(), chosen)
    labels, last = np.zeros(frames.shape, np.int32), 0
    for number in range(len(frames)):
        with part(progress, cancel, number, len(frames), "Finding columns"):
            with within(0.0, 0.9):
                found, _, columns = search(number, cancel)
            tell("Labelling columns")
        keep = (columns.score >= least) & ~examined.hides(number, columns.y, columns.x)
        numbers = columns.label[keep]
        last = max(last, int(columns.label.max(initial=0)))
        found = found.keeping(np.isin(np.arange(1, len(found) + 1), numbers))
        labels[number] = found.labels
        if not by_mask:
            maps, masks = (prediction.maps[task].reshape(frames.shape) for task in COLUMNS)
            labels[number] = grown_labels(found, maps[number], masks[number])
        new = np.flatnonzero(keep[columns.added]) + columns.added.start
        add_discs(
            labels[number],
            *(columns.y[new], columns.x[new], columns.fits.sigma[new], columns.label[new]),
        )
    report(progress, cancel, len(frames), len(frames), "Labelling columns")
    return labels.reshape(shape), last


def _record(
    chosen: LocalizeSettings, detector: Detector, prediction: Prediction | None
) -> dict[str, Any]:
    """How a table was made, for its ``attrs``."""
    names = ["refine", "edge", "sensitivity"]
    names += ["widths", "backgrounds"] if chosen.refine == "joint" else []
    names += ["likelihood", "frames", "on"]
    record = {"detector": detector} | {name: getattr(chosen, name) for name in names}
    if prediction is not None:
        record |= {"model": prediction.model, "sha256": prediction.sha256}
        record["quality"] = chosen.quality
    return record
