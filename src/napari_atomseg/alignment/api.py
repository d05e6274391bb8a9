"""Public function: `align`, from the frames of one field to their average."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array, Mask, Sampling
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.alignment.average import averaged, frame_noise
from napari_atomseg.alignment.lines import align_lines, linear_drift
from napari_atomseg.alignment.placing import Canvas, Motion, placed
from napari_atomseg.alignment.settings import (
    NOISE,
    AlignSettings,
    Directions,
    Field,
    Weights,
)
from napari_atomseg.alignment.settings import (
    Motion as Motions,
)
from napari_atomseg.alignment.shifts import Shifts, find_shifts
from napari_atomseg.inference.frames import examine, holds
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.trust.correlation import NoiseCorrelation

LITTLE = 0.75
"""Agreement of the median frame below which it is said, too."""
UNLIKE = 2.5
"""Largest over least agreement of frames from which on it is said; noise alone makes 1.9 of it in
frames of a hundredth of an electron in the darkest pixels."""
EVEN = 0.2
"""Steps from frame to frame are those of an even drift if they deviate by less than this part."""
WORTH_SAYING = 0.3
"""Pixels that the specimen drifts during a frame that are worth a word."""


@dataclass(frozen=True)
class Alignment:
    """Frames that were laid on each other.

    Attributes
    ----------
    average : (H, W) weighted average, NaN where no frame saw the field.
    standard_error : (H, W) of the average, from the scatter of the frames; NaN where fewer than two
        saw the field. Of few frames it scatters itself: by a third for six.
    frames : (H, W) effective number of frames in each pixel, 0 where there are none.
    noise : how far neighbouring pixels of the average share their noise.
    origin : (y, x) pixels of the first frame at which the average begins.
    shifts : table with a row a frame: ``frame``; ``shift_y`` and ``shift_x``, where it shows what
        the first kept frame shows at the origin, with ``shift_y_err``, ``shift_x_err`` (pixels);
        ``agreement``, the part of what the others show that it shows; ``kept``; ``weight``; with a
        sampling also ``shift_y_pm`` and so on.
    lines : table with a row a scan line, where these were aligned: ``frame``, ``line``,
        ``direction``, ``shift_y``, ``shift_x``, ``shift_y_err``, ``shift_x_err``, ``drift_y``,
        ``drift_x`` as `correct_scan` has them, the drift undone here; None otherwise.
    notes : what was done, a sentence each.
    """

    average: NDArray[Any]
    standard_error: NDArray[Any]
    frames: NDArray[Any]
    noise: NoiseCorrelation
    origin: tuple[int, int]
    shifts: pd.DataFrame
    lines: pd.DataFrame | None
    notes: tuple[str, ...]
    _parts: tuple[Array, Mask, tuple[Motion, ...], Canvas]

    @property
    def kept(self) -> Mask:
        """(N,) which frames are in the average."""
        return np.asarray(self.shifts["kept"], dtype=bool)

    def stack(self) -> NDArray[Any]:
        """(N, H, W) all frames on the pixels of the average, NaN where they saw nothing."""
        frames, out, motions, canvas = self._parts
        planes = np.empty((len(frames), *canvas.shape), np.float32)
        for number, motion in enumerate(motions):
            plane, seen = placed(frames[number], out[number], motion, canvas)
            planes[number] = np.where(seen, plane, np.nan)
        return planes

    def record(self) -> dict[str, Any]:
        """What the fits of columns on the average should know, as plain values."""
        return {
            NOISE: np.round(self.noise.quadrant, 5).tolist(),
            "frames": round(float(self.frames.max()), 3),
            "origin": list(self.origin),
        }


@takes_images("stack")
def align(
    stack: Any,
    motion: Motions = "frames",
    sampling: Sampling | None = None,
    *,
    directions: Directions = "same",
    turned: int = 0,
    weights: Weights = "equal",
    field: Field = "first",
    max_shift: float | None = None,
    order: int = 2,
    keep_all: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Alignment:
    """Lay the frames of one field on each other, and average them.

    Whole frames are laid on each other by phase correlation, frequencies weighted by how surely
    they are known, and below a pixel by climbing the likelihood of each frame against the average
    of the others. On a lattice many shifts look alike: the shifts are those on which all frames
    agree, and where the frames cannot tell, a note says so (after Savitzky et al., Ultramicroscopy
    191, 56, 2018). With the lines, the drift within each frame is found as a polynomial of the
    line's number, and the jitter of each line beside it, each as large as its error leaves likely.
    Frames that are all scanned alike do not show what they have in common, such as the shear by an
    even drift; scans along rows and columns do (Ophus, Ciston & Nelson, Ultramicroscopy 162, 1,
    2016). Frames are interpolated by cubic splines.

    Parameters
    ----------
    stack : (..., H, W) real numbers, a sequence of images (H, W), or a stack of HyperSpy, xarray
        and others; two frames or more. Hot and
        dead pixels, burnt-in bars and pixels that are not finite do not count.
    motion : "frames" are shifted as a whole, or "lines" too.
    sampling : Å a pixel, one number or (dy, dx), for shifts in pm.
    directions : "same", lines of all frames are rows; or "orthogonal", those of every second frame
        are columns. Orthogonal scans are always aligned by their lines.
    turned : degrees, counter-clockwise, by which every second frame of orthogonal scans is turned
        first: 0, 90 or -90. As the microscope records them, their lines are rows.
    weights : frames count "equal", or by their "noise": scaled to one contrast, by the inverse of
        the variance of what each has beside the average of the others.
    field : of the average: of the "first" frame, of "all" that any saw, or what is "common".
    max_shift : pixels, most from one frame to the next; by default a quarter of the field.
    order : degree of the polynomial of the drift within a frame.
    keep_all : average also frames that show little of what the others show.

    Returns
    -------
    Alignment.

    Raises
    ------
    ValueError, TypeError
        An argument is wrong; the message names it.
    Cancelled
        `cancel` was raised.
    """
    chosen = AlignSettings(
        motion=motion,
        directions=directions,
        turned=turned,
        weights=weights,
        field=field,
        max_shift=max_shift,
        order=order,
        keep_all=keep_all,
    )
    pixel = pixel_size(sampling)
    examined = examine(_turned(stack, chosen))
    if pixel and pixel[0] != pixel[1] and chosen.turned and chosen.directions == "orthogonal":
        raise ValueError(
            f"sampling={sampling!r} is of pixels that are not square: a turned scan has other "
            "pixels; correct them first, as by calibrate"
        )
    frames, out = examined.frames.astype(np.float64), examined.out
    if len(frames) < 2:
        raise ValueError("stack has one frame; two or more of one field can be aligned")
    both = chosen.directions == "orthogonal"
    axes = [number % 2 if both else 0 for number in range(len(frames))]
    hooks: dict[str, Any] = {"progress": progress, "cancel": cancel}
    found, motions = _aligned(frames, out, axes, chosen, hooks)
    lined = both or chosen.motion == "lines"
    if lined:
        motions = align_lines(frames, out, motions, found.kept, chosen.order, **hooks)
    motions = _from_first(motions, found.kept)
    canvas = _canvas(motions, found.kept, chosen.field, examined.shape[-2:])
    weight, gains = found.kept.astype(np.float64), np.ones(len(frames))
    if chosen.weights == "noise":
        gains, noise = frame_noise(frames, out, motions, found.kept, canvas)
        weight = np.where(found.kept, 1.0 / np.maximum(noise, 1e-300), 0.0)
    weight /= weight.sum()
    made = averaged(frames, out, motions, weight, gains, canvas, **hooks)
    report(progress, cancel, 1, 1, "Averaging frames")
    single = holds(float(np.nanmean(made.image)), float(np.nanstd(made.image)))
    return Alignment(
        made.image.astype(np.float32) if single else made.image,
        made.error.astype(np.float32),
        made.frames.astype(np.float32),
        made.noise,
        canvas.origin,
        _shift_table(motions, found, weight, pixel),
        _line_table(motions, pixel) if lined else None,
        (*examined.notes, *_notes(found, motions, both, lined, pixel, made.noise)),
        (frames, out, tuple(motions), canvas),
    )


def _turned(stack: Any, chosen: AlignSettings) -> Any:
    """The stack (N, H, W) with every second frame of orthogonal scans turned onto the first."""
    images = [np.asarray(each) for each in stack] if isinstance(stack, list | tuple) else None
    if images is not None and len({each.shape for each in images}) > 1:
        shapes = ", ".join(str(each.shape) for each in images)
        raise ValueError(f"stack has images of different shapes: {shapes}")
    array = np.asarray(stack if images is None else np.stack(images))
    if array.ndim < 3:
        raise ValueError(f"stack has shape {array.shape}; frames, rows and columns are needed")
    array = array.reshape(-1, *array.shape[-2:])
    if not chosen.turned or chosen.directions == "same":
        return array
    if array.shape[1] != array.shape[2]:
        raise ValueError(
            f"stack has frames of {array.shape[1]} by {array.shape[2]} pixels: only square ones "
            "can be turned onto each other"
        )
    turned = [
        np.rot90(frame, chosen.turned // 90) if number % 2 else frame
        for number, frame in enumerate(array)
    ]
    return np.stack(turned)


def _aligned(
    frames: Array, out: Mask, axes: list[int], chosen: AlignSettings, hooks: dict[str, Any]
) -> tuple[Shifts, list[Motion]]:
    """Shifts of whole frames; of orthogonal scans after their linear drift is undone."""
    shape = (frames.shape[1], frames.shape[2])
    motions = [Motion.still(np.zeros(2), shape, axis) for axis in axes]
    straight = frames
    if any(axes):
        drift = linear_drift(frames[0], frames[1], **hooks)
        motions = [
            replace(each, drift=np.linspace(-0.5, 0.5, len(each.drift))[:, None] * drift)
            for each in motions
        ]
        whole = Canvas((0, 0), shape)
        straight = np.stack(
            [
                placed(frame, own, each, whole)[0]
                for frame, own, each in zip(frames, out, motions, strict=True)
            ]
        )
    found = find_shifts(straight, chosen.max_shift, keep_all=chosen.keep_all, **hooks)
    return found, [
        replace(each, shift=shift) for each, shift in zip(motions, found.shift, strict=True)
    ]


def _from_first(motions: list[Motion], kept: Mask) -> list[Motion]:
    """Motions relative to the shift of the first frame that counts."""
    origin = motions[int(np.flatnonzero(kept)[0])].shift
    return [replace(each, shift=each.shift - origin) for each in motions]


def _canvas(motions: list[Motion], kept: Mask, field: Field, shape: tuple[int, ...]) -> Canvas:
    size = (int(shape[0]), int(shape[1]))
    if field == "first":
        return Canvas((0, 0), size)
    some = [motion for motion, good in zip(motions, kept, strict=True) if good]
    canvas = Canvas.around(some, size, common=field == "common")
    if min(canvas.shape) < 2:
        raise ValueError("field='common': the frames have no part of the field in common")
    return canvas


def _in_pm(table: pd.DataFrame, pixel: tuple[float, float] | None) -> pd.DataFrame:
    """The table with displacements along y and x in pm, too."""
    if pixel is None:
        return table
    for name in [str(each) for each in table if str(each).startswith(("shift_", "drift_"))]:
        size = pixel[0] if name.split("_")[1] == "y" else pixel[1]
        table[f"{name}_pm"] = 100.0 * size * table[name]
    return table


def _shift_table(
    motions: list[Motion], found: Shifts, weight: Array, pixel: tuple[float, float] | None
) -> pd.DataFrame:
    shift = np.array([motion.shift for motion in motions])
    table = pd.DataFrame({"frame": np.arange(len(motions))})
    for axis, name in enumerate("yx"):
        table[f"shift_{name}"] = shift[:, axis]
        table[f"shift_{name}_err"] = found.error[:, axis]
    table = _in_pm(table, pixel)
    return table.assign(agreement=found.agreement, kept=found.kept, weight=weight)


def _line_table(motions: list[Motion], pixel: tuple[float, float] | None) -> pd.DataFrame:
    tables = []
    for number, motion in enumerate(motions):
        table = pd.DataFrame(
            {
                "frame": number,
                "line": np.arange(len(motion.drift)),
                "direction": ("rows", "columns")[motion.axis],
            }
        )
        for axis, name in enumerate("yx"):
            table[f"shift_{name}"] = motion.jitter[:, axis]
            table[f"shift_{name}_err"] = motion.error[:, axis]
            table[f"drift_{name}"] = motion.drift[:, axis]
        tables.append(table)
    return _in_pm(pd.concat(tables, ignore_index=True), pixel)


def _pair(values: Array, pixel: tuple[float, float] | None) -> str:
    """Two lengths in pixels along y and x, and in pm where the sampling is known."""
    text = f"{values[0]:.2f} px along y and {values[1]:.2f} px along x"
    if pixel is None:
        return text
    return f"{text} ({100 * pixel[0] * values[0]:.0f} and {100 * pixel[1] * values[1]:.0f} pm)"


def _notes(
    found: Shifts,
    motions: list[Motion],
    both: bool,
    lined: bool,
    pixel: tuple[float, float] | None,
    noise: NoiseCorrelation,
) -> list[str]:
    """What was done, and what should be known of it, a sentence each."""
    kept = np.flatnonzero(found.kept)
    shift = np.array([motions[k].shift for k in kept])
    notes = [
        f"{len(kept)} frames were laid on each other: shifts of up to "
        f"{_pair(np.abs(shift).max(axis=0), pixel)}"
    ]
    left = np.flatnonzero(~found.kept)
    if len(left):
        which = ", ".join(map(str, left[:10])) + (" …" if len(left) > 10 else "")
        notes.append(f"left out, as they show little of what the others show: frames {which}")
    alike = found.agreement[kept]
    if alike.max() > UNLIKE * max(float(alike.min()), 0.0) or np.median(alike) < LITTLE:
        notes.append(
            f"frames show from {alike.min():.2f} to {alike.max():.2f} of what the others show: "
            "they are of unlike intensity, or turned against each other or deformed, which no "
            "shift undoes; then shifts are wrong, and the average is blurred"
        )
    if found.jumps:
        notes.append(
            f"{found.jumps} jumps of the shift from one frame to the next did not fit the other "
            "frames and were taken back"
        )
    if found.doubt is not None:
        notes.append(
            "the frames look alike at other shifts too, as on a perfect lattice: some may be "
            f"displaced by another {_pair(found.doubt, pixel)}; columns of the average are sharp "
            "in either case, but need not be the same ones in all frames"
        )
    if not found.shared:
        notes.append(
            "the frames share less than half of the field: each was laid on those before it alone"
        )
    if lined:
        jitter = np.array([motions[k].jitter for k in kept])
        drift = np.array([np.ptp(motions[k].drift, axis=0) for k in kept])
        notes.append(
            f"lines were put back: jitter of {_pair(np.sqrt((jitter**2).mean(axis=(0, 1))), pixel)}"
            f" rms, drift within a frame of up to {_pair(drift.max(axis=0), pixel)}"
        )
    if not both:
        notes += _shear(shift, pixel)
    word = noise.note()
    return [*notes, word] if word else notes


def _shear(shift: Array, pixel: tuple[float, float] | None) -> list[str]:
    """A warning of the shear that an even drift leaves in frames that are scanned alike."""
    steps = np.diff(shift, axis=0)
    mean = steps.mean(axis=0)
    if len(steps) < 2 or np.abs(mean).max() < WORTH_SAYING:
        return []
    if float(np.hypot(*(steps - mean).std(axis=0))) > EVEN * float(np.hypot(*mean)):
        return []
    return [
        f"the specimen drifts evenly by {_pair(mean, pixel)} from frame to frame: if a frame takes "
        "as long, each is sheared by that, and the average too; orthogonal scans or a known "
        "crystal undo it"
    ]
