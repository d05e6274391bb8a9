"""Images of `negatives` without any column: all that is found in them is false."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache, partial

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage
from skimage import color, data, transform

from benchmarks.detection.common import Array
from benchmarks.seeds import DETECTION_NEGATIVES as SEED
from napari_atomseg.evaluation.simulated import EmptyField

Rng = np.random.Generator
Make = Callable[[Rng, int], Array]

SHAPE = (256, 256)
FILM_DOSES = (5e2, 5e3, 5e4)
"""e⁻/Å², of carbon and of vacuum."""
LEVELS = (0.3, 3.0, 30.0)
"""Electrons a pixel of pure shot noise."""
LENGTHS = (0.5, 1.0, 2.0, 4.0)
"""Correlation lengths of speckle: sigma of the Gaussian that white noise is filtered with, px."""
PHOTOGRAPHS = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "moon",
    "rocket",
)
"""Of `skimage.data`, those that need no download."""
COUNTS = (10.0, 300.0)
"""Range of the electrons in the brightest pixel of images with shot noise."""
QUALITY = (5, 40)
"""Range of the quality of JPEG files."""


def log_uniform(rng: Rng, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def counted(image: Array, rng: Rng) -> Array:
    """An image of 0..1 with the shot noise of some dose."""
    return rng.poisson(np.clip(image, 0.0, None) * log_uniform(rng, *COUNTS)).astype(float)


def shot_noise(rng: Rng, index: int, *, level: float) -> Array:
    """Electrons at random."""
    return rng.poisson(level, SHAPE).astype(float)


def normal_noise(rng: Rng, index: int) -> Array:
    """White normal noise."""
    return rng.standard_normal(SHAPE)


def field(rng: Rng, index: int, *, name: str, dose: float) -> Array:
    """Vacuum, or a carbon film of 10 nm, as `napari-atomseg evaluate` has them."""
    return EmptyField(name, dose, index + 1, SEED, SHAPE).case(index).image.astype(float)


def speckle(rng: Rng, index: int, *, length: float) -> Array:
    """Normal noise whose correlation is a Gaussian: thick amorphous films, filtered images."""
    return correlated(rng, SHAPE, length)


def correlated(rng: Rng, shape: tuple[int, int], length: float) -> Array:
    """Normal noise of deviation 1, filtered with a Gaussian of that sigma (px); 0: white."""
    noise = rng.standard_normal(shape)
    if length == 0:
        return noise
    # The filtered noise's deviation is the root of the sum of the squared kernel.
    impulse = np.zeros(2 * int(np.ceil(6 * length)) + 3)
    impulse[len(impulse) // 2] = 1.0
    kernel = ndimage.gaussian_filter1d(impulse, length, truncate=6.0)
    filtered = ndimage.gaussian_filter(noise, length, mode="wrap", truncate=6.0)
    return np.asarray(filtered / np.sum(kernel**2))


def fringes(rng: Rng, index: int) -> Array:
    """Lines in one direction: hum, Moiré or lattice fringes, straight, bent or with harmonics."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    angle, period = rng.uniform(0.0, np.pi), log_uniform(rng, 5.0, 40.0)
    along = (np.cos(angle) * x + np.sin(angle) * y) / period
    across = (np.cos(angle) * y - np.sin(angle) * x) / SHAPE[0]
    along += (index % 3 == 1) * rng.uniform(0.2, 1.0) * np.sin(2.0 * np.pi * across)
    wave = 0.5 + 0.5 * np.cos(2.0 * np.pi * along)
    if index % 3 == 2:
        wave = wave ** rng.uniform(2.0, 6.0)
    return wave if index % 4 == 0 else counted(wave, rng)


def gradient(rng: Rng, index: int) -> Array:
    """A ramp, a step's blurred edge, or hills wider than columns, with shot noise or without."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] / SHAPE[0]
    angle = rng.uniform(0.0, 2.0 * np.pi)
    along = np.cos(angle) * (x - 0.5) + np.sin(angle) * (y - 0.5)
    if index % 3 == 0:
        slope = 0.5 + along / np.sqrt(2.0)
    elif index % 3 == 1:
        slope = 0.5 + 0.5 * np.tanh(along / rng.uniform(0.01, 0.2))
    else:
        slope = correlated(rng, SHAPE, float(rng.uniform(40.0, 80.0)))
        slope = (slope - slope.min()) / np.ptp(slope)
    return slope if index % 4 == 0 else counted(slope, rng)


@cache
def grey(name: str) -> Array:
    """A photograph in grey, 0..1."""
    image = getattr(data, name)()
    plane = color.rgb2gray(image[..., :3]) if image.ndim == 3 else image
    plane = np.asarray(plane, dtype=float)
    return np.asarray(plane / plane.max())


def photograph(rng: Rng, index: int) -> Array:
    """A part of a photograph, at a random magnification."""
    whole = grey(PHOTOGRAPHS[index % len(PHOTOGRAPHS)])
    side = int(rng.integers(128, min(512, *whole.shape) + 1))
    top, left = (int(rng.integers(0, n - side + 1)) for n in whole.shape)
    part = whole[top : top + side, left : left + side]
    return np.asarray(transform.resize(part, SHAPE, anti_aliasing=True))


def painting(rng: Rng, shape: tuple[int, int]) -> tuple[Array, bool]:
    """What programs burn into images: (H, W) values of 0..1, NaN where nothing is painted.

    A bar with its length, sometimes ticks, often on a band of the other colour, at a random corner;
    and whether the ink is bright.
    """
    height, width = shape
    canvas = Pillow.new("L", (width, height), 128)
    pen = ImageDraw.Draw(canvas)
    bright = bool(rng.random() < 0.8)
    ink, paper = (255, 0) if bright else (0, 255)
    size = int(rng.integers(10, 22))
    band = size + int(rng.integers(10, 20))
    top = 0 if rng.random() < 0.2 else height - band
    if rng.random() < 0.6:
        pen.rectangle((0, top, width, top + band), fill=paper)
    left = int(rng.integers(6, width // 3))
    long, thick = int(rng.integers(40, width // 2)), int(rng.integers(2, 8))
    middle = top + band // 2
    pen.rectangle((left, middle, left + long, middle + thick), fill=ink)
    if rng.random() < 0.4:
        for tick in range(left, left + long + 1, max(6, long // 10)):
            pen.rectangle((tick, middle - 5, tick + 2, middle + thick), fill=ink)
    font = ImageFont.load_default(size)
    words = rng.choice(["5 nm", "2 nm", "HAADF 300 kV", "x 10M", "20 Å", "1.0e7 cps"])
    pen.text((min(left + long + 8, width - 60), top + 4), str(words), fill=ink, font=font)
    values = np.asarray(canvas, dtype=float)
    return np.where(values == 128, np.nan, values / 255.0), bright


def painted(image: Array, rng: Rng) -> Array:
    """An image with a bar and text at the ends of its range."""
    ink, _ = painting(rng, (image.shape[0], image.shape[1]))
    low, high = float(image.min()), float(image.max())
    return np.where(np.isnan(ink), image, low + ink * (high - low))


def text_on_noise(rng: Rng, index: int) -> Array:
    """A bar and text on noise."""
    noise = rng.poisson(log_uniform(rng, 0.5, 50.0), SHAPE).astype(float)
    return painted(noise, rng)


def text_page(rng: Rng, index: int) -> Array:
    """A part of a printed page."""
    whole = grey("page" if index % 2 else "text")
    side = int(rng.integers(96, min(whole.shape) + 1))
    top, left = (int(rng.integers(0, n - side + 1)) for n in whole.shape)
    part = whole[top : top + side, left : left + side]
    return np.asarray(transform.resize(part, SHAPE, anti_aliasing=True))


def hot_on_noise(rng: Rng, index: int) -> Array:
    """Hot pixels on noise."""
    noise = rng.poisson(log_uniform(rng, 0.5, 50.0), SHAPE).astype(float)
    return with_hot_pixels(noise, rng)


def with_hot_pixels(image: Array, rng: Rng) -> Array:
    """Some pixels, one to twenty, a few to a thousand times as bright as the range."""
    hot = image.copy()
    count = round(log_uniform(rng, 1.0, 20.0))
    rows, cols = (rng.integers(0, n, count) for n in image.shape)
    hot[rows, cols] = image.max() + log_uniform(rng, 2.0, 1e3) * np.ptp(image)
    return hot


def as_jpeg(image: Array, rng: Rng) -> Array:
    """The image as it comes back from a JPEG file of low quality."""
    low, high = np.percentile(image, [0.1, 99.9])
    eight = np.clip(255.0 * (image - low) / max(high - low, 1e-30), 0.0, 255.0).astype(np.uint8)
    file = io.BytesIO()
    Pillow.fromarray(eight).save(file, "JPEG", quality=int(rng.integers(*QUALITY)))
    return np.asarray(Pillow.open(file), dtype=float)


def jpeg(rng: Rng, index: int) -> Array:
    """Blocks of a JPEG file: of a ramp, of noise, or of a film."""
    kind = index % 3
    if kind == 0:
        return as_jpeg(gradient(rng, 2 * (index // 3) + 1), rng)
    if kind == 1:
        return as_jpeg(rng.poisson(log_uniform(rng, 1.0, 50.0), SHAPE).astype(float), rng)
    return as_jpeg(correlated(rng, SHAPE, float(rng.uniform(0.5, 3.0))), rng)


KINDS: dict[str, Make] = {
    **{f"shot noise, {n:g} e⁻/px": partial(shot_noise, level=n) for n in LEVELS},
    "normal noise": normal_noise,
    **{f"vacuum, {d:g} e⁻/Å²": partial(field, name="vacuum", dose=d) for d in FILM_DOSES},
    **{f"carbon, {d:g} e⁻/Å²": partial(field, name="amorphous", dose=d) for d in FILM_DOSES},
    **{f"speckle of {n:g} px": partial(speckle, length=n) for n in LENGTHS},
    "fringes": fringes,
    "gradients": gradient,
    "photographs": photograph,
    "printed text": text_page,
    "bar and text on noise": text_on_noise,
    "hot pixels on noise": hot_on_noise,
    "JPEG blocks": jpeg,
}
"""Images by kind."""
