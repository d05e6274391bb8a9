"""What holds for every loss that a recipe may name, and their sum."""

import math
import pickle
import runpy
from pathlib import Path

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from napari_atomseg.training.losses import KINDS as REGISTERED
from napari_atomseg.training.losses import AnyLoss, Losses, combined

KINDS = tuple(kind for kind, loss in REGISTERED.items() if loss.takes not in ("noise", "shifts"))
"""Losses of images alone; test_losses_lines.py has those of displacements of lines."""


DOCS = Path(__file__).parents[2] / "docs"


def make(kind, **settings):
    return TypeAdapter(AnyLoss).validate_python({"kind": kind, **settings})


def images(*shape, seed=0):
    """Values in 0.1..0.9."""
    return 0.1 + 0.8 * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def perfect(kind, target):
    return torch.logit(target) if kind == "cross_entropy" else target.clone()


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_prediction_is_the_minimum(kind):
    target = images(2, 2, 20, 20)
    loss = make(kind)
    best = perfect(kind, target)
    least = float(loss.value(best, target))
    for seed, size in ((1, 1e-2), (2, 0.1), (3, 1.0)):
        noise = size * (images(*target.shape, seed=seed) - 0.3)
        assert float(loss.value(best + noise, target)) > least
    if kind not in ("psnr", "cross_entropy"):
        assert least == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_costs_the_mean_of_its_images(kind):
    prediction, target = images(5, 2, 17, 12), images(5, 2, 17, 12, seed=1)
    loss = make(kind)
    each = [float(loss.value(p[None], t[None])) for p, t in zip(prediction, target, strict=True)]
    assert float(loss.value(prediction, target)) == pytest.approx(sum(each) / 5, rel=1e-4)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "psnr"])
def test_channels_count_like_images(kind):
    prediction, target = images(3, 4, 17, 12), images(3, 4, 17, 12, seed=1)
    loss = make(kind)
    apart = loss.value(prediction.reshape(12, 1, 17, 12), target.reshape(12, 1, 17, 12))
    assert float(loss.value(prediction, target)) == pytest.approx(float(apart), rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_those_of_finite_differences(kind):
    prediction = images(2, 1, 6, 5).double().requires_grad_()
    target = images(2, 1, 6, 5, seed=1).double()
    assert torch.autograd.gradcheck(lambda x: make(kind).value(x, target), (prediction,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@pytest.mark.parametrize("shape", [(2, 2, 16, 24), (1, 1, 5, 3), (1, 1, 1, 1)])
def test_gradients_are_finite_in_half_precision_and_for_constant_images(kind, dtype, shape):
    varied = images(*shape)
    cases = [
        (varied, images(*shape, seed=1)),
        (perfect(kind, varied), varied),
        (torch.zeros(shape), torch.zeros(shape)),
        (torch.full(shape, 0.5), varied),
        (varied, torch.full(shape, 0.5)),
        (60 * varied - 30, torch.zeros(shape)),
    ]
    for prediction, target in cases:
        prediction = prediction.to(dtype, copy=True).requires_grad_()
        value = make(kind).value(prediction, target)
        value.backward()
        assert value.dtype == torch.float32
        assert torch.isfinite(value)
        assert prediction.grad.dtype == dtype
        assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_left_before_anything_is_computed(kind):
    prediction, target = images(2, 1, 32, 32).bfloat16(), images(2, 1, 32, 32, seed=1)
    loss = make(kind)
    full = loss.value(prediction.float(), target)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(loss.value(prediction, target), full)


@pytest.mark.slow
def test_a_network_in_half_precision_learns_from_all_losses_together():
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 1, 3, padding=1)
    image = images(4, 1, 24, 24)
    losses = [make(kind) for kind in KINDS if kind != "cross_entropy"]
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    totals = []
    for _ in range(40):
        with torch.autocast("cpu", torch.bfloat16):
            output = network(image)
            total, _ = combined(losses, output, image)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        totals.append(float(total.detach()))
    assert output.dtype == torch.bfloat16
    assert all(map(math.isfinite, totals))
    assert totals[-1] < 0.5 * totals[0]


def test_the_sum_is_weighted_and_its_terms_are_not():
    prediction, target = images(2, 1, 12, 12).requires_grad_(), images(2, 1, 12, 12, seed=1)
    losses = [make("mse", weight=0.25), make("ssim", weight=3.0), make("mean", weight=0.0)]
    total, terms = combined(losses, prediction, target)
    assert total.requires_grad
    assert not any(term.requires_grad for term in terms.values())
    assert list(terms) == ["mse", "ssim", "mean"]
    for loss in losses:
        assert torch.equal(terms[loss.kind], loss.value(prediction, target))
    assert total.item() == pytest.approx(float(0.25 * terms["mse"] + 3 * terms["ssim"]))


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("chi_square", {"least_peak": 1.0}),
        ("l1", {"least_deviation": 1.0}),
        ("l2", {"least_deviation": 1.0}),
        ("whitening", {"sizes": (3,)}),
        ("whitening", {"least_deviation": 1.0}),
        ("fourier", {"gamma": 0.5}),
        ("ssim", {"data_range": 10.0}),
        ("psnr", {"data_range": 10.0}),
        ("psnr", {"ceiling": 5.0}),
        ("cross_entropy", {"emphasis": 5.0}),
    ],
)
def test_settings_of_a_recipe_reach_the_losses(kind, settings):
    prediction, target = images(1, 1, 12, 12), images(1, 1, 12, 12, seed=1)
    default, changed = (make(kind, **s).value(prediction, target) for s in ({}, settings))
    assert abs(float(default) - float(changed)) > 0.01 * abs(float(default))


def test_the_page_on_training_has_a_row_for_each_loss():
    script = runpy.run_path(str(DOCS / "scripts/tables.py"))
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    made = script["on_page_markdown"](page)
    rows = [line.split("`")[1] for line in made.splitlines() if line.startswith("| `")]
    assert set(REGISTERED) <= set(rows)


def test_losses_reach_other_processes():
    losses = [make(kind, weight=2.0) for kind in KINDS]
    assert pickle.loads(pickle.dumps(losses)) == losses  # noqa: S301, made here


def test_a_list_of_losses_survives_a_file():
    written = [{"kind": "l1"}, {"kind": "whitening", "sizes": [4, 8]}, {"kind": "fourier"}]
    losses = TypeAdapter(Losses).validate_python(written)
    assert [loss.weight for loss in losses] == [10.0, 1.0, 1.0]
    text = TypeAdapter(Losses).dump_json(losses)
    assert TypeAdapter(Losses).validate_json(text) == losses


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([], "at least 1"),
        ([{"kind": "l3"}], "'l3'"),
        ([{"kind": "mse"}, {"kind": "mse", "weight": 2}], "different kinds"),
        ([{"kind": "mse", "weight": -1}], "greater than or equal to 0"),
        ([{"kind": "mse", "weight": float("nan")}], "finite"),
        ([{"kind": "mse", "gamma": 1}], "Extra inputs"),
        ([{"kind": "fourier", "gamma": 1.5}], "less than or equal to 1"),
        ([{"kind": "whitening", "sizes": [1]}], "greater than or equal to 2"),
        ([{"kind": "l1", "least_deviation": 0}], "greater than 0"),
    ],
)
def test_faults_in_a_list_of_losses_are_named(losses, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Losses).validate_python(losses)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(2, 1, 8, 9), (1, 8, 8), (2, 1, 1, 8), (2, 1, 0, 8)])
def test_images_that_do_not_fit_are_refused(kind, shape):
    """Broadcasting would give a number that means nothing."""
    target = torch.zeros(2, 1, 0, 8) if 0 in shape else torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match="one shape"):
        make(kind).value(torch.zeros(shape), target)
