"""Pairs from several sources."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.training.sources.base import (
    ELEMENTS,
    TARGET_NAMES,
    Pairs,
    Source,
    Stream,
    stacked,
)
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


GOLDEN = (5**0.5 - 1) / 2
"""Multiples of the golden ratio fill the interval 0..1 evenly, whichever many are taken."""


class MixtureSource(Stream):
    """A weighted mixture of sources.

    Every batch has close to the same share of each part. Its targets are those that all parts give
    or, of a `partial` one, those that any gives, and its pairs say of which images they are known.
    Its species are those of all parts by name, with empty channels where a part knows none of them.

    Parameters
    ----------
    parts : sources, of which some targets are common to all unless the mixture is partial.
    weights : how often each is drawn, relative to the others.

    Raises
    ------
    ValueError
        The sources have no target in common.
    """

    def __init__(
        self, parts: Sequence[Source], weights: Sequence[float], *, partial: bool = False
    ) -> None:
        names = dict.fromkeys(name for part in parts for name in part.species)
        enough = any if partial else all
        given = tuple(n for n in TARGET_NAMES if enough(n in part.targets for part in parts))
        if not given:
            raise ValueError("parts: no target is common to all sources of the mixture")
        super().__init__(given, tuple(names))
        self._parts = parts
        self._bounds = np.array(list(accumulate(weights))) / sum(weights)

    def samples(self, indices: Sequence[int], crop: int, device: str) -> Pairs:
        """See `Source.samples`."""
        places = self.choices(indices)
        pieces, order = [], []
        for number, part in enumerate(self._parts):
            rows = [row for row, place in enumerate(places) if place == number]
            if rows:
                pairs = part.samples([indices[row] for row in rows], crop, device)
                pieces.append(self._completed(pairs, part))
                order += rows
        back = torch.from_numpy(np.argsort(order))
        return stacked(pieces).rows(back.to(device))

    def validation(self, count: int, crop: int, device: str) -> Pairs:
        """See `Source.validation`."""
        places = self.choices(range(count))
        pieces = []
        for number, part in enumerate(self._parts):
            if number in places:
                pairs = part.validation(places.count(number), crop, device)
                pieces.append(self._completed(pairs, part))
        return stacked(pieces)

    def choices(self, indices: Sequence[int]) -> list[int]:
        """Number of the part that each sample comes from."""
        even = (np.asarray(indices, dtype=np.float64) * GOLDEN) % 1.0
        found: list[int] = np.searchsorted(self._bounds, even, side="right").tolist()
        return [min(place, len(self._parts) - 1) for place in found]

    def _completed(self, pairs: Pairs, part: Source) -> Pairs:
        """Pairs with the mixture's targets and species; targets that are not known are 0."""
        none = torch.zeros_like(pairs.image)
        targets = {name: pairs.targets.get(name, none) for name in self.targets}
        if ELEMENTS in targets:
            maps = none.repeat(1, len(self.species), 1, 1)
            if ELEMENTS in pairs.targets:
                maps[:, [self.species.index(name) for name in part.species]] = targets[ELEMENTS]
            targets[ELEMENTS] = maps
        nowhere = torch.zeros(len(pairs), dtype=torch.bool, device=pairs.image.device)
        lacking = {name: nowhere for name in self.targets if name not in pairs.targets}
        return replace(pairs, targets=targets, known=pairs.known | lacking)
