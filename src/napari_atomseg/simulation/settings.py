"""Every setting of `simulate`: its default, unit, range, label and help, each written once.

The function's keywords, the panel's form and the options of the command are made from it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any

from napari_atomseg.simulation.arguments import argument, checked

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

SPECIMEN, OPTICS, ABERRATIONS = "Specimen", "Optics", "Aberrations"
SCAN, DETECTOR, BACKGROUND, FURTHER = "Scan", "Detector", "Background", "Further distortions"

IMAGING = {
    "linear": "dark-field STEM",
    "radial": "radial functions",
    "hrtem": "HRTEM",
    "multislice-adf": "dark-field STEM, multislice",
    "multislice-hrtem": "HRTEM, multislice",
}
SHAPES = {
    "bulk": "fills the image",
    "wedge": "wedge",
    "edge": "edge",
    "particle": "faceted particle",
    "rounded": "rounded particle",
}
BACKGROUNDS = {"constant": "constant", "ramp": "ramp", "nonlinear": "patches"}

_TURN = ("°", (-360.0, 360.0), (-180.0, 180.0))
_SHARE = ("", (0.0, 1.0))


@dataclass(frozen=True)
class SimulationSettings:
    """The arguments of `simulate` that decide what the image looks like.

    Raises
    ------
    ValueError
        A value is out of range or none of the choices.
    TypeError
        A value is of the wrong kind.
    """

    crystal: str | Path | Atoms = argument(  # noqa: RUF009, a field like the others
        "SrTiO3", "Crystal", "What is under the beam: a built-in crystal, or a CIF or XYZ file."
    )
    zone_axis: tuple[int, int, int] = argument(
        (0, 0, 1), "Zone axis", "Indices u v w of the direction along the beam.", accepted=(-99, 99)
    )
    shape: tuple[int, int] = argument(
        (512, 512), "Size (y, x)", "Rows and columns of the image.", "", "px", (8, 16384)
    )
    sampling: float = argument(
        0.1, "Sampling", "Size of a pixel.", "", "Å/px", (0.005, 2.0), (0.02, 0.5), logarithmic=True
    )
    dose: float = argument(
        2e4,
        "Dose",
        "Electrons of the beam per area: 500 is hardly visible, 100 000 is clean.",
        "",
        "e⁻/Å²",
        (1e-3, inf),
        (1e2, 1e6),
        logarithmic=True,
    )
    seed: int = argument(
        0, "Seed", "Same seed, same noise, defects and background.", accepted=(0, 2**31 - 1)
    )

    shape_kind: str = argument(
        "bulk",
        "Shape",
        "Fills the image, thins out to nothing, ends at a cliff, or is a particle on vacuum.",
        SPECIMEN,
        choices=SHAPES,
    )
    rotation: float = argument(
        0.0, "Rotation", "Turn of the crystal in the image.", SPECIMEN, *_TURN
    )
    offset: tuple[float, float] = argument(
        (0.0, 0.0),
        "Offset (y, x)",
        "Of a lattice point from the centre.",
        SPECIMEN,
        "Å",
        (-1e4, 1e4),
    )
    thickness: float = argument(
        100.0,
        "Thickness",
        "Of the crystal along the beam, where it is thickest.",
        SPECIMEN,
        "Å",
        (1.0, 1e4),
        (5.0, 500.0),
        logarithmic=True,
    )
    tilt: tuple[float, float] = argument(
        (0.0, 0.0), "Tilt (y, x)", "Away from the zone axis.", SPECIMEN, "mrad", (-500.0, 500.0)
    )
    vacancies: float = argument(
        0.0, "Vacancies", "Share of the atoms that are missing.", SPECIMEN, *_SHARE, (0.0, 0.3)
    )
    displacement: float = argument(
        0.0, "Displacement", "Random shift (rms) of atoms.", SPECIMEN, "Å", (0.0, 2.0), (0.0, 0.3)
    )
    support: float = argument(
        0.0, "Support", "Thickness of a carbon film.", SPECIMEN, "Å", (0.0, 1e3), (0.0, 300.0)
    )

    imaging: str = argument(
        "linear",
        "Imaging",
        "How the image is formed. Multislice is exact and slow, and needs abTEM.",
        OPTICS,
        choices=IMAGING,
    )
    energy: float = argument(
        200e3, "Energy", "Of the electrons.", OPTICS, "eV", (1e3, 3e6), (30e3, 300e3)
    )
    semiangle: float = argument(
        20.0, "Semi-angle", "Of the probe (STEM).", OPTICS, "mrad", (0.5, 200.0), (5.0, 40.0)
    )
    source_size: float = argument(
        0.8, "Source size", "Full width at half maximum.", OPTICS, "Å", (0.0, 20.0), (0.0, 3.0)
    )
    gamma: float | None = argument(
        1.7,
        "Z exponent",
        "Scattering goes with the atomic number to this power, or as form factors tell.",
        OPTICS,
        "",
        (0.0, 3.0),
        (1.0, 2.0),
        nothing="form factors",
    )
    focal_spread: float = argument(
        30.0, "Focal spread", "Of the defocus (HRTEM).", OPTICS, "Å", (0.0, 1e3), (0.0, 100.0)
    )

    defocus: float = argument(
        0.0, "Defocus", "Underfocus is positive.", ABERRATIONS, "Å", (-1e6, 1e6), (-300.0, 300.0)
    )
    C3: float = argument(
        0.0,
        "Spherical C3",
        "Of third order; 1e7 is 1 mm.",
        ABERRATIONS,
        "Å",
        (-1e9, 1e9),
        (-1e6, 1e6),
    )
    C5: float = argument(
        0.0,
        "Spherical C5",
        "Of fifth order; 1e7 is 1 mm.",
        ABERRATIONS,
        "Å",
        (-1e10, 1e10),
        (-5e7, 5e7),
    )
    A1: float = argument(
        0.0, "Two-fold A1", "Two-fold astigmatism.", ABERRATIONS, "Å", (0.0, 1e5), (0.0, 200.0)
    )
    A1_angle: float = argument(
        0.0, "A1 angle", "Azimuth of the two-fold astigmatism.", ABERRATIONS, *_TURN
    )
    B2: float = argument(0.0, "Coma B2", "Axial coma.", ABERRATIONS, "Å", (0.0, 1e7), (0.0, 5e3))
    B2_angle: float = argument(0.0, "B2 angle", "Azimuth of the axial coma.", ABERRATIONS, *_TURN)
    A2: float = argument(
        0.0, "Three-fold A2", "Three-fold astigmatism.", ABERRATIONS, "Å", (0.0, 1e7), (0.0, 5e3)
    )
    A2_angle: float = argument(
        0.0, "A2 angle", "Azimuth of the three-fold astigmatism.", ABERRATIONS, *_TURN
    )

    jitter: float = argument(
        0.1, "Line jitter", "Displacement (rms) of scan lines.", SCAN, "Å", (0.0, 20.0), (0.0, 1.0)
    )
    jitter_correlation: float = argument(
        0.0, "Its correlation", "Of neighbouring lines.", SCAN, "", (0.0, 0.99), (0.0, 0.9)
    )
    hum: float = argument(
        0.0, "Mains hum", "Amplitude of the periodic shift.", SCAN, "Å", (0.0, 20.0), (0.0, 1.0)
    )
    drift: float = argument(
        0.0, "Drift", "Of the specimen during the image.", SCAN, "Å", (-1e3, 1e3), (-20.0, 20.0)
    )
    shear: float = argument(
        0.0, "Shear", "Of the last line against the first.", SCAN, "Å", (-1e3, 1e3), (-20.0, 20.0)
    )
    fast_scan: float = argument(
        0.0, "Fast-scan blur", "Decay of the detector signal.", SCAN, "px", (0.0, 50.0), (0.0, 5.0)
    )
    line_noise: float = argument(
        0.0, "Line noise", "Offset of scan lines; a column is 1.", SCAN, "", (0.0, 5.0), (0.0, 0.3)
    )

    readout: float = argument(
        0.0, "Readout noise", "Its rms; a column is 1.", DETECTOR, "", (0.0, 10.0), (0.0, 0.5)
    )
    zingers: float = argument(
        0.0, "Zingers", "Share of pixels struck by X-rays.", DETECTOR, *_SHARE, (0.0, 0.01)
    )
    kept: float = argument(
        1.0, "Pixels kept", "Share of the pixels that are measured.", DETECTOR, *_SHARE, (0.0, 1.0)
    )
    invert: bool = argument(
        False, "Dark atoms", "Turn the contrast over, as in bright-field images.", DETECTOR
    )

    background: float = argument(
        0.0, "Height", "In units of the brightest column.", BACKGROUND, "", (0.0, 100.0), (0.0, 2.0)
    )
    background_kind: str = argument(
        "constant",
        "Kind",
        "The same everywhere, a ramp across the image, or bright patches.",
        BACKGROUND,
        choices=BACKGROUNDS,
    )

    distortions: tuple[Any, ...] = argument(
        (), "Distortions", "Further ones, applied last, in their order.", FURTHER
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            object.__setattr__(self, field.name, checked(field, getattr(self, field.name)))

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `simulate`, by name."""
        return {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(SimulationSettings)
        }
