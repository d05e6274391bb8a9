"""Every setting of `simulate`: its default, unit, limits, label and help, each written once.

The function's keywords, the panel's form and the options of the command are made from it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Literal

from napari_atomseg.settings import Settings, setting
from napari_atomseg.specimen.crystals.axis import View, read_axis

if TYPE_CHECKING:
    from pathlib import Path

    from ase import Atoms

    CrystalSource = str | Path | Atoms
else:
    CrystalSource = Any

SPECIMEN, OPTICS, ABERRATIONS = "Specimen", "Optics", "Aberrations"
SCAN, DETECTOR, BACKGROUND, FURTHER = "Scan", "Detector", "Background", "Further distortions"

ImagingMode = Literal["linear", "radial", "hrtem", "multislice-adf", "multislice-hrtem"]
ShapeKind = Literal["bulk", "wedge", "edge", "particle", "rounded"]
BackgroundKind = Literal["constant", "ramp", "nonlinear"]


class SimulationSettings(Settings):
    """The arguments of `simulate` that decide what the image looks like."""

    crystal: CrystalSource = setting(
        "SrTiO3", "Crystal", "A built-in crystal, or a CIF or XYZ file."
    )
    zone_axis: tuple[int, ...] = setting(
        (0, 0, 1),
        "Zone axis",
        "Indices u v w of the direction along the beam, or u v t w of a hexagonal crystal.",
        limits=(-99, 99),
        read=read_axis,
    )
    shape: tuple[int, int] = setting(
        (512, 512), "Size (y, x)", "Rows and columns of the image.", unit="px", limits=(8, 16384)
    )
    sampling: float = setting(
        0.1,
        "Sampling",
        "Size of a pixel.",
        unit="Å/px",
        limits=(0.005, 2.0),
        usual=(0.02, 0.5),
        logarithmic=True,
    )
    dose: float = setting(
        2e4,
        "Dose",
        "Electrons of the beam per area: at 500 columns are hardly visible, at 100 000 clear.",
        unit="e⁻/Å²",
        limits=(1e-3, inf),
        usual=(1e2, 1e6),
        logarithmic=True,
    )
    seed: int = setting(
        0, "Seed", "The same seed repeats noise, defects and background.", limits=(0, 2**31 - 1)
    )

    shape_kind: ShapeKind = setting(
        "bulk",
        "Shape",
        "Whether the crystal fills the image, thins out, ends at an edge, or is a particle.",
        choices={
            "bulk": "fills the image",
            "wedge": "wedge",
            "edge": "edge",
            "particle": "faceted particle",
            "rounded": "rounded particle",
        },
        section=SPECIMEN,
    )
    view: View = setting(
        "towards",
        "View",
        "Whether the zone axis points towards the viewer, as in VESTA, or along the beam, away "
        "from the viewer: one image is the mirror image of the other.",
        choices={"towards": "axis towards the viewer", "along": "axis along the beam"},
        section=SPECIMEN,
    )
    rotation: float = setting(
        0.0,
        "Rotation",
        "Rotation of the crystal in the image, counter-clockwise as it is shown.",
        unit="°",
        limits=(-360.0, 360.0),
        usual=(-180.0, 180.0),
        section=SPECIMEN,
    )
    offset: tuple[float, float] = setting(
        (0.0, 0.0),
        "Offset (y, x)",
        "Distance of a lattice point from the centre.",
        unit="Å",
        limits=(-1e4, 1e4),
        section=SPECIMEN,
    )
    thickness: float = setting(
        100.0,
        "Thickness",
        "Largest thickness of the crystal along the beam.",
        unit="Å",
        limits=(1.0, 1e4),
        usual=(5.0, 500.0),
        logarithmic=True,
        section=SPECIMEN,
    )
    tilt: tuple[float, float] = setting(
        (0.0, 0.0),
        "Tilt (y, x)",
        "Angle by which columns lean towards y and x on their way down the beam.",
        unit="mrad",
        limits=(-500.0, 500.0),
        section=SPECIMEN,
    )
    vacancies: float = setting(
        0.0,
        "Vacancies",
        "Fraction of the atoms that are missing.",
        limits=(0.0, 1.0),
        usual=(0.0, 0.3),
        section=SPECIMEN,
    )
    displacement: float = setting(
        0.0,
        "Displacement",
        "Random displacement (rms) of the columns along each axis.",
        unit="Å",
        limits=(0.0, 2.0),
        usual=(0.0, 0.3),
        section=SPECIMEN,
    )
    support: float = setting(
        0.0,
        "Support",
        "Thickness of a film of amorphous carbon below the crystal.",
        unit="Å",
        limits=(0.0, 1e3),
        usual=(0.0, 300.0),
        section=SPECIMEN,
    )

    imaging: ImagingMode = setting(
        "linear",
        "Imaging",
        "How the image is formed. Multislice is exact and slow, and needs abTEM.",
        choices={
            "linear": "dark-field STEM",
            "radial": "radial functions",
            "hrtem": "HRTEM",
            "multislice-adf": "dark-field STEM, multislice",
            "multislice-hrtem": "HRTEM, multislice",
        },
        section=OPTICS,
    )
    energy: float = setting(
        200e3,
        "Energy",
        "Energy of the electrons.",
        unit="eV",
        limits=(1e3, 3e6),
        usual=(30e3, 300e3),
        section=OPTICS,
    )
    semiangle: float = setting(
        20.0,
        "Semi-angle",
        "Convergence semi-angle of the probe (STEM).",
        unit="mrad",
        limits=(0.5, 200.0),
        usual=(5.0, 40.0),
        section=OPTICS,
    )
    source_size: float = setting(
        0.8,
        "Source size",
        "Full width at half maximum of the source's image.",
        unit="Å",
        limits=(0.0, 20.0),
        usual=(0.0, 3.0),
        section=OPTICS,
    )
    gamma: float | None = setting(
        1.7,
        "Z exponent",
        "Power of the atomic number that scattering is proportional to.",
        limits=(0.0, 3.0),
        usual=(1.0, 2.0),
        none="form factors",
        section=OPTICS,
    )
    focal_spread: float = setting(
        30.0,
        "Focal spread",
        "Standard deviation of the defocus (HRTEM).",
        unit="Å",
        limits=(0.0, 1e3),
        usual=(0.0, 100.0),
        section=OPTICS,
    )

    defocus: float = setting(
        0.0,
        "Defocus",
        "Underfocus is positive.",
        unit="Å",
        limits=(-1e6, 1e6),
        usual=(-300.0, 300.0),
        section=ABERRATIONS,
    )
    C3: float = setting(
        0.0,
        "Spherical C3",
        "Third-order spherical aberration; 1e7 is 1 mm.",
        unit="Å",
        limits=(-1e9, 1e9),
        usual=(-1e6, 1e6),
        section=ABERRATIONS,
    )
    C5: float = setting(
        0.0,
        "Spherical C5",
        "Fifth-order spherical aberration; 1e7 is 1 mm.",
        unit="Å",
        limits=(-1e10, 1e10),
        usual=(-5e7, 5e7),
        section=ABERRATIONS,
    )
    A1: float = setting(
        0.0,
        "Two-fold A1",
        "Two-fold astigmatism.",
        unit="Å",
        limits=(0.0, 1e5),
        usual=(0.0, 200.0),
        section=ABERRATIONS,
    )
    A1_angle: float = setting(
        0.0,
        "A1 angle",
        "Azimuth of the two-fold astigmatism, counter-clockwise from x.",
        unit="°",
        limits=(-360.0, 360.0),
        usual=(-180.0, 180.0),
        section=ABERRATIONS,
    )
    B2: float = setting(
        0.0,
        "Coma B2",
        "Axial coma.",
        unit="Å",
        limits=(0.0, 1e7),
        usual=(0.0, 5e3),
        section=ABERRATIONS,
    )
    B2_angle: float = setting(
        0.0,
        "B2 angle",
        "Azimuth of the axial coma, counter-clockwise from x.",
        unit="°",
        limits=(-360.0, 360.0),
        usual=(-180.0, 180.0),
        section=ABERRATIONS,
    )
    A2: float = setting(
        0.0,
        "Three-fold A2",
        "Three-fold astigmatism.",
        unit="Å",
        limits=(0.0, 1e7),
        usual=(0.0, 5e3),
        section=ABERRATIONS,
    )
    A2_angle: float = setting(
        0.0,
        "A2 angle",
        "Azimuth of the three-fold astigmatism, counter-clockwise from x.",
        unit="°",
        limits=(-360.0, 360.0),
        usual=(-180.0, 180.0),
        section=ABERRATIONS,
    )

    jitter: float = setting(
        0.1,
        "Line jitter",
        "Random displacement (rms) of scan lines.",
        unit="Å",
        limits=(0.0, 20.0),
        usual=(0.0, 1.0),
        section=SCAN,
    )
    jitter_correlation: float = setting(
        0.0,
        "Jitter correlation",
        "Correlation of the jitter of neighbouring lines.",
        limits=(0.0, 0.99),
        usual=(0.0, 0.9),
        section=SCAN,
    )
    hum: float = setting(
        0.0,
        "Mains hum",
        "Amplitude of the periodic displacement of lines.",
        unit="Å",
        limits=(0.0, 20.0),
        usual=(0.0, 1.0),
        section=SCAN,
    )
    drift: float = setting(
        0.0,
        "Drift",
        "Distance that the specimen moves during the scan, along the diagonal.",
        unit="Å",
        limits=(-1e3, 1e3),
        usual=(-20.0, 20.0),
        section=SCAN,
    )
    shear: float = setting(
        0.0,
        "Shear",
        "Displacement of the last line against the first.",
        unit="Å",
        limits=(-1e3, 1e3),
        usual=(-20.0, 20.0),
        section=SCAN,
    )
    fast_scan: float = setting(
        0.0,
        "Fast-scan blur",
        "Decay length of the detector's signal along a line.",
        unit="px",
        limits=(0.0, 50.0),
        usual=(0.0, 5.0),
        section=SCAN,
    )
    line_noise: float = setting(
        0.0,
        "Line noise",
        "Random offset (rms) of scan lines, relative to the brightest column.",
        limits=(0.0, 5.0),
        usual=(0.0, 0.3),
        section=SCAN,
    )

    readout: float = setting(
        0.0,
        "Readout noise",
        "Noise (rms) of the readout, relative to the brightest column.",
        limits=(0.0, 10.0),
        usual=(0.0, 0.5),
        section=DETECTOR,
    )
    zingers: float = setting(
        0.0,
        "Zingers",
        "Fraction of the pixels that X-rays hit.",
        limits=(0.0, 1.0),
        usual=(0.0, 0.01),
        section=DETECTOR,
    )
    kept: float = setting(
        1.0,
        "Pixels kept",
        "Fraction of the pixels that are measured.",
        limits=(0.0, 1.0),
        usual=(0.0, 1.0),
        section=DETECTOR,
    )
    invert: bool = setting(
        False, "Dark atoms", "Invert the contrast, as in bright-field images.", section=DETECTOR
    )

    background: float = setting(
        0.0,
        "Height",
        "Height of the background, relative to the brightest column.",
        limits=(0.0, 100.0),
        usual=(0.0, 2.0),
        section=BACKGROUND,
    )
    background_kind: BackgroundKind = setting(
        "constant",
        "Kind",
        "Constant, a ramp across the image, or bright patches.",
        choices={"constant": "constant", "ramp": "ramp", "nonlinear": "patches"},
        section=BACKGROUND,
    )

    distortions: tuple[Any, ...] = setting(
        (), "Distortions", "Further distortions, applied last, in this order.", section=FURTHER
    )

    def arguments(self) -> dict[str, Any]:
        """Return the keyword arguments of `simulate`, by name."""
        return {name: getattr(self, name) for name in SimulationSettings.model_fields}
