"""The row of steps above a panel, and the button that leads to the next one."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from napari.utils.theme import get_theme
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import (
    QColor,
    QFont,
    QFontMetrics,
    QHideEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QShowEvent,
)
from qtpy.QtWidgets import QHBoxLayout, QMenu, QPushButton, QSizePolicy, QToolButton, QWidget

from napari_atomseg._napari.steps import STEPS, Step, next_step, others, step_of

if TYPE_CHECKING:
    import napari.viewer

PLUGIN = "napari-atomseg"
_MORE = "More"
_FONT = 11
"""Height of the letters' font, pixels: six words and a menu in 300 pixels."""
_HEIGHT = 28
_GAP = 6
"""Pixels between two words."""
_NODE = 7.0
"""Height of the middle of the nodes, pixels from above."""
_RADIUS = 4.5


def open_panel(viewer: napari.viewer.Viewer, name: str, page: str = "") -> Any:
    """Raise a panel of the plugin, opened where it is not yet, on what was made last.

    Parameters
    ----------
    name : of its widget in the manifest.
    page : of the panel, where it has several; empty for the one that it is on.

    Returns
    -------
    The panel.
    """
    dock, panel = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    dock.show()
    panel.join()
    dock.raise_()
    for act, arguments in (("turn_to", (page,)), ("take_newest", ())):
        if hasattr(panel, act):
            getattr(panel, act)(*arguments)
    return panel


def panels_of_plugin() -> list[str]:
    """Names of the plugin's widgets, in the order of the manifest."""
    from npe2 import PluginManager

    manifest = PluginManager.instance().get_manifest(PLUGIN)
    return [widget.display_name for widget in manifest.contributions.widgets or ()]


class StepRow(QWidget):
    """The steps in order: which one the panel is, which are done, and a click opens another.

    Parameters
    ----------
    viewer : with the layers.
    panel : name of the panel's widget in the manifest.
    page : of the panel, where it has several.
    """

    def __init__(self, viewer: napari.viewer.Viewer, panel: str, page: str = "") -> None:
        super().__init__()
        self._viewer = viewer
        self.buttons = {step.name: StepButton(viewer, step) for step in STEPS}
        self.more = StepButton(viewer, None)
        self.more.setToolTip(
            "Simulation, libraries, training, models, scan lines, batches, history"
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(0)
        for step in STEPS:
            button = self.buttons[step.name]
            row.addWidget(button, button.sizeHint().width())
            if len(step.ways) > 1:
                menu = QMenu(button)
                for way in step.ways:
                    menu.addAction(f"{way.panel}: {way.about}", partial(self.open, way.panel))
                button.setMenu(menu)
            else:
                button.clicked.connect(partial(self._open_step, step))
        row.addWidget(self.more, self.more.sizeHint().width())
        menu = QMenu(self.more)
        menu.aboutToShow.connect(self._offer_more)
        self.more.setMenu(menu)
        for button in (*self.buttons.values(), self.more):
            button.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.mark(panel, page)
        self.refresh()

    def mark(self, panel: str, page: str = "") -> None:
        """Mark the step of a panel and its page as the current one."""
        current = step_of(panel, page)
        for name, button in self.buttons.items():
            button.current = current is not None and name == current.name
            button.update()

    def refresh(self, event: object = None) -> None:
        """Show which steps are done for the layers of the viewer."""
        layers = list(self._viewer.layers)
        for step in STEPS:
            self.buttons[step.name].show_done(step.done(layers))

    def open(self, panel: str, page: str = "") -> Any:
        """Raise a panel, and return it."""
        return open_panel(self._viewer, panel, page)

    def _open_step(self, step: Step, _on: bool = False) -> None:
        self.open(step.ways[0].panel, step.ways[0].page)

    def _offer_more(self) -> None:
        """List what the manifest has beside the steps."""
        menu = self.more.menu()
        menu.clear()
        for name in others(panels_of_plugin()):
            menu.addAction(name, partial(self.open, name))

    def showEvent(self, event: QShowEvent) -> None:
        """Follow the layers as long as the row is in sight."""
        super().showEvent(event)
        for emitter in self._emitters():
            emitter.connect(self.refresh)
        self.refresh()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        for emitter in self._emitters():
            emitter.disconnect(self.refresh)

    def _emitters(self) -> tuple[Any, ...]:
        events = self._viewer.layers.events
        return events.inserted, events.removed


class StepButton(QToolButton):
    """A node on the line of steps, and the word below it: filled once done, bold where one is.

    Parameters
    ----------
    step : None for the menu of the panels that are no step, which has no node.
    """

    def __init__(self, viewer: napari.viewer.Viewer, step: Step | None) -> None:
        super().__init__()
        self._viewer, self._step = viewer, step
        self.current = self.done = False
        self.setText(_MORE if step is None else step.name)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        # Only a style sheet overrules that of napari.
        self.setStyleSheet(f"font-size: {_FONT}px; padding: 0px; margin: 0px; min-width: 20px")

    def show_done(self, names: list[str]) -> None:
        """Show whether the step is done, by the names of the layers that show it."""
        step = self._step
        if step is None:
            return
        self.done = bool(names)
        ways = "\n".join(f"{way.panel}: {way.about}" for way in step.ways)
        told = "Not done yet" if not names else f"Done: {', '.join(names[-3:])}"
        self.setToolTip(f"{step.invitation}\n{ways}\n{told}")
        self.setAccessibleDescription(told)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(self._width_of(self.text()) + _GAP, _HEIGHT)

    def minimumSizeHint(self) -> QSize:
        return QSize(24, _HEIGHT)

    def shown_text(self) -> str:
        """The word as the button has room for it."""
        return str(
            self._metrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        )

    def paintEvent(self, event: QPaintEvent) -> None:
        theme = get_theme(self._viewer.theme)
        text, faint, accent, ground = (
            QColor(getattr(theme, name).as_hex())
            for name in ("text", "highlight", "current", "background")
        )
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._step is not None:
            self._paint_node(painter, text, faint, accent, ground)
        self.ensurePolished()
        font = self._bold() if self.current else self.font()
        painter.setFont(font)
        strong = self.current or self.done or self._step is None or self.underMouse()
        text.setAlphaF(1.0 if strong else 0.75)
        painter.setPen(text)
        below = QRectF(0, _NODE + _RADIUS, self.width(), _HEIGHT - _NODE - _RADIUS)
        painter.drawText(below, int(Qt.AlignmentFlag.AlignCenter), self.shown_text())
        if self._step is None:
            self._paint_dots(painter, text)
        painter.end()

    def _paint_node(
        self, painter: QPainter, text: QColor, faint: QColor, accent: QColor, ground: QColor
    ) -> None:
        middle = QPointF(self.width() / 2, _NODE)
        start = middle.x() if self._step is STEPS[0] else 0.0
        end = middle.x() if self._step is STEPS[-1] else float(self.width())
        painter.setPen(QPen(faint, 1.5))
        painter.drawLine(QPointF(start, _NODE), QPointF(end, _NODE))
        ring = accent if self.current else text if self.done else faint
        fill = (accent if self.current else text) if self.done else ground
        painter.setPen(QPen(ring, 2.0 if self.current else 1.5))
        painter.setBrush(fill)
        radius = _RADIUS + (1.0 if self.current else 0.0)
        painter.drawEllipse(middle, radius, radius)
        if self.done:
            painter.setPen(QPen(text if self.current else ground, 1.5))
            painter.drawPolyline(
                QPolygonF([middle + QPointF(*at) for at in ((-2.2, 0.1), (-0.6, 1.8), (2.4, -1.7))])
            )

    def _paint_dots(self, painter: QPainter, text: QColor) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(text)
        for shift in (-5.0, 0.0, 5.0):
            painter.drawEllipse(QPointF(self.width() / 2 + shift, _NODE), 1.3, 1.3)

    def _bold(self) -> QFont:
        font = QFont(self.font())
        font.setBold(True)
        return font

    def _metrics(self) -> QFontMetrics:
        self.ensurePolished()
        return QFontMetrics(self._bold() if self.current else self.font())

    def _width_of(self, text: str) -> int:
        return int(self._metrics().horizontalAdvance(text))


class NextButton(QPushButton):
    """Leads to the step that follows, once a panel has done its work."""

    def __init__(self, viewer: napari.viewer.Viewer, panel: str, page: str = "") -> None:
        super().__init__()
        self._viewer, self._step = viewer, next_step(panel, page)
        if self._step is not None:
            self.setText(f"Next: {self._step.invitation} →")
            self.setToolTip(f"Open {self._step.ways[0].panel}: {self._step.ways[0].about}")
        self.clicked.connect(lambda _on: self.go())
        self.hide()

    def offer(self, done: bool) -> None:
        """Show the button where the work is done and something follows."""
        self.setVisible(done and self._step is not None)

    def go(self) -> Any:
        """Raise the panel of the next step, and return it."""
        if self._step is None:
            return None
        way = self._step.ways[0]
        return open_panel(self._viewer, way.panel, way.page)
