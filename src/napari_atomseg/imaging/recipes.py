"""Imaging recipes: the ranges that microscopes and their settings are drawn from."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Option
from pydantic import PositiveFloat

from napari_atomseg.imaging.hrtem import HRTEMOptics
from napari_atomseg.imaging.optics import DETECTOR, LinearOptics
from napari_atomseg.imaging.probe import Probe, wavelength
from napari_atomseg.imaging.radial import RadialOptics, RadialShape, radius
from napari_atomseg.imaging.transfer import peak_width
from napari_atomseg.ranges import Part, PositiveRange, Probability, Range, uniform
from napari_atomseg.specimen.specimen import Field, Specimen

Rng = np.random.Generator
RAISED = 1.02
"""Least ratio of line integrals from one element to the next heavier one."""


class Condition(Part):
    """Settings of a probe-forming microscope: eV, mrad and Å; azimuths are random.

    `weight` says how often it is chosen among others.
    """

    energy: PositiveFloat = 200e3
    semiangle: PositiveRange = (20.0, 20.0)
    source_size: Range = (0.8, 0.8)
    defocus: Range = (0.0, 0.0)
    C3: Range = (0.0, 0.0)
    C5: Range = (0.0, 0.0)
    A1: Range = (0.0, 0.0)
    B2: Range = (0.0, 0.0)
    A2: Range = (0.0, 0.0)
    tail: Range = (0.0, 0.0)
    tail_width: Range = (2.0, 2.0)
    weight: PositiveFloat = 1.0

    def draw(self, rng: Rng) -> Probe:
        """A probe with these settings."""
        return Probe(
            energy=self.energy,
            semiangle=uniform(rng, self.semiangle),
            source_size=uniform(rng, self.source_size),
            defocus=uniform(rng, self.defocus),
            C3=uniform(rng, self.C3),
            C5=uniform(rng, self.C5),
            A1=uniform(rng, self.A1),
            A1_angle=float(rng.uniform(0.0, 180.0)),
            B2=uniform(rng, self.B2),
            B2_angle=float(rng.uniform(0.0, 360.0)),
            A2=uniform(rng, self.A2),
            A2_angle=float(rng.uniform(0.0, 120.0)),
            tail=uniform(rng, self.tail),
            tail_width=uniform(rng, self.tail_width),
        )


class AbsoluteLens(Part):
    """A probe of known settings. The default is Table 1 of Lin et al. 2021, with its fourth line,
    which repeats the third, as a double weight.
    """

    kind: Literal["absolute"] = "absolute"
    conditions: Annotated[tuple[Condition, ...], Option(min_length=1)] = (
        Condition(energy=200e3, semiangle=(24.0, 24.0), source_size=(0.9, 0.9)),
        Condition(energy=100e3, semiangle=(30.0, 30.0), source_size=(0.8, 0.8)),
        Condition(energy=200e3, semiangle=(10.5, 10.5), source_size=(0.9, 0.9), weight=2.0),
        Condition(energy=200e3, semiangle=(10.0, 10.0), source_size=(1.6, 1.6)),
    )

    def draw(self, rng: Rng, spacing: float) -> Probe:
        """A probe; the specimen's spacing plays no part."""
        weights = np.array([condition.weight for condition in self.conditions])
        chosen = rng.choice(len(weights), p=weights / weights.sum())
        return self.conditions[chosen].draw(rng)


class RelativeLens(Part):
    """A probe as sharp as the specimen asks for, of any shape.

    `sharpness` is the sigma of its peak over the spacing of the columns. Aberrations are phases in
    rad at the aperture's edge; `source` and `tail_width` are in units of λ/α. Half of the probes
    have round aberrations, half a halo, and `skew_probability` of them others.
    """

    kind: Literal["relative"] = "relative"
    sharpness: PositiveRange = (0.13, 0.42)
    energies: Annotated[tuple[PositiveFloat, ...], Option(min_length=1)] = (
        60e3,
        80e3,
        100e3,
        200e3,
        300e3,
    )
    round_probability: Probability = 0.5
    defocus_phase: Range = (-2.5, 2.5)
    spherical_phase: Range = (-2.0, 2.0)
    skew_probability: Probability = 0.3
    astigmatism_phase: Range = (0.0, 1.0)
    coma_phase: Range = (0.0, 1.2)
    threefold_phase: Range = (0.0, 1.0)
    source: Range = (0.1, 0.9)
    tail_probability: Probability = 0.5
    tail: Range = (0.0, 0.3)
    tail_width: PositiveRange = (1.0, 4.0)

    def draw(self, rng: Rng, spacing: float) -> Probe:
        """A probe whose peak has the wanted sigma for columns `spacing` Å apart."""
        sigma = uniform(rng, self.sharpness) * spacing
        energy = float(rng.choice(self.energies))
        lam = wavelength(energy)
        # An aperture of α/λ = 1 1/Å, so that a phase is π λ times C1, π λ³ / 2 times C3 and so on.
        probe = Probe(energy, 1e3 * lam, source_size=uniform(rng, self.source))
        if rng.random() < self.round_probability:
            probe = replace(
                probe,
                defocus=uniform(rng, self.defocus_phase) / (np.pi * lam),
                C3=uniform(rng, self.spherical_phase) / (0.5 * np.pi * lam**3),
            )
        if rng.random() < self.skew_probability:
            probe = replace(
                probe,
                A1=uniform(rng, self.astigmatism_phase) / (np.pi * lam),
                A1_angle=float(rng.uniform(0.0, 180.0)),
                B2=uniform(rng, self.coma_phase) / (2.0 * np.pi * lam**2),
                B2_angle=float(rng.uniform(0.0, 360.0)),
                A2=uniform(rng, self.threefold_phase) / (2.0 / 3.0 * np.pi * lam**2),
                A2_angle=float(rng.uniform(0.0, 120.0)),
            )
        if rng.random() < self.tail_probability:
            probe = replace(
                probe, tail=uniform(rng, self.tail), tail_width=uniform(rng, self.tail_width)
            )
        return _magnified(probe, sigma / peak_width(probe))


def _magnified(probe: Probe, zoom: float) -> Probe:
    """The probe with every length in its image `zoom` times as large, and the same phases."""
    return replace(
        probe,
        semiangle=probe.semiangle / zoom,
        source_size=probe.source_size * zoom,
        tail_width=probe.tail_width * zoom,
        defocus=probe.defocus * zoom**2,
        A1=probe.A1 * zoom**2,
        B2=probe.B2 * zoom**3,
        A2=probe.A2 * zoom**3,
        C3=probe.C3 * zoom**4,
        C5=probe.C5 * zoom**6,
    )


class MultisliceImaging(Part):
    """Multislice by abTEM in place of a fast image; settings and truth are those of the fast one.

    `slice_thickness` is in Å, `frozen_phonons` configurations of atoms displaced at a `temperature`
    in K are averaged (0 for atoms at rest). Minutes an image.
    """

    slice_thickness: PositiveFloat = 2.0
    frozen_phonons: Annotated[int, Option(ge=0, le=256)] = 4
    temperature: Annotated[float, Option(ge=0.0)] = 300.0


class LinearImaging(Part):
    """Linear incoherent imaging under a random probe.

    `gamma` is the exponent of Z, None for the cross-sections of elements for `detector` (mrad).
    With `multislice`, the image is what abTEM finds on that detector: (0, 10) is a bright field,
    (10, 20) an annular bright field of a probe of 20 mrad.
    """

    kind: Literal["linear"] = "linear"
    lens: Annotated[AbsoluteLens | RelativeLens, Option(discriminator="kind")] = RelativeLens()
    gamma: PositiveRange | None = (1.7, 1.7)
    detector: tuple[float, float] = DETECTOR
    multislice: MultisliceImaging | None = None

    def draw(self, rng: Rng, field: Field, specimen: Specimen) -> LinearOptics:
        """The optics of one image."""
        probe = self.lens.draw(rng, specimen.spacing)
        gamma = None if self.gamma is None else uniform(rng, self.gamma)
        return LinearOptics(probe, gamma, self.detector)


class RadialImaging(Part):
    """Radial functions of random shape (Lobato et al. 2024, Eq. 16-22, with their ranges).

    `scale` is the factor by which atoms are as wide as their projected potentials.
    """

    kind: Literal["radial"] = "radial"
    heights: PositiveRange = (0.5, 1.0)
    order: PositiveRange = (4.0, 16.0)
    alpha: PositiveRange = (0.75, 1.25)
    scale: PositiveRange = (0.4, 1.0)

    def draw(self, rng: Rng, field: Field, specimen: Specimen) -> RadialOptics:
        """The optics of one image: heavier elements have larger integrals (Eq. 22)."""
        numbers = sorted({0, *specimen.scatterers.number.tolist()})
        alpha, scale = uniform(rng, self.alpha), uniform(rng, self.scale)
        shapes = [
            RadialShape(
                h1=uniform(rng, self.heights),
                h2=uniform(rng, self.heights),
                h3=uniform(rng, self.heights),
                n=uniform(rng, self.order),
                radius=scale * radius(number, alpha),
            )
            for number in numbers
        ]
        return RadialOptics(dict(zip(numbers, _ordered(shapes, numbers), strict=True)))


def _ordered(shapes: list[RadialShape], numbers: list[int]) -> list[RadialShape]:
    """Shapes of which each has a larger line integral than that of the element before it.

    Heights are dealt out by size first. Where an atom is so much narrower than a lighter one that
    no heights within the range do, its own are raised.
    """
    heights = sorted(
        ((s.h1, s.h2, s.h3, s.n) for s in shapes),
        key=lambda h: RadialShape(h[0], h[1], h[2], h[3], 1.0).line_integral,
    )
    result: list[RadialShape] = []
    least = 0.0
    for (h1, h2, h3, n), shape, number in zip(heights, shapes, numbers, strict=True):
        own = RadialShape(h1, h2, h3, n, shape.radius)
        lift = max(1.0, RAISED * least / own.line_integral)
        own = RadialShape(lift * h1, lift * h2, lift * h3, n, shape.radius)
        result.append(own)
        # The reference stands for no element, so that it bounds none.
        least = own.line_integral if number else 0.0
    return result


class HRTEMImaging(Part):
    """High-resolution TEM at random settings: eV, mrad and Å; azimuths are random.

    The defaults are those of a Cs-corrected instrument at 80 kV (Chen et al. 2023). With
    `multislice`, abTEM's exit wave takes the place of the phase object, and frozen phonons that of
    `vibration`.
    """

    kind: Literal["hrtem"] = "hrtem"
    energies: Annotated[tuple[PositiveFloat, ...], Option(min_length=1)] = (80e3,)
    defocus: Range = (-120.0, -40.0)
    C3: Range = (-2e5, -5e4)
    C5: Range = (0.0, 0.0)
    A1: Range = (0.0, 20.0)
    B2: Range = (0.0, 200.0)
    A2: Range = (0.0, 200.0)
    focal_spread: Range = (10.0, 40.0)
    semiangle: Range = (0.05, 0.3)
    tilt: Range = (0.0, 0.5)
    aperture: PositiveRange = (40.0, 60.0)
    vibration: Range = (0.04, 0.09)
    multislice: MultisliceImaging | None = None

    def draw(self, rng: Rng, field: Field, specimen: Specimen) -> HRTEMOptics:
        """The optics of one image."""
        turn, tilt = rng.uniform(0.0, 2.0 * np.pi), uniform(rng, self.tilt)
        return HRTEMOptics(
            energy=float(rng.choice(self.energies)),
            defocus=uniform(rng, self.defocus),
            C3=uniform(rng, self.C3),
            C5=uniform(rng, self.C5),
            A1=uniform(rng, self.A1),
            A1_angle=float(rng.uniform(0.0, 180.0)),
            B2=uniform(rng, self.B2),
            B2_angle=float(rng.uniform(0.0, 360.0)),
            A2=uniform(rng, self.A2),
            A2_angle=float(rng.uniform(0.0, 120.0)),
            focal_spread=uniform(rng, self.focal_spread),
            semiangle=uniform(rng, self.semiangle),
            tilt=(float(tilt * np.sin(turn)), float(tilt * np.cos(turn))),
            aperture=uniform(rng, self.aperture),
            vibration=uniform(rng, self.vibration),
        )


AnyImaging = Annotated[LinearImaging | RadialImaging | HRTEMImaging, Option(discriminator="kind")]
"""Whichever imaging a recipe names by its kind."""
