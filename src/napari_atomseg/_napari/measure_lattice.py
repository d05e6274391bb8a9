"""The lattice, spacings and displacements of columns."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_atomseg._napari.measure_settings import AUTOMATIC
from napari_atomseg._napari.measure_task import (
    NO_SAMPLING,
    SITE,
    Drawing,
    Outcome,
    Plot,
    Task,
    number,
    plural,
)
from napari_atomseg.progress import CancelToken, Progress, report

if TYPE_CHECKING:
    from napari_atomseg.analysis import Lattice

MOST_CELLS = 4000
"""More polygons make napari slow."""
_SITE_OFFSETS = ("dy", "dx", "du", "dv", "dy_pm", "dx_pm")
_NICE = np.array([1.0, 2.0, 5.0, 10.0])


def find(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Find the lattice, and the sublattice and species of each column."""
    from napari_atomseg.analysis import assign, find_lattice, unit_cells

    report(progress, cancel, 0, 3, "Finding the unit cell")
    lattice = find_lattice(task.columns, task.sampling, cell=task.settings.cell)
    report(progress, cancel, 1, 3, "Following the columns")
    table = named(assign(task.columns, lattice), lattice)
    report(progress, cancel, 2, 3, "Drawing the cells")
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
    lines = [*_described(lattice, table, task), ""]
    lines += [
        f"{row.species}: {plural(row.columns, 'column')} at ({row.a:.3f}, {row.b:.3f})"
        for row in kinds.itertuples()
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
        {"Cells": cells.table},
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


def spacings(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Measure distances along a and b, and what their scatter tells."""
    from napari_atomseg.analysis import spacing_precision
    from napari_atomseg.analysis import spacings as measure

    table, lattice = known(task, progress, cancel)
    pairs = measure(table, lattice)
    if pairs.empty:
        raise ValueError("no two columns stand a lattice vector apart: use more columns")
    # Pixels of 1 Å give numbers in pixels.
    real = lattice if lattice.pixel is not None else replace(lattice, pixel=np.ones(2))
    precision = spacing_precision(table, real, task.settings.target)
    length = "length" if task.sampling is None else "length_angstrom"
    features = pd.DataFrame(index=table.index)
    for axis in ("a", "b"):
        there = pairs[pairs["axis"] == axis]
        name = f"spacing_{axis}" + length.removeprefix("length")
        features[name] = np.nan
        features.loc[table.index[there["column"]], name] = there[length].to_numpy()
    lines = [NO_SAMPLING] if task.sampling is None else []
    for axis, row in precision.iterrows():
        lines.append(_spacing_line(str(axis), row, task))
    if task.sampling is not None:
        frames = precision["frames"].max()
        if np.isfinite(frames):
            aim = f"{task.settings.target:g} pm"
            lines += ["", f"For {aim}: the mean of {plural(int(frames), 'frame')}."]
    drawing = _spacing_lines(pairs, table, length, task)
    shown = precision if task.sampling is not None else _in_pixels(precision)
    values = {axis: pairs.loc[pairs["axis"] == axis, length].to_numpy() for axis in ("a", "b")}
    return Outcome(
        tuple(lines),
        features,
        None,
        (drawing,),
        {"Precision": shown.reset_index(), "Pairs": pairs},
        Plot(values, f"spacing ({task.unit})", "pairs"),
    )


def displacements(task: Task, progress: Progress, cancel: CancelToken) -> Outcome:
    """Measure columns of a sublattice against the centres of their neighbours."""
    from napari_atomseg.analysis import displacements as measure
    from napari_atomseg.analysis import polarization

    settings = task.settings
    table, lattice = known(task, progress, cancel)
    chosen = settings.displaced
    kind = min(1, len(lattice) - 1) if chosen == AUTOMATIC else int(chosen)
    around = None if settings.against == AUTOMATIC else int(settings.against)
    found = measure(table, lattice, kind, around)
    if found.empty:
        raise ValueError("no column of that sublattice has all its neighbours")
    if settings.charge is not None:
        if settings.volume is None:
            raise ValueError("the polarization needs the cell's volume in Å³ for each ion")
        found = polarization(found, settings.charge, settings.volume)
    pixels = task.sampling is None
    end, unit = ("", "px") if pixels else ("_pm", "pm")
    names = {
        "length" + end: "shift" + end,
        "dy" + end: "shift_y" + end,
        "dx" + end: "shift_x" + end,
    }
    names |= {"angle_deg": "shift_angle_deg"}
    names |= {name: f"polarization{name[1:]}" for name in ("p", "p_y", "p_x") if name in found}
    features = pd.DataFrame(np.nan, index=table.index, columns=list(names.values()))
    features.iloc[found["column"]] = found[list(names)].to_numpy()
    length = found["length" + end]
    lines = [NO_SAMPLING] if pixels else []
    against = "all others" if around is None else _name(table, around)
    lines.append(
        f"{plural(len(found), 'column')} of {_name(table, kind)} against "
        f"{'their own kind' if len(lattice) == 1 else against}"
    )
    for axis in "xy":
        mean, error = _mean(found[f"d{axis}{end}"])
        lines.append(f"mean d{axis} = {number(mean, error, unit)}")
    lines.append(f"length: median {length.median():.3g}, largest {length.max():.3g} {unit}")
    lines += _expected_error(found, end, unit)
    if "p" in found:
        for axis in "xy":
            mean, error = _mean(found[f"p_{axis}"])
            lines.append(f"mean P_{axis} = {number(mean, error, 'µC/cm²')}")
    arrows = found[["dy", "dx"]].to_numpy()
    factor = exaggeration(arrows, task.spacing)
    lines += ["", f"y points down. Arrows are drawn {factor:g} times longer."]
    data = np.stack([found[["y", "x"]].to_numpy(), arrows], axis=1)
    looks = {
        "length": factor,
        "edge_width": 0.16 * task.spacing,
        "vector_style": "arrow",
        "edge_color": "angle_deg",
        "edge_colormap": "hsv",
        "edge_contrast_limits": (-180.0, 180.0),
        "opacity": 1.0,
    }
    values = {"dx": found["dx" + end].to_numpy(), "dy": found["dy" + end].to_numpy()}
    return Outcome(
        tuple(lines),
        features,
        None,
        (Drawing("vectors", "displacements", data, looks, found),),
        {"Displacements": found},
        Plot(values, f"displacement ({unit})", "columns"),
    )


def exaggeration(arrows: np.ndarray, spacing: float) -> float:
    """A round factor that makes arrows (N, 2) px as long as most of the way to a neighbour."""
    lengths = np.hypot(*arrows.T)
    typical = float(np.percentile(lengths, 90)) if len(lengths) else 0.0
    if not typical > 0:
        return 1.0
    factor = 0.7 * spacing / typical
    power = 10.0 ** np.floor(np.log10(factor))
    return float(max(1.0, power * _NICE[np.searchsorted(_NICE, factor / power + 1e-9) - 1]))


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


def _spacing_lines(pairs: pd.DataFrame, table: pd.DataFrame, length: str, task: Task) -> Drawing:
    points = table[["y", "x"]].to_numpy()
    start, end = points[pairs["column"]], points[pairs["neighbour"]]
    features = pairs[["axis", length]].copy()
    middle = pairs.groupby("axis")[length].transform("median")
    features["deviation"] = pairs[length] - middle
    bound = float(np.percentile(np.abs(features["deviation"]), 98)) or 1.0
    looks = {
        "edge_color": "deviation",
        "edge_colormap": "RdBu_r",
        "edge_contrast_limits": (-bound, bound),
        "edge_width": 0.12 * task.spacing,
        "vector_style": "line",
        "opacity": 1.0,
    }
    return Drawing("vectors", "spacings", np.stack([start, end - start], axis=1), looks, features)


def _spacing_line(axis: str, row: pd.Series, task: Task) -> str:
    mean = number(row["mean_angstrom"], row["mean_err_angstrom"], task.unit)
    if task.sampling is None:
        return f"{axis} = {mean}; deviation {row['deviation_pm'] / 100:.3g} px"
    deviation = number(row["deviation_pm"], row["deviation_err_pm"], "pm")
    by_errors = row["expected_pm"]
    expected = f" (by the error bars {by_errors:.3g} pm)" if np.isfinite(by_errors) else ""
    column = f"a column: {row['column_pm']:.3g} pm"
    return f"{axis} = {mean}\n   deviation {deviation}{expected}; {column}"


def _in_pixels(precision: pd.DataFrame) -> pd.DataFrame:
    shown = precision[["count", "mean_angstrom", "mean_err_angstrom"]]
    shown = shown.rename(columns=lambda name: name.replace("_angstrom", "_px"))
    return shown.assign(deviation_px=precision["deviation_pm"] / 100)


def _expected_error(found: pd.DataFrame, end: str, unit: str) -> list[str]:
    errors = np.hypot(found[f"dy_err{end}"], found[f"dx_err{end}"])
    if not np.isfinite(errors).any():
        return []
    return [f"error of one, by the error bars: {float(np.nanmedian(errors)):.2g} {unit}"]


def _mean(values: pd.Series) -> tuple[float, float]:
    error = float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else np.nan
    return float(values.mean()), error


def _name(table: pd.DataFrame, kind: int) -> str:
    names = table.loc[table["sublattice"] == kind, "species"] if "species" in table else []
    return f"sublattice {kind}" + (f" ({names.iloc[0]})" if len(names) else "")
