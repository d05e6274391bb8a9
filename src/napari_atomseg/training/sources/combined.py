"""Sources of sources: mixtures and crops of others, and the list of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from napari_atomseg.distortion import AnyDistortion, Distortion
from napari_atomseg.distortion.counting import Shot
from napari_atomseg.distortion.scan import ScanJitter
from napari_atomseg.ranges import Probability
from napari_atomseg.training.sources.annotated import AnnotatedImages
from napari_atomseg.training.sources.base import (
    ELEMENTS,
    LINE_SHIFTS,
    TARGET_NAMES,
    PairBatch,
    PairSource,
    SourcePart,
    Stream,
    chosen,
    stacked,
)
from napari_atomseg.training.sources.blind_spot import BlindSpot
from napari_atomseg.training.sources.frames import CROPS
from napari_atomseg.training.sources.library import Folder, LibraryFolder
from napari_atomseg.training.sources.scan_lines import ScanLinesSource
from napari_atomseg.training.sources.simulated import Simulated

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
        source: PairSource,
        seed: int,
        size: int,
        each: int,
        latest: int,
        transposed: float = 0.0,
    ) -> None:
        super().__init__(source.targets, source.species)
        self._source, self._seed, self._size = source, seed, size
        self._each, self._latest, self._transposed = each, latest, transposed
        self._kept: dict[tuple[int, Place], PairBatch] = {}

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
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

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`."""
        return self._source.validation(count, crop, device)

    def _images(self, numbers: Sequence[int], first: int, where: Place) -> dict[int, PairBatch]:
        """The images of these numbers; those before the `first` are forgotten."""
        self._kept = {key: kept for key, kept in self._kept.items() if key[0] >= first}
        missing = sorted({n for n in numbers if (n, where) not in self._kept})
        if missing:
            made = self._source.samples(missing, *where)
            for row, number in enumerate(missing):
                one = made.rows(torch.tensor([row], device=made.image.device))
                self._kept[number, where] = one
        return {number: self._kept[number, where] for number in numbers}


def _part(pairs: PairBatch, top: int, left: int, crop: int) -> PairBatch:
    return _changed(pairs, lambda image: image[..., top : top + crop, left : left + crop])


def _transposed(pairs: PairBatch) -> PairBatch:
    return _changed(pairs, lambda image: image.mT)


def _changed(pairs: PairBatch, change: Callable[[Tensor], Tensor]) -> PairBatch:
    """Pairs whose image, truth and weight are changed alike."""
    return replace(
        pairs,
        image=change(pairs.image),
        targets={name: change(target) for name, target in pairs.targets.items()},
        weight=None if pairs.weight is None else change(pairs.weight),
    )


class Crops(SourcePart):
    """Several crops of each image of another source, where making one takes longer than a step.

    Attributes
    ----------
    of : the source; validation is its own.
    size : pixels of its images each way.
    each : crops taken of an image, on average.
    latest : images in memory, of which each crop is taken.
    transposed : chance that a crop has its rows for columns, so that scan lines run down in it.
    """

    kind: Literal["crops"] = "crops"
    of: AnySource
    size: int = Field(256, ge=32)
    each: int = Field(8, gt=0)
    latest: int = Field(128, gt=0)
    transposed: Probability = 0.0

    def open(self, seed: int, targets: Sequence[str] | None = None) -> CroppedSource:
        """See `SourcePart.open`."""
        source = self.of.open(seed, targets)
        return CroppedSource(source, seed, self.size, self.each, self.latest, self.transposed)


GOLDEN = (5**0.5 - 1) / 2
"""Multiples of the golden ratio fill the interval 0..1 evenly, whichever many are taken."""


class MixtureSource(Stream):
    """A weighted mixture of sources.

    Every batch has close to the same share of each part. Its targets are those that all parts give
    or, of a `partial` one, those that any gives, and its pairs say of which images they are known.
    Its species are those of all parts by name, with empty channels where a part lacks some.

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
        self, parts: Sequence[PairSource], weights: Sequence[float], *, partial: bool = False
    ) -> None:
        names = dict.fromkeys(name for part in parts for name in part.species)
        enough = any if partial else all
        given = tuple(n for n in TARGET_NAMES if enough(n in part.targets for part in parts))
        if not given:
            raise ValueError("parts: no target is common to all sources of the mixture")
        super().__init__(given, tuple(names))
        self._parts = parts
        self._bounds = np.array(list(accumulate(weights))) / sum(weights)

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""
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

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`."""
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

    def _completed(self, pairs: PairBatch, part: PairSource) -> PairBatch:
        """Pairs with the mixture's targets and species; targets that its part lacks are 0."""
        none = torch.zeros_like(pairs.image)
        targets = {name: pairs.targets.get(name, none) for name in self.targets}
        if LINE_SHIFTS in targets and LINE_SHIFTS not in pairs.targets:
            targets[LINE_SHIFTS] = none.repeat(1, 2, 1, 1)
        if ELEMENTS in targets:
            maps = none.repeat(1, len(self.species), 1, 1)
            if ELEMENTS in pairs.targets:
                maps[:, [self.species.index(name) for name in part.species]] = targets[ELEMENTS]
            targets[ELEMENTS] = maps
        nowhere = torch.zeros(len(pairs), dtype=torch.bool, device=pairs.image.device)
        lacking = {name: nowhere for name in self.targets if name not in pairs.targets}
        return replace(pairs, targets=targets, known=pairs.known | lacking)


class SourceMixture(SourcePart):
    """A weighted mixture of sources.

    Attributes
    ----------
    parts : the sources.
    weights : how often each is drawn, relative to the others; evenly where there are none.
    partial : whether parts may lack some of the wanted targets, which are then learnt from the
        images of the others alone. By default all parts must give all targets.
    """

    kind: Literal["mixture"] = "mixture"
    parts: Annotated[tuple[AnySource, ...], Field(min_length=1)]
    weights: tuple[Annotated[float, Field(gt=0.0, allow_inf_nan=False)], ...] = ()
    partial: bool = False

    @model_validator(mode="after")
    def _one_weight_a_part(self) -> SourceMixture:
        if self.weights and len(self.weights) != len(self.parts):
            raise ValueError(f"weights {self.weights} must be {len(self.parts)}, one a part")
        return self

    def open(self, seed: int, targets: Sequence[str] | None = None) -> MixtureSource:
        """See `SourcePart.open`. Each part has a seed of its own, so that none repeats another."""
        parts = []
        for number, part in enumerate(self.parts):
            wanted = targets
            if self.partial and targets is not None:
                able = part.open(seed + number).targets
                wanted = [name for name in targets if name in able] or targets
            parts.append(part.open(seed + number, wanted))
        weights = self.weights or (1.0,) * len(parts)
        return MixtureSource(parts, weights, partial=self.partial)


class ScanLines(SourcePart):
    """Images of another source, whose scan lines are moved; the truth is each line's displacement.

    Distortions are drawn anew for each sample, so that one image of the source serves for many.
    Lengths are in pixels, and the signal is 1 in the brightest pixel.

    Attributes
    ----------
    of : source of images without distortions.
    distortions : in this order; those that move lines come first.
    margin : pixels of its images beyond each border, which the motions bring in.
    turned : chance that the lines run down the image, so that its rows are not displaced.
    """

    kind: Literal["scan_lines"] = "scan_lines"
    of: AnySource
    distortions: tuple[AnyDistortion, ...] = (
        ScanJitter(sigma=(0.0, 1.0), unit="pixel"),
        Shot(counts=(12.0, 1e4), spread="log-uniform"),
    )
    margin: int = Field(12, ge=8)
    turned: Probability = 0.0

    @field_validator("distortions")
    @classmethod
    def _move_lines_only(cls, value: tuple[Distortion, ...]) -> tuple[Distortion, ...]:
        moving = [each.kind for each in value if type(each).move is not Distortion.move]
        if moving:
            raise ValueError(f"{', '.join(moving)}: pixels would no longer lie in their lines")
        return value

    def open(self, seed: int, targets: Sequence[str] | None = None) -> ScanLinesSource:
        """See `SourcePart.open`."""
        chosen((LINE_SHIFTS,), targets, "a source of moved lines")
        source = self.of.open(seed, ("no_noise",))
        return ScanLinesSource(source, self.distortions, seed, self.margin, self.turned)


AnySource = Annotated[
    Simulated
    | LibraryFolder
    | AnnotatedImages
    | Folder
    | BlindSpot
    | SourceMixture
    | Crops
    | ScanLines,
    Field(discriminator="kind"),
]
"""A source of a recipe, told by its `kind`."""

SourceMixture.model_rebuild()
Crops.model_rebuild()
ScanLines.model_rebuild()


def parts_of(source: SourcePart) -> Iterator[SourcePart]:
    """A source, and all those that it takes its pairs from."""
    yield source
    inner = (source.of,) if isinstance(source, Crops | ScanLines) else getattr(source, "parts", ())
    for part in inner:
        yield from parts_of(part)
