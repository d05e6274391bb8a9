"""Tilts of oxygen octahedra, and the places of oxygen columns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np

from napari_atomseg.analysis import octahedra as octahedra_of
from napari_atomseg.analysis.octahedra import Octahedra
from napari_atomseg.measurements.displacements import exaggeration, sublattice_numbers
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    SIGNED,
    Plot,
    Report,
    Scale,
    VectorMarks,
    concise,
    mean,
    number,
    plural,
    rows,
)
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import setting


class OctahedraSettings(MeasurementSettings):
    """Settings of octahedra."""

    oxygen: Annotated[str, Role.TABLE] = setting(
        "",
        "Oxygen columns",
        "Table of the columns of oxygen on the same pixels, as of an ABF or iDPC image recorded "
        "together with the dark field, with or without those of the cations; empty: they are among "
        "the columns.",
    )
    sublattice: Annotated[int | None, Role.SUBLATTICE] = setting(
        None,
        "B sublattice",
        "Number of a sublattice in the middle of octahedra; others of its species go with it. "
        "Automatic: the cation across whose bonds oxygen moves.",
        limits=(0, 1000),
        none="automatic",
    )
    oxygen_sublattices: Annotated[str | None, Role.SUBLATTICE] = setting(
        None,
        "Oxygen sublattices",
        "Sublattices of oxygen among the columns, as 2 or 2,3. Automatic: those between B columns.",
        none="automatic",
    )


@measurement("Octahedra and oxygen", order=44)
def octahedra(
    observation: Observation,
    settings: OctahedraSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Measure tilts of oxygen octahedra in a perovskite, and the places of its oxygen.

    Seen along a pseudocubic axis. Tilts are those in the plane of the image; B columns shift
    against the middle of their oxygens. The result is a table with a row an octahedron.
    """
    oxygen = _read(settings.oxygen)
    sited = observation.on_sites(progress, cancel)
    lattice = sited.known_lattice()
    report(progress, cancel, 1, 2, "Measuring the octahedra")
    chosen = settings.oxygen_sublattices
    found = octahedra_of(
        sited.columns,
        lattice,
        oxygen,
        sublattice=settings.sublattice,
        oxygen_sublattices=None if chosen is None else sublattice_numbers(chosen),
    )
    table = found.table
    pixels = observation.sampling is None
    end, unit = ("", "px") if pixels else ("_pm", "pm")
    lines = [NO_SAMPLING] if pixels else []
    lines.append(f"{plural(len(table), 'octahedron')} and {plural(len(found.oxygen), 'bond')}")
    lines[-1] = lines[-1].replace("octahedrons", "octahedra")
    lines.append(_taken(found, sited))
    for row in rows(found.order):
        lines.append(f"tilt, {row.order}: {number(row.tilt_deg, row.tilt_deg_err, '°')}")
    errors = table["tilt_deg_err"].to_numpy()
    if np.isfinite(errors).any():
        lines.append(f"error of one tilt, from the error bars: {np.nanmedian(errors):.2g}°")
    for axis in "ab":
        size = number(*mean(table[f"size_{axis}"]), observation.unit)
        lines.append(f"oxygen to oxygen along {axis}: {size}")
    for axis in "xy":
        shift = number(*mean(table[f"d{axis}{end}"]), unit)
        lines.append(f"B from the middle of its oxygens: mean d{axis} = {shift}")
    lines.append(f"B-O-B angle: {number(*mean(found.oxygen['angle_deg']), '°')}")
    lines += ["", "y points down; tilts are counter-clockwise."]
    features: dict[str, Any] = {}
    for name in ("tilt_deg", "dy" + end, "dx" + end):
        feature = name if name == "tilt_deg" else f"off_centre_{name[1:]}"
        features[feature] = np.full(len(sited.columns), np.nan)
        features[feature][table["column"]] = table[name]
    arrows = found.oxygen[["dy", "dx"]].to_numpy()
    factor = exaggeration(arrows, sited.spacing)
    bound = float(np.nanpercentile(np.abs(table["tilt_deg"]), 98)) or 1.0
    longest = float(np.abs(arrows).max())
    marks = VectorMarks(
        "oxygen shifts",
        found.oxygen[["y", "x"]].to_numpy(),
        arrows,
        0.2 * sited.spacing,
        Scale("dy", SIGNED, (-longest, longest), "oxygen shifted along y", "px"),
        factor,
        table=found.oxygen,
    )
    return Report(
        tuple(lines),
        {"Octahedra": table, "Oxygen": found.oxygen, "Order": found.order},
        (marks,),
        (f"Arrows are drawn {factor:g} times longer; tilts reach {bound:.2g}°.",),
        sited.columns.assign(**features),
        tuple(features),
        "tilt_deg",
        result="Octahedra",
        plot=Plot({"tilt": table["tilt_deg"].to_numpy()}, "tilt (°)", "octahedra"),
        lattice=lattice,
        headline=_headline(found),
    )


def _headline(found: Octahedra) -> str:
    """The largest mean tilt that the octahedra have in one of the orders."""
    count = plural(len(found.table), "octahedron").replace("octahedrons", "octahedra")
    known = found.order[np.isfinite(found.order["tilt_deg"])]
    if known.empty:
        return count
    row = known.loc[known["tilt_deg"].abs().idxmax()]
    return f"tilt {concise(row['tilt_deg'], row['tilt_deg_err'], '°')}, {row['order']}; {count}"


def _taken(found: Octahedra, sited: Observation) -> str:
    """Which columns were taken for B, and why."""
    names = [f"sublattice {k}" for k in found.sublattices]
    if "species" in sited.columns:
        own = sited.columns.loc[found.table["column"], "species"]
        kinds = sorted({str(name) for name in own} - {"", "nan"})
        names[-1] += f" ({', '.join(kinds)})" if kinds else ""
    text = f"B: {' and '.join(names)}"
    if found.chosen_by == "oxygen":
        return f"{text}, across whose bonds oxygen moves"
    if found.chosen_by == "brightness":
        return (
            f"{text}, by brightness: oxygen does not tell A from B here; if it is A, give a "
            "sublattice of B"
        )
    return text


def _read(path: str) -> Any:
    if not path:
        return None
    from napari_atomseg.io import read_columns

    return read_columns(Path(path))
