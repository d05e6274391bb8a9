"""Pictures without columns that are easily taken for columns: fringes, speckle, edges."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import numpy as np
from pydantic import Field as Option
from scipy import special
from scipy.ndimage import gaussian_filter

from napari_atomseg._shared.types import Array
from napari_atomseg.ranges import Part, PositiveRange, Probability, log_uniform, uniform
from napari_atomseg.specimen.matter.low_resolution import (
    bands,
    boxes,
    cracks,
    grains,
    sharp_particles,
)

Rng = np.random.Generator
Shape = tuple[int, int]
TextureKind = Literal["fringes", "speckle", "film", "natural", "shapes", "edges"]
HARMONICS = 3
"""Sine waves in a fringe, the first and its multiples."""


def fringes(rng: Rng, shape: Shape, period: float) -> Array:
    """(H, W) fringes of one direction, of mean about 0 and standard deviation about 0.7.

    What a crystal tilted off its zone axis shows, or mains hum. Their profile is any that
    `HARMONICS` multiples of a frequency make, and half of the time they bend slowly, by less than
    a tenth of their period from one to the next, or fade in and out.

    Parameters
    ----------
    period : in pixels.
    """
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    # Hum lies along the lines of a scan, or nearly so.
    turn = rng.normal(0.0, 0.05) if rng.random() < 0.3 else rng.uniform(0.0, np.pi)
    phase = (np.cos(turn) * y + np.sin(turn) * x) / period
    if rng.random() < 0.5:
        bend = smooth_noise(rng, shape, period * uniform(rng, (4.0, 12.0)))
        phase = phase + rng.uniform(0.1, 0.6) * bend
    falls = rng.uniform(0.0, 0.5, HARMONICS) ** np.arange(HARMONICS)
    picture = np.zeros(shape)
    for order, height in enumerate(falls, start=1):
        picture += height * np.sin(2.0 * np.pi * (order * phase + rng.random()))
    if rng.random() < 0.5:
        fade = 1.0 + smooth_noise(rng, shape, period * uniform(rng, (2.0, 10.0)))
        picture *= np.clip(fade, 0.0, 2.0)
    return picture


def speckle(rng: Rng, shape: Shape, length: float) -> Array:
    """(H, W) Gaussian random field of deviation 1: a thick film without order.

    Parameters
    ----------
    length : standard deviation, in pixels, of the Gaussian that white noise is blurred by; the
        correlation of two points falls to exp(-1) over twice as far.
    """
    return smooth_noise(rng, shape, length)


def film(rng: Rng, shape: Shape, length: float, density: float) -> Array:
    """(H, W) image of a thin film: atoms at random places, each a Gaussian spot.

    The mean is `density` times 2π and the skewness that of a Poisson process, so that atoms in a
    heap stand out as they do in a film of a few nanometres.

    Parameters
    ----------
    length : standard deviation of a spot in pixels.
    density : atoms in an area of `length`² .
    """
    atoms = rng.poisson(density / length**2, shape).astype(np.float64)
    spots: Array = gaussian_filter(atoms, length, mode="wrap") * (2.0 * np.pi * length**2)
    return spots


def natural(rng: Rng, shape: Shape, exponent: float) -> Array:
    """(H, W) random field of deviation 1 whose power falls as frequency to the -`exponent`.

    Photographs have exponents near 2 (Field, J. Opt. Soc. Am. A 4, 2379, 1987).
    """
    rows, cols = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    frequency = np.hypot(rows, cols)
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.normal(size=shape)) * frequency ** (-0.5 * exponent)
    picture = np.fft.irfft2(spectrum, s=shape)
    return np.asarray(picture / picture.std())


def shapes(rng: Rng, shape: Shape, radius: float) -> Array:
    """(H, W) particles, grains, strips or boxes, with cracks now and then, of values from 0 on.

    All have sharp borders: small ones without would look like columns.

    Parameters
    ----------
    radius : of particles and boxes, as a share of the shorter side.
    """
    sizes = (0.5 * radius, radius)
    painters: tuple[Callable[[], Array], ...] = (
        lambda: sharp_particles(rng, shape, int(rng.integers(3, 30)), sizes),
        lambda: grains(rng, shape, int(rng.integers(4, 120)), bool(rng.random() < 0.5)),
        lambda: bands(rng, shape, int(rng.integers(2, 12))),
        lambda: boxes(rng, shape, int(rng.integers(2, 20)), sizes),
    )
    picture = painters[rng.integers(len(painters))]()
    if rng.random() < 0.3:
        picture = picture + painters[rng.integers(len(painters))]()
    if rng.random() < 0.2:
        picture = (picture + 0.5) * cracks(rng, shape, int(rng.integers(1, 4)))
    return picture


def edges(rng: Rng, shape: Shape, count: int) -> Array:
    """(H, W) sum of `count` steps across the picture, each 0.3 to 1 high and up to 4 px blurred."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    picture = np.zeros(shape)
    for _ in range(count):
        turn = rng.uniform(0.0, 2.0 * np.pi)
        row, col = rng.random(2) * shape
        along = np.cos(turn) * (y - row) + np.sin(turn) * (x - col)
        picture += rng.uniform(0.3, 1.0) * special.expit(along / rng.uniform(0.15, 4.0))
    return picture


def smooth_noise(rng: Rng, shape: Shape, length: float) -> Array:
    """(H, W) white noise blurred by a Gaussian of `length` pixels, periodic, of deviation 1."""
    rows, cols = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])
    transfer = np.exp(-2.0 * (np.pi * length) ** 2 * (rows**2 + cols**2))
    transfer[0, 0] = 0.0
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=shape)) * transfer, s=shape)
    return np.asarray(noise / max(float(noise.std()), 1e-300))


class TextureRecipe(Part):
    """Something without columns over the whole field, or one part of it.

    Attributes
    ----------
    kinds : what it may be, each alike probable: `fringes` of one direction; `speckle` of a thick
        film; a thin `film` of single atoms; `natural` noise with the spectrum of photographs;
        `shapes` such as particles, grains, boxes; `edges`.
    contrast : standard deviation in units of the brightest column's peak, its logarithm drawn
        evenly.
    period : pixels from fringe to fringe.
    length : pixels, of speckle and film; see `speckle`.
    density : atoms of a film in an area of `length`².
    exponent : of the spectrum of `natural`.
    radius : of shapes, as a share of the field's shorter side.
    second : chance that a second one is added, of 0.3 to 1 times the contrast.
    part : chance that it covers a side of the field alone.
    """

    kinds: Annotated[tuple[TextureKind, ...], Option(min_length=1)] = (
        "fringes",
        "speckle",
        "film",
        "natural",
        "shapes",
        "edges",
    )
    contrast: PositiveRange = (0.05, 1.0)
    period: PositiveRange = (3.0, 40.0)
    length: PositiveRange = (0.35, 4.0)
    density: PositiveRange = (0.4, 10.0)
    exponent: PositiveRange = (1.2, 3.5)
    radius: PositiveRange = (0.04, 0.2)
    second: Probability = 0.25
    part: Probability = 0.2

    def draw(self, rng: Rng, shape: Shape) -> Array:
        """(H, W) from 0 on, in units of the brightest column's peak."""
        contrast = log_uniform(rng, self.contrast)
        picture = contrast * self._one(rng, shape)
        if rng.random() < self.second:
            picture = picture + contrast * rng.uniform(0.3, 1.0) * self._one(rng, shape)
        if rng.random() < self.part:
            picture = picture * (edges(rng, shape, 1) > 0.15)
        return np.asarray(picture - picture.min())

    def _one(self, rng: Rng, shape: Shape) -> Array:
        """One texture of deviation 1 and of any mean."""
        kind = self.kinds[rng.integers(len(self.kinds))]
        if kind == "fringes":
            picture = fringes(rng, shape, log_uniform(rng, self.period))
        elif kind == "speckle":
            picture = speckle(rng, shape, log_uniform(rng, self.length))
        elif kind == "film":
            length, density = log_uniform(rng, self.length), log_uniform(rng, self.density)
            picture = film(rng, shape, length, density)
        elif kind == "natural":
            picture = natural(rng, shape, uniform(rng, self.exponent))
        elif kind == "shapes":
            picture = shapes(rng, shape, log_uniform(rng, self.radius))
        else:
            picture = edges(rng, shape, int(rng.integers(1, 4)))
        return picture / max(float(picture.std()), 1e-6)
