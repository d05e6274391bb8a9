"""Modules loaded behind the window, in a thread of their own, so that no click waits for them.

PyTorch, SciPy and pandas take seconds to be imported. They are loaded once the first panel is
opened from inside the event loop: first what that panel needs, then what the others do.
"""

from __future__ import annotations

import gc
import importlib
import logging
import queue
import sys
import threading
from collections.abc import Iterable

from qtpy.QtCore import QObject, QThread, Signal  # type: ignore[attr-defined]

_SWITCH = 1e-3
"""Seconds after which the thread that loads lets the window go on; Python's own are five times as
many, at each of the many calls from Qt to Python that a repaint is made of."""
_log = logging.getLogger(__name__)


def loaded(module: str) -> bool:
    """Whether a module is imported to its end, in whichever thread."""
    found = sys.modules.get(module)
    spec = getattr(found, "__spec__", None)
    return found is not None and not getattr(spec, "_initializing", False)


def in_event_loop() -> bool:
    """Whether Qt's event loop runs: not so in a script before `napari.run()`."""
    thread = QThread.currentThread()
    return thread is not None and thread.loopLevel() > 0


class Loader(QObject):
    """Imports modules in another thread, one after the other; `settled` names each.

    What cannot be imported is settled too: whoever needs it meets the error where it can be shown.
    """

    settled = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self._waiting: queue.PriorityQueue[tuple[int, int, str]] = queue.PriorityQueue()
        self._lock = threading.Lock()
        self._asked: dict[str, int] = {}
        self._thread: threading.Thread | None = None

    def ask(self, modules: Iterable[str], *, later: bool = False) -> None:
        """Import these modules: before all others, or behind them."""
        with self._lock:
            for module in modules:
                urgency = 1 if later else 0
                if self._asked.get(module, 2) > urgency:
                    self._asked[module] = urgency
                    self._waiting.put((urgency, len(self._asked), module))
            if self._thread is None and not self._waiting.empty():
                self._thread = threading.Thread(target=self._work, name="loader", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        interval, collecting = sys.getswitchinterval(), gc.isenabled()
        sys.setswitchinterval(min(_SWITCH, interval))
        # Each new module makes the collector look at all objects of the program, and nothing that
        # is imported is garbage.
        gc.disable()
        try:
            while True:
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                    module = self._waiting.get()[-1]
                try:
                    importlib.import_module(module)
                except Exception:
                    _log.debug("%s was not loaded beforehand", module, exc_info=True)
                try:
                    self.settled.emit(module)
                except RuntimeError:  # the program ends
                    return
        finally:
            sys.setswitchinterval(interval)
            if collecting:
                gc.enable()


loader = Loader()
"""Of the whole program."""
