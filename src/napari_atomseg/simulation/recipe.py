"""Simulation recipes: the ranges that scenes are drawn from."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict

from napari_atomseg.specimen import crystals


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"range {value} must run from low to high")
    return value


def _known(value: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(value) - set(crystals()))
    if unknown:
        raise ValueError(f"unknown crystals {unknown}; choose from {', '.join(crystals())}")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SpecimenRecipe(_Part):
    """Which columns stand under the beam.

    Spacings are distances between the closest columns. Probabilities are a scene's; fractions are
    of its columns; displacements and strains are relative to the spacing.
    """

    crystals: Annotated[tuple[str, ...], AfterValidator(_known)] = tuple(crystals())
    highest_index: int = 2
    crystal_probability: float = 0.35
    disorder_probability: float = 0.05
    empty_probability: float = 0.04
    contrast: float = 8.0
    spacing_px: Range = (5.0, 34.0)
    sharpness: Range = (0.13, 0.42)
    second_grain_probability: float = 0.2
    edge_probability: float = 0.4
    wedge_width: Range = (0.5, 20.0)
    undulation: Range = (0.0, 0.5)
    defect_probability: float = 0.3
    vacancies: Range = (0.0, 0.06)
    dopants: Range = (0.0, 0.03)
    displacement: Range = (0.0, 0.05)
    strain: Range = (0.0, 0.04)
    unevenness: Range = (0.0, 0.15)


class ImagingRecipe(_Part):
    """The probe: energies in eV; aberrations as phases (rad) at the aperture's edge; sizes relative
    to λ/α. The semi-angle follows from the wanted sharpness. Backgrounds in units of the peak.
    """

    energies: tuple[float, ...] = (60e3, 80e3, 100e3, 200e3, 300e3)
    defocus_phase: Range = (-2.5, 2.5)
    spherical_phase: Range = (-2.0, 2.0)
    source: Range = (0.1, 0.9)
    tail: Range = (0.0, 0.3)
    constant: Range = (0.0, 1.5)
    ramp: Range = (-0.6, 0.6)
    matrix: Range = (0.0, 1.0)
    slow: Range = (0.0, 0.6)
    speckle: Range = (0.0, 0.16)
    speckle_probability: float = 0.35


class DistortionRecipe(_Part):
    """Noise: electrons in the brightest lone column; jitter relative to the probe's sigma; the
    rest in units of the peak.
    """

    electrons_per_column: Range = (60.0, 3e5)
    noise_free_probability: float = 0.03
    jitter: Range = (0.0, 0.35)
    jitter_correlation: Range = (0.0, 0.7)
    hum: Range = (0.0, 0.25)
    decay: Range = (0.0, 0.5)
    decay_probability: float = 0.2
    line_noise: Range = (0.0, 0.06)
    line_noise_probability: float = 0.25
    readout: Range = (0.0, 0.15)
    readout_probability: float = 0.3
    hot_fraction: Range = (0.0, 0.002)
    hot_probability: float = 0.08


class SimulationRecipe(_Part):
    """Everything a training or test image is drawn from; sample i of a seed is always the same."""

    specimen: SpecimenRecipe = SpecimenRecipe()
    imaging: ImagingRecipe = ImagingRecipe()
    distortion: DistortionRecipe = DistortionRecipe()
