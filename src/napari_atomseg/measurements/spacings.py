"""Spacings of columns along the lattice vectors, and the precision that they show."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from napari_atomseg.analysis import Lattice, spacing_precision
from napari_atomseg.analysis import spacings as spacings_of
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    SIGNED,
    Plot,
    Report,
    Scale,
    VectorMarks,
    concise,
    number,
    plural,
)
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import setting


class SpacingSettings(MeasurementSettings):
    """Settings of spacings."""

    target: float = setting(
        1.0,
        "Target precision",
        "Standard deviation that the mean of several frames should reach.",
        unit="pm",
        limits=(0.01, 1000.0),
        step=0.5,
    )


@measurement("Spacings", order=30)
def spacings(
    observation: Observation,
    settings: SpacingSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Spacings along a and b, their scatter, and the frames that a precision needs.

    The result is the table of pairs of columns that are one lattice vector apart.
    """
    sited = observation.on_sites(progress, cancel)
    table, lattice = sited.columns, sited.known_lattice()
    pairs = spacings_of(table, lattice)
    if pairs.empty:
        raise ValueError("no two columns are one lattice vector apart: use more columns")
    pixels = observation.sampling is None
    # Pixels of 1 Å give numbers in pixels.
    real = replace(lattice, pixel=np.ones(2)) if pixels else lattice
    precision = spacing_precision(table, real, settings.target)
    length = "length" if pixels else "length_angstrom"
    features = {}
    for axis in ("a", "b"):
        there = pairs[pairs["axis"] == axis]
        values = np.full(len(table), np.nan)
        values[there["column"]] = there[length]
        features[f"spacing_{axis}" + length.removeprefix("length")] = values
    lines = [NO_SAMPLING] if pixels else []
    lines += [_line(str(axis), row, pixels=pixels) for axis, row in precision.iterrows()]
    lines += _vector_lines(lattice, pixels=pixels)
    frames = precision["frames"].max()
    if not pixels and np.isfinite(frames):
        lines += ["", *_frames_lines(int(frames), precision, settings.target)]
    deviation = pairs[length] - pairs.groupby("axis")[length].transform("median")
    bound = float(np.percentile(np.abs(deviation), 98)) or 1.0
    longer = f"{bound:.2g} {observation.unit}"
    points = table[["y", "x"]].to_numpy()
    start, end = points[pairs["column"]], points[pairs["neighbour"]]
    marks = VectorMarks(
        "spacings",
        start,
        end - start,
        0.12 * sited.spacing,
        Scale("deviation", SIGNED, (-bound, bound), "spacing less median", observation.unit),
        arrows=False,
        table=pairs[["axis", length]].assign(deviation=deviation),
    )
    shown = _in_pixels(precision) if pixels else precision
    values_of = {axis: pairs.loc[pairs["axis"] == axis, length].to_numpy() for axis in ("a", "b")}
    headline, basis = _headline(precision, pixels=pixels)
    return Report(
        tuple(lines),
        {"Precision": shown.reset_index(), "Pairs": pairs},
        (marks,),
        (f"Lines: red is longer than the median, by {longer}; blue shorter.",),
        table.assign(**features),
        tuple(features),
        result="Pairs",
        plot=Plot(values_of, f"spacing ({observation.unit})", "pairs"),
        headline=headline,
        basis=basis,
    )


def _headline(precision: pd.DataFrame, *, pixels: bool) -> tuple[str, str]:
    """Headline and basis of the report: mean spacings, and how much they spread."""
    unit, factor, small = ("px", 0.01, "px") if pixels else ("Å", 1.0, "pm")
    means = ", ".join(
        f"{axis} = {concise(row['mean_angstrom'], row['mean_err_angstrom'], unit)}"
        for axis, row in precision.iterrows()
    )
    spreads = " and ".join(f"{factor * each:.3g}" for each in precision["deviation_pm"])
    count = plural(int(precision["count"].sum()), "pair")
    return (
        means,
        f"means of {count}, which spread by {spreads} {small} (standard deviation)",
    )


def _frames_lines(frames: int, precision: pd.DataFrame, target: float) -> list[str]:
    """Frames that the noise needs, and what of the spread they leave."""
    if not np.isfinite(precision["expected_pm"]).all():
        return [
            f"For {target:g} pm: the mean of {plural(frames, 'frame')} at most.",
            "That takes all of the spread for noise: the columns have no error bars.",
        ]
    lines = [f"For {target:g} pm: the mean of {plural(frames, 'frame')}, by the error bars."]
    real = precision["real_pm"].to_numpy(float)
    clear = precision["deviation_pm"] - 2 * precision["deviation_err_pm"] > precision["expected_pm"]
    if clear.any():
        parts = " and ".join(
            f"{real[number]:.3g} pm along {axis}"
            for number, axis in enumerate(precision.index)
            if clear[axis]
        )
        lines.append(
            f"The rest of the spread, {parts}, is no noise of counting: columns that stand "
            "elsewhere, which frames do not average, or distortions of the scan."
        )
    return lines


def _line(axis: str, row: pd.Series, *, pixels: bool) -> str:
    mean = number(row["mean_angstrom"], row["mean_err_angstrom"], "px" if pixels else "Å")
    if pixels:
        return f"{axis} = {mean}; standard deviation {row['deviation_pm'] / 100:.3g} px"
    deviation = number(row["deviation_pm"], row["deviation_err_pm"], "pm")
    expected = row["expected_pm"]
    bars = f" (noise, from the error bars, {expected:.3g} pm" if np.isfinite(expected) else ""
    if bars:
        real, error = row["real_pm"], row["real_err_pm"]
        bars += f"; real {number(real, error, 'pm')})" if real > error else "; nothing else)"
    column = f"of one column {row['column_pm']:.3g} pm"
    return f"{axis} = {mean}\n   standard deviation {deviation}{bars}; {column}"


def _in_pixels(precision: pd.DataFrame) -> pd.DataFrame:
    shown = precision[["count", "mean_angstrom", "mean_err_angstrom"]]
    shown = shown.rename(columns=lambda name: name.replace("_angstrom", "_px"))
    return shown.assign(deviation_px=precision["deviation_pm"] / 100)


def _vector_lines(lattice: Lattice, *, pixels: bool) -> list[str]:
    """The lengths of the lattice's vectors, which are not the mean lengths of spacings."""
    lengths = lattice.lengths if pixels else lattice.lengths_angstrom
    errors = lattice.lengths_err * lengths / lattice.lengths
    unit = "px" if pixels else "Å"
    both = ", ".join(
        f"{axis} = {number(length, error, unit)}"
        for axis, length, error in zip("ab", lengths, errors, strict=True)
    )
    return [
        f"vectors of the lattice: {both}",
        "   They are straight over all columns; spacings also count bending, and noise across.",
    ]
