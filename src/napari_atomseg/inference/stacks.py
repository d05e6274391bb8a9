"""Frames of a stack one by one, and what they settle together: contrast and magnification.

Stacks that are not in memory, arrays of dask, are read frame by frame; what they give is what the
same stack in memory gives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike

from napari_atomseg._shared.types import Image
from napari_atomseg.inference.frames import Examined, as_frames, check_image, examine
from napari_atomseg.inference.magnification import Magnifications
from napari_atomseg.inference.scale import Contrasts, sampled_frames
from napari_atomseg.inference.windows import is_large, read


def is_lazy(image: Any) -> bool:
    """Whether an image is an array of dask, whose pixels are read when they are used."""
    return hasattr(image, "dask")


class Frames:
    """The frames of an image or stack, each examined alone.

    Those of an array of dask are read when they are used, and the last one is kept; so is a large
    image, of which parts may suffice.

    Parameters
    ----------
    image : (..., H, W) real numbers, or what `examine` made of them.

    Raises
    ------
    TypeError, ValueError
        As of `as_frames`.
    """

    def __init__(self, image: Any) -> None:
        lazy = is_lazy(image) and (image.ndim > 2 or is_large(image.shape))
        self._lazy = image if lazy else None
        self.whole: Examined | None = None
        if self._lazy is None:
            self.whole = examine(image)
            self.shape = self.whole.shape
            self._recorded = None if isinstance(image, Examined) else np.asarray(image)
        else:
            check_image(image.dtype, image.shape)
            self.shape = tuple(image.shape)
        self._last: tuple[int, Examined, Image] | None = None

    def __len__(self) -> int:
        return int(np.prod(self.shape[:-2], dtype=np.int64))

    def __getitem__(self, number: int) -> Examined:
        """One frame, by its number over all leading axes."""
        if self.whole is None:
            return self._read(number)[0]
        whole, one = self.whole, slice(number, number + 1)
        return Examined(
            whole.frames[one],
            whole.out[one],
            whole.marks[one],
            whole.edges[one],
            self.shape[-2:],
            whole.notes,
        )

    def plane(self, number: int) -> Any:
        """(H, W) a frame that is neither read nor examined where that can be avoided."""
        if self._lazy is None:
            return self.recorded(number)
        return self._lazy[tuple(map(int, np.unravel_index(number, self.shape[:-2])))]

    def recorded(self, number: int) -> Image:
        """(H, W) a frame as it was recorded, but for pixels that are not finite."""
        if self.whole is None:
            return self._read(number)[1]
        if self._recorded is None:
            plane: Image = self.whole.frames[number]
            return plane
        recorded = np.asarray(self._recorded).reshape(-1, *self.shape[-2:])[number]
        return first_frame(recorded)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was odd in the image itself, a sentence each; of lazy stacks each frame has its."""
        return () if self.whole is None else self.whole.notes

    def _read(self, number: int) -> tuple[Examined, Image]:
        if self._lazy is None:
            raise IndexError(f"no frame {number}")
        if self._last is None or self._last[0] != number:
            plane = read(self.plane(number))
            self._last = (number, examine(plane), first_frame(plane))
        return self._last[1:]


def first_frame(image: Any) -> Image:
    """(H, W) a single image as `as_frames` has it."""
    plane: Image = as_frames(image)[0][0]
    return plane


@dataclass(frozen=True)
class Level:
    """Mean and deviation of a whole image, on which a network sees each window of it.

    Attributes
    ----------
    offset, scale : mean and standard deviation of the image.
    normal : by magnification, the offset and scale that the network's scheme takes of the image of
        mean 0 and deviation 1.
    """

    offset: float
    scale: float
    normal: Mapping[float, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class StackView:
    """How a network sees the frames of a stack, or the windows of an image: settled by some of them
    for all.

    Attributes
    ----------
    contrasts : the contrast that was chosen, or what some frames say of that of each.
    magnifications : by which all frames are seen; None where no network sees them.
    leanings : of the frames that were looked at, by their numbers.
    level : of the image that frames are windows of; None for frames with their own.
    """

    contrasts: Contrasts | str
    magnifications: Magnifications | None = None
    leanings: Mapping[int, float] = field(default_factory=dict)
    level: Level | None = None

    def of_frame(self, number: int) -> StackView:
        """Return the view of a single frame by itself, whose number is then 0."""
        known = self.leanings.get(number)
        return replace(self, leanings={} if known is None else {0: known})

    def contrast(self, number: int, plane: Image, lean: Callable[[Image], float]) -> str:
        """Whether a frame (H, W) has "bright" or "dark" columns."""
        if isinstance(self.contrasts, str):
            return self.contrasts
        known = self.leanings.get(number)
        return self.contrasts(lean(plane) if known is None else known, plane)


def settled_contrasts(
    contrast: str, numbers: Sequence[int], planes: Sequence[Image], lean: Callable[[Image], float]
) -> StackView:
    """Return the view of a stack by the contrast, "auto" or known, and by some of its frames.

    Parameters
    ----------
    numbers, planes : of the frames that are looked at, see `sampled_frames`.
    lean : the leaning of a frame, see `scale.leaning`.
    """
    if contrast != "auto":
        return StackView(contrast)
    leanings = {number: lean(plane) for number, plane in zip(numbers, planes, strict=True)}
    return StackView(Contrasts.of(list(leanings.values()), planes), None, leanings)


def each_frame(
    image: Any,
    settle: Callable[[Frames], StackView],
    work: Callable[[Image, StackView], Any],
    kind: DTypeLike,
    finer: int = 1,
) -> Any:
    """Return an array of dask whose frames are worked on one by one when they are computed.

    Parameters
    ----------
    image : (..., H, W) array of dask.
    settle : gives the view of the whole stack, when the first frame is computed.
    work : makes the result of a frame (H, W) by that view.
    kind : type of the result.
    finer : pixels of the result along y and x in the place of one.
    """
    check_image(image.dtype, image.shape)
    whole = image.rechunk({**dict.fromkeys(range(image.ndim - 2), 1), -2: -1, -1: -1})
    return whole.map_blocks(
        _worked,
        name=f"frames-{uuid4().hex}",
        chunks=(*whole.chunks[:-2], *((finer * side,) for side in image.shape[-2:])),
        dtype=kind,
        meta=np.empty((0,) * image.ndim, kind),
        work=work,
        kind=kind,
        settled=_Settled(image, settle),
    )


class _Settled:
    """The view of a stack, settled once, however many of its frames are computed when."""

    def __init__(self, image: Any, settle: Callable[[Frames], StackView]) -> None:
        from dask.utils import SerializableLock

        self._image, self._settle = image, settle
        self._view: StackView | None = None
        self._lock = SerializableLock()

    def __call__(self) -> StackView:
        with self._lock:
            if self._view is None:
                # The number of a frame is not known where it is worked on alone.
                self._view = replace(self._settle(Frames(self._image)), leanings={})
            return self._view


def _worked(
    block: Any, work: Callable[[Image, StackView], Any], kind: DTypeLike, settled: _Settled
) -> Any:
    """A block of one frame, in the type that was promised of it."""
    made = work(block.reshape(block.shape[-2:]), settled())
    return made.reshape(*block.shape[:-2], *made.shape).astype(kind, copy=False)


def sample(frames: Frames) -> tuple[tuple[int, ...], list[Image]]:
    """Numbers and planes of the frames that settle what is common to all."""
    numbers = sampled_frames(len(frames))
    return numbers, [frames[number].frames[0] for number in numbers]


def merged_notes(notes: Iterable[Sequence[str]], part: str = "frame") -> tuple[str, ...]:
    """Notes on frames, or other parts, that were worked on one by one; what several say, once."""
    first: dict[str, tuple[str, int]] = {}
    count: dict[str, int] = {}
    for number, each in enumerate(notes):
        for note in each:
            kind = re.sub(r"\d+(\.\d+)?", "0", note)
            first.setdefault(kind, (note, number))
            count[kind] = count.get(kind, 0) + 1
    return tuple(
        f"{part} {number}"
        + (f" and {count[kind] - 1} more" if count[kind] > 1 else "")
        + f": {note}"
        for kind, (note, number) in first.items()
    )
