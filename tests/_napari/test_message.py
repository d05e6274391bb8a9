"""Messages below a panel: a line a note, escaped, and scrolling where they are long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_atomseg._napari.message import Message, with_notes


@pytest.fixture
def shown(qtbot: Any) -> Callable[..., Message]:
    """Shows a text in a window of its own, which is kept until the end."""
    kept = []

    def show(text: str, width: int = 300) -> Message:
        holder, message = QWidget(), Message()
        layout = QVBoxLayout(holder)
        layout.addWidget(message)
        layout.addStretch()
        message.setText(text)
        holder.resize(width, 700)
        qtbot.addWidget(holder)
        holder.show()
        qtbot.waitExposed(holder)
        kept.append(holder)
        return message

    return show


def test_each_note_has_a_line_that_begins_with_a_capital() -> None:
    assert with_notes("3 columns", []) == "3 columns"
    assert with_notes("3 columns", ["one was dropped", "", "noise is shared"]).split("\n") == [
        "3 columns",
        "• One was dropped",
        "• Noise is shared",
    ]


def test_a_text_is_shown_as_it_is_and_without_a_bar(shown: Callable[..., Message]) -> None:
    message = shown(with_notes("a < b & <b>c</b>", ["one", "two"]))
    assert message.text() == "a < b & <b>c</b>\n• One\n• Two"
    label: Any = message.widget()
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByKeyboard)
    label.setSelection(0, 5)
    assert label.selectedText() == "a < b"
    assert not message.verticalScrollBar().isVisible()
    assert label.height() <= message.height() + 1


def test_no_text_takes_no_room_and_a_long_one_scrolls(
    qtbot: Any, shown: Callable[..., Message]
) -> None:
    message = shown("")
    assert message.height() == 0
    message.setText("\n".join(["many lines"] * 60))
    qtbot.waitUntil(lambda: message.verticalScrollBar().maximum() > 0)
    assert 100 < message.height() < 300


def test_a_narrower_message_is_higher(qtbot: Any, shown: Callable[..., Message]) -> None:
    message = shown("words that wrap where there is little room " * 4, width=600)
    before = message.height()
    message.window().resize(200, 700)
    qtbot.waitUntil(lambda: message.height() > before)
