"""Optics: the base of all, and linear, incoherent imaging."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.imaging.probe import Frequencies, Probe
from napari_atomseg.imaging.scattering import cross_section
from napari_atomseg.imaging.transfer import peak_width, transfer_at, transfer_end

DETECTOR = (60.0, 180.0)
"""Inner and outer angle in mrad of a usual annular detector."""


class Optics(Protocol):
    """An instrument: how wide and how bright one atom is in its image."""

    coherent: ClassVar[bool]

    @property
    def width(self) -> float:
        """Sigma (Å) of the Gaussian with the height and the integral of a lone point's image."""
        ...

    def amplitude(self, numbers: Indices) -> Array:
        """Integrated intensity of one atom of each atomic number, relative; 1 for number 0."""
        ...


class IncoherentOptics(Optics, Protocol):
    """An instrument whose image is a sum over atoms."""

    @property
    def cutoff(self) -> float:
        """Frequency in 1/Å beyond which nothing is transferred."""
        ...

    def shapes(self, numbers: Indices) -> Indices:
        """The atomic number whose shape each atom has: the same one for all that look alike."""
        ...

    def transfer(self, number: int, ky: Frequencies, kx: Frequencies) -> NDArray[Any]:
        """Transform of an atom's image on the grid of ky (Y, 1) and kx (1, X) in 1/Å; 1 at zero."""
        ...


@dataclass(frozen=True)
class LinearOptics:
    """Projected scattering under a probe, an annular dark-field image (Lin et al. 2021, Eq. 1).

    Attributes
    ----------
    probe : the lens.
    gamma : atoms scatter as Z to this power; None: with their cross-section for the detector, from
        the form factors of the International Tables.
    detector : inner and outer angle in mrad, for cross-sections.
    """

    probe: Probe
    gamma: float | None = 1.7
    detector: tuple[float, float] = DETECTOR
    coherent: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 <= self.detector[0] < self.detector[1]:
            raise ValueError(
                f"detector={self.detector!r} must be (inner, outer) angles in mrad that grow"
            )

    @property
    def width(self) -> float:
        """Sigma (Å) of the Gaussian with the height and the integral of the probe."""
        return peak_width(self.probe)

    @property
    def cutoff(self) -> float:
        """Frequency in 1/Å from which the probe transfers less than 1e-4."""
        return transfer_end(self.probe)

    def amplitude(self, numbers: Indices) -> Array:
        """Z^gamma, or the cross-section in 0.001 Å²; 1 for number 0."""
        if self.gamma is not None:
            return np.maximum(numbers, 1).astype(np.float64) ** self.gamma
        kinds, place = np.unique(numbers, return_inverse=True)
        sections = [
            1e3 * cross_section(int(n), self.probe.energy, self.detector) if n else 1.0
            for n in kinds
        ]
        return np.array(sections)[place]

    def shapes(self, numbers: Indices) -> Indices:
        """One for all: atoms scatter to high angles from points."""
        return np.zeros_like(numbers)

    def transfer(self, number: int, ky: Frequencies, kx: Frequencies) -> NDArray[Any]:
        """The probe's transfer."""
        return transfer_at(self.probe, ky, kx)


def sum_of_waves(
    waves: Tensor, sampling: Tensor, shape: tuple[int, int], origin: float = 0.0
) -> Tensor:
    """Σ a cos(2π k·r + φ) for (B, K, 4) rows (ky, kx, phase, amplitude) in 1/Å and radians."""
    y = (torch.arange(shape[0], device=waves.device) + origin) * sampling[:, None]
    x = (torch.arange(shape[1], device=waves.device) + origin) * sampling[:, None]
    ky, kx, phase, amplitude = waves.unbind(-1)
    rows = torch.exp(1j * (2 * math.pi * y[:, :, None] * ky[:, None] + phase[:, None]))
    cols = torch.exp(2j * math.pi * kx[:, :, None] * x[:, None])
    return ((rows * amplitude[:, None]) @ cols).real
