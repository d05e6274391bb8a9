"""Options of `localize`: written once, and given one by one or as objects."""

from __future__ import annotations

import inspect
import re
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest

import napari_atomseg as atomseg
from napari_atomseg.inference import InferenceSettings, predict
from napari_atomseg.inference.settings import InferenceOptions
from napari_atomseg.localization import DetectionSettings, FitSettings, localize, refine_columns
from napari_atomseg.localization.settings import FitOptions, LocalizeOptions, LocalizeSettings
from napari_atomseg.settings import Settings


@pytest.mark.parametrize(
    ("keywords", "settings", "named"),
    [
        (InferenceOptions, InferenceSettings, {"model"}),
        (FitOptions, FitSettings, {"refine", "frames"}),
        (LocalizeOptions, LocalizeSettings, {"model", "refine", "frames"}),
    ],
)
def test_keywords_are_the_settings_and_their_types(
    keywords: type, settings: type[Settings], named: set[str]
) -> None:
    """But for those that functions have as arguments of their own, or take as arrays as well.

    The noise of an average is no setting, but part of what is measured.
    """
    types = {name: field.annotation for name, field in settings.model_fields.items()}
    hints = {n: hint for n, hint in get_type_hints(keywords).items() if n != "noise"}
    assert set(hints) | named == set(types)
    assert {n: hints[n] for n in hints if n not in named} == {
        n: types[n] for n in types if n not in named
    }


@pytest.mark.parametrize(
    ("function", "keywords"),
    [(localize, LocalizeOptions), (atomseg.segment, InferenceOptions), (predict, InferenceOptions)],
)
def test_every_keyword_is_documented(function: object, keywords: type) -> None:
    words = set(re.findall(r"\w+", inspect.getdoc(function) or ""))
    assert set(get_type_hints(keywords)) <= words


def columns(**arguments: object) -> pd.DataFrame:
    image = np.random.default_rng(3).poisson(
        60 + 50 * np.cos(np.arange(48) * 0.6)[:, None] * np.cos(np.arange(56) * 0.6)
    )
    return atomseg.localize(image, detector="peaks", **arguments)  # type: ignore[arg-type]


@pytest.mark.slow
def test_objects_and_keywords_ask_for_the_same() -> None:
    fit = FitSettings(refine="joint", widths="free")
    detection = DetectionSettings(edge="drop")
    one = columns(fit=fit, detection=detection, inference=InferenceSettings(contrast="bright"))
    other = columns(refine="joint", widths="free", edge="drop", contrast="bright")
    pd.testing.assert_frame_equal(one, other)
    assert one.attrs == other.attrs
    again = columns(fit=fit, widths="shared", edge="drop", contrast="bright")
    assert again.attrs["widths"] == "shared"
    assert again.attrs["refine"] == "joint"
    third = columns(fit=fit, refine="centroid", edge="drop", contrast="bright")
    assert third.attrs["refine"] == "centroid"


def test_unknown_options_are_named() -> None:
    with pytest.raises(TypeError, match="colour"):
        columns(colour="red")
    with pytest.raises(TypeError, match="colour"):
        atomseg.segment(np.zeros((32, 32)), colour="red")  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="colour"):
        refine_columns(np.zeros((9, 9)), columns(), colour="red")  # type: ignore[call-arg]
