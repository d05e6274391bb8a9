"""Reports as files: tables as CSV, images as TIFF."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from napari_atomseg._shared.files import whole_file
from napari_atomseg._shared.types import Sampling
from napari_atomseg.io import write_columns, write_image
from napari_atomseg.io.columns.csv_table import write_table
from napari_atomseg.measurements.registry import Measurement, Needs
from napari_atomseg.measurements.report import ImageMarks, Report


def write_report(
    known: Measurement,
    report: Report,
    output: Path,
    sampling: Sampling | None,
    record: Mapping[str, Any],
) -> list[Path]:
    """Write the result of a measurement, and further tables beside it.

    Parameters
    ----------
    output : file of the table that is the result; of a measurement of an image, a folder for its
        images, made where there is none.
    sampling : Å per pixel of these images.
    record : how the report was made, kept in every file.

    Returns
    -------
    The files that were written.

    Raises
    ------
    OSError
        A file cannot be written.
    """
    record = {**record, **report.record}
    written = []
    if known.columns is Needs.REQUIRED or report.result:
        for title, table in report.tables.items():
            if title != report.result:
                name = title.lower().replace(" ", "-")
                beside = output.with_name(f"{output.stem}-{name}.csv")
                written.append(_write_table(beside, table, record))
        if report.table is not None:
            written.append(_write_table(output, report.table, record))
        return written
    output.mkdir(parents=True, exist_ok=True)
    for each in report.marks:
        if isinstance(each, ImageMarks):
            path = output / f"{each.name}.tif"
            write_image(path, each.values.astype("float32"), sampling, record)
            written.append(path)
    if report.columns is not None:
        written.append(_write_table(output / "columns.csv", report.columns, record))
    return written


def _write_table(path: Path, table: pd.DataFrame, record: dict[str, Any]) -> Path:
    if {"y", "x"} <= set(table):
        write_columns(path, table, record)
        return path
    with whole_file(path) as partial:
        write_table(partial, table, record)
    return path
