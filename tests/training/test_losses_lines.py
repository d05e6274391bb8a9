"""The likelihood of displacements of scan lines."""

import math

import pytest
import torch

from napari_atomseg.training.losses import line_shift_loss
from napari_atomseg.training.losses.lines import line_residuals

LINES = 40


def maps(shifts: torch.Tensor, spread: float) -> torch.Tensor:
    """(1, 4, LINES, 3) displacements (2, LINES) with one logarithm of a deviation."""
    both = torch.cat([shifts, torch.full_like(shifts, spread)])
    return both[None, :, :, None].expand(-1, -1, -1, 3)


@pytest.fixture
def truth() -> torch.Tensor:
    return torch.randn(2, LINES, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_what_no_image_shows_is_not_asked_for(truth) -> None:
    """An offset, drift and shear of the specimen leave the loss as it is."""
    line = torch.arange(LINES, dtype=torch.float64)
    made = truth + 0.3 * torch.sin(line)
    for free in (5.0 + 0.0 * line, 0.7 * line, 2.0 - 0.1 * line):
        moved = line_shift_loss(maps(made + free, -1.0), maps(truth, 0.0))
        assert torch.isclose(moved, line_shift_loss(maps(made, -1.0), maps(truth, 0.0)))


def test_errors_are_those_of_a_weighted_line_fit(truth) -> None:
    spread = torch.linspace(-2.0, 0.0, LINES, dtype=torch.float64)
    prediction = torch.cat([0.0 * truth, spread.expand(2, -1)])[None, :, :, None]
    error, _, _ = line_residuals(prediction, maps(truth, 0.0)[..., :1])
    line = torch.arange(LINES, dtype=torch.float64)
    design = torch.stack([torch.ones_like(line), line], dim=1) / spread.exp()[:, None]
    for axis in range(2):
        wanted = -truth[axis] / spread.exp()
        fit = torch.linalg.lstsq(design, wanted[:, None]).solution
        left = (wanted - (design @ fit)[:, 0]) * spread.exp()
        torch.testing.assert_close(error[0, axis], left)


@pytest.mark.slow
def test_the_stated_deviation_is_best_where_it_is_that_of_the_errors() -> None:
    """Two degrees of freedom went into offset and slope: the likelihood knows."""
    generator = torch.Generator().manual_seed(2)
    draws = [torch.randn(2, LINES, generator=generator) for _ in range(100)]
    spreads = torch.linspace(-0.6, 0.6, 25)
    losses = [
        sum(float(line_shift_loss(maps(d, s), maps(0 * d, 0.0), balance=0.0)) for d in draws)
        for s in spreads.tolist()
    ]
    best = float(spreads[int(torch.tensor(losses).argmin())])
    assert math.isclose(best, 0.0, abs_tol=0.06)


def test_balance_weighs_without_a_gradient(truth) -> None:
    """With balance β the gradient is that of the likelihood times σ^(2β)."""
    for balance in (0.25, 1.0):
        gradients = []
        for each in (0.0, balance):
            made = maps(truth, -1.2).clone().requires_grad_()
            line_shift_loss(made, maps(0.0 * truth, 0.0), balance=each).backward()
            gradients.append(made.grad)
        factor = math.exp(-1.2 * 2 * balance)
        torch.testing.assert_close(gradients[1], factor * gradients[0])
