"""Measure columns whose places are known, by one of the refinements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from napari_atomseg._shared.device import choose_device
from napari_atomseg._shared.types import Array
from napari_atomseg.localization.fit.independent import SHAPES, Fits, fit_gaussians
from napari_atomseg.localization.fit.joint.solve import fit_jointly
from napari_atomseg.localization.fit.joint.system import BACKGROUNDS, WIDTHS
from napari_atomseg.localization.fit.neighbourhood import CELL, on, shares, survey, windows_of
from napari_atomseg.localization.fit.noise import LIKELIHOODS
from napari_atomseg.localization.fit.windows import Windows, cut_windows, nearest_neighbours
from napari_atomseg.progress import CancelToken

SMALLEST = 9
"""Pixels at the top value, at least; fewer are the brightest of the noise."""
LARGEST = 0.05
"""Part of the image, at most; more is a drawing in a few grey values, not a detector's limit."""
TOGETHER = 1.5
"""How many of the four neighbours of such a pixel are at the top, too, in the mean at least."""


def saturated(image: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(H, W) pixels of plateaus at the highest value of an image, none where it has no plateaus.

    A maximum of noise is reached in single pixels. Where many pixels have exactly the highest
    value, and lie together, it is that of the detector or of the file.
    """
    finite = np.isfinite(image)
    if not finite.any():
        return np.zeros(image.shape, dtype=bool)
    top: NDArray[np.bool_] = image == image[finite].max()
    count = int(top.sum())
    if not SMALLEST <= count <= LARGEST * image.size:
        return np.zeros_like(top)
    cross = ndimage.generate_binary_structure(2, 1)
    beside = ndimage.convolve(top.astype(np.int8), cross.astype(np.int8), mode="nearest") - 1
    return top if beside[top].mean() >= TOGETHER else np.zeros_like(top)


DARKEST = 0.25
"""The part of a window's pixels that are taken for background; their mean is subtracted."""
WINDOW = 0.4
"""Radius of the window of a centre of mass over the distance to the nearest column."""
ROUNDS = 10
"""A window that is put about its centre of mass again moves hardly at all after so many times."""


def centroids(image: Tensor, y: Array, x: Array) -> Fits:
    """Centre of intensity of each column in the pixels nearer to it than to any other.

    Windows are those of `fit_gaussians`; the mean of the darkest quarter of the pixels is the
    background. Sigma is the root of half the second moment and amplitude that of the Gaussian of
    the same volume; errors are not estimated.

    Parameters
    ----------
    image : (H, W) float64 of bright columns; NaN pixels do not count.
    y, x : (N,) float64 starting positions, pixels.
    """
    table = np.full((7, len(y)), np.nan)
    for share, windows in windows_of(image, survey(image, y, x)):
        table[:, share] = _measured(windows, image)
    return Fits.of(table, y, x)


def centres_of_mass(image: Tensor, y: Array, x: Array) -> Fits:
    """Centre of intensity of each column in a disc about itself, as Atomap finds it.

    The disc has 0.4 times the radius of the way to the nearest column and is put about its centre
    again and again (Nord et al., Adv. Struct. Chem. Imaging 3, 9 (2017)). Neighbours' light hardly
    reaches it; the column's own is cut, so that sigma, amplitude and volume are those of the disc.

    Parameters
    ----------
    image, y, x : as in `centroids`.
    """
    known = survey(image, y, x)
    radius = np.maximum(WINDOW / CELL * known.radius, 1.5)
    table = np.full((7, len(y)), np.nan)
    at = np.stack([y, x])
    for _ in range(ROUNDS):
        for share in shares(np.arange(len(y)), radius):
            there = [on(image, v[share]) for v in (*at, radius)]
            windows = cut_windows(image, there[0], there[1], there[2])
            table[:, share] = _measured(windows, image)
        far = np.hypot(*(table[:2] - np.stack([y, x]))) > known.step
        table[:, far] = np.nan
        at = np.where(np.isnan(table[:2]), at, table[:2])
    return Fits.of(table, y, x)


def _measured(windows: Windows, image: Tensor) -> Array:
    """Rows of `Fits` (7, n) from the moments of the light above the background; NaN for none."""
    inside = windows.inside.flatten(1)
    values = windows.sample(image).flatten(1)
    ranked = values.masked_fill(~inside, torch.inf).sort(dim=1).values
    pixels = inside.sum(1)
    dark = (DARKEST * pixels).ceil().long().clamp_min(1)
    lowest = torch.arange(values.shape[1], device=values.device) < dark[:, None]
    ground = ranked.masked_fill(~lowest, 0.0).sum(1) / dark
    light = (values - ground[:, None]).clamp_min(0.0).masked_fill(~inside, 0.0)
    volume = light.sum(1)
    light = light.view_as(windows.inside) / volume[:, None, None]
    rows, cols = light.sum(2), light.sum(1)
    off_y, off_x = rows @ windows.step, cols @ windows.step
    second = (rows + cols) @ windows.step**2 - off_y**2 - off_x**2
    sigma = (0.5 * second).sqrt()
    missing = torch.full_like(off_y, torch.nan)
    y, x = windows.row[:, 0] + off_y, windows.col[:, 0] + off_x
    amplitude = volume / (2 * torch.pi * sigma**2)
    found = torch.stack([y, x, missing, missing, sigma, amplitude, ground])
    good = (pixels > 2) & (volume > 0) & (second > 0)
    measured: Array = torch.where(good, found, torch.nan).cpu().numpy()
    return measured


REFINEMENTS = ("none", "centroid", "centre_of_mass", *SHAPES, "joint")
SHELLS = 2
"""Neighbours, and neighbours' neighbours, that are measured with a column that is measured anew."""
ONE_PLACE = 1.0
"""Pixels; columns nearer than this cannot be told apart."""
MARGIN = 1.5
"""Of the part of an image cut out about columns, over their largest distance to a neighbour."""


def check_choices(**arguments: tuple[str, tuple[str, ...]]) -> None:
    """Raise ValueError for the first value that is not among what is accepted, its pair."""
    for name, (value, accepted) in arguments.items():
        if value not in accepted:
            raise ValueError(f"{name}={value!r}; choose one of {', '.join(accepted)}")


@dataclass(frozen=True)
class Refinement:
    """How columns are measured.

    Attributes
    ----------
    refine : one of `REFINEMENTS`.
    widths, backgrounds : of a joint fit, one of `joint_system.WIDTHS` and of `BACKGROUNDS`.
    likelihood : of fits, one of `noise.LIKELIHOODS`.
    common : of a joint fit, the `sigma` and `background` of all columns that are known already.
    device : where fits run.

    Raises
    ------
    ValueError
        A choice is none of these.
    """

    refine: str = "gaussian"
    widths: str = "shared"
    backgrounds: str = "local"
    likelihood: str = "auto"
    device: str = "auto"
    common: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_choices(
            refine=(self.refine, REFINEMENTS),
            widths=(self.widths, WIDTHS),
            backgrounds=(self.backgrounds, BACKGROUNDS),
            likelihood=(self.likelihood, LIKELIHOODS),
        )

    def __call__(
        self, image: NDArray[np.float64], y: Array, x: Array, cancel: CancelToken | None = None
    ) -> Fits:
        """Measure columns at y and x (N,), pixels, of an (H, W) image of bright columns.

        Pixels that are not finite, or saturated, do not count. Columns beyond the border of the
        image, and all but the first at one place, come back at their start, without errors.
        """
        sound = _sound(image.shape, y, x)
        if self.refine == "none" or not sound.any():
            return Fits.of(np.full((10, len(y)), np.nan), y, x)
        if not sound.all():
            fits = self(image, y[sound], x[sound], cancel)
            return fits.among(sound, y, x)
        finite = np.where(np.isfinite(image) & ~saturated(image), image, np.nan)
        there = torch.from_numpy(np.ascontiguousarray(finite)).to(self._where())
        if self.refine == "centroid":
            return centroids(there, y, x)
        if self.refine == "centre_of_mass":
            return centres_of_mass(there, y, x)
        if self.refine == "joint":
            fit = partial(
                fit_jointly,
                widths=self.widths,
                backgrounds=self.backgrounds,
                common=self.common,
            )
        else:
            fit = partial(fit_gaussians, shape=self.refine)
        return fit(there, y, x, cancel, likelihood=self.likelihood)

    def some(
        self,
        image: NDArray[np.float64],
        y: Array,
        x: Array,
        only: NDArray[np.bool_],
        cancel: CancelToken | None = None,
    ) -> Fits:
        """Measure some columns of all at y and x (N,): those for which `only` (N,) is true.

        Their neighbours are measured with them, on the pixels nearer to one of these than to any
        other column. Columns that were not asked for come back at their start, without errors.
        """
        sound = _sound(image.shape, y, x)
        if not sound.all():
            fits = self.some(image, y[sound], x[sound], only[sound], cancel)
            return fits.among(sound, y, x)
        if not only.any():
            return Fits.of(np.full((10, len(y)), np.nan), y, x)
        spacing, neighbours = nearest_neighbours(y, x)
        share = only.copy()
        for _ in range(SHELLS):
            near = neighbours[share]
            share[near[near >= 0]] = True
        index = np.flatnonzero(share)
        finite = spacing[index][np.isfinite(spacing[index])]
        box = _box(image.shape, y[index], x[index], float(finite.max(initial=0.0)))
        top, left = box[0].start, box[1].start
        part = image[box].copy()
        part[~_nearest(image.shape, y, x, share)[box]] = np.nan
        fits = self(part, y[index] - top, x[index] - left, cancel)
        fits = replace(fits, y=fits.y + top, x=fits.x + left).among(share, y, x)
        return fits.only(only).among(only, y, x)

    def _where(self) -> torch.device:
        """Fits need double precision, which mps does not have."""
        device = choose_device(self.device)
        return torch.device("cpu") if device.type == "mps" else device


def _sound(shape: tuple[int, ...], y: Array, x: Array) -> NDArray[np.bool_]:
    """(N,) columns that are in the image, and the first of those at one place."""
    first = np.ones(len(y), dtype=bool)
    if len(y) > 1:
        close = cKDTree(np.stack([y, x], axis=1)).query_pairs(ONE_PLACE, output_type="ndarray")
        first[close.max(axis=1)] = False
    sound: NDArray[np.bool_] = first & within_image(shape, y, x)
    return sound


def within_image(shape: tuple[int, ...], y: Array, x: Array) -> NDArray[np.bool_]:
    """(N,) positions that lie on a pixel of the image."""
    inside: NDArray[np.bool_] = (np.abs(y - (shape[0] - 1) / 2) <= shape[0] / 2) & (
        np.abs(x - (shape[1] - 1) / 2) <= shape[1] / 2
    )
    return inside


def _nearest(
    shape: tuple[int, ...], y: Array, x: Array, some: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """(H, W) pixels whose nearest column, to the pixel, is one of some."""
    if some.all():
        return np.ones(shape, dtype=bool)
    row = np.clip(np.rint(y), 0, shape[0] - 1).astype(int)
    col = np.clip(np.rint(x), 0, shape[1] - 1).astype(int)
    owner = np.full(shape, -1)
    owner[row, col] = np.arange(len(y))
    place = ndimage.distance_transform_edt(owner < 0, return_distances=False, return_indices=True)
    nearest: NDArray[np.bool_] = some[owner[tuple(place)]]
    return nearest


def _box(shape: tuple[int, ...], y: Array, x: Array, spacing: float) -> tuple[slice, slice]:
    """The part of an image about columns; all of it where their distances are not known."""
    margin = MARGIN * spacing if spacing > 0 else max(shape)
    rows = slice(max(0, int(y.min() - margin)), min(shape[0], int(y.max() + margin) + 2))
    cols = slice(max(0, int(x.min() - margin)), min(shape[1], int(x.max() + margin) + 2))
    return rows, cols
