"""The learning rate over a training."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_atomseg.training.recipe import OptimizerRecipe
from napari_atomseg.training.step import rate_at


def test_without_a_decay_it_falls_along_half_a_cosine_from_the_warm_up_on():
    recipe = OptimizerRecipe(rate=1e-3, final_rate=1e-5, warm_up=100)
    assert rate_at(recipe, 49, 1100) == pytest.approx(5e-4)
    assert rate_at(recipe, 100, 1100) == pytest.approx(1e-3)
    assert rate_at(recipe, 600, 1100) == pytest.approx(0.5 * (1e-3 + 1e-5))
    assert rate_at(recipe, 1100, 1100) == pytest.approx(1e-5)


@given(steps=st.integers(500, 5000), decay=st.integers(1, 300))
def test_a_decay_leaves_the_rate_constant_before_it(steps, decay):
    recipe = OptimizerRecipe(rate=1e-3, final_rate=1e-5, warm_up=100, decay=decay)
    assert all(
        rate_at(recipe, step, steps) == pytest.approx(1e-3)
        for step in range(100, steps - decay, 37)
    )
    assert rate_at(recipe, steps, steps) == pytest.approx(1e-5)
    falling = [rate_at(recipe, step, steps) for step in range(steps - decay, steps + 1)]
    assert falling == sorted(falling, reverse=True)


@given(step=st.integers(0, 700), longer=st.integers(1000, 9000))
def test_a_longer_training_has_the_same_rates_until_the_decay(step, longer):
    recipe = OptimizerRecipe(decay=300)
    assert rate_at(recipe, step, 1000) == rate_at(recipe, step, longer)


def test_a_decay_longer_than_the_training_starts_after_the_warm_up():
    short = OptimizerRecipe(decay=5000)
    for step in (0, 150, 400, 900):
        assert rate_at(short, step, 1000) == rate_at(OptimizerRecipe(), step, 1000)
