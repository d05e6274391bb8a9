"""Several crops of each image of another source, where making an image takes longer than a step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.training.sources.base import Pairs, Source, Stream, stacked
from napari_atomseg.training.sources.frames import CROPS

Place = tuple[int, str]
"""Pixels of an image each way, and the device that it is on."""


class CroppedSource(Stream):
    """Crops of the images of a source, each taken from one of its latest images.

    Parameters
    ----------
    source : of the images.
    seed : of the choice of images and of the places of the crops.
    size : pixels of an image each way; crops as large are the images themselves.
    each : crops taken of an image, on average.
    latest : images that are kept, of which each sample takes one.
    transposed : chance that a crop has its rows for columns.
    """

    def __init__(
        self,
        source: Source,
        seed: int,
        size: int,
        each: int,
        latest: int,
        transposed: float = 0.0,
    ) -> None:
        super().__init__(source.targets, source.species)
        self._source, self._seed, self._size = source, seed, size
        self._each, self._latest, self._transposed = each, latest, transposed
        self._kept: dict[tuple[int, Place], Pairs] = {}

    def samples(self, indices: Sequence[int], crop: int, device: str) -> Pairs:
        """See `Source.samples`."""
        size = max(self._size, crop)
        draws = [np.random.default_rng((self._seed, index, CROPS)) for index in indices]
        numbers = [
            index // self._each + int(rng.integers(self._latest))
            for index, rng in zip(indices, draws, strict=True)
        ]
        images = self._images(numbers, min(indices) // self._each, (size, device))
        crops = []
        for number, rng in zip(numbers, draws, strict=True):
            top, left = rng.integers(size - crop + 1, size=2).tolist()
            part = _part(images[number], top, left, crop)
            crops.append(_transposed(part) if rng.random() < self._transposed else part)
        return stacked(crops)

    def validation(self, count: int, crop: int, device: str) -> Pairs:
        """See `Source.validation`."""
        return self._source.validation(count, crop, device)

    def _images(self, numbers: Sequence[int], first: int, where: Place) -> dict[int, Pairs]:
        """The images of these numbers; those before the `first` are forgotten."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] >= first}
        missing = sorted({n for n in numbers if (n, where) not in self._kept})
        if missing:
            made = self._source.samples(missing, *where)
            for row, number in enumerate(missing):
                one = made.rows(torch.tensor([row], device=made.image.device))
                self._kept[number, where] = one
        return {number: self._kept[number, where] for number in numbers}


def _part(pairs: Pairs, top: int, left: int, crop: int) -> Pairs:
    return _changed(pairs, lambda image: image[..., top : top + crop, left : left + crop])


def _transposed(pairs: Pairs) -> Pairs:
    return _changed(pairs, lambda image: image.mT)


def _changed(pairs: Pairs, change: Callable[[Tensor], Tensor]) -> Pairs:
    """Pairs whose image, truth and weight are changed alike."""
    return replace(
        pairs,
        image=change(pairs.image),
        targets={name: change(target) for name, target in pairs.targets.items()},
        weight=None if pairs.weight is None else change(pairs.weight),
    )
