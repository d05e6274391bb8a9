"""The base of distortions: numbers drawn for one image, and one change of a batch of images.

A distortion draws its numbers with numpy, in pixels and in units of the signal, so that a renderer
needs only tensors. Fields of random numbers are drawn a sample at a time, each sample from its own
generator, and nothing adds up over a batch, so that a sample is the same in whichever batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator
from torch import Generator, Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import Part, Probability, Range

Drawn = dict[str, float | Array]
"""Numbers of one image by name."""
Values = Mapping[str, Tensor]
"""Numbers of a batch by name; the leading dimension is the sample."""
LengthUnit = Literal["angstrom", "width", "pixel"]
"""Å, the probe's `View.width`, or pixels."""


def within(lowest: float, highest: float) -> AfterValidator:
    """Check of a range whose both ends must lie in an interval."""

    def check(value: tuple[float, float]) -> tuple[float, float]:
        if not lowest <= value[0] <= value[1] <= highest:
            raise ValueError(f"range {value} must lie within {lowest} and {highest}")
        return value

    return AfterValidator(check)


def _counted(value: tuple[int, int]) -> tuple[int, int]:
    if not 0 <= value[0] <= value[1]:
        raise ValueError(f"range {value} must run from low to high, from 0 on")
    return value


CountRange = Annotated[tuple[int, int], AfterValidator(_counted)]
"""Lowest and highest whole number, both included."""
NonNegativeRange = Annotated[Range, within(0.0, float("inf"))]
Fraction = Annotated[Range, within(0.0, 1.0)]
Correlation = Annotated[Range, within(0.0, 0.999)]


@dataclass(frozen=True)
class View:
    """The image that is to be distorted.

    Attributes
    ----------
    sampling : Å a pixel.
    width : sigma of a lone peak in Å: the Gaussian of the same height and integral.
    shape : (H, W) of the image that is kept. Where a renderer adds a margin, it adds the same on
        either side; positions are therefore drawn from the centre.
    """

    sampling: float
    width: float
    shape: tuple[int, int]

    def pixels(self, length: float, unit: LengthUnit) -> float:
        """Length in pixels of a length in `unit`."""
        scale = {"angstrom": 1.0, "width": self.width, "pixel": self.sampling}[unit]
        return length * scale / self.sampling

    @property
    def centre(self) -> Array:
        """Position (y, x) of the centre in pixels of the kept image."""
        return (np.array(self.shape, dtype=np.float64) - 1.0) / 2.0


class Distortion(Part, ABC):
    """One distortion of a recipe.

    Attributes
    ----------
    kind : its name in a recipe.
    probability : fraction of the images that are distorted.
    equation : what is done to an image *x*, in Markdown, for the documentation.
    example : numbers of a strong distortion, for its picture.
    shared : whether truth is changed alike; then `apply` takes (B, C, H, W), the distorted image
        first and every image-like truth after it, and gives all channels the very same change.
    """

    kind: str
    probability: Probability = 1.0
    equation: ClassVar[str]
    example: ClassVar[Mapping[str, Any]]
    shared: ClassVar[bool] = False

    @abstractmethod
    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """Numbers for one image, in pixels and units of the signal; the same names every time."""

    @abstractmethod
    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Distort images (B, H, W) by the numbers drawn for each; one generator a sample."""

    def apply_labels(self, labels: Tensor, values: Values) -> Tensor:
        """Masks and maps of truth (B, C, H, W), which only geometry and crops change."""
        return labels

    def move(self, values: Mapping[str, float | Array], y: Array, x: Array) -> tuple[Array, Array]:
        """Positions of truth (y, x) after the distortion, in pixels of the kept image.

        `values` are the numbers of one image, as drawn.
        """
        return y, x

    def keeps(self, values: Mapping[str, float | Array], y: Array, x: Array) -> NDArray[np.bool_]:
        """Return which positions (y, x), as `move` gives them, are still in the image."""
        return np.ones(np.shape(y), dtype=bool)


def normal(shape: tuple[int, ...], generators: Sequence[Generator], like: Tensor) -> Tensor:
    """(B, *shape) standard normal numbers, one generator a sample, drawn on its device."""
    drawn = torch.empty((len(generators), *shape), device=generators[0].device)
    for i, generator in enumerate(generators):
        drawn[i].normal_(generator=generator)
    return drawn.to(like.device)


def uniform(shape: tuple[int, ...], generators: Sequence[Generator], like: Tensor) -> Tensor:
    """(B, *shape) numbers uniform in 0..1, one generator a sample, drawn on its device."""
    drawn = torch.empty((len(generators), *shape), device=generators[0].device)
    for i, generator in enumerate(generators):
        drawn[i].uniform_(generator=generator)
    return drawn.to(like.device)


def per_pixel(number: Tensor) -> Tensor:
    """(B, 1, 1) of one number a sample (B,)."""
    return number[:, None, None]


def mean(image: Tensor) -> Tensor:
    """(B,) mean of each image (B, H, W).

    Row by row, so that the sum is taken in the same order for any batch and number of threads.
    """
    return image.mean(dim=2).mean(dim=1)


def deviation(image: Tensor) -> Tensor:
    """(B,) standard deviation of each image (B, H, W)."""
    return mean((image - per_pixel(mean(image))) ** 2).sqrt()


def filtered(spectrum: Tensor, real: Tensor, imaginary: Tensor) -> Tensor:
    """Product of two complex tensors, rounded the same for any batch and number of threads.

    The product of complex tensors is not: whether it rounds between its multiplications and its
    additions depends on where in memory a number lies.
    """
    first, second = spectrum.real * real, spectrum.real * imaginary
    first -= spectrum.imag * imaginary
    second += spectrum.imag * real
    return torch.complex(first, second)
