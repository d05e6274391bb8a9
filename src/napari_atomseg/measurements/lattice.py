"""The lattice of columns, their sublattices and species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import field_validator

from napari_atomseg.analysis import (
    Lattice,
    Registration,
    assign,
    find_lattice,
    register_crystal,
    register_layers,
    species,
    unit_cells,
)
from napari_atomseg.measurements.observation import SITE, Observation, lattice_record, named
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    BLUE,
    NO_SAMPLING,
    RED,
    PointMarks,
    PolygonMarks,
    Report,
    VectorMarks,
    concise,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting
from napari_atomseg.specimen.crystals.axis import read_axis

MOST_CELLS = 4000
"""More polygons make napari slow."""
MOST_ALIKE = 4
"""More zone axes that fit equally well are not named."""
SCALE_ERROR = 0.03
"""Lengths that differ from the crystal's by a larger part are remarked on."""
_FEATURES = (*SITE, "species", "crystal", "intensity_z", "dy", "dx", "du", "dv", "dy_pm", "dx_pm")


class LatticeSettings(MeasurementSettings):
    """Settings of the lattice."""

    cell: Literal["conventional", "primitive"] = setting(
        "conventional",
        "Cell",
        "Conventional: rectangular where the lattice is centred. Primitive: the smallest.",
    )
    sublattices: int | None = setting(
        None,
        "Columns per cell",
        "Number of columns in a cell, where it is known. Automatic: by places and intensities.",
        limits=(1, 1000),
        none="automatic",
    )
    crystal: Annotated[tuple[str, ...], Role.CRYSTAL] = setting(
        (),
        "Crystal",
        "Name of a crystal, or a structure file: it is laid on the columns, which take the names "
        "of its elements, and missing columns are listed. Several are layers on one lattice.",
    )
    zone_axis: tuple[int, ...] | None = setting(
        None,
        "Zone axis",
        "Indices u v w of the direction along the beam, or u v t w of a hexagonal crystal.",
        limits=(-99, 99),
        none="found",
        read=read_axis,
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

    @field_validator("crystal", mode="before")
    @classmethod
    def _several(cls, crystal: Any) -> Any:
        return (crystal,) * bool(crystal) if isinstance(crystal, str) else crystal

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

    With a crystal, its zone axis too, and the columns that are missing. The summary has a caution
    where the cell does not explain the columns. The result is the table of columns with their
    sites, which may be edited: later measurements take them as they stand.
    """
    columns = observation.columns.drop(columns=list(SITE), errors="ignore")
    report(progress, cancel, 0, 4, "Finding the unit cell")
    found = find_lattice(
        columns,
        observation.sampling,
        cell=settings.cell,
        intensity=settings.intensity,
        sublattices=settings.sublattices,
    )
    report(progress, cancel, 1, 4, "Following the columns")
    tables: dict[str, pd.DataFrame] = {}
    about: list[str] = []
    marks: list[Any] = []
    if settings.crystal:
        report(progress, cancel, 2, 4, "Laying the crystal on the columns")
        laid = _laid(columns, found, observation, settings, cancel)
        about = ["", *_crystal_lines(laid, known=observation.sampling is not None)]
        tables["Zone axis"] = laid.zone.drop("cost").to_frame().T
    if settings.crystal and (laid.fits or settings.zone_axis):
        table, found = laid.columns, laid.lattice
        tables["Missing"] = laid.missing
        if len(laid.missing):
            places = laid.missing[["y", "x"]].to_numpy()
            marks.append(
                PointMarks("missing", places, 0.9 * observation.spacing, table=laid.missing)
            )
    else:
        table = _named(assign(columns, found), found, settings)
    report(progress, cancel, 3, 4, "Drawing the cells")
    cells = unit_cells(table, found)
    kinds = _sublattices(table, found)
    lines = [*_lattice_lines(found, table, observation), *about, ""]
    lines += [
        f"sublattice {row.sublattice}, {row.species}: {plural(row.columns, 'column')} at "
        f"({row.a:.3f}, {row.b:.3f}), intensity {number(row.intensity)}"
        if row.columns
        else f"sublattice {row.sublattice}: no column at ({row.a:.3f}, {row.b:.3f})"
        for row in rows(kinds)
    ]
    marks.append(
        VectorMarks(
            "a (red), b (blue)",
            np.tile(found.origin, (2, 1)),
            found.vectors,
            0.16 * observation.spacing,
            (RED, BLUE),
            table=pd.DataFrame({"vector": ["a", "b"]}),
        )
    )
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
        headline=_headline(found, observation),
        basis=f"{plural(_on_sites(table), 'column')} on {plural(len(found), 'sublattice')}",
    )


def lengths_of(found: Lattice, observation: Observation) -> tuple[Any, Any]:
    """Lengths of a and b and their standard errors, in the unit of the observation."""
    lengths = found.lengths if observation.sampling is None else found.lengths_angstrom
    return lengths, found.lengths_err * lengths / found.lengths


def _headline(found: Lattice, observation: Observation) -> str:
    both = ", ".join(
        f"{name} = {concise(length, error, observation.unit)}"
        for name, length, error in zip("ab", *lengths_of(found, observation), strict=True)
    )
    return f"{both}, {found.angle_deg:.2f}°"


def _on_sites(table: pd.DataFrame) -> int:
    """Number of columns on a site of the lattice."""
    return int((table["sublattice"] >= 0).sum())


def _lattice_lines(found: Lattice, table: pd.DataFrame, observation: Observation) -> list[str]:
    on = _on_sites(table)
    pixels = observation.sampling is None
    lines = [NO_SAMPLING] if pixels else []
    for name, length, error in zip("ab", *lengths_of(found, observation), strict=True):
        lines.append(f"{name} = {number(length, error, observation.unit)}")
    lines.append(f"angle {found.angle_deg:.2f}°; a is {found.rotation_deg:.2f}° from x")
    lost = f"; {len(table) - on} on no site" if on < len(table) else ""
    lines.append(f"{plural(on, 'column')} on {plural(len(found), 'sublattice')}{lost}")
    quality = observation.rely_on(table, found)
    factor, unit = (1.0, "px") if pixels else (100.0, "pm")
    lines.append(
        f"rms deviation from the sites {factor * quality.rms:.3g} {unit}, from where the "
        f"neighbours foretell {factor * quality.local_rms:.3g} {unit}"
    )
    return lines


def _laid(
    columns: pd.DataFrame,
    found: Lattice,
    observation: Observation,
    settings: LatticeSettings,
    cancel: CancelToken | None,
) -> Registration:
    """The crystal on the columns; of several, the first, with columns named by all of them."""
    options: dict[str, Any] = {
        "zone_axis": settings.zone_axis,
        "intensity": settings.intensity,
        "lattice": found,
        "cancel": cancel,
    }
    if len(settings.crystal) == 1:
        return register_crystal(columns, settings.crystal[0], observation.sampling, **options)
    layers = register_layers(columns, settings.crystal, observation.sampling, **options)
    return replace(layers.first, columns=layers.columns, missing=layers.missing)


def _named(table: pd.DataFrame, found: Lattice, settings: LatticeSettings) -> pd.DataFrame:
    """Columns on sites, named by their intensities."""
    if settings.names or settings.intensity:
        names = settings.names.split(",") if settings.names else None
        return species(table, found, names, intensity=settings.intensity)
    return named(table, found)


def _sublattices(table: pd.DataFrame, found: Lattice) -> pd.DataFrame:
    kind = table["sublattice"].to_numpy()
    names = [table.loc[kind == k, "species"] for k in range(len(found))]
    return pd.DataFrame(
        {
            "sublattice": np.arange(len(found)),
            # More than one where layers of several crystals share a sublattice.
            "species": [", ".join(map(str, each.value_counts().index)) for each in names],
            "columns": [int((kind == k).sum()) for k in range(len(found))],
            "intensity": found.intensity,
            "a": found.motif[:, 0],
            "b": found.motif[:, 1],
        }
    )


def _crystal_lines(laid: Registration, *, known: bool) -> list[str]:
    zone = laid.zone
    lines = [f"{zone['crystal']} along {zone['zone_axis']}"]
    if not laid.fits:
        lines = [f"No zone axis of {zone['crystal']} fits; the nearest is {zone['zone_axis']}"]
    lines.append(f"a lies along {laid.directions[0]}, b along {laid.directions[1]}")
    length, angle = zone["length_misfit_percent"], zone["angle_misfit_deg"]
    lines.append(f"misfit: lengths {length:+.2f} %, angle {angle:+.2f}°")
    lines.append(f"rms deviation of columns in the cell {zone['motif_rms_pm']:.3g} pm")
    if not known:
        lines.append(f"by the cell's shape alone; this gives {laid.sampling:.4g} Å/px")
    elif abs(laid.scale_error) > SCALE_ERROR:
        more = "longer" if laid.scale_error > 0 else "shorter"
        lines.append(
            f"Caution: lengths are {100 * abs(laid.scale_error):.1f} % {more} than the crystal's: "
            f"check the sampling, with {laid.sampling:.4g} Å/px they would agree."
        )
    if laid.alike:
        more = ", …" if len(laid.alike) > MOST_ALIKE else ""
        lines.append(f"fits as well as {', '.join(laid.alike[:MOST_ALIKE])}{more}")
    if np.isfinite(laid.agreement):
        lines.append(f"correlation of intensities with the scattering {laid.agreement:.2f}")
    several = "crystal" in laid.columns
    if several:
        lines.append("other crystals on the same lattice, by the contrast of columns:")
    by = ["crystal", "species"] if several else ["species"]
    lost = laid.missing.groupby(by).size()
    counts = laid.columns[laid.columns["sublattice"] >= 0].groupby(by).size()
    for name in counts.index.union(lost.index):
        there, gone = int(counts.get(name, 0)), int(lost.get(name, 0))
        text = " ".join(name) if several else name
        lines.append(f"{text}: {there} of {there + gone} sites inside have their column")
    return lines
