"""Whether a hexagonal pattern is one of columns, or the gaps in a honeycomb of columns.

With the first reflections alone both look alike: bright spots on a hexagonal lattice are also the
middles of the rings of a dark honeycomb, whose columns, two a cell, are the shallower extrema.
HRTEM images of graphene are so. The second reflections tell: they sharpen what columns are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from napari_atomseg._shared.types import Array, Image
from napari_atomseg.inference.spectra import middle, noise_power
from napari_atomseg.progress import checkpoint

Told = Literal["spots", "honeycomb", "either"]

LOWEST = 0.35
"""Frequency over that of the columns below which there are backgrounds."""
GAPS = np.geomspace(0.6, 2.4, 24)
"""Frequencies, over that of the columns, at which the first reflections may end."""
HALF_GAP = 0.06
"""Half width of the gap behind them, over its frequency..."""
FILLED = 0.05
"""...and the most power in it, over that of the first reflections,"""
FIRST = 0.15
"""which have at least this part of the power of all."""
CLEAR = 5.0
"""Power over that of the noise from which on it is that of a reflection."""
HIGHEST = 0.48
"""Frequency up to which further reflections count, cycles a pixel."""
PURE = (2.0 / 3.0) ** 0.5
"""Skewness of the sum of three waves that a hexagonal lattice has as first reflections..."""
HEXAGONAL = 0.5 * PURE
"""...and from which on they are taken to be such."""
EVEN = 0.05
"""Deviation of their frequencies over the mean, beyond that of the window, up to which they are
alike: those of face-centred cubic crystals along [110] deviate by 0.07."""
DIFFUSE = 0.15
"""Part of the highest power of the first reflections below which it may be that of defects, or of
noise."""
SPOT = 1.0 / 3.0
"""Variance of the frequency of a wave under the window, over that of its steps, along each axis."""
SURE = 4.0
"""Deviations of noise from which on the second reflections tell..."""
LEAST = 0.03
"""...where what they add to columns is this part of the first ones' deviation: squares of waves,
which nonlinear imaging adds, are bright in any case."""
SHORTEST = 1.3
"""Å between neighbours of a honeycomb, at least: that of beryllium has 1.32."""
CARBON = (1.39, 1.48)
"""Å between neighbours in graphene, 1.42, and boron nitride, 1.45: no crystal has hexagonal columns
√3 times as far apart that would be as likely."""


@dataclass(frozen=True)
class Hexagonal:
    """A hexagonal pattern of spots.

    Attributes
    ----------
    bright : whether the spots are bright.
    apart : pixels between neighbouring columns of the honeycomb whose rings they would be; spots
        are √3 times as far apart.
    z : by how many deviations of noise the second reflections sharpen what is bright.
    strength : what they add there over the deviation of the first ones.
    """

    bright: bool
    apart: float
    z: float
    strength: float

    def told(self, sampling: float | None = None) -> Told:
        """What the columns are: the spots, the honeycomb between them, or not known.

        Parameters
        ----------
        sampling : Å a pixel where known.
        """
        if sampling is not None and self.apart * sampling < SHORTEST:
            return "spots"
        if abs(self.z) < SURE or abs(self.strength) < LEAST:
            return "either"
        return "spots" if (self.z > 0) == self.bright else "honeycomb"

    def columns_bright(self, sampling: float | None = None) -> bool | None:
        """Whether columns are bright; None where that is not known.

        Of dark spots as far apart as the rings of graphene nothing else is as likely.
        """
        told = self.told(sampling)
        if told == "either":
            carbon = sampling is not None and CARBON[0] <= self.apart * sampling <= CARBON[1]
            return True if carbon and not self.bright else None
        return self.bright == (told == "spots")


def hexagonal(image: Image, spacing: float) -> Hexagonal | None:
    """The hexagonal pattern that an image shows; None where it shows another one, or none.

    With w the sum of the first reflections, <w³> is positive where they make bright spots, and <w²
    f> with f all that is finer where finer structure makes bright places of w brighter: w² has the
    frequencies of the second reflections, with the phases that they have if columns are bright,
    spots or honeycomb, and the opposite ones if they are dark. These are parts of the bispectrum
    (Kim & Powers, IEEE Trans. Plasma Sci. 7, 120 (1979)).

    Parameters
    ----------
    image : (H, W) finite.
    spacing : of the columns, pixels, within a factor of two.
    """
    plane = middle(np.asarray(image, np.float64))
    window = np.outer(*(np.hanning(side + 2)[1:-1] for side in plane.shape))
    waves = np.fft.rfft2((plane - plane.mean()) * window)
    u = np.fft.rfftfreq(plane.shape[1])
    k = np.hypot(np.fft.fftfreq(plane.shape[0])[:, None], u)
    power, twice = np.abs(waves) ** 2, np.where((u > 0) & (u < 0.5), 2.0, 1.0)
    noise = np.maximum(noise_power(power, k), 1e-9 * power[k > LOWEST / spacing].max(initial=0.0))
    checkpoint()
    excess = np.where((power > CLEAR * noise) & (k > LOWEST / spacing), power - noise, 0.0) * twice
    end = _first_gap(excess, k, spacing)
    if end is None:
        return None
    inner = excess * (k < end)
    inner[inner < DIFFUSE * inner.max()] = 0.0
    mean = float((inner * k).sum() / inner.sum())
    variance = float((inner * (k - mean) ** 2).sum() / inner.sum())
    variance -= SPOT * float(np.mean(1.0 / np.square(plane.shape)))
    if variance > (EVEN * mean) ** 2:
        return None
    first = np.fft.irfft2(np.where(inner > 0, waves, 0.0), plane.shape)
    deviation = float(np.sqrt((first**2).mean()))
    # What the window does to a cube, over what it does to a deviation.
    shape = float((window**3).mean() / (window**2).mean() ** 1.5)
    skewness = float((first**3).mean()) / deviation**3 / shape
    if abs(skewness) < HEXAGONAL:
        return None
    checkpoint()
    finer = (k >= end) & (k < HIGHEST)
    square = np.where(finer, np.fft.rfft2(first**2), 0.0)
    weight = np.abs(square) ** 2 * twice
    sharper = float((np.conj(square) * waves * twice).real.sum())
    # White noise of the power that the noise has where it counts, under the window.
    white = float((weight * noise).sum() / weight.sum()) / float((window**2).sum())
    seen = np.fft.irfft2(square, plane.shape) * window
    error = float(np.sqrt(white * (seen**2).sum())) * plane.size
    strength = sharper / float(weight.sum()) * deviation
    return Hexagonal(skewness > 0, 2.0 / (3.0 * mean), sharper / error, strength)


def _first_gap(excess: Array, k: Array, spacing: float) -> float | None:
    """Frequency behind the first reflections at which there are none; None without such a gap."""
    order = np.argsort(k, axis=None)
    there = order[excess.ravel()[order] > 0]
    known, total = k.ravel()[there], np.append(0.0, np.cumsum(excess.ravel()[there]))
    if not total[-1] > 0:
        return None

    def below(frequency: float) -> float:
        return float(total[np.searchsorted(known, frequency)])

    for each in GAPS / spacing:
        inside = below(each * (1.0 - HALF_GAP))
        filled = below(each * (1.0 + HALF_GAP)) - inside
        if each < HIGHEST and inside >= FIRST * total[-1] and filled <= FILLED * inside:
            return float(each)
    return None
