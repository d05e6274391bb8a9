"""Losses of generator and discriminator against their equations."""

import math

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from napari_atomseg.training.losses import (
    AnyAdversarial,
    least_squares_discriminator,
    least_squares_generator,
    relativistic_discriminator,
    relativistic_generator,
)

KINDS = ("relativistic", "least_squares")


def answers(seed=0, shape=(3, 1, 4, 5)):
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(shape, generator=generator), torch.randn(shape, generator=generator)


def make(kind):
    return TypeAdapter(AnyAdversarial).validate_python({"kind": kind})


def test_relativistic_losses_follow_their_equations():
    real, fake = answers()
    true = torch.sigmoid(real.double() - fake.double().mean())  # r_em Eq. 2
    generated = torch.sigmoid(fake.double() - real.double().mean())  # Eq. 3
    generator = -torch.log(1 - true).mean() - torch.log(generated).mean()  # Eq. 12
    discriminator = -torch.log(true).mean() - torch.log(1 - generated).mean()  # Eq. 15
    assert float(relativistic_generator(real, fake)) == pytest.approx(float(generator), rel=1e-5)
    assert float(relativistic_discriminator(real, fake)) == pytest.approx(
        float(discriminator), rel=1e-5
    )


def test_relativistic_losses_see_differences_only():
    real, fake = answers()
    for loss in (relativistic_generator, relativistic_discriminator):
        assert float(loss(real + 7, fake + 7)) == pytest.approx(float(loss(real, fake)), rel=1e-5)
        equal = torch.full((2, 1, 3, 3), 5.0)
        assert float(loss(equal, equal)) == pytest.approx(2 * math.log(2))


def test_the_generator_learns_from_true_images_too():
    real, fake = (answer.requires_grad_() for answer in answers())
    relativistic_generator(real, fake).backward()
    assert (real.grad > 0).all()
    assert (fake.grad < 0).all()


def test_least_squares_follow_their_equations():
    real, fake = answers()
    assert float(least_squares_generator(real, fake)) == pytest.approx(
        float(((fake - 1) ** 2).mean() / 2), rel=1e-5
    )
    assert float(least_squares_discriminator(real, fake)) == pytest.approx(
        float(((real - 1) ** 2).mean() / 2 + (fake**2).mean() / 2), rel=1e-5
    )


def test_least_squares_of_the_right_answers_are_zero():
    one, zero = torch.ones(2, 1, 4, 4), torch.zeros(2, 1, 4, 4)
    assert float(least_squares_discriminator(one, zero)) == 0.0
    assert float(least_squares_generator(zero, one)) == 0.0
    # One answer to all images: the best that it can be is a half.
    constant = torch.full((1, 1, 2, 2), 0.3, requires_grad=True)
    optimizer = torch.optim.SGD([constant], lr=1.0)
    for _ in range(50):
        optimizer.zero_grad()
        least_squares_discriminator(constant, constant).backward()
        optimizer.step()
    assert constant.detach().flatten().tolist() == pytest.approx([0.5] * 4, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_generator_and_discriminator_want_the_opposite(kind):
    loss = make(kind)
    real, fake = (answer.sigmoid().requires_grad_() for answer in answers())
    (up,) = torch.autograd.grad(loss.generator(real, fake), fake)
    (down,) = torch.autograd.grad(loss.discriminator(real, fake), fake)
    assert (up < 0).all()
    assert (down > 0).all()
    (true,) = torch.autograd.grad(loss.discriminator(real, fake), real)
    assert (true < 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradients_are_finite_in_half_precision(kind, dtype):
    loss = make(kind)
    for size in (0.0, 1.0, 200.0):
        real, fake = ((size * answer).to(dtype).requires_grad_() for answer in answers())
        for turn in (loss.generator, loss.discriminator):
            with torch.autocast("cpu", torch.bfloat16):
                value = turn(real, fake)
            value.backward()
            assert value.dtype == torch.float32
            assert torch.isfinite(value)
        assert torch.isfinite(real.grad).all()
        assert torch.isfinite(fake.grad).all()


def test_adversarial_losses_are_told_by_their_kind():
    assert make("relativistic").weight == 5e-4
    with pytest.raises(ValidationError, match="'wasserstein'"):
        make("wasserstein")
