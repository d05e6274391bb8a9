"""A viewer that runs a script of waits, and a timer in it that feels every freeze.

The script is a generator that the timer goes on with: it yields seconds, or a function that says
when it may go on. So all that it does happens as a click does, inside Qt's event loop.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BEAT = 10
"""Milliseconds between two beats."""
PLUGIN = "napari-atomseg"
QUIET = 0.5
"""Seconds of the event loop that are watched after something ended."""
PATIENCE = 600.0
"""Seconds that a script waits for anything."""

Wait = float | Callable[[], bool]
Script = Iterator[Wait]


@dataclass
class Gap:
    """The longest time between two beats, with the processor time of the program in it."""

    seconds: float = 0.0
    cpu: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:.2f} ({self.cpu:.2f})"


class Heart:
    """Beats in the GUI thread of a viewer, and follows a script."""

    def __init__(self) -> None:
        from qtpy.QtCore import Qt, QTimer

        self.longest = Gap()
        self._script: Script | None = None
        self._failure: BaseException | None = None
        self._wait: Wait = 0.0
        self._since = 0.0
        self._last = (0.0, 0.0)
        self._timer = QTimer()
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(BEAT)
        self._timer.timeout.connect(self._beat)

    def follow(self, script: Script) -> None:
        """Run a script to its end, in the event loop."""
        from qtpy.QtWidgets import QApplication

        self._script, self._wait, self._failure = script, 0.0, None
        self._last = _now()
        self._timer.start()
        QApplication.instance().exec()
        if self._failure is not None:
            raise self._failure
        if self._script is not None:
            raise RuntimeError("the window was closed before the end of the script")

    def start(self) -> None:
        """Forget the gaps so far."""
        self.longest = Gap()

    def _beat(self) -> None:
        now = _now()
        gap = Gap(now[0] - self._last[0], now[1] - self._last[1])
        self._last = now
        if gap.seconds > self.longest.seconds:
            self.longest = gap
        try:
            self._go_on(now[0] - self._since)
        except StopIteration:
            self._end(None)
        except Exception as error:
            # Qt would go on, and wait for ever.
            self._end(error)

    def _go_on(self, waited: float) -> None:
        wait, script = self._wait, self._script
        if script is None:
            return
        if wait() if callable(wait) else waited >= wait:
            self._wait = next(script)
            self._since = time.perf_counter()
        elif waited > PATIENCE:
            raise TimeoutError(f"nothing came of it in {PATIENCE:.0f} s")

    def _end(self, failure: BaseException | None) -> None:
        from qtpy.QtWidgets import QApplication

        self._script, self._failure = None, failure
        self._timer.stop()
        QApplication.instance().quit()


def _now() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def viewer() -> Any:
    """A viewer on the screen, with settings and models of its own."""
    folder = Path(tempfile.mkdtemp(prefix="window-"))
    os.environ.setdefault("NAPARI_CONFIG", str(folder / "settings.yaml"))
    import napari

    shown = napari.Viewer(show_welcome_screen=False)
    shown.window.resize(1366, 740)
    return shown


def panels() -> list[str]:
    """Names of all panels, as they stand in the menu."""
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution(PLUGIN)
    return [each.display_name for each in manifest.contributions.widgets or ()]


def opened(window: Any, name: str) -> Any:
    """Open a panel as the menu does."""
    return window.window.add_plugin_dock_widget(PLUGIN, name)


def closed(window: Any, dock: Any) -> None:
    """Close its dock and delete the panel."""
    panel = dock.inner_widget()
    window.window.remove_dock_widget(dock)
    panel.deleteLater()


def ready(panel: Any) -> bool:
    """Whether the settings of a panel are there to be changed."""
    return getattr(panel, "ready", True)
