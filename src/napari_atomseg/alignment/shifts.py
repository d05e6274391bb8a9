"""Shifts of whole frames, from the consensus of all of them.

On a lattice the correlation of two frames has a peak at every lattice vector, and noise decides
which of them is the highest. Savitzky et al. (Ultramicroscopy 191, 56 (2018)) find such jumps by
comparing all pairs of frames. Sums of correlations of pairs are correlations of sums: here each
frame is laid on the ones before it, and then every part of the stack on the rest, until no part
fits significantly better elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage

from napari_atomseg._shared.types import Array, Indices, Mask
from napari_atomseg.alignment.spectra import Evidence, Grid, Spectrum, overlap, spectrum, window
from napari_atomseg.progress import CancelToken, Progress, report

FORGET = 0.8
"""What a frame counts in the sum on which the next one is laid, over what its successor counts."""
ALIKE = 0.85
"""Places at which a frame fits nearly as well as at the best one, relative to that."""
SURE_HEIGHT, LEAST_HEIGHT = 5.0, 0.5
"""Standard deviations by which noise may lower a peak, at least to this part of the best one."""
MET = 5.0
"""Height of a peak, over that of noise, from which on a frame shows what those before it show."""
SURE = 5.0
"""Standard deviations of noise that another place must show, and by which it must be better than
the nearest one: there are hundreds of them."""
DOUBTFUL = 3.0
"""Standard deviations within which another place cannot be ruled out."""
LEAST_FIELD = 0.5
"""Part of either side of the field that all frames must share to be compared as a whole."""
LEAST_OVERLAP = 0.2
"""Shifts at which windows overlap less are not looked at."""
SWEEPS = 6
"""Most rounds in which parts of the stack are laid on the rest."""
JUMP = 0.75
"""Pixels beyond which a move is a jump, and not an improvement."""
NEWTON = 12
"""Most steps of the refinement below a pixel."""
SMALL = 1e-4
"""Pixels; smaller steps end it."""
STEEPEST = 0.5
"""Most pixels of one step."""
MISSING = 0.5
"""Frames that show less of what the others show, relative to the median, are left out."""


@dataclass(frozen=True)
class Shifts:
    """Shifts of N frames.

    Attributes
    ----------
    shift : (N, 2) where a frame shows what frame 0 shows at the origin, (y, x) in pixels.
    error : (N, 2) standard errors of the shifts: noise of the frame and of the first one that
        counts, whose own is 0.
    agreement : (N,) how much of what the others show a frame shows; 1 for all of it.
    kept : (N,) frames that count.
    jumps : how many frames, or parts of the stack, were moved to another place by the consensus.
    doubt : (2,) shift (y, x) that parts of the stack may also have, None where there is none.
    shared : whether the frames share enough of the field for a consensus of all.
    """

    shift: Array
    error: Array
    agreement: Array
    kept: Mask
    jumps: int
    doubt: Array | None
    shared: bool


def find_shifts(
    frames: Array,
    max_shift: float | None = None,
    *,
    keep_all: bool = False,
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> Shifts:
    """Find the shifts of frames (N, H, W), finite, of one field.

    Parameters
    ----------
    max_shift : most pixels from one frame to the next; by default a quarter of the shorter side.
    keep_all : whether frames that show something else count all the same.
    """
    count, shape = len(frames), (frames.shape[1], frames.shape[2])
    furthest = min(shape) / 4 if max_shift is None else max_shift
    shift, met = _chain(frames, furthest, progress, cancel)
    kept = np.ones(count, bool) if keep_all else met
    if kept.sum() < 2:
        kept = np.ones(count, bool)
    jumps, doubt, shared = 0, None, True
    for sweep in range(SWEEPS):
        report(progress, cancel, sweep, SWEEPS + 1, "Comparing frames")
        common = _common(shape, shift[kept])
        if common is None:
            shared = False
            break
        consensus = Consensus.of(frames, shift, common, kept)
        moved, doubt = consensus.sweep(furthest, cancel)
        shift = shift + moved
        jumps += _jumps(moved[kept])
        if np.abs(moved[kept]).max() < JUMP:
            break
    common = _common(shape, shift[kept]) or _largest(shape)
    consensus = Consensus.of(frames, shift, common, kept)
    fine, error, agreement = consensus.refined(cancel)
    shift = shift + fine
    if not keep_all:
        typical = float(np.median(agreement[kept]))
        kept &= ~(agreement < MISSING * typical)
    first = int(np.flatnonzero(kept)[0])
    error = np.hypot(error, error[first])
    error[first] = 0.0
    return Shifts(shift - shift[first], error, agreement, kept, jumps, doubt, shared)


def _chain(
    frames: Array, furthest: float, progress: Progress | None, cancel: CancelToken | None
) -> tuple[Array, Mask]:
    """(N, 2) shifts by which each frame fits those before it, and (N,) whether it does at all."""
    shape = (frames.shape[1], frames.shape[2])
    grid, weight = Grid.of(shape), window(shape)
    spectra = [spectrum(frame, weight) for frame in frames]
    some = spectra[:: max(1, len(spectra) // 16)]
    evidence, spread = Evidence.first(some, grid), overlap(weight)
    shift, met = np.zeros((len(frames), 2)), np.ones(len(frames), bool)
    before, amount = spectra[0].copy(), 1.0
    for number in range(1, len(frames)):
        report(progress, cancel, number, len(frames), "Laying frames on each other")
        known = evidence.among(amount, 1)
        step, height, _ = Places(known, spread, before, spectra[number], furthest).best()
        last = shift[number - 1]
        met[number] = height > MET
        # Nothing is known of a frame that shows nothing: it stays where the one before it is.
        shift[number] = last + step if met[number] else last
        forget = FORGET if met[number] else 1.0
        if met[number]:
            before = forget * before * grid.ramp(step) + spectra[number]
            amount = forget * amount + 1.0
    return shift, met


class Places:
    """How well an image fits at all places against a fixed one.

    Where the images are lattices, many places fit alike. Which of them is right is in what lies
    between the reflections, if there is enough of it; else the nearest is taken.

    Parameters
    ----------
    evidence : weights of frequencies.
    spread : (2 H, 2 W) overlap of the windows of both, by shift.
    fixed, moving : their spectra.
    furthest : most pixels of a shift.
    frames : how many frames `moving` is the sum of.
    """

    def __init__(
        self,
        evidence: Evidence,
        spread: Array,
        fixed: Spectrum,
        moving: Spectrum,
        furthest: float,
        frames: int = 1,
    ) -> None:
        found, between, self._step = evidence.correlation(fixed, moving)
        self._y, self._x = (
            np.fft.fftfreq(size, 1.0 / size) * step
            for size, step in zip(found.shape, self._step, strict=True)
        )
        rows, cols = (np.round(each).astype(int) for each in (self._y, self._x))
        part = spread[rows[:, None], cols[None]]
        near = (np.abs(self._y)[:, None] <= furthest) & (np.abs(self._x)[None] <= furthest)
        near &= part > LEAST_OVERLAP
        part = np.maximum(part, LEAST_OVERLAP)
        self._between = between / np.sqrt(part)
        some = self._between[near]
        self._mean, self._noise = float(np.median(some)), _deviation(some)
        power = evidence.weight**2 * np.abs(fixed) ** 2 * frames * evidence.noise
        self._whole_noise = float(np.sqrt(evidence.grid.total(power)))
        # Where windows overlap little, noise grows with what makes up for it.
        unsure = SURE_HEIGHT * self._whole_noise * (1.0 / part - 1.0)
        self._map = np.where(near, found / part - unsure, -np.inf)

    def peaks(self) -> tuple[Array, Array, Array]:
        """Places (M, 2) that fit nearly as well as the best one, that first, with the heights (M,)
        of their peaks over that of noise; and their scores (M,) by what lies between reflections,
        in its standard deviations.
        """
        top = float(self._map.max())
        least = min(ALIKE * top, max(top - SURE_HEIGHT * self._whole_noise, LEAST_HEIGHT * top))
        high = self._map == ndimage.maximum_filter(self._map, 3, mode="wrap")
        rows, cols = np.nonzero(high & (self._map > least))
        if not len(rows) or not self._whole_noise > 0:
            return np.zeros((0, 2)), np.zeros(0), np.zeros(0)
        place, height = self._tops(rows, cols)
        order = np.argsort(height)[::-1]
        place, height = place[order], height[order]
        samples = [place[:, axis] / step for axis, step in enumerate(self._step)]
        score = ndimage.map_coordinates(self._between, samples, order=3, mode="grid-wrap")
        return place, height / self._whole_noise, (score - self._mean) / max(self._noise, 1e-300)

    def best(self) -> tuple[Array, float, Array | None]:
        """Where the image fits.

        Returns
        -------
        The shift (y, x); the height of its peak over that of noise; and another shift less this
        one which fits as well, None without one.
        """
        place, height, score = self.peaks()
        if not len(place):
            return np.zeros(2), 0.0, None
        chosen, likeliest = int(np.argmin(np.hypot(*place.T))), int(np.argmax(score))
        better = score[likeliest] - score[chosen]
        if score[likeliest] > SURE and better > SURE * np.sqrt(2.0):
            chosen = likeliest
        doubt = None
        others = np.flatnonzero(np.arange(len(score)) != chosen)
        if len(others):
            other = others[np.argmax(score[others])]
            if score[chosen] - score[other] < DOUBTFUL * np.sqrt(2.0):
                doubt = place[other] - place[chosen]
        return place[chosen], float(height[chosen]), doubt

    def height(self) -> float:
        """Height of the best peak over that of noise."""
        _, height, _ = self.peaks()
        return float(height[0]) if len(height) else 0.0

    def _tops(self, rows: Indices, cols: Indices) -> tuple[Array, Array]:
        """Places (M, 2) and heights (M,) of the peaks at samples, by paraboloids."""
        height, width = self._map.shape
        top = self._map[rows, cols]
        place, gain = np.stack([self._y[rows], self._x[cols]], axis=1), np.zeros(len(rows))
        sides = (
            (self._map[(rows - 1) % height, cols], self._map[(rows + 1) % height, cols]),
            (self._map[rows, (cols - 1) % width], self._map[rows, (cols + 1) % width]),
        )
        for axis, (before, after) in enumerate(sides):
            whole = np.isfinite(before) & np.isfinite(after)
            bend = np.where(whole, before - 2.0 * top + after, -1.0)
            slope = np.where(whole & (bend < 0), before - after, 0.0)
            off = np.clip(0.5 * slope / np.where(bend < 0, bend, -1.0), -1.0, 1.0)
            place[:, axis] += off * self._step[axis]
            gain -= 0.25 * slope * off
        return place, top + gain


def _common(shape: tuple[int, int], shift: Array) -> tuple[slice, slice] | None:
    """What all frames show, in the pixels of a frame that is not shifted; None if it is little."""
    box = []
    for axis, side in enumerate(shape):
        first = int(np.ceil(-shift[:, axis].min()))
        last = int(np.floor(side - shift[:, axis].max()))
        if last - first < max(8, LEAST_FIELD * side):
            return None
        box.append(slice(first, last))
    return box[0], box[1]


def _largest(shape: tuple[int, int]) -> tuple[slice, slice]:
    return slice(0, shape[0]), slice(0, shape[1])


@dataclass
class Consensus:
    """Frames that are nearly aligned, each seen in a window that moves with what it shows.

    Attributes
    ----------
    spectra : of all frames, aligned by the shifts that are known.
    evidence, spread : weights of frequencies, and overlap of the window with itself by shift.
    kept : (N,) frames that count.
    """

    spectra: list[Spectrum]
    evidence: Evidence
    spread: Array
    kept: Mask

    @classmethod
    def of(cls, frames: Array, shift: Array, common: tuple[slice, slice], kept: Mask) -> Consensus:
        """Cut what all frames show out of each at its place, to the pixel, and move the rest."""
        shape = (common[0].stop - common[0].start, common[1].stop - common[1].start)
        grid, weight = Grid.of(shape), window(shape)
        spectra = []
        for frame, own in zip(frames, shift, strict=True):
            whole = np.round(own).astype(int)
            rows, cols = (
                np.clip(np.arange(part.start, part.stop) + by, 0, side - 1)
                for part, by, side in zip(common, whole, frame.shape, strict=True)
            )
            spectra.append(spectrum(frame[np.ix_(rows, cols)], weight) * grid.ramp(whole - own))
        some = [each for each, good in zip(spectra, kept, strict=True) if good]
        return cls(spectra, Evidence.of(some, grid), overlap(weight), kept)

    def sweep(self, furthest: float, cancel: CancelToken | None) -> tuple[Array, Array | None]:
        """Lay the rest of the stack on its beginning, frame by frame, and each frame on the rest.

        Returns
        -------
        (N, 2) moves, and a place (y, x) that a part of the stack may also have.
        """
        moved = np.zeros((len(self.spectra), 2))
        number = np.flatnonzero(self.kept)
        doubts: list[Array] = []
        grid = self.evidence.grid
        aligned = {int(k): self.spectra[k] for k in number}
        # What is left of the stack is moved as a whole, and by all that was moved before.
        rest = np.sum(list(aligned.values()), axis=0)
        fixed, offset = np.zeros_like(rest), np.zeros(2)
        for done, k in enumerate(number):
            report(None, cancel, done, len(number), "")
            rest = rest - aligned[int(k)]
            aligned[int(k)] = aligned[int(k)] * grid.ramp(-offset)
            moved[k] = offset
            fixed = fixed + aligned[int(k)]
            left = len(number) - done - 1
            if left:
                moving = rest * grid.ramp(-offset)
                step = self._step(fixed, moving, left, done + 1, furthest, doubts)
                offset = offset + step
        total = np.sum(list(aligned.values()), axis=0)
        for k in number[1:] if len(number) > 2 else ():
            report(None, cancel, int(k), len(number), "")
            step = self._step(total - aligned[k], aligned[k], 1, len(number) - 1, furthest, doubts)
            moved[k] += step
            fresh = aligned[k] * grid.ramp(-step)
            total, aligned[k] = total - aligned[k] + fresh, fresh
        doubt = min(doubts, key=lambda each: float(np.hypot(*each))) if doubts else None
        return moved, doubt

    def _step(
        self,
        fixed: Spectrum,
        moving: Spectrum,
        frames: int,
        others: int,
        furthest: float,
        doubts: list[Array],
    ) -> Array:
        evidence = self.evidence.among(others, frames)
        step, _, doubt = Places(evidence, self.spread, fixed, moving, furthest, frames).best()
        if doubt is not None:
            doubts.append(doubt)
        return step

    def refined(self, cancel: CancelToken | None) -> tuple[Array, Array, Array]:
        """Shifts (N, 2) below a pixel that remain, the errors that the noise of each frame alone
        makes, and the agreement (N,).

        The log-likelihood of each frame against the average of the others is climbed by Newton's
        method. The highest peak of all, which `skimage.registration.phase_cross_correlation` would
        take, may be at another lattice vector.
        """
        count, grid = len(self.spectra), self.evidence.grid
        moved, agreement = np.zeros((count, 2)), np.ones(count)
        bends = np.full((count, 2, 2), np.nan)
        number = np.flatnonzero(self.kept)
        aligned = list(self.spectra)
        angle = [2 * np.pi * grid.v, 2 * np.pi * grid.u]
        for _ in range(NEWTON):
            report(None, cancel, 0, 1, "")
            total = sum(aligned[k] for k in number)
            largest = 0.0
            for k in range(count):
                inside = bool(self.kept[k])
                fixed = (total - aligned[k] if inside else total) / (len(number) - inside)
                weight = self.evidence.among(len(number) - inside, 1).weight
                product = weight * np.conj(fixed) * aligned[k]
                slope = np.array([grid.total(-product.imag * each) for each in angle])
                bend = np.array([[grid.total(product.real * a * b) for a in angle] for b in angle])
                own = grid.total(weight * np.abs(fixed) ** 2)
                agreement[k] = grid.total(product.real) / own if own > 0 else 0.0
                if not np.all(np.linalg.eigvalsh(bend) > 0):
                    bends[k] = np.nan
                    continue
                bends[k] = bend
                step = np.linalg.solve(bend, slope)
                step *= min(1.0, STEEPEST / max(float(np.hypot(*step)), 1e-12))
                if inside:
                    largest = max(largest, float(np.abs(step).max()))
                moved[k] += step
                fresh = aligned[k] * grid.ramp(-step)
                total = total + fresh - aligned[k] if inside else total
                aligned[k] = fresh
            if largest < SMALL:
                break
        return moved, self._errors(aligned, bends), agreement

    def _errors(self, aligned: list[Spectrum], bends: Array) -> Array:
        """(N, 2) standard errors of the shifts of aligned frames by their own noise.

        The slope of the log-likelihood is a sum over the pixels of the frame, each times what it
        says about the shift. Noise is not the same everywhere: counts have most of it on columns,
        whose flanks say most. So the variance of the slope, as frequencies have it, is scaled by
        what the pixels' own variances make of the sum, over what their mean would.

        Parameters
        ----------
        aligned : spectra of all frames.
        bends : (N, 2, 2) minus the second derivatives of the log-likelihood; NaN where it has no
            maximum.
        """
        grid, number = self.evidence.grid, np.flatnonzero(self.kept)
        angle = [2 * np.pi * grid.v, 2 * np.pi * grid.u]
        total = sum(aligned[k] for k in number)
        mean = total / len(number)
        squares = sum(fft.irfft2(aligned[k] - mean, s=grid.shape) ** 2 for k in number)
        variance = squares / max(float(np.mean(squares)), 1e-300)
        error = np.full((len(aligned), 2), np.nan)
        for k, bend in enumerate(bends):
            if not np.isfinite(bend).all():
                continue
            inside = bool(self.kept[k])
            fixed = (total - aligned[k] if inside else total) / (len(number) - inside)
            weight = self.evidence.among(len(number) - inside, 1).weight
            spread = self.evidence.noise * weight**2 * np.abs(fixed) ** 2
            varied = np.array([[grid.total(spread * a * b) for a in angle] for b in angle])
            says = [fft.irfft2(-1j * weight * each * fixed, s=grid.shape) ** 2 for each in angle]
            uneven = np.sqrt([(each * variance).sum() / max(each.sum(), 1e-300) for each in says])
            inverse = np.linalg.inv(bend)
            error[k] = np.sqrt(np.diag(inverse @ (varied * np.outer(uneven, uneven)) @ inverse))
        return error


def _jumps(moved: Array) -> int:
    """Parts of the stack that were moved by more than an improvement."""
    steps = np.diff(moved, axis=0, prepend=0.0)
    return int((np.hypot(*steps.T) > JUMP).sum())


def _deviation(values: Array) -> float:
    """Standard deviation of values most of which are distributed normally."""
    low, high = np.quantile(values, (0.16, 0.84))
    return float(high - low) / 2.0
