"""Scores of the tasks besides denoising and finding columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_atomseg._shared.types import Image
from napari_atomseg.analysis import match, psnr
from napari_atomseg.evaluation.case import Case, Outcome
from napari_atomseg.networks.tasks import ELEMENTS, INTENSITIES, TARGETS, UPINTERPOLATION

VISIBLE = 4.0
"""Signal to noise ratio below which columns count neither as missed nor as false."""


@dataclass(frozen=True)
class ColumnPairs:
    """Columns found, paired with true ones.

    Attributes
    ----------
    found, known : the N columns found and the M true ones, numbered from 0.
    i, j : rows of `found` and `known` that are the same visible column.
    uncounted : (N,) detections that are neither right nor wrong: true columns too faint to count,
        or so near to the border that the centre may lie beyond it.
    visible : (M,) true columns that are not too faint.
    """

    found: pd.DataFrame
    known: pd.DataFrame
    i: NDArray[np.intp]
    j: NDArray[np.intp]
    uncounted: NDArray[np.bool_]
    visible: NDArray[np.bool_]


def pair(case: Case, columns: pd.DataFrame) -> ColumnPairs:
    """Pair columns found with the true ones of a case.

    Raises
    ------
    ValueError
        The columns of the case are unknown.
    """
    if case.columns is None:
        raise ValueError(f"the columns of case {case.name} are unknown")
    found, known = columns.reset_index(drop=True), case.columns.reset_index(drop=True)
    i, j = match(found, known, case.radius)
    visible = ~(known["snr"] < VISIBLE).to_numpy() if "snr" in known else np.ones(len(known), bool)
    uncounted = np.zeros(len(found), bool)
    if len(known):
        place = found[["y", "x"]].to_numpy(float)
        far = np.array(case.image.shape) - 1 - place
        uncounted |= np.minimum(place, far).min(axis=1) < case.radius
        uncounted[i] = ~visible[j]
    return ColumnPairs(found, known, i[visible[j]], j[visible[j]], uncounted, visible)


MASK = "column_mask"
SCORED = ("denoise_background", "superresolution", UPINTERPOLATION, MASK)
TRUTH = {**TARGETS, UPINTERPOLATION: "no_noise_upinterpolation_2x"}
"""Target of the simulation that is the truth of a task."""
HALF = 0.5
"""Probability above which pixels belong to a mask."""


def known_targets(targets: Mapping[str, Any]) -> dict[str, Image]:
    """What a simulation knows of the tasks that are scored here, by the name of the target."""
    return {name: targets[name] for task in SCORED if (name := TRUTH[task]) in targets}


def scorable(case: Case, tasks: tuple[str, ...]) -> tuple[str, ...]:
    """Tasks of a model that are scored here, and whose truth is in the case."""
    return tuple(task for task in SCORED if task in tasks and TRUTH[task] in case.targets)


def task_scores(case: Case, maps: Mapping[str, Image]) -> list[dict[str, Any]]:
    """A row each task: ``psnr`` and ``psnr_affine`` (dB) of intensities, ``dice`` of masks.

    A constant truth has no scale to measure an error against; its scores are NaN.
    """
    rows: list[dict[str, Any]] = []
    for task in scorable(case, tuple(maps)):
        made, truth = maps[task], case.targets[TRUTH[task]]
        if task not in INTENSITIES:
            rows.append({"task": task, "dice": dice(made > HALF, truth > HALF)})
        elif np.ptp(truth) > 0:
            affine = psnr(made, truth, affine=True)
            rows.append({"task": task, "psnr": psnr(made, truth), "psnr_affine": affine})
    return rows


def dice(made: ArrayLike, truth: ArrayLike) -> float:
    """Twice the overlap of two masks over the sum of their areas (Dice 1945); NaN of two empty
    ones.
    """
    one, other = np.asarray(made, bool), np.asarray(truth, bool)
    both = int(one.sum()) + int(other.sum())
    return 2.0 * int((one & other).sum()) / both if both else float("nan")


def species_counts(case: Case, outcome: Outcome) -> list[dict[str, Any]]:
    """A row each species, by its truth or by the method: counts of columns.

    Returns
    -------
    Rows with the ``task`` "elements: NAME" and ``true``, visible columns of the species; ``named``,
    columns found that are said to be of it; and ``right``, those that are. First comes the row of
    "elements" with ``paired``, all visible columns that were found, and ``right``. Nothing where
    either side tells no species.
    """
    if outcome.columns is None or case.columns is None:
        return []
    if "species" not in outcome.columns or "elements" not in case.columns:
        return []
    pairs = pair(case, outcome.columns)
    said = pairs.found["species"].to_numpy(str)
    true = pairs.known["elements"].to_numpy(str)
    agree = said[pairs.i][said[pairs.i] == true[pairs.j]]
    counted, visible = said[~pairs.uncounted], true[pairs.visible]
    rows = [
        {
            "task": f"{ELEMENTS}: {name}",
            "true": int((visible == name).sum()),
            "named": int((counted == name).sum()),
            "right": int((agree == name).sum()),
        }
        for name in dict.fromkeys((*np.unique(visible), *np.unique(counted)))
    ]
    return [{"task": ELEMENTS, "paired": len(pairs.i), "right": len(agree)}, *rows]
