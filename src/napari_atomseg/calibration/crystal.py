"""The size and shape of pixels from the lattice of a known crystal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.types import Array, Image
from napari_atomseg.analysis.lattice.lattice import Lattice

STEP = 1e-6
"""Relative step of the derivatives by which errors are carried on."""


@dataclass(frozen=True)
class PixelShape:
    """Pixels as a crystal shows them.

    A pixel's sides are `sampling` long, the one along y leans by `shear_deg` from the normal of the
    one along x. Scan lines are along x: their direction is taken as right, as slow drift shears an
    image along its lines.

    Attributes
    ----------
    sampling : (dy, dx) Å.
    sampling_err : their standard errors.
    shear_deg, shear_err_deg : the angle between the sides less than 90° by this, and its error.
    """

    sampling: tuple[float, float]
    sampling_err: tuple[float, float]
    shear_deg: float
    shear_err_deg: float

    @property
    def matrix(self) -> Array:
        """(2, 2) from steps (y, x) in pixels to steps in Å: ``step @ matrix.T``."""
        (dy, dx), lean = self.sampling, np.radians(self.shear_deg)
        return np.array([[dy * np.cos(lean), 0.0], [dy * np.sin(lean), dx]])

    @property
    def straight(self) -> tuple[Array, float]:
        """(2, 2) from places in pixels to those in square ones, and their size in Å.

        Square pixels have the area of the measured ones.
        """
        size = float(np.sqrt(np.linalg.det(self.matrix)))
        return self.matrix / size, size

    def correct(self, image: NDArray[Any]) -> tuple[Image, float, tuple[float, float]]:
        """An image (..., H, W) on square pixels, without shear.

        Returns
        -------
        The image (..., H', W'), NaN where there was none; the size of its pixels (Å); and the place
        (y, x) of its first pixel in those pixels, from the first one of the image given.
        """
        turn, size = self.straight
        height, width = image.shape[-2:]
        corners = np.array([[0, 0], [height - 1, 0], [0, width - 1], [height - 1, width - 1]])
        there = corners @ turn.T
        first, last = np.floor(there.min(axis=0) + 1e-9), np.ceil(there.max(axis=0) - 1e-9)
        shape = tuple((last - first + 1).astype(int))
        back = np.linalg.inv(turn)
        planes = np.asarray(image, dtype=np.float64).reshape(-1, height, width)
        made = [
            ndimage.affine_transform(
                np.where(np.isfinite(plane), plane, np.nanmedian(plane)),
                back,
                back @ first,
                output_shape=shape,
                order=3,
                mode="constant",
                cval=np.nan,
            )
            for plane in planes
        ]
        result = np.stack(made).reshape(*image.shape[:-2], *shape).astype(np.float32)
        return result, size, (float(first[0]), float(first[1]))

    def correct_columns(
        self, columns: pd.DataFrame, first: tuple[float, float] = (0.0, 0.0)
    ) -> pd.DataFrame:
        """A table of columns in the pixels of the corrected image.

        Parameters
        ----------
        columns : table with ``y`` and ``x`` in pixels; errors are carried on where it has them.
        first : place of the first pixel of the corrected image, as `correct` gives it.
        """
        turn, size = self.straight
        table = columns.copy()
        places = columns[["y", "x"]].to_numpy(dtype=float) @ turn.T - np.asarray(first)
        table["y"], table["x"] = places.T
        if {"y_err", "x_err"} <= set(columns):
            variance = columns[["y_err", "x_err"]].to_numpy(dtype=float) ** 2 @ (turn**2).T
            table["y_err"], table["x_err"] = np.sqrt(variance).T
        table["y_angstrom"], table["x_angstrom"] = (size * places).T
        table.attrs = dict(columns.attrs) | {"sampling": size}
        return table


def pixel_shape(lattice: Lattice, candidate: pd.Series) -> PixelShape:
    """Size and shape of the pixels in which a measured lattice is that of a crystal.

    Cell vectors V (rows, px) of a cell with the metric tensor G (Å²) have it if pixels have the
    metric g = V⁻¹ G V⁻ᵀ: its diagonal is the squares of their sides, the rest the angle between.
    Errors are those of the vectors; the crystal's constants are taken as exact.

    Parameters
    ----------
    lattice : as of `find_lattice`; its vectors count in pixels.
    candidate : row of the table of `find_zone_axis` for this lattice.
    """
    a, b = (float(candidate[f"expected_{name}_angstrom"]) for name in "ab")
    angle = np.radians(float(candidate["expected_angle_deg"]))
    metric = np.array([[a * a, a * b * np.cos(angle)], [a * b * np.cos(angle), b * b]])

    def shape(vectors: Array) -> Array:
        inverse = np.linalg.inv(vectors)
        pixels = inverse @ metric @ inverse.T
        dy, dx = np.sqrt(np.diag(pixels))
        return np.array([dy, dx, np.degrees(np.arcsin(pixels[0, 1] / (dy * dx)))])

    values = shape(lattice.vectors)
    errors = _errors(shape, lattice.vectors, lattice.vectors_err)
    return PixelShape(
        (float(values[0]), float(values[1])),
        (float(errors[0]), float(errors[1])),
        float(values[2]),
        float(errors[2]),
    )


def _errors(values: Callable[[Array], Array], at: Array, errors: Array) -> Array:
    """Standard errors of values of numbers with independent errors, to first order."""
    total, step = np.zeros(3), STEP * float(np.abs(at).max())
    for place in np.ndindex(at.shape):
        moved = [at.copy(), at.copy()]
        moved[0][place] += step
        moved[1][place] -= step
        slope = (values(moved[0]) - values(moved[1])) / (2.0 * step)
        total = total + (slope * errors[place]) ** 2
    return np.asarray(np.sqrt(total))
