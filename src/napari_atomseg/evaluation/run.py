"""Compare models with baselines on data sets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.notices import one_line
from napari_atomseg.evaluation.case import (
    Case,
    Dataset,
    EvaluationResults,
    Mapper,
    Method,
    case_name,
)
from napari_atomseg.evaluation.datasets import Data, open_datasets, write_case
from napari_atomseg.evaluation.measure import measure
from napari_atomseg.evaluation.methods import open_methods
from napari_atomseg.evaluation.report import summarize, summarize_tasks
from napari_atomseg.evaluation.tasks import species_counts, task_scores
from napari_atomseg.localization.settings import Refine
from napari_atomseg.progress import Cancelled, CancelToken, Progress, report


def evaluate(
    models: Sequence[str | Path | Method] = ("stem-hr",),
    datasets: Sequence[Data] = ("columns",),
    baselines: Sequence[str] = ("raw", "gaussian"),
    *,
    doses: Sequence[float] = (),
    images: int = 20,
    seed: int = 0,
    shape: tuple[int, int] = (256, 256),
    sampling: float | None = None,
    dataset: int | str | None = None,
    frame: int | None = None,
    refine: Refine = "gaussian",
    device: str = "auto",
    out: str | Path | None = None,
    export: str | Path | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> pd.DataFrame:
    """Compare models with baselines on images whose truth is known.

    Parameters
    ----------
    models : names, weights files, folders of images that another program restored (named as the
        cases are), or methods of your own.
    datasets, doses, images, seed, shape, sampling, dataset, frame : see `open_datasets`. The same
        seed gives the same images.
    baselines : among "raw", "gaussian", "wiener", "nlm", "bm3d", "blobs" and "otsu".
    refine, device : see `localize`.
    out : folder for ``table.csv``, ``tasks.csv``, ``table.md`` with both, ``cases.csv``,
        ``reliability.csv`` and figures.
    export : folder for the images themselves and their truth, as a data set of files.

    Returns
    -------
    The table of `summarize`. Failures are counted there and listed in ``attrs["errors"]``. The
    rows of `summarize_tasks` are in ``attrs["tasks"]``: ``pd.DataFrame(table.attrs["tasks"])``.

    Raises
    ------
    ValueError, OSError
        An argument is wrong, or a folder cannot be written.
    Cancelled
        `cancel` was raised; nothing is written then but exported images.
    """
    sets = open_datasets(
        datasets,
        doses=doses,
        images=images,
        seed=seed,
        shape=shape,
        sampling=sampling,
        dataset=dataset,
        frame=frame,
    )
    methods = open_methods(models, baselines, refine=refine, device=device)
    results = run(sets, methods, len(models), export=export, progress=progress, cancel=cancel)
    table = summarize(results.cases, results.columns)
    tasks = summarize_tasks(results.tasks)
    table.attrs |= {"errors": errors(results.cases), "tasks": tasks.to_dict("records")}
    if out is not None:
        from napari_atomseg.evaluation.report import write_report

        report(progress, cancel, 1, 1, "writing the report")
        write_report(Path(out), table, tasks, results)
    return table


def run(
    datasets: Sequence[Dataset],
    methods: Sequence[Method],
    models: int,
    *,
    export: str | Path | None = None,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> EvaluationResults:
    """Apply all methods to all cases; failures are noted and do not stop the rest.

    Parameters
    ----------
    models : how many of the first methods are models, not baselines.
    export : folder for the cases, made if need be.
    """
    if export is not None:
        Path(export).mkdir(parents=True, exist_ok=True)
    total = sum(len(each) for each in datasets) * len(methods)
    rows: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    tasks: list[dict[str, Any]] = []
    for dataset in datasets:
        for index in range(len(dataset)):
            about: dict[str, Any] = {
                "data": dataset.name,
                "dose": np.nan if dataset.dose is None else dataset.dose,
                "index": index,
                "case": case_name(dataset, index),
            }
            report(progress, cancel, len(rows), total, about["case"])
            try:
                case = dataset.case(index)
            except Cancelled:
                raise
            except Exception as error:  # one bad image must not end the run
                rows += [{**about, "method": m.name, **_failure(error)} for m in methods]
                continue
            about["case"] = case.name
            if export is not None:
                write_case(Path(export), case)
            for method in methods:
                report(progress, cancel, len(rows), total, f"{case.name}: {method.name}")
                row, table, further = _applied(case, method)
                rows.append({**about, "method": method.name, **row})
                same = {k: about[k] for k in ("data", "dose", "case")} | {"method": method.name}
                tasks += [{**same, **each} for each in further]
                if len(table):
                    tables.append(table.assign(**same, sampling=case.sampling or np.nan))
    report(progress, cancel, total, total, "done")
    columns = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return EvaluationResults(
        pd.DataFrame(rows), columns, pd.DataFrame(tasks), datasets, methods, models
    )


def errors(cases: pd.DataFrame) -> list[str]:
    """A line for each case that failed."""
    failed = cases[cases["error"] != ""]
    rows = failed[["case", "method", "error"]].itertuples(index=False)
    return [f"{case}, {method}: {error}" for case, method, error in rows]


def _applied(
    case: Case, method: Method
) -> tuple[dict[str, Any], pd.DataFrame, list[dict[str, Any]]]:
    """The row of the case, those of its columns, and those of its tasks."""
    start = time.perf_counter()
    try:
        outcome = method(case)
        seconds = time.perf_counter() - start
        row, table = measure(case, outcome)
        tasks = species_counts(case, outcome)
        if isinstance(method, Mapper):
            tasks += task_scores(case, method.maps(case))
    except Cancelled:
        raise
    except Exception as error:  # one bad case must not end the run
        return _failure(error), pd.DataFrame(), []
    return {"seconds": seconds, "error": "", **row}, table, tasks


def _failure(error: Exception) -> dict[str, Any]:
    told = one_line(error)
    return {"seconds": np.nan, "error": told}
