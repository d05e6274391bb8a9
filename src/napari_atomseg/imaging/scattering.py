"""Structure factors of points: Σ a exp(-2πi k·r) at the frequencies of an image, exactly or on a
mesh.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.imaging.probe import REST_ENERGY, wavelength

BOHR = 0.529177211
"""Bohr radius in Å (CODATA 2018)."""
LAST_TABULATED = 98
"""Californium: the tables end here, and heavier elements are taken to scatter as it does."""


@lru_cache(maxsize=128)
def coefficients(number: int) -> tuple[Array, Array]:
    """Amplitudes (Å) and exponents (Å²) of f(s) = Σ a exp(-b s²), s = sin θ / λ = k / 2.

    From the International Tables for Crystallography, volume C, table 4.3.2.2 (Peng et al. 1996).

    Raises
    ------
    ValueError
        If there is no element of this atomic number.
    """
    if not 1 <= number <= 118:
        raise ValueError(f"atomic number {number!r} must lie between 1 and 118")
    import gemmi

    table = gemmi.Element(min(int(number), LAST_TABULATED)).c4322
    return np.array(table.a), np.array(table.b)


def form_factor(number: int, k: NDArray[np.floating[Any]]) -> Array:
    """Electron form factor in Å, for electrons at rest, at frequencies k = 2 sin θ / λ in 1/Å."""
    a, b = coefficients(number)
    s2 = np.square(0.5 * k)[..., None]
    return np.asarray((a * np.exp(-b * s2)).sum(axis=-1))


def high_angle_form_factor(number: int, k: NDArray[np.floating[Any]]) -> Array:
    """Electron form factor in Å from that of X-rays, f = (Z - f_x) / 2π² a₀ k² (Mott and Bethe).

    It goes over into Rutherford scattering beyond the angles that the tables of electron form
    factors were fitted to. The X-ray form factors are those of the International Tables for
    Crystallography, volume C, table 6.1.1.4.

    Parameters
    ----------
    k : frequencies above zero, in 1/Å.
    """
    import gemmi

    table = gemmi.Element(min(number, LAST_TABULATED)).it92
    s2 = np.square(0.5 * k)[..., None]
    bound = (np.array(table.a) * np.exp(-np.array(table.b) * s2)).sum(axis=-1) + table.c
    charge = min(number, LAST_TABULATED)
    return np.asarray((charge - bound) / (2.0 * np.pi**2 * BOHR * np.square(k)))


@lru_cache(maxsize=1024)
def cross_section(number: int, energy: float, detector: tuple[float, float]) -> float:
    """Cross-section in Å² for scattering between two angles in mrad: λ² ∫ γ²f² 2πk dk.

    Of an atom at rest and alone, in the first Born approximation; energy in eV.
    """
    lam = wavelength(energy)
    k = np.linspace(detector[0], detector[1], 401) * 1e-3 / lam
    k = np.maximum(k, 1e-3)
    relativistic = 1.0 + energy / REST_ENERGY
    density = np.square(relativistic * high_angle_form_factor(number, k)) * 2.0 * np.pi * k
    return float(lam**2 * np.trapezoid(density, k))


Shape = tuple[int, int]


MESH = 1000
"""Points above which a mesh is faster than the exact sum on a CPU."""
MESH_ELSEWHERE = 20_000
"""The same for devices whose matrix products are fast; the mesh is filled on the CPU."""


@dataclass(frozen=True)
class Band:
    """The frequencies an image needs: rows -ky..ky and columns 0..kx, in cycles a field.

    Those of the image's size from which a real field of `shape` is made; the frequency at which
    pixels alternate is left out, its phase being unknown to a real image.
    """

    shape: Shape
    ky: int
    kx: int

    @staticmethod
    def below(cutoff: float, shape: Shape, sampling: float) -> Band:
        """The band of frequencies up to `cutoff` in 1/Å for pixels of `sampling` Å."""
        count = [min((n - 1) // 2, math.ceil(min(cutoff * sampling, 1.0) * n)) for n in shape]
        return Band(shape, count[0], count[1])

    def frequencies(self, height: float, width: float) -> tuple[Array, Array]:
        """Frequencies ky (2 `ky` + 1, 1), first the non-negative, and kx (1, `kx` + 1), in 1/Å, of
        a field of `height` and `width` Å.
        """
        rows = np.concatenate([np.arange(self.ky + 1), np.arange(-self.ky, 0)])
        return rows[:, None] / height, np.arange(self.kx + 1)[None] / width

    def image(self, spectrum: Tensor) -> Tensor:
        """(B, H, W) real fields of (B, 2 `ky` + 1, `kx` + 1) spectra."""
        height, width = self.shape
        full = spectrum.new_zeros((len(spectrum), height, self.kx + 1))
        full[:, : self.ky + 1] = spectrum[:, : self.ky + 1]
        full[:, height - self.ky :] = spectrum[:, self.ky + 1 :]
        image: Tensor = torch.fft.irfft(torch.fft.ifft(full, dim=1), n=width, dim=2)
        return image


def resampled(image: Tensor, shape: Shape) -> Tensor:
    """The frequencies of a periodic (Y, X) image on a mesh of another shape."""
    ky, kx = ((min(a, b) - 1) // 2 for a, b in zip(image.shape, shape, strict=True))
    spectrum = torch.fft.rfft2(image)[:, : kx + 1]
    kept = torch.cat([spectrum[: ky + 1], spectrum[len(spectrum) - ky :]])
    scale = shape[0] * shape[1] / image.numel()
    return Band(shape, ky, kx).image(kept[None] * scale)[0]


def structure_factors(
    points: Sequence[Array], band: Band, device: torch.device | str = "cpu"
) -> Tensor:
    """Structure factors of several sets of points: small ones exactly, large ones on a mesh.

    Parameters
    ----------
    points : sets of (3, N) rows y, x in pixels of the band's shape and amount.
    band : frequencies.

    Returns
    -------
    (sets, 2 ky + 1, kx + 1) complex64.
    """
    most = MESH if torch.device(device).type == "cpu" else MESH_ELSEWHERE
    few = [i for i, p in enumerate(points) if p.shape[1] <= most]
    factors = torch.zeros(
        (len(points), 2 * band.ky + 1, band.kx + 1), dtype=torch.complex64, device=device
    )
    if few:
        packed = np.zeros((len(few), 3, max(points[i].shape[1] for i in few)), np.float32)
        for row, i in zip(packed, few, strict=True):
            row[:, : points[i].shape[1]] = points[i]
        exact = structure_factor(torch.from_numpy(packed).to(device), band)
        if len(few) == len(points):
            return exact
        factors[few] = exact
    for i in sorted(set(range(len(points))) - set(few)):
        factors[i] = torch.from_numpy(mesh_structure_factor(points[i], band)).to(device)
    return factors


def structure_factor(points: Tensor, band: Band) -> Tensor:
    """Structure factors of points, by one real matrix product.

    With C and S the cosines and sines of the phases along rows and columns, the products CC, CS,
    SC and SS hold both halves of the plane.

    Parameters
    ----------
    points : (B, 3, N) float32 rows y, x in pixels and amount.
    band : frequencies.

    Returns
    -------
    (B, 2 ky + 1, kx + 1) complex64.
    """
    y, x, amount = points.unbind(1)
    rows = _waves(y, band.ky, band.shape[0])
    cols = _waves(x, band.kx, band.shape[1])
    product = (rows * amount[:, None]) @ cols.transpose(1, 2)
    upper, lower = product.chunk(2, dim=1)
    cc, cs = upper.chunk(2, dim=2)
    sc, ss = lower.chunk(2, dim=2)
    positive = torch.complex(cc - ss, -(cs + sc))
    negative = torch.complex(cc + ss, sc - cs)[:, 1:].flip(1)
    return torch.cat([positive, negative], dim=1)


def _waves(position: Tensor, highest: int, length: int) -> Tensor:
    """(B, 2 (`highest` + 1), N) cosines and sines at 0..`highest` cycles in `length` pixels."""
    count = torch.arange(highest + 1, dtype=torch.float32, device=position.device)
    phase = (count * (2.0 * math.pi / length))[:, None] * position[:, None]
    return torch.cat([torch.cos(phase), torch.sin(phase)], dim=1)


def mesh_structure_factor(points: Array, band: Band) -> NDArray[np.complex64]:
    """The same for very many points, by cubic B-splines on a mesh (Essmann et al. 1995).

    The mesh has four times the frequencies of the band: aliases are 1 % at its edge, where hardly
    anything is transferred, and fall with the fourth power of the frequency.

    Parameters
    ----------
    points : (3, N) rows y, x in pixels and amount.
    band : frequencies.

    Returns
    -------
    (2 ky + 1, kx + 1).
    """
    from scipy.fft import next_fast_len, rfft2

    y, x, amount = points
    shape = (next_fast_len(4 * band.ky + 8), next_fast_len(4 * band.kx + 8))
    row, row_weight = _spline(y * (shape[0] / band.shape[0]), shape[0])
    col, col_weight = _spline(x * (shape[1] / band.shape[1]), shape[1])
    cell = row[:, :, None] * shape[1] + col[:, None, :]
    weight = (row_weight * amount[:, None])[:, :, None] * col_weight[:, None, :]
    mesh = np.bincount(cell.ravel(), weight.ravel(), shape[0] * shape[1]).reshape(shape)
    spectrum = rfft2(mesh.astype(np.float32))
    rows = np.concatenate([np.arange(band.ky + 1), np.arange(-band.ky, 0)])
    cols = np.arange(band.kx + 1)
    spread = _spline_transfer(rows / shape[0])[:, None] * _spline_transfer(cols / shape[1])
    return np.asarray(spectrum[rows][:, cols] / spread, dtype=np.complex64)


def _spline(position: Array, length: int) -> tuple[NDArray[np.intp], Array]:
    """Four cells about each position, in a ring of `length`, and their cubic B-spline weights."""
    start = np.floor(position)
    t = position - start
    weight = np.stack(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 3 * t**2 - 3 * t**3 + 3 * t + 1, t**3], axis=1
    )
    return (start.astype(np.intp)[:, None] + np.arange(-1, 3)) % length, weight / 6.0


def _spline_transfer(frequency: Array) -> Array:
    """Transform of a cubic B-spline sampled on the mesh, in cycles a cell."""
    return (2.0 + np.cos(2.0 * np.pi * frequency)) / 3.0
