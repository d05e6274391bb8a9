"""The tables of the frames of a film, which a run wrote one by one, joined into one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_atomseg._shared.files import provenance, whole_file
from napari_atomseg._shared.plain_json import read_json_file
from napari_atomseg.io import read_columns
from napari_atomseg.io.columns.csv_table import spreadsheet_safe, write_table
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.workflow.saved import DONE, RECORD

_FRAME = re.compile(r"\[(\d+)\]$|-(\d{4,})$")
"""The number of a frame in the name of its image."""


def join_frames(
    folder: str | Path,
    target: str | Path,
    *,
    step: str | None = None,
    columns: Sequence[str] = (),
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[int, int]:
    """Join the tables of columns of a film's frames into one, with a column ``frame``.

    One table is in memory at a time, however long the film is. Frames that failed are left out.

    Parameters
    ----------
    folder : results of `run_files` for `frames` or `frames_of` of one film.
    target : CSV to write.
    step : name of the step whose tables are joined; by default that of the first table.
    columns : names of further columns beside ``frame``, ``y`` and ``x``; by default all columns of
        the first table. Tracks need no others.

    Returns
    -------
    Number of frames, and of columns in all of them.

    Raises
    ------
    OSError
        There are no such tables, two are of one frame, or a file cannot be read or written.
    """
    found = _tables(Path(folder), step)
    total = 0
    with whole_file(target) as partial:
        names: list[str] = []
        for place, (number, path) in enumerate(sorted(found.items())):
            report(progress, cancel, place, len(found), f"frame {number}")
            table = read_columns(path)
            if not names:
                wanted = ["y", "x", *columns] if columns else list(map(str, table))
                names = list(dict.fromkeys(["frame", *wanted]))
            sampling = table.attrs.get("sampling")
            table = table.assign(frame=number).reindex(columns=names)
            table.attrs = {}  # which are those of one frame
            total += len(table)
            if place == 0:
                settings = {"step": step, "columns": list(columns)}
                record = provenance("join", Path(folder).name, settings)
                write_table(partial, table, {"sampling": sampling, **record})
                continue
            with partial.open("a", encoding="utf-8", newline="") as file:
                spreadsheet_safe(table).to_csv(file, index=False, header=False, lineterminator="\n")
    return len(found), total


def _tables(folder: Path, step: str | None) -> dict[int, Path]:
    """The table of each frame by its number."""
    found: dict[int, Path] = {}
    for record in folder.glob(f"*/{RECORD}"):
        kept: Any = read_json_file(record)
        number = _FRAME.search(str(kept.get("image", "")))
        if kept.get("status") != DONE or number is None:
            continue
        tables = [name for name in kept.get("files", ()) if name.endswith(".csv")]
        wanted = [name for name in tables if step is None or name == f"{step}.csv"]
        if not wanted:
            continue
        frame = int(number[1] or number[2])
        if frame in found:
            raise OSError(f"{folder}: frame {frame} is there twice: it holds more than one film")
        found[frame] = record.parent / wanted[0]
    if not found:
        which = "of columns" if step is None else f"of the step {step!r}"
        raise OSError(f"{folder}: no tables {which} of the frames of a film in it")
    return found
