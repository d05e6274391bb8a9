"""What an instrument makes of one atom; the linear, incoherent one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.imaging.probe import Array, Frequencies, Probe
from napari_atomseg.imaging.scattering import form_factor
from napari_atomseg.imaging.transfer import peak_width, transfer_at, transfer_end
from napari_atomseg.specimen.columns import Indices


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
    gamma : an atom is a point that scatters as Z to this power. None: it is its projected
        potential, from the electron form factors of the International Tables.
    """

    probe: Probe
    gamma: float | None = 1.7
    coherent: ClassVar[bool] = False

    @property
    def width(self) -> float:
        """Sigma (Å) of the Gaussian with the height and the integral of the probe."""
        return peak_width(self.probe)

    @property
    def cutoff(self) -> float:
        """Frequency in 1/Å from which the probe transfers less than 1e-4."""
        return transfer_end(self.probe)

    def amplitude(self, numbers: Indices) -> Array:
        """Z^gamma, or the form factor in the forward direction in Å; 1 for number 0."""
        if self.gamma is not None:
            return np.maximum(numbers, 1).astype(np.float64) ** self.gamma
        zero = np.zeros(1)
        kinds, place = np.unique(numbers, return_inverse=True)
        return np.array([form_factor(int(n), zero)[0] if n else 1.0 for n in kinds])[place]

    def shapes(self, numbers: Indices) -> Indices:
        """0 for all where atoms are points."""
        return numbers if self.gamma is None else np.zeros_like(numbers)

    def transfer(self, number: int, ky: Frequencies, kx: Frequencies) -> NDArray[Any]:
        """The probe's transfer, times the atom's form factor relative to the forward direction."""
        lens = transfer_at(self.probe, ky, kx)
        if not number:
            return lens
        forward = form_factor(number, np.zeros(1))[0]
        return np.asarray(lens * (form_factor(number, np.hypot(ky, kx)) / forward))
