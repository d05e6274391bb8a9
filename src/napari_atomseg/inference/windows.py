"""Images too large for one piece: windows that overlap, each seen as the whole image is.

What is worked out in a window takes memory for the window alone, however large the image is, and an
array of dask is read window by window. Contrast, magnification and level are those of the image:
pieces of it settle them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from napari_atomseg._shared.memory import is_out_of_memory, too_little_memory
from napari_atomseg._shared.types import Image
from napari_atomseg.inference.frames import Examined, as_numbers, check_image, examine
from napari_atomseg.inference.tiles import Tile, tiles
from napari_atomseg.progress import tell

LARGEST = 2048**2
"""Pixels of an image that is worked on in one piece, at most."""
SIDE = 1536
"""Side of the windows of larger ones, pixels; it is halved where memory is short."""
SMALLEST = 384
"""Side of the smallest windows."""
PIECE, PIECES = 512, 4
"""Side of the pieces that the level of an image is told from, and how many along an axis."""
SHOWN = 1280
"""Side of the part that contrast and magnification are told from: as much as is tried of the most
reduced image, see `magnification.WINDOW`."""
BLOCK = 16
"""Side of the blocks whose variance is the structure of a piece, pixels."""

T = TypeVar("T")


@dataclass(frozen=True)
class Window:
    """A part of an image.

    Attributes
    ----------
    seen : what is worked on.
    core : the part of it that no other window has; the cores cover the image.
    """

    seen: Tile
    core: Tile

    def owns(self, y: Any, x: Any, slack: float = 0.0) -> Any:
        """(N,) whether places, pixels of the image, are in the core, or so near to it."""
        core = self.core
        return (
            (y >= core.top - 0.5 - slack)
            & (y < core.bottom - 0.5 + slack)
            & (x >= core.left - 0.5 - slack)
            & (x < core.right - 0.5 + slack)
        )


def windows(shape: tuple[int, int], side: int, overlap: int) -> list[Window]:
    """Windows of at most `side` pixels that share `overlap` pixels, in rows from the top."""
    return [
        Window(tile, Tile(*_inner(tile, shape, overlap // 2)))
        for tile in tiles(shape, max(side, 2 * overlap), overlap)
    ]


def _inner(tile: Tile, shape: tuple[int, int], margin: int) -> Iterator[int]:
    """A tile without its margins towards other tiles."""
    yield tile.top + margin * (tile.top > 0)
    yield tile.left + margin * (tile.left > 0)
    yield tile.bottom - margin * (tile.bottom < shape[0])
    yield tile.right - margin * (tile.right < shape[1])


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether images of a shape (..., H, W) are worked on in windows."""
    return len(shape) > 1 and math.prod(shape[-2:]) > LARGEST


def bounded(work: Callable[[int | None], T], shape: tuple[int, ...], what: str) -> T:
    """Do work on an image in one piece, or in windows; in smaller ones where memory is short.

    Parameters
    ----------
    work : takes the side of the windows, pixels, or None for one piece.
    shape : (..., H, W) of the image.
    what : the work, in words.

    Raises
    ------
    MemoryError
        Memory does not suffice for the smallest windows; it names what can be done.
    """
    side = SIDE if is_large(shape) else None
    while True:
        try:
            return work(side)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            reason = str(error)
        # Behind the handler, which keeps what was allocated so far.
        if side is None and math.prod(shape[:-2]) > 1:
            side = SIDE  # of a stack, each frame by itself
        else:
            side = (min(SIDE, max(shape[-2:])) if side is None else side) // 2
        if side < SMALLEST:
            raise too_little_memory(f"{what} of {shape[-2]} × {shape[-1]} pixels", reason)
        tell(f"Memory is short: in windows of {side} pixels")


def checked(image: Any) -> Any:
    """An image or stack as an array, of dask where it is one, that holds real numbers.

    Whole numbers that floating point does not hold lose their offset, which is that of all windows.

    Raises
    ------
    TypeError, ValueError
        As of `as_frames`.
    """
    if isinstance(image, Examined):
        return image
    array = image if hasattr(image, "dask") else np.asanyarray(image)
    check_image(array.dtype, array.shape)
    wide = array.dtype.kind in "iu" and array.dtype.itemsize == 8 and not hasattr(array, "dask")
    return as_numbers(array) if wide else array


def planes_of(image: Any) -> list[Any]:
    """The images (H, W) of a `checked` image or stack; lazy ones are not read."""
    leading = image.shape[:-2]
    if not leading:
        return [image]
    if not isinstance(image, Examined):
        return [image[index] for index in np.ndindex(leading)]
    names = ("frames", "out", "marks", "edges")
    return [
        replace(
            image,
            **{name: getattr(image, name)[number : number + 1] for name in names},
            shape=image.shape[-2:],
        )
        for number in range(len(image.frames))
    ]


def cut(plane: Any, tile: Tile) -> Any:
    """The part of an image (H, W), of an array of dask or of what was examined; lazy ones stay."""
    place = (..., slice(tile.top, tile.bottom), slice(tile.left, tile.right))
    if not isinstance(plane, Examined):
        return plane[place]
    parts = {name: getattr(plane, name)[place] for name in ("frames", "out", "marks", "edges")}
    return replace(plane, **parts, shape=parts["frames"].shape[-2:])


def read(part: Any) -> Any:
    """A part of an image, in memory; computed in this thread, which may be one of dask's own."""
    return part.compute(scheduler="synchronous") if hasattr(part, "dask") else part


def sample(plane: Any) -> tuple[list[Image], Examined]:
    """Pieces (h, w) of a large image that are spread evenly, and its part that shows the most.

    That is the part about the piece with the strongest structure. Pieces of which more than half
    shows no specimen do not count, unless that is all of them.
    """
    height, width = plane.shape[-2:]
    tell("Looking at pieces of the image")
    found, structure, places = [], [], []
    for top in _starts(height, PIECE, PIECES):
        for left in _starts(width, PIECE, PIECES):
            place = Tile(top, left, min(top + PIECE, height), min(left + PIECE, width))
            examined = examine(read(cut(plane, place)))
            piece = examined.frames[0]
            found.append((float(examined.out.mean()), piece))
            structure.append(_structure(piece))
            places.append(place)
    at = places[int(np.argmax(structure))]
    shown = []
    for first, last, length in ((at.top, at.bottom, height), (at.left, at.right, width)):
        start = max(0, min((first + last - SHOWN) // 2, length - SHOWN))
        shown.append((start, min(start + SHOWN, length)))
    (top, bottom), (left, right) = shown
    part = examine(read(cut(plane, Tile(top, left, bottom, right))))
    whole = [piece for out, piece in found if out <= 0.5]
    return whole or [piece for _, piece in found], part


def _starts(length: int, side: int, most: int) -> list[int]:
    """Where pieces of an axis begin."""
    count = min(most, -(-length // side))
    return [round(v) for v in np.linspace(0, max(0, length - side), count)]


def _structure(piece: Image) -> float:
    """Mean variance of blocks of a piece."""
    height, width = (max(1, n // BLOCK) for n in piece.shape)
    part = piece[: height * BLOCK, : width * BLOCK].astype(np.float64)
    rows = np.array_split(part, height, axis=0)
    return float(np.mean([each.var() for row in rows for each in np.array_split(row, width, 1)]))
