"""Displacements of scan lines beside the lattice that the frame itself shows.

Displaced lines are torn off a lattice that hundreds of lines around them agree on. Of each strong
reflection of the frame, amplitude and phase are taken locally, as in geometric phase analysis
(Hÿtch, Snoeck and Kilaas, Ultramicroscopy 74 (1998) 131), but over many lines: their sum is what
the frame would show if its lines were not displaced. Each line is then moved to where it fits this
template best, by least squares (Lucas and Kanade, Proc. IJCAI 1981); a better placed line makes a
better template, and so on. What does not repeat, such as defects, borders and noise, is no part of
the template, and counts as noise of the line.

Displacements that change slowly from line to line are displacements of the template, too: they are
not measured here.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from napari_atomseg._shared.types import Array
from napari_atomseg.inference.scan.regrid import put_back
from napari_atomseg.progress import checkpoint, tell

ROUNDS = 4
"""Templates, each from the frame as the displacements before put it back."""
MOST = 40
"""Reflections of a template."""
CLEAR = 12.0
"""Power of a reflection over the level of its row of frequencies and over that of the noise."""
LOWEST = 0.02
"""Cycles a pixel below which nothing is a reflection: shades of the whole image."""
PERIODS = 1.0
"""Deviation of the Gaussian that a template is local by, in periods of its lattice."""
LEAST_LOCAL = 16.0
"""Pixels of this deviation at least."""
MOST_LOCAL = 0.25
"""Of the shorter side of a frame, at most: beyond, too few periods are in it."""
KNOTS = 3.0
"""Knots of amplitudes and phases a deviation of that Gaussian."""
WINDOW = 3.0
"""Deviations of it around a knot beyond which no pixel counts."""
SWEEPS = 3
"""Times that amplitudes are taken from what those before leave."""
ABSORBED = 0.375
"""Twice the frequency over its inverse, of displacements that a template follows by half:
exp(-2 π² d² f²) = 1/2 for a Gaussian of deviation d. What is slower is known as before."""
FARTHEST = 0.5
"""Pixels that a line may move in a round."""
BORDER = 1e-3
"""Pixels, least error of a line when it is put back."""


@dataclass(frozen=True)
class Reflections:
    """Reflections of a frame (H, W), with amplitudes and phases that vary over it.

    Attributes
    ----------
    frequencies : (G, 2) cycles a pixel, one of each pair of opposite ones.
    """

    frequencies: Array

    @classmethod
    def of(cls, frame: Array) -> Reflections:
        """The clear ones of a frame, the strongest first.

        Displaced lines smear a reflection along its row of frequencies, those of one frequency
        along the lines: a reflection must stand out there.
        """
        height, width = frame.shape
        window = np.outer(np.hanning(height + 2)[1:-1], np.hanning(width + 2)[1:-1])
        # Padded to twice its size, so that a maximum is close to the frequency of its reflection.
        power = np.abs(fft.fft2((frame - frame.mean()) * window, (2 * height, 2 * width))) ** 2
        checkpoint()
        rows, cols = fft.fftfreq(2 * height)[:, None], fft.fftfreq(2 * width)[None]
        checkpoint()
        radius = np.hypot(rows, cols)
        noise = float(np.median(power[radius > 0.35])) / np.log(2.0)
        checkpoint()
        level = np.maximum(np.median(power, axis=0) / np.log(2.0), noise)
        half = (cols > 0) | ((cols == 0) & (rows > 0))
        checkpoint()
        top = power == ndimage.maximum_filter(power, 9, mode="wrap")
        checkpoint()
        found = top & half & (radius > LOWEST) & (power > CLEAR * level)
        order = np.argsort(-power[found])[:MOST]
        place = np.argwhere(found)[order]
        return cls(np.stack([rows[place[:, 0], 0], cols[0, place[:, 1]]], axis=1))

    @property
    def local(self) -> float:
        """Pixels over which amplitudes are taken so that no reflection is in that of another."""
        both = np.concatenate([self.frequencies, -self.frequencies, np.zeros((1, 2))])
        apart = np.hypot(*(both[:, None] - both[None]).transpose(2, 0, 1))
        np.fill_diagonal(apart, np.inf)
        return max(LEAST_LOCAL, PERIODS / float(np.median(apart.min(axis=1))))

    def enough(self, shape: tuple[int, ...]) -> bool:
        """Whether they tell displacements both ways, in a frame of this shape."""
        both = np.linalg.matrix_rank(self.frequencies, tol=LOWEST) == 2
        return bool(both and self.local <= MOST_LOCAL * min(shape))


class Template:
    """What a frame repeats: a sum of reflections whose amplitudes vary slowly over it.

    Parameters
    ----------
    shape : of the frame.
    reflections : that are `enough` for it.
    """

    def __init__(self, shape: tuple[int, ...], reflections: Reflections) -> None:
        # The mean is one more reflection, without an opposite one.
        self._frequencies = np.concatenate([np.zeros((1, 2)), reflections.frequencies])
        self._share = np.array([1.0] + [2.0] * len(reflections.frequencies), np.float32)
        self._rows, self._cols = (Knots.of(size, reflections.local) for size in shape)
        self._down, self._along = (
            np.exp(2j * np.pi * f * np.arange(size)[:, None]).astype(np.complex64)
            for f, size in zip(self._frequencies.T, shape, strict=True)
        )
        self._amplitudes = np.zeros(
            (self._rows.count, self._cols.count, len(self._frequencies)), np.complex64
        )

    def fit(self, frame: Array) -> None:
        """Take the amplitudes from a frame, then again from what they leave of it: near a border
        reflections are not quite apart.
        """
        still = np.zeros((len(frame), 2))
        for _ in range(SWEEPS):
            (known,) = self._seen(still, np.ones((1, len(self._share))))
            rest = (frame - known).astype(np.complex64)
            lines = np.stack(
                [
                    rest[:, part] @ (weight[:, None] * self._along[part].conj())
                    for part, weight in self._cols.windows()
                ],
                axis=1,
            )
            lines *= self._down.conj()[:, None]
            for knot, (part, weight) in enumerate(self._rows.windows()):
                self._amplitudes[knot] += np.tensordot(weight, lines[part], 1)

    def at(self, shifts: Array) -> Array:
        """(3, H, W) template where lines displaced by (H, 2) pixels see it, and its slopes y, x."""
        slopes = 2j * np.pi * self._frequencies.T
        return self._seen(shifts, np.concatenate([np.ones_like(slopes[:1]), slopes]))

    def _seen(self, shifts: Array, factors: Array) -> Array:
        """(F, H, W) sums of the reflections times (F, G) factors, of displaced lines."""
        below, share = self._rows.between()
        share = share[:, None, None].astype(np.float32)
        lines = self._amplitudes[below] * (1.0 - share) + self._amplitudes[below + 1] * share
        phase = np.exp(-2j * np.pi * shifts @ self._frequencies.T).astype(np.complex64)
        lines *= (self._share * self._down * phase)[:, None]
        made = np.empty((len(factors), self._rows.size, self._cols.size))
        below, share = self._cols.between()
        for into, factor in zip(made, factors.astype(np.complex64), strict=True):
            form = lines * factor
            for knot in range(self._cols.count - 1):
                checkpoint()
                part = np.flatnonzero(below == knot)
                wave, upper = self._along[part].T, share[part].astype(np.float32)
                waves = np.concatenate([wave * (1.0 - upper), wave * upper])
                both = form[:, knot : knot + 2].reshape(len(form), -1)
                into[:, part] = (both @ waves).real
        return made


@dataclass(frozen=True)
class Knots:
    """Places along an axis where amplitudes are taken, and between which they are interpolated.

    Attributes
    ----------
    size : pixels of the axis.
    count : knots, from its first pixel to its last.
    deviation : of the Gaussian that weighs the pixels around a knot.
    """

    size: int
    count: int
    deviation: float

    @classmethod
    def of(cls, size: int, deviation: float) -> Knots:
        """Enough of them for this deviation."""
        return cls(size, max(4, 1 + round(KNOTS * size / deviation)), deviation)

    @property
    def gap(self) -> float:
        """Pixels between two knots."""
        return (self.size - 1.0) / (self.count - 1.0)

    def windows(self) -> Iterator[tuple[slice, Array]]:
        """The pixels around each knot and their weights, whose sum is one."""
        for knot in range(self.count):
            checkpoint()
            middle = knot * self.gap
            first = max(0, math.ceil(middle - WINDOW * self.deviation))
            last = min(self.size, math.floor(middle + WINDOW * self.deviation) + 1)
            away = (np.arange(first, last) - middle) / self.deviation
            weight = np.exp(-0.5 * away**2)
            yield slice(first, last), (weight / weight.sum()).astype(np.float32)

    def between(self) -> tuple[NDArray[np.int64], Array]:
        """The knot before each pixel, and what share the next one has in it."""
        place = np.arange(self.size) / self.gap
        below = np.minimum(place.astype(np.int64), self.count - 2)
        return below, place - below


def beside_lattice(frame: Array, shifts: Array, errors: Array) -> tuple[Array, Array] | None:
    """Displacements of the lines of a frame (H, W) beside its own lattice.

    Parameters
    ----------
    shifts, errors : (H, 2) what is known of them before, (y, x) in pixels; slow ones stay.

    Returns
    -------
    (H, 2) displacements and their standard errors. None where the frame shows no lattice: fewer
    than two reflections that are not parallel, or too few periods.
    """
    # Templates are in single precision, which holds no offset beside a small contrast.
    frame = (frame - frame.mean()) / max(float(frame.std()), 1e-30)
    total, known, slow = shifts, errors, 0.0
    rest = slope_y = slope_x = frame
    for number in range(ROUNDS):
        tell(f"Measuring scan lines beside the lattice, round {number + 1} of {ROUNDS}")
        image = put_back(frame, total, np.maximum(known, BORDER))
        reflections = Reflections.of(image)
        if not reflections.enough(frame.shape):
            return None
        template = Template(frame.shape, reflections)
        template.fit(image)
        value, slope_y, slope_x = template.at(total)
        rest = frame - value
        slow = ABSORBED / reflections.local
        step, known = _least_squares(rest, slope_y, slope_x)
        total = total + np.clip(step, -FARTHEST, FARTHEST)
    halves = np.array_split(np.arange(frame.shape[1]), 2)
    (one, its), (other, theirs) = (
        _least_squares(rest[:, half], slope_y[:, half], slope_x[:, half]) for half in halves
    )
    # The halves of a line were displaced alike; if they differ by more than their errors, these
    # are too small.
    differ = ((one - other) ** 2).mean(axis=0) / (its**2 + theirs**2).mean(axis=0)
    return total, np.sqrt(known**2 * np.maximum(1.0, differ) + slow * errors**2)


def _least_squares(rest: Array, slope_y: Array, slope_x: Array) -> tuple[Array, Array]:
    """(H, 2) displacements that explain best what lines differ by, and their errors.

    A line displaced by δ differs from the template by -δ times its slope.
    """
    variance = float(np.median((rest**2).mean(axis=1)))
    slopes = -np.stack([slope_y, slope_x], axis=-1)
    system = np.einsum("hwa,hwb->hab", slopes, slopes)
    # Where a line shows nothing it stays.
    system += np.eye(2) * max(float(np.trace(system.mean(axis=0))) * 1e-6, 1e-30)
    inverse = np.linalg.inv(system)
    step = np.einsum("hab,hb->ha", inverse, np.einsum("hwa,hw->ha", slopes, rest))
    return step, np.sqrt(variance * np.einsum("haa->ha", inverse))


def shrunk(jitter: Array, errors: Array) -> tuple[Array, Array]:
    """Jitter and errors (H, 2) as the mean and deviation of what is likely.

    True displacements are taken to be normal, of the variance by which the measured ones exceed
    their errors (James and Stein, Proc. 4th Berkeley Symposium 1 (1961) 361); where they do not,
    of as much as so many lines could hide.
    """
    noise = (errors**2).mean(axis=0)
    hidden = noise * math.sqrt(2.0 / len(jitter))
    spread = np.maximum((jitter**2).mean(axis=0) - noise, hidden)
    share = spread / (spread + errors**2)
    return jitter * share, errors * np.sqrt(share)
