"""Sources of training pairs: simulated, libraries, annotated images, and mixtures of them."""

from napari_atomseg.training.sources.annotated import (
    AnnotatedImage,
    AnnotatedImages,
    AnnotatedSource,
    save_annotated,
)
from napari_atomseg.training.sources.annotations import Annotated
from napari_atomseg.training.sources.augmentation import Augmentation
from napari_atomseg.training.sources.base import (
    ELEMENTS,
    TARGET_NAMES,
    VALIDATION,
    PairBatch,
    PairSource,
    SourcePart,
    stacked,
)
from napari_atomseg.training.sources.blind_spot import BlindSpot, BlindSpotSource, save_blind_spot
from napari_atomseg.training.sources.combined import (
    AnySource,
    CroppedSource,
    Crops,
    MixtureSource,
    ScanLines,
    SourceMixture,
    parts_of,
)
from napari_atomseg.training.sources.library import Folder, LibraryFolder, LibrarySource
from napari_atomseg.training.sources.simulated import (
    AnySimulation,
    Simulated,
    SimulatedSource,
    simulated_species,
)

__all__ = [
    "ELEMENTS",
    "TARGET_NAMES",
    "VALIDATION",
    "Annotated",
    "AnnotatedImage",
    "AnnotatedImages",
    "AnnotatedSource",
    "AnySimulation",
    "AnySource",
    "Augmentation",
    "BlindSpot",
    "BlindSpotSource",
    "CroppedSource",
    "Crops",
    "Folder",
    "LibraryFolder",
    "LibrarySource",
    "MixtureSource",
    "PairBatch",
    "PairSource",
    "ScanLines",
    "Simulated",
    "SimulatedSource",
    "SourceMixture",
    "SourcePart",
    "parts_of",
    "save_annotated",
    "save_blind_spot",
    "simulated_species",
    "stacked",
]
