"""The lattice of columns, their sublattices and species."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import field_validator

from napari_atomseg.analysis import (
    Lattice,
    assign,
    find_lattice,
    find_zone_axis,
    name_by_elements,
    species,
    unit_cells,
)
from napari_atomseg.measurements.observation import SITE, Observation, lattice_record, named
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    BLUE,
    NO_SAMPLING,
    RED,
    PolygonMarks,
    Report,
    VectorMarks,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

MOST_CELLS = 4000
"""More polygons make napari slow."""
MOST_ALIKE = 4
"""More zone axes that fit equally well are not named."""
_FEATURES = (*SITE, "species", "intensity_z", "dy", "dx", "du", "dv", "dy_pm", "dx_pm")


class LatticeSettings(MeasurementSettings):
    """Settings of the lattice."""

    cell: Literal["conventional", "primitive"] = setting(
        "conventional",
        "Cell",
        "Conventional: rectangular where the lattice is centred. Primitive: the smallest.",
    )
    crystal: Annotated[str, Role.CRYSTAL] = setting(
        "",
        "Crystal",
        "Name of a crystal, or a structure file: its zone axis is found, and the species take the "
        "names of its elements.",
    )
    names: str = setting(
        "", "Species", "Names of the species, the brightest first, as Sr,Ti,O; empty: A,B,…."
    )
    intensity: Annotated[str | None, Role.FEATURE] = setting(
        None,
        "Intensity",
        "Feature that distinguishes the species. Automatic: volume, or else amplitude.",
        none="automatic",
        section="Advanced",
    )

    @field_validator("names", mode="before")
    @classmethod
    def _joined(cls, names: Any) -> Any:
        several = isinstance(names, Sequence) and not isinstance(names, str)
        return ",".join(map(str, names)) if several else names


@measurement("Lattice", order=10)
def lattice(
    observation: Observation,
    settings: LatticeSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Find the unit cell, and the site, sublattice and species of each column.

    With a crystal, its zone axis too. The result is the table of columns with their sites, which
    may be edited: later measurements take them as they stand.
    """
    columns = observation.columns.drop(columns=list(SITE), errors="ignore")
    report(progress, cancel, 0, 4, "Finding the unit cell")
    found = find_lattice(
        columns, observation.sampling, cell=settings.cell, intensity=settings.intensity
    )
    report(progress, cancel, 1, 4, "Following the columns")
    table = assign(columns, found)
    if settings.names or settings.intensity:
        names = settings.names.split(",") if settings.names else None
        table = species(table, found, names, intensity=settings.intensity)
    else:
        table = named(table, found)
    report(progress, cancel, 2, 4, "Comparing with the crystal")
    tables: dict[str, pd.DataFrame] = {}
    about: list[str] = []
    if settings.crystal:
        zones = find_zone_axis(found, settings.crystal, cancel=cancel)
        if zones["fits"].iloc[0]:
            table = name_by_elements(table, found, zones.iloc[0])
        tables["Zone axes"] = zones
        about = ["", *_zone_lines(zones, known=observation.sampling is not None)]
    report(progress, cancel, 3, 4, "Drawing the cells")
    cells = unit_cells(table, found)
    kinds = _sublattices(table, found)
    lines = [*_lattice_lines(found, table, observation), *about, ""]
    lines += [
        f"sublattice {row.sublattice}, {row.species}: {plural(row.columns, 'column')} at "
        f"({row.a:.3f}, {row.b:.3f}), intensity {number(row.intensity)}"
        for row in rows(kinds)
    ]
    marks: list[Any] = [
        VectorMarks(
            "a (red), b (blue)",
            np.tile(found.origin, (2, 1)),
            found.vectors,
            0.16 * observation.spacing,
            (RED, BLUE),
            table=pd.DataFrame({"vector": ["a", "b"]}),
        )
    ]
    caption: tuple[str, ...] = ()
    if len(cells) > MOST_CELLS:
        caption = (f"{len(cells)} unit cells are too many to draw.",)
    elif len(cells):
        outline = PolygonMarks(
            "unit cells", cells.corners, 0.06 * observation.spacing, table=cells.table
        )
        marks.insert(0, outline)
    return Report(
        tuple(lines),
        {"Cells": cells.table} | tables,
        tuple(marks),
        caption,
        table,
        tuple(name for name in _FEATURES if name in table),
        "species" if kinds["species"].nunique() > 1 else "sublattice",
        lattice=found,
        sublattices=kinds,
        record={"lattice": lattice_record(found)},
    )


def _lattice_lines(found: Lattice, table: pd.DataFrame, observation: Observation) -> list[str]:
    on = int((table["sublattice"] >= 0).sum())
    pixels = observation.sampling is None
    lines = [NO_SAMPLING] if pixels else []
    lengths = found.lengths if pixels else found.lengths_angstrom
    errors = found.lengths_err * lengths / found.lengths
    for name, length, error in zip("ab", lengths, errors, strict=True):
        lines.append(f"{name} = {number(length, error, observation.unit)}")
    lines.append(f"angle {found.angle_deg:.2f}°; a is {found.rotation_deg:.2f}° from x")
    lost = f"; {len(table) - on} on no site" if on < len(table) else ""
    lines.append(f"{plural(on, 'column')} on {plural(len(found), 'sublattice')}{lost}")
    rms = found.rms * float(np.sqrt(np.mean(observation.pixel**2)))
    deviation = f"{rms:.3g} px" if pixels else f"{100 * rms:.3g} pm"
    lines.append(f"rms deviation from the sites {deviation}")
    return lines


def _sublattices(table: pd.DataFrame, found: Lattice) -> pd.DataFrame:
    kind = table["sublattice"].to_numpy()
    names = [table.loc[kind == k, "species"] for k in range(len(found))]
    return pd.DataFrame(
        {
            "sublattice": np.arange(len(found)),
            "species": [str(each.iloc[0]) if len(each) else "" for each in names],
            "columns": [int((kind == k).sum()) for k in range(len(found))],
            "intensity": found.intensity,
            "a": found.motif[:, 0],
            "b": found.motif[:, 1],
        }
    )


def _zone_lines(zones: pd.DataFrame, *, known: bool) -> list[str]:
    best = zones.iloc[0]
    lines = [f"{best['crystal']} along {best['zone_axis']}"]
    if not best["fits"]:
        lines = [f"No zone axis of {best['crystal']} fits; the nearest is {best['zone_axis']}"]
    lines.append(f"a lies along {best['a_direction']}, b along {best['b_direction']}")
    length, angle = best["length_misfit_percent"], best["angle_misfit_deg"]
    lines.append(f"misfit: lengths {length:+.2f} %, angle {angle:+.2f}°")
    lines.append(f"rms deviation of columns in the cell {best['motif_rms_pm']:.3g} pm")
    if not known:
        lines.append(f"by the cell's shape alone; this gives {best['sampling']:.4g} Å/px")
    others = zones.loc[zones["rank"] == 1, "zone_axis"].iloc[1:]
    if len(others):
        more = ", …" if len(others) > MOST_ALIKE else ""
        lines.append(f"fits as well as {', '.join(others[:MOST_ALIKE])}{more}")
    return lines
