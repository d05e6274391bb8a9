"""Figures of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from napari_atomseg._shared.files import whole_file
from napari_atomseg.evaluation.case import Case, Method, Outcome
from napari_atomseg.evaluation.measure import image_scores
from napari_atomseg.evaluation.tasks import pair

SHOWN = {
    "psnr_affine": "PSNR, best affine fit (dB)",
    "f1": "F1",
    "rmse_pm": "position RMSE (pm)",
    "rmse_bound": "RMSE / Cramér–Rao bound",
    "volume_error": "relative volume error",
    "false": "false columns an image",
}
"""Scores drawn against the dose."""
LOGARITHMIC = ("rmse_pm", "rmse_bound")
TICKS = [digit * 10.0**power for power in range(-3, 5) for digit in (1, 2, 5)]
"""Possible ticks of logarithmic axes."""
FAINT, CLEAR, FOUND = "#8e8e93", "#34c759", "#ff3b30"
"""Colours of true columns too faint to count, of other true columns, and of columns found."""


def draw_doses(path: Path, table: pd.DataFrame) -> None:
    """Scores against the dose: a row each data set, a line each method. Without doses, bars."""
    names = list(dict.fromkeys(table["data"]))
    scores = [name for name in SHOWN if table[name].notna().any()] or ["seconds"]
    figure = _figure(3.4 * len(scores), 2.9 * len(names))
    panels = figure.subplots(len(names), len(scores), squeeze=False)
    methods = {name: f"C{i % 10}" for i, name in enumerate(dict.fromkeys(table["method"]))}
    for row, data in zip(panels, names, strict=True):
        of_set = table[table["data"] == data].replace(np.inf, np.nan)
        for panel, score in zip(row, scores, strict=True):
            if of_set[score].isna().all():
                panel.set_axis_off()
                continue
            _draw_score(panel, of_set, score, methods)
            panel.set_title(data, fontsize=9)
            panel.set_ylabel(SHOWN.get(score, score), fontsize=8)
    lines = [panels[0][0].plot([], [], "o-", color=c, label=n)[0] for n, c in methods.items()]
    figure.legend(handles=lines, loc="outside lower center", ncols=min(len(lines), 6), fontsize=8)
    _save(figure, path)


def draw_reliability(path: Path, curves: pd.DataFrame) -> None:
    """Share of right detections against their score, a panel each data set."""
    names = list(dict.fromkeys(curves["data"]))
    figure = _figure(3.6 * len(names), 3.9)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for panel, data in zip(panels, names, strict=True):
        panel.plot([0, 1], [0, 1], color="0.7", lw=0.8)
        of_set = curves[curves["data"] == data]
        for (method, dose), some in of_set.groupby(["method", "dose"], dropna=False, sort=False):
            label = method if np.isnan(dose) else f"{method}, {dose:g}"
            panel.plot(some["score"], some["right"], ".-", lw=0.9, label=label)
        panel.set(xlim=(0, 1), ylim=(0, 1), title=data, xlabel="score", ylabel="share right")
        panel.legend(fontsize=6)
    _save(figure, path)


def draw_worst(path: Path, method: Method, cases: Sequence[Case]) -> None:
    """A row each case: image, restored, truth, and the columns found and true."""
    figure = _figure(13.0, 3.3 * len(cases))
    for panels, case in zip(figure.subplots(len(cases), 4, squeeze=False), cases, strict=True):
        outcome = method(case)
        _image(panels[0], case.image, case.name)
        _image(panels[1], outcome.restored, f"{method.name}{_scored(case, outcome)}")
        _image(panels[2], case.truth, "truth")
        _image(panels[3], case.image, "columns: true ○ (grey: too faint to count), found +")
        if case.columns is not None and outcome.columns is not None:
            seen = pair(case, outcome.columns).visible
            for some, colour in ((~seen, FAINT), (seen, CLEAR)):
                _points(
                    panels[3],
                    case.columns[some],
                    marker="o",
                    facecolors="none",
                    edgecolors=colour,
                )
        _points(panels[3], outcome.columns, marker="+", c=FOUND)
        rows, cols = case.image.shape
        panels[3].set(xlim=(-0.5, cols - 0.5), ylim=(rows - 0.5, -0.5))
    _save(figure, path)


def _scored(case: Case, outcome: Outcome) -> str:
    """Score of the restored image of a case, as text; empty without the truth."""
    if outcome.restored is None or case.truth is None:
        return ""
    score = image_scores(outcome.restored, case.truth)["psnr_affine"]
    return f": {score:.1f} dB" if np.isfinite(score) else ""


def _draw_score(panel: Any, table: pd.DataFrame, score: str, colours: dict[str, str]) -> None:
    if table["dose"].notna().any():
        for method, some in table.groupby("method", sort=False):
            panel.plot(some["dose"], some[score], "o-", ms=3, color=colours[str(method)])
        _logarithmic(panel.xaxis, sorted(set(table["dose"].dropna())))
        panel.set_xlabel("dose (e⁻/Å²)", fontsize=8)
    else:
        panel.bar(table["method"], table[score], color=[colours[m] for m in table["method"]])
        panel.set_xticks([])
    if score in LOGARITHMIC and (table[score] > 0).any():
        low, high = panel.get_ylim()
        _logarithmic(panel.yaxis, [t for t in TICKS if low <= t <= high] or [low, high])


def _logarithmic(axis: Any, ticks: Sequence[float]) -> None:
    """A logarithmic axis with few labels, which would overlap within one decade."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_ticks(ticks, labels=[f"{tick:g}" for tick in ticks])
    axis.set_minor_formatter(NullFormatter())


def _points(panel: Any, columns: pd.DataFrame | None, **style: Any) -> None:
    if columns is not None:
        panel.scatter(columns["x"], columns["y"], s=18, lw=0.7, **style)


def _image(panel: Any, image: Any, title: str) -> None:
    panel.set_axis_off()
    panel.set_title(title, fontsize=8)
    if image is not None:
        low, high = np.percentile(image[np.isfinite(image)], [0.5, 99.8])
        panel.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as partial:
        figure.savefig(partial, dpi=90, format="png")
