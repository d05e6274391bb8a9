"""What the panels have in common: a form that scrolls and a Run button always in sight."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import (
    QFrame,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.forms.form import Form, Inputs, settings_of
from napari_atomseg._napari.jobs import Job, Show, Work, describe
from napari_atomseg._napari.layers import unwrapped

if TYPE_CHECKING:
    import napari.viewer

    from napari_atomseg.settings import Setting


class _PanelType(type(QWidget), ABCMeta):  # type: ignore[misc]
    """What Qt's classes and abstract ones are made by."""


class Panel(QWidget, metaclass=_PanelType):
    """A dock panel that gathers settings, works in another thread and shows the result.

    Every setting is an attribute of the panel that a script reads and sets, for example
    ``panel.dose = 2e3``; ``panel.run()`` does what the Run button does and returns a `Job`.
    """

    Settings: ClassVar[type]
    title: ClassVar[str]
    width_of_form: ClassVar[int] = 270
    """Pixels across that the form takes of its own accord."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if "Settings" in cls.__dict__:
            for name, known in settings_of(cls.Settings).items():
                if not isinstance(getattr(cls, name, None), property):
                    setattr(cls, name, _attribute(known))

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = unwrapped(viewer)
        self.job: Job | None = None
        self._summary: Callable[[Any], str] = self.summary
        self.form = Form(self.Settings, self.make_inputs())
        self.run_button = QPushButton("Run")
        self.run_button.setToolTip(f"{self.title} with these settings")
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; nothing is added to the viewer")
        self.progress = QProgressBar()
        self.message = QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.run_button.clicked.connect(self._click_run)
        self.cancel_button.clicked.connect(self.cancel)
        self._lay_out()
        self._show_running(False)

    def _lay_out(self) -> None:
        scroll = _Scroll(self.form, self.width_of_form)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(scroll, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        layout.addWidget(self.message)

    def make_inputs(self) -> Inputs:
        """Return what makes the inputs of fields that need one of their own, by name."""
        return {}

    @abstractmethod
    def prepare(self) -> tuple[str, Work, Show]:
        """Return the job's name, the work for the other thread, and what shows its result.

        Reads the form and the layers, in the GUI thread. Raises ValueError, with a sentence for
        the user, if the work cannot start.
        """

    def run(self) -> Job:
        """Start working with the settings as they are, as the Run button does.

        Raises
        ------
        RuntimeError
            If the panel is still at work.
        """
        return self.begin(self.prepare)

    def begin(
        self,
        prepare: Callable[[], tuple[str, Work, Show]],
        summary: Callable[[Any], str] | None = None,
    ) -> Job:
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
            self._finish()
            return self.job
        self.job.progressed.connect(self._show_progress)
        self.job.settled.connect(self._finish)
        self.progress.setRange(0, 0)
        self.message.setText("")
        self._show_running(True)
        self.job.start()
        return self.job

    def cancel(self) -> None:
        """Ask the running work to stop."""
        if self.job is not None and not self.job.done:
            self.job.cancel()
            self.message.setText("Stopping …")

    def summary(self, result: Any) -> str:
        """Return a line about what was added, shown below the buttons."""
        return ""

    def event(self, event: QEvent) -> bool:
        """Stop working when the dock that holds the panel is closed."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.cancel()
        return bool(super().event(event))

    def _click_run(self) -> None:
        self.run()

    def _show_progress(self, done: int, total: int, message: str) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        if message and self.job is not None and not self.job.cancel_requested:
            self.message.setText(message)

    def _finish(self) -> None:
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

    def _show_running(self, running: bool) -> None:
        self.run_button.setEnabled(not running)
        self.cancel_button.setVisible(running)
        self.progress.setVisible(running)


class _Scroll(QScrollArea):
    """Scrolls up and down only: never narrower than what it holds."""

    _GAP = 4
    """Pixels between the content and the scroll bar."""

    def __init__(self, content: QWidget, width: int) -> None:
        super().__init__()
        self._width = width
        self.setWidget(content)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setViewportMargins(0, 0, self._GAP, 0)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def sizeHint(self) -> QSize:
        """Return a width that leaves most of a laptop's screen to the image."""
        narrow = self.minimumSizeHint().width()
        height = self.widget().sizeHint().height() + 2 * self.frameWidth()
        return QSize(max(narrow, self._width), height)

    def minimumSizeHint(self) -> QSize:
        """Return the width of the content, of a scroll bar and of the edges that a style sheet
        draws, and a few lines of height.
        """
        beside = self._GAP + self.verticalScrollBar().sizeHint().width() + 2 * self.frameWidth()
        return QSize(self.widget().minimumSizeHint().width() + beside, 100)

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
