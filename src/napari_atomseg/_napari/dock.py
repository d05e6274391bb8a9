"""Widgets of this plugin in the docks of the window: tabs of one dock, never taller than it."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

_PLUGIN = " (napari-atomseg)"


class Docked(QWidget):
    """A widget that joins the plugin's other docks as a tab, and stops its work when closed.

    napari stacks the docks that its menus open, so that a few of them make the window taller than
    the screen. A dock that is dragged elsewhere stays there.
    """

    def event(self, event: QEvent) -> bool:
        """Notice that the widget is put into a dock, and that the dock is closed."""
        if event.type() == QEvent.Type.ParentChange:
            if self.parent() is None:
                self.closed()
            elif dock_of(self) is not None:
                # The dock itself has no place in the window yet.
                QTimer.singleShot(0, self._join)
        return bool(super().event(event))

    def closed(self) -> None:
        """Stop all work; called when the dock is closed."""

    def _join(self) -> None:
        dock = dock_of(self)
        window = None if dock is None else dock.parent()
        if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
            return
        area = window.dockWidgetArea(dock)
        for other in window.findChildren(QDockWidget):
            if (
                other is not dock
                and not other.isHidden()
                and not other.isFloating()
                and window.dockWidgetArea(other) == area
                and other.findChild(Docked) is not None
            ):
                window.tabifyDockWidget(other, dock)
                break
        # Tabs are narrow: the plugin's name behind the panel's is napari's title bar to show.
        dock.setWindowTitle(dock.windowTitle().removesuffix(_PLUGIN))
        # The row of tabs is laid out first.
        QTimer.singleShot(0, dock.raise_)


def dock_of(widget: QWidget) -> QDockWidget | None:
    """Return the dock that holds a widget, whatever lies between."""
    parent = widget.parentWidget()
    while parent is not None and not isinstance(parent, QDockWidget):
        parent = parent.parentWidget()
    return parent
