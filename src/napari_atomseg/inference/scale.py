"""Estimates from the image alone: spacing of the columns, and bright or dark contrast."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_atomseg._shared.contrast import are_opposite, clear_middle
from napari_atomseg._shared.types import Image
from napari_atomseg.inference.honeycombs import hexagonal
from napari_atomseg.inference.spectra import middle, noise_power
from napari_atomseg.progress import checkpoint

SMALLEST, LARGEST = 4.0, 150.0
"""Range of spacings considered, pixels."""
RINGS = 1024
"""Rings of the power spectrum up to the Nyquist frequency."""
SPACING_PER_SCALE = 5.2
"""Column spacing over the scale at which the filtered lattice is strongest, the median over random
lattices of all widths of columns."""
CHANCE = 12.0
"""Deviations of noise above which a scale is not there by chance. Images of nothing but counts
reach ten, because the noise that is taken off them is an estimate, too."""
TYPICAL_SPACING = 2.0
"""Å between neighbouring columns of most crystals along low-index axes."""
DARK = -0.15
"""Skewness below which columns are dark; that of bright honeycombs is hardly below zero."""
DOUBTFUL = 0.5
"""Absolute skewness up to which noise and uneven backgrounds may be its cause."""
TOLD = 1.0
"""Skewness that a pattern which tells counts as."""
SAMPLED = 9
"""Frames of a long stack that settle what is common to all."""
SKEWNESS_PER_LEAN = 3.0
"""Weight of a network's preference, best on simulated images of both contrasts and many doses."""


def estimate_spacing(image: Image, sampling: float | None = None) -> float:
    """Distance between neighbouring columns in pixels, from the image alone.

    The image is filtered by Laplacians of Gaussians over a range of scales, all at once in its
    power spectrum (Lindeberg 1998). Noise is subtracted there, white or from a slow detector; the
    rest is strongest at a scale that is a fixed fraction of the spacing. A slow background has no
    such maximum.

    Parameters
    ----------
    image : (H, W) finite float32.
    sampling : Å a pixel where known; then spacings outside 0.8-6 Å are not considered.

    Returns
    -------
    Spacing in pixels, correct within a factor of two for most images; for an image without
    structure `TYPICAL_SPACING` over the sampling, or 12.
    """
    low, high = SMALLEST, max(2 * SMALLEST, min(LARGEST, 0.6 * min(image.shape)))
    fallback = 12.0
    if sampling is not None:
        low, high = max(low, 0.8 / sampling), max(2 * SMALLEST, min(high, 6.0 / sampling))
        fallback = float(np.clip(TYPICAL_SPACING / sampling, SMALLEST, LARGEST))
    if low >= high:
        return fallback
    spacings = np.geomspace(0.8 * low, 1.2 * high, 48)
    checkpoint()
    found, error = _scale_strength(image, spacings / SPACING_PER_SCALE)
    strength = ndimage.gaussian_filter1d(found, 1.0)
    inner = strength[1:-1]
    tops = np.flatnonzero((inner > strength[:-2]) & (inner >= strength[2:]) & (inner > 0)) + 1
    if len(tops) == 0:
        return fallback
    clear = tops[strength[tops] > CHANCE * error[tops]]
    if len(clear) == 0:
        return float(spacings[max(tops, key=lambda top: float(strength[top] / error[top]))])
    first = next(top for top in clear if strength[top] > 0.6 * strength[clear].max())
    return float(spacings[first])


def _scale_strength(
    image: Image, scales: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Power of the normalised Laplacian of Gaussian over the scale, noise subtracted, and the
    deviation that noise alone gives it.
    """
    image = middle(image)
    window = np.outer(np.hanning(image.shape[0] + 2)[1:-1], np.hanning(image.shape[1] + 2)[1:-1])
    power = np.abs(np.fft.fft2((image - image.mean()) * window)) ** 2
    k = np.hypot(np.fft.fftfreq(image.shape[0])[:, None], np.fft.fftfreq(image.shape[1])[None])
    ring = np.rint(k * 2 * RINGS).astype(int).ravel()
    noise = noise_power(power, k)
    profile = np.bincount(ring, (power - noise).ravel())
    # The power of noise deviates by as much as its mean, in neighbours alike behind a window.
    variance = np.bincount(ring, (noise**2).ravel()) * window.size
    variance *= (window**4).sum() / (window**2).sum() ** 2
    q = (np.pi * np.arange(len(profile)) / RINGS * scales[:, None]) ** 2
    weight = (q * np.exp(-0.5 * q)) ** 2
    return (weight @ profile) / scales, np.sqrt(weight**2 @ variance) / scales


def guess_contrast(image: Image, spacing: float, lean: Callable[[], float] | None = None) -> str:
    """Whether columns are "bright" or "dark", see `leaning`."""
    return "bright" if leaning(image, spacing, lean) > 0 else "dark"


def leaning(
    image: Image,
    spacing: float,
    lean: Callable[[], float] | None = None,
    sampling: float | None = None,
) -> float:
    """How clearly columns are bright, or dark where it is negative, from the skewness at the scale
    of the columns.

    Columns fill less than half of the area, so their side of the histogram has the longer tail. In
    a hexagonal pattern they may fill more, see `honeycombs`: where its finer structure tells, that
    counts.

    Parameters
    ----------
    spacing : of the columns, pixels.
    lean : called where the skewness is inconclusive; returns by how much (-1..1) the confidence of
        a network in the image exceeds that in its negative.
    sampling : Å a pixel where known.
    """
    pattern = hexagonal(image, spacing)
    bright = None if pattern is None else pattern.columns_bright(sampling)
    if bright is not None:
        return (TOLD if bright else -TOLD) - DARK
    flat = ndimage.gaussian_filter(image, 0.12 * spacing)
    checkpoint()
    flat -= ndimage.gaussian_filter(image, 1.0 * spacing)
    checkpoint()
    deviation = flat.std()
    if not deviation > 0:
        return -DARK
    skewness = float(np.mean((flat / deviation) ** 3))
    if lean is not None and abs(skewness) < DOUBTFUL:
        skewness += SKEWNESS_PER_LEAN * lean()
    return skewness - DARK


@dataclass(frozen=True)
class Contrasts:
    """What frames of a stack say together of their contrast, by which each is then judged.

    Frames are alike unless the image says otherwise: one whose own `leaning` is clear goes by it,
    as the channels of two detectors do; the others have the contrast of the median frame, or the
    opposite of the clearest frame, where they are dark where that is bright.

    Attributes
    ----------
    bright : whether the median frame has bright columns.
    pattern : of the clearest frame, see `clear_middle`; None where none is clear.
    opposite : whether frames that are the opposite of it have bright columns.
    """

    bright: bool
    pattern: NDArray[Any] | None = None
    opposite: bool = False

    @classmethod
    def of(
        cls, leanings: Sequence[float], frames: Sequence[NDArray[Any]] | NDArray[Any] = ()
    ) -> Contrasts:
        """Take the leanings of frames, and the frames (N, H, W) where they can be compared."""
        common = float(np.median(leanings)) > 0
        comparable = len(frames) == len(leanings) > 1
        if not comparable or not any(map(_is_clear, leanings)):
            return cls(common)
        best = int(np.argmax(np.abs(leanings)))
        bright = leanings[best] > 0 if _is_clear(leanings[best]) else common
        return cls(common, clear_middle(frames[best]), not bright)

    def __call__(self, leaning: float, frame: NDArray[Any] | None = None) -> str:
        """Whether a frame has "bright" or "dark" columns."""
        bright = self.bright
        if _is_clear(leaning):
            bright = leaning > 0
        elif (
            self.pattern is not None
            and frame is not None
            and are_opposite(clear_middle(frame), self.pattern)
        ):
            bright = self.opposite
        return "bright" if bright else "dark"


def _is_clear(leaning: float) -> bool:
    return abs(leaning + DARK) > DOUBTFUL


def sampled_frames(count: int) -> tuple[int, ...]:
    """Frames of a stack that settle what is common to all: the middle one, and some evenly."""
    even = np.rint(np.linspace(0, count - 1, min(count, SAMPLED))).astype(int)
    return tuple(sorted({*map(int, even), count // 2}))


def agreed_contrasts(
    leanings: Sequence[float], frames: Sequence[NDArray[Any]] | NDArray[Any] = ()
) -> tuple[str, ...]:
    """Contrast of each frame of a stack, "bright" or "dark", see `Contrasts`.

    Parameters
    ----------
    frames : (N, H, W), or none if they cannot be compared.
    """
    comparable = len(frames) == len(leanings)
    some = sampled_frames(len(leanings))
    agreed = Contrasts.of(
        [leanings[i] for i in some], [frames[i] for i in some] if comparable else ()
    )
    return tuple(
        agreed(each, frames[number] if comparable else None) for number, each in enumerate(leanings)
    )
