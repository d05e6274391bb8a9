"""Widgets of this plugin in the docks of the window: tabs of one dock, never taller than it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from qtpy.QtCore import QEvent, QPoint, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QDockWidget,
    QMainWindow,
    QTabBar,
    QWidget,
)

_PLUGIN = " (napari-atomseg)"
_CHILDREN = Qt.FindChildOption.FindDirectChildrenOnly
_ROW = 8
"""Pixels by which the middles of widgets in one row may differ."""


class Docked(QWidget):
    """A widget that joins the plugin's other docks as a tab, and stops its work when closed.

    napari stacks the docks that its menus open, so that a few of them make the window taller than
    the screen. A dock that is dragged elsewhere stays there.
    """

    _below = False
    """Whether the dock stands below the image, not beside it with the others."""
    _before: Mapping[QWidget, int] = MappingProxyType({})
    """Heights of windows before one of them had the dock."""

    def event(self, event: QEvent) -> bool:
        """Notice that the widget is put into a dock, and that the dock is closed."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.closed()
            elif dock_of(self) is not None and not _within_docked(self):
                # The dock itself is in no window yet.
                self._before = {
                    window: window.height()
                    for window in QApplication.topLevelWidgets()
                    if isinstance(window, QMainWindow)
                }
                QTimer.singleShot(0, self.join)
        return bool(super().event(event))

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        # Tab would go from cell to cell, and never leave a table.
        for view in self.findChildren(QAbstractItemView):
            view.setTabKeyNavigation(False)

    def focusNextPrevChild(self, forward: bool) -> bool:
        """Move the focus by Tab, in the order in which the inputs stand, and round within the
        panel: not on to the layer list and the canvas.
        """
        stops = self.tab_stops()
        here = self.window().focusWidget()
        at = next((k for k, stop in enumerate(stops) if here in (stop, stop.focusProxy())), None)
        if not stops:
            return False
        if at is None:
            at = -1 if forward else 0
        reason = Qt.FocusReason.TabFocusReason if forward else Qt.FocusReason.BacktabFocusReason
        stops[(at + (1 if forward else -1)) % len(stops)].setFocus(reason)
        return True

    def tab_stops(self) -> list[QWidget]:
        """Return what Tab stops at, row by row."""
        stops = [
            widget
            for widget in self.findChildren(QWidget)
            if widget.focusPolicy() & Qt.FocusPolicy.TabFocus
            and widget.focusProxy() is None
            and widget.isEnabled()
            and widget.isVisibleTo(self)
        ]
        return sorted(stops, key=lambda widget: self._place(widget))

    def _place(self, widget: QWidget) -> tuple[int, int]:
        """Where a widget stands, downwards and across; of a row, the middle decides."""
        middle = widget.mapTo(self, QPoint(0, widget.height() // 2))
        return middle.y() // _ROW, middle.x()

    def closed(self) -> None:
        """Stop all work; called when the dock is closed."""

    def join(self) -> None:
        """Become a tab beside the plugin's other docks, and the one in sight.

        Called by itself soon after the panel was put into a dock.
        """
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
            return
        if self._below:
            window.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
            window.resizeDocks([dock], [self.minimumSizeHint().height()], Qt.Orientation.Vertical)
        area = window.dockWidgetArea(dock)
        others = [
            other
            for other in window.findChildren(QDockWidget)
            if other is not dock
            and not other.isHidden()
            and not other.isFloating()
            and window.dockWidgetArea(other) == area
            and other.findChild(Docked) is not None
        ]
        if others and others[0] not in window.tabifiedDockWidgets(dock):
            window.tabifyDockWidget(others[0], dock)
        # Tabs are narrow: the plugin's name behind the panel's is napari's title bar to show.
        dock.setWindowTitle(dock.windowTitle().removesuffix(_PLUGIN))
        # The row of tabs is laid out first.
        QTimer.singleShot(0, self._come_forward)

    def _come_forward(self) -> None:
        """Raise the dock, and undo what the window has grown before the dock became a tab."""
        dock = dock_of(self)
        window = None if dock is None else dock.parentWidget()
        if dock is None or window is None:
            return
        dock.raise_()
        for tabs in window.findChildren(QTabBar, options=_CHILDREN):
            # Names of ten panels would be cut to a letter each.
            tabs.setElideMode(Qt.TextElideMode.ElideNone)
        height = self._before.get(window, window.height())
        if window.height() > height and not window.isMaximized() and not window.isFullScreen():
            window.resize(window.width(), height)
        self._before = {}


def _within_docked(widget: QWidget) -> bool:
    """Whether a widget is part of another one that is docked, which joins for both."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, Docked):
        parent = parent.parentWidget()
    return parent is not None


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that holds a widget, whatever lies between."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
