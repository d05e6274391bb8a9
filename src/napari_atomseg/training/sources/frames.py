"""Crops of images that are there already: from a library, from files, or from memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.files import whole_file
from napari_atomseg.training.sources.base import IMAGES, VALIDATION, PairBatch, Stream, stacked

FEWEST = 4
"""Images from which on some are kept for validation whole; of fewer, a part of each."""
CROPS = 101
"""Stream of random numbers of a sample that places its crop; the simulator has the first six."""
SMALLEST = 16
"""Pixels that an image must have each way."""


@dataclass(frozen=True)
class Frame:
    """An image (H, W) float32 and its targets by name, each (C, H, W) float32."""

    image: Tensor
    targets: dict[str, Tensor]

    def part(self, rows: slice, cols: slice) -> Frame:
        """A rectangle of it."""
        targets = {name: target[:, rows, cols] for name, target in self.targets.items()}
        return Frame(self.image[rows, cols], targets)


class Frames(Protocol):
    """A sequence of frames, which may be read when asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> Frame: ...


class FrameStream(Stream):
    """Random crops of frames, every frame once before any comes again.

    Parameters
    ----------
    training, validation : frames of the stream, and those that it never shows.
    seed : of the order of the frames and the places of the crops.
    """

    def __init__(
        self,
        training: Frames,
        validation: Frames,
        seed: int,
        targets: tuple[str, ...],
        species: tuple[str, ...] = (),
    ) -> None:
        super().__init__(targets, species)
        self._training, self._validation, self._seed = training, validation, seed

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`.

        Small images are mirrored at their borders; the weight is 0 beyond them.
        """
        return self._cut(self._training, self._seed, indices, crop, device)

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`.

        A crop without columns is moved to one of its image: vacuum would show nothing of a network.
        """
        seed, indices = self._seed + VALIDATION, range(count)
        return self._cut(self._validation, seed, indices, crop, device, move=True)

    def _cut(
        self,
        frames: Frames,
        seed: int,
        indices: Sequence[int],
        crop: int,
        device: str,
        *,
        move: bool = False,
    ) -> PairBatch:
        crops = []
        for index in indices:
            epoch, place = divmod(index, len(frames))
            order = np.random.default_rng((seed, epoch)).permutation(len(frames))
            frame = frames[int(order[place])]
            rng = np.random.default_rng((seed, index, CROPS))
            crops.append(cut_at_columns(frame, crop, rng) if move else cut(frame, crop, rng))
        pairs = stacked(crops)
        return PairBatch(
            pairs.image.to(device),
            {name: pairs.targets[name].to(device) for name in self.targets},
            None if pairs.weight is None else pairs.weight.to(device),
        )


def cut_at_columns(frame: Frame, crop: int, rng: np.random.Generator) -> PairBatch:
    """The same as `cut`, moved to one of the frame's columns if it shows none."""
    pairs, marked = cut(frame, crop, rng), _marked(frame.targets)
    if len(marked) and not len(_marked(pairs.targets)):
        return cut(frame, crop, rng, marked[int(rng.integers(len(marked)))].tolist())
    return pairs


def _marked(targets: dict[str, Tensor]) -> Tensor:
    """(N, 2) rows and columns of the pixels that masks of columns mark."""
    masks = [target for name, target in targets.items() if name not in IMAGES]
    places = [(mask > 0.5).nonzero()[:, -2:] for mask in masks]
    return torch.cat([torch.empty((0, 2), dtype=torch.long), *places])


def cut(
    frame: Frame, crop: int, rng: np.random.Generator, about: Sequence[int] | None = None
) -> PairBatch:
    """A square of `crop`² pixels at random in a frame, or with all of the frame in it.

    Parameters
    ----------
    about : a pixel (row, column) that it shows.
    """
    shown = (None, None) if about is None else about
    rows, cols = (
        _pixels(length, crop, rng, at) for length, at in zip(frame.image.shape, shown, strict=True)
    )
    weight = None
    if min(frame.image.shape) < crop:
        seen = [(at >= 0) & (at < n) for at, n in zip((rows, cols), frame.image.shape, strict=True)]
        weight = torch.from_numpy(np.outer(*seen).astype(np.float32))[None, None]
    y, x = (
        torch.from_numpy(mirrored(at, n))
        for at, n in zip((rows, cols), frame.image.shape, strict=True)
    )
    return PairBatch(
        frame.image[y][:, x][None, None],
        {name: target[:, y][:, :, x][None] for name, target in frame.targets.items()},
        weight,
    )


def mirrored(at: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Places on a line of pixels, mirrored at its first and its last pixel."""
    if length == 1:
        return np.zeros_like(at)
    at = at % (2 * length - 2)
    return np.minimum(at, 2 * length - 2 - at)


def _pixels(length: int, crop: int, rng: np.random.Generator, at: int | None) -> NDArray[np.int64]:
    low, high = sorted((0, length - crop))
    if at is not None:
        low, high = max(low, at - crop + 1), min(high, at)
    return int(rng.integers(low, high + 1)) + np.arange(crop)


def halves(count: int, share: float) -> tuple[list[int], list[int]]:
    """Numbers below `count` in two parts: a `share` of them, and the others, at least one each.

    The parts depend on the count alone, so that a training that goes on from another's weights
    never learns what the first kept for validation.
    """
    order = np.random.default_rng(count).permutation(count).tolist()
    first = min(max(round(share * count), 1), count - 1)
    return sorted(order[:first]), sorted(order[first:])


def split_frames(
    frames: list[Frame], share: float, columns: Sequence[NDArray[np.float64] | None] = ()
) -> tuple[list[Frame], list[Frame]]:
    """Frames for training and for validation, which share no pixel.

    Of few frames each is divided, so that there are columns on both sides of the cut.

    Parameters
    ----------
    share : of the frames, or of each frame, that is trained on.
    columns : (P, 2) places of those of each frame; None where they are not known.

    Raises
    ------
    ValueError
        Columns are known, and no cut leaves some on both sides.
    """
    if len(frames) >= FEWEST:
        first, second = halves(len(frames), share)
        return [frames[i] for i in first], [frames[i] for i in second]
    known = {n: each for n, each in enumerate(columns) if each is not None}
    cuts = {n: between(each, frames[n].image.shape, share) for n, each in known.items()}
    if cuts and not any(cuts.values()):
        raise ValueError(
            "images: too few columns to have some for training and others for validation; mark "
            "more, or annotate a further image"
        )
    pieces = [
        _divided(frame, cuts.get(n) or _usual_cut(frame.image.shape, share))
        for n, frame in enumerate(frames)
    ]
    return [piece[0] for piece in pieces], [piece[1] for piece in pieces]


def _divided(frame: Frame, cut: tuple[int, int]) -> tuple[Frame, Frame]:
    """The pieces of a frame on both sides of a place on one of its axes."""
    axis, at = cut
    before, after, everything = slice(0, at), slice(at, None), slice(None)
    if axis == 0:
        return frame.part(before, everything), frame.part(after, everything)
    return frame.part(everything, before), frame.part(everything, after)


def _usual_cut(shape: Sequence[int], share: float) -> tuple[int, int]:
    """Across the longer side."""
    axis = 0 if shape[0] >= shape[1] else 1
    return axis, _place(shape[axis], share)


def between(
    columns: NDArray[np.float64], shape: Sequence[int], share: float
) -> tuple[int, int] | None:
    """A cut with at least half of the columns on each side that are due to it.

    The usual cut if it does, else the one between two columns that comes closest to the `share` on
    the same axis, else on the other axis.

    Parameters
    ----------
    columns : (P, 2) places; those outside do not count.

    Returns
    -------
    The axis, and the first pixel behind the cut; None if there is no such cut.
    """
    inside = ((columns >= -0.5) & (columns < np.array(shape) - 0.5)).all(axis=1)
    columns = columns[inside]
    if len(columns) < 2:
        return None
    usual, at = _usual_cut(shape, share)
    for axis, first in ((usual, [at]), (1 - usual, [])):
        along = np.sort(columns[:, axis])
        gaps = np.ceil(0.5 * (along[1:] + along[:-1]) + 0.5).astype(int)
        parts = {cut: float(np.mean(along < cut - 0.5)) for cut in [*first, *gaps.tolist()]}
        closest = sorted(gaps.tolist(), key=lambda cut: abs(parts[cut] - share))
        for cut in [*first, *closest[:1]]:
            if share / 2 <= parts[cut] <= (1 + share) / 2:
                return axis, cut
    return None


def _place(length: int, share: float) -> int:
    """Pixel that is so far along a side, inside it."""
    return min(max(round(share * length), 1), length - 1)


def as_image(image: NDArray[np.generic], name: str) -> NDArray[np.float32]:
    """(N, H, W) float32 of an image or a stack.

    Raises
    ------
    ValueError
        It is no image, too small, not finite, or constant; the message names it.
    """
    data = np.asarray(image)
    if data.dtype.kind not in "buif" or data.ndim < 2 or not data.size:
        raise ValueError(
            f"{name}: must be an image (H, W) or a stack (..., H, W) of real numbers, "
            f"not {data.dtype} of shape {data.shape}"
        )
    if min(data.shape[-2:]) < SMALLEST:
        colour = "; of a colour image, take one channel" if data.shape[-1] in (3, 4) else ""
        raise ValueError(
            f"{name}: must have {SMALLEST} pixels each way, not {data.shape[-2:]}{colour}"
        )
    data = data.reshape(-1, *data.shape[-2:]).astype(np.float32)
    if not np.isfinite(data).all():
        raise ValueError(f"{name}: {int((~np.isfinite(data)).sum())} pixels are not finite")
    if data.min() == data.max():
        raise ValueError(f"{name}: shows nothing, all pixels are {data.flat[0]:g}")
    return data


def saved_array(path: Path, what: str, array: NDArray[Any]) -> Path:
    """Write an array beside others of the same name, and return its file."""
    file = path.with_name(f"{path.name}{what}.npy")
    with whole_file(file) as partial, partial.open("wb") as stream:
        np.save(stream, np.asarray(array), allow_pickle=False)
    return file
