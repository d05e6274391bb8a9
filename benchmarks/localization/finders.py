"""Ways of finding columns that `precision` compares, besides those of the evaluation."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit

import napari_atomseg as atomseg
from napari_atomseg import weights
from napari_atomseg._shared.geometry import nearest_distances
from napari_atomseg.evaluation import Case, Method, Outcome
from napari_atomseg.evaluation.baselines import Filter, OtsuCentroids
from napari_atomseg.evaluation.methods import Model
from napari_atomseg.localization.fit.independent import fit_gaussians
from napari_atomseg.networks.card import read_card
from napari_atomseg.networks.tasks import predictable

WINDOW = 0.45
"""Half width of the plain fit's window over the median distance of nearest columns."""
GAUSSIAN = "2-D Gaussian"


@dataclass(frozen=True)
class Renamed:
    """A method under another name."""

    name: str
    method: Method

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        return self.method(case)


@dataclass(frozen=True)
class PlainGaussians:
    """An elliptical Gaussian and a constant fitted to the raw pixels about each column, all of one
    weight: what a microscopist would do.

    Attributes
    ----------
    model : that finds the columns; with None, they are maxima of the filtered image.
    """

    model: str | None = None

    @property
    def name(self) -> str:
        """The fit, and where its columns are from."""
        if self.model is None:
            return f"maxima, {GAUSSIAN}"
        return f"{read_card(weights.resolve(self.model)).name}, {GAUSSIAN}"

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        detector = {"detector": "peaks"} if self.model is None else {"model": self.model}
        found = atomseg.localize(case.image, sampling=case.sampling, refine="none", **detector)
        points = found[["y", "x"]].to_numpy(float)
        if len(points) < 2:
            return Outcome(columns=found[["y", "x"]])
        half = max(2, round(WINDOW * float(np.median(nearest_distances(points)))))
        fitted = [plain_fit(case.image.astype(float), y, x, half) for y, x in points]
        return Outcome(columns=pd.DataFrame(fitted, columns=["y", "x"]))


def plain_fit(image: NDArray[np.float64], y: float, x: float, half: int) -> tuple[float, float]:
    """Centre of the Gaussian fitted to a square window; the start where the fit leaves it."""
    top, left = max(0, round(y) - half), max(0, round(x) - half)
    window = image[top : round(y) + half + 1, left : round(x) + half + 1]
    places = np.indices(window.shape).reshape(2, -1) + np.array([[top], [left]])
    low, high = float(window.min()), float(window.max())
    start = [high - low, y, x, half / 2, half / 2, low]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)
            found, _ = curve_fit(elliptical, places, window.ravel(), start, maxfev=400)
    except (RuntimeError, TypeError):
        return y, x
    inside = abs(found[1] - y) <= half and abs(found[2] - x) <= half
    return (float(found[1]), float(found[2])) if inside else (y, x)


def elliptical(places: NDArray[Any], *values: float) -> NDArray[np.float64]:
    """A Gaussian of height, y, x and two widths over a constant."""
    height, y, x, tall, wide, ground = values
    square = ((places[0] - y) / tall) ** 2 + ((places[1] - x) / wide) ** 2
    return height * np.exp(-0.5 * square) + ground


@dataclass(frozen=True)
class FitOnRestored:
    """The network's columns, measured on the image that it restored."""

    model: str

    @property
    def name(self) -> str:
        """Name of the model and of the way."""
        return f"{read_card(weights.resolve(self.model)).name}, our fit on restored"

    def __call__(self, case: Case) -> Outcome:
        """See `Method.__call__`."""
        chosen: dict[str, Any] = {"model": self.model, "sampling": case.sampling}
        found = atomseg.localize(case.image, refine="none", **chosen)
        restored = atomseg.restore(case.image, **chosen)
        if len(found) == 0:
            return Outcome(restored, found)
        there = torch.from_numpy(restored.astype(float))
        fits = fit_gaussians(there, found["y"].to_numpy(float), found["x"].to_numpy(float))
        return Outcome(restored, pd.DataFrame({"y": fits.y, "x": fits.x}))


def methods(models: Sequence[str]) -> list[Method]:
    """What is compared: the plain fit, our fit from the same maxima, and each model's ways."""
    chosen: list[Method] = [PlainGaussians(), Renamed("maxima, our fit", Filter("raw"))]
    for model in models:
        path = str(weights.resolve(model))
        name, tasks = read_card(path).name, predictable(read_card(path).tasks)
        if "column_map" not in tasks:
            chosen.append(Renamed(f"maxima, our fit on restored by {name}", Model(path)))
            continue
        chosen += [PlainGaussians(path), Renamed(f"{name}, our fit on raw", Model(path))]
        if "denoise" in tasks:
            chosen.append(FitOnRestored(path))
        chosen.append(OtsuCentroids(path))
    return chosen
