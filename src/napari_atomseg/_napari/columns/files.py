"""Columns from the files of other programs, and to them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Image, Points
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QFileDialog,
    QGroupBox,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.columns.layers import write_layer
from napari_atomseg._napari.files import columns_layer
from napari_atomseg._napari.forms.choices import NameOrFile, ask_for_file
from napari_atomseg._napari.forms.form import form_rows
from napari_atomseg._napari.layers import Placement, grey_data, layer_sampling
from napari_atomseg.io import COLUMN_SUFFIXES, provenance, read_columns

AXES = {
    "": "by the column names",
    "yx": "y, x (row, column)",
    "xy": "x, y (column, row)",
}
UNITS = {"": "by the column names", "px": "pixels", "Å": "Å", "nm": "nm", "pm": "pm"}
_TEXT = (".csv", ".txt", ".tsv", ".dat")
_KINDS = {
    "CSV table": "*.csv",
    "Extended XYZ (ASE, OVITO)": "*.xyz",
    "CIF": "*.cif",
    "HDF5 (Atomap, HyperSpy)": "*.hdf5",
}


def import_columns(
    path: str | Path,
    image: Image | None = None,
    *,
    axes: str = "",
    units: str = "",
    origin: float = 0.0,
) -> Points:
    """Return the columns of a file as a points layer that lies on an image.

    Parameters
    ----------
    path : see `io.read_columns`, which raises the errors.
    image : its sampling and placement are taken where the file has none.
    axes, units, origin : of text files; empty to take them from the column names.
    """
    path = Path(path)
    place = None if image is None else Placement.of(image)
    text = path.suffix.lower() not in COLUMN_SUFFIXES or path.suffix.lower() in _TEXT
    text_options: dict[str, Any] = {"axes": axes or None, "units": units or None, "origin": origin}
    sampling = None if image is None else layer_sampling(image)
    columns = read_columns(path, sampling=sampling, **(text_options if text else {}))
    columns.attrs.setdefault("sampling", sampling)
    record = {}
    if "action" not in columns.attrs:
        settings = (text_options if text else {}) | {"sampling": sampling}
        record = provenance("import", path.name, settings)
    return columns_layer(columns, path.stem, place, **record)


def outside(layer: Points, image: Image) -> int:
    """Return how many points lie outside of the image."""
    if not Placement.of(layer).agrees(Placement.of(image)):
        return 0
    shape = grey_data(image).shape
    return int(((layer.data < -0.5) | (layer.data > np.array(shape) - 0.5)).any(axis=1).sum())


def export_columns(
    path: str | Path, layer: Points, image: Image | None = None, elements: str = ""
) -> None:
    """Write a layer as CSV, XYZ, CIF or HDF5, by the suffix, with units and provenance.

    Parameters
    ----------
    image : of the columns: its pixels go into HDF5, its size is that of the box of XYZ and CIF.
    elements : symbol of all columns in XYZ and CIF, or KIND=SYMBOL,… by species or sublattice;
        empty for those of the table.

    Raises
    ------
    OSError, ValueError
        See `io.write_columns`.
    """
    picture = None
    if image is not None and image.ndim == 2:
        picture = np.asarray(grey_data(image))
    kinds: Any = elements or None
    if "=" in elements:
        kinds = {}
        for pair in elements.split(","):
            kind, _, symbol = (part.strip() for part in pair.partition("="))
            if not kind or not symbol:
                raise ValueError(f"elements: {pair!r} is not KIND=SYMBOL, such as Sr=Sr or 0=Ti")
            kinds[kind] = symbol
    data, attributes, _ = layer.as_layer_data_tuple()
    write_layer(path, data, attributes, image=picture, elements=kinds)


class Files(QWidget):
    """Options of text files and of elements, and buttons that open the file dialogs.

    `opened` and `saved` carry the path that the user chose.
    """

    opened = Signal(str)
    saved = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.axes, self.units = NameOrFile(AXES), NameOrFile(UNITS)
        self.axes.setToolTip("Order of the first two columns of numbers in a text file")
        self.units.setToolTip("Unit of the positions in a text file")
        self.origin = QDoubleSpinBox()
        self.origin.setRange(-1e6, 1e6)
        self.origin.setButtonSymbols(QDoubleSpinBox.ButtonSymbols.NoButtons)
        self.origin.setToolTip(
            "Coordinate of the centre of the first pixel in a text file: 1 in MATLAB, 0.5 in ImageJ"
        )
        self.import_button = QPushButton("Import positions …")
        self.import_button.setToolTip(
            "Open CSV or other text, .mat of StatSTEM, .hdf5 of Atomap, .xyz, .cif"
        )
        self.elements = QLineEdit()
        self.elements.setPlaceholderText("as in the table")
        self.elements.setToolTip(
            "For XYZ and CIF: a symbol for all, such as Pt, or KIND=SYMBOL,… by species or\n"
            "sublattice, such as 0=Sr,1=Ti"
        )
        self.export_button = QPushButton("Export columns …")
        self.export_button.setToolTip("Save as CSV, XYZ, CIF or HDF5, with units and provenance")
        self.import_button.clicked.connect(lambda _on: self._ask_open())
        self.export_button.clicked.connect(lambda _on: self._ask_save())
        layout = QVBoxLayout(self)
        layout.setContentsMargins(2, 4, 2, 2)
        layout.addWidget(self._import_group())
        layout.addWidget(self._export_group())
        layout.addStretch()

    def _import_group(self) -> QWidget:
        text = "Positions of StatSTEM, Atomap or any table become a layer on the image above."
        rows = form_rows()
        rows.addRow("Text: axes", self.axes)
        rows.addRow("Text: unit", self.units)
        rows.addRow("Text: first pixel", self.origin)
        return _group("Import", text, rows, self.import_button)

    def _export_group(self) -> QWidget:
        text = "CSV, XYZ, CIF or HDF5, by the file's suffix, with units and provenance."
        rows = form_rows()
        rows.addRow("Elements", self.elements)
        return _group("Export", text, rows, self.export_button)

    def _ask_open(self) -> None:
        patterns = " ".join(f"*{suffix}" for suffix in COLUMN_SUFFIXES)
        path = ask_for_file(self, f"Columns ({patterns});;All files (*)")
        if path:
            self.opened.emit(path)

    def _ask_save(self) -> None:
        path = ask_save_path(self, "Export columns", "columns", _KINDS)
        if path:
            self.saved.emit(path)


def ask_save_path(parent: QWidget, title: str, stem: str, kinds: dict[str, str]) -> str:
    """Return the path of a file to write, with the suffix of the chosen kind; empty for none."""
    filters = [f"{name} ({pattern})" for name, pattern in kinds.items()]
    first = next(iter(kinds.values()))
    path, chosen = QFileDialog.getSaveFileName(
        parent, title, stem + first.removeprefix("*"), ";;".join(filters)
    )
    if path and not Path(path).suffix and chosen in filters:
        path += list(kinds.values())[filters.index(chosen)].removeprefix("*")
    return str(path)


def _group(title: str, text: str, rows: Any, button: QPushButton) -> QWidget:
    group, words = QGroupBox(title), QLabel(text)
    words.setWordWrap(True)
    layout = QVBoxLayout(group)
    layout.addWidget(words)
    layout.addLayout(rows)
    layout.addWidget(button)
    return group
