"""Pairs from noisy images alone: Noise2Void (Krull, Buchholz and Jug 2019, CVPR)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor

from napari_atomseg.io import read_image
from napari_atomseg.ranges import RecipePath
from napari_atomseg.training.sources.base import VALIDATION, PairBatch, StoredPart, Stream, chosen
from napari_atomseg.training.sources.frames import (
    Frame,
    FrameStream,
    as_image,
    saved_array,
    split_frames,
)

TARGETS = ("no_noise",)
HIDDEN = 102
"""Stream of random numbers of a sample that hides its pixels; see `frames.CROPS`."""


class BlindSpot(StoredPart):
    """Noisy images that are their own truth in pixels that the network does not see.

    A network learns to predict a pixel from its surroundings, which do not predict noise that
    differs from pixel to pixel. Of four images or frames and more, some are kept for validation; of
    fewer, a part of each.

    Attributes
    ----------
    images : images or stacks, of any kind that `read_image` reads.
    hidden : share of the pixels that are hidden and learnt from (Krull et al.: 64 in 64 × 64).
    radius : half the width of the square from which the value comes that is shown instead, px.
    """

    kind: Literal["blind_spot"] = "blind_spot"
    label = "noisy images alone"
    images: Annotated[tuple[RecipePath, ...], Field(min_length=1)]
    hidden: Annotated[float, Field(gt=0.0, le=0.25)] = 1 / 64
    radius: Annotated[int, Field(ge=1, le=16)] = 2

    def open(self, seed: int, targets: Sequence[str] | None = None) -> BlindSpotSource:
        """See `SourcePart.open`."""
        images = {str(path): read_image(path).data for path in self.images}
        return BlindSpotSource(
            images, seed, targets, hidden=self.hidden, radius=self.radius, split=self.split
        )


class BlindSpotSource(Stream):
    """Pairs from noisy images in memory, by the names that error messages call them by; the other
    parameters are those of `BlindSpot`.

    Raises
    ------
    ValueError
        There is no image, or one that nothing can be learnt from; the message names it.
    """

    def __init__(
        self,
        images: dict[str, NDArray[Any]],
        seed: int = 0,
        targets: Sequence[str] | None = None,
        *,
        hidden: float = 1 / 64,
        radius: int = 2,
        split: float = 0.75,
    ) -> None:
        if not images:
            raise ValueError("images: there are none to learn from")
        super().__init__(chosen(TARGETS, targets, "a source of noisy images alone"))
        frames = [
            Frame(torch.from_numpy(one), {})
            for name, image in images.items()
            for one in as_image(image, name)
        ]
        self._stream = FrameStream(*split_frames(frames, split), seed, ())
        self._seed, self._hidden, self._radius = seed, hidden, radius

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
        return self._blinded(self._stream.samples(indices, crop, device), self._seed, indices)

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`."""
        pairs = self._stream.validation(count, crop, device)
        return self._blinded(pairs, self._seed + VALIDATION, range(count))

    def _blinded(self, pairs: PairBatch, seed: int, indices: Sequence[int]) -> PairBatch:
        shown, weights = [], []
        for image, index in zip(pairs.image, indices, strict=True):
            rng = np.random.default_rng((seed, index, HIDDEN))
            one, mask = hide_pixels(image[0], self._hidden, self._radius, rng)
            shown.append(one)
            weights.append(mask)
        weight = torch.stack(weights)[:, None]
        image = torch.stack(shown)[:, None]
        if pairs.weight is not None:
            # The mirror images beyond the borders would show hidden pixels.
            mean = pairs.image.mean(dim=(1, 2, 3), keepdim=True)
            image = torch.where(pairs.weight > 0, image, mean)
            weight = weight * pairs.weight
        return PairBatch(image, dict.fromkeys(self.targets, pairs.image), weight, blind=True)


def hide_pixels(
    image: Tensor, share: float, radius: int, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Replace pixels by others nearby, one in each square cell of 1 / `share` pixels.

    Parameters
    ----------
    image : (H, W), of at least two pixels.
    radius : half the width of the square around a pixel from which another one is taken.

    Returns
    -------
    The (H, W) image with pixels replaced, and (H, W) float32 of 1 where they were, else 0.
    """
    height, width = image.shape
    side = max(1, round(share**-0.5))
    corners = np.mgrid[0:height:side, 0:width:side].reshape(2, -1)
    y, x = corners + rng.integers(0, side, corners.shape)
    inside = (y < height) & (x < width)
    y, x = y[inside], x[inside]
    top, left = np.maximum(y - radius, 0), np.maximum(x - radius, 0)
    rows = np.minimum(y + radius, height - 1) - top + 1
    cols = np.minimum(x + radius, width - 1) - left + 1
    # Numbers of the pixels of the square, the one in its middle left out.
    other = rng.integers(0, rows * cols - 1)
    other += other >= (y - top) * cols + x - left
    from_y, from_x = top + other // cols, left + other % cols
    shown, mask = image.clone(), torch.zeros_like(image)
    shown[y, x] = image[from_y, from_x]
    mask[y, x] = 1.0
    return shown, mask


def save_blind_spot(
    folder: str | Path, images: Sequence[NDArray[Any]], **settings: Any
) -> BlindSpot:
    """Write images to a folder, for a part of a recipe that learns from them alone.

    Parameters
    ----------
    folder : for the files, `0000.npy` and so on; made if it is not there.
    settings : further fields of `BlindSpot`, as `radius`.

    Raises
    ------
    ValueError
        An image has nothing to learn from; nothing is written.
    OSError
        The folder cannot be written.
    """
    folder = Path(folder)
    for number, image in enumerate(images):
        as_image(image, f"image {number}")
    folder.mkdir(parents=True, exist_ok=True)
    files = [
        saved_array(folder / f"{number:04d}", "", image) for number, image in enumerate(images)
    ]
    return BlindSpot(images=tuple(files), **settings)
