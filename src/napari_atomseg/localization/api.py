"""Public functions: `localize` and `segment`, from an image to its columns."""

from __future__ import annotations

from collections import ChainMap
from functools import partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import pandas as pd

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Labels, Sampling
from napari_atomseg.inference.frames import examine
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
    inference_settings,
)
from napari_atomseg.inference.stacks import each_frame, is_lazy
from napari_atomseg.inference.windows import bounded, checked, is_large, planes_of, read
from napari_atomseg.localization.cautions import border_notes
from napari_atomseg.localization.labelling import (
    labelled_frames,
    seen_to_segment,
    segmented_frame,
    view_to_segment,
)
from napari_atomseg.localization.large import divisible, segmented
from napari_atomseg.localization.regions import region_labels
from napari_atomseg.localization.settings import (
    DetectionSettings,
    FitSettings,
    LocalizeOptions,
    LocalizeSettings,
    MapDetector,
    Refine,
    frame_weights,
    known_noise,
)
from napari_atomseg.localization.tabulating import Limits, in_one_piece, in_windows
from napari_atomseg.progress import CancelToken, Progress, one_of, report, telling


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
    limits = Limits(regions, often, known)

    def work(side: int | None) -> pd.DataFrame:
        if side is None or not divisible(chosen):
            return in_one_piece(image, sampling, chosen, limits, progress, cancel)
        return in_windows(image, side, sampling, chosen, limits, progress, cancel)

    with telling(partial(report, progress, cancel, 0, 0)):
        table = bounded(work, image.shape, "localizing the columns of an image")
    table.attrs["notes"] = [*table.attrs["notes"], *border_notes(table, shape)]
    return table


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
        some = partial(view_to_segment, sampling=sampling, chosen=chosen)
        work = partial(segmented_frame, sampling=sampling, chosen=chosen, hooks=(progress, cancel))
        labels: Labels = each_frame(image, some, work, np.int32)
        return labels

    def labelled(side: int | None) -> Labels:
        if side is None:
            examined = examine(read(image))
            return labelled_frames(examined, sampling, chosen, None, progress, cancel)[0]
        planes = planes_of(image)
        seen = seen_to_segment(planes[len(planes) // 2], sampling, chosen)
        made = [
            segmented(plane, seen, side, sampling, chosen, labelled_frames, hook, cancel)
            for number, plane in enumerate(planes)
            for hook in [one_of(progress, cancel, number, len(planes))]
        ]
        return made[0].reshape(image.shape) if len(made) == 1 else np.stack(made)

    with telling(partial(report, progress, cancel, 0, 0)):
        return bounded(labelled, image.shape, "segmenting an image")
