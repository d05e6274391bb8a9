"""The Models panel: published models, downloads, and the user's own models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, ClassVar

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFileDialog,
    QGridLayout,
    QInputDialog,
    QLabel,
    QListView,
    QListWidget,
    QListWidgetItem,
    QMessageBox,
    QProgressBar,
    QPushButton,
    QSplitter,
    QTextBrowser,
    QVBoxLayout,
)

from napari_atomseg import weights
from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.jobs import Job, attempt, describe
from napari_atomseg._napari.models.choice import fetch_model, model_changes
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train.names import TASK_NAMES, metric_name
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.weights.description import (
    TO_DOWNLOAD,
    TO_IMPORT,
    describe_model,
    location,
)
from napari_atomseg.weights.exchange import Format
from napari_atomseg.weights.foreign import downloadable
from napari_atomseg.weights.foreign.sources import ARCHIVES
from napari_atomseg.weights.store import rename_model


class ModelDescription(QTextBrowser):
    """Shows the description of a model; text can be selected and copied."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.setMinimumHeight(80)

    def text(self) -> str:
        """Return the text shown, without formatting."""
        return str(self.toPlainText())

    def show_text(self, text: str) -> None:
        """Show a sentence instead of a description."""
        self.setPlainText(text)

    def show_model(self, name: str) -> None:
        """Show the description of a model.

        Raises
        ------
        ValueError
            The name is not known.
        WeightsError
            The model's file is damaged.
        """
        lines = describe_model(
            weights.model_entry(name), weights.find_file(name), task_name, _score_name
        )
        self.setHtml(_page(name, lines))


def task_name(task: str) -> str:
    """Return the name of a task in panels."""
    return TASK_NAMES.get(task, task.replace("_", " "))


def _score_name(score: str) -> str:
    return metric_name(score) or score


def _page(name: str, lines: Mapping[str, str]) -> str:
    rows = "".join(
        f"<tr><td><b>{label}&nbsp;&nbsp;</b></td>"
        f"<td>{escape(text).replace(chr(10), '<br>').replace('; ', '<br>')}</td></tr>"
        for label, text in lines.items()
        if label != "Description"
    )
    description = escape(lines.get("Description", ""))
    return (
        f"<h3>{escape(name)}</h3><p>{description}</p><table cellpadding='2' width='100%'>"
        f"{rows}</table>"
    )


_FILES = "Models (*.safetensors *.pth *.zip *.tar.gz *.tgz)"
_WRITTEN: dict[str, Format] = {
    "Model weights (*.safetensors)": "weights",
    "ONNX (*.onnx)": "onnx",
    "bioimage.io package (*.zip)": "bioimageio",
}
"""Filters of the dialog, each with its format."""
_EXPORTED = "Wrote"
"""What announces the end of an export."""
_NAME = Qt.ItemDataRole.UserRole


class Models(Docked):
    """A list of models, the description of the chosen one, and buttons that manage them."""

    only_own: ClassVar[bool] = False
    """Whether only the user's own models are listed."""
    none: ClassVar[str] = "There are no models."

    def __init__(self) -> None:
        super().__init__()
        self.job: Job | None = None
        self._done = ""
        self._places: dict[str, str] = {}
        self.list = QListWidget()
        self.list.setWordWrap(True)
        self.list.setSpacing(3)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.description = ModelDescription()
        self.progress, self.message = QProgressBar(), QLabel()
        self.message.setWordWrap(True)
        self.message.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.buttons = self._make_buttons()
        self._lay_out()
        self.list.currentItemChanged.connect(lambda *_: self._show_chosen())
        model_changes.happened.connect(self.refresh)
        self._show_running(False)
        self.refresh()

    def _make_buttons(self) -> dict[str, QPushButton]:
        actions = {
            "Download": (self._ask_licence, "Download the model's file"),
            "Cancel": (self.cancel, "Stop the download; Download continues it later"),
            "Import …": (
                self._ask_file,
                "Copy a weights file into the models folder, or convert a model of r_em (from its "
                "source archive), AtomSegNet (.pth) or a bioimage.io package (.zip)",
            ),
            "Export …": (
                self._ask_export,
                "Save the model as a weights file, as ONNX or as a bioimage.io package",
            ),
            "Rename …": (self._ask_name, "Rename your model"),
            "Remove …": (self._ask_removal, "Delete your model, or the downloaded file"),
        }
        buttons = {}
        for text, (act, tooltip) in actions.items():
            button = buttons[text] = QPushButton(text)
            button.setToolTip(tooltip)
            button.clicked.connect(partial(self._attempt, act))
        return buttons

    def _lay_out(self) -> None:
        halves = QSplitter(Qt.Orientation.Vertical)
        halves.addWidget(self.list)
        halves.addWidget(self.description)
        halves.setChildrenCollapsible(False)
        halves.setStretchFactor(0, 2)
        halves.setStretchFactor(1, 3)
        row = QGridLayout()
        order = ("Import …", "Export …", "Rename …", "Remove …")
        for number, text in enumerate(order):
            row.addWidget(self.buttons[text], 1 + number // 2, number % 2)
        row.addWidget(self.buttons["Download"], 0, 0, 1, 2)
        row.addWidget(self.buttons["Cancel"], 0, 0, 1, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addWidget(halves, 1)
        layout.addLayout(row)
        layout.addWidget(self.progress)
        layout.addWidget(self.message)

    @property
    def selected(self) -> str:
        """Name of the chosen model; empty if there is none."""
        item = self.list.currentItem()
        return str(item.data(_NAME)) if item is not None else ""

    @selected.setter
    def selected(self, name: str) -> None:
        if name not in self._places:
            raise ValueError(f"{name!r} is none of {', '.join(map(repr, self._places))}")
        self.list.setCurrentRow(list(self._places).index(name))

    def refresh(self) -> None:
        """List the models on this machine and those that can be downloaded."""
        preferences()
        chosen, table = self.selected, weights.models()
        rows = table[table["own"] & ~table["foreign"]] if self.only_own else table
        self._places = {row["name"]: location(row) for row in rows.to_dict("records")}
        self.list.blockSignals(True)
        self.list.clear()
        for row in rows.to_dict("records"):
            item = QListWidgetItem(_line(row))
            item.setData(_NAME, row["name"])
            self.list.addItem(item)
        if self._places:
            self.selected = chosen if chosen in self._places else next(iter(self._places))
        self.list.blockSignals(False)
        self._show_chosen()

    def download(self, name: str, *, accepted: bool = False) -> Job:
        """Download a model's file in another thread and return the job.

        Parameters
        ----------
        accepted : whether the user has seen the licence of a model that others published.

        Raises
        ------
        RuntimeError
            Another download is running.
        """
        work = partial(fetch_model, name)
        if self._places.get(name) == TO_IMPORT:
            work = partial(_imported, name, None, accepted)
        return self._start(Job(f"Download {name}", work, lambda path: path), "Downloaded to")

    def convert(self, name: str, source: str | Path) -> Job:
        """Import a model that others published from its archive or folder, in another thread.

        Raises
        ------
        RuntimeError
            A download is running.
        """
        preferences()
        work = partial(_imported, name, source, True)
        return self._start(Job(f"Import {name}", work, lambda path: path), "Imported to")

    def _start(self, job: Job, done: str) -> Job:
        """Run a job whose end is announced by some words and the path of the file."""
        if self.job is not None and not self.job.done:
            raise RuntimeError("a download or export is still running: wait for it or cancel it")
        self.job, self._done = job, done
        self.job.progressed.connect(self._show_progress)
        self.job.settled.connect(self._finish)
        self.progress.setRange(0, 0)
        self.message.setText("")
        self._show_running(True)
        self.job.start()
        return self.job

    def cancel(self) -> None:
        """Stop the download; a later one continues it."""
        if self.job is not None and not self.job.done:
            self.job.cancel()
            self.message.setText("Stopping …")

    def add(self, path: str | Path) -> str:
        """Import a weights file and return the name of the model, which panels offer at once."""
        preferences()
        name = weights.import_model(path)
        self._announce(f"Imported {name}")
        if name in self._places:
            self.selected = name
        return name

    def rename(self, name: str, new: str) -> None:
        """Rename one of the user's models in all panels."""
        rename_model(name, new)
        self._announce(f"Renamed {name} to {new}")
        self.selected = new

    def export(self, name: str, path: str | Path) -> Path:
        """Copy a model to a file, and return its path."""
        written = weights.export_model(name, path)
        self.message.setText(f"Wrote {written}")
        return written

    def export_as(self, name: str, path: str | Path, format: Format) -> Job:
        """Write a model in a format of other programs, in another thread, and return the job.

        Its result is the path of the file.

        Raises
        ------
        RuntimeError
            A download or another export is running.
        """
        work = partial(_exported, name, path, format)
        return self._start(Job(f"Export {name}", work, lambda path: path), _EXPORTED)

    def remove(self, name: str) -> None:
        """Delete one of the user's models, or a download."""
        weights.remove_model(name)
        self._announce(f"Removed {name}")

    def sizeHint(self) -> QSize:
        """Return a width at which the description reads well beside an image on a laptop."""
        return QSize(330, super().sizeHint().height())

    def closed(self) -> None:
        """Stop downloading when the dock that holds the panel is closed."""
        self.cancel()

    def showEvent(self, event: QShowEvent) -> None:
        """Update the list when the panel is shown again."""
        self.refresh()
        super().showEvent(event)

    def _announce(self, message: str) -> None:
        """Update the choices of all panels and show a message."""
        model_changes.happened.emit()
        self.message.setText(message)

    def _show_chosen(self) -> None:
        where = self._places.get(self.selected, "")
        possible = {
            "Download": where in (TO_DOWNLOAD, TO_IMPORT),
            "Export …": where not in ("", TO_DOWNLOAD, TO_IMPORT),
            "Rename …": where == "own",
            "Remove …": where in ("own", "downloaded", "imported"),
        }
        for text, enabled in possible.items():
            self.buttons[text].setEnabled(enabled)
        if not where:
            self.description.show_text(self.none)
            return
        try:
            self.description.show_model(self.selected)
        except (OSError, ValueError) as error:
            self.description.show_text(describe(error))

    def _show_progress(self, done: int, total: int, message: str) -> None:
        self.progress.setRange(0, total)
        self.progress.setValue(done)
        if self.job is not None and not self.job.cancel_requested:
            counted = total and self._done != _EXPORTED
            size = f": {done / 1e6:.1f} of {total / 1e6:.1f} MB" if counted else ""
            self.message.setText(f"{message}{size}")

    def _finish(self) -> None:
        self._show_running(False)
        job = self.job
        if job is None:
            return
        if job.cancelled:
            more = "" if self._done == _EXPORTED else "; Download continues it"
            self.message.setText(f"Stopped{more}")
        elif job.error is not None:
            self.message.setText(describe(job.error))
        else:
            self._announce(f"{self._done} {job.result()}")

    def _show_running(self, running: bool) -> None:
        self.buttons["Download"].setVisible(not running and not self.only_own)
        self.buttons["Cancel"].setVisible(running)
        self.progress.setVisible(running)

    def _attempt(self, act: Callable[[], Any], _checked: bool) -> None:
        attempt("Models", act, self.message)

    def _ask_name(self) -> None:
        new, agreed = QInputDialog.getText(self, "Rename model", "New name", text=self.selected)
        if agreed and new.strip() != self.selected:
            self.rename(self.selected, new.strip())

    def _ask_export(self) -> None:
        path, chosen = QFileDialog.getSaveFileName(
            self, "Export model", self.selected, ";;".join(_WRITTEN)
        )
        format = _WRITTEN.get(chosen, "weights")
        if path and format == "weights":
            self.export(self.selected, path)
        elif path:
            self.export_as(self.selected, path, format)

    def _ask_removal(self) -> None:
        again = self._places[self.selected] in ("downloaded", "imported")
        end = "You can get it again." if again else "This cannot be undone."
        question = f"Delete the model {self.selected!r}? {end}"
        if QMessageBox.question(self, "Remove model", question) == QMessageBox.StandardButton.Yes:
            self.remove(self.selected)

    def _ask_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Import model", "", _FILES)
        if path.lower().endswith(ARCHIVES):
            self._ask_which(path)
        elif path:
            self.add(path)

    def _ask_which(self, archive: str) -> None:
        """Import one of the models that an archive of r_em holds."""
        names = list(downloadable())
        place = names.index(self.selected) if self.selected in names else 0
        label = "Model in the archive"
        name, agreed = QInputDialog.getItem(self, "Import model", label, names, place, False)
        if agreed:
            self.convert(name, archive)

    def _ask_licence(self) -> None:
        """Download the chosen model, after a question where others published it."""
        name = self.selected
        if self._places.get(name) == TO_IMPORT and weights.licence_is_new(name):
            notice = weights.foreign_models()[name].notice()
            yes = QMessageBox.StandardButton.Yes
            if QMessageBox.question(self, "Licence", f"{notice}\n\nDownload it?") != yes:
                return
        self.download(name, accepted=True)


def _line(row: dict[Any, Any]) -> str:
    """Return the text of a model in the list."""
    tasks = ", ".join(map(task_name, row["tasks"]))
    size = f"{row['size'] / 1e6:.1f} MB"
    return f"{row['name']} — {location(row)}\n{row['modality']}, {size}: {tasks}"


def _imported(
    name: str, source: str | Path | None, accepted: bool, progress: Progress, cancel: CancelToken
) -> Path:
    """Import a model that others published, and return its file."""
    weights.import_foreign(name, source, accepted=accepted, progress=progress, cancel=cancel)
    return weights.resolve(name)


def _exported(
    name: str, path: str | Path, format: Format, progress: Progress, cancel: CancelToken
) -> Path:
    """Write a model to a file, and return its path."""
    return weights.export_model(name, path, format, progress=progress, cancel=cancel)


class OwnModels(Models):
    """The Models panel without the published models."""

    only_own = True
    none = "No models of your own yet: train one, or import a file."
