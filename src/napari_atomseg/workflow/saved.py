"""Results of a workflow as files in a folder, with a record by which a later run knows them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import plain, provenance, sha256, whole_file
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io import write_columns, write_image
from napari_atomseg.io.columns.csv_table import spreadsheet_safe
from napari_atomseg.measurements import MEASUREMENTS, Report
from napari_atomseg.measurements.files import write_report
from napari_atomseg.workflow.actions import MEASURE
from napari_atomseg.workflow.run import Results
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow

DONE, FAILED = "done", "failed"
_RECORD = "result.json"


@dataclass(frozen=True)
class FileResult:
    """What became of one file.

    Attributes
    ----------
    image : the file.
    status : "done" or "failed".
    reason : why it failed; empty where it did not.
    sampling : Å per pixel that was used; None where it is not known.
    columns : number of columns that the last step with columns has.
    summary : what the steps say of themselves, a sentence each.
    files : names of the files that were written, in the image's folder of results.
    key : hash of the image and the workflow.
    """

    image: str
    status: str
    reason: str = ""
    sampling: Sampling | None = None
    columns: int | None = None
    summary: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    key: str = ""


def key_of(workflow: Workflow, file: Path, sampling: Sampling | None) -> str:
    """Hash of all that the results of a file depend on."""
    parts = (workflow.yaml(), repr(sampling), sha256(file))
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def saved(folder: Path, key: str) -> FileResult | None:
    """The result of an earlier run, if it is of the same image and workflow, and all there."""
    try:
        kept: dict[str, Any] = json.loads((folder / _RECORD).read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()
        }
        result = FileResult(**values)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    whole = result.key == key and all((folder / name).exists() for name in result.files)
    return result if whole else None


def save(
    workflow: Workflow, results: Results, folder: Path, file: Path, key: str, notes: Sequence[str]
) -> FileResult:
    """Write the results of all steps of one file, and then the record that they are there.

    Parameters
    ----------
    notes : on the file, for the summary.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _RECORD).unlink(missing_ok=True)
    paths = [path for step in workflow.steps for path in _written(step, results, folder, file)]
    result = FileResult(
        str(file),
        DONE,
        sampling=results.samplings[IMAGE],
        columns=_count(workflow, results),
        summary=(*notes, *results.notes, *_told(workflow, results)),
        files=tuple(str(path.relative_to(folder)) for path in paths),
        key=key,
    )
    with whole_file(folder / _RECORD) as partial:
        partial.write_text(json.dumps(plain(asdict(result))), encoding="utf-8")
    return result


def write_summary(path: Path, found: Sequence[FileResult]) -> None:
    """Write a table with a row an image: status, reason, sampling, columns, summary."""
    rows = [
        {
            "image": each.image,
            "status": each.status,
            "reason": each.reason,
            "sampling": ""
            if each.sampling is None
            else " ".join(map(str, np.ravel(each.sampling))),
            "columns": each.columns,
            "summary": "; ".join(each.summary),
        }
        for each in found
    ]
    table = pd.DataFrame(rows).astype({"columns": "Int64"})
    with whole_file(path) as partial:
        spreadsheet_safe(table).to_csv(partial, index=False)


def file_name(title: str) -> str:
    """A title as the name of a file, without a suffix."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-.") or "result"


def _written(step: Step, results: Results, folder: Path, file: Path) -> Iterator[Path]:
    """Write the result of a step; yields the files."""
    value, name = results[step.name], file_name(step.name)
    settings = step.what.checked(step.settings) | {"sampling": results.samplings[step.of]}
    record = provenance(step.action, file.name, settings, model=step.model, sha256=step.sha256)
    if isinstance(value, Report):
        known = MEASUREMENTS[step.action.removeprefix(MEASURE)]
        of_columns = step.what.takes == "columns" or value.result
        place = folder / (f"{name}.csv" if of_columns else name)
        yield from write_report(known, value, place, results.samplings[step.of], record)
    elif isinstance(value, pd.DataFrame):
        write_columns(folder / f"{name}.csv", value, record)
        yield folder / f"{name}.csv"
    else:
        write_image(folder / f"{name}.tif", value, results.samplings[step.name], record)
        yield folder / f"{name}.tif"


def _count(workflow: Workflow, results: Results) -> int | None:
    for step in reversed(workflow.steps):
        if step.what.gives in ("columns", "report"):
            columns = results.columns(step.name)
            if columns is not None:
                return len(columns)
        elif step.what.gives == "labels":
            planes = results[step.name].reshape(-1, *results[step.name].shape[-2:])
            return sum(int(np.count_nonzero(np.unique(plane))) for plane in planes)
    return None


def _told(workflow: Workflow, results: Results) -> Iterator[str]:
    """What the steps say of their results."""
    for step in workflow.steps:
        value = results[step.name]
        lines = (
            value.summary if isinstance(value, Report) else getattr(value, "attrs", {}).get("notes")
        )
        yield from (f"{step.name}: {line}" for line in lines or ())
