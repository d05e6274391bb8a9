"""Atoms as radial functions of five parameters (Lobato et al. 2024, Eq. 16-22)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.imaging.probe import Array, Frequencies
from napari_atomseg.imaging.scattering import LAST_TABULATED, coefficients
from napari_atomseg.imaging.transfer import look_up
from napari_atomseg.specimen.columns import Indices

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
