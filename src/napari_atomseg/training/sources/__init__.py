"""Sources of training pairs: simulated, libraries, annotated images, and mixtures of them."""

from napari_atomseg.training.sources.annotated import (
    AnnotatedImage,
    AnnotatedImages,
    AnnotatedSource,
)
from napari_atomseg.training.sources.annotations import Annotated
from napari_atomseg.training.sources.augmentation import Augmentation
from napari_atomseg.training.sources.base import (
    ELEMENTS,
    TARGET_NAMES,
    VALIDATION,
    Pairs,
    Source,
    SourcePart,
    stacked,
)
from napari_atomseg.training.sources.blind_spot import BlindSpot, BlindSpotSource
from napari_atomseg.training.sources.combined import CroppedSource, MixtureSource
from napari_atomseg.training.sources.kinds import AnySource, Crops, Mixture, parts_of
from napari_atomseg.training.sources.library import Folder, LibraryFolder, LibrarySource
from napari_atomseg.training.sources.saved import save_annotated, save_blind_spot
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
    "Mixture",
    "MixtureSource",
    "Pairs",
    "Simulated",
    "SimulatedSource",
    "Source",
    "SourcePart",
    "parts_of",
    "save_annotated",
    "save_blind_spot",
    "simulated_species",
    "stacked",
]
