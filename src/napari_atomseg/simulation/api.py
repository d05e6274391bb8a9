"""`simulate`: one image of a crystal with its ground truth."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_atomseg.distortion import Distortion
from napari_atomseg.imaging import HRTEMOptics, LinearOptics, Optics
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.simulation.render import render
from napari_atomseg.simulation.result import Simulation, collect
from napari_atomseg.simulation.settings import (
    BackgroundKind,
    ImagingMode,
    ShapeKind,
    SimulationSettings,
)
from napari_atomseg.simulation.setup import field_of, optics_of, scene_of, specimen_of

if TYPE_CHECKING:
    from ase import Atoms

    from napari_atomseg.specimen import Field, Specimen


def simulate(
    crystal: str | Path | Atoms = "SrTiO3",
    zone_axis: tuple[int, int, int] = (0, 0, 1),
    shape: tuple[int, int] = (512, 512),
    sampling: float = 0.1,
    dose: float = 2e4,
    seed: int = 0,
    *,
    shape_kind: ShapeKind = "bulk",
    rotation: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
    thickness: float = 100.0,
    tilt: tuple[float, float] = (0.0, 0.0),
    vacancies: float = 0.0,
    displacement: float = 0.0,
    support: float = 0.0,
    imaging: ImagingMode = "linear",
    energy: float = 200e3,
    semiangle: float = 20.0,
    source_size: float = 0.8,
    gamma: float | None = 1.7,
    focal_spread: float = 30.0,
    defocus: float = 0.0,
    C3: float = 0.0,
    C5: float = 0.0,
    A1: float = 0.0,
    A1_angle: float = 0.0,
    B2: float = 0.0,
    B2_angle: float = 0.0,
    A2: float = 0.0,
    A2_angle: float = 0.0,
    jitter: float = 0.1,
    jitter_correlation: float = 0.0,
    hum: float = 0.0,
    drift: float = 0.0,
    shear: float = 0.0,
    fast_scan: float = 0.0,
    line_noise: float = 0.0,
    readout: float = 0.0,
    zingers: float = 0.0,
    kept: float = 1.0,
    invert: bool = False,
    background: float = 0.0,
    background_kind: BackgroundKind = "constant",
    distortions: Iterable[Distortion | dict[str, Any]] = (),
    device: str = "cpu",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Simulation:
    """Simulate an image of a crystal, with its ground truth.

    By default a dark-field STEM image by linear imaging (Lin et al. 2021), in units of the
    brightest column's peak; `imaging` chooses radial functions (Lobato et al. 2023, Eq. 16-22), a
    phase object in HRTEM, or abTEM's multislice for either mode.

    Parameters
    ----------
    crystal : A built-in crystal, or a CIF or XYZ file.
    zone_axis : Indices u v w of the direction along the beam.
    shape : Rows and columns of the image (px).
    sampling : Size of a pixel (Å/px).
    dose : Electrons of the beam per area: at 500 columns are hardly visible, at 100 000 clear
        (e⁻/Å²).
    seed : The same seed repeats noise, defects and background.
    shape_kind : Whether the crystal fills the image, thins out, ends at an edge, or is a particle.
        One of 'bulk', 'wedge', 'edge', 'particle', 'rounded'.
    rotation : Rotation of the crystal in the image (°).
    offset : Distance of a lattice point from the centre (Å).
    thickness : Largest thickness of the crystal along the beam (Å).
    tilt : Angle between the zone axis and the beam (mrad).
    vacancies : Fraction of the atoms that are missing.
    displacement : Random displacement (rms) of the columns along each axis (Å).
    support : Thickness of a film of amorphous carbon below the crystal (Å).
    imaging : How the image is formed. Multislice is exact and slow, and needs abTEM. One of
        'linear', 'radial', 'hrtem', 'multislice-adf', 'multislice-hrtem'.
    energy : Energy of the electrons (eV).
    semiangle : Convergence semi-angle of the probe (STEM) (mrad).
    source_size : Full width at half maximum of the source's image (Å).
    gamma : Power of the atomic number that scattering is proportional to. None: form factors.
    focal_spread : Standard deviation of the defocus (HRTEM) (Å).
    defocus : Underfocus is positive (Å).
    C3 : Third-order spherical aberration; 1e7 is 1 mm (Å).
    C5 : Fifth-order spherical aberration; 1e7 is 1 mm (Å).
    A1 : Two-fold astigmatism (Å).
    A1_angle : Azimuth of the two-fold astigmatism (°).
    B2 : Axial coma (Å).
    B2_angle : Azimuth of the axial coma (°).
    A2 : Three-fold astigmatism (Å).
    A2_angle : Azimuth of the three-fold astigmatism (°).
    jitter : Random displacement (rms) of scan lines (Å).
    jitter_correlation : Correlation of the jitter of neighbouring lines.
    hum : Amplitude of the periodic displacement of lines (Å).
    drift : Distance that the specimen moves during the scan, along the diagonal (Å).
    shear : Displacement of the last line against the first (Å).
    fast_scan : Decay length of the detector's signal along a line (px).
    line_noise : Random offset (rms) of scan lines, relative to the brightest column.
    readout : Noise (rms) of the readout, relative to the brightest column.
    zingers : Fraction of the pixels that X-rays hit.
    kept : Fraction of the pixels that are measured.
    invert : Invert the contrast, as in bright-field images.
    background : Height of the background, relative to the brightest column.
    background_kind : Constant, a ramp across the image, or bright patches. One of 'constant',
        'ramp', 'nonlinear'.
    distortions : Further distortions, applied last, in this order.
    device : device to render on: "cpu", "cuda" or "mps".
    progress, cancel : see `napari_atomseg.progress`.

    Raises
    ------
    ValueError, TypeError
        An argument is out of range or of the wrong kind; the message names it.
    OSError
        The crystal's file cannot be read.
    ImportError
        `imaging` is multislice and abTEM is not installed.
    """
    arguments = locals()
    chosen = SimulationSettings(
        **{name: arguments[name] for name in SimulationSettings.model_fields}
    )
    report(progress, cancel, 0, 3, "placing atoms")
    view = field_of(chosen)
    specimen = specimen_of(chosen, view)
    optics = optics_of(chosen, view, specimen)
    report(progress, cancel, 1, 3, "forming the image")
    clean = peak = None
    if chosen.imaging.startswith("multislice"):
        clean = _multislice(specimen, view, optics, chosen.seed, progress, cancel)
        peak = float(clean.max())
    scene = scene_of(chosen, view, specimen, optics, peak)
    batch = render([scene], device, None if clean is None else [clean])
    report(progress, cancel, 2, 3, "collecting ground truth")
    result = collect(scene, batch)
    report(progress, cancel, 3, 3, "done")
    return result


def _multislice(
    specimen: Specimen,
    view: Field,
    optics: Optics,
    seed: int,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> torch.Tensor:
    from napari_atomseg.imaging.multislice import multislice_adf, multislice_hrtem

    structure = specimen.structure
    if structure is None:
        raise ValueError("multislice needs single atoms, which this specimen does not have")
    if isinstance(optics, HRTEMOptics):
        image = multislice_hrtem(
            structure, view, optics, seed=seed, progress=progress, cancel=cancel
        )
    elif isinstance(optics, LinearOptics):
        image = multislice_adf(
            structure, view, optics.probe, seed=seed, progress=progress, cancel=cancel
        )
    return torch.from_numpy(image)
