"""The zone axis of a known crystal."""

from __future__ import annotations

from typing import Annotated, Any

import pandas as pd
from pydantic import field_validator

from napari_atomseg.analysis import find_zone_axis, name_by_elements
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Role, measurement
from napari_atomseg.measurements.report import Report
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import setting

LISTED = 5
"""Candidates in the summary, beside those that fit as well as the best."""


class ZoneSettings(MeasurementSettings):
    """Settings of the zone axis."""

    crystal: Annotated[tuple[str, ...], Role.CRYSTAL] = setting(
        (), "Crystal", "Name of a crystal, or a structure file; several are compared."
    )
    largest_index: int = setting(
        3, "Largest index", "Largest index of the zone axes that are tried.", limits=(1, 5)
    )
    tolerance: float = setting(
        0.02,
        "Tolerance",
        "Expected error of lengths, as a part of them.",
        limits=(1e-4, 0.5),
        decimals=4,
    )
    resolution: float = setting(
        1.0,
        "Resolution",
        "Columns closer than this may be seen as one.",
        unit="Å",
        limits=(0.0, 10.0),
    )
    by_intensity: bool = setting(
        True,
        "By intensity",
        "Whether bright columns are those that scatter more, as in dark field.",
    )

    @field_validator("crystal", mode="before")
    @classmethod
    def _several(cls, crystal: Any) -> Any:
        return (crystal,) * bool(crystal) if isinstance(crystal, str) else crystal


@measurement("Zone axis", order=20)
def zone(
    observation: Observation,
    settings: ZoneSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Find the zone axis of a known crystal, or which of several it is.

    The species of columns take the names of its elements, if one fits. The result is the table of
    zone axes, the best first.
    """
    if not settings.crystal:
        raise ValueError("choose a crystal: the zone axis is one of a known crystal")
    sited = observation.on_sites(progress, cancel)
    lattice = sited.known_lattice()
    options: dict[str, Any] = dict(settings)
    found = find_zone_axis(
        lattice, options.pop("crystal"), **options, progress=progress, cancel=cancel
    )
    fits = bool(found["fits"].iloc[0])
    table = name_by_elements(sited.columns, lattice, found.iloc[0]) if fits else sited.columns
    headline, basis = _headline(found)
    return Report(
        tuple(_lines(found, known=observation.sampling is not None)),
        {"Zone axes": found},
        columns=table,
        features=("i", "j", "sublattice", "species") if fits else (),
        colour_by="species" if fits else None,
        result="Zone axes",
        lattice=lattice,
        headline=headline,
        basis=basis,
    )


def _headline(zones: pd.DataFrame) -> tuple[str, str]:
    """Headline and basis of the report."""
    best = zones.iloc[0]
    fit = (
        f"lengths {best['length_misfit_percent']:+.2f} %, angle {best['angle_misfit_deg']:+.2f}°, "
        f"columns {best['motif_rms_pm']:.1f} pm off (rms)"
    )
    name = f"{best['crystal']} {best['zone_axis']}"
    others = int(((zones["rank"] == 1) & zones["fits"]).sum()) - 1
    alike = f"; {others} more fit as well" if others > 0 else ""
    return (
        name if best["fits"] else f"No zone axis fits; the nearest is {name}",
        fit + alike,
    )


def _lines(zones: pd.DataFrame, *, known: bool) -> list[str]:
    lines = [] if known else ["the sampling is not known: only the shape of the cell counts"]
    if not zones["fits"].iloc[0]:
        lines.append("no zone axis fits; the nearest are:")
    for row in zones.head(max(LISTED, int((zones["rank"] == 1).sum()))).itertuples():
        implied = "" if known else f", {row.sampling:.4f} Å/px"
        lines.append(
            f"{row.rank}. {row.crystal} {row.zone_axis}: score {row.score:.3f}, lengths "
            f"{row.length_misfit_percent:+.2f} %, angle {row.angle_misfit_deg:+.2f}°, columns off "
            f"{row.motif_rms_pm:.1f} pm{implied}; a along {row.a_direction}, b along "
            f"{row.b_direction}; {row.elements}"
        )
    return lines
