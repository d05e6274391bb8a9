"""Gaussian fits on raw and restored images, their errors, and Burgers circuits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.studies.images import SAMPLING, Array, Image, Sample, recorded
from napari_atomseg.localization import cramer_rao_bounds
from napari_atomseg.localization.detect import columns_from_peaks
from napari_atomseg.localization.fit.independent import Fits, fit_gaussians
from napari_atomseg.localization.fit.joint.solve import fit_jointly

Method = Callable[[Image], Image]

START = 0.05
"""Å, deviation of the fits' starts from the true columns, along y and along x."""
PICOMETRES = 100.0
"""In an Å."""


@dataclass(frozen=True)
class Errors:
    """What R fits of the same N columns have of errors; NaN where a fit failed.

    Attributes
    ----------
    place : (R, N, 2) displacement (y, x) from the true place in pm.
    volume : (R, N) cross-section over that of the image without noise.
    place_bound, volume_bound : (N,) the Cramér-Rao bounds of the raw image, of y and x together
        in pm, and of `volume`.
    """

    place: Array
    volume: Array
    place_bound: Array
    volume_bound: Array

    def select(self, keep: NDArray[np.bool_]) -> Errors:
        """The columns for which `keep` (N,) is true."""
        return Errors(
            self.place[:, keep],
            self.volume[:, keep],
            self.place_bound[keep],
            self.volume_bound[keep],
        )

    def steadied(self) -> Errors:
        """Without the mean displacement of each image, of which no image can tell."""
        return replace(self, place=self.place - np.nanmean(self.place, axis=1, keepdims=True))

    def summary(self) -> dict[str, float]:
        """Precision (deviation between noise realizations), bias and RMSE in pm and in %, over
        the bounds, too, and the share of the fits that did not fail.

        The bias of positions is the rms over columns of their mean error, less what the finite
        number of realizations makes of it. The precision of volumes is relative to their mean, and
        their bias is that of the mean.
        """
        shared, mean = pooled(self.place)
        precision = np.sqrt(shared.sum())
        rmse = np.sqrt(np.nanmean((self.place**2).sum(axis=2)))
        bias = np.sqrt(max(0.0, float((mean - shared * spent(self.volume)).sum())))
        bound = np.sqrt(np.mean(self.place_bound**2))
        # Of volumes that are too small on the whole, the deviation says little by itself.
        deviation = 100.0 * np.sqrt(pooled(self.volume)[0]) / np.nanmean(self.volume)
        volume_bound = 100.0 * np.sqrt(np.mean(self.volume_bound**2))
        values = {
            "fitted": 100.0 * np.isfinite(self.volume).mean(),
            "precision": precision,
            "bias": bias,
            "rmse": rmse,
            "bound": bound,
            "precision/bound": precision / bound,
            "rmse/bound": rmse / bound,
            "section precision": deviation,
            "section bias": 100.0 * np.nanmean(self.volume - 1.0),
            "section bound": volume_bound,
            "section precision/bound": deviation / volume_bound,
        }
        return {name: float(value) for name, value in values.items()}


def pooled(values: Array) -> tuple[Array, Array]:
    """Variance of values (R, N, ...) about the mean of each of N columns, and the mean square of
    these means, over all that are not NaN.
    """
    there = np.isfinite(values)
    times = there.sum(axis=0)
    mean = np.nansum(values, axis=0) / np.maximum(times, 1)
    squares = np.nansum((values - mean) ** 2, axis=(0, 1))
    freedom = np.maximum(times - 1, 0).sum(axis=0)
    return squares / freedom, (times * mean**2).sum(axis=0) / times.sum(axis=0)


def spent(values: Array) -> float:
    """Part of the variance of values (R, N) that the mean of a column has, too."""
    times = np.isfinite(values).sum(axis=0)
    return float((times > 0).sum() / times.sum())


def fitted(image: Array | Image, y: Array, x: Array) -> Fits:
    """`fit_jointly` of an image; places NaN, too, where a fit failed."""
    fits = fit_jointly(torch.from_numpy(image.astype(np.float64)), y, x)
    failed = np.isnan(fits.sigma)
    return replace(fits, y=np.where(failed, np.nan, fits.y), x=np.where(failed, np.nan, fits.x))


def volume(fits: Fits) -> Array:
    """(N,) integrated intensity in units of the image times px²."""
    return 2.0 * np.pi * fits.sigma**2 * fits.amplitude


def measured(
    sample: Sample,
    dose: float,
    methods: dict[str, Method],
    repeats: int,
    seed: tuple[int, ...],
    *,
    scanned: bool,
) -> tuple[dict[str, Errors], dict[str, list[Image]]]:
    """Errors of each method over noise realizations, and the images, the raw ones first.

    All methods see the same images and start from the same places.
    """
    clean = dose * SAMPLING**2 * sample.image
    ideal = fitted(clean, sample.y, sample.x)
    # Columns that the border cuts may have no fit, not even without noise.
    there = np.isfinite(ideal.amplitude)
    bound = cramer_rao_bounds(
        np.where(there, ideal.amplitude, 1.0),
        np.where(there, ideal.sigma, 1.0),
        np.where(there, np.maximum(ideal.background, 0.0), 0.0),
    )
    places: dict[str, list[Array]] = {name: [] for name in methods}
    volumes: dict[str, list[Array]] = {name: [] for name in methods}
    images: dict[str, list[Image]] = {name: [] for name in methods}
    for number in range(repeats):
        rng = np.random.default_rng((*seed, number))
        raw = recorded(sample, dose, rng, scanned=scanned)
        away = rng.normal(0.0, START / SAMPLING, (2, len(sample.y)))
        for name, method in methods.items():
            image = method(raw)
            fits = fitted(image, sample.y + away[0], sample.x + away[1])
            error = np.stack([fits.y - sample.y, fits.x - sample.x], axis=1)
            places[name].append(PICOMETRES * SAMPLING * error)
            volumes[name].append(volume(fits) / volume(ideal))
            images[name].append(image)
    place_bound = PICOMETRES * SAMPLING * np.hypot(bound.y, bound.x)
    place_bound[~there] = np.nan
    errors = {
        name: Errors(
            np.array(places[name]),
            np.array(volumes[name]),
            place_bound,
            bound.volume / volume(ideal),
        )
        for name in methods
    }
    return errors, images


def circuit(
    points: Array, core: Array, steps: tuple[Array, Array], reach: tuple[int, int], near: float
) -> Array | None:
    """The walk from column to column around a core whose steps would close in a perfect crystal.

    Each step goes to the column nearest to where a step of the lattice leads; the last point minus
    the first is the Burgers vector.

    Parameters
    ----------
    points : (M, 2) columns that were found, (y, x) in Å.
    core : (y, x) in Å, inside the circuit.
    steps : of the lattice, (y, x) in Å.
    reach : steps from the core to the circuit's sides, along each.
    near : Å within which the next column must be.

    Returns
    -------
    (K, 2) columns visited, or None where there is no next column.
    """
    sides = ((0, 1), (1, 1), (0, -1), (1, -1))
    moves = [sign * steps[axis] for axis, sign in sides for _ in range(2 * reach[axis])]
    if len(points) == 0:
        return None
    corner = core - reach[0] * steps[0] - reach[1] * steps[1]
    path = [points[np.hypot(*(points - corner).T).argmin()]]
    for move in moves:
        distance = np.hypot(*(points - path[-1] - move).T)
        if distance.min() > near:
            return None
        path.append(points[distance.argmin()])
    return np.array(path)


def found_columns(image: Image, spacing: float) -> Array:
    """(M, 2) columns (y, x) in Å that stand out of an image by themselves, then fitted.

    Parameters
    ----------
    spacing : Å between columns, about.
    """
    found = columns_from_peaks(image, spacing / SAMPLING)
    if len(found) == 0:
        return np.zeros((0, 2))
    fits = fit_gaussians(torch.from_numpy(image.astype(np.float64)), found.y, found.x)
    return SAMPLING * np.stack([fits.y, fits.x], axis=1)
