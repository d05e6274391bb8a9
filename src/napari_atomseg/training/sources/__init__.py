"""Sources of training pairs: simulated, libraries, annotated images, and mixtures of them."""

from napari_atomseg.training.sources.base import (
    ELEMENTS,
    TARGET_NAMES,
    VALIDATION,
    Pairs,
    Source,
    SourcePart,
    stacked,
)
from napari_atomseg.training.sources.kinds import AnySource
from napari_atomseg.training.sources.simulated import (
    Simulated,
    SimulatedSource,
    simulated_species,
)

__all__ = [
    "ELEMENTS",
    "TARGET_NAMES",
    "VALIDATION",
    "AnySource",
    "Pairs",
    "Simulated",
    "SimulatedSource",
    "Source",
    "SourcePart",
    "simulated_species",
    "stacked",
]
