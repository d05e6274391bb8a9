"""Exponentials that do not underflow."""

from torch import Tensor

LEAST = -43.0
"""The product of two such exponentials is still a normal number of float32."""


def fading(exponent: Tensor) -> Tensor:
    """Exponential of negative numbers, in place; below `LEAST` as there, 2e-19.

    An exponential that underflows takes a hundred times as long, and so does every product with
    numbers below the normal ones.
    """
    return exponent.clamp_min_(LEAST).exp_()
