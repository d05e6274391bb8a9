"""Vectors between the columns of two sublattices, and their distributions."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import pandas as pd

from napari_atomseg.analysis import bond_density, bond_distributions, bond_vectors
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

LISTED = 12
"""Bonds in the summary."""
PLOTTED = 3
"""Bonds in the plot."""


class BondSettings(MeasurementSettings):
    """Settings of bond vectors."""

    first: Annotated[int | None, Role.SUBLATTICE] = setting(
        None,
        "From",
        "Number of the sublattice from whose columns vectors start. Automatic: 0.",
        limits=(0, 1000),
        none="automatic",
    )
    second: Annotated[int | None, Role.SUBLATTICE] = setting(
        None,
        "To",
        "Number of the sublattice at whose columns they end. Automatic: the next one.",
        limits=(0, 1000),
        none="automatic",
    )
    reach: float | None = setting(
        None,
        "Longest vector",
        "Longest vector between sites; in px without a sampling. Automatic: the longer side of the "
        "cell.",
        unit="Å",
        limits=(0.0, 1e4),
        step=0.5,
        none="automatic",
    )
    smoothing: float | None = setting(
        None,
        "Smoothing",
        "Standard deviation of the Gaussian by which the density of vectors is smoothed; in px "
        "without a sampling. Automatic: by Scott's rule, from the narrowest bond.",
        unit="Å",
        limits=(1e-4, 10.0),
        step=0.01,
        none="automatic",
    )


@measurement("Bond vectors", order=42)
def bonds(
    observation: Observation,
    settings: BondSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Measure the projected vectors between two sublattices, and how each is distributed.

    This is the vector pair correlation: its two-dimensional density, and bond by bond the mean
    vector, widths along and across it, and skewness. The result is a table with a row a pair of
    columns.
    """
    sited = observation.on_sites(progress, cancel)
    report(progress, cancel, 1, 2, "Measuring the vectors")
    lattice = sited.known_lattice()
    found = bond_vectors(
        sited.columns, lattice, settings.first or 0, settings.second, reach=settings.reach
    )
    if found.empty:
        raise ValueError("no two columns are a bond apart: use more columns, or a longer vector")
    bonds = bond_distributions(found)
    density = bond_density(found, width=settings.smoothing)
    binned = density.table()
    pixels = observation.sampling is None
    factor, unit = (1.0, "px") if pixels else (100.0, "pm")
    lines = [NO_SAMPLING] if pixels else []
    lines.append(
        f"{plural(len(found), 'vector')} from sublattice {bonds['from'].iloc[0]} to "
        f"{bonds['to'].iloc[0]}, of {plural(len(bonds), 'bond')}"
    )
    for row in rows(bonds.head(LISTED)):
        expected = row.along_expected
        bars = f" (from the error bars {factor * expected:.3g})" if expected > 0 else ""
        lines.append(
            f"[{row.di} {row.dj}]: x {number(row.vector_x, row.vector_x_err)}, "
            f"y {number(row.vector_y, row.vector_y_err, observation.unit)}; deviation along "
            f"{factor * row.along:.3g}, across {factor * row.across:.3g} {unit}{bars}"
        )
    if len(bonds) > LISTED:
        lines.append(f"and {len(bonds) - LISTED} more in the table")
    lines.append(
        f"density smoothed by {factor * density.width:.3g} {unit}, in bins of "
        f"{factor * density.step:.2g} {unit}"
    )
    lines += ["", "y points down; [i j] are cells from the one column to the other."]
    groups = list(found.groupby(["di", "dj"], sort=False))[:PLOTTED]
    lengths = {f"[{i} {j}]": part["length"].to_numpy() for (i, j), part in groups}
    headline, basis = _headline(bonds, len(found), observation.unit, factor, unit)
    return Report(
        tuple(lines),
        {"Vectors": found, "Bonds": bonds, "Density": binned},
        columns=sited.columns,
        result="Vectors",
        plot=Plot(
            lengths,
            f"length ({observation.unit})",
            "pairs",
            density=binned,
            unit=observation.unit,
        ),
        lattice=lattice,
        headline=headline,
        basis=basis,
    )


def _headline(
    bonds: pd.DataFrame, vectors: int, unit: str, factor: float, of_spread: str
) -> tuple[str, str]:
    """Headline and basis of the report: length of the shortest mean vector, and its spread."""
    lengths = np.hypot(bonds["vector_y"].to_numpy(), bonds["vector_x"].to_numpy())
    row, length = bonds.iloc[int(lengths.argmin())], float(lengths.min())
    along = np.hypot(row["vector_y"] * row["vector_y_err"], row["vector_x"] * row["vector_x_err"])
    error = float(along / length) if length > 0 else float("nan")
    return (
        f"shortest bond {concise(length, error, unit)}",
        f"{plural(vectors, 'vector')} of {plural(len(bonds), 'bond')}; the shortest spreads by "
        f"{factor * row['along']:.3g} {of_spread} along it (standard deviation)",
    )
