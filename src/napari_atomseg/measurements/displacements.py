"""Displacements of one sublattice against the others, and polarization."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import field_validator

from napari_atomseg.analysis import displacements as displacements_of
from napari_atomseg.analysis import polarization
from napari_atomseg.measurements.observation import Observation, lattice_record
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import (
    NO_SAMPLING,
    Plot,
    Report,
    Scale,
    VectorMarks,
    concise,
    mean,
    number,
    plural,
    towards,
)
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import setting

CLEAR = 3.0
"""Standard errors from which on a mean vector is told from none."""
_ROUND = np.array([1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0])
"""Factors by which arrows are drawn longer, times powers of ten."""


class DisplacementSettings(MeasurementSettings):
    """Settings of displacements."""

    sublattice: Annotated[int | None, Role.SUBLATTICE] = setting(
        None,
        "Displaced sublattice",
        "Number of the sublattice whose columns are displaced. Automatic: 1, if there is one.",
        limits=(0, 1000),
        none="automatic",
    )
    neighbours: Annotated[str | None, Role.SUBLATTICE] = setting(
        None,
        "Neighbours",
        "Sublattices of the neighbours, whose centre is the reference, as 0 or 0,2.",
        none="all others",
    )
    coordination: int | None = setting(
        None,
        "Coordination",
        "Number of neighbours of a column. Automatic: those of the first shell.",
        limits=(1, 100),
        none="automatic",
    )
    charge: float | None = setting(
        None,
        "Born charge",
        "Effective charge of the displaced ion against its neighbours, for the polarization.",
        unit="e",
        limits=(-20.0, 20.0),
        step=0.1,
        none="no polarization",
    )
    volume: float | None = setting(
        None,
        "Volume per ion",
        "Volume of the crystal for each displaced ion, for the polarization.",
        unit="Å³",
        limits=(0.0, 1e5),
        step=1.0,
        none="not given",
    )

    @field_validator("neighbours", mode="before")
    @classmethod
    def _joined(cls, neighbours: Any) -> Any:
        if isinstance(neighbours, int):
            return str(neighbours)
        several = isinstance(neighbours, Iterable) and not isinstance(neighbours, str)
        return ",".join(map(str, neighbours)) if several else neighbours


@measurement("Displacements", order=40)
def displacements(
    observation: Observation,
    settings: DisplacementSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Displacements of a sublattice from the centres of its neighbours, and polarization.

    The result is a table with a row for each displaced column that has all its neighbours.
    """
    if (settings.charge is None) != (settings.volume is None):
        raise ValueError("polarization needs both charge and volume (--charge and --volume)")
    sited = observation.on_sites(progress, cancel)
    table, lattice = sited.columns, sited.known_lattice()
    kind = min(1, len(lattice) - 1) if settings.sublattice is None else settings.sublattice
    around = None if settings.neighbours is None else sublattice_numbers(settings.neighbours)
    found = displacements_of(table, lattice, kind, around, settings.coordination)
    if found.empty:
        raise ValueError("no column of that sublattice has all its neighbours")
    found, left_out = _fitted(found)
    if settings.charge is not None and settings.volume is not None:
        found = polarization(found, settings.charge, settings.volume)
    pixels = observation.sampling is None
    end, unit = ("", "px") if pixels else ("_pm", "pm")
    names = {
        "length" + end: "shift" + end,
        "dy" + end: "shift_y" + end,
        "dx" + end: "shift_x" + end,
        "angle_deg": "shift_angle_deg",
    }
    names |= {name: f"polarization{name[1:]}" for name in ("p", "p_y", "p_x") if name in found}
    features = {}
    for name, feature in names.items():
        features[feature] = np.full(len(table), np.nan)
        features[feature][found["column"]] = found[name]
    against = "all others" if around is None else " and ".join(_name(table, k) for k in around)
    lines = [NO_SAMPLING] if pixels else []
    of_what = "their own kind" if len(lattice) == 1 else against
    lines.append(
        f"displacements of {plural(len(found), 'column')} of {_name(table, kind)} against {of_what}"
    )
    if left_out:
        lines.append(
            f"{plural(left_out, 'column')} left out: no fit has found its place, or that of a "
            "neighbour"
        )
    for axis in "xy":
        lines.append(f"mean d{axis} = {number(*mean(found[f'd{axis}{end}']), unit)}")
    length = found["length" + end]
    lines.append(f"length: median {length.median():.3g}, largest {length.max():.3g} {unit}")
    errors = np.hypot(found[f"dy_err{end}"], found[f"dx_err{end}"])
    if np.isfinite(errors).any():
        lines.append(f"error of one, from the error bars: {np.nanmedian(errors):.2g} {unit}")
    if "p" in found:
        for axis in "xy":
            lines.append(f"mean P_{axis} = {number(*mean(found[f'p_{axis}']), 'µC/cm²')}")
    arrows = found[["dy", "dx"]].to_numpy()
    factor = exaggeration(arrows, sited.spacing)
    lines += ["", "y points down."]
    values = {"dx": found["dx" + end].to_numpy(), "dy": found["dy" + end].to_numpy()}
    marks = VectorMarks(
        "displacements",
        found[["y", "x"]].to_numpy(),
        arrows,
        0.22 * sited.spacing,
        Scale("angle_deg", "hsv", (-180.0, 180.0), "displaced towards", directions=True),
        factor,
        table=found,
    )
    return Report(
        tuple(lines),
        {"Displacements": found},
        (marks,),
        (f"Arrows are drawn {factor:g} times longer.",),
        table.assign(**features),
        tuple(features),
        result="Displacements",
        # For profiles of the table of displacements by layers.
        record={"lattice": lattice_record(lattice)},
        plot=Plot(values, f"displacement ({unit})", "columns"),
        headline=_headline(found, end, unit, alone=len(lattice) == 1),
        basis=f"{plural(len(found), 'column')} of {_name(table, kind)} against {of_what}, median "
        f"length {length.median():.3g} {unit}",
    )


def _headline(found: pd.DataFrame, end: str, unit: str, *, alone: bool) -> str:
    """The mean vector, and its direction where it is clear; of a lattice with one sublattice the
    mean is zero whatever it is displaced by.
    """
    size, error, clear, way = mean_vector(found, f"dy{end}", f"dx{end}")
    if alone:
        return (
            "one sublattice, with no other that it could be displaced against: "
            f"{concise(size, error, unit)} from the centres of its own kind on average"
        )
    if not clear:
        return f"no common displacement: {concise(size, error, unit)} on average"
    text = f"displaced by {concise(size, error, unit)} {way} on average"
    if "p" in found:
        size, error, _, way = mean_vector(found, "p_y", "p_x")
        text = f"P = {concise(size, error, 'µC/cm²')} {way}; {text}"
    return text


def mean_vector(found: pd.DataFrame, y: str, x: str) -> tuple[float, float, bool, str]:
    """Length of the mean of vectors, its standard error, whether it is clear, and its direction.

    The error is that along the mean, by the scatter of the vectors. A mean of less than three of
    its errors is not told from zero.
    """
    (dy, dy_err), (dx, dx_err) = mean(found[y]), mean(found[x])
    size = float(np.hypot(dy, dx))
    error = float(np.hypot(dy * dy_err, dx * dx_err) / size) if size > 0 else float("nan")
    return size, error, bool(size > CLEAR * error), towards(dy, dx)


def _fitted(found: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Displacements between places that a fit has found, and the number of the others.

    Where a fit fails, a column keeps the place that the detector gave it, which is right to a pixel
    or so and has no error. Of a table without any errors all are kept.
    """
    known = np.isfinite(found[["dy_err", "dx_err"]]).all(axis=1)
    if not known.any() or known.all():
        return found, 0
    return found.iloc[np.flatnonzero(known)].reset_index(drop=True), int((~known).sum())


def exaggeration(arrows: NDArray[np.float64], spacing: float) -> float:
    """A round factor that makes arrows (N, 2) px about as long as the spacing."""
    lengths = np.hypot(*arrows.T)
    typical = float(np.percentile(lengths, 90)) if len(lengths) else 0.0
    if not typical > 0:
        return 1.0
    factor = 0.9 * spacing / typical
    power = 10.0 ** np.floor(np.log10(factor))
    return float(max(1.0, power * _ROUND[np.searchsorted(_ROUND, factor / power + 1e-9) - 1]))


def sublattice_numbers(text: str) -> tuple[int, ...]:
    """Sublattices that are written as "0" or "0,2".

    Raises
    ------
    ValueError
        These are no numbers.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"{text!r} must be numbers of sublattices, as 0 or 0,2") from None


def _name(table: pd.DataFrame, kind: int) -> str:
    there = table["sublattice"] == kind
    has_name = "species" in table and there.any()
    name = f" ({table.loc[there, 'species'].iloc[0]})" if has_name else ""
    return f"sublattice {kind}{name}"
