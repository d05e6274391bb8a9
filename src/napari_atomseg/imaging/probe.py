"""The electron probe: wavelength, aperture and aberrations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg._shared.types import Array

REST_ENERGY = 510_998.95
"""Electron rest energy in eV (CODATA 2018)."""
HC = 12_398.419843
"""Planck constant times speed of light, in eV Å (CODATA 2018)."""
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))

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

    χ = 2π/λ Re[C1 ωω*/2 + C3 (ωω*)²/4 + C5 (ωω*)³/6 + A1 ω*²/2 + B2 ω²ω* + A2 ω*³/3] with
    ω = λ(kx + i ky) (Uhlemann and Haider 1998, with B2 turned the same way as the others). Coma
    comes with the tilt of Zernike's polynomial, ρ³ - 2ρ/3 over the aperture, so that a spot's peak
    and not the end of its tail stands at the column.
    """
    lam = wavelength(probe.energy)
    omega = lam * (kx + 1j * ky)
    squared = np.abs(omega) ** 2
    path = squared * (-probe.defocus / 2 + probe.C3 * squared / 4 + probe.C5 * squared**2 / 6)
    if not probe.isotropic:
        a1, b2, a2 = _directed(probe)
        coma = b2.conjugate() * omega * (squared - _balance(probe))
        path = path + (a1.conjugate() * omega**2 / 2 + coma + a2.conjugate() * omega**3 / 3).real
    return np.asarray(2.0 * np.pi / lam * path)


def aberration_slope(probe: Probe, ky: Frequencies, kx: Frequencies) -> NDArray[np.complex128]:
    """∂χ/∂(λkx) + i ∂χ/∂(λky), the gradient of `aberration_phase` by angle."""
    lam = wavelength(probe.energy)
    omega = lam * (kx + 1j * ky)
    squared = np.abs(omega) ** 2
    slope = omega * (-probe.defocus + probe.C3 * squared + probe.C5 * squared**2)
    if not probe.isotropic:
        a1, b2, a2 = _directed(probe)
        slope = slope + a1 * omega.conj() + a2 * omega.conj() ** 2
        slope = slope + b2 * (2.0 * squared - _balance(probe)) + b2.conjugate() * omega**2
    return np.asarray(2.0 * np.pi / lam * slope)


def coma_shift(probe: Probe) -> tuple[float, float]:
    """How far (y, x) in Å the tilt that balances coma moves the image of a scanned probe."""
    shift = _balance(probe) * _directed(probe)[1]
    return shift.imag, shift.real


def _directed(probe: Probe) -> tuple[complex, complex, complex]:
    """A1, B2 and A2 as complex numbers."""
    return (
        probe.A1 * complex(np.exp(2j * np.deg2rad(probe.A1_angle))),
        probe.B2 * complex(np.exp(1j * np.deg2rad(probe.B2_angle))),
        probe.A2 * complex(np.exp(3j * np.deg2rad(probe.A2_angle))),
    )


def _balance(probe: Probe) -> float:
    return 2.0 / 3.0 * (probe.semiangle * 1e-3) ** 2


MILLIMETRE = 1e7
"""Å."""


def microscopes() -> dict[str, dict[str, Any]]:
    """Settings of typical microscopes, as keyword arguments of `simulate`, by name.

    Corrected probes have the angles and sources usual in atomic-resolution work; the 200 kV one is
    the first condition of Lin et al. 2021. Uncorrected ones stand at Scherzer's conditions
    (Kirkland, sections 3.4 and 3.5). Corrected HRTEM has a negative spherical aberration and
    overfocus, so that atoms are bright (Jia, Lentzen and Urban 2004).
    """
    return {
        "probe-corrected 300 kV STEM": _stem(300e3, 25.0, source_size=0.7),
        "probe-corrected 200 kV STEM": _stem(200e3, 24.0, source_size=0.9),
        "probe-corrected 80 kV STEM": _stem(80e3, 30.0, source_size=0.9),
        "probe-corrected 60 kV STEM": _stem(60e3, 33.0, source_size=1.0),
        "uncorrected 300 kV STEM": _uncorrected_stem(300e3, 1.2 * MILLIMETRE),
        "uncorrected 200 kV STEM": _uncorrected_stem(200e3, 1.0 * MILLIMETRE),
        "image-corrected 300 kV HRTEM": _hrtem(300e3, defocus=-60.0, C3=-1.5e5, focal_spread=30.0),
        "image-corrected 80 kV HRTEM": _hrtem(80e3, defocus=-75.0, C3=-1.2e5, focal_spread=25.0),
        "uncorrected 200 kV HRTEM": _scherzer_hrtem(200e3, 1.2 * MILLIMETRE, focal_spread=50.0),
    }


def _stem(
    energy: float, semiangle: float, source_size: float, defocus: float = 0.0, C3: float = 0.0
) -> dict[str, Any]:
    return {
        "imaging": "linear",
        "energy": energy,
        "semiangle": semiangle,
        "source_size": source_size,
        **_aberrations(defocus, C3),
    }


def _uncorrected_stem(energy: float, spherical: float) -> dict[str, Any]:
    """The sharpest incoherent probe: α = (4 λ / C3)^¼ and an underfocus of (C3 λ)^½."""
    lam = wavelength(energy)
    angle = 1e3 * (4.0 * lam / spherical) ** 0.25
    focus = np.sqrt(spherical * lam)
    return _stem(energy, round(float(angle), 1), 1.0, round(float(focus)), spherical)


def _hrtem(energy: float, defocus: float, C3: float, focal_spread: float) -> dict[str, Any]:
    return {
        "imaging": "hrtem",
        "energy": energy,
        "focal_spread": focal_spread,
        **_aberrations(defocus, C3),
    }


def _scherzer_hrtem(energy: float, spherical: float, focal_spread: float) -> dict[str, Any]:
    """The broadest band of one sign: an underfocus of (1.5 C3 λ)^½."""
    focus = np.sqrt(1.5 * spherical * wavelength(energy))
    return _hrtem(energy, round(float(focus)), spherical, focal_spread)


def _aberrations(defocus: float, C3: float) -> dict[str, float]:
    return {"defocus": defocus, "C3": C3, "C5": 0.0, "A1": 0.0, "B2": 0.0, "A2": 0.0}
