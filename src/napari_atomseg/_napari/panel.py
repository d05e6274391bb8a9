"""What the panels have in common: a form that scrolls and a Run button always in sight.

A panel is made in one step: the constructor of `Panel` makes the form, the buttons and the lines
about the work, and calls nothing of its subclasses, which then fill its slots::

    steps     the row of steps, where the panel is one of them
    header    shares the height with the settings, by a handle between the two
    settings  the form, which scrolls
    body      rows below the settings
    footer    results; they take the height that the settings do not need
    message, next step, progress
    buttons   Run, those of the subclass, Cancel: at the lower edge of every panel
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QEvent, QObject, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractButton,
    QFrame,
    QHBoxLayout,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QSplitter,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari import replace
from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.forms.form import Form, Inputs
from napari_atomseg._napari.forms.live import LiveSettings, unknown
from napari_atomseg._napari.jobs import Job, Show, Work, attempt, describe
from napari_atomseg._napari.layers import unwrapped
from napari_atomseg._napari.message import Message
from napari_atomseg._napari.step_row import NextButton, StepRow
from napari_atomseg._napari.steps import step_of
from napari_atomseg._napari.time_left import TimeLeft, in_words
from napari_atomseg.settings import fields_of

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_atomseg.settings import Setting
    from napari_atomseg.settings import Settings as FormSettings

Prepare = Callable[[], tuple[str, Work, Show]]
"""Gives the name of a job, its work, and what shows the result; see `Panel.prepare`."""


class _PanelType(type(QWidget), ABCMeta):  # type: ignore[misc]
    """Metaclass of classes that are both of Qt and abstract, and closed to new names once made."""

    def __call__(cls, *args: Any, **options: Any) -> Any:
        panel = super().__call__(*args, **options)
        panel._made = True
        return panel


class Panel(Docked, metaclass=_PanelType):
    """A dock panel that gathers settings, works in another thread and shows the result.

    ``panel.settings`` has every setting for scripts that read and set it, for example
    ``panel.settings.dose = 2e3``; ``panel.dose = 2e3`` does the same. ``panel.run()`` does what the
    Run button does and returns a `Job`. Names that a panel does not have are refused.

    Parameters
    ----------
    viewer : the viewer with the layers.
    inputs : what makes the inputs of settings that need one of their own, by name.
    """

    Settings: ClassVar[type[FormSettings]]
    title: ClassVar[str]
    width_of_form: ClassVar[int] = 300
    """Pixels across that the form takes of its own accord."""
    _made = False
    """Whether the constructors are through."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "Settings" in cls.__dict__:
            for name, known in fields_of(cls.Settings).items():
                if hasattr(QWidget, name):
                    raise TypeError(
                        f"{cls.__name__}: Qt's widgets have {name!r}; give the setting another name"
                    )
                if not isinstance(getattr(cls, name, None), property):
                    setattr(cls, name, _attribute(known))

    def __init__(self, viewer: napari.viewer.Viewer, inputs: Inputs | None = None) -> None:
        super().__init__()
        self.viewer = unwrapped(viewer)
        self.job: Job | None = None
        self._placed: list[Layer] = []
        self._summary: Callable[[Any], str] = self.summary
        self.form = Form(self.Settings, inputs)
        self.run_button = QPushButton("Run")
        self.run_button.setToolTip(f"{self.title} with these settings")
        self.run_button.clicked.connect(self._run_clicked)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; nothing is added to the viewer")
        self.cancel_button.clicked.connect(self.cancel)
        self.cancel_button.hide()
        self.progress = QProgressBar()
        self._time_left = TimeLeft()
        self.progress.hide()
        self.message = Message()
        name = type(self).__name__.removesuffix("Panel")
        self.step_row = None if step_of(name) is None else StepRow(self.viewer, name)
        self.next_button = NextButton(self.viewer, name)
        self._scroll = Scroll(self.form, self.width_of_form)
        self._body, self._footer, self._buttons = QVBoxLayout(), QVBoxLayout(), QHBoxLayout()
        self._buttons.addWidget(self.run_button, 2)
        self._buttons.addWidget(self.cancel_button, 1)
        # A widget of its own takes all the height that is left, whatever its content needs: Run
        # stays at the lower edge.
        upper, frame = QWidget(), QVBoxLayout(self)
        # napari would put a stretch below Run.
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        self._slots = QVBoxLayout(upper)
        self._slots.setContentsMargins(0, 0, 0, 0)
        frame.setContentsMargins(6, 6, 6, 6)
        for layout in (frame, self._slots):
            layout.setSpacing(4)
        self._slots.addWidget(self._scroll, 1)
        self._slots.addLayout(self._body)
        self._slots.addLayout(self._footer)
        self._slots.addStretch()
        if self.step_row is not None:
            frame.addWidget(self.step_row)
        frame.addWidget(upper, 1)
        self.keep_button = QPushButton("Keep")
        self.keep_button.setToolTip(
            "Keep this result as it is: the next run adds its own beside it, to compare"
        )
        self.keep_button.clicked.connect(lambda _on: self.keep())
        self.keep_button.hide()
        told = QHBoxLayout()
        told.addWidget(self.message, 1)
        told.addWidget(self.keep_button, 0, Qt.AlignmentFlag.AlignTop)
        frame.addLayout(told)
        for widget in (self.next_button, self.progress):
            frame.addWidget(widget)
        frame.addLayout(self._buttons)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; what is not there is a misspelt setting."""
        known = name.startswith("_") or name in vars(self) or hasattr(type(self), name)
        if self._made and not known:
            raise AttributeError(f"{self.title}: {unknown(name, self.settings)}")
        super().__setattr__(name, value)

    @property
    def settings(self) -> LiveSettings:
        """The settings as they are in the form, to be read and set by name."""
        return LiveSettings(self.forms)

    def forms(self) -> tuple[Form, ...]:
        """Return the forms whose settings the panel uses now."""
        return (self.form,)

    def add_header(self, widget: QWidget, stretch: int = 0) -> None:
        """Put a widget above the settings, with a handle between the two; a panel has one.

        Parameters
        ----------
        stretch : its share of the height that is left, where the settings have one.
        """
        splitter = QSplitter(Qt.Orientation.Vertical)
        self._slots.replaceWidget(self._scroll, splitter)
        self._slots.setStretchFactor(splitter, 1)
        splitter.addWidget(widget)
        splitter.addWidget(self._scroll)
        splitter.setStretchFactor(0, stretch)
        splitter.setStretchFactor(1, 1)
        splitter.setChildrenCollapsible(False)

    def add_body(self, *widgets: QWidget) -> None:
        """Put a row of widgets between the settings and the buttons."""
        row = QHBoxLayout()
        for widget in widgets:
            row.addWidget(widget)
        self._body.addLayout(row)

    def add_button(self, button: QAbstractButton) -> None:
        """Put a button between Run and Cancel."""
        self._buttons.insertWidget(self._buttons.count() - 1, button, 1)

    def add_footer(self, widget: QWidget, stretch: int = 1) -> None:
        """Put a widget below the settings and the body.

        Parameters
        ----------
        stretch : its share of the height that the settings do not need; with 0 they keep it.
        """
        self._footer.addWidget(widget, stretch)
        if stretch:
            self._scroll.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
            self._slots.setStretchFactor(self._scroll, 0)
            self._slots.setStretchFactor(self._footer, 1)

    @abstractmethod
    def prepare(self) -> tuple[str, Work, Show]:
        """Return the job's name, the work for the other thread, and what shows its result.

        Reads the form and the layers, in the GUI thread. Raises ValueError, with a sentence for
        the user, if the work cannot start.
        """

    def settle(self) -> None:
        """Do what the form asks for before the work itself; called when `run` starts it."""

    def run(self) -> Job:
        """Start working with the settings as they are, as the Run button does.

        Raises
        ------
        RuntimeError
            If the panel is still at work.
        """
        if self.job is None or self.job.done:
            self.settle()
        return self.begin(self.prepare)

    def begin(self, prepare: Prepare, summary: Callable[[Any], str] | None = None) -> Job:
        """Start a job of the panel, one at a time, beside the window.

        Parameters
        ----------
        prepare, summary : do what those of the panel do for `run`.

        Raises
        ------
        RuntimeError
            If the panel is still at work.
        """
        if self.job is not None and not self.job.done:
            raise RuntimeError(f"{self.title} is still running: wait for it or cancel it")
        self._summary = summary or self.summary
        try:
            self.job = Job(*prepare())
        except (ValueError, TypeError, OSError, ImportError) as error:
            self.job = Job.failed(self.title, error)
            self._settled()
            return self.job
        self.job.progressed.connect(self.show_progress)
        self.job.settled.connect(self._settled)
        self.progress.setRange(0, 0)
        self.progress.setFormat("%p%")
        self._time_left = TimeLeft()
        self.message.setText(f"{self.job.name} …")
        self.next_button.offer(False)
        self._show_running(True)
        self.job.start()
        return self.job

    def put(self, layers: Mapping[str, Layer], kind: str, *source: object) -> list[Layer]:
        """Add the layers of a result in place of those of its kind and source; see `replace.put`.

        Returns
        -------
        The layers that are in the viewer now, in the order of `layers`.
        """
        self._placed = replace.put(self.viewer, layers, kind, *source)
        self.keep_button.setVisible(bool(self._placed))
        return self._placed

    def keep(self) -> list[Layer]:
        """Keep the last result: the next run adds its layers beside it instead of replacing it.

        Returns
        -------
        The layers that are kept by this call.
        """
        kept = replace.keep(layer for layer in self._placed if layer in self.viewer.layers)
        self._placed = []
        self.keep_button.hide()
        if kept:
            self.message.setText(f"Kept: {', '.join(repr(layer.name) for layer in kept)}")
        return kept

    def attempt(self, act: Callable[[], Any]) -> Any:
        """Do what a button asks for at once; an error becomes a message, not a traceback."""
        return attempt(self.title, act, self.message)

    def cancel(self) -> None:
        """Ask the running work to stop."""
        if self.job is not None and not self.job.done:
            self.job.cancel()
            self.message.setText("Stopping …")

    def closed(self) -> None:
        self.cancel()

    def summary(self, result: Any) -> str:
        """Return a line about what was added, shown below the buttons."""
        return ""

    def running_changed(self, running: bool) -> None:
        """Show whether the panel is at work; called when a job starts and when it ends."""

    def finished(self, job: Job) -> None:
        """Follow a job that ended, well or not; called after its message is shown."""

    def show_progress(self, done: int, total: int, message: str) -> None:
        """Show how far the work is, and the time left of the part that the message names.

        Parameters
        ----------
        total : 0 as long as it is not known.
        """
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        left = self._time_left.report(done, total, message)
        self.progress.setFormat("%p%" if left is None else f"%p%, {in_words(left)}")
        if message and self.job is not None and not self.job.cancel_requested:
            self.message.setText(message)

    def take_newest(self) -> None:
        """Choose what the step before left; called when the panel is opened and raised."""

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.take_newest()

    def _run_clicked(self) -> None:
        self.run()

    def _settled(self) -> None:
        self._show_running(False)
        job = self.job
        if job is None:
            return
        if job.cancelled:
            self.message.setText("Cancelled")
        elif job.error is not None:
            self.message.setText(describe(job.error))
        else:
            self.message.setText(self._summary(job.result()))
        self.next_button.offer(job.error is None)
        if self.step_row is not None:
            self.step_row.refresh()
        self.finished(job)

    def _show_running(self, running: bool) -> None:
        self.run_button.setEnabled(not running)
        self.cancel_button.setVisible(running)
        self.progress.setVisible(running)
        self.running_changed(running)


class PanelTabs(Docked):
    """Panels of one dock, a tab each; they stop together when the dock is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.tabs = QTabWidget()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.tabs)

    def add_tab(self, name: str, panel: Docked) -> None:
        """Add a panel as the last tab."""
        self.tabs.addTab(panel, name)

    def closed(self) -> None:
        for place in range(self.tabs.count()):
            panel: Any = self.tabs.widget(place)
            panel.closed()


class Scroll(QScrollArea):
    """Scrolls up and down only: never narrower than what it holds."""

    _GAP = 4
    """Pixels between the content and the scroll bar."""
    _LEAST = 60
    """Pixels of height that are asked for: two rows, so that any screen has room for a panel."""

    def __init__(self, content: QWidget, width: int) -> None:
        super().__init__()
        self._width = width
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setViewportMargins(0, 0, self._GAP, 0)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def sizeHint(self) -> QSize:
        """Return a width that leaves most of a laptop's screen to the image."""
        narrow = self.minimumSizeHint().width()
        height = self.widget().sizeHint().height() + 2 * self.frameWidth()
        return QSize(max(narrow, self._width), height)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the content, of a scroll bar and of the edges that a style sheet
        draws, and two rows of height.
        """
        beside = self._GAP + self.verticalScrollBar().sizeHint().width() + 2 * self.frameWidth()
        return QSize(self.widget().minimumSizeHint().width() + beside, self._LEAST)

    def showEvent(self, event: QShowEvent) -> None:
        """Ask for the height of the rows once they have their style."""
        super().showEvent(event)
        QTimer.singleShot(0, self.updateGeometry)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Ask for more room when the content does, or when it is first seen in its style."""
        if event.type() in (QEvent.Type.LayoutRequest, QEvent.Type.Show):
            self.updateGeometry()
        return bool(super().eventFilter(watched, event))


def _attribute(known: Setting) -> property:
    name = known.name

    def get(panel: Panel) -> Any:
        return panel.form[name]

    def set_(panel: Panel, value: Any) -> None:
        panel.form[name] = value

    return property(get, set_, doc=known.help)
