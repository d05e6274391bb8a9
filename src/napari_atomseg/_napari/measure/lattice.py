"""The lattice of columns, their sublattices and species."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_atomseg._napari.measure.task import (
    NO_SAMPLING,
    SITE,
    Drawing,
    Outcome,
    Task,
    number,
    plural,
    rows,
)
from napari_atomseg._napari.measure.zone import compared
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from napari_atomseg.analysis import Lattice

MOST_CELLS = 4000
"""More polygons make napari slow."""
_SITE_OFFSETS = ("dy", "dx", "du", "dv", "dy_pm", "dx_pm")


def find(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Find the lattice, and the sublattice and species of each column."""
    from napari_atomseg.analysis import assign, find_lattice, unit_cells

    report(progress, cancel, 0, 4, "Finding the unit cell")
    lattice = find_lattice(task.columns, task.sampling, cell=task.settings.cell)
    report(progress, cancel, 1, 4, "Following the columns")
    table = named(assign(task.columns, lattice), lattice)
    report(progress, cancel, 2, 4, "Comparing with the crystal")
    table, zones, about = compared(table, lattice, task, cancel)
    report(progress, cancel, 3, 4, "Drawing the cells")
    cells = unit_cells(table, lattice)
    names = [*SITE, "species", "intensity_z", *_SITE_OFFSETS]
    kinds = _kinds(table, lattice)
    drawings = [_vectors(lattice, task)]
    if len(cells) and len(cells) <= MOST_CELLS:
        looks = {
            "shape_type": "rectangle",
            "edge_color": "white",
            "face_color": "transparent",
            "edge_width": 0.06 * task.spacing,
            "opacity": 0.8,
        }
        drawings.insert(0, Drawing("shapes", "unit cells", cells.corners, looks, cells.table))
    lines = [*_described(lattice, table, task), *about, ""]
    lines += [
        f"{row.species}: {plural(row.columns, 'column')} at ({row.a:.3f}, {row.b:.3f})"
        for row in rows(kinds)
    ]
    lines += ["", "Name the species in the tab Species."]
    if len(cells) > MOST_CELLS:
        lines.append(f"{len(cells)} unit cells are too many to draw.")
    several = "species" if kinds["species"].nunique() > 1 else "sublattice"
    return Outcome(
        tuple(lines),
        table[[name for name in names if name in table]],
        several,
        tuple(drawings),
        {"Cells": cells.table} | zones,
        lattice=lattice,
        kinds=kinds,
    )


def named(table: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    """Columns on sites, with the species that their intensities, or their sites, tell."""
    from napari_atomseg.analysis import species

    try:
        return species(table, lattice)
    except ValueError:
        # Without intensities each sublattice may be another species.
        kind = table["sublattice"].to_numpy()
        letters = np.array([chr(ord("A") + k % 26) for k in range(len(lattice))] + [""])
        return table.assign(species=letters[kind])


def known(task: Task, progress: Progress, cancel: CancelToken) -> tuple[pd.DataFrame, Lattice]:
    """The columns with their sites and their lattice: as they were found, and perhaps edited,
    before, or found now. Columns that were added since take the sites of that lattice.
    """
    from napari_atomseg.analysis import assign, find_lattice

    table, lattice = task.columns, task.lattice
    there = np.zeros(len(table), bool)
    if set(SITE) <= set(table):
        there = table[SITE].notna().all(axis=1).to_numpy()
    if lattice is None or not there.any():
        report(progress, cancel, 0, 2, "Finding the unit cell")
        lattice = find_lattice(table, task.sampling)
        return named(assign(table, lattice), lattice), lattice
    if not there.all():
        fresh = assign(table, lattice)
        fresh.loc[there, SITE] = table.loc[there, SITE]
        table = fresh
    report(progress, cancel, 1, 2, "Measuring")
    return table.astype(dict.fromkeys(SITE, np.int64)), lattice


def _described(lattice: Lattice, table: pd.DataFrame, task: Task) -> list[str]:
    on = int((table["sublattice"] >= 0).sum())
    lines = [NO_SAMPLING] if task.sampling is None else []
    lengths = lattice.lengths if task.sampling is None else lattice.lengths_angstrom
    errors = lattice.lengths_err * lengths / lattice.lengths
    for name, length, error in zip("ab", lengths, errors, strict=True):
        lines.append(f"{name} = {number(length, error, task.unit)}")
    lines.append(f"angle {lattice.angle_deg:.2f}°; a lies {lattice.rotation_deg:.2f}° from x")
    lost = f"; {len(table) - on} on no site" if on < len(table) else ""
    lines.append(f"{plural(on, 'column')} on {plural(len(lattice), 'sublattice')}{lost}")
    rms = lattice.rms * float(np.sqrt(np.mean(task.pixel**2)))
    stray = f"{rms:.3g} px" if task.sampling is None else f"{100 * rms:.3g} pm"
    lines.append(f"they stray {stray} (rms) from their sites")
    return lines


def _kinds(table: pd.DataFrame, lattice: Lattice) -> pd.DataFrame:
    kind = table["sublattice"].to_numpy()
    species = [table.loc[kind == k, "species"] for k in range(len(lattice))]
    return pd.DataFrame(
        {
            "sublattice": np.arange(len(lattice)),
            "species": [str(each.iloc[0]) if len(each) else "" for each in species],
            "columns": [int((kind == k).sum()) for k in range(len(lattice))],
            "intensity": lattice.intensity,
            "a": lattice.motif[:, 0],
            "b": lattice.motif[:, 1],
        }
    )


def _vectors(lattice: Lattice, task: Task) -> Drawing:
    data = np.stack([np.tile(lattice.origin, (2, 1)), lattice.vectors], axis=1)
    looks = {
        "edge_color": ["#ff4040", "#40c0ff"],
        "edge_width": 0.16 * task.spacing,
        "vector_style": "arrow",
        "opacity": 1.0,
    }
    return Drawing(
        "vectors", "a (red), b (blue)", data, looks, pd.DataFrame({"vector": ["a", "b"]})
    )
