"""Unit cells one by one: their sides, ratio, angle and area as maps."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np

from napari_atomseg._shared.types import Array
from napari_atomseg.analysis import unit_cells
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    Plot,
    PolygonMarks,
    Report,
    Scale,
    concise,
    number,
    plural,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

MOST_CELLS = 4000
"""More polygons make napari slow."""
COLORMAP = "viridis"
"""Of the cells, from dark blue to yellow."""
ENDS = (2.0, 98.0)
"""Percentiles at which the colours end."""


class CellSettings(MeasurementSettings):
    """Settings of unit cells."""

    sublattice: Annotated[int | None, Role.SUBLATTICE] = setting(
        None,
        "Corners",
        "Number of the sublattice whose columns are the corners. Automatic: 0.",
        limits=(0, 1000),
        none="automatic",
    )
    c_axis: Literal["a", "b", "longer"] = setting(
        "b",
        "c axis",
        "Side that is c in the ratio c/a: a or b of the lattice everywhere, or the longer one of "
        "each cell.",
    )
    colour: Literal["ratio", "a", "b", "angle", "area"] = setting(
        "ratio", "Colour by", "Quantity that colours the cells."
    )


@measurement("Unit cells, c/a", order=35)
def cells(
    observation: Observation,
    settings: CellSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Measure sides, c/a, angle and area of every unit cell.

    Each cell is bounded by four columns of one sublattice. With the longer side as c, noise alone
    makes c/a larger than 1. The result is a table with a row a cell.
    """
    sited = observation.on_sites(progress, cancel)
    lattice = sited.known_lattice()
    report(progress, cancel, 1, 2, "Measuring the cells")
    found = unit_cells(sited.columns, lattice, settings.sublattice or 0)
    if not len(found):
        raise ValueError("no cell has columns at its four corners: choose another sublattice")
    pixels = observation.sampling is None
    end = "" if pixels else "_angstrom"
    table = found.table
    a, b = table[f"a{end}"].to_numpy(), table[f"b{end}"].to_numpy()
    ratio = {"a": a / b, "b": b / a, "longer": np.maximum(a, b) / np.minimum(a, b)}
    table = table.assign(ratio=ratio[settings.c_axis])
    lines = [NO_SAMPLING] if pixels else []
    lines.append(f"{plural(len(table), 'cell')} of sublattice {settings.sublattice or 0}")
    of_a, of_b = found.mean_errors()
    both = float(np.hypot(of_a, of_b))
    area = "area" if pixels else "area_angstrom2"
    names = {"ratio": "ratio", "a": f"a{end}", "b": f"b{end}", "angle": "angle_deg", "area": area}
    title = shown_unit = headline = basis = ""
    # Angles change by what is across the sides, over their lengths.
    for name, column, unit, part in (
        ("a", f"a{end}", observation.unit, of_a),
        ("b", f"b{end}", observation.unit, of_b),
        ("c/a", "ratio", "", both),
        ("angle", "angle_deg", "°", np.nan),
        ("area", area, f"{observation.unit}²", both),
    ):
        values = table[column].to_numpy()
        low, high = np.percentile(values, ENDS)
        middle = float(values.mean())
        error = np.degrees(both) if name == "angle" else part * middle
        lines.append(
            f"{name}: mean {number(middle, float(error), unit)}, deviation {values.std():.3g}, "
            f"from {low:.4g} to {high:.4g}"
        )
        if column == names[settings.colour]:
            longer = column == "ratio" and settings.c_axis == "longer"
            title, shown_unit = "longer side over shorter" if longer else name, unit
            headline = f"{title} = {concise(middle, float(error), unit)}"
            basis = (
                f"mean of {plural(len(table), 'cell')}, which spread by {values.std():.2g} "
                "(standard deviation)"
            )
    if settings.c_axis == "longer":
        lines.append("c is the longer side of each cell: noise alone makes c/a larger than 1.")
    values = table[names[settings.colour]].to_numpy()
    low, high = np.percentile(values, ENDS)
    marks: tuple[PolygonMarks, ...] = ()
    caption: tuple[str, ...] = (f"{len(table)} unit cells are too many to draw.",)
    if len(table) <= MOST_CELLS:
        marks = (
            PolygonMarks(
                f"cells by {settings.colour}",
                found.corners,
                0.03 * observation.spacing,
                faces=_colours(values, float(low), float(high)),
                table=table,
                scale=Scale(
                    names[settings.colour],
                    COLORMAP,
                    (float(low), float(high)),
                    title,
                    shown_unit,
                ),
            ),
        )
        caption = (f"Cells: blue is {low:.4g} or less, yellow {high:.4g} or more.",)
    return Report(
        tuple(lines),
        {"Cells": table},
        marks,
        caption,
        sited.columns,
        result="Cells",
        plot=Plot({settings.colour: values}, names[settings.colour].replace("_", " "), "cells"),
        lattice=lattice,
        headline=headline,
        basis=basis,
    )


def _colours(values: Array, low: float, high: float) -> tuple[str, ...]:
    """Colours from dark blue to yellow."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    span = high - low if high > low else 1.0
    return tuple(to_hex(colour) for colour in colormaps[COLORMAP]((values - low) / span))
