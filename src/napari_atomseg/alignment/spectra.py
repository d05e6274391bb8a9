"""Spectra of frames, and how much each frequency says about their shifts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage, signal, special

from napari_atomseg._shared.types import Array

Spectrum = NDArray[np.complex128]
TAPER = 0.5
"""Part of a window that rises and falls."""
SLOW = 2.5
"""Cycles across the field below which shading, contamination and the window itself are seen."""
QUIET = 0.42
"""Cycles a pixel beyond which a frame shows noise alone, while nothing better is known of it."""
SEEN = 8.0
"""Power of the signal over that of the noise in an average from which on it counts."""
FIRST_SEEN = 4.0
"""Standard deviations of the mean power of noise beyond which there is signal, before that."""
BAND = 0.999
"""Part of what frequencies say about shifts that those within the band say."""
SMOOTH = 7
"""Frequencies over which the noise's power is averaged, along either axis."""
SPOT = 1e-5
"""Powers that noise has so rarely are those of reflections."""
FAINT = 0.01
"""Least power of what lies between reflections that is reckoned with, over that of the noise."""
OVERSAMPLED = 2.0
"""Samples of a correlation over those that its band needs, so that peaks can be compared."""


@dataclass(frozen=True)
class Grid:
    """Frequencies of real images (H, W).

    Attributes
    ----------
    shape : (H, W).
    v, u : frequencies along y (H, 1) and x (1, W // 2 + 1), cycles a pixel.
    twice : (1, W // 2 + 1) how often each counts: the other half of the plane mirrors it.
    """

    shape: tuple[int, int]
    v: Array
    u: Array
    twice: Array

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Grid:
        """The frequencies of images of a shape."""
        u = fft.rfftfreq(shape[1])[None]
        twice = np.full_like(u, 2.0)
        twice[0, 0] = 1.0
        if shape[1] % 2 == 0:
            twice[0, -1] = 1.0
        return cls(shape, fft.fftfreq(shape[0])[:, None], u, twice)

    def ramp(self, shift: Array) -> Spectrum:
        """Factors that move an image by (y, x) pixels."""
        along_y = np.exp(-2j * np.pi * self.v * shift[0])
        return np.asarray(along_y * np.exp(-2j * np.pi * self.u * shift[1]))

    def total(self, plane: Array | Spectrum) -> float:
        """Sum over the whole plane of a quantity given on half of it, its real part."""
        return float((self.twice * plane.real).sum())

    def slow(self) -> NDArray[np.bool_]:
        """Frequencies that say nothing about shifts."""
        height, width = self.shape
        return np.hypot(self.v * height, self.u * width) < SLOW


def window(shape: tuple[int, int]) -> Array:
    """(H, W) that falls to 0 at the border."""
    one = [signal.windows.tukey(side + 2, TAPER)[1:-1] for side in shape]
    return np.outer(*one)


def overlap(weight: Array) -> Array:
    """(H, W) how much of a window overlaps itself when moved by each shift, 1 for none."""
    power = np.abs(fft.rfft2(weight, s=[2 * side for side in weight.shape])) ** 2
    whole = fft.irfft2(power, s=[2 * side for side in weight.shape])
    return np.asarray(whole / whole[0, 0])


def spectrum(frame: Array, weight: Array) -> Spectrum:
    """Spectrum of a frame in a window, without its mean."""
    mean = float((frame * weight).sum() / weight.sum())
    return np.asarray(fft.rfft2((frame - mean) * weight), dtype=np.complex128)


@dataclass(frozen=True)
class Evidence:
    """What each frequency says about the shift between two images.

    Their cross-spectrum, weighted by S / (N (N + 2 S)), is the log-likelihood of the shift, S and N
    being the powers of what they share and of the noise of either (Knapp & Carter, IEEE Trans.
    Acoust. Speech Signal Process. 24, 320 (1976), the processor of Hannan and Thomson): phases
    count, as in phase correlation, by how surely they are known.

    On a lattice nearly all of S is in its reflections, which say nothing about which lattice vector
    a shift is off by. That is in what lies between them: defects, edges, thickness.

    Attributes
    ----------
    grid : frequencies.
    signal, noise : powers S and N in a single frame.
    weight : the weights.
    between : weights of what lies between reflections alone.
    """

    grid: Grid
    signal: Array
    noise: Array
    weight: Array
    between: Array

    @classmethod
    def first(cls, spectra: Iterable[Spectrum], grid: Grid) -> Evidence:
        """Before frames are aligned: white noise, of the power far beyond the optics."""
        powers = [np.abs(each) ** 2 for each in spectra]
        power = np.mean(powers, axis=0)
        beyond = np.hypot(grid.v, grid.u) > QUIET
        # Powers of noise have an exponential distribution, and their means a gamma distribution.
        middle = float(special.gammaincinv(len(powers), 0.5)) / len(powers)
        floor = float(np.median(power[beyond])) / middle
        # A mean of few powers fluctuates by as much as it is.
        least = floor * (1.0 + FIRST_SEEN / np.sqrt(len(powers)))
        known = np.where(power > least, power - floor, 0.0)
        return cls._of(grid, known, np.full_like(power, floor), power, len(powers))

    @classmethod
    def of(cls, aligned: list[Spectrum], grid: Grid) -> Evidence:
        """Of aligned spectra: noise is in what differs, the signal in what they share."""
        count = len(aligned)
        mean = np.mean(aligned, axis=0)
        off = sum(np.abs(each - mean) ** 2 for each in aligned) / (count - 1)
        noise = np.maximum(_smooth(np.asarray(off)), 1e-12 * float(np.max(off)) + 1e-300)
        power = np.abs(mean) ** 2 - noise / count
        known = np.where(power > SEEN * noise / count, power, 0.0)
        whole = np.mean([np.abs(each) ** 2 for each in aligned], axis=0)
        return cls._of(grid, known, noise, whole, count)

    @classmethod
    def _of(cls, grid: Grid, known: Array, noise: Array, power: Array, count: int) -> Evidence:
        """From the powers of signal, noise and both together, the mean of `count` frames."""
        slow = grid.slow()
        known, noise = np.where(slow, 0.0, known), np.maximum(noise, 1e-300)
        weight = known / (noise * (noise + 2.0 * known))
        radius, said = np.hypot(grid.v, grid.u), grid.twice * weight * known
        order = np.argsort(radius, axis=None)
        said = np.cumsum(said.ravel()[order])
        last = order[min(int(np.searchsorted(said, BAND * said[-1])), len(order) - 1)]
        beyond = radius > radius.ravel()[last]
        between = np.where(slow | beyond, 0.0, _between(grid, power, noise, count))
        return cls(grid, known, noise, np.where(beyond, 0.0, weight), between)

    def among(self, first: float, second: float) -> Evidence:
        """The same for sums of so many frames in place of single ones."""
        # Sums n S with noise n N: weights of the cross-spectrum of sums, up to what they share.
        spread = self.noise * (self.noise + (first + second) * self.signal)
        return replace(self, weight=self.signal / spread)

    @property
    def band(self) -> tuple[float, float]:
        """Largest frequencies that count, along y and x; cycles a pixel."""
        some = self.weight * self.signal
        rows, cols = np.nonzero(some > 1e-6 * float(some.max(initial=0.0)))
        if not len(rows):
            return 0.5, 0.5
        return float(np.abs(self.grid.v[rows, 0]).max()), float(self.grid.u[0, cols].max())

    def correlation(
        self, fixed: Spectrum, moving: Spectrum
    ) -> tuple[Array, Array, tuple[float, float]]:
        """Maps of the log-likelihood that `moving` is moved by each shift against `fixed`.

        Returns
        -------
        (h, w) map of all evidence, and of what lies between reflections, no shift at their first
        pixels; and the pixels (y, x) from one of their samples to the next: they are sampled more
        coarsely than the image where the band allows.
        """
        shape, product = self.grid.shape, np.conj(fixed) * moving
        sizes = [
            max(8, min(2 * side, fft.next_fast_len(int(np.ceil(2 * OVERSAMPLED * edge * side)))))
            for side, edge in zip(shape, self.band, strict=True)
        ]
        sizes[1] += sizes[1] % 2
        whole, between = (
            _back(weight * product, shape[0], (sizes[0], sizes[1]))
            for weight in (self.weight, self.between)
        )
        return whole, between, (shape[0] / sizes[0], shape[1] / sizes[1])


def _smooth(power: Array) -> Array:
    """Power spectrum on half a plane, averaged over frequencies nearby."""
    mirrored = np.concatenate([np.roll(power[::-1], 1, axis=0)[:, SMOOTH // 2 : 0 : -1], power], 1)
    wide = ndimage.uniform_filter(mirrored, SMOOTH, mode=("wrap", "nearest"))
    return np.asarray(wide[:, SMOOTH // 2 :])


def _back(product: Spectrum, height: int, sizes: tuple[int, int]) -> Array:
    """The map (h, w) of a spectrum of images of a height, in other sizes."""
    whole = np.zeros((sizes[0], sizes[1] // 2 + 1), dtype=np.complex128)
    rows, cols = min(height, sizes[0]), min(product.shape[1], whole.shape[1])
    up, down = (rows + 1) // 2, rows // 2
    whole[:up, :cols] = product[:up, :cols]
    whole[-down:, :cols] = product[-down:, :cols]
    return np.asarray(fft.irfft2(whole, s=sizes) * (sizes[0] * sizes[1]))


def _between(grid: Grid, power: Array, noise: Array, count: int) -> Array:
    """Weights S / (N (N + 2 S)) with the power S that is the same in all directions.

    The median over rings of frequencies sees no reflections; these, and what their strength spills
    on frequencies about them, have no weight.
    """
    height, width = grid.shape
    ring = np.round(np.hypot(grid.v, grid.u) * max(height, width)).astype(int)
    index = np.arange(ring.max() + 1)
    typical = ndimage.median(power, ring, index)[ring]
    floor = ndimage.median(noise, ring, index)[ring]
    # Powers of noise, the mean of so many, have a gamma distribution.
    typical /= special.gammaincinv(count, 0.5) / count
    diffuse = np.maximum(typical - floor, FAINT * floor)
    spots = power > typical * special.gammainccinv(count, SPOT) / count
    spots = ndimage.binary_dilation(spots, np.ones((3, 3), bool))
    return np.where(spots, 0.0, diffuse / (floor * (floor + 2.0 * diffuse)))
