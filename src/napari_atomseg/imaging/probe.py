"""The electron probe and its optical transfer function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

REST_ENERGY = 510_998.95
"""Electron rest energy in eV (CODATA 2018)."""
HC = 12_398.419843
"""Planck constant times speed of light, in eV Å (CODATA 2018)."""
FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))


def wavelength(energy: float) -> float:
    """Relativistic electron wavelength in Å for an energy in eV (Kirkland, Eq. 2.5)."""
    return float(HC / np.sqrt(energy * (2.0 * REST_ENERGY + energy)))


@dataclass(frozen=True)
class Probe:
    """A probe-forming lens: energy (eV), semi-angle (mrad), aberrations (Å), source FWHM (Å).

    `tail` is the fraction of the current in a Lorentzian halo of half-width `tail_width` Å, the
    far tails that real probes and thick specimens show.
    """

    energy: float = 200e3
    semiangle: float = 20.0
    defocus: float = 0.0
    C3: float = 0.0
    source_size: float = 0.8
    tail: float = 0.0
    tail_width: float = 2.0

    def __post_init__(self) -> None:
        for name, value in (("energy", self.energy), ("semiangle", self.semiangle)):
            if not value > 0:
                raise ValueError(f"{name}={value!r} must be positive")
        if not self.source_size >= 0:
            raise ValueError(f"source_size={self.source_size!r} must not be negative")

    @property
    def cutoff(self) -> float:
        """Aperture radius α/λ in 1/Å; the incoherent image has no frequencies beyond twice it."""
        return self.semiangle * 1e-3 / wavelength(self.energy)


@lru_cache(maxsize=4096)
def _radial_transfer(probe: Probe, samples: int = 32) -> tuple[NDArray[np.float64], float]:
    """Aperture part of the OTF on 0..2 α/λ, as the autocorrelation of the pupil, and the step."""
    size = 4 * samples
    axis = np.fft.fftfreq(size, 1.0 / size) / samples
    radius = np.hypot(axis[:, None], axis[None])
    lam, cutoff = wavelength(probe.energy), probe.cutoff
    k2 = (radius * cutoff) ** 2
    phase = np.pi * lam * k2 * (0.5 * probe.C3 * lam**2 * k2 - probe.defocus)
    edge = np.clip((1.0 - radius) * samples + 0.5, 0.0, 1.0)
    pupil = edge * np.exp(-1j * phase)
    transfer = np.fft.ifft2(np.abs(np.fft.fft2(pupil)) ** 2).real
    profile = transfer[0, : 2 * samples + 1]
    return profile / profile[0], cutoff / samples


def _transfer(probe: Probe, k: NDArray[np.float64]) -> NDArray[np.float64]:
    profile, step = _radial_transfer(probe)
    aperture = np.interp(k / step, np.arange(len(profile)), profile, right=0.0)
    source = np.exp(-2.0 * (np.pi * probe.source_size / FWHM_PER_SIGMA * k) ** 2)
    halo = 1.0 - probe.tail + probe.tail * np.exp(-2.0 * np.pi * probe.tail_width * k)
    return np.asarray(aperture * source * halo)


def peak_width(probe: Probe) -> float:
    """Sigma (Å) of the Gaussian with the same height and current as the probe: (2π PSF(0))^-½."""
    k = np.linspace(0.0, 2.0 * probe.cutoff, 256)
    height = np.trapezoid(2.0 * np.pi * k * _transfer(probe, k), k)
    return float(1.0 / np.sqrt(2.0 * np.pi * height))


def otf(
    probes: Sequence[Probe], samplings: Sequence[float], shape: tuple[int, int], device: str = "cpu"
) -> Tensor:
    """Transfer functions of unit-current probes on the half-plane of a real FFT.

    Parameters
    ----------
    probes, samplings : one probe and one pixel size (Å) a sample, B of each.
    shape : (H, W) of the image.

    Returns
    -------
    (B, H, W // 2 + 1) float32, 1 at zero frequency. The intensity PSF is |ψ(r)|² with
    χ(k) = π λ k² (C3 λ² k² / 2 - defocus), blurred by a Gaussian source (Lin et al. 2021, Eq. 1-2).
    """
    ky = np.fft.fftfreq(shape[0])[:, None]
    kx = np.fft.rfftfreq(shape[1])[None]
    radius = np.hypot(ky, kx)
    planes = [_transfer(p, radius / s) for p, s in zip(probes, samplings, strict=True)]
    return torch.from_numpy(np.stack(planes).astype(np.float32)).to(device)
