"""Long names in choices: cut in the middle, whole in the tooltip."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QHelpEvent
from qtpy.QtWidgets import QComboBox, QStyle, QStyleOptionComboBox, QStylePainter, QToolTip

_MARGIN = 6
"""Pixels between the frame of a choice and its text, which style sheets add."""


def elide(box: QComboBox) -> None:
    """Cut the shown name of a choice in the middle where it is too long.

    Names of layers differ at their ends: "survey denoised" is made from "survey".
    """
    box.installEventFilter(_Elided(box))


class _Elided(QObject):
    """Paints a choice, and shows the name in full above the box's own tooltip."""

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Take over painting and tooltips."""
        if isinstance(watched, QComboBox) and not watched.isEditable():
            if event.type() == QEvent.Type.Paint:
                _paint(watched)
                return True
            if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip:
                lines = filter(None, (watched.currentText(), watched.toolTip()))
                QToolTip.showText(event.globalPos(), "\n".join(lines), watched)
                return True
        return bool(super().eventFilter(watched, event))


def shown_text(box: QComboBox) -> str:
    """The name as the box has room for it."""
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    field = box.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, box
    )
    return str(
        box.fontMetrics().elidedText(
            box.currentText(), Qt.TextElideMode.ElideMiddle, field.width() - _MARGIN
        )
    )


def _paint(box: QComboBox) -> None:
    painter, option = QStylePainter(box), QStyleOptionComboBox()
    box.initStyleOption(option)
    option.currentText = shown_text(box)
    painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
    painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
    painter.end()
