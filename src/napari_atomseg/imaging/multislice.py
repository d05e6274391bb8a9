"""Multislice simulation by abTEM: the slow image that a fast one is checked against."""

from __future__ import annotations

import math
from dataclasses import replace
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len

from napari_atomseg._shared.types import Array
from napari_atomseg.imaging.hrtem import HRTEMOptics, seen_through
from napari_atomseg.imaging.optics import DETECTOR
from napari_atomseg.imaging.probe import Probe, coma_shift, wavelength
from napari_atomseg.imaging.scattering import resampled
from napari_atomseg.imaging.transfer import blur, peak_width
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.specimen.defects import with_thermal_displacements
from napari_atomseg.specimen.specimen import Field
from napari_atomseg.specimen.structure import Structure

if TYPE_CHECKING:
    from ase import Atoms

WINDOW, WIDTHS = 7.5, 18.0
"""Least side in Å, and in sigmas of the probe, that a probe has for itself when PRISM interpolates
between plane waves. SrTiO3 [001] then differs by 3 % of its height and 1e-6 in correlation.
"""
BLOCKS = 16
"""Parts of the scan, between which the work can be cancelled."""
VACUUM = 1.0
"""Å above and below the atoms."""


def multislice_adf(
    structure: Structure,
    field: Field,
    probe: Probe,
    *,
    detector: tuple[float, float] = DETECTOR,
    slice_thickness: float = 2.0,
    frozen_phonons: int = 4,
    temperature: float = 300.0,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> NDArray[np.float32]:
    """Annular dark-field image by multislice (abTEM, PRISM: Ophus 2017).

    The probe is scanned at its own resolution over the canvas, which repeats periodically; the
    image is then resampled to the field's pixels and blurred by the source. Waves are followed to
    just beyond the detector, which takes some per cent from heavy columns (7 % of four gold atoms);
    `simulate_library` follows them farther.

    Parameters
    ----------
    structure : atoms that fill the canvas.
    detector : inner and outer angle in mrad.
    slice_thickness : Å that slices have at most, unless layers of atoms are farther apart. They
        begin with a layer, as abTEM takes all atoms of a slice to stand where it begins.
    frozen_phonons : configurations of thermally displaced atoms to average; 0 for atoms at rest.
    temperature : K.
    seed : seed of the displacements.

    Returns
    -------
    (H, W) float32 fraction of the beam on the detector, on the canvas.

    Raises
    ------
    ImportError
        If abTEM is not installed.
    ValueError
        If the detector's angles do not grow from inside to outside.
    """
    if not 0 <= detector[0] < detector[1]:
        raise ValueError(f"detector={detector!r} must be (inner, outer) angles in mrad that grow")
    abtem = load_abtem()
    canvas = _size(field)
    scan = [math.ceil(4.0 * probe.cutoff * length) + 1 for length in canvas]
    wave_width = peak_width(replace(probe, source_size=0.0, tail=0.0))
    interpolation = max(1, int(min(canvas) / max(WINDOW, WIDTHS * wave_width)))
    # A third of the mesh's frequencies is kept free of aliases, and whole pixels take some more.
    sampling = wavelength(probe.energy) / (3.2e-3 * max(detector[1], 2.0 * probe.semiangle))
    gpts = [interpolation * next_fast_len(math.ceil(n / sampling / interpolation)) for n in canvas]
    configurations = moments(structure, frozen_phonons, temperature, seed)
    blocks = np.array_split(np.arange(scan[0]), min(BLOCKS, scan[0]))
    total = np.zeros(scan)
    done, work = 0, len(configurations) * (len(blocks) + 1)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        for moment in configurations:
            report(progress, cancel, done, work, "multislice")
            matrix = abtem.SMatrix(
                potential=_potential(abtem, moment, field, gpts, slice_thickness, layered=True),
                energy=probe.energy,
                semiangle_cutoff=probe.semiangle,
                interpolation=interpolation,
            ).build(lazy=False)
            done += 1
            for rows in blocks:
                report(progress, cancel, done, work, "scan")
                step = canvas[0] / scan[0]
                area = abtem.GridScan(
                    start=(0.0, rows[0] * step),
                    end=(canvas[1], (rows[-1] + 1) * step),
                    gpts=(scan[1], len(rows)),
                    endpoint=False,
                )
                signal = matrix.reduce(
                    scan=area,
                    ctf=_lens(abtem, probe),
                    detectors=abtem.AnnularDetector(*detector),
                )
                total[rows] += np.asarray(signal.array).T
                done += 1
    report(progress, cancel, work, work, "scan")
    return _pixels(_blurred(total / len(configurations), canvas, probe), field)


def multislice_hrtem(
    structure: Structure,
    field: Field,
    optics: HRTEMOptics,
    *,
    slice_thickness: float = 1.0,
    frozen_phonons: int = 4,
    temperature: float = 300.0,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> NDArray[np.float32]:
    """High-resolution image of the exit wave of abTEM's multislice, seen through the same lens as
    the fast one.

    Thermal displacements take the place of `optics.vibration`; the focus is on the exit surface.

    Parameters and errors are those of `multislice_adf`.

    Returns
    -------
    (H, W) float32 intensity relative to the incident beam, on the canvas.
    """
    abtem = load_abtem()
    canvas = _size(field)
    gpts = [next_fast_len(math.ceil(6.0 * optics.limit * length)) for length in canvas]
    configurations = moments(structure, frozen_phonons, temperature, seed)
    total = np.zeros(field.canvas)
    with abtem.config.set({"diagnostics.progress_bar": False}):
        for done, moment in enumerate(configurations):
            report(progress, cancel, done, len(configurations), "multislice")
            potential = _potential(abtem, moment, field, gpts, slice_thickness)
            # The illumination is tilted towards x first, as abTEM counts axes.
            beam = abtem.PlaneWave(energy=optics.energy, tilt=(optics.tilt[1], optics.tilt[0]))
            wave = beam.multislice(potential, lazy=False)
            exit_wave = torch.from_numpy(np.ascontiguousarray(np.asarray(wave.array).T))
            image = seen_through(optics, exit_wave, canvas)
            total += resampled(image, field.canvas).numpy()
    report(progress, cancel, len(configurations), len(configurations), "multislice")
    return np.asarray(total / len(configurations), dtype=np.float32)


def load_abtem() -> ModuleType:
    """The package, or ImportError that says how to install it."""
    try:
        import abtem
    except ImportError as error:
        raise ImportError(
            "multislice simulation needs abTEM: pip install 'napari-atomseg[multislice]'"
        ) from error
    return abtem


def _size(field: Field) -> tuple[float, float]:
    height, width = field.canvas
    return height * field.sampling, width * field.sampling


def moments(structure: Structure, count: int, temperature: float, seed: int) -> list[Structure]:
    """The structure at several moments, or once at rest."""
    rng = np.random.default_rng(seed)
    found = [with_thermal_displacements(structure, temperature, rng) for _ in range(count)]
    return found or [structure]


def _potential(
    abtem: ModuleType,
    structure: Structure,
    field: Field,
    gpts: list[int],
    thickness: float,
    *,
    layered: bool = False,
) -> object:
    atoms = _boxed(structure, field)
    slices: float | tuple[float, ...] = thickness
    if layered and len(atoms):
        z = atoms.positions[:, 2]
        starts = layers(z, thickness)[1] - 0.01 * VACUUM
        slices = tuple(np.diff([0.0, *starts, atoms.cell[2, 2]]).tolist())
    return abtem.Potential(
        atoms,
        gpts=(gpts[1], gpts[0]),
        slice_thickness=slices,
        projection="infinite",
    )


def layers(z: Array, thickness: float) -> tuple[NDArray[np.int64], Array]:
    """(N,) number of the layer of each atom, and (L,) heights of their first atoms, Å.

    A layer is less than the thickness thick, and begins with the first atom after the one before.
    """
    order = np.argsort(z, kind="stable")
    number: NDArray[np.int64] = np.zeros(len(z), dtype=np.int64)
    starts: list[float] = []
    for atom in order:
        if not starts or z[atom] >= starts[-1] + thickness:
            starts.append(float(z[atom]))
        number[atom] = len(starts) - 1
    return number, np.array(starts)


def _boxed(structure: Structure, field: Field) -> Atoms:
    """The atoms in the canvas, its first corner at the origin."""
    height, width = _size(field)
    start = field.margin * field.sampling
    y, x = structure.y + start, structure.x + start
    inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
    top = float(structure.z.min(initial=np.inf)) - VACUUM if len(structure) else 0.0
    moved = replace(structure, y=y, x=x, z=structure.z - top).select(inside)
    depth = float(moved.z.max(initial=0.0)) + VACUUM
    return moved.to_ase((height, width), depth)


def _lens(abtem: ModuleType, probe: Probe) -> object:
    return abtem.CTF(
        semiangle_cutoff=probe.semiangle,
        energy=probe.energy,
        aberration_coefficients={
            "C10": -probe.defocus,
            "C12": probe.A1,
            "phi12": math.radians(probe.A1_angle),
            "C21": 3.0 * probe.B2,
            "phi21": math.radians(probe.B2_angle),
            "C23": probe.A2,
            "phi23": math.radians(probe.A2_angle),
            "C30": probe.C3,
            "C50": probe.C5,
        },
    )


def _blurred(signal: Array, size: tuple[float, float], probe: Probe) -> Array:
    """The scan blurred by source and halo, and moved to where this package puts a coma's peak."""
    ky = np.fft.fftfreq(signal.shape[0], size[0] / signal.shape[0])[:, None]
    kx = np.fft.fftfreq(signal.shape[1], size[1] / signal.shape[1])[None]
    shift_y, shift_x = coma_shift(probe)
    transfer = blur(probe, np.hypot(ky, kx)) * np.exp(-2j * np.pi * (ky * shift_y + kx * shift_x))
    return np.asarray(np.fft.ifft2(np.fft.fft2(signal) * transfer).real)


def _pixels(signal: Array, field: Field) -> NDArray[np.float32]:
    """The scan at the pixels' places: interpolated exactly, without filtering coarse pixels."""
    finer = max(math.ceil(n / m) for n, m in zip(signal.shape, field.canvas, strict=True))
    shape = (field.canvas[0] * finer, field.canvas[1] * finer)
    image = resampled(torch.from_numpy(signal), shape).numpy()
    return np.ascontiguousarray(image[::finer, ::finer], dtype=np.float32)
