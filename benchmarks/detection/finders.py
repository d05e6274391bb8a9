"""Ways of finding columns that `series` compares: `localize`, blobs, Atomap, r_em and maxima."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.detection.common import NOTHING, Array, Image, localized
from benchmarks.detection.perovskites import Scene
from benchmarks.runner import elsewhere
from napari_atomseg.evaluation import Case
from napari_atomseg.evaluation.baselines import Blobs, peaks

Finder = Callable[[Scene], Array]

LOCALIZE, BLOBS, ATOMAP, R_EM = "localize", "blobs", "Atomap", "r_em + maxima"
APART = 0.7
"""Least distance of Atomap's maxima over that of the columns looked for."""
NEAREST = 0.4
"""Part of the distance to the nearest column that Atomap's fits look at, its own default."""


def ours(model: str | None) -> Finder:
    """`localize`."""
    chosen = {} if model is None else {"model": model}

    def find(scene: Scene) -> Array:
        return localized(scene.image, scene.sampling, **chosen).points

    return find


def blobs(scene: Scene) -> Array:
    """Blobs of the Laplacian of Gaussian, as the evaluation has them."""
    case = Case(scene.name, scene.image, sampling=scene.sampling)
    columns = Blobs()(case).columns
    return NOTHING if columns is None else columns[["y", "x"]].to_numpy(float)


def atomap(scene: Scene) -> Array:
    """Both sublattices as Atomap's documentation finds them.

    Maxima of the image at the distance of the bright columns are fitted by Gaussians and
    subtracted; the faint columns are the maxima of the rest. The spacing is given, which a user
    would have to find by eye.
    """
    from atomap.api import Sublattice, get_atom_positions
    from hyperspy.signals import Signal2D

    apart = max(1, round(APART * scene.spacing * np.sqrt(2.0)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bright = np.asarray(get_atom_positions(Signal2D(scene.image), separation=apart), float)
        if len(bright) < 2:
            return bright[:, ::-1].reshape(-1, 2)
        sublattice = Sublattice(bright, image=scene.image.astype(float))
        sublattice.find_nearest_neighbors()
        sublattice.refine_atom_positions_using_center_of_mass(
            percent_to_nn=NEAREST, show_progressbar=False
        )
        sublattice.refine_atom_positions_using_2d_gaussian(
            percent_to_nn=NEAREST, show_progressbar=False
        )
        rest = _without(sublattice, scene.image)
        faint = np.asarray(get_atom_positions(Signal2D(rest), separation=apart), float)
    found = np.stack([sublattice.y_position, sublattice.x_position], axis=1)
    return np.concatenate([found, faint[:, ::-1].reshape(-1, 2)])


def _without(sublattice: object, image: Image) -> Image:
    """The image less the Gaussians of a sublattice."""
    from atomap.tools import remove_atoms_from_image_using_2d_gaussian

    return np.asarray(
        remove_atoms_from_image_using_2d_gaussian(
            image.astype(float), sublattice, percent_to_nn=NEAREST, show_progressbar=False
        )
    )


@dataclass(frozen=True)
class Restored:
    """Maxima of images that r_em restored, fitted there; `folder` keeps inputs and results."""

    folder: Path

    def __call__(self, scene: Scene) -> Array:
        """Places in one image; all were restored before, by `restore`."""
        restored = np.load(self.folder / "r_em" / f"{scene.name}.npy")
        return peaks(restored, scene.sampling)[["y", "x"]].to_numpy(float)

    def restore(self, scenes: list[Scene], python: Path, package: Path) -> None:
        """Restore what is not restored yet, in the peer's own environment."""
        inputs = self.folder / "input"
        inputs.mkdir(parents=True, exist_ok=True)
        for scene in scenes:
            path = inputs / f"{scene.name}.npy"
            if path.exists() and np.array_equal(np.load(path), scene.image):
                continue
            np.save(path, scene.image)
            (self.folder / "r_em" / path.name).unlink(missing_ok=True)
        words = ("restoration", "peer", str(package.resolve()), "restore")
        elsewhere(python, *words, str(self.folder.resolve()))


def missing_atomap() -> bool:
    """Whether Atomap cannot be imported."""
    return importlib.util.find_spec("atomap") is None
