"""Settings that know their ranges: good values become canonical, bad ones are named."""

from __future__ import annotations

import inspect
from math import inf, nan
from typing import Any

import numpy as np
import pytest

from napari_atomseg.settings import about, describe, fields_of
from napari_atomseg.simulation import simulate
from napari_atomseg.simulation.settings import SimulationSettings


def test_values_become_plain_python() -> None:
    settings = SimulationSettings(
        rotation=np.float32(3), shape=np.array([64, 32]), seed=np.int64(2), gamma=None, dose=inf
    )
    assert (settings.rotation, settings.shape, settings.seed) == (3.0, (64, 32), 2)
    assert type(settings.rotation) is float
    assert {type(side) for side in settings.shape} == {int}
    assert settings.gamma is None
    assert SimulationSettings(**settings.arguments()) == settings


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("shape", (4, 4), ValueError),
        ("shape", 64, ValueError),
        ("sampling", nan, ValueError),
        ("dose", 0.0, ValueError),
        ("energy", "fast", TypeError),
        ("energy", None, TypeError),
        ("seed", 1.5, TypeError),
        ("invert", 1, TypeError),
        ("kept", 1.2, ValueError),
        ("imaging", "ptychography", ValueError),
        ("shape_kind", ["bulk"], ValueError),
    ],
)
def test_bad_values_are_named(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=name) as told:
        SimulationSettings(**{name: value})
    assert repr(value) in str(told.value)


@pytest.mark.parametrize("name", SimulationSettings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    known = about(SimulationSettings, name)
    assert known.label
    assert known.help.endswith(".")
    low, high = known.limits
    assert low < high
    if known.usual is not None:
        first, last = known.usual
        assert low <= first < last <= high
        assert first <= known.default <= last
        assert first > 0 or not known.logarithmic


def test_simulate_has_the_settings_as_keywords() -> None:
    parameters = inspect.signature(simulate).parameters
    assert list(parameters) == [*SimulationSettings.model_fields, "device", "progress", "cancel"]
    for name, known in fields_of(SimulationSettings).items():
        assert parameters[name].default == known.default
        if name not in ("crystal", "distortions"):
            assert parameters[name].annotation == SimulationSettings.__annotations__[name]


def test_simulate_describes_its_settings() -> None:
    assert describe(SimulationSettings) in inspect.cleandoc(simulate.__doc__ or "")
