"""Public functions of inference: predict and restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from napari_atomseg import weights
from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Image, Mask, Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.frames import Examined, as_frames, float_type
from napari_atomseg.inference.predictor import LEVEL, Predictor
from napari_atomseg.inference.scale import sampled_frames
from napari_atomseg.inference.scan.api import LOADING, correct_scan
from napari_atomseg.inference.scan.settings import Scan
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
    Precision,
    RestorationTask,
    inference_settings,
)
from napari_atomseg.inference.stacks import (
    Frames,
    StackView,
    each_frame,
    is_lazy,
    merged_notes,
    settled_contrasts,
)
from napari_atomseg.inference.tiles import FAINTEST, tiles, weight_of
from napari_atomseg.inference.windows import bounded, checked, cut, is_large, planes_of, sample
from napari_atomseg.networks.tasks import INTENSITIES, UPINTERPOLATION, Modality
from napari_atomseg.progress import CancelToken, Progress, report, tell, telling

__all__ = ["Prediction", "as_frames", "predict", "restore"]
MIXED = "mixed"
"""The contrast of a stack whose frames differ."""


@dataclass(frozen=True)
class Prediction:
    """Maps of an image and how they were made.

    Attributes
    ----------
    maps : float32 array of the image's shape (..., H, W) for each task; `elements` is
        (..., E, H, W), a map a species, and `upinterpolation` (..., 2H, 2W). Intensities on an
        offset beside which float32 would lose their contrast are float64.
    spacing : column spacing in pixels by which the scale of restored maps was chosen.
    contrast : "bright" or "dark" columns, or "mixed" where the frames of a stack differ.
    model, sha256 : name of the model and hash of its file.
    settings : the arguments, for provenance.
    species : names of the maps of `elements`.
    magnified : by each magnification f at which columns were looked for, the maps of columns that
        the network gave, (..., round(f H), round(f W)); those of `maps` are the largest of these,
        the mask that of the largest magnification.
    contrasts : "bright" or "dark" for each frame.
    notes : what was odd in the image itself, a sentence each.
    """

    maps: dict[str, Image]
    spacing: float
    contrast: str
    model: str
    sha256: str
    settings: dict[str, Any]
    species: tuple[str, ...] = ()
    magnified: dict[float, dict[str, Image]] = field(default_factory=dict)
    contrasts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@takes_images("image")
def predict(
    image: Any,
    tasks: Sequence[str] = ("denoise",),
    *,
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[InferenceOptions],
) -> Prediction:
    """Apply a model to an image or stack.

    Parameters
    ----------
    image : (..., H, W) real numbers, or what `examine` made of them; the frames of a stack are seen
        at one magnification. Hot and dead pixels, burnt-in bars and words, and pixels that are not
        finite, are replaced by their surroundings for the network, unless it `sees` images as
        recorded. No columns are found in bars and words, which stay as they are where the image is
        denoised.
    tasks : names among the model's tasks; `column_map` and `column_mask` follow from `elements`,
        `upinterpolation` from `denoise`.
    model : name, path of a weights file, or None for the default.
    sampling : Å a pixel; guides the estimate of the columns' scale, and may be unknown.
    inference : settings of all that follows, in place of the defaults.
    contrast : "bright" or "dark" columns; "auto" looks at each frame.
    device : "auto", "cpu", "cuda" or "mps"; "auto" takes a GPU where there is one.
    quality : "best" is the mean over mirror images: four that keep the scan lines, eight for models
        of TEM. It has less error, and takes as many times as long as "standard".
    precision : "full" computes in float32, "half" in bfloat16 where the device is fast at it.
    tile_size : side of the largest piece of the image that is computed at once, in pixels.

    Returns
    -------
    Prediction. Restored maps have the intensity scale of the image and, but for removed
    backgrounds, its offset; `column_map` and `column_mask` are probabilities.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.
    WeightsError
        The model's file cannot be used.
    Cancelled
        `cancel` was raised.
    """
    chosen = inference_settings(inference, model, options)
    with telling(partial(report, progress, cancel, 0, 0)):
        frames = Frames(image)
    return predicted(frames, tasks, chosen, sampling, progress=progress, cancel=cancel)


def predicted(
    frames: Frames,
    tasks: Sequence[str],
    chosen: InferenceSettings,
    sampling: Sampling | None,
    view: StackView | None = None,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Prediction:
    """Apply a model to frames, see `predict`.

    Parameters
    ----------
    view : what the stack settled that they are of; None where they settle it themselves.
    """
    at_first = partial(report, progress, cancel, 0, 0)
    at_first(LOADING)
    path, predictor = _opened(chosen, tasks)
    pixel = None if sampling is None else mean_sampling(sampling)
    if view is None:
        with telling(at_first):
            view = view_of(frames, tasks, chosen, sampling)
    magnifications = view.magnifications
    if magnifications is None:
        raise ValueError("view has no magnifications")
    whole = predictor.card.sees == "as recorded"
    maps: dict[str, Image] = {}
    magnified: dict[float, dict[str, Image]] = {}
    contrasts: list[str] = []
    notes: list[tuple[str, ...]] = []
    for index in range(len(frames)):

        def of_frame(done: int, total: int, message: str, index: int = index) -> None:
            report(progress, cancel, index * total + done, len(frames) * total, message)

        with telling(partial(of_frame, 0, 1)):
            examined, recorded = frames[index], frames.recorded(index)
        plane = examined.frames[0]
        contrasts.append(view.contrast(index, plane, lambda each: predictor.leaning(each, pixel)))
        notes.append(examined.notes)
        sign = -1.0 if contrasts[-1] == "dark" and not whole else 1.0
        made = predictor.maps(
            sign * (recorded if whole else plane),
            tuple(tasks),
            magnifications,
            of_frame,
            cancel,
            chosen.quality,
            view.level,
        )
        marks = examined.marks[0]
        # What is about a mark is specimen, or a smooth edge: recorded, it would be a noisy rim.
        kept = np.zeros_like(marks) if whole else marks & ~examined.edges[0]
        signed = {
            task: _with_marks(sign * plane, task, recorded, kept)
            if task in INTENSITIES
            else ~marks * plane
            for task, plane in made.whole.items()
        }
        _put(maps, signed, index, len(frames))
        for factor, planes in made.magnified.items():
            _put(magnified.setdefault(factor, {}), planes, index, len(frames))
    settings = {
        "tasks": list(tasks),
        "sampling": sampling,
        "contrast": common_contrast(contrasts),
        "quality": chosen.quality,
        "precision": chosen.precision,
        "tile_size": chosen.tile_size,
        "device": str(predictor.device),
        "zoom": magnifications.restoring,
        "magnifications": list(magnifications.detecting),
    }
    shape = frames.shape

    def stacked(planes: dict[str, Image]) -> dict[str, Image]:
        return {t: stack.reshape(*shape[:-2], *stack.shape[1:]) for t, stack in planes.items()}

    return Prediction(
        stacked(maps),
        magnifications.spacing,
        contrasts[0] if len(set(contrasts)) == 1 else MIXED,
        predictor.card.name,
        weights.sha256(path),
        settings,
        predictor.card.species,
        {factor: stacked(planes) for factor, planes in magnified.items()},
        tuple(contrasts),
        frames.notes or merged_notes(notes),
    )


def view_of(
    frames: Frames,
    tasks: Sequence[str],
    chosen: InferenceSettings,
    sampling: Sampling | None,
    count: int | None = None,
) -> StackView:
    """What some frames settle for all of their stack: its contrast, and how a network sees it.

    Parameters
    ----------
    count : frames of the stack, of which `frames` are those of `sampled_frames`; by default they
        are all.
    """
    _, predictor = _opened(chosen, tasks)
    pixel = None if sampling is None else mean_sampling(sampling)
    numbers = sampled_frames(len(frames) if count is None else count)
    places: Sequence[int] = numbers if count is None else range(len(frames))
    middle = (len(frames) if count is None else count) // 2
    if chosen.contrast != "auto":
        numbers, places = (middle,), [places[numbers.index(middle)]]
    planes = [frames[place].frames[0] for place in places]
    tell("Estimating contrast and distance of the columns")
    view = settled_contrasts(
        chosen.contrast, numbers, planes, lambda plane: predictor.leaning(plane, pixel)
    )
    at = numbers.index(middle)
    seen = planes[at]
    if predictor.card.sees == "as recorded":
        seen = frames.recorded(places[at])
    elif view.contrast(middle, seen, lambda plane: predictor.leaning(plane, pixel)) == "dark":
        seen = -1.0 * seen
    return replace(view, magnifications=predictor.magnifications(seen, tasks, pixel))


def large_view(
    sampled: tuple[Sequence[Image], Examined],
    tasks: Sequence[str],
    chosen: InferenceSettings,
    sampling: Sampling | None,
) -> StackView:
    """How a network sees the windows of a large image: its contrast, scale and level.

    Parameters
    ----------
    sampled : pieces of the image, see `windows.sample`.
    """
    _, predictor = _opened(chosen, tasks)
    pieces, shown = sampled
    view = view_of(Frames(shown), tasks, chosen, sampling)
    pixel = None if sampling is None else mean_sampling(sampling)
    seen = shown.frames[0]
    contrast = view.contrast(0, seen, lambda each: predictor.leaning(each, pixel))
    if view.magnifications is None:
        raise ValueError("view has no magnifications")
    factors = dict.fromkeys((*view.magnifications.detecting, view.magnifications.restoring))
    dark = contrast == "dark" and predictor.card.sees != "as recorded"
    level = predictor.level([-piece if dark else piece for piece in pieces], list(factors))
    return StackView(contrast, view.magnifications, level=level)


def _opened(chosen: InferenceSettings, tasks: Sequence[str]) -> tuple[Path, Predictor]:
    """The file of a model and the network in it, which has the tasks."""
    path = weights.resolve(chosen.model, tasks=tasks)
    predictor = _predictor(
        str(path), path.stat().st_mtime_ns, chosen.device, chosen.precision, chosen.tile_size
    )
    unknown = [task for task in tasks if task not in predictor.tasks]
    if unknown:
        known = ", ".join(predictor.tasks)
        raise ValueError(
            f"task {unknown[0]!r} is not one of model {predictor.card.name}: {known}; "
            + weights.choice(tasks)
        )
    return path, predictor


def _with_marks(plane: Image, task: str, recorded: Image, marks: Mask) -> Image:
    """A restored image whose bars, words and borders are those of the recorded one."""
    if task not in LEVEL or not marks.any():
        return plane
    if task == UPINTERPOLATION:
        marks = np.repeat(np.repeat(marks, 2, 0), 2, 1)
        recorded = np.repeat(np.repeat(recorded, 2, 0), 2, 1)
    return np.where(marks, recorded, plane).astype(plane.dtype)


def _put(stacks: dict[str, Image], planes: dict[str, Image], number: int, count: int) -> None:
    """Put the maps of one frame of so many into stacks of them, of the finer of their types."""
    for task, plane in planes.items():
        if task not in stacks:
            stacks[task] = np.empty((count, *plane.shape), np.float32)
        stacks[task] = stacks[task].astype(np.result_type(stacks[task], plane), copy=False)
        stacks[task][number] = plane


def common_contrast(contrasts: Sequence[str]) -> str | list[str]:
    """The contrast of all frames in one word, or a list of one a frame where they differ."""
    return contrasts[0] if len(set(contrasts)) == 1 else list(contrasts)


@takes_images("image")
def restore(
    image: Any,
    task: RestorationTask = "denoise",
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    scan: Scan = "none",
    modality: Modality | None = None,
    inference: InferenceSettings | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
    **options: Unpack[InferenceOptions],
) -> Any:
    """Restore an image or stack.

    Parameters
    ----------
    image : (..., H, W); a dask array stays lazy and is restored frame by frame when computed.
    task : "denoise", "denoise_background", "superresolution" or "upinterpolation".
    modality : "STEM", "TEM" or "SEM": takes the model that `weights.propose_model` proposes, unless
        a model is given.
    model, sampling, inference, options : see `predict`.
    scan : whether "rows" or "columns" of the image are scan lines that are put back before, as by
        `correct_scan`; "auto" looks, and "none" leaves them as recorded.

    Returns
    -------
    float32 array of the image's shape, on the image's intensity scale; float64 where its offset
    is so large that float32 would lose the contrast, and of a dask array whose type float32 does
    not hold. Of "upinterpolation" it is (..., 2H, 2W): the denoised image with four pixels in the
    place of each, their centres a quarter of a pixel before and behind its own. Hot and dead
    pixels are replaced by their surroundings; so are burnt-in bars and words for tasks that remove
    the background, while a denoised image keeps them.
    """
    if task not in INTENSITIES:
        raise ValueError(f"task={task!r}; choose one of {', '.join(INTENSITIES)}")
    chosen = inference_settings(inference, model, options)
    if modality is not None and chosen.model is None:
        proposal = weights.propose_model(modality, task, sampling, quality=chosen.quality)
        model = proposal.model
    hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
    if is_lazy(image):
        chosen = chosen if model is None else chosen.updated(model=model)
        known: dict[str, Any] = {"task": task, "sampling": sampling, "scan": scan, "chosen": chosen}
        return each_frame(
            image,
            partial(_settled, **known),
            partial(_restored, **known, hooks=hooks),
            float_type(image.dtype),
            2 if task == UPINTERPOLATION else 1,
        )
    if scan != "none":
        image = correct_scan(image, scan, device=chosen.device, **hooks).image
    chosen = chosen if model is None else chosen.updated(model=model)
    image = checked(image)

    def work(side: int | None) -> Image:
        if side is None:
            with telling(partial(report, progress, cancel, 0, 0)):
                frames = Frames(image)
            return predicted(frames, (task,), chosen, sampling, **hooks).maps[task]
        return _in_windows(image, task, sampling, chosen, None, side, **hooks)

    with telling(partial(report, progress, cancel, 0, 0)):
        return bounded(work, image.shape, "restoring an image")


def _in_windows(
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

            def hook(
                step: int, steps: int, message: str, done: int = done, count: int = count
            ) -> None:
                told = f"window {done + 1} of {count}: {message}"
                report(progress, cancel, done * steps + step, count * steps, told)

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


def _settled(
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


def _restored(
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
        return _in_windows(frame, task, sampling, chosen, level, side, **hooks)

    return bounded(work, frame.shape, "restoring an image")


@lru_cache(maxsize=4)
def _predictor(
    path: str, modified: int, device: str, precision: Precision, tile_size: int
) -> Predictor:
    """Loaded networks are kept; a changed file is loaded anew (`modified`)."""
    return Predictor(path, device, precision, tile_size)
