"""Public functions of inference: predict and restore."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Unpack

import numpy as np

from napari_atomseg import weights
from napari_atomseg._shared.types import Image, Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.predictor import Predictor
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
    Precision,
    RestorationTask,
    inference_settings,
)
from napari_atomseg.networks.tasks import INTENSITIES, UPINTERPOLATION
from napari_atomseg.progress import CancelToken, Progress, report


def as_frames(image: Any) -> tuple[Image, tuple[int, ...]]:
    """(N, H, W) float32 frames of an image or stack, and the shape it came in.

    Pixels that are NaN or infinite become the median of their frame.

    Raises
    ------
    TypeError
        The values are not real numbers.
    ValueError
        The array has fewer than two axes, no pixels, or looks like an RGB image.
    """
    array = np.asarray(image)
    if array.dtype == object or array.dtype.kind not in "biuf":
        raise TypeError(f"image has values of type {array.dtype}; real numbers are needed")
    if array.ndim < 2:
        raise ValueError(f"image has shape {array.shape}; two axes (rows, columns) are needed")
    if 0 in array.shape:
        raise ValueError(f"image has shape {array.shape}: it holds no pixels")
    if array.ndim == 3 and array.shape[-1] in (3, 4) and min(array.shape[:2]) > 4:
        raise ValueError(
            f"image has shape {array.shape}, an RGB image; convert it to grey values first"
        )
    frames = array.reshape(-1, *array.shape[-2:]).astype(np.float32)
    bad = ~np.isfinite(frames)
    if bad.any():
        frames = np.where(bad, np.nan, frames)
        for frame in frames:
            holes = np.isnan(frame)
            if holes.any():
                frame[holes] = 0.0 if holes.all() else np.nanmedian(frame)
    return frames, array.shape


@dataclass(frozen=True)
class Prediction:
    """Maps of an image and how they were made.

    Attributes
    ----------
    maps : float32 array of the image's shape (..., H, W) for each task; `elements` is
        (..., E, H, W), a map a species, and `upinterpolation` (..., 2H, 2W).
    spacing : column spacing in pixels by which the scale of restored maps was chosen.
    contrast : "bright" or "dark" columns.
    model, sha256 : name of the model and hash of its file.
    settings : the arguments, for provenance.
    species : names of the maps of `elements`.
    magnified : by each magnification f at which columns were looked for, the maps of columns that
        the network gave, (..., round(f H), round(f W)); those of `maps` are the largest of these.
    """

    maps: dict[str, Image]
    spacing: float
    contrast: str
    model: str
    sha256: str
    settings: dict[str, Any]
    species: tuple[str, ...] = ()
    magnified: dict[float, dict[str, Image]] = field(default_factory=dict)


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
    image : (..., H, W) real numbers; the frames of a stack are treated alike.
    tasks : names among the model's tasks; `column_map` and `column_mask` follow from `elements`,
        `upinterpolation` from `denoise`.
    model : name, path of a weights file, or None for the default.
    sampling : Å a pixel; guides the estimate of the columns' scale, and may be unknown.
    inference : settings of all that follows, in place of the defaults.
    contrast : "bright" or "dark" columns; "auto" looks at the image.
    device : "auto", "cpu", "cuda" or "mps"; "auto" takes a GPU where there is one.
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
    frames, shape = as_frames(image)
    pixel = None if sampling is None else mean_sampling(sampling)
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
    middle = frames[len(frames) // 2]
    contrast = str(chosen.contrast)
    if contrast == "auto":
        contrast = predictor.contrast(middle, pixel)
    sign = -1.0 if contrast == "dark" else 1.0
    magnifications = predictor.magnifications(sign * middle, tasks, pixel)
    maps: dict[str, Image] = {}
    magnified: dict[float, dict[str, Image]] = {}
    for index, frame in enumerate(frames):

        def of_frame(done: int, total: int, message: str, index: int = index) -> None:
            report(progress, cancel, index * total + done, len(frames) * total, message)

        made = predictor.maps(sign * frame, tuple(tasks), magnifications, of_frame, cancel)
        signed = {
            task: sign * plane if task in INTENSITIES else plane
            for task, plane in made.whole.items()
        }
        _put(maps, signed, index, len(frames))
        for factor, planes in made.magnified.items():
            _put(magnified.setdefault(factor, {}), planes, index, len(frames))
    settings = {
        "tasks": list(tasks),
        "sampling": sampling,
        "contrast": contrast,
        "precision": chosen.precision,
        "tile_size": chosen.tile_size,
        "device": str(predictor.device),
        "zoom": magnifications.restoring,
        "magnifications": list(magnifications.detecting),
    }

    def stacked(planes: dict[str, Image]) -> dict[str, Image]:
        return {t: stack.reshape(*shape[:-2], *stack.shape[1:]) for t, stack in planes.items()}

    return Prediction(
        stacked(maps),
        magnifications.spacing,
        contrast,
        predictor.card.name,
        weights.sha256(path),
        settings,
        predictor.card.species,
        {factor: stacked(planes) for factor, planes in magnified.items()},
    )


def _put(stacks: dict[str, Image], planes: dict[str, Image], number: int, count: int) -> None:
    """Put the maps of one frame of so many into stacks of them."""
    for task, plane in planes.items():
        if task not in stacks:
            stacks[task] = np.empty((count, *plane.shape), np.float32)
        stacks[task][number] = plane


def restore(
    image: Any,
    task: RestorationTask = "denoise",
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
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
    model, sampling, inference, options : see `predict`.

    Returns
    -------
    float32 array of the image's shape, on the image's intensity scale. Of "upinterpolation" it is
    (..., 2H, 2W): the denoised image with four pixels in the place of each, their centres a quarter
    of a pixel before and behind its own.
    """
    if task not in INTENSITIES:
        raise ValueError(f"task={task!r}; choose one of {', '.join(INTENSITIES)}")
    if hasattr(image, "dask"):
        whole = image.rechunk({**dict.fromkeys(range(image.ndim - 2), 1), -2: -1, -1: -1})
        finer = 2 if task == UPINTERPOLATION else 1
        height, width = (finer * n for n in image.shape[-2:])
        return whole.map_blocks(
            restore,
            task,
            model,
            sampling,
            chunks=(*whole.chunks[:-2], (height,), (width,)),
            dtype=np.float32,
            meta=np.empty((0,) * image.ndim, np.float32),
            inference=inference,
            progress=progress,
            cancel=cancel,
            **options,
        )
    return predict(
        image,
        (task,),
        model=model,
        sampling=sampling,
        inference=inference,
        progress=progress,
        cancel=cancel,
        **options,
    ).maps[task]


@lru_cache(maxsize=4)
def _predictor(
    path: str, modified: int, device: str, precision: Precision, tile_size: int
) -> Predictor:
    """Loaded networks are kept; a changed file is loaded anew (`modified`)."""
    return Predictor(path, device, precision, tile_size)
