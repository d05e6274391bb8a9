"""From frames to labels of the pixels of their columns."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from napari_atomseg._shared.types import Labels, Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference.frames import Examined, examine
from napari_atomseg.inference.predicting import signs_of
from napari_atomseg.inference.stacks import Frames, StackView
from napari_atomseg.inference.windows import bounded, is_large
from napari_atomseg.localization.completion.frame import Completion
from napari_atomseg.localization.detect import add_discs, grown_labels
from napari_atomseg.localization.finding import Finder, Search
from napari_atomseg.localization.large import Seen, seen_by, segmented
from napari_atomseg.localization.model import Model
from napari_atomseg.localization.settings import LocalizeSettings
from napari_atomseg.localization.shares import JUDGING, part
from napari_atomseg.networks.tasks import COLUMNS
from napari_atomseg.progress import CancelToken, Progress, report, stage, tell, within
from napari_atomseg.trust.judge import DENOISED


def seen_to_segment(plane: Any, sampling: Sampling | None, chosen: LocalizeSettings) -> Seen:
    """How the windows of a large image that is segmented are seen."""
    return seen_by(plane, sampling, chosen, partial(tasks_of, chosen=chosen), COLUMNS)


def view_to_segment(
    frames: Frames, sampling: Sampling | None, chosen: LocalizeSettings
) -> StackView:
    """How a network sees a stack that is segmented, by some of its frames."""
    if is_large(frames.shape):
        return seen_to_segment(frames.plane(len(frames) // 2), sampling, chosen).view
    using = Model.of(frames[len(frames) // 2], chosen.model, COLUMNS)
    return using.view_of(frames, tasks_of(using, chosen), sampling, chosen)


def segmented_frame(
    frame: Any,
    view: StackView,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    hooks: tuple[Progress | None, CancelToken | None],
) -> Labels:
    """Labels of one frame of a stack that is not in memory."""

    def labelled(side: int | None) -> Labels:
        if side is None:
            return labelled_frames(examine(frame), sampling, chosen, view, *hooks)[0]
        seen = seen_to_segment(frame, sampling, chosen)
        if view.level is not None and view.magnifications is not None:
            seen = Seen(view, view.magnifications.spacing)
        return segmented(frame, seen, side, sampling, chosen, labelled_frames, *hooks)

    return bounded(labelled, frame.shape, "segmenting an image")


def tasks_of(using: Model, chosen: LocalizeSettings) -> list[str]:
    """Maps that `segment` needs."""
    by_mask = using.detector(chosen.detector) == "otsu"
    return [using.mask] if by_mask else using.offered([*COLUMNS, DENOISED])


def labelled_frames(
    examined: Examined,
    sampling: Sampling | None,
    chosen: LocalizeSettings,
    view: StackView | None,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> tuple[Labels, int]:
    """Labels of frames, see `segment`, and the last number; `view` as of `localized_frames`."""
    frames, shape = examined.frames, examined.shape
    min_score, sensitivity = chosen.min_score, chosen.sensitivity
    using = Model.of(examined, chosen.model, COLUMNS, view)
    detector = using.detector(chosen.detector)
    by_mask, tasks = detector == "otsu", tasks_of(using, chosen)
    prediction = using.predict(tasks, sampling, chosen, stage(progress, 0, 2), cancel)
    progress = stage(progress, 1, 2)
    report(progress, cancel, 0, 1, JUDGING)
    judge = None if by_mask else using.judge(prediction, sampling, min_score)
    signs = signs_of(prediction.contrasts)
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
