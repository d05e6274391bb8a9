"""Long names in choices."""

from __future__ import annotations

from typing import Any

import pytest
from qtpy.QtWidgets import QComboBox

from napari_atomseg._napari.forms.elided import elide, shown_text


@pytest.fixture
def box(qtbot: Any) -> QComboBox:
    made = QComboBox()
    qtbot.addWidget(made)
    elide(made)
    made.resize(120, 24)
    return made


def test_two_names_alike_at_the_front_look_different(box: QComboBox, qtbot: Any) -> None:
    texts = []
    for name in ("survey of the second lamella, 80 kV", "survey of the second lamella denoised"):
        box.addItem(name)
        box.setCurrentText(name)
        box.show()
        qtbot.waitExposed(box)
        shown = shown_text(box)
        assert len(shown) < len(name)
        assert (shown[:3], shown[-3:]) == (name[:3], name[-3:])
        texts.append((shown, box.grab().toImage()))
    assert texts[0][0] != texts[1][0]
    assert texts[0][1] != texts[1][1]


def test_short_names_are_whole(box: QComboBox) -> None:
    box.addItem("survey")
    assert shown_text(box) == "survey"
