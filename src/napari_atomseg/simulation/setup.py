"""Settings to scene: what `simulate` is asked for, as the numbers of one image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydantic import TypeAdapter, ValidationError

from napari_atomseg.distortion import AnyDistortion, Distortion
from napari_atomseg.distortion.counting import Shot
from napari_atomseg.distortion.detector import Readout
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
from napari_atomseg.simulation.background import Background
from napari_atomseg.simulation.scene import (
    MARGIN,
    Scene,
    compose,
    draw_distortions,
    margin,
)
from napari_atomseg.simulation.settings import SimulationSettings
from napari_atomseg.specimen import Field, SingleCrystal, Specimen

COLLECTED = 0.05
"""Share of the beam that a bright column scatters onto an annular dark-field detector: some 5 % for
heavy columns 10–20 nm thick."""
HUM_CYCLES = (0.02, 0.5)
"""Mains periods a scan line."""
WIDEST_MARGIN = 384
"""Pixels beyond each border at most, however far a lens carries what it images."""
SLOW_MARGIN = 1.0
"""Å beyond each border of images that are slow to form."""
DRIFT_DIRECTION = 45.0
"""Degrees; of a positive drift, which so moves along both axes."""
DARK = ContrastRecipe(
    invert_probability=1.0,
    power_probability=0.0,
    backgrounds=("none",),
    ratio=None,
    normalized=False,
)
"""Dark atoms on a bright ground, and nothing else."""


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
    )
    return crystal.draw(np.random.default_rng((settings.seed, 3)), view)


def phase_optics(settings: SimulationSettings) -> HRTEMOptics:
    """The transmission microscope that the settings describe."""
    return HRTEMOptics(
        settings.energy, focal_spread=settings.focal_spread, **_aberrations(settings)
    )


def _aberrations(settings: SimulationSettings) -> dict[str, Any]:
    names = ("defocus", "A1", "A1_angle", "B2", "B2_angle", "A2", "A2_angle", "C3", "C5")
    return {name: getattr(settings, name) for name in names}


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
