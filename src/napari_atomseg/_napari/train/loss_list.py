"""The losses of a training: which tasks have which, and how much each weighs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.forms.form import make_narrow

Line = tuple[str, Mapping[str, Any]]
"""A task, and one of its losses as a recipe writes it: `kind`, and `weight` and other settings
where they are not the usual ones.
"""
Lines = tuple[Line, ...]

KINDS = {
    "restoration": "smooth L1 (usual)",
    "cross_entropy": "cross-entropy (usual)",
    "mse": "MSE",
    "chi_square": "modified χ² (AtomSegNet)",
    "l1": "weighted L1 (r_em)",
    "l2": "weighted L2 (r_em)",
    "whitening": "whitening (r_em)",
    "fourier": "Fourier (r_em)",
    "mean": "mean (r_em)",
    "std": "deviation (r_em)",
    "ssim": "SSIM (AP-GAN)",
    "psnr": "PSNR (AP-GAN)",
}
"""Losses, and what the panel calls them."""
_HEIGHT = 84


class LossList(QWidget):
    """Losses that are added one after the other; tasks without any have their usual ones.

    Parameters
    ----------
    tasks : what the panel calls them, by name.
    """

    changed = Signal(object)
    whole_row = True
    """Takes the room of its label too."""

    def __init__(self, tasks: Mapping[str, str]) -> None:
        super().__init__()
        self.native = self
        self._tasks = tasks
        self._lines: Lines = ()
        self.task_box, self.kind_box, self.weight_box = QComboBox(), QComboBox(), QDoubleSpinBox()
        for box, names in ((self.task_box, tasks), (self.kind_box, KINDS)):
            make_narrow(box)
            for name, text in names.items():
                box.addItem(text, name)
        self.weight_box.setRange(0.0, 1e6)
        self.weight_box.setDecimals(4)
        self.weight_box.setSpecialValueText("usual weight")
        self.add_button, self.drop_button = QPushButton("Add loss"), QPushButton("−")
        self.add_button.clicked.connect(self._add)
        self.drop_button.clicked.connect(self._drop)
        self.drop_button.setToolTip("Take the chosen line away")
        self.drop_button.setMaximumWidth(28)
        self.list = QListWidget()
        self.list.setMaximumHeight(_HEIGHT)
        self._lay_out()
        make_narrow(self)

    def _lay_out(self) -> None:
        which, buttons = QHBoxLayout(), QHBoxLayout()
        which.addWidget(self.task_box, 1)
        which.addWidget(self.kind_box, 1)
        buttons.addWidget(self.weight_box, 1)
        buttons.addWidget(self.add_button, 1)
        buttons.addWidget(self.drop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.list)
        layout.addLayout(which)
        layout.addLayout(buttons)

    @property
    def value(self) -> Lines:
        """A task and a loss a line."""
        return self._lines

    @value.setter
    def value(self, lines: Iterable[Line]) -> None:
        self._lines = tuple((task, dict(loss)) for task, loss in lines)
        self.list.clear()
        for task, loss in self._lines:
            text = f"{self._tasks.get(task, task)}: {KINDS.get(loss['kind'], loss['kind'])}"
            self.list.addItem(text + (f" × {loss['weight']:g}" if "weight" in loss else ""))
        self.changed.emit(self._lines)

    def setToolTip(self, text: str) -> None:
        """Say in the list what it holds; the other parts have tooltips of their own."""
        self.list.setToolTip(text)

    def _add(self) -> None:
        loss: dict[str, Any] = {"kind": self.kind_box.currentData()}
        if self.weight_box.value() > 0:
            loss["weight"] = self.weight_box.value()
        task = self.task_box.currentData()
        others = [(t, each) for t, each in self._lines if (t, each["kind"]) != (task, loss["kind"])]
        self.value = (*others, (task, loss))

    def _drop(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            self.value = self._lines[:row] + self._lines[row + 1 :]
