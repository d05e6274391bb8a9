"""Atoms as radial functions of five parameters (Lobato et al. 2024, Eq. 16-22)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.exponentials import fading
from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.imaging.probe import Frequencies
from napari_atomseg.imaging.scattering import LAST_TABULATED, coefficients
from napari_atomseg.imaging.transfer import look_up

Floats = NDArray[np.float32]
REACH = 5.0
"""Sigmas beyond which a Gaussian is left out: exp(-12.5) of its height is 4e-6."""
WINDOWED = 200
"""Multiplications of a matrix product in the time of adding one value to its pixel."""


def gaussians(
    y: Tensor, x: Tensor, height: Tensor, sigma: Tensor, shape: tuple[int, int]
) -> Tensor:
    """Sum of isotropic Gaussians, (B, H, W).

    Samples are computed one by one on a CPU, each the faster way: as a product of two matrices of
    profiles, or by adding small windows about the spots.

    Parameters
    ----------
    y, x, height, sigma : (B, N) in pixels; spots of no height are left out.
    """
    if y.device.type != "cpu":
        return _product(y, x, height, sigma, shape)
    return torch.stack([_one(*spots, shape) for spots in zip(y, x, height, sigma, strict=True)])


def _one(y: Tensor, x: Tensor, height: Tensor, sigma: Tensor, shape: tuple[int, int]) -> Tensor:
    kept = height != 0
    y, x, height, sigma = y[kept], x[kept], height[kept], sigma[kept]
    if not len(y):
        return torch.zeros(shape)
    reach = math.ceil(REACH * float(sigma.max()))
    if WINDOWED * (2 * reach + 1) ** 2 > shape[0] * shape[1]:
        return _product(y[None], x[None], height[None], sigma[None], shape)[0]
    rows, dy = _window(y, reach)
    cols, dx = _window(x, reach)
    fall = -0.5 / sigma[:, None] ** 2
    values = (
        torch.exp(fall * dy**2)[:, :, None] * (height[:, None] * torch.exp(fall * dx**2))[:, None]
    )
    # A frame as wide as a window takes what lies outside.
    wide = shape[1] + 2 * reach
    image = torch.zeros((shape[0] + 2 * reach) * wide)
    rows = (rows + reach).clamp(0, shape[0] + 2 * reach - 1)
    cols = (cols + reach).clamp(0, wide - 1)
    index = rows[:, :, None] * wide + cols[:, None, :]
    image.scatter_add_(0, index.flatten(), values.flatten())
    return image.view(-1, wide)[reach : reach + shape[0], reach : reach + shape[1]]


def _window(centre: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """(..., 2 `reach` + 1) pixels about each centre, and their distances from it."""
    pixel = centre.round()[..., None] + torch.arange(-reach, reach + 1, device=centre.device)
    return pixel.long(), pixel - centre[..., None]


def _product(y: Tensor, x: Tensor, height: Tensor, sigma: Tensor, shape: tuple[int, int]) -> Tensor:
    rows = _profile(torch.arange(shape[0], device=y.device), y, sigma)
    cols = _profile(torch.arange(shape[1], device=x.device), x, sigma)
    return (rows * height[:, None, :]) @ cols.transpose(1, 2)


def _profile(axis: Tensor, centre: Tensor, sigma: Tensor) -> Tensor:
    away = (axis[:, None] - centre[:, None]) / sigma[:, None]
    return fading(away.square_().mul_(-0.5))


def circular_masks(
    y: Tensor, x: Tensor, visible: Tensor, radius: Tensor, shape: tuple[int, int]
) -> Tensor:
    """(B, H, W) float32: 1 in the pixels whose centres lie within `radius` (B,) pixels of a visible
    column, 0 elsewhere.

    Parameters
    ----------
    y, x, visible : (B, N) positions in pixels, and whether there is a column (0 or 1).
    """
    if y.device.type != "cpu":
        return _discs(y, x, visible, radius, shape)
    samples = zip(y.numpy(), x.numpy(), visible.numpy() > 0, radius.numpy(), strict=True)
    return torch.stack(
        [torch.from_numpy(_spans(y[seen], x[seen], r, shape)) for y, x, seen, r in samples]
    )


def _spans(y: Floats, x: Floats, radius: np.float32, shape: tuple[int, int]) -> Floats:
    """The discs of one sample, line by line: far fewer numbers than pixels."""
    height, width = shape
    reach = math.ceil(radius)
    row = np.rint(y)[:, None] + np.arange(-reach, reach + 1, dtype=np.float32)
    away, square = (row - y[:, None]) ** 2, radius**2
    centre = x[:, None]
    half = np.sqrt(np.maximum(square - away, 0.0))
    first, last = np.ceil(centre - half), np.floor(centre + half)
    # A pixel on the circle is inside; the rounding of a root must not decide on it.
    for end, step in ((first, -1.0), (last, 1.0)):
        end += step * ((end + step - centre) ** 2 + away <= square)
        end -= step * ((end - centre) ** 2 + away > square)
    first, last = np.maximum(first, 0.0), np.minimum(last, width - 1.0)
    here = (row >= 0) & (row < height) & (first <= last)
    start = row[here].astype(np.intp) * width + first[here].astype(np.intp)
    length = (last[here] - first[here]).astype(np.intp) + 1
    # The pixels of all stretches, one stretch after the other.
    pixel = np.arange(length.sum()) + np.repeat(start - np.cumsum(length) + length, length)
    mask = np.zeros(height * width, np.float32)
    mask[pixel] = 1.0
    return mask.reshape(height, width)


def _discs(y: Tensor, x: Tensor, visible: Tensor, radius: Tensor, shape: tuple[int, int]) -> Tensor:
    """The discs of many samples at once."""
    height, width = shape
    reach = math.ceil(float(radius.max()))
    rows, dy = _window(y, reach)
    cols, dx = _window(x, reach)
    inside = (dy**2)[..., :, None] + (dx**2)[..., None, :] <= (radius**2)[:, None, None, None]
    inside &= ((rows >= 0) & (rows < height) & (visible > 0)[..., None])[..., :, None]
    inside &= ((cols >= 0) & (cols < width))[..., None, :]
    index = rows[..., :, None] * width + cols[..., None, :]
    # What lies outside goes to one more pixel, which is cut off.
    index = torch.where(inside, index, height * width).flatten(1)
    masks = torch.zeros((len(y), height * width + 1), device=y.device)
    masks.scatter_(1, index, 1.0)
    return masks[:, :-1].view(-1, height, width)


FAR = 8.0
"""Frequency times radius up to which the transform of an atom is tabulated."""
STEPS = 1024
FAINTEST = 1e-3
"""Part of the forward intensity below which an atom's frequencies are left out."""


@dataclass(frozen=True)
class RadialShape:
    """f(r) = h1 exp(-r²/2m²) + h2 exp(-r/m) + h3 / (1 + (r/m)²ⁿ) (Eq. 17), m the `radius` in Å."""

    h1: float
    h2: float
    h3: float
    n: float
    radius: float

    def __post_init__(self) -> None:
        for name in ("h1", "h2", "h3", "n", "radius"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must be positive")

    def __call__(self, r: Array) -> Array:
        """Intensity at distances in Å."""
        rho = r / self.radius
        return np.asarray(
            self.h1 * np.exp(-0.5 * rho**2)
            + self.h2 * np.exp(-rho)
            + self.h3 / (1.0 + rho ** (2.0 * self.n))
        )

    @property
    def line_integral(self) -> float:
        """∫ f dr from 0 to infinity in Å, what Eq. 22 puts in order."""
        angle = np.pi / (2.0 * self.n)
        butterworth = self.h3 * angle / np.sin(angle)
        return float(self.radius * (self.h1 * np.sqrt(np.pi / 2.0) + self.h2 + butterworth))

    @property
    def integral(self) -> float:
        """∫ f 2πr dr in Å²."""
        angle = np.pi / self.n
        butterworth = self.h3 * angle / np.sin(angle)
        return float(np.pi * self.radius**2 * (2.0 * self.h1 + 2.0 * self.h2 + butterworth))

    @cached_property
    def table(self) -> Array:
        """Transform relative to zero frequency, over 0..`FAR` / radius."""
        kappa2 = (2.0 * np.pi * np.linspace(0.0, FAR, STEPS + 1)) ** 2
        rho, kernel = _hankel()
        transform = kernel @ (1.0 / (1.0 + rho ** (2.0 * self.n)))
        total = 2.0 * np.pi * (self.h1 * np.exp(-0.5 * kappa2) + self.h2 * (1.0 + kappa2) ** -1.5)
        return np.asarray((total + self.h3 * transform) * self.radius**2 / self.integral)


@lru_cache(maxsize=1)
def _hankel() -> tuple[Array, Array]:
    """Points ρ, and the matrix of ∫ f(ρ) J₀(2πκρ) 2πρ dρ for the tabulated κ (Gauss-Legendre)."""
    from scipy.special import j0

    points, weights = np.polynomial.legendre.leggauss(160)
    # Dense about the edge at 1; beyond 4 the slowest fall, ρ⁻⁸, leaves 1e-4 of the integral.
    edges = np.array([0.0, 0.7, 1.5, 4.0])
    half = np.diff(edges)[:, None] / 2.0
    rho = (edges[:-1, None] + half * (points + 1.0)).ravel()
    weight = (half * weights).ravel()
    kappa = np.linspace(0.0, FAR, STEPS + 1)
    return rho, j0(2.0 * np.pi * kappa[:, None] * rho) * (2.0 * np.pi * rho * weight)


def mean_square_radius(number: int) -> float:
    """Root of the mean square radius r̂ in Å of an atom's projected potential (Eq. 21).

    In closed form for the Gaussians of the International Tables: ∫r²V r dr / ∫V r dr is
    Σab / 4π²Σa.
    """
    a, b = coefficients(number)
    return float(np.sqrt((a * b).sum() / a.sum()) / (2.0 * np.pi))


@lru_cache(maxsize=1)
def _all_radii() -> Array:
    return np.array([mean_square_radius(n) for n in range(1, LAST_TABULATED + 1)])


def radius(number: int, alpha: float) -> float:
    """r^m = a r̂^α + b in Å, of the mean and spread over all elements that r̂ has (Eq. 18-20).

    Number 0 has the radius of the mean r̂.
    """
    radii = _all_radii()
    powers = radii**alpha
    a = radii.std() / powers.std()
    own = mean_square_radius(number) if number else radii.mean()
    return float(a * own**alpha + radii.mean() - a * powers.mean())


@dataclass(frozen=True)
class RadialOptics:
    """An incoherent image in which every element has its own radial function (Eq. 16).

    Attributes
    ----------
    shapes_by_number : the functions by atomic number, among them 0, for points of no element and
        as the reference of heights.
    """

    shapes_by_number: dict[int, RadialShape] = field(hash=False)
    coherent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if 0 not in self.shapes_by_number:
            raise ValueError(
                f"shapes_by_number={sorted(self.shapes_by_number)} must hold the reference, 0"
            )

    @property
    def width(self) -> float:
        """Sigma (Å) of the Gaussian with the height and the integral of the reference."""
        reference = self.shapes_by_number[0]
        height = float(reference(np.zeros(1))[0])
        return float(np.sqrt(reference.integral / (2.0 * np.pi * height)))

    @property
    def cutoff(self) -> float:
        """Frequency in 1/Å beyond which no element's transform reaches `FAINTEST`."""
        ends = [
            (np.flatnonzero(np.abs(shape.table) > FAINTEST)[-1] + 1) * FAR / STEPS / shape.radius
            for shape in self.shapes_by_number.values()
        ]
        return float(max(ends))

    def amplitude(self, numbers: Indices) -> Array:
        """Integrals relative to the reference's.

        Raises
        ------
        ValueError
            If an element has no function.
        """
        kinds, place = np.unique(numbers, return_inverse=True)
        unknown = sorted(set(kinds.tolist()) - set(self.shapes_by_number))
        if unknown:
            raise ValueError(
                f"numbers={unknown} have no radial function; "
                f"there are {sorted(self.shapes_by_number)}"
            )
        reference = self.shapes_by_number[0].integral
        return np.array([self.shapes_by_number[int(n)].integral / reference for n in kinds])[place]

    def shapes(self, numbers: Indices) -> Indices:
        """Each element has its own."""
        return numbers

    def transfer(self, number: int, ky: Frequencies, kx: Frequencies) -> NDArray[Any]:
        """Transform of the element's function, relative to zero frequency."""
        shape = self.shapes_by_number[number]
        return look_up(shape.table, FAR / shape.radius, np.sqrt((ky**2 + kx**2).astype(np.float32)))
