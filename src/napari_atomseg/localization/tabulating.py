"""From frames to the table of their columns: in one piece, frame by frame, or window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.types import Array, Labels, Sampling
from napari_atomseg._shared.units import mean_sampling, pixel_size
from napari_atomseg.inference.frames import Examined, examine
from napari_atomseg.inference.predicting import Prediction, common_contrast, signs_of
from napari_atomseg.inference.scale import agreed_contrasts, estimate_spacing, leaning
from napari_atomseg.inference.stacks import Frames, StackView
from napari_atomseg.inference.tiles import Tile
from napari_atomseg.inference.windows import planes_of, read
from napari_atomseg.inference.workers import current_client, spread
from napari_atomseg.localization.cautions import contrast_notes, range_notes
from napari_atomseg.localization.completion.frame import Completion, frame_notes
from napari_atomseg.localization.finding import Finder, Search
from napari_atomseg.localization.fit.correlation import noise_notes, noise_record
from napari_atomseg.localization.fit.refinement import Refinement
from napari_atomseg.localization.large import localized, seen_by
from napari_atomseg.localization.measure import Measure, cut_by_border
from napari_atomseg.localization.model import Model
from napari_atomseg.localization.overlap import merging_notes, overlap_notes
from napari_atomseg.localization.scan import Unjittered
from napari_atomseg.localization.settings import Detector, LocalizeSettings
from napari_atomseg.localization.shares import JUDGING, first_share, part, rest_of
from napari_atomseg.localization.stacks import attrs_of, stack_view
from napari_atomseg.localization.table import column_table, joined
from napari_atomseg.progress import (
    CancelToken,
    Progress,
    divided,
    one_of,
    report,
    stage,
    tell,
    telling,
    within,
)
from napari_atomseg.trust.correlation import NoiseCorrelation
from napari_atomseg.trust.judge import Judge

JUDGED = 0.2
"""Part of the time behind the network that the comparison with the recorded image takes, about."""


@dataclass(frozen=True)
class Limits:
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

    def within(self, tile: Tile) -> Limits:
        """What is known of the pixels of a window."""
        rows, cols = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
        regions = None if self.regions is None else self.regions[rows, cols]
        often = None if self.often is None else self.often[rows, cols]
        return Limits(regions, often, self.noise)


def in_one_piece(
    image: Any,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: Limits,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> pd.DataFrame:
    """Columns of an image, or of a stack whose frames are not too large, see `localize`."""
    frames = Frames(image if len(image.shape) > 2 else examine(read(image)))
    if frames.whole is not None:
        return localized_frames(frames.whole, sampling, chosen, limits, None, progress, cancel)[0]
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
        tables.append(localized_frames(frame, sampling, chosen, limits, alone, of_frame, cancel)[0])
    return joined(tables, stacked=True, attrs=attrs_of(tables))


def _on_worker(
    plane: Any,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: Limits,
    view: StackView,
) -> pd.DataFrame:
    """Columns of one frame, on a worker of a cluster."""
    return localized_frames(examine(plane), sampling, chosen, limits, view, None, None)[0]


def in_windows(
    image: Any,
    side: int,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: Limits,
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
            localized(plane, seen, side, sampling, chosen, limits, localized_frames, hook, cancel)
        )
    stacked = len(image.shape) > 2
    return joined(tables, stacked=True, attrs=attrs_of(tables)) if stacked else tables[0]


@dataclass(frozen=True)
class _Looked:
    """What is known of frames before columns are looked for.

    Attributes
    ----------
    find : the detector, with the maps that it reads.
    detector : its name.
    contrasts : "bright" or "dark" of each frame.
    prediction, judge, restored : maps of a network, how columns that are found in them are
        trusted, and (N, H, W) restored frames; None where they are not asked for.
    notes : what else should be known, a sentence each.
    """

    find: Finder
    detector: Detector
    contrasts: Sequence[str]
    prediction: Prediction | None = None
    judge: Judge | None = None
    restored: Array | None = None
    notes: tuple[str, ...] = ()


def _looked(
    examined: Examined,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    view: StackView | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[_Looked, Progress | None]:
    """Look at frames with a network, or without one, and the progress of what follows."""
    frames = examined.frames
    if chosen.detector == "peaks" and chosen.on == "raw":
        return _looked_without(examined, sampling, chosen, view), progress
    using = Model.of(examined, chosen.model, view=view)
    detector = using.detector(chosen.detector)
    tasks = using.tasks(chosen, detector)
    prediction = using.predict(tasks, sampling, chosen, stage(progress, 0, 2), cancel)
    progress = stage(progress, 1, 2)
    report(progress, cancel, 0, 1, JUDGING)
    judging, progress = progress, rest_of(progress, JUDGED)
    judge, spacings, notes = None, [0.0] * len(frames), []
    if detector == "network":
        with divided(partial(first_share, judging, cancel, JUDGED)):
            judge = using.judge(prediction, sampling, chosen.min_score)
    else:
        spacings = _spacings(examined, sampling)
    if detector != chosen.detector:
        notes.append(f"{using.card.name} gives no column map: Otsu's threshold divides its mask")
    find = Finder(
        frames,
        signs_of(prediction.contrasts),
        spacings,
        None if detector == "peaks" else prediction,
        using.mask if detector == "otsu" else "",
    )
    restored = using.restored(prediction) if chosen.on != "raw" else None
    contrasts = prediction.contrasts
    return _Looked(find, detector, contrasts, prediction, judge, restored, tuple(notes)), progress


def _looked_without(
    examined: Examined, sampling: Sampling | None, chosen: LocalizeSettings, view: StackView | None
) -> _Looked:
    """The same without a network."""
    frames, spacings = examined.frames, _spacings(examined, sampling)
    contrasts: Sequence[str] = (chosen.contrast,) * len(frames)
    if chosen.contrast == "auto":
        mean = None if sampling is None else mean_sampling(sampling)
        leanings = [leaning(*each, sampling=mean) for each in zip(frames, spacings, strict=True)]
        contrasts = agreed_contrasts(leanings, frames)
        if view is not None:
            contrasts = [view.contrast(0, frames[0], lambda _: leanings[0])]
    find = Finder(frames, signs_of(contrasts), spacings, None)
    return _Looked(find, chosen.detector, contrasts)


def _spacings(examined: Examined, sampling: Sampling | None) -> list[float]:
    """Estimated distance of the columns in each frame, pixels."""
    mean = None if sampling is None else mean_sampling(sampling)
    return [estimate_spacing(frame, mean) for frame in examined.frames]


def localized_frames(
    examined: Examined,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    limits: Limits,
    view: StackView | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[pd.DataFrame, int]:
    """Columns of frames, see `localize`, and the last number of a label.

    `view` is that of the stack, or of the image, that a single frame is of.
    """
    pixel, frames, shape = pixel_size(sampling), examined.frames, examined.shape
    looked, progress = _looked(examined, sampling, chosen, view, progress, cancel)
    judge, notes = looked.judge, [*examined.notes, *looked.notes]
    refinement = Refinement(
        chosen, chosen.device, frames=limits.often, pixel=pixel, noise=limits.noise
    )
    measure = Measure(
        refinement,
        looked.find.signs,
        examined.measured(),
        looked.restored,
        chosen.on,
        limits.regions,
    )
    least = judge.least if judge is not None else chosen.min_score or 0.0
    complete = Completion(
        *(chosen, chosen.device, chosen.sensitivity, looked.detector, least),
        limits.often,
        pixel,
        limits.noise,
    )
    search = Search(looked.find, complete, judge, measure.raw, chosen)
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
            new = judge.seen(number, columns.y[columns.added], columns.x[columns.added])
            judged = columns.extended(judged, new.consistency, new.signal)
        table = column_table(measured, columns, pixel, judged)
        species = looked.find.species(number, found, columns)
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
    attrs = _record(chosen, looked.detector, looked.prediction)
    notes += frame_notes(remarks)
    if chosen.contrast == "auto":
        notes += contrast_notes(frames, looked.contrasts, sampling)
    attrs |= {"contrast": common_contrast(looked.contrasts), "sampling": sampling, "notes": notes}
    if judge is not None:
        attrs |= {"calibrated": judge.calibrated, "training_range": judge.verdict()}
    attrs["noise"] = noise_record(measure.noise)
    if counts[1]:
        notes.append(
            f"{counts[1]} of {counts[0]} columns found were dropped: score below {least:g}"
        )
    if any(map(len, tables)):
        notes += range_notes(frames)
        notes += noise_notes(measure.noise)
        notes += overlap_notes(tables, chosen.refine, refinement.aspect)
        notes += merging_notes(tables, refinement.aspect)
    notes += unjittered.notes
    return joined(tables, stacked=len(shape) > 2, attrs=attrs), last


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
