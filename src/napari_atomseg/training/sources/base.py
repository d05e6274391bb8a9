"""Sources of training pairs: endless streams of images with their truth."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Protocol

import torch
from pydantic import Field
from torch import Tensor

from napari_atomseg.ranges import Part
from napari_atomseg.settings import setting

IMAGES = ("no_noise", "no_background_no_noise", "no_noise_no_background_superresolution")
"""Targets that are intensities, in the units of the image."""
MASKS = ("circular_mask", "small_circular_mask", "gaussian_mask")
"""Targets between 0 and 1, one channel for all columns."""
ELEMENTS = "elements"
"""Target of discs with a channel a species."""
LINE_SHIFTS = "line_shifts"
"""Target of two channels, the displacement (y, x) in pixels of the line that a pixel lies in."""
PICTURED = (*IMAGES, *MASKS, ELEMENTS)
"""Targets that show the specimen."""
TARGET_NAMES = (*PICTURED, LINE_SHIFTS)

VALIDATION = 1_000_003
"""Validation draws from a stream of its own, its seed this far from the training's."""


@dataclass(frozen=True)
class PairBatch:
    """Images and the maps that a network learns to make of them.

    Attributes
    ----------
    image : (B, 1, H, W) float32 in the image's own units.
    targets : truth by name (`TARGET_NAMES`), each (B, 1, H, W) float32 but `elements`, which is
        (B, E, H, W) with a channel a species. Intensities are in the units of `image`.
    weight : (B, 1, H, W) in 0..1, how much the loss counts in a pixel; None for 1 everywhere.
    blind : whether the pixels that count are hidden in `image`, so that no change may mix pixels.
    known : for targets that some images lack, (B,) bool, whether an image has it; elsewhere the
        values in `targets` mean nothing.
    """

    image: Tensor
    targets: dict[str, Tensor]
    weight: Tensor | None = None
    blind: bool = False
    known: dict[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.image)

    def rows(self, rows: slice | Tensor) -> PairBatch:
        """Some of the pairs."""
        return replace(
            self,
            image=self.image[rows],
            targets={name: target[rows] for name, target in self.targets.items()},
            weight=None if self.weight is None else self.weight[rows],
            known={name: some[rows] for name, some in self.known.items()},
        )


class PairSource(Protocol):
    """An endless stream of training pairs, and fixed ones for validation that it never shows.

    Sample i is the same in whichever batch and process it is made.
    """

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the targets that it gives, in the order of `TARGET_NAMES`."""
        ...

    @property
    def species(self) -> tuple[str, ...]:
        """Names of the channels of `elements`."""
        ...

    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """Samples of the stream by their numbers, each `crop`² pixels."""
        ...

    def batch(self, first: int, count: int, crop: int, device: str) -> PairBatch:
        """Samples `first` to `first + count` of the stream."""
        ...

    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """So many fixed samples that are never in the stream."""
        ...


class Stream(ABC):
    """A source whose batches are runs of its samples."""

    def __init__(self, targets: tuple[str, ...], species: tuple[str, ...] = ()) -> None:
        self.targets, self.species = targets, species

    @abstractmethod
    def samples(self, indices: Sequence[int], crop: int, device: str) -> PairBatch:
        """See `PairSource.samples`."""

    @abstractmethod
    def validation(self, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.validation`."""

    def batch(self, first: int, count: int, crop: int, device: str) -> PairBatch:
        """See `PairSource.batch`."""
        return self.samples(range(first, first + count), crop, device)


class SourcePart(Part, ABC):
    """A source of a recipe.

    Attributes
    ----------
    kind : the tag that names it in a recipe.
    label : a few words for forms; without any, forms do not offer it.
    """

    kind: str
    label: ClassVar[str] = ""

    @abstractmethod
    def open(self, seed: int, targets: Sequence[str] | None = None) -> PairSource:
        """The source's stream of a seed.

        Parameters
        ----------
        seed : of everything random in the stream.
        targets : those that are wanted; no others are made. All that it can give by default.

        Raises
        ------
        OSError
            A file is missing, or is not what it should be; the message names it.
        ValueError
            It cannot give the targets, or holds nothing to learn from; the message gives the
            reason.
        """


class StoredPart(SourcePart):
    """A source of images that are there already.

    Attributes
    ----------
    split : share of the images that is trained on; the rest is for validation.
    """

    split: Annotated[float, Field(gt=0.0, lt=1.0)] = setting(
        0.75,
        "Share trained on",
        "Share of the images that is learnt from; the rest is for validation.",
        limits=(0.0, 1.0),
        section="Advanced",
    )


def chosen(available: Sequence[str], wanted: Sequence[str] | None, source: str) -> tuple[str, ...]:
    """The targets of a source that are wanted, in the order of `TARGET_NAMES`.

    Raises
    ------
    ValueError
        Some are not available; the message names the `source`, and what it gives.
    """
    lacking = [name for name in wanted or () if name not in available]
    if lacking:
        raise ValueError(
            f"{source} gives no {', '.join(lacking)}; it gives {', '.join(available) or 'nothing'}"
        )
    return tuple(name for name in TARGET_NAMES if name in (available if wanted is None else wanted))


def stacked(parts: Sequence[PairBatch]) -> PairBatch:
    """Pairs of the same targets and sizes as one batch."""
    weights = None
    if any(part.weight is not None for part in parts):
        weights = torch.cat(
            [torch.ones_like(p.image) if p.weight is None else p.weight for p in parts]
        )
    uncertain = dict.fromkeys(name for part in parts for name in part.known)
    return PairBatch(
        torch.cat([part.image for part in parts]),
        {name: torch.cat([part.targets[name] for part in parts]) for name in parts[0].targets},
        weights,
        any(part.blind for part in parts),
        {name: torch.cat([_known(part, name) for part in parts]) for name in uncertain},
    )


def _known(pairs: PairBatch, name: str) -> Tensor:
    all_of_them = torch.ones(len(pairs), dtype=torch.bool, device=pairs.image.device)
    return pairs.known.get(name, all_of_them)
