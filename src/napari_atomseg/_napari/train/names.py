"""Names of tasks and scores in the panels."""

from __future__ import annotations

TASK_NAMES = {
    "denoise": "denoise",
    "denoise_background": "no background",
    "superresolution": "super-resolution",
    "column_map": "column map",
    "column_mask": "column mask",
    "elements": "elements",
}
"""What panels call the tasks."""
METRICS = {
    "f1": "F1 of the columns",
    "psnr_in": "PSNR of the images (dB)",
    "psnr_out": "PSNR of the result (dB)",
    "psnr_": "PSNR, {} (dB)",
    "dice_": "overlap, {}",
    "validation_": "loss, {}",
}
"""What panels call the scores; after those that end in an underscore comes a task."""


def metric_name(name: str) -> str:
    """Return what panels call a score."""
    if name in METRICS:
        return METRICS[name]
    kind, _, task = name.partition("_")
    text = METRICS.get(f"{kind}_", "{}")
    return text.format(TASK_NAMES.get(task, task))
