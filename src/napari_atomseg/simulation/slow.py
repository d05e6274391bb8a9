"""Images of specimens by multislice, in place of those of the fast optics."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from napari_atomseg.imaging import HRTEMOptics, LinearOptics, MultisliceImaging, Optics
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.specimen import Field, Specimen
from napari_atomseg.specimen.structure import Structure


def multislice_image(
    specimen: Specimen,
    view: Field,
    optics: Optics,
    settings: MultisliceImaging | None = None,
    *,
    seed: int = 0,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Tensor:
    """Image of a specimen by abTEM, on the detector or through the lens of the fast optics.

    Parameters
    ----------
    settings : slices and thermal motion; by default those of `imaging.multislice`.
    seed : of the thermal displacements.

    Returns
    -------
    (H, W) float32 of the canvas: fraction of the beam, or intensity relative to it.

    Raises
    ------
    ImportError
        abTEM is not installed.
    ValueError
        The specimen has no single atoms, or the optics no multislice.
    Cancelled
        `cancel` was raised.
    """
    from napari_atomseg.imaging.multislice import multislice_adf, multislice_hrtem

    structure = single_atoms(specimen)
    chosen = {} if settings is None else settings.model_dump()
    if isinstance(optics, HRTEMOptics):
        image = multislice_hrtem(
            structure, view, optics, seed=seed, progress=progress, cancel=cancel, **chosen
        )
    elif isinstance(optics, LinearOptics):
        image = multislice_adf(
            structure,
            view,
            optics.probe,
            detector=optics.detector,
            seed=seed,
            progress=progress,
            cancel=cancel,
            **chosen,
        )
    else:
        raise ValueError(f"multislice needs a probe or a lens, not {type(optics).__name__}")
    return torch.from_numpy(image)


def single_atoms(specimen: Specimen) -> Structure:
    """The atoms of a specimen.

    Raises
    ------
    ValueError
        It has none, but only columns, or a picture.
    """
    if specimen.structure is not None:
        return specimen.structure
    if specimen.atoms is None:
        raise ValueError("multislice needs single atoms, which this specimen does not have")
    return specimen.atoms()


def moments_seed(seed: tuple[int, int]) -> int:
    """Seed of the thermal displacements of a scene, apart from that of its noise."""
    return int(np.random.SeedSequence((*seed, 6)).generate_state(1, np.uint64)[0] >> np.uint64(1))
