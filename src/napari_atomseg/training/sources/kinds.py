"""All kinds of sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from napari_atomseg.ranges import Probability
from napari_atomseg.training.sources.annotated import AnnotatedImages
from napari_atomseg.training.sources.base import SourcePart
from napari_atomseg.training.sources.blind_spot import BlindSpot
from napari_atomseg.training.sources.combined import CroppedSource, MixtureSource
from napari_atomseg.training.sources.library import Folder, LibraryFolder
from napari_atomseg.training.sources.simulated import Simulated


class Mixture(SourcePart):
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
    def _one_weight_a_part(self) -> Mixture:
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


class Crops(SourcePart):
    """Several crops of each image of another source, where making one takes longer than a step.

    Attributes
    ----------
    of : the source; validation is its own.
    size : pixels of its images each way.
    each : crops taken of an image, on average.
    latest : so many images are in memory, and each crop is of one of them.
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


AnySource = Annotated[
    Simulated | LibraryFolder | AnnotatedImages | Folder | BlindSpot | Mixture | Crops,
    Field(discriminator="kind"),
]
"""A source of a recipe, told by its `kind`."""

Mixture.model_rebuild()
Crops.model_rebuild()


def parts_of(source: SourcePart) -> Iterator[SourcePart]:
    """A source, and all those that it takes its pairs from."""
    yield source
    inner = (source.of,) if isinstance(source, Crops) else getattr(source, "parts", ())
    for part in inner:
        yield from parts_of(part)
