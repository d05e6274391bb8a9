"""`simulate`: one image of a crystal with its ground truth."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_atomseg.distortion import AnyDistortion, Distortion
from napari_atomseg.distortion.camera import Readout
from napari_atomseg.distortion.counting import Shot
from napari_atomseg.distortion.lines import LineNoise, ScanBlur
from napari_atomseg.distortion.pixels import MissingPixels, Zingers
from napari_atomseg.distortion.scan import Drift, LineFrequency, ScanJitter, Shear
from napari_atomseg.imaging import (
    ContrastRecipe,
    HRTEMOptics,
    LinearOptics,
    Optics,
    Probe,
    RadialImaging,
)
from napari_atomseg.progress import CancelToken, Progress, cancellable, report
from napari_atomseg.simulation.background import Background
from napari_atomseg.simulation.render import render
from napari_atomseg.simulation.result import Simulation, collect
from napari_atomseg.simulation.scene import (
    MARGIN,
    Scene,
    compose,
    draw_distortions,
    margin,
)
from napari_atomseg.simulation.settings import (
    BackgroundKind,
    ImagingMode,
    ShapeKind,
    SimulationSettings,
)
from napari_atomseg.simulation.slow import multislice_image
from napari_atomseg.specimen import Field, SingleCrystal, Specimen
from napari_atomseg.specimen.crystals.axis import View

if TYPE_CHECKING:
    from ase import Atoms


COLLECTED = 0.05
"""Share of the beam that a bright column scatters onto an annular dark-field detector: some 5 % for
heavy columns 10–20 nm thick."""
HUM_CYCLES = (0.02, 0.5)
"""Mains periods a scan line."""
WIDEST_MARGIN = 384
"""Pixels beyond each border at most, however far a lens carries what it images."""
SLOW_MARGIN = 1.0
"""Å beyond each border of images that are slow to form."""
DRIFT_DIRECTION = -45.0
"""Degrees; a positive drift moves to higher rows and columns, to the lower right."""
DARK = ContrastRecipe(
    invert_probability=1.0,
    power_probability=0.0,
    backgrounds=("none",),
    ratio=None,
    normalized=False,
)
"""Dark atoms on a bright ground, and nothing else."""


def simulate(
    crystal: str | Path | Atoms = "SrTiO3",
    zone_axis: tuple[int, ...] = (0, 0, 1),
    shape: tuple[int, int] = (512, 512),
    sampling: float = 0.1,
    dose: float = 2e4,
    seed: int = 0,
    *,
    shape_kind: ShapeKind = "bulk",
    view: View = "towards",
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
    zone_axis : Indices u v w of the direction along the beam, or u v t w of a hexagonal crystal.
    shape : Rows and columns of the image (px).
    sampling : Size of a pixel (Å/px).
    dose : Electrons of the beam per area: at 500 columns are hardly visible, at 100 000 clear
        (e⁻/Å²).
    seed : The same seed repeats noise, defects and background.
    shape_kind : Whether the crystal fills the image, thins out, ends at an edge, or is a particle.
        One of 'bulk', 'wedge', 'edge', 'particle', 'rounded'.
    view : Whether the zone axis points towards the viewer, as in VESTA, or along the beam, away
        from the viewer: one image is the mirror image of the other. One of 'towards', 'along'.
    rotation : Rotation of the crystal in the image, counter-clockwise as it is shown (°).
    offset : Distance of a lattice point from the centre (Å).
    thickness : Largest thickness of the crystal along the beam (Å).
    tilt : Angle by which columns lean towards y and x on their way down the beam (mrad).
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
    A1_angle : Azimuth of the two-fold astigmatism, counter-clockwise from x (°).
    B2 : Axial coma (Å).
    B2_angle : Azimuth of the axial coma, counter-clockwise from x (°).
    A2 : Three-fold astigmatism (Å).
    A2_angle : Azimuth of the three-fold astigmatism, counter-clockwise from x (°).
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
    with cancellable(cancel):
        return _simulated(chosen, device, progress, cancel)


def _simulated(
    chosen: SimulationSettings, device: str, progress: Progress | None, cancel: CancelToken | None
) -> Simulation:
    """What `simulate` returns."""
    report(progress, cancel, 0, 3, "placing atoms")
    field = field_of(chosen)
    specimen = specimen_of(chosen, field)
    optics = optics_of(chosen, field, specimen)
    report(progress, cancel, 1, 3, "forming the image")
    clean = peak = None
    if chosen.imaging.startswith("multislice"):
        clean = multislice_image(
            specimen, field, optics, seed=chosen.seed, progress=progress, cancel=cancel
        )
        peak = float(clean.max())
    scene = scene_of(chosen, field, specimen, optics, peak)
    batch = render([scene], device, None if clean is None else [clean])
    report(progress, cancel, 2, 3, "collecting ground truth")
    result = collect(scene, batch)
    report(progress, cancel, 3, 3, "done")
    return result


def specimen_of(settings: SimulationSettings, view: Field) -> Specimen:
    """The crystal that the settings describe."""
    crystal = SingleCrystal(
        settings.crystal,
        settings.zone_axis,
        rotation=settings.rotation,
        offset=settings.offset,
        thickness=settings.thickness,
        tilt=settings.tilt,
        shape_kind=settings.shape_kind,
        vacancies=settings.vacancies,
        displacement=settings.displacement,
        support=settings.support,
        atoms_needed=settings.imaging.startswith("multislice"),
        view=settings.view,
    )
    return crystal.draw(np.random.default_rng((settings.seed, 3)), view)


def phase_optics(settings: SimulationSettings) -> HRTEMOptics:
    """The transmission microscope that the settings describe."""
    return HRTEMOptics(
        settings.energy, focal_spread=settings.focal_spread, **_aberrations(settings)
    )


def _aberrations(settings: SimulationSettings) -> dict[str, Any]:
    names = ("defocus", "A1", "B2", "A2", "C3", "C5")
    # Lenses count angles from x towards y, which points down.
    angles = {name: -getattr(settings, name) for name in ("A1_angle", "B2_angle", "A2_angle")}
    return {name: getattr(settings, name) for name in names} | angles


def optics_of(settings: SimulationSettings, view: Field, specimen: Specimen) -> Optics:
    """The microscope that the settings describe."""
    if settings.imaging.endswith("hrtem"):
        return phase_optics(settings)
    if settings.imaging == "radial":
        rng = np.random.default_rng((settings.seed, 4))
        return RadialImaging().draw(rng, view, specimen)
    probe = Probe(
        settings.energy,
        settings.semiangle,
        source_size=settings.source_size,
        **_aberrations(settings),
    )
    return LinearOptics(probe, settings.gamma)


def field_of(settings: SimulationSettings) -> Field:
    """The field of view that the settings describe."""
    if settings.imaging.startswith("multislice"):
        # Each pixel of a margin costs as much as one of the image.
        return Field(settings.shape, settings.sampling, math.ceil(SLOW_MARGIN / settings.sampling))
    least = MARGIN
    if settings.imaging == "hrtem":
        carried = phase_optics(settings).delocalization / settings.sampling
        least = min(max(MARGIN, math.ceil(carried)), WIDEST_MARGIN)
    return Field(settings.shape, settings.sampling, margin(settings.shape, least))


def scene_of(
    settings: SimulationSettings,
    view: Field,
    specimen: Specimen,
    optics: Optics,
    peak: float | None = None,
) -> Scene:
    """The scene of a specimen under a microscope.

    Parameters
    ----------
    peak : brightest intensity, as a share of the beam, where a slower method has found it.
    """
    rng = np.random.default_rng((settings.seed, 5))
    share = 1.0 if optics.coherent else (COLLECTED if peak is None else peak)
    return compose(
        view,
        specimen,
        optics,
        peak=peak,
        background=_background(settings, view),
        contrast=DARK.draw(rng) if settings.invert else None,
        distortions=draw_distortions(_distortions(settings, share), rng, view, optics),
        seed=(settings.seed, 0),
        settings=record(settings),
    )


def _background(settings: SimulationSettings, view: Field) -> Background | None:
    height, kind = settings.background, settings.background_kind
    rng = np.random.default_rng((settings.seed, 6))
    if not height:
        return None
    if kind == "ramp":
        return Background(ramp=(height * float(rng.random()), height))
    if kind == "nonlinear":
        places = rng.random((5, 2)) * view.size
        heights = height * rng.uniform(0.4, 1.0, 5)
        return Background(
            blobs=np.column_stack([places, heights, view.size.min() * rng.uniform(0.1, 0.3, 5)])
        )
    return Background(constant=height)


def _distortions(settings: SimulationSettings, share: float) -> tuple[Distortion, ...]:
    """The distortions of the settings, in the order in which a microscope makes them."""
    scanned = [] if settings.imaging.endswith("hrtem") else _scan_motions(settings)
    chosen: list[Distortion] = list(scanned)
    if math.isfinite(settings.dose):
        chosen.append(Shot(dose=fixed(settings.dose), collected=fixed(share)))
    if settings.fast_scan > 0:
        chosen.append(ScanBlur(decay=fixed(math.exp(-1.0 / settings.fast_scan))))
    if settings.line_noise > 0:
        chosen.append(LineNoise(offset=fixed(settings.line_noise), gain=fixed(0.0)))
    if settings.readout > 0:
        chosen.append(Readout(sigma=fixed(settings.readout)))
    if settings.zingers > 0:
        chosen.append(Zingers(fraction=fixed(settings.zingers)))
    chosen.extend(_checked(settings.distortions))
    if settings.kept < 1:
        chosen.append(MissingPixels(kept=fixed(settings.kept)))
    return tuple(chosen)


def _scan_motions(settings: SimulationSettings) -> list[Distortion]:
    """How the scan strays; an image taken at once has none of it."""
    chosen: list[Distortion] = []
    if settings.jitter > 0:
        chosen.append(
            ScanJitter(
                probability=1.0,
                sigma=fixed(settings.jitter),
                phi=fixed(settings.jitter_correlation),
                odds=(0.0, 0.0, 1.0),
            )
        )
    if settings.hum > 0:
        chosen.append(LineFrequency(amplitude=fixed(settings.hum), cycles=HUM_CYCLES))
    if settings.drift:
        direction = DRIFT_DIRECTION if settings.drift > 0 else DRIFT_DIRECTION + 180.0
        chosen.append(Drift(distance=fixed(abs(settings.drift)), direction=fixed(direction)))
    if settings.shear:
        chosen.append(Shear(distance=fixed(settings.shear)))
    return chosen


def fixed(value: float) -> tuple[float, float]:
    """A range of one value."""
    return (value, value)


def _checked(distortions: Sequence[Any]) -> list[Distortion]:
    try:
        return list(TypeAdapter(list[AnyDistortion]).validate_python(list(distortions)))
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise ValueError(f"distortions: {where}: {fault['msg']}") from error


def record(settings: SimulationSettings) -> dict[str, Any]:
    """The arguments that repeat the image, in plain values."""
    return {
        **settings.arguments(),
        "distortions": tuple(
            d.model_dump() if isinstance(d, Distortion) else d for d in settings.distortions
        ),
    }
