"""Atom counts by every cross-section and way of counting there is, beside each other."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd

from napari_atomseg.analysis import Counts, count_by_library, count_by_mixture, integrate_columns
from napari_atomseg.analysis.counting.library import read_library
from napari_atomseg.localization import refine_columns
from napari_atomseg.measurements.counts import FIRST, WIDTH, left_out_lines
from napari_atomseg.measurements.observation import Observation
from napari_atomseg.measurements.registry import MeasurementSettings, Needs, Role, measurement
from napari_atomseg.measurements.report import Plot, Report, concise, plural
from napari_atomseg.progress import CancelToken, Progress, stage
from napari_atomseg.settings import setting


class CompareSettings(MeasurementSettings):
    """Settings of the comparison."""

    library: Annotated[str, Role.TABLE] = setting(
        "",
        "Library",
        "Table (CSV) of simulated cross-sections with the columns count and section; without one, "
        "counts are those of mixtures alone.",
    )
    first: int | None = FIRST
    width: Literal["auto", "common", "growing"] = WIDTH


@measurement("Atom counts, compared", image=Needs.OPTIONAL, order=102)
def compare_counts(
    observation: Observation,
    settings: CompareSettings,
    progress: Progress | None,
    cancel: CancelToken | None,
) -> Report:
    """Count atoms by the fits of the table, a joint fit and integrals, with and without a library.

    What the ways differ by is an error that none of them states. The result is the table of
    columns with a count by each way that can tell; the ways have a table of their own.
    """
    sections = _sections(observation, stage(progress, 0, 2), cancel)
    if not sections:
        raise ValueError(
            "the columns have no volume, and there is no image of their pixels to integrate"
        )
    library = read_library(settings.library) if settings.library else None
    found: dict[str, tuple[str, str, Counts | str]] = {}
    for number, (name, (table, value)) in enumerate(sections.items()):
        part = stage(progress, len(sections) + number, 2 * len(sections))
        common: dict[str, Any] = {
            "sampling": observation.sampling,
            "value": value,
            "width": settings.width,
            "progress": part,
            "cancel": cancel,
        }
        mixture = partial(count_by_mixture, table, first=settings.first, **common)
        ways: dict[str, Callable[[], Counts]] = {"mixture": mixture}
        if library is not None:
            ways["library"] = partial(count_by_library, table, library, **common)
            ways["library, scaled"] = partial(
                count_by_library, table, library, scale=None, **common
            )
        for way, count in ways.items():
            try:
                counted: Counts | str = count()
            except ValueError as error:
                counted = str(error)
            found[f"{name}, {way}"] = (name, way, counted)
    return _report(observation, found)


def _sections(
    observation: Observation, progress: Progress | None, cancel: CancelToken | None
) -> dict[str, tuple[pd.DataFrame, str]]:
    """Tables with cross-sections by name, and the feature that has them."""
    table = observation.columns
    known = {}
    if "volume" in table and table["volume"].notna().any():
        known["fits of the table"] = (table, "volume")
    if observation.image is not None and observation.aligned:
        image = np.asarray(observation.image)
        bright = "volume" not in table or table["volume"].median() > 0
        contrast: Literal["bright", "dark"] = "bright" if bright else "dark"
        joint = refine_columns(
            image, table, refine="joint", contrast=contrast, progress=progress, cancel=cancel
        )
        known["joint fit"] = (joint, "volume")
        known["integrals"] = (integrate_columns(image, table), "integral")
    return known


def _report(observation: Observation, found: dict[str, tuple[str, str, Counts | str]]) -> Report:
    rows, counts, features = [], {}, {}
    for title, (name, way, counted) in found.items():
        row: dict[str, Any] = {"cross-section": name, "way": way}
        if isinstance(counted, str):
            rows.append(row | {"told": False, "why": counted})
            continue
        total, error = counted.total
        row |= {
            "told": counted.known,
            "columns": int(counted.columns["count"].notna().sum()),
            "left out": len(counted.left_out),
            "classes": len(counted.sections) if way == "mixture" else np.nan,
            "thinnest": counted.numbers[0] if counted.known and way == "mixture" else np.nan,
            "atoms": total,
            "error": error,
            "miscounted, %": 100 * counted.miscounted,
            "scale": counted.scale,
            "why": "; ".join(doubt.reason for doubt in counted.doubts),
        }
        rows.append(row)
        if counted.known:
            counts[title] = counted
            feature = "count_" + title.replace(", ", "_").replace(" ", "_")
            features[feature] = counted.columns["count"].to_numpy(dtype=float, na_value=np.nan)
    ways, agreement = pd.DataFrame(rows), _agreement(counts)
    lines = []
    for row in rows:
        head = f"{row['cross-section']}, {row['way']}: "
        if not row["told"]:
            lines.append(f"{head}cannot tell: {row['why']}")
            continue
        lines.append(
            f"{head}{row['atoms']:.0f} ± {row['error']:.1f} atoms in "
            f"{plural(row['columns'], 'column')}, {row['miscounted, %']:.2g} % miscounted"
        )
    lines += ["", *_conclusion(counts, agreement)]
    first = next(iter(counts.values()), None)
    if first is not None:
        lines += left_out_lines(first.left_out, len(first.columns))
    curves = {
        title: (counted.criterion["classes"].to_numpy(float), counted.icl - counted.icl.min())
        for title, (_, _, counted) in found.items()
        if isinstance(counted, Counts) and len(counted.icl)
    }
    curves = {title: (x[: len(y)], y) for title, (x, y) in curves.items()}
    tables = {"Ways": ways} | ({"Agreement": agreement} if len(agreement) else {})
    return Report(
        tuple(lines),
        tables,
        columns=observation.columns.assign(**features),
        features=tuple(features),
        plot=Plot(curves, "classes", "ICL above the best") if curves else None,
        headline=_headline(counts),
    )


def _headline(counts: dict[str, Counts]) -> str:
    totals = [counted.total for counted in counts.values()]
    if not totals:
        return "No way can tell the numbers of atoms"
    if len(totals) == 1:
        return f"{concise(*totals[0])} atoms by the one way that can tell"
    low, high = min(totals), max(totals)
    return f"{concise(*low)} to {concise(*high)} atoms, by {len(totals)} ways of counting"


def _agreement(counts: dict[str, Counts]) -> pd.DataFrame:
    """A row for each two ways: columns that both count, and how many alike."""
    rows, names = [], list(counts)
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            a, b = (
                counts[name].columns["count"].to_numpy(dtype=float, na_value=np.nan)
                for name in (one, other)
            )
            both = np.isfinite(a) & np.isfinite(b)
            away = (b - a)[both]
            rows.append(
                {
                    "one": one,
                    "other": other,
                    "columns": int(both.sum()),
                    "alike, %": 100 * float(np.mean(away == 0)) if len(away) else np.nan,
                    "mean difference": float(away.mean()) if len(away) else np.nan,
                }
            )
    return pd.DataFrame(rows)


def _conclusion(counts: dict[str, Counts], agreement: pd.DataFrame) -> list[str]:
    if not counts:
        return ["No way can tell the numbers of atoms."]
    if len(counts) == 1:
        return ["One way alone can tell: nothing confirms its numbers."]
    worst = agreement.sort_values("alike, %").iloc[0]
    totals = [counted.total[0] for counted in counts.values()]
    lines = [
        f"least alike: {worst['one']} and {worst['other']}, {worst['alike, %']:.0f} % of "
        f"{plural(int(worst['columns']), 'column')}, on average {worst['mean difference']:+.2f} "
        "atoms",
        f"totals from {min(totals):.0f} to {max(totals):.0f} atoms",
    ]
    stated = max(counted.total[1] for counted in counts.values())
    if max(totals) - min(totals) > 3 * stated:
        lines.append("They differ by more than their errors: those are not of a bias of the way.")
    return lines
