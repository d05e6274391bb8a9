"""A scene: every number that one simulated image is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_atomseg.distortion import Distortion
from napari_atomseg.imaging import Contrast, Optics
from napari_atomseg.simulation.background import Background
from napari_atomseg.simulation.recipe import TargetsRecipe
from napari_atomseg.specimen import Columns, Field, Specimen
from napari_atomseg.specimen.columns import Array


@dataclass(frozen=True)
class Drawn:
    """A distortion that happens, its place among all of the recipe, and its numbers."""

    place: int
    distortion: Distortion
    values: dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """One image to render.

    Attributes
    ----------
    view : the field of view.
    labels : the columns that can be told apart (`resolve_columns`), weighted by their intensity.
    unit : weight of a lone column whose peak counts as 1, that of the brightest.
    scale : intensity that the image shows as 1; None for the brightest pixel's.
    contrast : what is done to the ideal image (`napari_atomseg.imaging.Contrast`), or None.
    distortions : those that happen, in their order.
    seed : of the noise.
    settings : the arguments that repeat the scene.
    """

    view: Field
    specimen: Specimen
    labels: Columns
    optics: Optics
    unit: float
    scale: float | None
    background: Background | None
    contrast: Contrast | None
    distortions: tuple[Drawn, ...]
    targets: TargetsRecipe
    seed: tuple[int, int]
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def sampling(self) -> float:
        """Å a pixel."""
        return self.view.sampling

    @property
    def sigma(self) -> float:
        """Width of a lone peak, in pixels."""
        return self.optics.width / self.view.sampling

    def placed(self) -> tuple[Array, Array, NDArray[np.bool_]]:
        """(N,) rows and columns of the labels in pixels, and which of them the image shows, after
        distortions that befall the truth too.
        """
        y, x = self.labels.y / self.sampling, self.labels.x / self.sampling
        seen = np.ones(len(y), dtype=bool)
        for drawn in self.distortions:
            y, x = drawn.distortion.move(drawn.values, y, x)
            seen &= drawn.distortion.keeps(drawn.values, y, x)
        rows, cols = self.view.shape
        seen &= (y >= -0.5) & (y < rows - 0.5) & (x >= -0.5) & (x < cols - 0.5)
        return y, x, seen
