"""Counting statistics: shot noise of a finite dose and of a photomultiplier."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import model_validator
from torch import Generator, Tensor

from napari_atomseg.distortion.base import (
    Distortion,
    Drawn,
    Fraction,
    Values,
    View,
    mean,
    normal,
    per_pixel,
)
from napari_atomseg.ranges import PositiveRange, log_uniform, uniform
from napari_atomseg.settings import setting

FEW = 3.0
"""Expected counts below which the cumulative sum is inverted term by term."""
TERMS = 18
"""Terms of that sum; more than this many counts of FEW expected come once in 10^9 pixels."""
ALONE = 8
"""Share of the pixels, as its inverse, that is cheaper to pick out than to carry the others on."""
EXPONENTIAL_SCALE = 0.5
"""Scale of the exponential distribution of doses relative to their range (r_em, shot noise)."""
LEVELS = ("counts", "mean_counts", "dose", "electrons_per_column")


def poisson(expected: Tensor, deviate: Tensor) -> Tensor:
    """Counts of a Poisson process from one standard normal number each.

    The inverse of the cumulative distribution at the normal number's own probability: term by
    term for few counts, else the asymptotic expansion of Giles, ACM Trans. Math. Softw. 42, 7
    (2016), rounded down; the total variation from the exact distribution is below 10^-3 and the
    mean and variance are exact to 10^-4.

    Parameters
    ----------
    expected : mean counts ≥ 0, any shape.
    deviate : standard normal numbers of the same shape.
    """
    lowest, highest = expected.aminmax() if expected.numel() else (FEW, FEW)
    if highest < FEW:
        return _few_counts(expected, deviate)
    if lowest >= FEW:
        return _many_counts(expected, deviate)
    counts = _many_counts(expected.clamp_min(FEW), deviate)
    few = _places(expected < FEW)
    rare = _few_counts(expected.flatten()[few], deviate.flatten()[few])
    counts.view(-1).index_copy_(0, few, rare)
    return counts


def _places(mask: Tensor) -> Tensor:
    """(N,) places in the flattened mask at which it holds, or is not zero."""
    if mask.device.type != "cpu":
        return mask.flatten().nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def _many_counts(expected: Tensor, deviate: Tensor) -> Tensor:
    """The expansion to third order in 1/√λ, by Horner's rule.

    Step by step and in place: fused operations would round differently from place to place.
    """
    slope = expected.sqrt().reciprocal_()
    square = deviate * deviate
    counts = (square * (1.0 / 270.0)).add_(7.0 / 810.0).mul_(square).sub_(8.0 / 405.0).mul_(slope)
    counts -= (square + 2.0).mul_(deviate).mul_(1.0 / 72.0)
    counts.mul_(slope).add_(square.add_(2.0).mul_(1.0 / 6.0))
    counts += deviate / slope
    counts += expected
    return counts.floor_().clamp_min_(0.0)


def _few_counts(expected: Tensor, deviate: Tensor) -> Tensor:
    """The number of terms of the cumulative sum that lie below the probability."""
    # A rounded probability of 1 lies above every sum.
    probability = torch.special.ndtr(deviate).clamp_max_(1.0 - 1e-6)
    term = torch.exp(-expected)
    return _terms_below(1, probability, expected, term, term.clone())


def _terms_below(
    first: int, probability: Tensor, expected: Tensor, term: Tensor, total: Tensor
) -> Tensor:
    """How many of the sums from term `first` on lie below the probability; changes the last two.

    Once few pixels have terms left, these go on alone.
    """
    counts, above = torch.zeros_like(expected), torch.empty_like(expected)
    for count in range(first, TERMS + 1):
        left = int(torch.gt(probability, total, out=above).sum())
        if ALONE * left < above.numel():
            if left:
                place = _places(above)
                rest = (each.flatten()[place] for each in (probability, expected, term, total))
                counts.view(-1).index_add_(0, place, _terms_below(count, *rest))
            break
        counts += above
        total += term.mul_(expected).mul_(1.0 / count)
    return counts


def shot_noise(image: Tensor, dose: Tensor, generators: Sequence[Generator]) -> Tensor:
    """Poisson counting statistics of a finite dose (r_em Eq. 30, 45).

    Parameters
    ----------
    image : (B, H, W) expected signal ≥ 0.
    dose : (B,) electrons a pixel where the signal is 1; infinite for none.

    Returns
    -------
    (B, H, W) counts divided by the dose, so that the mean stays `image`.
    """
    deviate = normal(tuple(image.shape[1:]), generators, image)
    finite = per_pixel(torch.isfinite(dose))
    scale = torch.where(finite, per_pixel(dose), 1.0)
    counts = poisson(image.clamp_min(0.0).mul_(scale), deviate).div_(scale)
    return counts if bool(finite.all()) else torch.where(finite, counts, image)


def photomultiplier_noise(
    image: Tensor, dose: Tensor, pulse: Tensor, generators: Sequence[Generator]
) -> Tensor:
    """Two-stage noise of scintillator and photomultiplier (r_em Eq. 43-46).

    The electrons of a pixel are Poisson distributed; the pulse of each has the relative deviation
    `pulse` (B,), so that the sum of n pulses has √n times that of one.
    """
    electrons = shot_noise(image, dose, generators)
    each = normal(tuple(image.shape[1:]), generators, image)
    spread = (electrons.clamp_min(0.0) / per_pixel(dose)).sqrt()
    return electrons + per_pixel(pulse) * spread * each


def pulse_deviation(photons: float, efficiency: float, gain: float, spread: float) -> float:
    """Relative deviation of the pulse of one electron (r_em Eq. 44, divided by its mean).

    Parameters
    ----------
    photons : m_c, photons that an electron sends to the photocathode.
    efficiency : η, share of them that free a photoelectron.
    gain : δ > 1, electrons out for one electron in at each stage.
    spread : δ_c / m_c, relative deviation of the number of photons.
    """
    return math.sqrt((1.0 - efficiency + 1.0 / (gain - 1.0)) / (photons * efficiency) + spread**2)


class Counting(Distortion):
    """Anything that counts electrons.

    The dose is said in one of four ways; without any of them it is r_em's `mean_counts`.
    """

    counts: PositiveRange | None = setting(
        None,
        "Electrons per pixel",
        "Electrons per pixel where the signal is 1.",
        unit="e⁻/px",
        none="not given",
    )
    mean_counts: PositiveRange | None = setting(
        None,
        "Mean electrons",
        "Mean number of electrons per pixel (r_em: 0.5 to 750).",
        unit="e⁻/px",
        none="not given",
    )
    dose: PositiveRange | None = setting(
        None, "Dose", "Electrons per area where the signal is 1.", unit="e⁻/Å²", none="not given"
    )
    electrons_per_column: PositiveRange | None = setting(
        None,
        "Electrons per column",
        "Electrons in a lone peak of height 1.",
        unit="e⁻",
        none="not given",
    )
    collected: Fraction = setting(
        (1.0, 1.0), "Collected", "Fraction of the electrons that the detector counts."
    )
    spread: Literal["exponential", "log-uniform", "uniform"] = setting(
        "exponential",
        "Distribution",
        "Distribution of the dose in its range; `exponential` favours the low end (r_em).",
    )

    @model_validator(mode="before")
    @classmethod
    def _one_level(cls, data: Any) -> Any:
        if isinstance(data, dict):
            given = [name for name in LEVELS if data.get(name) is not None]
            if len(given) > 1:
                raise ValueError(f"say the dose in one way, not by {' and '.join(given)}")
            if not given:
                return {**data, "mean_counts": (0.5, 750.0)}
        return data

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """`counts` where the signal is 1, or `mean_counts` of the image."""
        name = next(name for name in LEVELS if getattr(self, name) is not None)
        level = self._level(rng, getattr(self, name)) * uniform(rng, self.collected)
        if name == "mean_counts":
            return {"mean_counts": level}
        if name == "dose":
            level *= view.sampling**2
        if name == "electrons_per_column":
            level /= 2 * math.pi * (view.width / view.sampling) ** 2
        return {"counts": level}

    def _level(self, rng: np.random.Generator, bounds: tuple[float, float]) -> float:
        if self.spread == "log-uniform":
            return log_uniform(rng, bounds)
        share = float(rng.random())
        if self.spread == "exponential":
            # The quantile of an exponential distribution that is cut off at the range's end.
            reach = -math.expm1(-1.0 / EXPONENTIAL_SCALE)
            share = -EXPONENTIAL_SCALE * math.log1p(-share * reach)
        return bounds[0] + share * (bounds[1] - bounds[0])

    def counts_at_one(self, image: Tensor, values: Values) -> Tensor:
        """(B,) electrons a pixel where the signal is 1, of images (B, H, W)."""
        if "counts" in values:
            return values["counts"]
        return values["mean_counts"] / mean(image).clamp_min(1e-6)


class Shot(Counting):
    """Counting statistics of a finite dose (r_em Eq. 30, 45)."""

    kind: Literal["shot"] = "shot"
    equation: ClassVar[str] = "*x* ← P(α*x*)/α (30, 45)"
    example: ClassVar[Mapping[str, Any]] = {"counts": (20, 20)}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Count the electrons of each pixel."""
        return shot_noise(image, self.counts_at_one(image, values), generators)


class Photomultiplier(Counting):
    """Scintillator and photomultiplier: counting statistics, pulse heights (r_em Eq. 43-46)."""

    kind: Literal["pmt"] = "pmt"
    equation: ClassVar[str] = (
        "*n* = P(α*x*), *x* ← (*n* + √*n* *s* N(0, 1))/α, *s*² = (1 − η + 1/(δ − 1))/(*m*η) +"
        " (δ*c*/*m*)² (43–46)"
    )
    example: ClassVar[Mapping[str, Any]] = {"counts": (20, 20), "photon_spread": (0.8, 0.8)}
    photons: PositiveRange = setting(
        (50.0, 150.0),
        "Photons m",
        "Photons that an electron sends to the photocathode; about 100 (r_em).",
    )
    efficiency: PositiveRange = setting(
        (0.1, 0.3), "Efficiency η", "Fraction of the photons that free a photoelectron."
    )
    gain: PositiveRange = setting(
        (3.0, 8.0), "Gain δ", "Electrons released by one electron at each stage."
    )
    photon_spread: Fraction = setting(
        (0.0, 0.5),
        "Photon spread δc/m",
        "Standard deviation of the number of photons, relative to their mean.",
    )

    def draw(self, rng: np.random.Generator, view: View) -> Drawn:
        """The level of the dose and the relative deviation `pulse` of one electron's signal."""
        pulse = pulse_deviation(
            uniform(rng, self.photons),
            uniform(rng, self.efficiency),
            uniform(rng, self.gain),
            uniform(rng, self.photon_spread),
        )
        return {**super().draw(rng, view), "pulse": pulse}

    def apply(self, image: Tensor, values: Values, generators: Sequence[Generator]) -> Tensor:
        """Count the electrons and add up their pulses."""
        dose = self.counts_at_one(image, values)
        return photomultiplier_noise(image, dose, values["pulse"], generators)
