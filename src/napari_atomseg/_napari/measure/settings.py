"""What can be measured, and the settings of each measurement."""

from __future__ import annotations

from dataclasses import dataclass

from napari_atomseg._napari.forms.form import option


@dataclass(frozen=True)
class Measurement:
    """A choice of the panel.

    Attributes
    ----------
    label : in the list.
    fields : the settings that are shown with it.
    hint : what comes of it, and what it needs.
    """

    label: str
    fields: tuple[str, ...]
    hint: str


MEASUREMENTS = {
    "lattice": Measurement(
        "Lattice",
        ("cell", "crystal"),
        "Finds the unit cell, its sublattices and species; of a known crystal the zone axis, too.",
    ),
    "spacings": Measurement(
        "Spacings",
        ("target",),
        "Distances along a and b: their histogram and the precision that they show.",
    ),
    "displacements": Measurement(
        "Displacements",
        ("displaced", "against", "charge", "volume"),
        "One sublattice against the centres of its neighbours, and its polarization.",
    ),
    "strain": Measurement(
        "Strain",
        ("strain_from", "reference", "x_axis", "reach", "component"),
        "Strain and rotation as images, from the columns or from the fringes of the image.",
    ),
    "dislocations": Measurement(
        "Dislocations", (), "Cores and Burgers vectors, by circuits that do not close."
    ),
    "grains": Measurement(
        "Grains",
        ("fold", "tolerance", "smallest"),
        "Orientation around each column, grains and their boundaries. Use one sublattice.",
    ),
    "rings": Measurement(
        "Rings and vacancies",
        ("network",),
        "Rings of a 2-D material by size, and sites without a column.",
    ),
    "counts": Measurement(
        "Atom counts",
        ("method", "value", "components", "first", "library", "scale", "element", "atom_spacing"),
        "Atoms in each column, by its cross-section. Use columns of one kind.",
    ),
    "tracks": Measurement(
        "Tracks",
        ("drift", "patience", "hop"),
        "Links the columns of all frames: drift, vacancies and hops.",
    ),
}
AUTOMATIC = "automatic"
INTEGRAL = "integral"
"""The cross-section that counting itself measures, on the image."""
COMPONENTS = {
    "eps_xx": "ε_xx",
    "eps_yy": "ε_yy",
    "eps_xy": "ε_xy",
    "rotation_deg": "rotation",
}
"""Of strain, and what they are called."""


@dataclass(frozen=True)
class MeasureSettings:
    """Settings of the Measure panel."""

    sampling: float | None = option(
        0.0,
        "Sampling",
        "Size of a pixel in Å, taken from the columns' layer where it has length units.\n"
        "If unknown, lengths are measured in pixels.",
        unit="Å/px",
        lowest="unknown: pixels",
        min=0.0,
        max=100.0,
        step=0.01,
        decimals=4,
    )
    which: str = option("all", "Use", "Which of the columns are measured")
    measure: str = option(
        "lattice",
        "Measure",
        "What is measured; the settings below follow",
        choices=[(each.label, name) for name, each in MEASUREMENTS.items()],
    )
    cell: str = option(
        "conventional",
        "Cell",
        "Conventional: rectangular where the lattice is centred.  Primitive: the smallest.",
        choices=["conventional", "primitive"],
    )
    crystal: str = option(
        "",
        "Crystal",
        "If known: its zone axis is found, and the species take the names of its elements",
    )
    target: float = option(
        1.0,
        "Aim for",
        "Deviation that the mean of several frames should reach; tells how many are needed",
        unit="pm",
        min=0.1,
        max=100.0,
        step=0.5,
    )
    displaced: str = option(AUTOMATIC, "Displaced", "The sublattice whose columns are displaced")
    against: str = option(
        AUTOMATIC,
        "Against",
        "The sublattice whose columns around are the reference; automatic takes all others",
    )
    charge: float | None = option(
        -20.0,
        "Born charge",
        "Effective charge of the displaced ion against its neighbours, for the polarization",
        unit="e",
        lowest="no polarization",
        min=-20.0,
        max=20.0,
        step=0.1,
    )
    volume: float | None = option(
        0.0,
        "Cell volume",
        "Volume for each displaced ion, for the polarization",
        unit="Å³",
        lowest="not given",
        min=0.0,
        max=100000.0,
        step=1.0,
    )
    strain_from: str = option(
        "positions",
        "From",
        "Positions: an affine map around each column.\n"
        "Geometric phase: of the two strongest fringes of the image.",
        choices=[("positions", "positions"), ("geometric phase", "phase")],
    )
    reference: str = option(
        "all",
        "Zero where",
        "The region whose lattice has no strain: all columns,\n"
        "or those that are selected in the points layer (and the image among them)",
        choices=[("all columns", "all"), ("selected ones", "selected")],
    )
    x_axis: str = option(
        "image",
        "x axis",
        "Along which ε_xx is measured",
        choices=[("of the image", "image"), ("along a", "a"), ("along b", "b")],
    )
    reach: float | None = option(
        0.0,
        "Averaged over",
        "Radius of the fit around a column, or sigma of the phase's filter.\n"
        "Automatic: 1.6 cells, or 0.8 periods.",
        unit="px",
        lowest=AUTOMATIC,
        min=0.0,
        max=1000.0,
        step=1.0,
        decimals=1,
    )
    component: str = option(
        "eps_xx",
        "Show",
        "The image in sight; changes the last result at once",
        choices=[(text, name) for name, text in COMPONENTS.items()],
    )
    fold: int | None = option(
        0,
        "Symmetry",
        "The lattice looks the same turned by 360° over this: 4 for squares, 6 for hexagons",
        choices=[(AUTOMATIC, 0), ("2-fold", 2), ("4-fold", 4), ("6-fold", 6)],
    )
    tolerance: float = option(
        4.0,
        "Tolerance",
        "A larger change of orientation from column to column is a boundary",
        unit="°",
        min=0.1,
        max=45.0,
        step=0.5,
    )
    smallest: int = option(
        12, "Smallest grain", "Columns that a grain needs", min=1, max=100000, step=1
    )
    network: str = option(
        "rings",
        "Find",
        "Rings: of atoms in a honeycomb, such as graphene.\nVacancies: in a crystal of any kind.",
        choices=[("rings and vacancies", "rings"), ("vacancies only", "vacancies")],
    )
    method: str = option(
        "mixture",
        "By",
        "Mixture: classes of cross-sections, as many as the criterion ICL tells.\n"
        "Library: simulated cross-sections of 1, 2, … atoms.",
        choices=[("mixture (ICL)", "mixture"), ("library", "library")],
    )
    value: str = option(
        "volume",
        "Cross-section",
        "The measurement that grows with the atoms.  Integral: of the image, over what is nearest\n"
        "to each column; a simulated library has the same.",
    )
    components: float | None = option(
        0.0,
        "Classes",
        "How many numbers of atoms there are; automatic finds the least ICL",
        lowest=AUTOMATIC,
        min=0,
        max=200,
        step=1,
        decimals=0,
    )
    first: float | None = option(
        -1.0,
        "Thinnest has",
        "Atoms in the thinnest columns; automatic continues the classes to zero",
        lowest=AUTOMATIC,
        min=-1,
        max=1000,
        step=1,
        decimals=0,
    )
    library: str = option(
        "",
        "Library",
        "Table (CSV) with the columns count and section,\n"
        "sections in Å² (px² without a sampling) times the unit of the image",
    )
    scale: bool = option(
        False, "Fit its scale", "For images that are not normalized to the incident beam"
    )
    element: str = option("", "Element", "Of the start model in 3-D, such as Pt; empty for none")
    atom_spacing: float | None = option(
        0.0,
        "Atom spacing",
        "From atom to atom along the beam, for the start model",
        unit="Å",
        lowest="no 3-D model",
        min=0.0,
        max=100.0,
        step=0.1,
        decimals=3,
    )
    drift: str = option(
        "kept",
        "Drift",
        "Kept: tracks lie on the columns of each frame.\n"
        "Removed: as if the specimen had stayed where it is in the first frame.",
        choices=["kept", "removed"],
    )
    patience: int = option(
        0,
        "Overlook",
        "Frames in which a column may be missing without being a vacancy",
        min=0,
        max=1000,
    )
    hop: float | None = option(
        0.0,
        "Longest hop",
        "Automatic: 1.6 typical spacings",
        unit="px",
        lowest=AUTOMATIC,
        min=0.0,
        max=1000.0,
        step=1.0,
        decimals=1,
    )


ALWAYS = ("sampling", "which", "measure")
"""Settings that are shown with every measurement."""
