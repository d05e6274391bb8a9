"""Spacings and displacements of columns on the sites of a lattice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._napari.measure.lattice import known
from napari_atomseg._napari.measure.settings import AUTOMATIC
from napari_atomseg._napari.measure.task import (
    NO_SAMPLING,
    Drawing,
    Outcome,
    Plot,
    Task,
    number,
    plural,
)
from napari_atomseg.progress import CancelToken, Progress

_NICE = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0])
"""Factors by which arrows are drawn longer, times powers of ten."""


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
    for direction, row in precision.iterrows():
        lines.append(_spacing_line(str(direction), row, task))
    if task.sampling is not None:
        frames = precision["frames"].max()
        if np.isfinite(frames):
            aim = f"{task.settings.target:g} pm"
            lines += ["", f"For {aim}: the mean of {plural(int(frames), 'frame')}."]
    drawing = _spacing_lines(pairs, table, length, task)
    bound = drawing.looks["edge_contrast_limits"][1]
    lines += [
        "",
        f"Lines: red is longer than the median, by {bound:.2g} {task.unit}; blue shorter.",
    ]
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
        "edge_width": 0.22 * task.spacing,
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


def exaggeration(arrows: NDArray[np.float64], spacing: float) -> float:
    """A round factor that makes arrows (N, 2) px about as long as the way to a neighbour."""
    lengths = np.hypot(*arrows.T)
    typical = float(np.percentile(lengths, 90)) if len(lengths) else 0.0
    if not typical > 0:
        return 1.0
    factor = 0.9 * spacing / typical
    power = 10.0 ** np.floor(np.log10(factor))
    return float(max(1.0, power * _NICE[np.searchsorted(_NICE, factor / power + 1e-9) - 1]))


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
    there = table["sublattice"] == kind
    named = "species" in table and there.any()
    return f"sublattice {kind}" + (f" ({table.loc[there, 'species'].iloc[0]})" if named else "")
