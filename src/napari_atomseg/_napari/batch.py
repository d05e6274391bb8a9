"""The Batch panel: a workflow repeated on the images of a folder, or on the frames of a stack."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QTableWidget, QTableWidgetItem

from napari_atomseg._napari.columns.layers import layer_described
from napari_atomseg._napari.files import columns_layer
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.forms.form import ADVANCED, wrapped
from napari_atomseg._napari.jobs import Job, Show, Work
from napari_atomseg._napari.layers import (
    PROVENANCE,
    grey_data,
    image_layer,
    layer_sampling,
    sampled,
)
from napari_atomseg._napari.opened import file_layer
from napari_atomseg._napari.panel import Panel
from napari_atomseg.alignment.settings import NOISE
from napari_atomseg.io import provenance, read_columns, read_images
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, setting

if TYPE_CHECKING:
    import napari.viewer

    # These import all measurements, which takes seconds the first time.
    from napari_atomseg.workflow import FileResult, ImageArray, ImageFile, Workflow

_AS = "as layer "
"""Before the name of a layer in the choice of a workflow."""
_FILES = "Workflows (*.yaml *.yml)"
_FROM_FOLDER = {"": "of a folder"}
_NONE = {"": "open a file, or make a result first"}
_HEADER = {
    "Image": "The image; a double click on a row opens it and its results",
    "Columns": "Number of columns of the last step that has any",
    "Error": "Median of the standard errors of their positions",
    "State": "Whether the image is done, and whether by an earlier run",
    "Result": "Why it failed, or what the steps say",
}
"""Titles of the table, and what they mean."""
_WIDEST = 110
"""Pixels across that the name of an image takes at most."""
_RESULTS = "results"
_ROWS_MEASURED = 200
"""Rows that the widths of the table's columns are made for."""
_LEAST = 90
"""Least height of the table, pixels."""


class BatchSettings(Settings):
    """What is repeated, on which images, and where the results go."""

    workflow: str = setting(
        "",
        "Workflow",
        "The steps: a file that History wrote, or those by which a layer of this viewer was made.",
    )
    images: str = setting(
        "", "Images", "The images of a folder, or the frames of a stack that is open, one by one."
    )
    folder: Path | None = setting(None, "Folder", "Folder of the images.", none="choose a folder")
    pattern: str | None = setting(
        None, "Files", "Names of the files, such as *.dm4 or survey*.tif.", none="all images"
    )
    output: Path | None = setting(
        None,
        "Results in",
        "Folder for the results: one folder an image, and the table results.csv. What is done "
        "there already is not done again.",
        none=f"{_RESULTS}, in the folder",
    )
    sampling: float | None = setting(
        None,
        "Sampling",
        "Size of a pixel of all images, in place of what their files say. That of the workflow, "
        "where it has one, takes precedence.",
        unit="Å/px",
        limits=(1e-4, 100.0),
        step=0.01,
        decimals=4,
        none="as in the files",
        section=ADVANCED,
    )


class Batch(Panel):
    """Applies a workflow to many images, with a table of what became of each.

    A file that cannot be read or measured costs itself alone; a run that was stopped goes on where
    it was. A double click on a row opens the image and its results.
    """

    title = "Batch"
    Settings = BatchSettings
    found = Signal(object)
    """What became of an image: a `workflow.FileResult`."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(
            viewer,
            {
                "workflow": partial(NameOrFile, _NONE, _FILES),
                "images": partial(NameOrFile, _FROM_FOLDER),
            },
        )
        self.results: list[FileResult] = []
        self.opening: Job | None = None
        self._images: Sequence[ImageFile | ImageArray] = ()
        self._destination = Path()
        self.cancel_button.setToolTip("Stop; what is done stays, and Run goes on with the rest")
        self.table = QTableWidget(0, len(_HEADER))
        self.table.setHorizontalHeaderLabels(list(_HEADER))
        for column, about in enumerate(_HEADER.values()):
            self.table.horizontalHeaderItem(column).setToolTip(about)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setWordWrap(False)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.verticalHeader().hide()
        self.table.setMinimumHeight(_LEAST)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.table.currentCellChanged.connect(self._tell)
        self.table.cellDoubleClicked.connect(lambda row, _column: self.open_result(row))
        self.table.hide()
        self.add_footer(self.table)
        self.found.connect(self._add)
        self.form.inputs["images"].changed.connect(self._show_rows)
        self.reset_choices()
        self._show_rows()

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that the viewer holds now; napari calls this when they change."""
        made = [layer for layer in self.viewer.layers if "inputs" in _record(layer)]
        layers = {f"{_AS}{layer.name}": f"as {layer.name!r} was made" for layer in made}
        self.form.inputs["workflow"].offer(layers or _NONE)
        stacks = {layer.name: f"frames of {layer.name!r}" for layer in self._stacks()}
        self.form.inputs["images"].offer(_FROM_FOLDER | stacks)

    def prepare(self) -> tuple[str, Work, Show]:
        workflow, images, output = self.workflow_chosen(), self.images_chosen(), self._output()
        self._images, self._destination, self.results = images, output, []
        self.table.setRowCount(0)
        self.table.show()
        work = partial(_run, workflow, images, output, self.form["sampling"], self.found.emit)
        return "Batch", work, lambda results: results

    def summary(self, result: list[FileResult]) -> str:
        from napari_atomseg.workflow import summary_of

        return f"{summary_of(result)}. The table is {self._destination / 'results.csv'}"

    def finished(self, job: Job) -> None:
        """Say how far a run came that was stopped."""
        if job.cancelled:
            self.message.setText(
                f"Cancelled after {len(self.results)} of {len(self._images)} images; Run goes on "
                "with the rest"
            )

    def workflow_chosen(self) -> Workflow:
        """Return the workflow that is chosen.

        Raises
        ------
        ValueError, OSError
            There is none, its file cannot be read, or the layer cannot be repeated; a sentence for
            the user.
        """
        from napari_atomseg.workflow import Workflow, workflow_of

        chosen = self.form["workflow"]
        if not chosen:
            raise ValueError(
                "there is no workflow: open one that History wrote, or make a result in this viewer"
            )
        if str(chosen).startswith(_AS):
            return workflow_of(layer_described(self.viewer.layers[chosen.removeprefix(_AS)]))
        return Workflow.load(chosen)

    def images_chosen(self) -> list[ImageFile | ImageArray]:
        """Return the images that are chosen.

        Raises
        ------
        ValueError, OSError
            There are none, or no folder is chosen; a sentence for the user.
        """
        from napari_atomseg.workflow import ImageFile, files_in, frames_of

        stack = self.form["images"]
        if stack:
            layer = self.viewer.layers[stack]
            noise = _record(layer).get(NOISE)
            return list(frames_of(layer.name, grey_data(layer), layer_sampling(layer), noise))
        folder = self.form["folder"]
        if folder is None:
            raise ValueError("choose the folder of the images first")
        files = files_in(folder.expanduser(), self.form["pattern"])
        if not files:
            raise ValueError(f"there are no images {self.form['pattern'] or ''} in {folder}")
        return [ImageFile(file) for file in files]

    def open_result(self, row: int) -> Job | None:
        """Open the image of a row of the table and its results; return the job that reads them."""
        if row >= len(self.results) or not (self.opening is None or self.opening.done):
            return None
        image, result = self._images[row], self.results[row]
        self.opening = Job(
            f"Open {Path(result.image).name}",
            partial(_read, image, result),
            partial(self._show_result, image),
        )
        self.opening.start()
        return self.opening

    def closed(self) -> None:
        super().closed()
        if self.opening is not None:
            self.opening.cancel()

    def _stacks(self) -> list[Image]:
        layers = (layer for layer in self.viewer.layers if isinstance(layer, Image))
        return [layer for layer in layers if layer.ndim > 2]

    def _output(self) -> Path:
        chosen, folder = self.form["output"], self.form["folder"]
        if chosen is None and (folder is None or self.form["images"]):
            raise ValueError("choose a folder for the results first")
        return Path(folder / _RESULTS if chosen is None else chosen).expanduser()

    def _show_rows(self, _choice: object = None) -> None:
        for name in ("folder", "pattern"):
            self.form.show_row(name, not self.form["images"])

    def _add(self, result: FileResult) -> None:
        """Add a row to the table."""
        self.results.append(result)
        row = self.table.rowCount()
        self.table.insertRow(row)
        count = "" if result.columns is None else str(result.columns)
        state = "done before" if result.kept else result.status
        name = Path(result.image).name
        texts = (name, count, result.error_in_words, state, _said(result))
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setToolTip(wrapped(result.image if column == 0 else text))
            self.table.setItem(row, column, item)
            if column < len(texts) - 1:
                wide = self.table.sizeHintForColumn(column) if row < _ROWS_MEASURED else 0
                header = self.table.horizontalHeader().sectionSizeHint(column)
                wide = max(wide, header, self.table.columnWidth(column) if row else 0)
                self.table.setColumnWidth(column, min(wide, _WIDEST))
        self.table.scrollToBottom()

    def _tell(self, row: int, _column: int, _row_before: int, _column_before: int) -> None:
        """Show what became of the image of a row in full."""
        if 0 <= row < len(self.results) and (self.job is None or self.job.done):
            result = self.results[row]
            self.message.setText(f"{Path(result.image).name}: {_said(result) or result.status}")

    def _show_result(
        self, image: ImageFile | ImageArray, read: tuple[Any, list[Any]]
    ) -> list[Layer]:
        """Add an image, and the results that were read, on it."""
        picture, results = read
        name = image.stem
        path = getattr(image, "path", None)
        if path is None:
            made = provenance("frame", name, {"sampling": picture.sampling})
            place = sampled(picture.sampling, picture.data.ndim)
            layers = [image_layer(picture.data, name, place, made)]
        else:
            part = {} if image.frame is None else {"frame": image.frame}
            layers = [file_layer(path, picture, name, part)]
        for file, found in results:
            title = f"{name} {file.stem}"
            if isinstance(found, list):
                layers += [file_layer(file, each, title, {}) for each in found]
            else:
                layers.append(columns_layer(found, title))
        for layer in layers:
            self.viewer.add_layer(layer)
        return layers


def _said(result: FileResult) -> str:
    """Why an image failed, or what its steps say; its path stands in the row already."""
    text = result.reason.removeprefix(f"{result.image}: ")
    return text or "; ".join(result.summary)


def _record(layer: Layer) -> dict[str, Any]:
    found: dict[str, Any] = layer.metadata.get(PROVENANCE, {})
    return found


def _run(
    workflow: Workflow,
    images: Sequence[ImageFile | ImageArray],
    output: Path,
    sampling: float | None,
    done: Callable[[FileResult], None],
    progress: Progress,
    cancel: CancelToken,
) -> list[FileResult]:
    from napari_atomseg.workflow import run_files

    return run_files(
        workflow, images, output, sampling=sampling, done=done, progress=progress, cancel=cancel
    )


def _read(
    image: ImageFile | ImageArray, result: FileResult, progress: Progress, cancel: CancelToken
) -> tuple[Any, list[tuple[Path, Any]]]:
    """Read an image and those of its results that can be shown: images and tables of columns."""
    found: list[tuple[Path, Any]] = []
    for name in result.files:
        cancel.raise_if_cancelled()
        file = Path(result.place) / name
        if file.suffix == ".tif":
            found.append((file, read_images(file)))
        elif file.suffix == ".csv" and _has_positions(file):
            found.append((file, read_columns(file)))
    return image.read(), found


def _has_positions(file: Path) -> bool:
    from napari_atomseg._napari.files import get_columns_reader

    return get_columns_reader(str(file)) is not None
