"""The Tour panel: from sample data to a map of displacements in five steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer, Points
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QLabel,
    QPushButton,
    QWidget,
)

from napari_atomseg._napari import samples
from napari_atomseg._napari.columns.layers import ACTION, columns_layers, image_layers
from napari_atomseg._napari.dock import Docked, dock_of
from napari_atomseg._napari.jobs import Job, attempt, describe
from napari_atomseg._napari.layers import PROVENANCE, raw_of, unwrapped

if TYPE_CHECKING:
    import napari.viewer

    from napari_atomseg.progress import CancelToken, Progress

PLUGIN = "napari-atomseg"
_LAST = "The same steps work on an image of yours, and every layer records how it was made."


@dataclass(frozen=True)
class Stop:
    """One step of the tour.

    Attributes
    ----------
    title, words : what is done, and what to look at.
    panel : name of the panel that does it; empty where there is none.
    settings : of that panel, beside the layer that it is applied to.
    reached : whether the layers show that it was done, by the tour or otherwise.
    """

    title: str
    words: str
    panel: str
    settings: dict[str, Any]
    reached: Callable[[Iterable[Layer]], bool]


def _made_by(action: str, **settings: Any) -> Callable[[Iterable[Layer]], bool]:
    """Whether a layer records that it was made by an action with such settings."""

    def reached(layers: Iterable[Layer]) -> bool:
        records = [layer.metadata.get(PROVENANCE, {}) for layer in layers]
        return any(
            record.get("action") == action
            and settings.items() <= dict(record.get("settings", {})).items()
            for record in records
        )

    return reached


STOPS = (
    Stop(
        "Open an image",
        "The sample is a simulated dark-field image: PbTiO3 between layers of SrTiO3. An image of "
        "yours opens by <i>File → Open</i>, or by dropping it on the window.",
        "",
        {},
        lambda layers: any(isinstance(layer, Image) for layer in layers),
    ),
    Stop(
        "Restore it",
        "A network removes the noise. The result is for the eye, and for finding columns that "
        "noise hides: everything below is measured in the recorded image.",
        "Restore",
        {},
        _made_by("restore"),
    ),
    Stop(
        "Find the columns",
        "Each column is fitted in the recorded image, with an error of its place. Colours show its "
        "intensity: Pb is bright, Sr less so, Ti faint.",
        "Localize",
        {},
        _made_by("localize"),
    ),
    Stop(
        "Measure the lattice",
        "The unit cell with its errors, and the columns parted into sublattices: Pb and Sr are "
        "one, Ti is the other. Read the summary below the settings.",
        "Measure",
        {"measure": "lattice"},
        lambda layers: any("sublattice" in layer.features for layer in columns_layers(layers)),
    ),
    Stop(
        "Map the displacements",
        "How far each Ti stands from the middle of its neighbours. The arrows turn over from one "
        "domain to the next, and vanish in SrTiO3: the polarization.",
        "Measure",
        {"measure": "displacements"},
        _made_by(ACTION, measure="displacements"),
    ),
)


class Tour(Docked):
    """Five steps from an image to a map, at the lower edge of the window.

    Each step is done by its own panel, with *Do it* or by the user in the panel itself; the tour
    looks at the layers, so that both count. Steps may be repeated, left out, and done on other
    images; *Leave* closes the tour and nothing else.

    Parameters
    ----------
    viewer : the viewer that the steps are done in.
    """

    title = "Tour"
    _below = True

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = unwrapped(viewer)
        self.job: Job | None = None
        self.place = 0
        self._outline: QFrame | None = None
        self.heading, self.words, self.message = QLabel(), QLabel(), QLabel()
        for label in (self.words, self.message):
            label.setWordWrap(True)
        self.heading.setTextFormat(Qt.TextFormat.RichText)
        self.do_button = _button("Do it", "Open the panel, and run it", lambda: self.do())
        self.look_button = _button(
            "Open the panel", "Open the panel, to run it yourself", lambda: self.open_panel()
        )
        self.back_button = _button("Back", "To the step before", lambda: self.go(self.place - 1))
        self.next_button = _button("Next", "To the next step", lambda: self.go(self.place + 1))
        self.leave_button = _button("Leave", "Close the tour", lambda: self.leave())
        self._arrange()
        for events in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            events.connect(self._look)
        self.go(0)

    @property
    def stop(self) -> Stop:
        """The step that is shown."""
        return STOPS[self.place]

    def go(self, place: int) -> None:
        """Show a step, by its number from 0."""
        self.place = min(max(place, 0), len(STOPS) - 1)
        self._frame(None)
        self.words.setText(self.stop.words)
        self.message.setText("")
        self.back_button.setEnabled(self.place > 0)
        self.next_button.setEnabled(self.place < len(STOPS) - 1)
        self.look_button.setEnabled(bool(self.stop.panel))
        self._look()

    def open_panel(self) -> Any:
        """Open the panel of the step and frame it; return it, None where the step has none."""
        if not self.stop.panel:
            return None
        _, panel = self.viewer.window.add_plugin_dock_widget(PLUGIN, self.stop.panel)
        dock = dock_of(panel)
        if dock is not None:
            dock.show()
            dock.raise_()
        self._frame(panel)
        return panel

    def do(self) -> Job | None:
        """Do the step with its panel, and return the job; None where it cannot begin."""
        if self.job is not None and not self.job.done:
            self.message.setText("This step is still at work.")
            return None
        self.message.setText("")
        self.job = attempt(self.title, self._begun, self.message)
        if self.job is not None:
            self._ended() if self.job.done else self.job.settled.connect(self._ended)
            self._look()
        return self.job

    def leave(self) -> None:
        """Close the tour; panels and layers stay."""
        dock = dock_of(self)
        if dock is not None:
            self.viewer.window.remove_dock_widget(dock)

    def closed(self) -> None:
        """Follow the layers no more."""
        self._frame(None)
        for events in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            events.disconnect(self._look)

    def _begun(self) -> Job:
        if not self.stop.panel:
            job = Job("Open sample data", _sample, self._add)
            job.start()
            return job
        settings = dict(self.stop.settings)
        if self.stop.panel == "Measure":
            settings = {"columns": self._columns().name} | settings
        else:
            settings = {"image": self._image().name} | settings
        panel = self.open_panel()
        for name, value in settings.items():
            setattr(panel, name, value)
        started: Job = panel.run()
        return started

    def _image(self) -> Image:
        """The image of the tour: the newest one that was recorded, not restored."""
        images = [each for each in image_layers(self.viewer.layers) if raw_of(each) == each.name]
        if not images:
            raise ValueError("there is no image yet: do the first step, or open one of yours")
        return images[-1]

    def _columns(self) -> Points:
        """The newest columns."""
        found = columns_layers(self.viewer.layers)
        if not found:
            raise ValueError("there are no columns yet: do the third step first")
        return found[-1]

    def _add(self, layers: list[Any]) -> list[Layer]:
        return [self.viewer.add_layer(Layer.create(*each)) for each in layers]

    def _ended(self) -> None:
        job = self.job
        if job is None:
            return
        self.message.setText("")
        if job.cancelled:
            self.message.setText("Cancelled. Do it again, or go on without this step.")
        elif job.error is not None:
            self.message.setText(f"It did not work: {describe(job.error)}")
        self._look()

    def _look(self, event: Any = None) -> None:
        """Say which steps are done, and lead on where the one that is shown is."""
        done = [stop.reached(self.viewer.layers) for stop in STOPS]
        dots = " ".join("●" if each else "○" for each in done)
        self.heading.setText(
            f"<b>{self.place + 1} of {len(STOPS)}: {self.stop.title}</b>&nbsp;&nbsp;{dots}"
        )
        working = self.job is not None and not self.job.done
        self.do_button.setEnabled(not working)
        self.do_button.setText("Working …" if working else "Do it")
        last = self.place == len(STOPS) - 1
        if done[self.place] and not working and not self.message.text():
            self.message.setText(f"Done. {_LAST}" if last else "Done. Look at it, then go on.")
        lead = self.next_button if done[self.place] and not last else self.do_button
        for button in (self.do_button, self.next_button):
            button.setStyleSheet("font-weight: bold;" if button is lead else "")

    def _frame(self, panel: QWidget | None) -> None:
        """Frame a panel in place of the last one."""
        if self._outline is not None:
            self._outline.deleteLater()
            self._outline = None
        if panel is not None:
            self._outline = _Outline(panel)
            self._outline.destroyed.connect(partial(self._forget, id(self._outline)))

    def _forget(self, gone: int, _frame: QObject | None = None) -> None:
        # The panel was closed, and its frame with it.
        if id(self._outline) == gone:
            self._outline = None

    def _arrange(self) -> None:
        grid = QGridLayout(self)
        grid.setContentsMargins(8, 4, 8, 4)
        grid.setSpacing(4)
        for row, widget in enumerate((self.heading, self.words, self.message)):
            grid.addWidget(widget, row, 0)
        for place, button in enumerate((self.do_button, self.look_button)):
            grid.addWidget(button, 0, 1 + place)
        for place, button in enumerate((self.back_button, self.next_button)):
            grid.addWidget(button, 1, 1 + place)
        grid.addWidget(self.leave_button, 2, 2)
        grid.setColumnStretch(0, 1)
        grid.setRowStretch(3, 1)


class _Outline(QFrame):
    """A frame around a panel that lets the mouse through."""

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self.setObjectName("outline")
        self.setStyleSheet("#outline { border: 2px solid #ff9b2f; background: transparent; }")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        panel.installEventFilter(self)
        self.setGeometry(panel.rect())
        self.show()
        self.raise_()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep the size of the panel."""
        if event.type() == QEvent.Type.Resize:
            panel: Any = watched
            self.setGeometry(panel.rect())
        return False


def _sample(progress: Progress, cancel: CancelToken) -> list[Any]:
    progress(0, 0, "Simulating an image")
    return list(samples.polar_domains())


def _button(text: str, tip: str, act: Callable[[], Any]) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(lambda _on: act())
    return button
