"""Restoration window by window, and of stacks frame by frame."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from napari_atomseg._shared.types import Image, Sampling
from napari_atomseg.inference.predicting import large_view, predicted, view_of
from napari_atomseg.inference.scale import sampled_frames
from napari_atomseg.inference.scan.api import correct_scan
from napari_atomseg.inference.scan.settings import Scan
from napari_atomseg.inference.settings import InferenceSettings
from napari_atomseg.inference.stacks import Frames, StackView
from napari_atomseg.inference.tiles import FAINTEST, tiles, weight_of
from napari_atomseg.inference.windows import bounded, cut, is_large, planes_of, sample
from napari_atomseg.networks.tasks import UPINTERPOLATION
from napari_atomseg.progress import CancelToken, Progress, one_of, telling


def in_windows(
    image: Any,
    task: str,
    sampling: Sampling | None,
    chosen: InferenceSettings,
    view: StackView | None,
    side: int,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Image:
    """An image or stack (..., H, W) in memory, restored window by window.

    Parameters
    ----------
    view : how windows are seen; None where the middle frame settles it.
    side : of the windows, pixels.
    """
    leading, shape = image.shape[:-2], (image.shape[-2], image.shape[-1])
    planes = planes_of(image)
    if view is None:
        view = large_view(sample(planes[len(planes) // 2]), (task,), chosen, sampling)
    finer = 2 if task == UPINTERPOLATION else 1
    parts = list(tiles(shape, side))
    whole: Image | None = None
    for number, plane in enumerate(planes):
        for place, tile in enumerate(parts):
            done, count = number * len(parts) + place, len(planes) * len(parts)
            hook = one_of(progress, cancel, done, count, "window")
            with telling(partial(hook, 0, 1)):
                frames = Frames(cut(plane, tile))
            made = predicted(frames, (task,), chosen, sampling, view, progress=hook, cancel=cancel)
            weight = weight_of(tile, shape).numpy()
            # Beyond its ramp a tile has a weight of next to nothing, for want of others.
            weight = np.where(weight > FAINTEST, weight, 0.0)
            weight = weight.repeat(finer, 0).repeat(finer, 1)
            part = made.maps[task] * weight.astype(np.float32)
            if whole is None:
                whole = np.zeros((len(planes), *(finer * n for n in shape)), part.dtype)
            rows, cols = slice(tile.top, tile.bottom), slice(tile.left, tile.right)
            rows, cols = (slice(finer * each.start, finer * each.stop) for each in (rows, cols))
            whole[number, rows, cols] += part
    if whole is None:
        raise ValueError(f"image has shape {image.shape}: it holds no pixels")
    return whole.reshape(*leading, *whole.shape[-2:])


def settled(
    frames: Frames,
    task: str,
    sampling: Sampling | None,
    scan: Scan,
    chosen: InferenceSettings,
) -> StackView:
    """How a network sees a stack that is restored, by some of its frames."""
    if is_large(frames.shape) and scan == "none":
        return large_view(sample(frames.plane(len(frames) // 2)), (task,), chosen, sampling)
    if scan == "none":
        return view_of(frames, (task,), chosen, sampling)
    some = np.stack([frames.recorded(number) for number in sampled_frames(len(frames))])
    straight = Frames(correct_scan(some, scan, device=chosen.device).image)
    return view_of(straight, (task,), chosen, sampling, len(frames))


def restored(
    frame: Image,
    view: StackView,
    task: str,
    sampling: Sampling | None,
    scan: Scan,
    chosen: InferenceSettings,
    hooks: dict[str, Any],
) -> Image:
    """One frame of a stack that is not in memory, restored."""
    if scan != "none":
        frame = correct_scan(frame, scan, device=chosen.device, **hooks).image

    def work(side: int | None) -> Image:
        if side is None:
            return predicted(Frames(frame), (task,), chosen, sampling, view, **hooks).maps[task]
        level = view if view.level is not None else None
        return in_windows(frame, task, sampling, chosen, level, side, **hooks)

    return bounded(work, frame.shape, "restoring an image")
