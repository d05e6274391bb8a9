"""Results of a workflow as files in a folder, with a record by which a later run knows them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_atomseg._shared.files import plain, provenance, whole_file
from napari_atomseg._shared.plain_json import read_json_file
from napari_atomseg._shared.types import Sampling
from napari_atomseg._shared.units import mean_sampling
from napari_atomseg.alignment.settings import AVERAGE, NOISE
from napari_atomseg.io import MicroscopeImage, write_columns, write_image
from napari_atomseg.io.columns.csv_table import write_csv
from napari_atomseg.io.inputs import INPUT, columns_input, image_input, positions
from napari_atomseg.measurements import MEASUREMENTS, Report
from napari_atomseg.measurements.files import write_report
from napari_atomseg.workflow.actions import MEASURE, identity
from napari_atomseg.workflow.images import ImageArray, ImageFile
from napari_atomseg.workflow.run import Results
from napari_atomseg.workflow.steps import IMAGE, Step, Workflow

DONE, FAILED = "done", "failed"
RECORD = "result.json"


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
    error : median of their standard errors, px; None where they have none.
    summary : what the steps say of themselves, a sentence each.
    files : names of the files that were written, in the image's folder of results.
    key : hash of the image and the workflow.
    place : the image's folder of results.
    kept : whether an earlier run has done it.
    """

    image: str
    status: str
    reason: str = ""
    sampling: Sampling | None = None
    columns: int | None = None
    error: float | None = None
    summary: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    key: str = ""
    place: str = field(default="", compare=False)
    kept: bool = field(default=False, compare=False)

    @property
    def error_in_words(self) -> str:
        """The median error with its unit; empty where there is none."""
        if self.error is None:
            return ""
        if self.sampling is None:
            return f"{self.error:.3f} px"
        return f"{100 * self.error * mean_sampling(self.sampling):.1f} pm"


def key_of(workflow: Workflow, image: ImageFile | ImageArray, sampling: Sampling | None) -> str:
    """Hash of all that the results of an image depend on."""
    parts = (workflow.yaml(), repr(sampling), image.key())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def saved(folder: Path, key: str) -> FileResult | None:
    """The result of an earlier run, if it is of the same image and workflow, and all there."""
    try:
        kept: dict[str, Any] = read_json_file(folder / RECORD)
        values: dict[str, Any] = {
            name: tuple(v) if isinstance(v, list) else v for name, v in kept.items()
        }
        result = FileResult(**values)
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    whole = result.key == key and all((folder / name).exists() for name in result.files)
    return replace(result, place=str(folder), kept=True) if whole else None


def save(
    workflow: Workflow,
    results: Results,
    folder: Path,
    label: str,
    key: str,
    image: MicroscopeImage,
) -> FileResult:
    """Write the results of all steps of one image, and then the record that they are there.

    Parameters
    ----------
    label : of the image, in tables.

    Raises
    ------
    OSError
        The folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / RECORD).unlink(missing_ok=True)
    described = {IMAGE: image.metadata[INPUT]}
    paths = [
        path
        for step in workflow.steps
        for path in _written(step, results, folder, label, described)
    ]
    columns = _last_columns(workflow, results)
    result = FileResult(
        label,
        DONE,
        sampling=results.samplings[IMAGE],
        columns=_count(workflow, results) if columns is None else len(columns),
        error=None if columns is None else _median_error(columns),
        summary=(*image.notes, *results.notes, *_told(workflow, results)),
        files=tuple(path.relative_to(folder).as_posix() for path in paths),
        key=key,
    )
    kept = {name: value for name, value in asdict(result).items() if name not in ("place", "kept")}
    with whole_file(folder / RECORD) as partial:
        partial.write_text(json.dumps(plain(kept)), encoding="utf-8")
    return replace(result, place=str(folder))


def summary_of(found: Sequence[FileResult]) -> str:
    """How many images are done and how many failed, in a line."""
    done = [each for each in found if each.status == DONE]
    before, failed = sum(each.kept for each in done), len(found) - len(done)
    text = f"{len(found)} image{'s' * (len(found) != 1)}: {len(done)} done"
    text += f" ({before} of them before)" if before else ""
    return text + (f", {failed} failed" if failed else "")


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
            "median_error": each.error_in_words,
            "summary": "; ".join(each.summary),
        }
        for each in found
    ]
    table = pd.DataFrame(rows).astype({"columns": "Int64"})
    write_csv(path, table)


def file_name(title: str) -> str:
    """A title as the name of a file, without a suffix."""
    return re.sub(r"[^\w.-]+", "-", title).strip("-.") or "result"


def _written(
    step: Step, results: Results, folder: Path, label: str, described: dict[str, Any]
) -> Iterator[Path]:
    """Write the result of a step, and describe it for the records of later ones; yields the files.

    Parameters
    ----------
    described : the image and the results of earlier steps, by name; this one is added.
    """
    value, name = results[step.name], file_name(step.name)
    record = _record(step, results, Path(label).name, described)
    table = results.columns(step.name) if step.what.gives in ("columns", "report") else None
    if table is not None:
        made = table.copy()
        made.attrs |= record
        described[step.name] = columns_input(made, step.name)
    elif not isinstance(value, Report):
        described[step.name] = image_input(value, step.name, record=record)
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


def _record(
    step: Step, results: Results, source: str, described: Mapping[str, Any]
) -> dict[str, Any]:
    """How the result of a step was made."""
    settings = step.what.checked(step.settings)
    model, known = step.model, step.sha256
    if not model and step.action in ("restore", "segment"):
        model, known = identity(settings["model"])
    if settings.get("sampling") is None:
        settings["sampling"] = results.samplings[step.of]
    of, beside = step.of, step.on if step.with_image else ""
    if step.columns:
        of, beside = step.columns, step.of
    inputs = {"of": described[of]} | ({"on": described[beside]} if beside else {})
    columns = results.columns(step.name) if step.what.gives in ("columns", "report") else None
    made = results[step.name] if step.what.gives in ("image", "labels") else None
    record = provenance(
        step.action,
        source,
        settings,
        model=model,
        sha256=known,
        inputs=inputs,
        result=made if columns is None else positions(columns),
    )
    if step.region is not None:
        record["polygons"] = plain(step.region)
    if step.frame is not None:
        record["frame"] = list(step.frame)
    if step.name in results.noises:
        record |= {"part": AVERAGE, NOISE: results.noises[step.name]}
    return record


def _last_columns(workflow: Workflow, results: Results) -> pd.DataFrame | None:
    for step in reversed(workflow.steps):
        if step.what.gives in ("columns", "report"):
            columns = results.columns(step.name)
            if columns is not None:
                return columns
    return None


def _median_error(columns: pd.DataFrame) -> float | None:
    if not {"y_err", "x_err"} <= set(columns):
        return None
    errors = np.hypot(*columns[["y_err", "x_err"]].to_numpy(dtype=float).T)
    errors = errors[np.isfinite(errors)]
    return float(np.median(errors)) if len(errors) else None


def _count(workflow: Workflow, results: Results) -> int | None:
    """Number of labels, where no step has columns."""
    for step in reversed(workflow.steps):
        if step.what.gives == "labels":
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
