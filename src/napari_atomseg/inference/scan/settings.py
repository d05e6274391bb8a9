"""Options of everything that undoes the displacement of scan lines."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from napari_atomseg.settings import Settings, setting

Scan = Literal["auto", "rows", "columns", "none"]
ADVANCED = "Advanced"
LINES_MODEL = "scan-lines"
"""The model that measures displacements by default."""
HELP = (
    "Scan lines that jitter are measured by a network and put back where they were taken. "
    "Automatic: along rows or columns, where the jitter is clearly larger than its error; "
    "otherwise nothing changes."
)
CHOICES = {
    "auto": "automatic",
    "rows": "rows are lines",
    "columns": "columns are lines",
    "none": "as recorded",
}


class ScanSettings(Settings):
    """Whether displaced scan lines are put back."""

    scan: Scan = setting("none", "Scan lines", HELP, choices=CHOICES)


class ScanCorrectionSettings(Settings):
    """How scan lines are measured, where nothing else is done."""

    scan: Scan = setting("auto", "Scan lines", HELP, choices=CHOICES)
    model: str | Path | None = setting(
        None,
        "Model",
        "Name of a model that measures scan lines, or path of a weights file (.safetensors).",
        none=LINES_MODEL,
        section=ADVANCED,
    )
    device: str = setting(
        "auto",
        "Device",
        "Where to compute: auto, cpu, cuda or mps; auto takes a GPU where there is one.",
        section=ADVANCED,
    )
