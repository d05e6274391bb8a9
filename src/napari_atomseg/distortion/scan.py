"""Distortions of the scan: lines that lie where they should not."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import AfterValidator
from torch import Generator, Tensor

from napari_atomseg.distortion.base import (
    Correlation,
    Distortion,
    Drawn,
    LengthUnit,
    NonNegativeRange,
    Values,
    View,
    filtered,
    normal,
)
from napari_atomseg.ranges import PositiveRange, Probability, Range, uniform
from napari_atomseg.settings import setting


def autoregressive(noise: Tensor, phi: Tensor) -> Tensor:
    """Series Δ_k = φ Δ_(k-1) + a_k along the rows, stationary from its first term (r_em Eq. 41).

    Parameters
    ----------
    noise : (B, rows, N) the independent a_k.
    phi : (B, N) correlation of neighbours, 0 ≤ φ < 1.
    """
    series = noise.clone()
    series[:, 0] = noise[:, 0] / torch.sqrt(1.0 - phi**2)
    # Δ_k sums φ^m a_(k-m): each pass doubles the number of terms that are summed.
    reach, power = 1, phi[:, None]
    while reach < noise.shape[1]:
        series[:, reach:] += power * series[:, :-reach].clone()
        reach, power = 2 * reach, power * power
    return series


def modulated(noise: Tensor, amplitude: Tensor, frequency: Tensor, phase: Tensor) -> Tensor:
    """Displacements (B, rows, 2) = normal number × amplitude × sin(2π f t + φ) (Lin et al. 2021).

    Parameters
    ----------
    noise : (B, rows, 2) standard normal numbers.
    amplitude : (B,) in pixels.
    frequency : (B,) cycles a line.
    phase : (B, 2) radians, of y and x.
    """
    line = torch.arange(noise.shape[1], device=noise.device)
    angle = 2 * math.pi * frequency[:, None] * line
    return amplitude[:, None, None] * torch.sin(angle[..., None] + phase[:, None]) * noise


def shift_lines(image: Tensor, shifts: Tensor) -> Tensor:
    """I(i, j) = I0(i - δy_i, j - δx_i) (Lin et al. 2021).

    Along a line the shift is exact, a phase ramp in its Fourier transform; between lines the
    cubic of Keys (1981, a = -1/2) is taken, which keeps straight slopes straight.

    Parameters
    ----------
    image : (B, H, W), periodic along the lines.
    shifts : (B, H, 2) displacement (y, x) of each line in pixels.
    """
    width = image.shape[2]
    moved = _shifted_across(image, shifts[..., 0]) if bool(shifts[..., 0].any()) else image
    k = torch.fft.rfftfreq(width, device=image.device)
    angle = (-2 * math.pi * k) * shifts[..., 1:]
    spectrum = filtered(torch.fft.rfft(moved), torch.cos(angle), torch.sin(angle))
    result: Tensor = torch.fft.irfft(spectrum, n=width)
    return result


def _shifted_across(image: Tensor, shift: Tensor) -> Tensor:
    """Lines between the lines of images (B, H, W), by Keys' cubic; the outermost are repeated."""
    count, height, width = image.shape
    row = torch.arange(height, device=image.device) - shift
    base = row.floor()
    first = height * torch.arange(count, device=image.device)[:, None]
    lines = image.reshape(-1, width)
    index = base.long()
    taps = (
        lines.index_select(0, ((index + offset).clamp_(0, height - 1) + first).flatten())
        .view_as(image)
        .mul_(weight[..., None])
        for offset, weight in zip((-1, 0, 1, 2), _keys(row - base), strict=True)
    )
    return reduce(Tensor.add_, taps)


def _keys(t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights of the four neighbours of a point at fraction t between the middle two."""
    return (
        0.5 * (-t + 2 * t**2 - t**3),
        0.5 * (2 - 5 * t**2 + 3 * t**3),
        0.5 * (t + 4 * t**2 - 3 * t**3),
        0.5 * (-(t**2) + t**3),
    )


class LineMotion(Distortion):
    """A distortion that moves whole lines.

    Motions that follow each other may be added up and applied by one `shift_lines`, which is
    faster and interpolates once.
    """

    @abstractmethod
    def shifts(self, rows: int, values: Values, generators: Sequence[Generator]) -> Tensor:
        """(B, rows, 2) displacement (y, x) of each line in pixels."""

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Move the lines."""
        return shift_lines(image, self.shifts(image.shape[1], values, generators))


def _odds(value: tuple[float, float, float]) -> tuple[float, float, float]:
    if min(value) < 0 or sum(value) <= 0:
        raise ValueError(f"odds {value} must not be negative, nor all 0")
    return value


class ScanJitter(LineMotion):
    """Correlated random displacement of the lines (r_em Eq. 41-42)."""

    kind: Literal["scan_jitter"] = "scan_jitter"
    equation: ClassVar[str] = (
        "Δₖ = φ Δₖ₋₁ + N(0, σ), Δ₁ = N(0, σ)/√(1 − φ²), of x and y of line *k* (41, 42)"
    )
    example: ClassVar[Mapping[str, Any]] = {
        "sigma": (0.2, 0.2),
        "phi": (0.6, 0.6),
        "odds": (0, 0, 1),
    }
    probability: Probability = 0.9
    sigma: NonNegativeRange = setting(
        (0.0025, 0.8), "Jitter σ", "Standard deviation of a step of the series, in `unit`."
    )
    phi: Correlation = setting((0.0, 0.7), "Correlation φ", "Correlation of neighbouring lines.")
    unit: LengthUnit = setting(
        "angstrom", "Unit", "Unit of lengths: Å, the width of a lone peak, or the pixel."
    )
    odds: Annotated[tuple[float, float, float], AfterValidator(_odds)] = setting(
        (0.25, 0.25, 0.5), "Odds", "Odds of jitter along x only, along y only, and along both."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`sigma` (2,) in pixels and `phi` (2,), of y and x."""
        sigma = [view.pixels(uniform(rng, self.sigma), self.unit) for _ in range(2)]
        phi = [uniform(rng, self.phi) for _ in range(2)]
        only = int(rng.choice(3, p=np.array(self.odds) / sum(self.odds)))
        if only < 2:
            sigma[only] = 0.0
        return {"sigma": np.array(sigma), "phi": np.array(phi)}

    def shifts(self, rows: int, values: Values, generators: Sequence[Generator]) -> Tensor:
        """The two series of Eq. 41."""
        noise = normal((rows, 2), generators, values["sigma"])
        return autoregressive(values["sigma"][:, None] * noise, values["phi"])


class LineFrequency(LineMotion):
    """Random displacement modulated by the mains frequency (Lin et al. 2021, scan noise)."""

    kind: Literal["line_frequency"] = "line_frequency"
    equation: ClassVar[str] = "Δₖ = *a* N(0, 1) sin(2π*fk* + φ) (Lin et al. 2021)"
    example: ClassVar[Mapping[str, Any]] = {"amplitude": (0.4, 0.4), "cycles": (0.06, 0.06)}
    amplitude: NonNegativeRange = setting(
        (0.2, 0.2),
        "Amplitude a",
        "Standard deviation where the modulation is greatest, in `unit` (Lin et al.: 0.2 Å).",
    )
    cycles: NonNegativeRange = setting(
        (0.02, 0.5), "Cycles f", "Mains periods per line; 50 or 60 Hz with lines of 0.4 to 8 ms."
    )
    unit: LengthUnit = setting(
        "angstrom", "Unit", "Unit of lengths: Å, the width of a lone peak, or the pixel."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`amplitude` in pixels, `cycles` a line, `phase` (2,) of y and x."""
        return {
            "amplitude": view.pixels(uniform(rng, self.amplitude), self.unit),
            "cycles": uniform(rng, self.cycles),
            "phase": rng.uniform(0.0, 2 * math.pi, 2),
        }

    def shifts(self, rows: int, values: Values, generators: Sequence[Generator]) -> Tensor:
        """One normal number a line and direction, modulated."""
        noise = normal((rows, 2), generators, values["amplitude"])
        return modulated(noise, values["amplitude"], values["cycles"], values["phase"])


def steady_shifts(rows: int, slope: Tensor) -> Tensor:
    """(B, rows, 2) shifts that grow by `slope` (B, 2) from line to line, 0 in the middle."""
    line = torch.arange(rows, device=slope.device) - 0.5 * (rows - 1)
    return line[:, None] * slope[:, None]


class Drift(LineMotion):
    """Steady drift of the specimen while it is scanned, any direction."""

    kind: Literal["drift"] = "drift"
    equation: ClassVar[str] = "Δₖ grows evenly from line to line, in any direction"
    example: ClassVar[Mapping[str, Any]] = {"distance": (3, 3), "direction": (50, 50)}
    distance: NonNegativeRange = setting(
        (0.0, 2.0), "Distance", "Displacement of the last line against the first, in `unit`."
    )
    direction: Range = setting(
        (0.0, 360.0),
        "Direction",
        "Direction, counter-clockwise from x as the image is shown.",
        unit="°",
    )
    unit: LengthUnit = setting(
        "angstrom", "Unit", "Unit of lengths: Å, the width of a lone peak, or the pixel."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`slope` (2,), pixels of y and x a line."""
        distance = view.pixels(uniform(rng, self.distance), self.unit)
        angle = math.radians(uniform(rng, self.direction))
        way = np.array([-math.sin(angle), math.cos(angle)])
        return {"slope": distance * way / max(view.shape[0] - 1, 1)}

    def shifts(self, rows: int, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Growing from line to line."""
        return steady_shifts(rows, values["slope"])


class Shear(LineMotion):
    """Scan axes that are not at right angles: lines slide along x."""

    kind: Literal["shear"] = "shear"
    equation: ClassVar[str] = "Δₖ grows evenly from line to line, along x"
    example: ClassVar[Mapping[str, Any]] = {"distance": (3, 3)}
    distance: Range = setting(
        (-2.0, 2.0), "Distance", "Displacement of the last line against the first, in `unit`."
    )
    unit: LengthUnit = setting(
        "angstrom", "Unit", "Unit of lengths: Å, the width of a lone peak, or the pixel."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`slope` (2,), pixels of y and x a line."""
        distance = view.pixels(uniform(rng, self.distance), self.unit)
        return {"slope": np.array([0.0, distance / max(view.shape[0] - 1, 1)])}

    def shifts(self, rows: int, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Growing from line to line, along x."""
        return steady_shifts(rows, values["slope"])


def settle(image: Tensor, amplitude: Tensor, length: Tensor) -> Tensor:
    """I(i, j) = I0(i, j - a_i exp(-j / τ)): a beam that still moves where its line begins.

    Between pixels the cubic of Keys is taken, see `shift_lines`.

    Parameters
    ----------
    image : (B, H, W); the outermost pixels are repeated.
    amplitude : (B, H) displacement of a line's first pixel in pixels.
    length : (B,) pixels in which it falls to 1/e.
    """
    width = image.shape[2]
    place = torch.arange(width, device=image.device)
    column = place - amplitude[..., None] * torch.exp(-place / length[:, None, None])
    base = column.floor()
    moved = torch.zeros_like(image)
    for offset, weight in zip((-1, 0, 1, 2), _keys(column - base), strict=True):
        moved += image.gather(2, (base.long() + offset).clamp(0, width - 1)) * weight
    return moved


class Flyback(Distortion):
    """Beginnings of lines that are stretched while the beam settles after its way back.

    The deflection follows the jump to the next line with the time constant of its coils
    (Mullarkey et al., Microsc. Microanal. 28, 1428, 2022).
    """

    kind: Literal["flyback"] = "flyback"
    equation: ClassVar[str] = "*x*(*i*, *j*) ← *x*(*i*, *j* − *aᵢ* exp(−*j*/τ))"
    example: ClassVar[Mapping[str, Any]] = {"amplitude": (4, 4), "length": (8, 8)}
    amplitude: Range = setting(
        (-1.0, 1.0), "Amplitude a", "Displacement of a line's first pixel, in `unit`."
    )
    length: PositiveRange = setting(
        (5.0, 40.0), "Settling length τ", "Pixels in which the displacement falls to 1/e."
    )
    spread: NonNegativeRange = setting(
        (0.0, 0.3), "Spread", "Relative standard deviation of the amplitude among the lines."
    )
    unit: LengthUnit = setting(
        "angstrom", "Unit", "Unit of lengths: Å, the width of a lone peak, or the pixel."
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`amplitude` and `length` in pixels, and the relative `spread`."""
        return {
            "amplitude": view.pixels(uniform(rng, self.amplitude), self.unit),
            "length": uniform(rng, self.length),
            "spread": uniform(rng, self.spread),
        }

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Stretch the beginnings of the lines."""
        noise = normal((image.shape[1],), generators, image)
        each = values["amplitude"][:, None] * (1.0 + values["spread"][:, None] * noise)
        return settle(image, each, values["length"])
