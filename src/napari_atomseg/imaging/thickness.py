"""Dark-field signals of a crystal cut off at one depth after another, by multislice."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.constants import elementary_charge, hbar, speed_of_light
from scipy.fft import next_fast_len
from torch import Tensor

from napari_atomseg._shared.types import Array
from napari_atomseg.imaging.multislice import layers, load_abtem, moments
from napari_atomseg.imaging.optics import DETECTOR
from napari_atomseg.imaging.probe import (
    REST_ENERGY,
    Frequencies,
    Probe,
    aberration_phase,
    wavelength,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.specimen.structure import Structure

THINNEST = 0.5
"""Å: atoms nearer to each other along the beam share a slice."""
WIDEST, BEYOND = 300.0, 1.5
"""mrad, and over the detector's outer angle: how far waves reach. Electrons that heavy atoms
scatter out of the detector come back to it; Au [001] of four atoms is 20 % darker at half of this.
"""
FINER = 2
"""Mesh of a slice, over that of waves: its phase turns faster than they can show, which must not
fold back. Atoms then scatter alike wherever they stand on the mesh."""
BATCH = 24
"""Probes that travel together, between which the work can be cancelled."""


def thickness_series(
    structure: Structure,
    size: tuple[float, float],
    probe: Probe,
    places: Array,
    planes: Array,
    *,
    detector: tuple[float, float] = DETECTOR,
    frozen_phonons: int = 4,
    temperature: float = 300.0,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Array:
    """Detected fractions of probes at a few positions, for a specimen of several thicknesses.

    Probes travel once through the specimen, a slice a layer of atoms, and are looked at on the way
    (Kirkland, Advanced Computing in Electron Microscopy, chapter 6). The atoms' potentials are
    those of abTEM (Lobato and Van Dyck), placed without rounding to the mesh.

    Parameters
    ----------
    structure : atoms; what lies beyond the size comes in at the other side.
    size : (height, width) in Å, which repeats periodically.
    probe : without its source size and halo. Its focus is counted from the first atom.
    places : (P, 2) of the probes (y, x), Å.
    planes : (D,) depths in the specimen, Å, that grow; atoms before one have been passed by it.
    frozen_phonons : configurations of thermally displaced atoms; 0 for atoms at rest.

    Returns
    -------
    (C, D, P) fractions of the beam for each configuration (one of atoms at rest).

    Raises
    ------
    ImportError
        abTEM is not installed.
    ValueError
        The depths or the detector's angles do not grow.
    """
    if not 0 <= detector[0] < detector[1]:
        raise ValueError(f"detector={detector!r} must be (inner, outer) angles in mrad that grow")
    if len(planes) == 0 or np.any(np.diff(planes) <= 0):
        raise ValueError(f"planes={planes!r} must be depths that grow")
    length = wavelength(probe.energy)
    # A third of the mesh's frequencies is kept free of aliases.
    reach = 3e-3 * max(WIDEST, BEYOND * detector[1], 2.0 * probe.semiangle) / length
    shape = [next_fast_len(math.ceil(side * reach)) for side in size]
    ky, kx = (np.fft.fftfreq(n, side / n) for n, side in zip(shape, size, strict=True))
    k = torch.from_numpy(np.hypot(ky[:, None], kx))
    within = k < min(n / side for n, side in zip(shape, size, strict=True)) / 3.0
    seen = (k * length >= 1e-3 * detector[0]) & (k * length < 1e-3 * detector[1])
    lens = _lens(probe, ky, kx, k).to(torch.complex64)
    before = structure.select(structure.z < planes[-1])
    configurations = moments(before, frozen_phonons, temperature, seed)
    batches = np.array_split(places, math.ceil(len(places) / BATCH))
    result = np.zeros((len(configurations), len(planes), len(places)))
    work = len(configurations) * len(places)
    for number, moment in enumerate(configurations):
        slices = [
            (depth, slab, _fresnel(length * step, k, within))
            for depth, step, slab in _slices(moment, size, probe.energy, shape, within)
        ]
        first = 0
        for batch in batches:
            report(progress, cancel, number * len(places) + first, work, "multislice")
            along_y, along_x = (
                torch.from_numpy(np.exp(-2j * np.pi * place[:, None] * f)).to(torch.complex64)
                for place, f in zip(batch.T, (ky, kx), strict=True)
            )
            wave = along_y[:, :, None] * along_x[:, None, :] * lens
            for index, (depth, slab, onwards) in enumerate(slices):
                after = slices[index + 1][0] if index + 1 < len(slices) else np.inf
                wave = torch.fft.fft2(torch.fft.ifft2(wave) * slab) * onwards
                for plane in np.flatnonzero((planes > depth) & (planes <= after)):
                    light = wave[:, seen].abs().square().sum(1)
                    result[number, plane, first : first + len(batch)] = light.numpy()
            first += len(batch)
    report(progress, cancel, work, work, "multislice")
    return result


def _fresnel(distance: float, k: Tensor, within: Tensor) -> Tensor:
    """(H, W) propagator over a distance in Å times the wavelength; nothing beyond the aperture."""
    wave = torch.exp(-1j * math.pi * distance * k**2) * within
    return wave.to(torch.complex64)


def _lens(probe: Probe, ky: Frequencies, kx: Frequencies, k: Tensor) -> Tensor:
    """(H, W) wave in the aperture, whose edge is as soft as the mesh; of unit intensity."""
    edge = max(float(ky[1]), float(kx[1]))
    inside = ((probe.cutoff - k) / edge + 0.5).clamp(0.0, 1.0)
    wave = inside * torch.exp(-1j * torch.from_numpy(aberration_phase(probe, ky[:, None], kx)))
    return wave / wave.abs().square().sum().sqrt()


def _slices(
    structure: Structure,
    size: tuple[float, float],
    energy: float,
    shape: list[int],
    within: Tensor,
) -> Iterator[tuple[float, float, Tensor]]:
    """Depth, distance to the next, and (H, W) transmission of each layer of atoms."""
    from ase.data import chemical_symbols

    factors = load_abtem().parametrizations.LobatoParametrization()
    fine = [FINER * n for n in shape]
    ky, kx = (np.fft.fftfreq(n, side / n) for n, side in zip(fine, size, strict=True))
    square = ky[:, None] ** 2 + kx**2
    scattering = {
        int(number): factors.projected_scattering_factor(chemical_symbols[number])(square)
        for number in np.unique(structure.number)
    }
    low = [np.r_[: (n + 1) // 2, FINER * n - n // 2 : FINER * n] for n in shape]
    area = size[0] * size[1] / math.prod(fine)
    layer, depths = layers(structure.z, THINNEST)
    for i, depth in enumerate(depths):
        waves: NDArray[np.complex128] = np.zeros(fine, dtype=np.complex128)
        for number, factor in scattering.items():
            atoms = structure.select((layer == i) & (structure.number == number))
            along_y = np.exp(-2j * np.pi * np.outer(ky, atoms.y))
            along_x = np.exp(-2j * np.pi * np.outer(atoms.x, kx))
            waves += factor * (along_y @ along_x)
        potential = torch.fft.ifft2(torch.from_numpy(waves)).real / area
        turned = torch.fft.fft2(torch.exp(1j * _interaction(energy) * potential))
        kept = turned[np.ix_(*low)] * within / FINER**2
        step = depths[i + 1] - depth if i + 1 < len(depths) else 0.0
        yield float(depth), float(step), torch.fft.ifft2(kept).to(torch.complex64)


def _interaction(energy: float) -> float:
    """Phase in rad of a wave by 1 V Å (Kirkland, Eq. 5.6)."""
    momentum = elementary_charge * math.sqrt(energy * (energy + 2.0 * REST_ENERGY)) / speed_of_light
    mass = elementary_charge * (energy + REST_ENERGY) / speed_of_light**2
    return mass * elementary_charge / (hbar * momentum) * 1e-10
