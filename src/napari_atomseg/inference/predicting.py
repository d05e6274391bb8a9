"""Maps of frames by a model, and how it sees them: contrast, magnification and level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_atomseg import weights
from napari_atomseg._shared.types import Image, Mask, Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.inference.frames import Examined
from napari_atomseg.inference.predictor import LEVEL, Predictor
from napari_atomseg.inference.scale import sampled_frames
from napari_atomseg.inference.scan.api import LOADING
from napari_atomseg.inference.settings import InferenceSettings, Precision
from napari_atomseg.inference.stacks import Frames, StackView, merged_notes, settled_contrasts
from napari_atomseg.networks.tasks import INTENSITIES, UPINTERPOLATION
from napari_atomseg.progress import CancelToken, Progress, report, tell, telling

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


def signs_of(contrasts: Sequence[str]) -> list[float]:
    """-1 for frames of dark columns, else 1."""
    return [-1.0 if contrast == "dark" else 1.0 for contrast in contrasts]


@lru_cache(maxsize=4)
def _predictor(
    path: str, modified: int, device: str, precision: Precision, tile_size: int
) -> Predictor:
    """Loaded networks are kept; a changed file is loaded anew (`modified`)."""
    return Predictor(path, device, precision, tile_size)
