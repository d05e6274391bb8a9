"""What a panel says below its settings: a line on the result, and a line for each note on it."""

from __future__ import annotations

import html
from collections.abc import Iterable

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QFrame, QLabel, QScrollArea

_MARK = "• "
_NOTE = '<p style="margin: 3px 0px 0px 10px; text-indent: -10px">{}</p>'
_TALLEST = 250
"""Pixels of height from which on a message scrolls, so that the settings stay in sight."""


def with_notes(first: str, notes: Iterable[str]) -> str:
    """A line on the result, and below it a marked one for each note, with a capital to begin."""
    return "\n".join([first, *(f"{_MARK}{note[:1].upper()}{note[1:]}" for note in notes if note)])


class Message(QScrollArea):
    """A text of one line or several, which wraps, scrolls where it is long, and can be copied."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ""
        self._label = QLabel()
        self._label.setWordWrap(True)
        self._label.setTextFormat(Qt.TextFormat.RichText)
        self._label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.setWidget(self._label)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._fit()

    def text(self) -> str:
        """The text as it was set."""
        return self._text

    def setText(self, text: str) -> None:
        """Show another text, from its beginning; lines that `with_notes` marks are indented."""
        self._text = text
        first, *others = (html.escape(line) for line in text.split("\n"))
        more = (_NOTE.format(line) if line.startswith(_MARK) else f"<br>{line}" for line in others)
        self._label.setText(first + "".join(more))
        self.verticalScrollBar().setValue(0)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Take the height of the text at the new width."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Take the height of the text in another style or font."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.StyleChange, QEvent.Type.FontChange):
            self._fit()

    def _fit(self) -> None:
        needed = self._label.heightForWidth(self.width()) if self._text else 0
        bar = Qt.ScrollBarPolicy
        self.setVerticalScrollBarPolicy(
            bar.ScrollBarAsNeeded if needed > _TALLEST else bar.ScrollBarAlwaysOff
        )
        self.setFixedHeight(min(needed, _TALLEST))
