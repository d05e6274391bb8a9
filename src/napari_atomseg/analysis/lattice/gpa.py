"""Geometric phase analysis: strain as images, from the phases of two lattice fringes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

from napari_atomseg._shared.objects import takes_images
from napari_atomseg._shared.types import Array, Mask, Sampling
from napari_atomseg._shared.units import pixel_scale
from napari_atomseg.analysis.lattice.lattice import Lattice
from napari_atomseg.analysis.lattice.strain import Axis, axis_angle, strain_errors, strains
from napari_atomseg.progress import CancelToken, Progress, report

RESOLUTION = 0.8
"""Sigma of the filter in periods of the lattice: it lets a neighbouring reflection through by
exp(-2 π² 0.8²), 3e-6."""
MARGIN = 3.0
"""Fringes are whole this many filter sigmas inside the border."""
FAINT = 0.2
"""Fringes weaker than this part of the typical ones are none."""
HIGHEST = 0.4
"""Reflections beyond this frequency (cycles a px) are not used: pixels hardly resolve them."""
FURTHER = (
    *((1, 1, 1), (1, -1, 1), (2, 0, 1), (0, 2, 1)),
    *((1, 1, 2), (1, -1, 2), (1, 0, 2), (0, 1, 2)),
)
"""Reflections that confirm the two: orders m and n, and part p of g = (m g₁ + n g₂) / p. The halves
are those of a cell whose two sites are alike, but not equal."""
CERTAIN = 5.0
"""Errors of noise beyond which they disagree."""
AGREED = 1e-3
"""Disagreement, as a strain, from which on a pixel has less weight in the reference."""
LOW_ORDER = 2
STEPS = 7
"""Steps of the analysis, after each of which it can be cancelled."""


@dataclass(frozen=True)
class StrainMaps:
    """Strain of an image (H, W), by pixel; NaN where there are no fringes, or they are cut.

    Attributes
    ----------
    eps_xx, eps_yy, eps_xy : strain against the reference, with y up as the image is shown.
    rotation_deg : degrees, counter-clockwise as the image is seen.
    eps_xx_err, eps_yy_err, eps_xy_err, rotation_deg_err : standard errors, of white noise and of
        what other reflections disagree by.
    phase : (2, H, W) geometric phases in -π..π, radians.
    amplitude : (2, H, W) of the two fringes, units of the image.
    reflections : (2, 2) rows g (y, x) in cycles a px, of the reference.
    resolution : sigma of the Gaussian over which strain is averaged, px (mean of y and x): it is as
        wide in Å along both.
    disagreement : (H, W) by how much other reflections disagree with the two, as a strain, beyond
        noise; 0 where the image has no others. Part of the cell moves there against the rest, as
        in a polar crystal, which phases do not tell from strain.
    """

    eps_xx: Array
    eps_yy: Array
    eps_xy: Array
    rotation_deg: Array
    eps_xx_err: Array
    eps_yy_err: Array
    eps_xy_err: Array
    rotation_deg_err: Array
    phase: Array
    amplitude: Array
    reflections: Array
    resolution: float
    disagreement: Array


@takes_images("image")
def geometric_phase(
    image: ArrayLike,
    lattice: Lattice | ArrayLike | None = None,
    sampling: Sampling | None = None,
    *,
    reference: ArrayLike | None = None,
    resolution: float | None = None,
    noise: float | None = None,
    x_axis: Axis = "image",
    progress: Progress | None = None,
    cancel: CancelToken | None = None,
) -> StrainMaps:
    """Strain of a lattice image by geometric phase analysis (Hÿtch, Snoeck & Kilaas 1998).

    A fringe g of the image, moved to zero frequency and smoothed by a Gaussian, is A exp(i P) with
    the geometric phase P = -2π g · u. Of two fringes, the gradient of the displacement u is
    -1/2π G⁻¹ ∇P, G having the g as rows (their Eq. 23); phases are not unwrapped, as gradients are
    taken of the complex fringes. With it the deformation gradient is F = (1 - ∇u)⁻¹, u being that
    of the material now at the pixel, and F = R U the strain U - 1, as from positions.

    The phase of a reflection is also that of its structure factor. Where part of the cell moves
    against the rest, that changes, and looks like strain. A shift of the whole cell moves the phase
    of the sum of two reflections by the sum of theirs; what further reflections of the image
    (g₁ ± g₂, 2 g₁, 2 g₂, and halves) deviate from that by is added to the errors.

    Parameters
    ----------
    image : (H, W) real numbers; NaN pixels are not used.
    lattice : lattice of the columns, or two reflections g (2, 2), rows (y, x) in cycles a px; None
        finds the strongest two in the spectrum. Of a lattice, its strongest two low-order ones are
        taken.
    sampling : Å a pixel, needed where it differs between y and x; a lattice has its own.
    reference : (H, W) true where strain is 0 on average; None takes all of the image, the
        less of a pixel the more further reflections disagree with the two there.
    resolution : sigma of the Gaussian, px (mean of y and x); None takes 0.8 periods of the
        lattice. It is round in Å.
    noise : standard deviation of a pixel's noise; None estimates it (Immerkær 1996).
    x_axis : as for `strain`.

    Raises
    ------
    ValueError
        An argument is wrong, the image is too small for the resolution, or shows no fringes.
    Cancelled
        `cancel` was raised.
    """
    tell = partial(report, progress, cancel)
    tell(0, STEPS, "Looking for fringes")
    picture = np.asarray(image, dtype=np.float64)
    if picture.ndim != 2:
        raise ValueError(f"image must be of two axes, not of shape {picture.shape}")
    own = lattice if isinstance(lattice, Lattice) else None
    scale = pixel_scale(sampling) if own is None or sampling is not None else own.scale
    good = np.isfinite(picture)
    level = float(picture[good].mean()) if good.any() else 0.0
    picture = np.where(good, picture - level, 0.0)
    reflections, period = _chosen(picture, lattice, scale)
    mean = float(scale.mean())
    width = RESOLUTION * period if resolution is None else float(resolution) * mean
    sigma = width / scale
    if not width > 0 or not np.all(sigma < np.array(picture.shape) / (2 * MARGIN + 1)):
        raise ValueError(
            f"resolution={width / mean:.3g} px must be positive, and below a seventh of the image "
            f"{picture.shape}"
        )
    angle = axis_angle(x_axis, own)
    tell(1, STEPS, "Measuring the phases")
    weight = np.maximum(_smooth(good.astype(float), sigma), 1e-6)
    fringes = []
    for number, g in enumerate(reflections, start=2):
        tell(number, STEPS, "Measuring the phases")
        fringes.append(_fringe(picture, g, sigma, weight))
    tell(4, STEPS, "Measuring strain")
    amplitude = np.abs(fringes)
    seen = _seen(amplitude, good, width, scale)
    chosen = seen if reference is None else seen & _mask(reference, picture.shape)
    if not chosen.any():
        raise ValueError("the reference has no pixel with whole fringes")
    deviation = _noise(picture, good) if noise is None else float(noise)
    apart = _disagreement(picture, fringes, reflections, sigma, weight, deviation, scale)
    trust = chosen.astype(float)
    if reference is None:
        # A wall that looks strained must not strain the mean of all that is not.
        trust /= 1.0 + (apart / AGREED) ** 2
    slopes = np.stack([_slope(fringe) for fringe in fringes])
    shift = np.stack([(trust * s).sum(axis=(1, 2)) / trust.sum() for s in slopes]) / (2 * np.pi)
    reflections = reflections + shift
    slopes = slopes - 2 * np.pi * shift[:, :, None, None]
    inverse = np.linalg.inv(reflections)
    distortion = -np.einsum("ik,kjhw->hwij", inverse, slopes) / (2 * np.pi)
    distortion *= scale[:, None] / scale
    tell(5, STEPS, "Measuring strain")
    values = strains(np.linalg.inv(np.eye(2) - distortion), angle)
    tell(6, STEPS, "Measuring strain")
    errors = _errors(amplitude, deviation, sigma, inverse * scale[:, None], scale, angle)
    apart = np.where(seen, apart, np.nan)
    for name, error in errors.items():
        values[name] = np.hypot(error, np.degrees(apart) if "deg" in name else apart)
    tell(STEPS, STEPS)
    return StrainMaps(
        **{name: np.where(seen, value, np.nan) for name, value in values.items()},
        phase=_phases(fringes, shift, chosen),
        amplitude=amplitude,
        reflections=reflections,
        resolution=width / mean,
        disagreement=apart,
    )


@takes_images("image")
def find_reflections(image: ArrayLike, sampling: Sampling | None = None) -> Array:
    """The strongest two reflections of an image, not on one line: rows g (y, x), cycles a px.

    Parameters
    ----------
    image : (H, W) real numbers.
    sampling : Å a pixel, by which lines are told where it differs between y and x.

    Raises
    ------
    ValueError
        The spectrum has no two peaks.
    """
    picture = np.nan_to_num(np.asarray(image, dtype=np.float64))
    window = np.outer(*(np.hanning(n) for n in picture.shape))
    spectrum = np.abs(np.fft.fftshift(np.fft.fft2((picture - picture.mean()) * window)))
    frequency = [np.fft.fftshift(np.fft.fftfreq(n)) for n in picture.shape]
    # Slow variations of the background have the lowest frequencies; they must peak there, too.
    least = 4.0 / min(picture.shape)
    peaks = peak_local_max(spectrum, min_distance=2, exclude_border=2, num_peaks=64)
    g = np.stack([f[p] for f, p in zip(frequency, peaks.T, strict=True)], axis=1)
    height = spectrum[tuple(peaks.T)]
    size = np.hypot(*g.T)
    noise = float(np.median(spectrum[np.hypot(*np.meshgrid(*frequency, indexing="ij")) > least]))
    keep = (size > least) & (size < HIGHEST) & (height > 10 * noise) & (g @ [1.0, 1e-3] >= 0)
    return _refined(spectrum, _two(g[keep], height[keep], pixel_scale(sampling)))


def _chosen(
    picture: Array, lattice: Lattice | ArrayLike | None, scale: Array
) -> tuple[Array, float]:
    """Reflections (cycles a px), and the period (Å, px) of the shortest reciprocal vector."""
    if isinstance(lattice, Lattice):
        orders = np.array(list(product(range(-LOW_ORDER, LOW_ORDER + 1), repeat=2)), dtype=float)
        orders = orders[(orders @ [1.0, 0.1]) > 0]
        g = orders @ lattice.reciprocal
        g = g[np.hypot(*g.T) < HIGHEST]
        window = np.outer(*(np.hanning(n) for n in picture.shape))
        rows, cols = (np.arange(n) for n in picture.shape)
        waves = [np.exp(-2j * np.pi * rows * y) @ (picture * window) for y, _ in g]
        height = [
            abs(w @ np.exp(-2j * np.pi * cols * x)) for w, (_, x) in zip(waves, g, strict=True)
        ]
        shortest = np.hypot(*(lattice.reciprocal / scale).T).min()
        return _two(g, np.array(height), scale), 1.0 / float(shortest)
    g = (
        find_reflections(picture, tuple(scale))
        if lattice is None
        else np.asarray(lattice, dtype=np.float64)
    )
    if g.shape != (2, 2) or not abs(np.linalg.det(g)) > 1e-3 * np.abs(g).max() ** 2:
        raise ValueError(f"lattice={lattice!r} must be a Lattice or two reflections not in line")
    return g, 1.0 / float(np.hypot(*(g / scale).T).min())


def _two(g: Array, height: Array, scale: Array) -> Array:
    """The strongest reflection, and the strongest at an angle of 30° or more to it."""
    if len(g):
        real = g / scale
        first = real[int(np.argmax(height))]
        sine = np.abs(first[0] * real[:, 1] - first[1] * real[:, 0])
        across = sine >= 0.5 * np.hypot(*first) * np.hypot(*real.T) - 1e-12
        if across.any():
            second = g[across][int(np.argmax(height[across]))]
            return np.stack([first * scale, second])
    raise ValueError("the image shows no two lattice fringes")


def _refined(spectrum: Array, g: Array) -> Array:
    """Reflections at the centres of their peaks, below a pixel of the spectrum."""
    shape = np.array(spectrum.shape)
    at = np.rint(g * shape).astype(int) + shape // 2
    offsets = np.array(list(product((-1, 0, 1), repeat=2)))
    near = at[:, None] + offsets
    weight = spectrum[near[..., 0], near[..., 1]] ** 2
    centre = (weight[..., None] * near).sum(axis=1) / weight.sum(axis=1, keepdims=True)
    return np.asarray((centre - shape // 2) / shape)


def _at_zero(picture: Array, g: Array) -> NDArray[np.complex128]:
    """(H, W) the image with a fringe moved to zero frequency."""
    rows, cols = (np.arange(n) for n in picture.shape)
    wave = np.outer(np.exp(-2j * np.pi * g[0] * rows), np.exp(-2j * np.pi * g[1] * cols))
    return np.asarray(picture * wave)


def _fringe(picture: Array, g: Array, sigma: Array, weight: Array) -> NDArray[np.complex128]:
    """(H, W) a fringe at zero frequency, smoothed, over the weight of the pixels that there are."""
    return np.asarray(2.0 * _smooth(_at_zero(picture, g), sigma) / weight)


def _disagreement(
    picture: Array,
    fringes: list[NDArray[np.complex128]],
    reflections: Array,
    sigma: Array,
    weight: Array,
    noise: float,
    scale: Array,
) -> Array:
    """(H, W) largest slope, as a strain and beyond noise, of the phases of further reflections
    against those of the two.
    """
    largest = np.zeros(picture.shape)
    amplitude = [np.abs(fringe) for fringe in fringes]
    typical = min(float(np.quantile(each, 0.9)) for each in amplitude)
    for first, second, part in FURTHER:
        g = (first * reflections[0] + second * reflections[1]) / part
        if np.any(np.abs(g) > HIGHEST):
            continue
        other = _fringe(picture, g, sigma, weight)
        size = np.abs(other)
        if float(np.quantile(size, 0.9)) < FAINT * typical:
            continue
        expected = np.ones(picture.shape, dtype=np.complex128)
        for fringe, order in ((fringes[0], first), (fringes[1], second)):
            unit = fringe / np.maximum(np.abs(fringe), 1e-300)
            expected *= (unit if order > 0 else unit.conj()) ** abs(order)
        slope = _slope((other / np.maximum(size, 1e-300)) ** part * expected.conj())
        # Of each phase, as in `_errors`; that of the difference has all three.
        variance = part**2 / np.maximum(size, 1e-300) ** 2
        for each, order in zip(amplitude, (first, second), strict=True):
            variance = variance + order**2 / np.maximum(each, 1e-300) ** 2
        step = noise / np.sqrt(2 * np.pi * sigma.prod()) / np.sqrt(2)
        leak = _leak(g, reflections, amplitude, size, sigma, scale) * part
        strain = np.zeros(picture.shape)
        for axis in range(2):
            own = variance * (step / sigma[axis]) ** 2 + (leak * scale[axis]) ** 2
            beyond = slope[axis] ** 2 - CERTAIN**2 * own
            strain += np.maximum(beyond, 0.0) / scale[axis] ** 2
        size_of = 2 * np.pi * part * float(np.hypot(*(g / scale)))
        faint = size < FAINT * float(np.quantile(size, 0.9))
        largest = np.maximum(largest, np.where(faint, 0.0, np.sqrt(strain) / size_of))
    # What one pixel shows is averaged over the filter in the strain of those around it.
    height, width = (2 * int(np.ceil(each)) + 1 for each in sigma)
    return np.asarray(ndimage.maximum_filter(largest, (height, width)))


def _leak(
    g: Array, reflections: Array, amplitude: list[Array], size: Array, sigma: Array, scale: Array
) -> Array:
    """(H, W) slope of a fringe's phase, radians an Å, by what the filter lets through of others."""
    total = np.zeros(size.shape)
    for other, strength in zip(reflections, amplitude, strict=True):
        for sign in (1.0, -1.0):
            away = (g - sign * other) / scale
            through = np.exp(-2 * np.pi**2 * ((sigma * scale * away) ** 2).sum())
            total += 2 * np.pi * np.hypot(*away) * through * strength / np.maximum(size, 1e-300)
    return total


def _smooth(image: NDArray[Any], sigma: Array) -> NDArray[Any]:
    """An image (H, W) smoothed by a Gaussian, with nothing beyond its border."""
    return np.asarray(ndimage.gaussian_filter(image, sigma, mode="constant", truncate=5.0))


def _slope(fringe: NDArray[np.complex128]) -> Array:
    """(2, H, W) gradient of the phase, radians a px, by symmetric differences of the angle."""
    slope = np.zeros((2, *fringe.shape))
    slope[0, 1:-1] = 0.5 * np.angle(fringe[2:] * fringe[:-2].conj())
    slope[1, :, 1:-1] = 0.5 * np.angle(fringe[:, 2:] * fringe[:, :-2].conj())
    return slope


def _seen(amplitude: Array, good: Mask, width: float, scale: Array) -> Mask:
    """(H, W) pixels with both fringes, away from the border and from holes of the image."""
    framed = np.pad(good, 1)
    depth = ndimage.distance_transform_edt(framed, sampling=scale)[1:-1, 1:-1]
    inside = depth > MARGIN * width
    if not inside.any():
        return np.asarray(inside)
    typical = np.array([np.quantile(a[inside], 0.9) for a in amplitude])
    return np.asarray(inside & np.all(amplitude > FAINT * typical[:, None, None], axis=0))


def _mask(reference: ArrayLike, shape: tuple[int, ...]) -> Mask:
    mask = np.asarray(reference, dtype=bool)
    if mask.shape != shape:
        raise ValueError(f"reference of shape {mask.shape} must have the image's shape {shape}")
    return mask


def _phases(fringes: list[NDArray[np.complex128]], shift: Array, chosen: Mask) -> Array:
    """(2, H, W) phases against the refined reflections, 0 on average over the reference."""
    rows, cols = np.ogrid[: chosen.shape[0], : chosen.shape[1]]
    phases = []
    for fringe, (y, x) in zip(fringes, shift, strict=True):
        turned = fringe * np.exp(-2j * np.pi * (y * rows + x * cols))
        phases.append(np.angle(turned * np.conj(turned[chosen].sum())))
    return np.array(phases)


def _noise(picture: Array, good: Mask) -> float:
    """Standard deviation of white noise (Immerkær 1996), by the median, as edges stand out."""
    kernel = np.outer([1, -2, 1], [1, -2, 1])
    second = ndimage.convolve(picture, kernel, mode="reflect")
    whole = ndimage.binary_erosion(good, np.ones((3, 3), dtype=bool))
    return 1.4826 * float(np.median(np.abs(second[whole]))) / 6.0 if whole.any() else 0.0


def _errors(
    amplitude: Array, noise: float, sigma: Array, inverse: Array, scale: Array, angle: float
) -> dict[str, Array]:
    """Standard errors (H, W) of strains.

    White noise of deviation n, smoothed by a Gaussian of sigmas s_y and s_x, turns the phase of a
    fringe of amplitude A by n / (A √(2π s_y s_x)); along an axis it is correlated as exp(-r²/4s²),
    so that the slopes of the phase deviate by that over s √2, independently along y and x.
    """
    turn = noise / (amplitude * np.sqrt(2 * np.pi * sigma.prod()))
    variance = dict[str, Array]()
    for share, way in zip(turn**2, inverse.T, strict=True):
        # Of a fringe whose slopes deviate by one over s √2.
        covariance = np.zeros((2, 2, 2, 2))
        for j in range(2):
            slope = 1.0 / (sigma[j] * np.sqrt(2) * 2 * np.pi * scale[j])
            covariance[:, j, :, j] = np.outer(way, way) * slope**2
        for name, error in strain_errors(covariance.reshape(4, 4), angle).items():
            variance[name] = variance.get(name, 0.0) + error**2 * share
    return {name: np.sqrt(each) for name, each in variance.items()}
