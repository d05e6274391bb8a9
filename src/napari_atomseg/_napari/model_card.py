"""What a model says of itself, as a page to read."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from qtpy.QtWidgets import QTextBrowser

from napari_atomseg import weights
from napari_atomseg._napari.train_watch import TASK_NAMES, metric_name
from napari_atomseg.weights.about import about


class ModelCard(QTextBrowser):
    """Shows the card of a model; text can be selected and copied."""

    def __init__(self) -> None:
        super().__init__()
        self.setOpenLinks(False)
        self.setMinimumHeight(120)

    def text(self) -> str:
        """Return what is shown, without its layout."""
        return str(self.toPlainText())

    def show_text(self, text: str) -> None:
        """Show a sentence instead of a card."""
        self.setPlainText(text)

    def show_model(self, name: str) -> None:
        """Show the card of a model.

        Raises
        ------
        ValueError
            The name is not known.
        WeightsError
            The model's file is damaged.
        """
        lines = about(weights.model_entry(name), weights.find_file(name), task_name, _score_name)
        self.setHtml(_page(name, lines))


def task_name(task: str) -> str:
    """Return what panels call a task."""
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
