"""The optical transfer function of a probe, and the width of its peak."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2, next_fast_len

from napari_atomseg._shared.types import Array
from napari_atomseg.imaging.probe import FWHM_PER_SIGMA, Frequencies, Probe, aberration_phase

STEPS = 512
"""Intervals of a radial table, from zero to twice the cut-off."""
FAINTEST = 1e-4
"""Transfer that is left out."""
FINE = 20
"""Least number of frequencies across the radius of the aperture for probes that are not round."""


class _Overlap:
    """Quadrature over the overlap of two unit discs, for `order` + 1 distances from 0 to 2.

    With x = ±t X(y), y = sin θ the quarter overlap of area is smooth in both, so Gauss-Legendre
    rules converge fast. `distance` are Chebyshev points; `spread` takes values there to the even
    grid of a radial table.
    """

    def __init__(self, order: int) -> None:
        self.distance = 1.0 - np.cos(np.pi * np.arange(order + 1) / order)
        points, weights = np.polynomial.legendre.leggauss(max(12, order // 2))
        points, weights = (points + 1.0) / 2.0, weights / 2.0
        half = self.distance[:, None, None] / 2.0
        end = np.arccos(np.clip(half, 0.0, 1.0))
        theta = end * points[:, None]
        reach = np.cos(theta) - half
        x, y2 = reach * points, np.sin(theta) ** 2
        near, far = (x - half) ** 2 + y2, (x + half) ** 2 + y2
        shape = (order + 1, -1)
        self.weight = (end * weights[:, None] * np.cos(theta) * reach * weights).reshape(shape)
        self.weight *= 4.0 / np.pi
        self.difference = np.stack([(far**n - near**n).reshape(shape) for n in (1, 2, 3)])
        self.spread = _barycentric(self.distance, np.linspace(0.0, 2.0, STEPS + 1))

    def transfer(self, phases: tuple[float, float, float]) -> Array:
        """Autocorrelation of the pupil with phases Σ p ρ²ⁿ, from 0 to 2 in `STEPS` intervals."""
        phase = np.tensordot(phases, self.difference, 1)
        return np.asarray(self.spread @ (self.weight * np.cos(phase)).sum(axis=1))


def _barycentric(nodes: Array, at: Array) -> Array:
    """Matrix that evaluates the polynomial through Chebyshev points (Berrut and Trefethen 2004)."""
    sign = (-1.0) ** np.arange(len(nodes))
    sign[[0, -1]] *= 0.5
    away = at[:, None] - nodes
    exact = np.abs(away) < 1e-14
    terms = sign / np.where(exact, 1.0, away)
    matrix = terms / terms.sum(axis=1, keepdims=True)
    return np.where(exact.any(axis=1, keepdims=True), exact, matrix)


@lru_cache(maxsize=8)
def _overlap(order: int) -> _Overlap:
    return _Overlap(order)


def _order(phases: tuple[float, float, float]) -> int:
    """Points the phase needs: as many as its steepest slope in rad, in powers of two."""
    slope = sum(2 * n * abs(p) for n, p in enumerate(phases, start=1))
    return int(2 ** np.clip(np.ceil(np.log2(16.0 + slope)), 5, 8))


@lru_cache(maxsize=1024)
def _aperture(phases: tuple[float, float, float]) -> Array:
    return _overlap(_order(phases)).transfer(phases)


def blur(probe: Probe, k: Frequencies) -> Array:
    """Factor of the transfer due to source size and halo, at frequencies k in 1/Å."""
    source = np.exp(-2.0 * (np.pi * probe.source_size / FWHM_PER_SIGMA * k) ** 2)
    if not probe.tail:
        return np.asarray(source)
    halo = 1.0 - probe.tail + probe.tail * np.exp(-2.0 * np.pi * probe.tail_width * k)
    return np.asarray(source * halo)


@lru_cache(maxsize=1024)
def radial_transfer(probe: Probe) -> Array:
    """(`STEPS` + 1,) transfer of a round probe from zero to twice the cut-off."""
    k = np.linspace(0.0, 2.0 * probe.cutoff, STEPS + 1)
    return _aperture(probe.round_phases) * blur(probe, k)


def transfer_end(probe: Probe) -> float:
    """Frequency in 1/Å from which the transfer stays below `FAINTEST`."""
    k = np.linspace(0.0, 2.0 * probe.cutoff, STEPS + 1)
    table = radial_transfer(probe) if probe.isotropic else blur(probe, k)
    return float(k[np.flatnonzero(np.abs(table[:-1]) > FAINTEST)[-1] + 1])


def look_up(table: Array, end: float, k: NDArray[Any]) -> NDArray[np.float32]:
    """Linear interpolation in a table over 0..`end`; 0 beyond."""
    last = len(table) - 1
    place = np.minimum(k * (last / end), np.float32(last))
    index = place.astype(np.intp)
    low = np.append(table, 0.0).astype(np.float32)
    step = np.diff(low)
    # The last entry is the value at the end itself; past it `place` is clipped onto the zero.
    low[last] = 0.0
    return np.asarray(low[index] + (place - index) * step[index])


def transfer_at(probe: Probe, ky: Frequencies, kx: Frequencies) -> NDArray[Any]:
    """Transfer of a unit-current probe on the grid of ky (Y, 1) and kx (1, X) in 1/Å.

    Real for round probes and complex for others, 1 at zero frequency, 0 from twice the cut-off.
    The probe's intensity is |ψ(r)|² with ψ the transform of exp(-iχ) over the aperture, blurred by
    a Gaussian source (Lin et al. 2021, Eq. 1-2). Scanned over a point it draws |ψ(-r)|², whose
    transform is the conjugate.
    """
    radius = np.sqrt((ky**2 + kx**2).astype(np.float32))
    if probe.isotropic:
        return look_up(radial_transfer(probe), 2.0 * probe.cutoff, radius)
    return _planar(probe, ky, kx).conj() * blur(probe, radius)


def _planar(probe: Probe, ky: Frequencies, kx: Frequencies) -> NDArray[np.complex64]:
    """Autocorrelation of the pupil on an even grid that holds zero, by two FFTs."""
    rows, fine_y = _fine_axis(ky.ravel(), probe.cutoff)
    cols, fine_x = _fine_axis(kx.ravel(), probe.cutoff)
    return autocorrelation(probe, fine_y, fine_x)[np.ix_(rows, cols)]


def _fine_axis(k: Frequencies, cutoff: float) -> tuple[NDArray[np.intp], Frequencies]:
    """Indices of k on a wider and finer even grid in the FFT's order, and that grid."""
    step = float(np.abs(k[np.nonzero(k)]).min()) if np.any(k) else cutoff / FINE
    finer = int(np.ceil(FINE * step / cutoff))
    index = np.rint(k / step).astype(np.intp) * finer
    length = next_fast_len(2 * int(2.0 * cutoff / step * finer + np.abs(index).max() / 2 + 2))
    return index, np.fft.fftfreq(length, 1.0 / length) * step / finer


def autocorrelation(probe: Probe, ky: Frequencies, kx: Frequencies) -> NDArray[np.complex64]:
    """Transfer of the aberrated aperture alone on FFT axes ky (Y,) and kx (X,) in 1/Å."""
    step = np.sqrt(ky[1] * kx[1]) / probe.cutoff
    rows = np.flatnonzero(np.abs(ky) < probe.cutoff + ky[1])
    cols = np.flatnonzero(np.abs(kx) < probe.cutoff + kx[1])
    ky_inside, kx_inside = ky[rows, None], kx[None, cols]
    edge = np.clip((1.0 - np.hypot(ky_inside, kx_inside) / probe.cutoff) / step + 0.5, 0.0, 1.0)
    pupil = np.zeros((len(ky), len(kx)), dtype=np.complex64)
    pupil[np.ix_(rows, cols)] = edge * np.exp(-1j * aberration_phase(probe, ky_inside, kx_inside))
    # Soft edges make the pupil's area right, and every overlap but that with itself.
    transfer = fft2(np.abs(ifft2(pupil)) ** 2) * np.float32(pupil.size / edge.sum())
    transfer[0, 0] = 1.0
    return np.asarray(transfer)


@lru_cache(maxsize=4096)
def peak_width(probe: Probe) -> float:
    """Sigma (Å) of the Gaussian with the same height and current as the probe: (2π PSF(0))^-½."""
    if probe.isotropic:
        k = np.linspace(0.0, 2.0 * probe.cutoff, STEPS + 1)
        height = float(np.trapezoid(2.0 * np.pi * k * radial_transfer(probe), k))
    else:
        step = probe.cutoff / FINE
        axis = np.fft.fftfreq(4 * FINE, 1.0 / (4 * FINE)) * step
        transfer = autocorrelation(probe, axis, axis) * blur(probe, np.hypot(axis[:, None], axis))
        height = float(fft2(transfer).real.max() * step**2)
    return float(1.0 / np.sqrt(2.0 * np.pi * height))
