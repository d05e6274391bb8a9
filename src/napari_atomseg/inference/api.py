"""Public functions of inference: predict and restore."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from napari_atomseg import weights
from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Image, Sampling
from napari_atomseg.inference.frames import float_type
from napari_atomseg.inference.predicting import Prediction, predicted
from napari_atomseg.inference.restoring import in_windows, restored, settled
from napari_atomseg.inference.scan.api import correct_scan
from napari_atomseg.inference.scan.settings import Scan
from napari_atomseg.inference.settings import (
    InferenceOptions,
    InferenceSettings,
    RestorationTask,
    inference_settings,
)
from napari_atomseg.inference.stacks import Frames, each_frame, is_lazy
from napari_atomseg.inference.windows import bounded, checked
from napari_atomseg.networks.tasks import INTENSITIES, UPINTERPOLATION, Modality
from napari_atomseg.progress import CancelToken, Progress, report, telling


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
            partial(settled, **known),
            partial(restored, **known, hooks=hooks),
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
        return in_windows(image, task, sampling, chosen, None, side, **hooks)

    with telling(partial(report, progress, cancel, 0, 0)):
        return bounded(work, image.shape, "restoring an image")
