"""Modules loaded behind the window, in a thread of their own, so that no click waits for them.

PyTorch, SciPy and pandas take seconds to be imported. They are loaded once the first panel is
opened from inside the event loop: first what that panel needs, then what the others do.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from qtpy.QtCore import QObject, QThread, Signal  # type: ignore[attr-defined]

_SWITCH = 1e-3
"""Seconds after which the thread that loads lets the window go on; Python's own are five times as
many, at each of the many calls from Qt to Python that a repaint is made of."""
_BUILT = 2.0
"""Seconds that loading waits, at most, for a panel to be made of what was loaded for it."""
_LIBRARY = {"linux": "libtorch_cpu.so", "darwin": "libtorch_cpu.dylib"}
"""The library that `import torch` takes longest to open, by platform."""
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


def open_torch() -> None:
    """Open PyTorch's largest library, while other threads go on.

    `import` holds the interpreter until a library is opened, which is a second for this one; a
    function that is called by ctypes does not. Python's own part of PyTorch is left to `import`.
    """
    name, spec = _LIBRARY.get(sys.platform), find_spec("torch")
    if name is None or spec is None or spec.origin is None:
        return
    path = Path(spec.origin).parent / "lib" / name
    if path.exists():
        opener = ctypes.CDLL(None).dlopen
        opener.argtypes, opener.restype = (ctypes.c_char_p, ctypes.c_int), ctypes.c_void_p
        opener(os.fsencode(path), os.RTLD_NOW | os.RTLD_LOCAL)


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
        self._made = threading.Event()

    def made(self) -> None:
        """Go on: what was asked for first has been made of its module."""
        self._made.set()

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
        opened = loaded("torch")
        try:
            while True:
                with self._lock:
                    if self._waiting.empty():
                        self._thread = None
                        return
                    urgency, _, module = self._waiting.get()
                    self._made.clear()
                if not opened:
                    open_torch()
                    opened = True
                try:
                    importlib.import_module(module)
                except Exception:
                    _log.debug("%s was not loaded beforehand", module, exc_info=True)
                try:
                    self.settled.emit(module)
                except RuntimeError:  # the program ends
                    return
                if urgency == 0:
                    # Two threads that run Python slow each other down more than twice.
                    self._made.wait(_BUILT)
        finally:
            sys.setswitchinterval(interval)
            if collecting:
                gc.enable()


loader = Loader()
"""Of the whole program."""
