"""Ranges: how recipes say what is random, and how one number is drawn from them."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] <= value[1]:
        raise ValueError(f"range {value} must run from low to high")
    return value


def _positive(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] > 0:
        raise ValueError(f"range {value} must be positive")
    return value


Range = Annotated[tuple[float, float], AfterValidator(_ordered)]
"""Lowest and highest value; equal for a fixed one."""
PositiveRange = Annotated[Range, AfterValidator(_positive)]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


class Part(BaseModel):
    """A part of a recipe: frozen, and nothing in it that the code does not use."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def faults(error: ValidationError) -> str:
    """What is wrong with a recipe, each fault with its place."""
    return "; ".join(
        f"{'.'.join(map(str, fault['loc'])) or 'recipe'}: {fault['msg']}"
        for fault in error.errors()
    )


def uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number drawn evenly from a range."""
    return float(rng.uniform(*bounds))


def log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    """A number whose logarithm is drawn evenly from that of a positive range."""
    return float(np.exp(rng.uniform(*np.log(bounds))))


def sometimes(
    rng: np.random.Generator, bounds: tuple[float, float], probability: float = 0.5
) -> float:
    """A number drawn evenly from a range, or 0 where chance leaves the effect out."""
    value = uniform(rng, bounds)
    return value if rng.random() < probability else 0.0
