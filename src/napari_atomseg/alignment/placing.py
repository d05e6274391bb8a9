"""Where the samples of a frame were taken, and the frame put there."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.inference.scan.regrid import put_back

Degree = Literal[1, 3]
SPLINE: Degree = 3
"""Degree of the splines that frames are interpolated by."""
TOUCHED = 1e-3
"""Part of a pixel that is left out, at most, in one that counts."""


@dataclass(frozen=True)
class Motion:
    """How a frame of L scan lines lies in the field: its sample (r, c) shows the place
    (r, c) - shift - drift - jitter.

    Attributes
    ----------
    shift : (2,) of the whole frame, (y, x) in pixels.
    drift : (L, 2) slow displacement of its lines, (y, x).
    jitter : (L, 2) displacement of each line beside that.
    error : (L, 2) standard errors of the lines' displacements.
    axis : 0 where the lines are rows, 1 where they are columns.
    """

    shift: Array
    drift: Array
    jitter: Array
    error: Array
    axis: int = 0

    @classmethod
    def still(cls, shift: Array, shape: tuple[int, int], axis: int = 0) -> Motion:
        """A frame (H, W) that is shifted as a whole."""
        none = np.zeros((shape[axis], 2))
        return cls(np.asarray(shift, dtype=np.float64), none, none, none, axis)

    @property
    def lines(self) -> Array:
        """(L, 2) displacement of the lines beside the shift."""
        return self.drift + self.jitter

    def turned(self) -> Motion:
        """The motion of the transposed frame."""
        return Motion(
            self.shift[::-1],
            self.drift[:, ::-1],
            self.jitter[:, ::-1],
            self.error[:, ::-1],
            1 - self.axis,
        )

    def extent(self) -> tuple[Array, Array]:
        """Least and largest displacement (y, x) of the lines, without their jitter."""
        whole = self.shift + self.drift
        return whole.min(axis=0), whole.max(axis=0)


@dataclass(frozen=True)
class Canvas:
    """The pixels of an average: its first one shows the place `origin` (y, x)."""

    origin: tuple[int, int]
    shape: tuple[int, int]

    @classmethod
    def around(cls, motions: list[Motion], shape: tuple[int, int], *, common: bool) -> Canvas:
        """All that any frame of a shape saw, or what all of them saw."""
        low = np.array([-motion.extent()[1] for motion in motions])
        high = np.array([np.array(shape) - 1 - motion.extent()[0] for motion in motions])
        if common:
            low = np.array([-motion.extent()[0] for motion in motions])
            high = np.array([np.array(shape) - 1 - motion.extent()[1] for motion in motions])
            first, last = np.ceil(low.max(axis=0) - 1e-6), np.floor(high.min(axis=0) + 1e-6)
        else:
            first, last = np.floor(low.min(axis=0) + 1e-6), np.ceil(high.max(axis=0) - 1e-6)
        height, width = (last - first + 1).astype(int).clip(0)
        return cls((int(first[0]), int(first[1])), (int(height), int(width)))


def placed(
    frame: Array, out: Mask, motion: Motion, canvas: Canvas, order: Degree = SPLINE
) -> tuple[Array, Mask]:
    """A frame (H, W) on the pixels of a canvas, and those of them that it saw.

    Jitter of its lines is undone by kriging (see `put_back`), what is slower by a cubic spline.

    Parameters
    ----------
    out : (H, W) pixels of the frame that do not count.
    order : degree of the spline.
    """
    if motion.axis == 1:
        there = Canvas(canvas.origin[::-1], canvas.shape[::-1])
        plane, seen = placed(frame.T, out.T, motion.turned(), there, order)
        return plane.T, seen.T
    height, width = frame.shape
    if motion.jitter.any():
        frame = put_back(frame, motion.jitter, motion.error)
    line = np.arange(height, dtype=np.float64)
    whole = motion.shift + motion.drift
    # Lines of the frame at the rows of the canvas; beyond its ends as its first and last ones go.
    at = np.maximum.accumulate(line - whole[:, 0])
    row = canvas.origin[0] + np.arange(canvas.shape[0], dtype=np.float64)
    source = np.interp(row, at, line)
    source += np.where(row < at[0], row - at[0], np.where(row > at[-1], row - at[-1], 0.0))
    across = np.interp(source, line, whole[:, 1])
    col = canvas.origin[1] + np.arange(canvas.shape[1]) + across[:, None]
    rows = np.broadcast_to(source[:, None], col.shape)
    plane = ndimage.map_coordinates(frame, [rows, col], order=order, mode="mirror")
    edge = 1e-6
    seen = (
        (rows >= -edge) & (rows <= height - 1 + edge) & (col >= -edge) & (col <= width - 1 + edge)
    )
    if out.any():
        part = ndimage.map_coordinates(out.astype(np.float32), [rows, col], order=1, mode="nearest")
        seen = seen & (part < TOUCHED)
    return np.asarray(plane, dtype=np.float64), np.asarray(seen, dtype=np.bool_)


def moved_by(motion: Motion, drift: Array) -> Motion:
    """The motion with this drift (L, 2), the mean of which goes to the shift."""
    mean = drift.mean(axis=0)
    return replace(motion, shift=motion.shift + mean, drift=drift - mean)
