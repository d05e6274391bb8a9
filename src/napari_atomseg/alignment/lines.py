"""Drift within frames, and shifts of their scan lines, against the average of other frames.

A frame whose lines are rows sees drift and jitter line by line. Against the average of frames that
are scanned alike, only what differs from frame to frame is found, and its mean is left; against one
whose lines are columns all of it is found, as that average is as good along each row (Ophus, Ciston
& Nelson, Ultramicroscopy 162, 1 (2016)): the linear drift first, by trial, then lines.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy import ndimage

from napari_atomseg._shared.types import Array, Mask
from napari_atomseg.alignment.placing import SPLINE, Canvas, Motion, moved_by, placed
from napari_atomseg.alignment.shifts import Places
from napari_atomseg.alignment.spectra import Evidence, Grid, overlap, spectrum, window
from napari_atomseg.progress import CancelToken, Progress, report

ROUNDS = 7
"""Times that all frames are laid on the average of the others."""
SLOW_ROUNDS = 3
"""How many of them find the drift alone."""
BLUR = 0.7
"""Pixels by which an average is smoothed before lines are laid on it, against its noise."""
LARGEST = 1.0
"""Pixels; most that a line moves in a round."""
FIRST_JITTER, LEAST_JITTER = 0.3, 1e-3
"""Pixels rms that are taken for the jitter of lines at first, and at least."""
LEAST_SEEN = 0.3
"""Part of a line that the average must show."""
MARGIN = 4
"""Pixels about the field that lines may come from."""
SIDE = 512
"""Pixels of the middle of frames that is enough to find their linear drift."""
REACH, STEP, FINEST = 16.0, 4.0, 0.5
"""Pixels across that middle: the largest drift that is tried, the first step, and the last one."""


@dataclass(frozen=True)
class LineFit:
    """Steps of the lines of a frame towards an average, and how surely they are known.

    Attributes
    ----------
    step : (L, 2) displacements (y, x) that lines have beside those that are known.
    spread : (L, 2, 2) their covariances; huge where a line shows nothing.
    """

    step: Array
    spread: Array


def fit_lines(
    frame: Array, out: Mask, motion: Motion, average: Array, seen: Mask, canvas: Canvas
) -> LineFit:
    """Lay the lines of a frame on an average: one step of Gauss and Newton, with an offset each.

    Parameters
    ----------
    frame, out : (H, W) pixels, and those that do not count.
    average, seen : of other frames on a canvas, and which of its pixels any of them saw.
    """
    if motion.axis == 1:
        across = Canvas(canvas.origin[::-1], canvas.shape[::-1])
        found = fit_lines(frame.T, out.T, motion.turned(), average.T, seen.T, across)
        return LineFit(found.step[:, ::-1], found.spread[:, ::-1, ::-1])
    whole = motion.shift + motion.lines
    y, x = np.mgrid[: frame.shape[0], : frame.shape[1]].astype(np.float64)
    places = [
        y - whole[:, :1] - canvas.origin[0],
        x - whole[:, 1:] - canvas.origin[1],
    ]
    filled = np.where(seen, average, average[seen].mean())
    filled = ndimage.gaussian_filter(filled, BLUR)
    there = ndimage.map_coordinates(filled, places, order=SPLINE, mode="nearest")
    slopes = [
        ndimage.map_coordinates(each, places, order=1, mode="nearest")
        for each in np.gradient(filled)
    ]
    part = ndimage.map_coordinates(seen.astype(np.float32), places, order=1, mode="constant")
    used = ((part > 0.99) & ~out).astype(np.float64)
    count = used.sum(axis=1)
    enough = count > LEAST_SEEN * frame.shape[1]
    used[~enough] = 0.0
    if not enough.any():
        none = np.zeros((len(frame), 2))
        return LineFit(none, np.tile(np.eye(2) * 1e6, (len(frame), 1, 1)))

    def level(plane: Array) -> Array:
        mean = (plane * used).sum(axis=1) / np.maximum(count, 1.0)
        return np.asarray((plane - mean[:, None]) * used)

    own, model = level(frame), level(there)
    gain = max(float((own * model).sum() / (model**2).sum()), 1e-6)
    # A line that is displaced by d shows the average at its place less d.
    design = np.stack([level(-gain * each) for each in slopes])
    left = own - gain * model
    normal = np.einsum("alx,blx->lab", design, design)
    aim = np.einsum("alx,lx->la", design, left)
    freedom = max(1.0, float((count[enough] - 3.0).sum()))
    typical = float(np.trace(normal.mean(axis=0)))
    ridge = max(1e-6 * typical, 1e-300) * np.eye(2)
    inverse = np.linalg.inv(normal + ridge)
    step = np.einsum("lab,lb->la", inverse, aim)
    rest = left - np.einsum("la,alx->lx", step, design)
    noise = float((rest**2).sum()) / freedom
    step = np.clip(step, -LARGEST, LARGEST)
    spread = noise * inverse
    spread[~enough] = np.eye(2) * 1e6
    step[~enough] = 0.0
    return LineFit(step, spread)


def polynomial(lines: int, order: int) -> Array:
    """(L, order + 1) orthonormal polynomials of the line's number."""
    at = np.linspace(-1.0, 1.0, lines)
    basis, _ = np.linalg.qr(np.polynomial.legendre.legvander(at, min(order, lines - 1)))
    return np.asarray(basis)


def divided(values: Array, spread: Array, jitter: Array, order: int) -> tuple[Array, Array, Array]:
    """Displacements (L, 2) of lines as a drift and a jitter.

    The drift is the polynomial that fits best, given that lines jitter by `jitter` (2,) pixels rms
    beside their errors; the jitter what remains, each as large as its error leaves likely.

    Returns
    -------
    drift (L, 2), jitter (L, 2), and standard errors (L, 2) of both together.
    """
    prior = np.diag(np.maximum(jitter, LEAST_JITTER) ** 2)
    weight = np.linalg.inv(spread + prior)
    basis = polynomial(len(values), order)
    normal = np.einsum("lp,lab,lq->paqb", basis, weight, basis)
    size = 2 * basis.shape[1]
    aim = np.einsum("lp,lab,lb->pa", basis, weight, values)
    solved = np.linalg.solve(normal.reshape(size, size), aim.ravel()).reshape(-1, 2)
    drift = basis @ solved
    if not jitter.any():
        known = np.linalg.inv(normal.reshape(size, size)).reshape(-1, 2, basis.shape[1], 2)
        error = np.einsum("lp,paqa,lq->la", basis, known, basis)
        return drift, np.zeros_like(drift), np.sqrt(error)
    keep = prior @ weight
    shrunk = np.einsum("lab,lb->la", keep, values - drift)
    left = prior - keep @ prior
    return drift, shrunk, np.sqrt(np.maximum(left[:, [0, 1], [0, 1]], 0.0))


def rms_jitter(values: Array, spread: Array, drift: Array, guess: Array) -> Array:
    """(2,) rms of the jitter that displacements (L, 2) show beside their errors."""
    variance = spread[:, [0, 1], [0, 1]]
    weight = 1.0 / (variance + np.maximum(guess, FIRST_JITTER / 3) ** 2) ** 2
    found = (weight * ((values - drift) ** 2 - variance)).sum(axis=0) / weight.sum(axis=0)
    return np.asarray(np.sqrt(np.maximum(found, LEAST_JITTER**2)))


def align_lines(
    frames: Array,
    out: Mask,
    motions: list[Motion],
    kept: Mask,
    order: int,
    *,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> list[Motion]:
    """Find the drift and the jitter of the lines of frames (N, H, W) that are nearly aligned.

    Parameters
    ----------
    out : (N, H, W) pixels that do not count.
    motions : of the frames; where lines of some are rows and of others columns, each is laid on
        the average of those that are scanned the other way.
    kept : (N,) frames that make averages.
    order : of the polynomial that drift follows.
    """
    shape = (frames.shape[1], frames.shape[2])
    both = len({motion.axis for motion in motions}) > 1
    jitter = np.zeros((len(frames), 2))
    number = [int(k) for k in np.flatnonzero(kept)]
    for round_ in range(ROUNDS):
        field = Canvas.around([motions[k] for k in number], shape, common=False)
        canvas = Canvas(
            (field.origin[0] - MARGIN, field.origin[1] - MARGIN),
            (field.shape[0] + 2 * MARGIN, field.shape[1] + 2 * MARGIN),
        )
        planes: dict[int, tuple[Array, Mask]] = {}
        for k in number:
            report(progress, cancel, round_ * len(frames) + k, ROUNDS * len(frames), "Lines")
            planes[k] = placed(frames[k], out[k], motions[k], canvas)
        sums = {axis: _sum(planes, motions, axis, canvas) for axis in (0, 1)}
        fresh = list(motions)
        for k in number:
            report(progress, cancel, round_ * len(frames) + k, ROUNDS * len(frames), "Lines")
            total, often = sums[1 - motions[k].axis if both else motions[k].axis]
            if not both:
                plane, own = planes[k]
                total, often = total - np.where(own, plane, 0.0), often - own
            seen = often > 0.5
            average = total / np.maximum(often, 1.0)
            found = fit_lines(frames[k], out[k], motions[k], average, seen, canvas)
            fresh[k], jitter[k] = _updated(
                motions[k], found, jitter[k], order, slow=round_ < SLOW_ROUNDS
            )
        motions = _anchored(fresh, number, both)
    return motions


def _sum(
    planes: dict[int, tuple[Array, Mask]], motions: list[Motion], axis: int, canvas: Canvas
) -> tuple[Array, Array]:
    """Sum of the frames whose lines lie along an axis, and how many there are in each pixel."""
    total, often = np.zeros(canvas.shape), np.zeros(canvas.shape)
    for k, (plane, seen) in planes.items():
        if motions[k].axis == axis:
            total += np.where(seen, plane, 0.0)
            often += seen
    return total, often


def _updated(
    motion: Motion, found: LineFit, jitter: Array, order: int, *, slow: bool
) -> tuple[Motion, Array]:
    """A motion after a step of its lines, and the rms (2,) of its jitter."""
    values = motion.lines + found.step
    if slow:
        drift, _, error = divided(values, found.spread, np.zeros(2), order)
        return moved_by(replace(motion, error=error), drift), np.full(2, FIRST_JITTER)
    drift, _, _ = divided(values, found.spread, jitter, order)
    jitter = rms_jitter(values, found.spread, drift, jitter)
    drift, quick, error = divided(values, found.spread, jitter, order)
    return moved_by(replace(motion, jitter=quick, error=error), drift), jitter


def _anchored(motions: list[Motion], number: list[int], both: bool) -> list[Motion]:
    """Motions without what all frames have in common, which no comparison of them shows."""
    if both:
        # The lines of either direction see all of their own displacement but a common shift.
        origin = motions[number[0]].shift
        return [replace(each, shift=each.shift - origin) for each in motions]
    drift = np.mean([motions[k].drift for k in number], axis=0)
    jitter = np.mean([motions[k].jitter for k in number], axis=0)
    return [
        replace(each, drift=each.drift - drift, jitter=each.jitter - jitter)
        if k in number
        else each
        for k, each in enumerate(motions)
    ]


def linear_drift(
    rows: Array, cols: Array, *, progress: Progress | None = None, cancel: CancelToken | None = None
) -> Array:
    """(2,) pixels by which the specimen moves while a frame is scanned, the same in two scans.

    Every drift that is tried is undone in both scans, and the best is that by which they fit each
    other best, wherever that is (Ophus, Ciston & Nelson 2016, section 3.1).

    Parameters
    ----------
    rows, cols : (H, W) scans of one field whose lines are rows and columns, finite.
    """
    middle = tuple(
        slice((side - min(side, SIDE)) // 2, (side + min(side, SIDE)) // 2) for side in rows.shape
    )
    first, second = rows[middle], cols[middle]
    shape = (first.shape[0], first.shape[1])
    weight = window(shape)
    grid, spread, nothing = Grid.of(shape), overlap(weight), np.zeros(shape, bool)
    evidence = Evidence.first([spectrum(each, weight) for each in (first, second)], grid)
    canvas = Canvas((0, 0), shape)

    def likely(drift: Array) -> float:
        made = []
        for axis, frame in enumerate((first, second)):
            own = np.linspace(-0.5, 0.5, shape[axis])[:, None] * drift
            motion = replace(Motion.still(np.zeros(2), shape, axis), drift=own)
            plane, _ = placed(frame, nothing, motion, canvas, order=1)
            made.append(spectrum(plane, weight))
        return Places(evidence, spread, made[0], made[1], min(shape) / 4).height()

    tries = np.arange(-REACH, REACH + STEP / 2, STEP)
    points = [np.array(each) for each in product(tries, tries)]
    best, height, step = np.zeros(2), -np.inf, STEP
    while True:
        for number, drift in enumerate(points):
            report(progress, cancel, number, len(points), "Trying linear drifts")
            found = likely(drift)
            if found > height:
                best, height = drift, found
        step /= 2.0
        if step < FINEST:
            break
        centre = best
        points = [centre + step * np.array(each) for each in product((-1, 0, 1), repeat=2)]
    return np.asarray(best * (rows.shape[0] / shape[0]))
