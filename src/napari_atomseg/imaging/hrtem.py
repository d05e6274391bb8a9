"""High-resolution TEM: a phase object seen through a lens with partial coherence."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array, Indices
from napari_atomseg.imaging.probe import (
    REST_ENERGY,
    Frequencies,
    Probe,
    aberration_phase,
    aberration_slope,
    wavelength,
)
from napari_atomseg.imaging.scattering import Band, form_factor, resampled, structure_factors
from napari_atomseg.imaging.transfer import look_up
from napari_atomseg.specimen.columns import Scatterers
from napari_atomseg.specimen.specimen import Field

GENERIC = 6
"""Points of no element are imaged as carbon."""
RADIAL_STEPS = 1024
"""Intervals of the table of an atom's form factor."""
FAINTEST = 1e-3
"""Temporal envelope below which a frequency is left out."""


@dataclass(frozen=True)
class HRTEMOptics:
    """A transmission microscope under (almost) plane illumination.

    Attributes
    ----------
    energy : eV.
    defocus, C3, C5, A1, B2, A2 : aberrations in Å as those of a `Probe`, angles in degrees.
    focal_spread : Å, 1/e half-width of the foci that the chromatic aberration spreads over.
    semiangle : 1/e half-width of the illumination's angles in mrad.
    tilt : (y, x) tilt of the beam in mrad.
    aperture : radius of the objective aperture in mrad.
    vibration : rms displacement of the atoms along one direction, in Å.
    """

    energy: float = 80e3
    defocus: float = 0.0
    C3: float = 0.0
    C5: float = 0.0
    A1: float = 0.0
    A1_angle: float = 0.0
    B2: float = 0.0
    B2_angle: float = 0.0
    A2: float = 0.0
    A2_angle: float = 0.0
    focal_spread: float = 30.0
    semiangle: float = 0.1
    tilt: tuple[float, float] = (0.0, 0.0)
    aperture: float = 60.0
    vibration: float = 0.07
    coherent: ClassVar[bool] = True

    def __post_init__(self) -> None:
        for name, value in (("energy", self.energy), ("aperture", self.aperture)):
            if not value > 0:
                raise ValueError(f"{name}={value!r} must be positive")
        for name in ("focal_spread", "semiangle", "vibration"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must not be negative")

    @property
    def limit(self) -> float:
        """Highest frequency of the wave in 1/Å that passes the aperture and the focal spread."""
        lam = wavelength(self.energy)
        limit = self.aperture * 1e-3 / lam
        if self.focal_spread:
            damping = 2.0 * np.sqrt(-np.log(FAINTEST)) / (np.pi * lam * self.focal_spread)
            limit = min(limit, float(np.sqrt(damping)))
        return limit + float(np.hypot(*self.tilt)) * 1e-3 / lam

    @property
    def lens(self) -> Probe:
        """The aberrations, over the angles that pass."""
        return Probe(
            energy=self.energy,
            semiangle=self.limit * wavelength(self.energy) * 1e3,
            defocus=self.defocus,
            C3=self.C3,
            C5=self.C5,
            A1=self.A1,
            A1_angle=self.A1_angle,
            B2=self.B2,
            B2_angle=self.B2_angle,
            A2=self.A2,
            A2_angle=self.A2_angle,
        )

    @property
    def width(self) -> float:
        """Sigma (Å) of the Gaussian as wide at half height as the core of a lone carbon atom."""
        return _core(self)

    @property
    def delocalization(self) -> float:
        """How far in Å the lens carries what an atom scatters: |∇χ| / 2π at most (Lichte,
        Ultramicroscopy 38, 13, 1991).
        """
        k = np.linspace(-self.limit, self.limit, 65)
        slope = np.abs(aberration_slope(self.lens, k[:, None], k[None]))
        passes = np.hypot(k[:, None], k) <= self.limit
        return float(slope[passes].max() * wavelength(self.energy) / (2.0 * np.pi))

    def amplitude(self, numbers: Indices) -> Array:
        """Projected potential relative to carbon's, whose place points of number 0 take."""
        zero = np.zeros(1)
        kinds, place = np.unique(np.where(numbers == 0, GENERIC, numbers), return_inverse=True)
        carbon = form_factor(GENERIC, zero)[0]
        return np.array([form_factor(int(n), zero)[0] / carbon for n in kinds])[place]


def phase_contrast(
    optics: HRTEMOptics, scatterers: Scatterers, field: Field, device: torch.device | str = "cpu"
) -> Tensor:
    """Image of a phase object (Kirkland, chapters 3 and 5), relative to the incident intensity.

    The wave behind the specimen is exp(iφ) with the projected potential's phase φ; the lens
    multiplies its transform by the `contrast_transfer`; the image is the squared modulus.

    Returns
    -------
    (H, W) float32 on the canvas, periodic in it; 1 in vacuum.
    """
    size = [n * field.sampling for n in field.canvas]
    # The potential reaches half as far again as the wave that passes, whose intensity reaches twice
    # as far; a mesh of four times that holds both, and keeps the potential's squares apart.
    highest = 1.5 * optics.limit
    shape = (_even(4.0 * optics.limit * size[0]), _even(4.0 * optics.limit * size[1]))
    band = Band(shape, int(highest * size[0]), int(highest * size[1]))
    phase = _phase(optics, scatterers, field, band, device)
    wave = torch.complex(torch.cos(phase), torch.sin(phase))
    image = seen_through(optics, wave, (size[0], size[1]))
    return resampled(image, field.canvas)


def seen_through(optics: HRTEMOptics, wave: Tensor, size: tuple[float, float]) -> Tensor:
    """Intensity of an exit wave behind the lens.

    Parameters
    ----------
    wave : (Y, X) complex, periodic; fine enough for twice the frequencies that pass.
    size : (y, x) of its period in Å.

    Returns
    -------
    (Y, X) intensity.
    """
    height, width = wave.shape
    ky = np.fft.fftfreq(height, size[0] / height)
    kx = np.fft.fftfreq(width, size[1] / width)
    rows = np.flatnonzero(np.abs(ky) <= optics.limit)
    cols = np.flatnonzero(np.abs(kx) <= optics.limit)
    device = wave.device
    inside = (torch.from_numpy(rows)[:, None].to(device), torch.from_numpy(cols).to(device))
    transfer = contrast_transfer(optics, ky[rows, None], kx[None, cols])
    passed = torch.zeros_like(wave)
    passed[inside] = torch.fft.fft2(wave)[inside] * torch.from_numpy(transfer).to(wave)
    parts = torch.view_as_real(torch.fft.ifft2(passed))
    return parts.square().sum(dim=-1)


def contrast_transfer(
    optics: HRTEMOptics, ky: Frequencies, kx: Frequencies
) -> NDArray[np.complex128]:
    """Transfer of the wave at frequencies in 1/Å: exp(-iχ), the aperture and two envelopes.

    The quasi-coherent envelopes of focal spread and illumination (Frank 1973; Kirkland,
    section 3.3) multiply the wave; a tilt of the beam moves the centre of all four.
    """
    lam, lens = wavelength(optics.energy), optics.lens
    tilt_y, tilt_x = (np.array([[t * 1e-3 / lam]]) for t in optics.tilt)
    qy, qx = ky + tilt_y, kx + tilt_x
    phase = aberration_phase(lens, qy, qx) - aberration_phase(lens, tilt_y, tilt_x)
    path = qy**2 + qx**2 - tilt_y**2 - tilt_x**2
    temporal = (0.5 * np.pi * lam * optics.focal_spread * path) ** 2
    slope = aberration_slope(lens, qy, qx) - aberration_slope(lens, tilt_y, tilt_x)
    spatial = (0.5e-3 * optics.semiangle * np.abs(slope)) ** 2
    passes = np.hypot(qy, qx) <= optics.aperture * 1e-3 / lam
    return np.asarray(passes * np.exp(-temporal - spatial - 1j * phase))


def _phase(
    optics: HRTEMOptics,
    scatterers: Scatterers,
    field: Field,
    band: Band,
    device: torch.device | str,
) -> Tensor:
    """(H, W) phase of the wave behind the specimen: φ = γ λ times the atoms' form factors."""
    size = [n * field.sampling for n in field.canvas]
    number = np.where(scatterers.number == 0, GENERIC, scatterers.number)
    start = field.margin * field.sampling
    packed = np.stack(
        [
            (scatterers.y + start) * (band.shape[0] / size[0]),
            (scatterers.x + start) * (band.shape[1] / size[1]),
            scatterers.amount,
        ]
    )
    kinds = np.unique(number)
    factors = structure_factors([packed[:, number == n] for n in kinds], band, device)
    k = np.hypot(*band.frequencies(size[0], size[1]))
    tabulated = np.linspace(0.0, float(k.max()), RADIAL_STEPS + 1)
    strength = (1.0 + optics.energy / REST_ENERGY) * wavelength(optics.energy)
    # The transform back is a mean over the pixels; the form factors are integrals over Å².
    strength *= band.shape[0] * band.shape[1] / (size[0] * size[1])
    damping = strength * np.exp(-2.0 * (np.pi * optics.vibration * tabulated) ** 2)
    spectrum = torch.zeros((1, *k.shape), dtype=torch.complex64, device=device)
    for factor, n in zip(factors, kinds, strict=True):
        atom = look_up(form_factor(int(n), tabulated) * damping, tabulated[-1], k)
        spectrum += factor * torch.from_numpy(atom).to(spectrum.real)
    return band.image(spectrum)[0]


def _even(length: float) -> int:
    from scipy.fft import next_fast_len

    return 2 * int(next_fast_len(int(np.ceil(length / 2.0))))


@lru_cache(maxsize=256)
def _core(optics: HRTEMOptics) -> float:
    from scipy.special import j0

    round_lens = HRTEMOptics(
        energy=optics.energy,
        defocus=optics.defocus,
        C3=optics.C3,
        C5=optics.C5,
        focal_spread=optics.focal_spread,
        semiangle=optics.semiangle,
        aperture=optics.aperture,
    )
    k = np.linspace(0.0, round_lens.limit, 256)
    transfer = contrast_transfer(round_lens, np.zeros((1, 1)), k[None])[0]
    weight = k * form_factor(GENERIC, k) * -transfer.imag
    weight *= np.exp(-2.0 * (np.pi * optics.vibration * k) ** 2)
    r = np.linspace(0.0, 2.0, 401)
    profile = j0(2.0 * np.pi * r[:, None] * k) @ weight
    below = np.flatnonzero(profile / profile[0] < 0.5)
    return float(r[below[0]] if len(below) else r[-1]) / float(np.sqrt(2.0 * np.log(2.0)))
