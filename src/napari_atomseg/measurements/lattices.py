"""Several lattices in one image, each indexed, and strained against one of them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import field_validator

from napari_atomseg.analysis import Lattices, find_lattices, register_crystal
from napari_atomseg.measurements.observation import SITE, Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    Report,
    VectorMarks,
    concise,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting

COLOURS = ("#ff4040", "#40c0ff", "#40ff40", "#ffff00", "#ff40ff", "#ffa23f", "#ffffff", "#8073ac")
"""Colours of the vectors of each lattice."""
LISTED = 2
"""Lattices whose cells are in the headline."""
_SITE = {name: f"lattice_{name}" for name in SITE}
"""What sites are called in the result: those of `measure lattice`, which all other measurements
take, are cells of one lattice alone."""
_FEATURES = ("lattice", *_SITE.values(), "species", "eps_xx", "eps_yy", "eps_xy", "rotation_deg")


class LatticesSettings(MeasurementSettings):
    """Settings of several lattices."""

    most: int = setting(8, "Most lattices", "Lattices that are looked for.", limits=(1, 8))
    smallest: int = setting(
        20, "Fewest columns", "Columns that a lattice needs.", limits=(20, 1000000)
    )
    cell: Literal["conventional", "primitive"] = setting(
        "conventional",
        "Cell",
        "Conventional: rectangular where the lattice is centred. Primitive: the smallest.",
    )
    reference: int = setting(
        0,
        "Reference",
        "Number of the lattice without strain, against which the others are measured; 0 is the "
        "largest.",
        limits=(0, 7),
    )
    crystal: Annotated[tuple[str, ...], Role.CRYSTAL] = setting(
        (),
        "Crystal",
        "Name of a crystal, or a structure file; of several, each lattice takes the one that fits.",
    )

    @field_validator("crystal", mode="before")
    @classmethod
    def _several(cls, crystal: Any) -> Any:
        return (crystal,) * bool(crystal) if isinstance(crystal, str) else crystal


@measurement("Several lattices", order=15)
def lattices(
    observation: Observation,
    settings: LatticesSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Find the lattices of grains, twins and interfaces, and strain all against one.

    Each is indexed if crystals are given. The result is the table of columns with the number of
    their lattice and their sites in it. Later measurements take one lattice: that of `lattice`.
    """
    columns = observation.columns.drop(columns=["species"], errors="ignore")
    report(progress, cancel, 0, 2, "Finding the lattices")
    found = find_lattices(
        columns,
        observation.sampling,
        most=settings.most,
        smallest=settings.smallest,
        cell=settings.cell,
        reference=settings.reference,
    )
    report(progress, cancel, 1, 2, "Indexing")
    table, about = found.columns, found.table
    for which, each in enumerate(found.lattices):
        observation.rely_on(table[table["lattice"] == which], each)
    if settings.crystal:
        table, about = _indexed(found, observation, settings, cancel)
    unit = observation.unit
    lines = [NO_SAMPLING] if observation.sampling is None else []
    lost = int((table["lattice"] < 0).sum())
    lines.append(f"{plural(len(about), 'lattice')}; {plural(lost, 'column')} on none")
    for row in rows(about):
        lines.append(
            f"{row.lattice}: {plural(row.columns, 'column')}, a = {number(row.a, row.a_err, unit)}"
            f", b = {number(row.b, row.b_err, unit)}, angle {row.angle_deg:.2f}°"
        )
        if settings.crystal:
            lines.append(
                f"   {row.crystal} {row.zone_axis}, a along {row.a_direction}, b along "
                f"{row.b_direction}"
                if row.crystal
                else "   none of the crystals fits"
            )
        if row.lattice == found.reference:
            lines.append("   the reference")
        elif np.isfinite(row.eps_xx):
            lines.append(
                f"   against {found.reference}: turned by {row.rotation_deg:+.2f}°, ε_xx "
                f"{100 * row.eps_xx:+.2f} %, ε_yy {100 * row.eps_yy:+.2f} %, ε_xy "
                f"{100 * row.eps_xy:+.2f} %"
            )
        else:
            lines.append(f"   its cell is not that of lattice {found.reference}: no strain")
    lines += _changes(found.changes)
    marks = tuple(
        VectorMarks(
            f"lattice {number_}",
            np.tile(each.origin, (2, 1)),
            each.vectors,
            0.16 * observation.spacing,
            COLOURS[number_ % len(COLOURS)],
            table=pd.DataFrame({"vector": ["a", "b"]}),
        )
        for number_, each in enumerate(found.lattices)
    )
    before = [name for name in _SITE.values() if name in table]  # of an earlier run
    table = table.drop(columns=before).rename(columns=_SITE)
    for name in SITE:
        if name in observation.columns:
            table[name] = observation.columns[name].to_numpy()
    return Report(
        tuple(lines),
        {"Lattices": about} | ({} if found.changes.empty else {"Changes": found.changes}),
        marks,
        columns=table,
        features=tuple(name for name in _FEATURES if name in table),
        colour_by="lattice",
        headline=f"{plural(len(about), 'lattice')}: {_cells(about, unit)}",
    )


def _cells(about: pd.DataFrame, unit: str) -> str:
    """The sides of the first cells in words."""
    told = []
    for row in rows(about.head(LISTED)):
        a, b = concise(row.a, row.a_err, unit), concise(row.b, row.b_err, unit)
        told.append(f"a = {a}, b = {b}")
    return "; ".join(told + ["…"] * (len(about) > LISTED))


def _changes(changes: pd.DataFrame) -> list[str]:
    """Where strain makes a step, and where it changes without one."""
    lines = []
    for row in rows(changes):
        by = (
            f"ε_xx {100 * row.eps_xx:+.2f} %, ε_yy {100 * row.eps_yy:+.2f} %, ε_xy "
            f"{100 * row.eps_xy:+.2f} %, turned by {row.rotation_deg:+.2f}°"
        )
        if row.sharp:
            layers = f"{row.width:.0f} layers" if row.width > 1 else "a layer"
            lines.append(
                f"step from {row.lattice} to {row.beyond} within {layers}, at y {row.y:.0f}, x "
                f"{row.x:.0f} px: {by}"
            )
        else:
            lines.append(
                f"{row.lattice} changes gradually, from one half of it to the other by {by}: no "
                "step is told from a bent or graded crystal, or from drift of the scan"
            )
    return lines


def _indexed(
    found: Lattices,
    observation: Observation,
    settings: LatticesSettings,
    cancel: CancelToken | None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Columns with species, and the table of lattices with the crystal that fits each best."""
    table = found.columns.assign(species="")
    index: list[dict[str, Any]] = []
    for which, lattice in enumerate(found.lattices):
        own = (table["lattice"] == which).to_numpy()
        part = observation.columns[own].drop(columns=list(SITE), errors="ignore")
        best = None
        for crystal in settings.crystal:
            try:
                laid = register_crystal(
                    part.reset_index(drop=True),
                    crystal,
                    observation.sampling,
                    lattice=lattice,
                    cancel=cancel,
                )
            except ValueError:
                # A crystal that cannot be laid on this lattice is not the one.
                continue
            if laid.fits and (best is None or laid.zone["cost"] < best.zone["cost"]):
                best = laid
        names = ("crystal", "zone_axis", "a_direction", "b_direction")
        index.append({name: "" if best is None else best.zone[name] for name in names})
        if best is not None:
            table.loc[own, "species"] = best.columns["species"].to_numpy()
    return table, pd.concat([found.table, pd.DataFrame(index)], axis=1)
