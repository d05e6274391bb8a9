"""Quantities of columns layer by layer, against the distance from an interface."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import pandas as pd

from napari_atomseg.analysis import binned_profile, layer_profile
from napari_atomseg.analysis.lattice.sites import intensity_of
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    Plot,
    Report,
    concise,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

LISTED = 40
"""Layers in the summary."""


class ProfileSettings(MeasurementSettings):
    """Settings of profiles."""

    feature: Annotated[str | None, Role.FEATURE] = setting(
        None,
        "Quantity",
        "Feature of the columns that is averaged, such as shift_y_pm. Automatic: intensity.",
        none="automatic",
    )
    along: Literal["a", "b", "angle"] = setting(
        "b",
        "Along",
        "Direction of the profile: layers of the lattice that follow each other along a or b, or "
        "strips across an angle.",
    )
    sublattice: Annotated[int | None, Role.SUBLATTICE] = setting(
        None,
        "Sublattice",
        "Number of the sublattice whose columns are averaged. Automatic: each on its own.",
        limits=(0, 1000),
        none="each",
    )
    interface: Literal["first", "intensity", "layer"] = setting(
        "first",
        "Distance 0",
        "Where distances start: the first layer; the largest step of intensity; or a layer.",
    )
    layer: int = setting(
        0, "Layer", "Cell index of the layer at distance 0.", limits=(-100000, 100000)
    )
    angle: float = setting(
        0.0,
        "Angle",
        "Direction of the profile, counter-clockwise from x, for strips.",
        unit="°",
        limits=(-180.0, 180.0),
    )
    width: float = setting(
        4.0,
        "Strip width",
        "Width of the strips in which columns are averaged; in px without a sampling.",
        unit="Å",
        limits=(0.01, 1e5),
    )

    def without_effect(self) -> tuple[str, ...]:
        """Return the names of settings that make no difference beside the others."""
        if self.along == "angle":
            return ("interface", "layer")
        return ("angle", "width", *(() if self.interface == "layer" else ("layer",)))


@measurement("Layer profile", order=45)
def profile(
    observation: Observation,
    settings: ProfileSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Average a quantity layer by layer, against the distance from an interface.

    Layers are rows of the lattice and are followed where they are bent. Errors are those of the
    mean, by the scatter within a layer. The result is a table with a row a layer.
    """
    table, lattice = observation.columns, observation.lattice
    known = lattice is not None and {"i", "j"} <= set(table)
    if settings.along != "angle" and not (known and "sublattice" not in table):
        sited = observation.on_sites(progress, cancel)
        table, lattice = sited.columns, sited.known_lattice()
    name, table = _quantity(table, settings.feature)
    if settings.sublattice is not None:
        if "sublattice" not in table:
            raise ValueError("the columns have no sublattices: measure the lattice first")
        table = table[table["sublattice"] == settings.sublattice].reset_index(drop=True)
    report(progress, cancel, 1, 2, "Averaging")
    if settings.along == "angle" or lattice is None:
        found = binned_profile(
            table, name, observation.sampling, angle_deg=settings.angle, width=settings.width
        )
    else:
        start = {"first": None, "intensity": "intensity", "layer": settings.layer}
        found = layer_profile(
            table, name, lattice, along=settings.along, interface=start[settings.interface]
        )
    found = found[np.isfinite(found[name])].reset_index(drop=True)
    if found.empty:
        raise ValueError(f"no column that is used has a {name!r}")
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lines.append(f"{name} in {plural(len(found), 'layer')}, distance in {observation.unit}")
    for row in rows(found.head(LISTED)):
        kind = f", sublattice {row.sublattice}" if "sublattice" in found else ""
        value = number(getattr(row, name), getattr(row, f"{name}_err"))
        lines.append(f"{row.distance:8.2f}: {value} ({plural(row.count, 'column')}{kind})")
    if len(found) > LISTED:
        lines.append(f"and {len(found) - LISTED} more in the table")
    kinds = found.groupby("sublattice") if "sublattice" in found else [(0, found)]
    curves = {
        f"sublattice {k}" if "sublattice" in found else name: (
            part["distance"].to_numpy(),
            part[name].to_numpy(),
        )
        for k, part in kinds
    }
    return Report(
        tuple(lines),
        {"Profile": found},
        result="Profile",
        plot=Plot(curves, f"distance ({observation.unit})", name.replace("_", " ")),
        lattice=lattice,
        headline=_headline(found, name),
    )


def _headline(found: pd.DataFrame, name: str) -> str:
    """The lowest and the highest layer."""
    values, errors = found[name].to_numpy(dtype=float), found[f"{name}_err"].to_numpy(dtype=float)
    low, high = (concise(values[row], errors[row]) for row in (values.argmin(), values.argmax()))
    return f"{name.replace('_', ' ')} from {low} to {high} in {plural(len(found), 'layer')}"


def _quantity(table: pd.DataFrame, feature: str | None) -> tuple[str, pd.DataFrame]:
    if feature is not None:
        return feature, table
    values = intensity_of(table, None)
    if values is None:
        raise ValueError("choose a quantity: the columns have no intensity")
    return "intensity", table.assign(intensity=values)
