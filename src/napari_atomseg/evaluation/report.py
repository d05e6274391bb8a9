"""The folder that a run leaves: tables and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg.evaluation.calibration import reliability
from napari_atomseg.evaluation.case import Case, Dataset
from napari_atomseg.evaluation.figures import draw_doses, draw_reliability, draw_worst
from napari_atomseg.evaluation.run import Results
from napari_atomseg.evaluation.summary import KEYS
from napari_atomseg.io.atomic import whole_file

WORST = 5
"""Cases of a data set that are shown."""
DIGITS = {"seconds": 2, "psnr": 1, "psnr_affine": 1, "rmse_pm": 1, "rmse_bound": 2}
"""Digits behind the point of the Markdown table; others have three."""
WHOLE = ("images", "failed")


def write_report(folder: Path, table: pd.DataFrame, tasks: pd.DataFrame, results: Results) -> None:
    """Write ``table.csv``, ``tasks.csv``, ``table.md``, ``cases.csv``, ``reliability.csv`` and the
    figures; no ``tasks.csv`` where no further task was scored.

    Parameters
    ----------
    table, tasks : of `summarize` and `summarize_tasks`.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = reliability_curves(results.columns)
    contents = {"table": table, "tasks": tasks, "cases": results.cases, "reliability": curves}
    for name, content in contents.items():
        if name != "tasks" or len(tasks):
            with whole_file(folder / f"{name}.csv") as partial:
                content.to_csv(partial, index=False)
    with whole_file(folder / "table.md") as partial:
        partial.write_text(markdown(table, tasks), encoding="utf-8")
    draw_doses(folder / "doses.png", table)
    if len(curves):
        draw_reliability(folder / "reliability.png", curves)
    for method in results.methods[: results.models]:
        for name in dict.fromkeys(dataset.name for dataset in results.datasets):
            worst = worst_cases(results.cases, name, method.name)
            if len(worst):
                cases = _made(results.datasets, name, worst)
                path = folder / f"worst-{_file_name(name)}-{_file_name(method.name)}.png"
                draw_worst(path, method, cases)


def markdown(*tables: pd.DataFrame) -> str:
    """Tables in Markdown, those without rows left out.

    What is not known is left empty; a column of nothing else is left out.
    """
    return "\n".join(_markdown(table) for table in tables if len(table))


def _markdown(table: pd.DataFrame) -> str:
    shown = table.dropna(axis=1, how="all")
    names = [str(name) for name in shown.columns]
    lines = [names, ["---"] * len(names)]
    lines += [[_cell(n, v) for n, v in row.items()] for row in shown.to_dict("records")]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def reliability_curves(columns: pd.DataFrame) -> pd.DataFrame:
    """`reliability` of each data set, dose and method whose detections have scores."""
    scored = columns.dropna(subset=["score"]) if len(columns) else columns
    parts = []
    if len(scored):
        for key, some in scored.groupby(KEYS, dropna=False, sort=False):
            curve = reliability(some["score"], some["hit"])
            about: dict[str, Any] = dict(zip(KEYS, key, strict=True))
            parts.append(curve.assign(**about)[[*KEYS, *curve.columns]])
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()


def worst_cases(cases: pd.DataFrame, data: str, method: str) -> pd.DataFrame:
    """The worst cases of a data set: of lowest PSNR, or F1 where no truth image is known, or with
    the most false columns where there is no column.
    """
    some = cases[(cases["data"] == data) & (cases["method"] == method) & (cases["error"] == "")]
    for name, worth in (("psnr_affine", _same), ("hits", _f1), ("found", _few)):
        if name in some and some[name].notna().any():
            order = worth(some, name)
            if order.notna().any():
                return some.loc[order.sort_values(kind="stable").index[:WORST]]
    return some.iloc[:0]


def _same(cases: pd.DataFrame, name: str) -> pd.Series[float]:
    return cases[name].astype(float)


def _few(cases: pd.DataFrame, name: str) -> pd.Series[float]:
    return -cases[name].astype(float)


def _f1(cases: pd.DataFrame, name: str) -> pd.Series[float]:
    return 2 * cases[name] / (cases["found"] + cases["visible"]).where(cases["visible"] > 0)


def _made(datasets: Sequence[Dataset], name: str, rows: pd.DataFrame) -> list[Case]:
    """The cases of rows of a data set, made again."""
    doses = {each.dose: each for each in datasets if each.name == name}
    keys = zip(rows["dose"].astype(float), rows["index"].astype(int), strict=True)
    return [doses[None if np.isnan(dose) else dose].case(index) for dose, index in keys]


def _cell(name: Any, value: Any) -> str:
    if isinstance(value, str):
        return value
    number = float(value)
    if np.isnan(number):
        return ""
    if name == "dose":
        return f"{number:g}"
    return f"{number:.{0 if name in WHOLE else DIGITS.get(name, 3)}f}"


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "-" for c in name)
