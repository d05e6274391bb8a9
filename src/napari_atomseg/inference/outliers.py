"""Hot and dead pixels of a frame: what neither a column nor the noise explains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.types import Array, Image, Mask
from napari_atomseg.progress import checkpoint

Places = tuple[NDArray[np.intp], NDArray[np.intp]]

SHOULDER = 0.36
"""Least height of the four neighbours of a column's brightest pixel over that pixel's, in the mean:
exp(-1 / 2σ²) of the sharpest column, of σ = 0.7 px, in the middle of a pixel."""
DEVIATIONS = 6.0
"""Deviations of the noise by which those neighbours of a hot pixel lie below that shoulder."""
USUAL = 2.33
"""The deviation that 1 % of the pixels of white noise exceed."""
MEMBER = 0.25
"""Pixels of a hot cluster are higher than this part of its brightest one."""
RING = 0.08
"""Height of the pixels around a hot cluster over its brightest one, at most; about columns of the
sharpest kind it is 0.13 at least."""
LARGEST = 5
"""Pixels of a cluster, at most."""
CLEAR = 20.0
"""Height of the brightest pixel of a cluster over the deviation of the noise, at least."""
COUNTS = 17.0
"""Counts from which on a single pixel, and five times as many of a cluster, cannot be chance."""
SHARE = 0.02
"""Part of the pixels, at most; more of them are the noise of the image."""
PASSES = 3
"""Passes: pixels beside a hotter one stand out only once that is gone."""
REACH = 4
"""Radius of the part of the image about a candidate, pixels."""
SAMPLE = 1_000_000
"""Pixels from which the noise is estimated."""
LEVELS = 12
"""Levels of intensity at which the noise is estimated."""
TRIMMED = 0.8
"""Part of the squared second differences that counts; hot pixels are among the rest."""
CORRECTION = 2.27
"""The mean of squared normal numbers over that of this part of them."""


def find_outliers(frame: Image, valid: Mask | None = None) -> Mask:
    """Find the hot and dead pixels of one frame.

    An image of columns is never sharper than its probe. The four neighbours of a column's
    brightest pixel have `SHOULDER` of its height at least, with the noise of such a height; a
    single pixel without such neighbours is hot. So is a cluster of a few pixels with a ring about
    it that is darker than about any column. What dark columns are to bright ones, dead pixels are
    to hot ones.

    Parameters
    ----------
    frame : (H, W) real numbers; those that are not finite do not count.
    valid : (H, W) pixels that count; by default all that are finite.

    Returns
    -------
    (H, W) bool. Pixels that are not finite, or not valid, are not among them.
    """
    valid = np.isfinite(frame) if valid is None else valid & np.isfinite(frame)
    none = np.zeros(frame.shape, dtype=bool)
    if min(frame.shape) <= REACH or valid.mean() < 0.1:
        return none
    image = filled(frame, ~valid)
    found = none.copy()
    for _ in range(PASSES):
        known = valid & ~found
        checkpoint()
        noise = _Noise.of(image, known)
        new = (_hot(image, known, noise) | _hot(-image, known, noise.negative())) & known
        if not new.any():
            break
        found |= new
        image = filled(image, new)
    return found if found.mean() <= SHARE else none


def filled(frame: Image, holes: Mask) -> Image:
    """The frame with pixels replaced by the median of the others about them.

    The window grows until half of it is left; where there is nothing within the frame's half, it
    is the nearest pixel that is left. Where single pixels are missing in plenty, the median would
    make columns flat: there it is the mean of the nearest ones, weighted by their distance.

    Parameters
    ----------
    frame : (H, W).
    holes : (H, W) pixels to replace.

    Returns
    -------
    A copy with finite values; zeros where no pixel is left.
    """
    result = np.array(frame)
    if not holes.any():
        return result
    if holes.all():
        result[:] = 0.0
        return result
    left = holes.copy()
    if holes.mean() > SHARE:
        left &= ~_filled_by_means(result, holes)
    for reach in (2, 4):
        rows, cols = np.nonzero(left)
        if not 0 < len(rows) <= SAMPLE // 50:
            break
        padded = np.pad(np.where(left, np.nan, result), reach, constant_values=np.nan)
        around = sliding_window_view(padded, (2 * reach + 1, 2 * reach + 1))[rows, cols]
        around = around.reshape(len(rows), -1)
        enough = np.isfinite(around).mean(axis=1) >= 0.5
        result[rows[enough], cols[enough]] = np.nanmedian(around[enough], axis=1)
        left[rows[enough], cols[enough]] = False
    if left.any():
        # Of the nearest blocks, as single pixels would draw their noise out into stripes.
        result[left] = _of_nearest_block(result, left)[left]
    return result


NEAREST = 0.8
"""Deviation of the Gaussian that weights the pixels about a missing one, pixels: narrower than the
sharpest column by so much that its height stays."""
ENOUGH = 0.25
"""Part of these weights that must belong to pixels that are there."""


def _filled_by_means(frame: Image, holes: Mask) -> Mask:
    """Fill single holes of a frame in place by means of the nearest pixels; returns which."""
    known = ~holes
    level = float(np.median(frame[known]))
    values = np.where(known, frame.astype(np.float64) - level, 0.0)
    weight = ndimage.gaussian_filter(known.astype(np.float64), NEAREST, truncate=3.0)
    total = ndimage.gaussian_filter(values, NEAREST, truncate=3.0)
    filled = holes & (weight > ENOUGH)
    frame[filled] = level + total[filled] / weight[filled]
    return filled


BLOCK = 8
"""Side of the blocks whose medians fill large holes, pixels."""


def _of_nearest_block(frame: Image, holes: Mask) -> Image:
    """(H, W) median of the nearest block that is not all holes."""
    height, width = frame.shape
    pad = [(0, -n % BLOCK) for n in frame.shape]
    blocks = np.pad(np.where(holes, np.nan, frame), pad, constant_values=np.nan)
    blocks = blocks.reshape(blocks.shape[0] // BLOCK, BLOCK, -1, BLOCK).swapaxes(1, 2)
    flat = blocks.reshape(*blocks.shape[:2], -1)
    known = np.isfinite(flat).any(axis=2)
    medians = np.zeros(known.shape, frame.dtype)
    medians[known] = np.nanmedian(flat[known], axis=1)
    place = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    nearest = medians[tuple(place)]
    return np.kron(nearest, np.ones((BLOCK, BLOCK), frame.dtype))[:height, :width]


@dataclass(frozen=True)
class _Noise:
    """Variance of the pixels at levels of intensity, an upper estimate where columns are sharp.

    It rises with a height by `gain` at most, and with a depth by `other`, as in inverted images.
    """

    levels: Array
    variances: Array
    gain: float
    other: float
    sign: float = 1.0

    @classmethod
    def of(cls, image: Image, valid: Mask) -> _Noise:
        """Estimate of the valid pixels of an image."""
        step = max(1, int(np.ceil(image.size / SAMPLE)))
        rows = max(REACH, min(len(image), 4 * REACH))
        tops = np.arange(0, len(image) - rows + 1, rows * step) if step > 1 else [0]
        high = rows if step > 1 else len(image)
        level, square, values = [], [], []
        kernel = np.array([1.0, -2.0, 1.0])
        for top in tops:
            part = image[top : top + high].astype(np.float64)
            second = ndimage.convolve1d(part, kernel, axis=0, mode="mirror")
            second = ndimage.convolve1d(second, kernel, axis=1, mode="mirror")
            there = valid[top : top + high]
            # Without single pixels that stand out, which would all be of the highest level.
            calm = part.clip(_neighbours(part, np.minimum), _neighbours(part, np.maximum))
            level.append(ndimage.uniform_filter(calm, 5, mode="mirror")[there])
            square.append((second**2 / 36.0)[there])
            values.append(part[there])
        means, squares, value = map(np.concatenate, (level, square, values))
        low = float(np.quantile(value, 0.005))
        order = np.argsort(means)
        at, variance = [], []
        for some in np.array_split(order, LEVELS):
            if some.size:
                at.append(float(np.median(means[some])))
                kept = np.sort(squares[some])[: max(1, int(TRIMMED * some.size))]
                variance.append(CORRECTION * float(kept.mean()))
        peak = float(np.quantile(value, 0.995))
        quantum = _quantum(value)
        gains = []
        for away in (np.array(at) - low, peak - np.array(at)):
            clear = away > 0.02 * (peak - low)
            rises = np.array(variance)[clear] / away[clear]
            gains.append(max(float(rises.max(initial=0.0)), quantum))
        return cls(np.array(at), np.array(variance), gains[0], gains[1])

    def negative(self) -> _Noise:
        """The noise of the negative of the image."""
        return _Noise(self.levels, self.variances, self.gain, self.other, -self.sign)

    def variance(self, level: Array) -> Array:
        """Variance of pixels of a level, of the negative where this is its noise."""
        level = self.sign * level
        beyond = self.gain * np.maximum(level - self.levels[-1], 0.0)
        below = self.other * np.maximum(self.levels[0] - level, 0.0)
        between = np.interp(level, self.levels, self.variances)
        return np.asarray(between + beyond + below, dtype=np.float64)

    def shot(self, height: Array) -> Array:
        """Variance that a height may add."""
        return (self.gain if self.sign > 0 else self.other) * height


def _quantum(values: Array) -> float:
    """Typical single count of an image of which more than half has none, or else 0."""
    middle = float(np.median(values))
    others = np.abs(values[values != middle] - middle)
    return float(np.median(others)) if 0 < len(others) < 0.5 * len(values) else 0.0


def _hot(image: Image, known: Mask, noise: _Noise) -> Mask:
    """Pixels (H, W) that stand above all others about them, beyond columns and noise.

    Neighbours that are not known may be as high as the pixel.
    """
    found = np.zeros(image.shape, dtype=bool)
    highest, lowest = _extreme(image, np.maximum), _extreme(image, np.minimum)
    four = _four(image)
    # The true background is not below the lowest neighbour by much: what is no candidate even
    # against that one needs no closer look.
    height = image - lowest
    least = np.sqrt(float(noise.variances.min()))
    seeds = SHOULDER * height - (four - lowest) > 0.5 * DEVIATIONS * least
    seeds |= height >= CLEAR * least
    seeds &= (image == highest) & (height > COUNTS * float(noise.shot(np.ones(1))[0]))
    rows, cols = np.nonzero(seeds)
    usual = _usual(image, four, noise) if len(rows) else 1.0
    side = 2 * REACH + 1
    patches = sliding_window_view(np.pad(image, REACH, mode="reflect"), (side, side))
    sure = sliding_window_view(np.pad(known, REACH, mode="reflect"), (side, side))
    for some in np.array_split(np.arange(len(rows)), max(1, len(rows) // 20_000)):
        checkpoint()
        at = rows[some], cols[some]
        patch = patches[at].astype(np.float64)
        _add_singles(found, at, patch, sure[at], noise, usual)
        _add_clusters(found, at, patch, noise)
    return found


def _add_singles(
    found: Mask, at: Places, patch: Array, sure: Mask, noise: _Noise, usual: float
) -> None:
    """Mark single pixels, from the parts (n, 9, 9) about them."""
    ground = np.median(_border(patch, 2), axis=1)
    top = patch[:, REACH, REACH]
    rise = top - ground
    near = np.where(sure, patch, top[:, None, None])[
        :, REACH - 1 : REACH + 2, REACH - 1 : REACH + 2
    ].reshape(-1, 9)
    # Not below the ground: about a pixel between bright columns there is more than shoulders.
    beside = np.maximum(near[:, 1::2].mean(axis=1) - ground, 0.0)
    shoulder = SHOULDER * np.maximum(rise, 0.0)
    deviation = np.sqrt((noise.variance(ground) + noise.shot(shoulder)) / 4.0)
    hot = SHOULDER * rise - beside > DEVIATIONS * usual * deviation
    hot &= rise > COUNTS * noise.shot(np.ones_like(rise))
    found[at[0][hot], at[1][hot]] = True


def _usual(image: Image, four: Image, noise: _Noise) -> float:
    """How far the pixels deviate over how far they would in white noise, at least 1."""
    step = max(1, int(np.sqrt(image.size / SAMPLE)))
    part, beside = image[::step, ::step].astype(np.float64), four[::step, ::step]
    deviation = np.sqrt(noise.variance(beside.astype(np.float64)))
    known = deviation > 0
    if not known.any():
        return 1.0
    z = (part - beside)[known] / deviation[known]
    return max(1.0, float(np.quantile(z, 0.99)) / float(np.sqrt(1.25) * USUAL))


def _add_clusters(found: Mask, at: Places, patch: Array, noise: _Noise) -> None:
    """Mark the clusters of a few pixels about candidates, from the parts (n, 9, 9) about them."""
    ground = np.median(_border(patch, REACH), axis=1)
    rise = patch[:, REACH, REACH] - ground
    deviation = np.sqrt(noise.variance(ground))
    high = patch - ground[:, None, None] > MEMBER * rise[:, None, None]
    members = np.zeros_like(high)
    members[:, REACH, REACH] = True
    block = np.ones((1, 3, 3), dtype=bool)
    for _ in range(REACH - 1):
        members = ndimage.binary_dilation(members, block) & high
    ring = ndimage.binary_dilation(members, block) & ~members
    around = np.where(ring, patch - ground[:, None, None], -np.inf).max(axis=(1, 2))
    size = members.sum(axis=(1, 2))
    hot = (size <= LARGEST) & (around < RING * rise) & (rise > CLEAR * deviation) & (rise > 0)
    hot &= rise > 5.0 * COUNTS * noise.shot(np.ones_like(rise))
    number, row, col = np.nonzero(members & hot[:, None, None])
    row, col = at[0][number] + row - REACH, at[1][number] + col - REACH
    inside = (row >= 0) & (row < found.shape[0]) & (col >= 0) & (col < found.shape[1])
    found[row[inside], col[inside]] = True


def _extreme(image: Image, extreme: np.ufunc) -> Image:
    """Extreme value of the 3 by 3 pixels about each, itself among them."""
    framed = np.pad(image, 1, mode="reflect")
    three = extreme(framed[:-2], framed[1:-1])
    extreme(three, framed[2:], out=three)
    result: Image = extreme(three[:, :-2], three[:, 1:-1])
    extreme(result, three[:, 2:], out=result)
    return result


def _neighbours(image: Array, extreme: np.ufunc) -> Array:
    """Extreme value of the eight neighbours of each pixel, mirrored at the border."""
    framed = np.pad(image, 1, mode="reflect")
    three = extreme(extreme(framed[:, :-2], framed[:, 1:-1]), framed[:, 2:])
    beside = extreme(framed[1:-1, :-2], framed[1:-1, 2:])
    result: Array = extreme(extreme(three[:-2], three[2:]), beside)
    return result


def _four(image: Image) -> Image:
    """Mean of the four nearest neighbours, mirrored at the border."""
    framed = np.pad(image, 1, mode="reflect")
    total = framed[:-2, 1:-1] + framed[2:, 1:-1]
    total += framed[1:-1, :-2]
    total += framed[1:-1, 2:]
    total *= 0.25
    return total


def _border(patch: Array, radius: int) -> Array:
    """(n, 8 radius) pixels of the square of that radius about the middle of patches (n, 9, 9)."""
    low, high = REACH - radius, REACH + radius
    part = patch[:, low : high + 1, low : high + 1]
    return np.concatenate([part[:, 0], part[:, -1], part[:, 1:-1, 0], part[:, 1:-1, -1]], axis=1)
