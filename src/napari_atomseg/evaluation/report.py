"""The report of a run: tables of scores, their files and figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import whole_file
from napari_atomseg.evaluation.case import Case, Dataset, EvaluationResults
from napari_atomseg.evaluation.figures import draw_doses, draw_reliability, draw_worst
from napari_atomseg.evaluation.measure import (
    LEVELS,
    coverage,
    expected_calibration_error,
    reliability,
)
from napari_atomseg.io.columns.csv_table import write_csv

KEYS = ["data", "dose", "method"]
"""Columns that identify a row of the table."""
PICOMETRES = 100.0
"""Picometres per Å."""
CREDIBLE = 3.0
"""Volumes off by more than this factor are excluded as not those of the column."""


def summarize(cases: pd.DataFrame, columns: pd.DataFrame) -> pd.DataFrame:
    """Scores of each data set, dose and method.

    Parameters
    ----------
    cases : a row each image and method: `KEYS`, ``case``, ``error``, ``seconds``, and the scores of
        `measure`.
    columns : a row each column found: `KEYS`, ``case``, ``sampling``, and the columns of `measure`.

    Returns
    -------
    A row for each, in order of first appearance, with

    - ``images``; ``failed`` ones, which count nowhere else; median ``seconds`` an image;
    - ``psnr``, ``psnr_affine`` (dB) and ``ssim``: means over images;
    - ``precision``, ``recall``, ``f1`` of all columns together, where there are any, and
      ``edge_recall`` of those at the edge of the specimen, see `edge_columns`;
    - ``rmse_px``, ``rmse_pm``: root mean square distance from the true place;
    - ``rmse_bound``: the same over the Cramér–Rao bound; ``median_bound``: the median distance over
      that of normal errors at the bound;
    - ``volume_bias``: median of volume over the true one, less 1; ``volume_error``: root mean
      square deviation from its image's median, relative to it;
    - ``false`` columns an image, and those of them ``away`` from all matter;
    - ``ece``: expected calibration error of scores; ``cover68``, ``cover95``: share of errors that
      the error bars of that level hold.
    """
    rows = []
    found = dict(list(columns.groupby(KEYS, dropna=False))) if len(columns) else {}
    found = {_key(key): table for key, table in found.items()}
    for key, some in cases.groupby(KEYS, dropna=False, sort=False):
        rows.append(
            {
                **dict(zip(KEYS, key, strict=True)),
                **_of_images(some),
                **_of_columns(found.get(_key(key), pd.DataFrame())),
            }
        )
    return pd.DataFrame(rows)


def summarize_tasks(tasks: pd.DataFrame) -> pd.DataFrame:
    """Scores of further tasks, of each data set, dose and method.

    Parameters
    ----------
    tasks : a row each image, method and task: `KEYS`, ``task``, and what `task_scores` and
        `species_counts` give.

    Returns
    -------
    A row for each, in order of first appearance, with

    - ``images`` that the task was scored on;
    - ``psnr``, ``psnr_affine`` (dB), ``dice``: means over images;
    - ``right``: share of the columns found whose species is right (task "elements");
    - ``precision``, ``recall``, ``f1`` of a species (task "elements: NAME"), over its columns in
      all images; a column that was not found counts as missed.
    """
    if tasks.empty:
        return pd.DataFrame()
    rows = []
    names = [*KEYS, "task"]
    for key, some in tasks.groupby(names, dropna=False, sort=False):
        about: dict[str, Any] = dict(zip(names, key, strict=True))
        means = {
            n: some[n].mean() if n in some else np.nan for n in ("psnr", "psnr_affine", "dice")
        }
        n = {count: _total(some, count) for count in ("paired", "true", "named", "right")}
        rows.append(
            {
                **about,
                "images": len(some),
                **means,
                "right": _ratio(n["right"], n["paired"]),
                "precision": _ratio(n["right"], n["named"]),
                "recall": _ratio(n["right"], n["true"]),
                "f1": _ratio(2 * n["right"], n["true"] + n["named"]),
            }
        )
    return pd.DataFrame(rows)


def _total(rows: pd.DataFrame, name: str) -> float:
    return float(rows[name].sum()) if name in rows else 0.0


def _key(key: Any) -> tuple[str, ...]:
    return tuple(str(each) for each in key)  # NaN is not equal to itself


def _of_images(cases: pd.DataFrame) -> dict[str, float]:
    good = cases[cases["error"] == ""]
    row: dict[str, float] = {
        "images": len(cases),
        "failed": len(cases) - len(good),
        "seconds": good["seconds"].median(),
    }
    for name in ("psnr", "psnr_affine", "ssim"):
        row[name] = good[name].mean() if name in good else np.nan
    counts = ("found", "visible", "hits", "edges", "edge_hits", "away")
    counted = good.dropna(subset=list(counts)) if set(counts) <= set(good) else good.iloc[:0]
    n = {name: float(counted[name].sum()) if len(counted) else np.nan for name in counts}
    row["recall"] = _ratio(n["hits"], n["visible"])
    some = n["visible"] > 0
    row["precision"] = _ratio(n["hits"], n["found"]) if some else np.nan
    row["f1"] = _ratio(2 * n["hits"], n["found"] + n["visible"]) if some else np.nan
    row["edge_recall"] = _ratio(n["edge_hits"], n["edges"])
    row["false"] = _ratio(n["found"] - n["hits"], len(counted))
    row["away"] = _ratio(n["away"], len(counted))
    return row


def _of_columns(columns: pd.DataFrame) -> dict[str, float]:
    names = ["rmse_px", "rmse_pm", "rmse_bound", "median_bound", "volume_bias", "volume_error"]
    row = dict.fromkeys([*names, "ece", *_cover_names()], np.nan)
    if columns.empty:
        return row
    square = columns["dy"] ** 2 + columns["dx"] ** 2
    over = square / columns["bound"] ** 2
    row["rmse_px"] = np.sqrt(square.mean())
    row["rmse_pm"] = PICOMETRES * np.sqrt((square * columns["sampling"] ** 2).mean())
    row["rmse_bound"] = np.sqrt(over.mean())
    # Two normal errors of equal deviation: the square has the median ln 2 times its mean.
    row["median_bound"] = np.sqrt(over.median() / np.log(2))
    row["volume_bias"], row["volume_error"] = _volumes(columns)
    row["ece"] = expected_calibration_error(columns["score"], columns["hit"])
    errors = np.concatenate([columns["dy"], columns["dx"]])
    bars = np.concatenate([columns["y_err"], columns["x_err"]])
    for name, level in zip(_cover_names(), LEVELS, strict=True):
        row[name] = coverage(errors, bars, level)
    return row


def _cover_names() -> list[str]:
    return [f"cover{100 * level:.0f}" for level in LEVELS]


def _volumes(columns: pd.DataFrame) -> tuple[float, float]:
    """Bias and error of volumes, without those that are not credible."""
    known = columns.dropna(subset=["volume"])
    if known.empty:
        return np.nan, np.nan
    usual = known.groupby("case")["volume"].transform("median")
    relative = known["volume"] / usual
    credible = relative.between(1 / CREDIBLE, CREDIBLE)
    error = np.sqrt(((relative[credible] - 1.0) ** 2).mean())
    return float(known["volume"].median() - 1.0), float(error)


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")


WORST = 5
"""Number of worst cases shown for each data set."""
DIGITS = {"seconds": 2, "psnr": 1, "psnr_affine": 1, "rmse_pm": 1, "rmse_bound": 2}
"""Decimals in the Markdown table; others have three."""
WHOLE = ("images", "failed")


def write_report(
    folder: Path, table: pd.DataFrame, tasks: pd.DataFrame, results: EvaluationResults
) -> None:
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
            write_csv(folder / f"{name}.csv", content)
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
    """Tables in Markdown, without empty tables and empty columns.

    Unknown values are left empty.
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
    """The worst cases of a data set: of lowest PSNR; of lowest F1 without a true image; with the
    most false columns where there is no column.
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
    """The cases of rows of a data set."""
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
