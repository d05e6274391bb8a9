"""The widgets of the manifest: each opens at once, and holds its panel once that is loaded.

A panel imports the algorithms behind it, which takes seconds for the first one. Inside the event
loop, where a user clicked, a door stands in the dock at once and the modules are loaded in another
thread (`warm`). In a script, or when the panel's module is there already, the class makes the panel
itself and no door.
"""

from __future__ import annotations

from importlib import import_module
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import Qt, QTimer
from qtpy.QtWidgets import QLabel, QProgressBar, QVBoxLayout, QWidget

from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.warm import in_event_loop, loaded, loader

if TYPE_CHECKING:
    import napari.viewer

_ROOM = "napari_atomseg._napari"
_BEHIND = ("torch", "napari_atomseg.inference.predictor", "napari_atomseg.localization.api")
"""Loaded after all panels: what their work imports."""
_SHOWN = 100
"""Milliseconds that a new panel has to be laid out and painted before loading goes on."""
_WIDTH = 300
"""Pixels across that a door takes."""


class _DoorType(type(QWidget)):  # type: ignore[misc]
    """Metaclass of doors: makes the panel itself where nobody would wait for it."""

    def __call__(cls, viewer: Any) -> Any:
        if in_event_loop() and not loaded(cls.module):
            return super().__call__(viewer)
        return cls.made(viewer)


class Door(Docked, metaclass=_DoorType):
    """Stands for a panel until it is loaded, and holds it then.

    Names that it does not have are the panel's. Asking for one of them loads the panel, and waits
    for it, so that a script may set and run what it has just opened.

    Parameters
    ----------
    viewer : the viewer that the panel is for.
    """

    place: ClassVar[str]
    """Module and name of the panel."""
    module: ClassVar[str]
    name_of_panel: ClassVar[str]

    _panel: QWidget | None = None
    _viewer: Any = None
    _page = ""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        module, _, cls.name_of_panel = cls.place.partition(":")
        cls.module = f"{_ROOM}.{module}"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._sign = QWidget()
        words = QLabel(f"Loading {type(self).__name__} …")
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        busy = QProgressBar()
        busy.setRange(0, 0)
        rows = QVBoxLayout(self._sign)
        rows.addStretch()
        rows.addWidget(words)
        rows.addWidget(busy)
        rows.addStretch()
        self._sign.setMinimumWidth(_WIDTH)
        self._layout.addWidget(self._sign)
        loader.settled.connect(self._follow)
        loader.ask([self.module])
        others = [door.module for door in Door.__subclasses__()]
        loader.ask([*others, *_BEHIND], later=True)

    @classmethod
    def panel_type(cls) -> Any:
        """The class of the panel, imported where it is not yet."""
        return getattr(import_module(cls.module), cls.name_of_panel)

    @classmethod
    def made(cls, viewer: Any) -> Any:
        """A panel of a viewer; some need none."""
        kind = cls.panel_type()
        return kind(viewer) if "viewer" in signature(kind.__init__).parameters else kind()

    @property
    def ready(self) -> bool:
        """Whether the panel is there."""
        return self._panel is not None

    @property
    def panel(self) -> Any:
        """The panel, loaded now if need be."""
        if self._panel is None:
            try:
                panel = self._panel = self.made(self._viewer)
            except AttributeError as error:
                # Python would look for the panel among the names of the panel.
                raise RuntimeError(f"{type(self).__name__} cannot be opened: {error}") from error
            self._layout.replaceWidget(self._sign, panel)
            self._sign.hide()
            self._sign.deleteLater()
            self.turn_to(self._page)
        return self._panel

    def reset_choices(self, event: Any = None) -> None:
        """Pass on that the layers of the viewer changed."""
        if self.ready and hasattr(self._panel, "reset_choices"):
            self.panel.reset_choices(event)

    def turn_to(self, page: str) -> None:
        """Turn to a page of the panel, once that is there."""
        self._page = page
        if self.ready and page and hasattr(self._panel, "turn_to"):
            self.panel.turn_to(page)

    def take_newest(self) -> None:
        """Pass on that the panel was opened on what was made last; a new panel sees for itself."""
        if self.ready and hasattr(self._panel, "take_newest"):
            self.panel.take_newest()

    def closed(self) -> None:
        if self.ready:
            self.panel.closed()
        else:
            self._viewer = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name == "native":
            raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")
        return getattr(self.panel, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            setattr(self.panel, name, value)

    def _follow(self, module: str) -> None:
        if module == self.module and self._viewer is not None and not self.ready:
            # Not within the signal: the dock is laid out, and painted, before the panel is made.
            QTimer.singleShot(0, self._open)

    def _open(self) -> None:
        if self._viewer is not None:
            self.panel  # noqa: B018
        # The panel is shown first.
        QTimer.singleShot(_SHOWN, loader.made)


class Start(Door):
    """Door of the Start panel."""

    place = "start:Start"


class Simulate(Door):
    """Door of the Simulate panel."""

    place = "simulate.panel:Simulate"


class Restore(Door):
    """Door of the Restore panel."""

    place = "restore:Restore"


class Scan(Door):
    """Door of the Scan panel."""

    place = "scan:Scan"


class Align(Door):
    """Door of the Align panel."""

    place = "align:Align"


class Segment(Door):
    """Door of the Segment panel."""

    place = "segment:Segment"


class Localize(Door):
    """Door of the Localize panel."""

    place = "localize.panel:Localize"


class Columns(Door):
    """Door of the Columns panel."""

    place = "columns.panel:ColumnsPanel"


class Measure(Door):
    """Door of the Measure panel."""

    place = "measure.panel:Measure"


class History(Door):
    """Door of the History page."""

    place = "history:History"


class Batch(Door):
    """Door of the Batch page."""

    place = "batch:Batch"


class Library(Door):
    """Door of the Library panel."""

    place = "library.panel:LibraryPanel"


class Train(Door):
    """Door of the Train panel."""

    place = "train.panel:Train"


class Models(Door):
    """Door of the Models panel."""

    place = "models.panel:Models"


class Tour(Door):
    """Door of the tour."""

    place = "tour:Tour"
    _below = True
