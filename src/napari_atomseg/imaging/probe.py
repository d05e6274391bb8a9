"""The electron probe: wavelength, aperture and aberrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

REST_ENERGY = 510_998.95
"""Electron rest energy in eV (CODATA 2018)."""
HC = 12_398.419843
"""Planck constant times speed of light, in eV Å (CODATA 2018)."""
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))

Array = NDArray[np.float64]
Frequencies = NDArray[np.floating[Any]]
"""Spatial frequencies in 1/Å."""


def wavelength(energy: float) -> float:
    """Relativistic electron wavelength in Å for an energy in eV (Kirkland, Eq. 2.5)."""
    return float(HC / np.sqrt(energy * (2.0 * REST_ENERGY + energy)))


@dataclass(frozen=True)
class Probe:
    """A probe-forming lens.

    Attributes
    ----------
    energy : eV.
    semiangle : radius of the aperture in mrad.
    defocus, C3, C5 : round aberrations in Å; underfocus is positive, defocus = -C1.
    source_size : full width at half maximum of the source in the specimen plane, Å.
    tail, tail_width : fraction of the current in a Lorentzian halo, and its half-width in Å: the
        far tails that real probes and thick specimens show.
    A1, B2, A2 : two-fold astigmatism, axial coma and three-fold astigmatism in Å (Uhlemann and
        Haider 1998; Krivanek's C1,2, C2,1 / 3 and C2,3).
    A1_angle, B2_angle, A2_angle : their directions in degrees, from the x axis (columns) towards
        the y axis (rows).
    """

    energy: float = 200e3
    semiangle: float = 20.0
    defocus: float = 0.0
    C3: float = 0.0
    source_size: float = 0.8
    tail: float = 0.0
    tail_width: float = 2.0
    C5: float = 0.0
    A1: float = 0.0
    A1_angle: float = 0.0
    B2: float = 0.0
    B2_angle: float = 0.0
    A2: float = 0.0
    A2_angle: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("energy", self.energy), ("semiangle", self.semiangle)):
            if not value > 0:
                raise ValueError(f"{name}={value!r} must be positive")
        for name, value in (("source_size", self.source_size), ("tail_width", self.tail_width)):
            if not value >= 0:
                raise ValueError(f"{name}={value!r} must not be negative")
        if not 0 <= self.tail <= 1:
            raise ValueError(f"tail={self.tail!r} must lie between 0 and 1")

    @property
    def cutoff(self) -> float:
        """Aperture radius α/λ in 1/Å; the incoherent image has no frequencies beyond twice it."""
        return self.semiangle * 1e-3 / wavelength(self.energy)

    @property
    def isotropic(self) -> bool:
        """Whether the probe is round."""
        return not (self.A1 or self.B2 or self.A2)

    @property
    def round_phases(self) -> tuple[float, float, float]:
        """Phases (rad) of defocus, C3 and C5 at the edge of the aperture."""
        lam, angle = wavelength(self.energy), self.semiangle * 1e-3
        scale = 2.0 * np.pi / lam
        return (
            -float(scale * self.defocus * angle**2 / 2.0),
            float(scale * self.C3 * angle**4 / 4.0),
            float(scale * self.C5 * angle**6 / 6.0),
        )


def aberration_phase(probe: Probe, ky: Frequencies, kx: Frequencies) -> Array:
    """χ(k) in rad at frequencies in 1/Å; the wave is multiplied by exp(-iχ).

    χ = 2π/λ Re[ω ω* (C1 + C3 |ω|²/2 + C5 |ω|⁴/3)/2 + A1 ω*²/2 + B2 |ω|² ω* + A2 ω*³/3] with
    ω = λ(kx + i ky) (Uhlemann and Haider 1998, to third order in the azimuth). Coma comes with the
    tilt of Zernike's polynomial, ρ³ - 2ρ/3 over the aperture, so that a spot's peak and not the
    end of its tail stands at the column.
    """
    lam = wavelength(probe.energy)
    omega = lam * (kx + 1j * ky)
    squared = np.abs(omega) ** 2
    path = squared * (-probe.defocus / 2 + probe.C3 * squared / 4 + probe.C5 * squared**2 / 6)
    if not probe.isotropic:
        edge = (probe.semiangle * 1e-3) ** 2
        for amplitude, degrees, shape in (
            (probe.A1, 2.0 * probe.A1_angle, omega**2 / 2),
            (probe.B2, probe.B2_angle, omega * (squared - 2.0 / 3.0 * edge)),
            (probe.A2, 3.0 * probe.A2_angle, omega**3 / 3),
        ):
            if amplitude:
                path = path + amplitude * (shape * np.exp(-1j * np.deg2rad(degrees))).real
    return np.asarray(2.0 * np.pi / lam * path)
