"""Frames of an image or stack, and those of their pixels that show no specimen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_atomseg._shared.geometry import nearest_pixels
from napari_atomseg._shared.types import Array, Image, Mask
from napari_atomseg.inference.marks import find_marks, share
from napari_atomseg.inference.missing import find_missing
from napari_atomseg.inference.outliers import filled, find_outliers
from napari_atomseg.progress import checkpoint, tell

OFFSET = 1e4
"""Offset over the deviation of an image from which on float32 loses its contrast."""


_SIZES = (1e-30, 1e30)
"""Of the largest value of an image that is computed with."""
_EXACT = 2**53
"""Largest whole number up to which float64 holds them all."""


def as_frames(image: Any) -> tuple[Image, tuple[int, ...]]:
    """(N, H, W) frames of an image or stack, and the shape it came in.

    They are float32 where that holds the image's type exactly, and float64 otherwise, so that the
    contrast is kept on any offset. Of whole numbers that neither holds, the offset is removed
    first. Pixels that are masked, NaN or infinite become the median of their frame.

    Raises
    ------
    TypeError
        The values are not real numbers.
    ValueError
        The array has fewer than two axes, no pixels, or looks like an RGB image; or its values are
        too large or too small to be computed with.
    """
    array = as_numbers(image)
    frames = array.reshape(-1, *array.shape[-2:]).astype(float_type(array.dtype))
    bad = ~np.isfinite(frames)
    if bad.any():
        frames = np.where(bad, np.nan, frames)
        for frame in frames:
            holes = np.isnan(frame)
            if holes.any():
                frame[holes] = 0.0 if holes.all() else np.nanmedian(frame)
    _check_sizes(frames)
    return frames, array.shape


def _check_sizes(frames: Image) -> None:
    """Refuse values whose squares no number can hold: what is computed from them would be wrong."""
    largest = max(float(frames.max()), -float(frames.min()))
    if largest and not _SIZES[0] <= largest <= _SIZES[1]:
        raise ValueError(
            f"image has values up to {largest:.3g}, and sizes from {_SIZES[0]:g} to {_SIZES[1]:g} "
            "can be computed with: scale it, and make NaN of values that stand for none"
        )


def as_numbers(image: Any) -> NDArray[Any]:
    """The values of an image as an array that floating point holds, NaN where they are masked.

    Raises
    ------
    TypeError, ValueError
        As of `as_frames`.
    """
    masked = isinstance(image, np.ma.MaskedArray) and bool(np.ma.getmaskarray(image).any())
    array = np.ma.getdata(image) if masked else np.asarray(image)
    check_image(array.dtype, array.shape)
    if array.dtype.kind in "iu" and array.dtype.itemsize == 8:
        low, high = int(array.min()), int(array.max())
        if max(-low, high) > _EXACT:
            # Differences of whole numbers wrap around, and so are right in any type of 64 bits.
            array = (array - array.dtype.type(low)).astype(np.uint64)
    if masked:
        array = np.where(np.ma.getmaskarray(image), np.nan, array.astype(float_type(array.dtype)))
    return array


def check_image(kind: np.dtype[Any], shape: tuple[int, ...]) -> None:
    """Raise the errors of `as_frames` for values of a type, and an array of a shape."""
    if kind.kind not in "biuf":
        raise TypeError(f"image has values of type {kind}; real numbers are needed")
    if len(shape) < 2:
        raise ValueError(f"image has shape {shape}; two axes (rows, columns) are needed")
    if 0 in shape:
        raise ValueError(f"image has shape {shape}: it holds no pixels")
    if len(shape) == 3 and shape[-1] in (3, 4) and min(shape[:2]) > 4:
        raise ValueError(f"image has shape {shape}, an RGB image; convert it to grey values first")


def float_type(kind: DTypeLike) -> type[np.floating[Any]]:
    """float32 where it holds all values of a type, else float64."""
    return np.float32 if np.can_cast(kind, np.float32) else np.float64


def compact(planes: Array) -> NDArray[Any]:
    """Planes in float32 where that keeps their contrast, and unchanged otherwise."""
    return planes.astype(np.float32) if holds(float(planes.mean()), float(planes.std())) else planes


def holds(offset: float, scale: float) -> bool:
    """Whether float32 keeps the contrast of an image of this mean and deviation."""
    return abs(offset) <= OFFSET * scale or scale == 0


MOSTLY = 0.7
"""Part of an image that marks and borders may cover."""


@dataclass(frozen=True)
class Examined:
    """Frames ready for networks and estimates: what does not show the specimen is filled.

    Attributes
    ----------
    frames : (N, H, W) finite; pixels that are left out have the values of their surroundings.
    out : (N, H, W) pixels that were left out: hot, dead, missing, not finite, and those of `marks`.
    marks : (N, H, W) pixels that programs wrote, and constant borders.
    edges : (N, H, W) those around the marks, which may show some of the specimen.
    shape : of the image.
    notes : what was left out, a sentence each.
    """

    frames: Image
    out: Mask
    marks: Mask
    edges: Mask
    shape: tuple[int, ...]
    notes: tuple[str, ...] = ()

    def measured(self) -> Array:
        """(N, H, W) the frames as recorded, NaN where pixels are left out."""
        return np.where(self.out, np.nan, self.frames.astype(np.float64))

    def hides(self, frame: int, y: Array, x: Array) -> Mask:
        """(N,) positions in a frame, pixels, that lie on marks."""
        marks = self.marks[frame]
        hidden: Mask = marks[nearest_pixels(marks.shape, y, x)]
        return hidden


def examine(image: Any) -> Examined:
    """Find the pixels of an image or stack that do not show the specimen, and fill them.

    These are hot and dead pixels (see `find_outliers`), bars, words and bands that programs wrote
    and constant borders (see `find_marks`), and missing pixels: those that are not finite, and
    exact zeros in plenty that are far below all about them (see `find_missing`).

    Parameters
    ----------
    image : (..., H, W) real numbers; what has been examined comes back as it is.

    Raises
    ------
    TypeError, ValueError
        As of `as_frames`.
    """
    if isinstance(image, Examined):
        return image
    frames, shape = as_frames(image)
    out = ~np.isfinite(as_numbers(image).reshape(frames.shape))
    marks, written, edges, missing = (np.zeros_like(out) for _ in range(4))
    outliers = 0
    for number, frame in enumerate(frames):
        tell("Looking for faulty pixels, bars and text")
        missing[number] = find_missing(np.where(out[number], np.nan, frame))
        if missing[number].any():
            out[number] |= missing[number]
            # As pixels that are not finite, see `as_frames`.
            frame[missing[number]] = np.median(frame[~out[number]])
        checkpoint()
        found = find_marks(frame)
        # Where flat areas are most of it, an image is not a picture with marks on it.
        if found.all.mean() <= MOSTLY:
            written[number], marks[number] = found.written, found.all & ~out[number]
            edges[number] = found.edges & marks[number]
        out[number] |= marks[number]
        checkpoint()
        hot = find_outliers(frame, ~out[number])
        outliers += int(hot.sum())
        out[number] |= hot
        if out[number].any():
            frames[number] = filled(frame, out[number])
    notes = (*_on_blank(frames), *_notes(outliers, missing, written, marks & ~written))
    return Examined(frames, out, marks, edges, shape, notes)


def _on_blank(frames: Image) -> list[str]:
    """A sentence where frames show nothing."""
    blank = int((np.ptp(frames.reshape(len(frames), -1), axis=1) == 0).sum())
    if not blank:
        return []
    several = f"{blank} of {len(frames)} frames {'are' if blank > 1 else 'is'}"
    which = "the image is" if len(frames) == 1 else several
    return [f"{which} blank: all values are the same, or none is a number"]


def _notes(outliers: int, missing: Mask, written: Mask, border: Mask) -> tuple[str, ...]:
    """What was left out, a sentence each."""
    notes = []
    if outliers:
        pixels, were = ("pixels", "were") if outliers > 1 else ("pixel", "was")
        notes.append(f"{outliers} hot or dead {pixels} {were} left out")
    if missing.any():
        notes.append(
            f"{share(missing)} of the pixels are exact zeros, far below those about them: they "
            "were taken for missing and left out"
        )
    if written.any():
        notes.append(f"a burnt-in bar or text was left out ({share(written)} of the image)")
    if border.any():
        notes.append(f"a constant border was left out ({share(border)} of the image)")
    return tuple(notes)
