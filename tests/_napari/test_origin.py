"""Images that were restored, and the recorded ones behind them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from napari_atomseg._napari.layers import PROVENANCE, Source, raw_of

OpenPanel = Callable[[str], Any]

pytestmark = pytest.mark.usefixtures("qtbot")


@pytest.fixture
def survey(viewer: Any) -> tuple[Any, Any]:
    """A recorded image, and one that says that it was restored from it."""
    data = np.random.default_rng(3).normal(size=(64, 64)).astype(np.float32)
    raw = viewer.add_image(data, name="survey")
    record = {"action": "restore", "source": "survey", "raw": "survey"}
    restored = viewer.add_image(data, name="survey denoised", metadata={PROVENANCE: record})
    return raw, restored


@pytest.mark.parametrize("name", ["Localize", "Segment"])
def test_a_restored_image_is_told_before_columns_are_measured(
    viewer: Any, dock: OpenPanel, survey: tuple[Any, Any], name: str
) -> None:
    """One click takes the recorded one, and the warning is gone."""
    raw, restored = survey
    panel = dock(name)
    panel.image = restored
    assert not panel.origin.isHidden()
    assert "'survey'" in panel.origin.text.text()
    panel.origin.button.click()
    assert panel.image.name == raw.name
    assert panel.origin.isHidden()


def test_without_the_recorded_image_the_warning_stays(
    viewer: Any, dock: OpenPanel, survey: tuple[Any, Any]
) -> None:
    raw, restored = survey
    viewer.layers.remove(raw)
    viewer.layers.selection.active = restored
    panel = dock("Localize")
    assert not panel.origin.isHidden()
    assert panel.origin.button.isHidden()


def test_what_is_restored_twice_has_the_recorded_image_as_source(survey: tuple[Any, Any]) -> None:
    raw, restored = survey
    assert raw_of(raw) == raw_of(restored) == "survey"
    assert (Source.of(raw).told, Source.of(restored).told) == (
        "survey (raw)",
        "survey denoised (restored)",
    )
