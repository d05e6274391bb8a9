"""Public function: `correct_scan`, from an image to the same with its scan lines put back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg import weights
from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array, Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.inference.frames import compact
from napari_atomseg.inference.scale import estimate_spacing
from napari_atomseg.inference.scan.measure import (
    SHARPER,
    LineMeter,
    LineShifts,
    line_meter,
    sharpening,
)
from napari_atomseg.inference.scan.regrid import put_back
from napari_atomseg.inference.scan.settings import LINES_MODEL, Scan, ScanCorrectionSettings
from napari_atomseg.inference.stacks import Frames, merged_notes
from napari_atomseg.networks.tasks import LINE_SHIFTS
from napari_atomseg.progress import CancelToken, Progress, report, tell, telling

ROWS, COLUMNS = "rows", "columns"
LOADING = "Loading the model"
RELIABLE = 0.9
"""Pixels rms of jitter that is measured with errors that hold (docs/scan.md), at most."""
OF_SPACING = 0.15
"""The same over the spacing of columns: a line that is displaced by half a period of the lattice
may as well be displaced the other way."""


@dataclass(frozen=True)
class ScanFrame:
    """The lines of one frame.

    Attributes
    ----------
    direction : "rows" or "columns" that are lines, or "none" where nothing is undone.
    shifts : displacements across and along the lines that are undone, with their errors.
    measured : the same with all that was measured, whether undone or not.
    reliable : whether the errors hold, see `reliable`.
    """

    direction: str
    shifts: LineShifts
    measured: LineShifts
    reliable: bool = True


@dataclass(frozen=True)
class ScanCorrection:
    """An image with its scan lines put back.

    Attributes
    ----------
    image : the image's shape, in its intensities; float32 where that keeps the contrast.
    frames : what was measured and undone in each frame, over all leading axes.
    lines : table with a row a line: ``frame`` of a stack, ``line``, ``direction``; ``shift_y`` and
        ``shift_x``, displacement along the axes of the image that was undone, ``shift_y_err`` and
        ``shift_x_err``; ``drift_y`` and ``drift_x``, the slow part, which was not undone (pixels);
        with a sampling all of these in pm, ``shift_y_pm`` and so on.
    model, sha256 : name of the model and hash of its file.
    notes : what was done, a sentence each.
    """

    image: NDArray[Any]
    frames: tuple[ScanFrame, ...]
    lines: pd.DataFrame
    model: str
    sha256: str
    notes: tuple[str, ...]


@takes_images("image")
def correct_scan(
    image: Any,
    scan: Scan = "auto",
    model: str | Path | None = None,
    sampling: Sampling | None = None,
    *,
    device: str = "auto",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> ScanCorrection:
    """Measure the displacement of every scan line and put the samples back.

    A beam that jitters takes the samples of a line elsewhere than they are drawn: correlated x/y
    scan jitter (Lobato et al., npj Comput. Mater. 10, 10, 2024, Eq. 41-42). A network measures both
    displacements of each line with their errors. What a lattice cannot show is left alone: offset,
    and even growth from line to line, which is drift or shear; so is what changes over more than
    128 lines, which may be a bent specimen.

    Parameters
    ----------
    image : (..., H, W) real numbers; the frames of a stack are treated one by one. Hot and dead
        pixels, and burnt-in bars and words, are replaced by their surroundings before.
    scan : whether "rows" or "columns" are scan lines. "auto" takes those with the larger jitter,
        and undoes it across and along the lines where it is clearly larger than its error, and than
        what is measured in the other direction, in which there are no lines, and where a lattice
        becomes sharper by it; otherwise the image comes back as it is. "none" measures nothing.
    model : name of a model that measures lines, path of a weights file, or None for the default.
    sampling : Å a pixel, one number or (dy, dx), for shifts in pm.
    device : "auto", "cpu", "cuda" or "mps".

    Returns
    -------
    ScanCorrection.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.
    WeightsError
        The model's file cannot be used.
    Cancelled
        `cancel` was raised.
    """
    chosen = ScanCorrectionSettings(scan=scan, model=model, device=device)
    pixel = pixel_size(sampling)
    with telling(partial(report, progress, cancel, 0, 0)):
        frames = Frames(image)
    path = lines_model(chosen.model)
    report(progress, cancel, 0, 0, LOADING)
    meter = open_meter(path, chosen.device)
    planes, found, notes = [], [], []
    for number in range(len(frames)):
        told = partial(report, progress, cancel, number, len(frames))
        told("Measuring scan lines")
        with telling(told):
            examined = frames[number]
            frame = examined.frames[0]
            notes.append(examined.notes)
            lines = frame_lines(frame, chosen.scan, meter)
            tell("Putting scan lines back")
            planes.append(corrected(frame, lines))
        found.append(lines)
    report(progress, cancel, len(planes), len(planes), "Measuring scan lines")
    return ScanCorrection(
        compact(np.stack(planes)).reshape(frames.shape),
        tuple(found),
        line_table(found, pixel, stacked=len(frames.shape) > 2),
        meter.card.name,
        weights.sha256(path),
        (*(frames.notes or merged_notes(notes)), *scan_notes(found, pixel)),
    )


def lines_model(model: str | Path | None) -> Path:
    """The weights file of a model that measures lines; None for the default one."""
    return weights.resolve(LINES_MODEL if model is None else model, tasks=(LINE_SHIFTS,))


def open_meter(model: str | Path | None, device: str) -> LineMeter:
    """The network of a model that measures lines; None for the default one."""
    path = lines_model(model)
    return line_meter(str(path), path.stat().st_mtime_ns, device)


def frame_lines(frame: NDArray[Any], scan: Scan, meter: LineMeter) -> ScanFrame:
    """Measure the lines of a frame (H, W), and choose what is undone."""
    if scan == "none":
        nothing = np.zeros((len(frame), 2))
        still = LineShifts(nothing, nothing, nothing)
        return ScanFrame("none", still, still)
    if scan != "auto":
        shifts = meter(frame if scan == ROWS else frame.T)
        return ScanFrame(scan, shifts, shifts, reliable(frame, shifts))
    both = {ROWS: meter(frame), COLUMNS: meter(frame.T)}
    direction = max(both, key=lambda name: evidence(both[name]))
    measured, control = both[direction], both[ROWS if direction == COLUMNS else COLUMNS]
    turned = np.asarray(frame if direction == ROWS else frame.T, dtype=np.float64)
    undone = measured.only(measured.clear(control))
    if not undone.jitter.any() or sharpening(turned, undone) < SHARPER:
        return ScanFrame("none", measured.only((False, False)), measured)
    return ScanFrame(direction, undone, measured, reliable(frame, undone))


def reliable(frame: NDArray[Any], shifts: LineShifts) -> bool:
    """Whether the errors of displacements that were measured in a frame (H, W) hold."""
    most = min(RELIABLE, OF_SPACING * estimate_spacing(np.asarray(frame, dtype=np.float32)))
    return float(shifts.rms.max()) <= most


def evidence(shifts: LineShifts) -> float:
    """How much larger than their errors displacements are, the mean over lines and axes."""
    return float(np.mean((shifts.jitter / shifts.errors) ** 2))


def corrected(frame: NDArray[Any], lines: ScanFrame) -> NDArray[Any]:
    """(H, W) frame with the samples of its lines put back; itself where none is displaced."""
    if lines.direction == "none":
        return frame
    turned = frame if lines.direction == ROWS else frame.T
    back = put_back(turned, lines.shifts.jitter, lines.shifts.errors)
    return back if lines.direction == ROWS else back.T


def image_axes(values: Array, direction: str) -> Array:
    """(N, 2) values across and along the lines as those along y and x of the image."""
    return values[:, ::-1] if direction == COLUMNS else values


def line_table(
    frames: list[ScanFrame], pixel: tuple[float, float] | None, *, stacked: bool
) -> pd.DataFrame:
    """The table of `ScanCorrection.lines`."""
    tables = []
    for number, frame in enumerate(frames):
        shift, error, drift = (
            image_axes(values, frame.direction)
            for values in (frame.shifts.jitter, frame.shifts.errors, frame.shifts.drift)
        )
        table = pd.DataFrame({"line": np.arange(len(shift)), "direction": frame.direction})
        for axis, name in enumerate("yx"):
            table[f"shift_{name}"] = shift[:, axis]
            table[f"shift_{name}_err"] = error[:, axis]
            table[f"drift_{name}"] = drift[:, axis]
            if pixel is not None:
                table[f"shift_{name}_pm"] = 100.0 * pixel[axis] * shift[:, axis]
                table[f"shift_{name}_err_pm"] = 100.0 * pixel[axis] * error[:, axis]
                table[f"drift_{name}_pm"] = 100.0 * pixel[axis] * drift[:, axis]
        if stacked:
            table.insert(0, "frame", number)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def scan_notes(frames: list[ScanFrame], pixel: tuple[float, float] | None) -> tuple[str, ...]:
    """What was undone, a sentence; for a stack the median of its frames."""
    undone = [frame for frame in frames if frame.direction != "none"]
    if not undone:
        return ("no scan line was moved: no jitter was clearly more than an error",)
    names = {frame.direction for frame in undone}
    which = undone[0].direction if len(names) == 1 else "rows or columns"
    rms = np.median(
        [image_axes(frame.shifts.rms[None], frame.direction)[0] for frame in undone], axis=0
    )
    sizes = f"{rms[0]:.2f} px along y and {rms[1]:.2f} px along x"
    if pixel is not None:
        sizes += f" ({100 * pixel[0] * rms[0]:.0f} and {100 * pixel[1] * rms[1]:.0f} pm)"
    where = f" in {len(undone)} of {len(frames)} frames" if len(frames) > 1 else ""
    put = f"scan lines ({which}) were put back{where}: jitter of {sizes} rms"
    if all(frame.reliable for frame in undone):
        return (put,)
    return (
        put,
        "jitter this large beside the spacing of columns is not undone whole: errors are "
        "larger than stated",
    )
