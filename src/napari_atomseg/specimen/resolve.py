"""Which columns can be told apart at a given resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from napari_atomseg.specimen.columns import Columns

SPARROW = 1.7
"""Two equal Gaussian spots show a dip between them from 2 sigma (Sparrow); a network that knows the
spot's shape separates them a little earlier."""


def resolve_columns(
    columns: Columns, sigma: float, faintest: float = 0.04, limit: float = SPARROW
) -> Columns:
    """The columns an ideal observer at this resolution would mark.

    Columns closer than the resolution limit are one column at their common centre; a weak column
    must stand further from a strong one, by the logarithm of their ratio. Columns fainter than
    `faintest` times the brightest are left out.

    Parameters
    ----------
    columns : columns with positions in Å.
    sigma : width of the probe's central peak, in Å.
    faintest : smallest visible weight relative to the largest.
    limit : least distance of two equal columns in `sigma`; with 0, none are joined.
    """
    if len(columns) == 0:
        return columns
    columns = columns.select(columns.weight >= faintest * columns.weight.max())
    order = np.argsort(-columns.weight, kind="stable")
    points = np.stack([columns.y, columns.x], axis=1)[order]
    weight = columns.weight[order]
    moment = points * weight[:, None]
    total = weight.copy()
    counts = columns.counts[order]
    alive = np.ones(len(points), dtype=bool)
    reach = limit * sigma * (1.0 + 0.35 * np.log(1.0 / faintest))
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    i, j = pairs.T
    distance = np.linalg.norm(points[i] - points[j], axis=1)
    merged = pairs[distance < limit * sigma * (1.0 + 0.35 * np.log(weight[i] / weight[j]))]
    # Strongest first, so that each weak column joins the strongest it cannot be told from.
    for i, j in merged[np.lexsort(merged.T[::-1])].tolist():
        if alive[i] and alive[j]:
            alive[j] = False
            moment[i] += moment[j]
            total[i] += total[j]
            counts[i] += counts[j]
    centre = moment[alive] / total[alive, None]
    return replace(
        columns.select(order[alive]),
        y=centre[:, 0],
        x=centre[:, 1],
        weight=total[alive],
        counts=counts[alive],
    )
