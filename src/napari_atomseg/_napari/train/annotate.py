"""Annotating with the help of a model: it marks the columns of images, which are then corrected."""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer
from qtpy.QtWidgets import QListWidget, QPushButton

from napari_atomseg import weights
from napari_atomseg._napari.forms.choices import NameOrFile
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import Source, point_size, points_layer
from napari_atomseg._napari.models.choice import fetch_model, identity, model_changes
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.train.recipe import ANNOTATED
from napari_atomseg._napari.train.watch import species_colour
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress, report
from napari_atomseg.settings import Settings, setting
from napari_atomseg.weights.store import own_models

if TYPE_CHECKING:
    import napari.viewer

    from napari_atomseg._napari.train.panel import Training
    from napari_atomseg.localization.suggest import Suggestion


class AnnotateSettings(Settings):
    """The model that marks the columns."""

    model: str = setting(
        weights.DEFAULT, "Model", "Model that marks the columns of images without annotation."
    )


class Annotate(Panel):
    """Lists the images without annotation, those first of which a model is least sure."""

    title = "Annotate"
    Settings = AnnotateSettings

    def __init__(self, viewer: napari.viewer.Viewer, training: Training) -> None:
        super().__init__(
            viewer, {"model": lambda: NameOrFile(_models(), "Model weights (*.safetensors)")}
        )
        self.training = training
        self.suggestions: list[tuple[Source, Suggestion]] = []
        self.run_button.setText("Find what to annotate next")
        self.list = QListWidget()
        self.list.setToolTip("Images, the one of which the model is least sure first")
        self.mark_button = QPushButton("Mark columns, to be corrected")
        self.mark_button.setToolTip(
            "Add the columns of the chosen image as points layers, a layer a species, and add the\n"
            "image with them to those to learn from; a double click does the same"
        )
        self.mark_button.setEnabled(False)
        self.mark_button.clicked.connect(lambda _checked: self._try_to_mark())
        self.list.itemActivated.connect(lambda _item: self._try_to_mark())
        self.add_footer(self.list)
        self.add_footer(self.mark_button, stretch=0)
        model_changes.happened.connect(self._offer_models)

    def prepare(self) -> tuple[str, Work, Show]:
        known = {image for image, _ in self.training.form["pairs"]}
        sources = [
            Source.of(layer)
            for layer in self.viewer.layers
            if isinstance(layer, Image) and layer.ndim == 2 and layer.name not in known
        ]
        if not sources:
            raise ValueError("every image of the viewer is annotated: open or add others first")
        self.list.clear()
        self.mark_button.setEnabled(False)
        return "Annotate", partial(_ranked, sources, self.form["model"]), self._show

    def summary(self, result: Any) -> str:
        return f"{self.form['model']!r} is least sure of {result[0][0].name!r}"

    def mark(self, row: int = 0) -> list[Layer]:
        """Add the columns of a listed image to the viewer, and the image to those to learn from.

        The Train panel is set to learn more, from the model that has marked them.

        Raises
        ------
        ValueError
            There is no such row, or its image is no layer any more.
        """
        if not 0 <= row < len(self.suggestions):
            raise ValueError("find out what to annotate next, and choose an image first")
        source, suggestion = self.suggestions.pop(row)
        self.list.takeItem(row)
        self.mark_button.setEnabled(bool(self.suggestions))
        if source.name not in self.viewer.layers:
            raise ValueError(f"there is no layer {source.name!r} any more")
        layers = self._points(source, suggestion)
        for layer in layers:
            self.viewer.add_layer(layer)
        self._learn(source.name, [layer.name for layer in layers])
        number = len(suggestion.columns)
        self.message.setText(f"Correct the {number} columns of {source.name!r}, then train")
        return layers

    def _points(self, source: Source, suggestion: Suggestion) -> list[Layer]:
        path = weights.resolve(self.form["model"])
        made = provenance("annotate", source.name, {}, **identity(path))
        layers = []
        for number, (species, rows) in enumerate(suggestion.columns.groupby("species")):
            layer = points_layer(
                rows, f"{source.name} {species}", source.placement.arguments(), made
            )
            layer.border_color = species_colour(number)
            layer.size = point_size(suggestion.columns)
            layers.append(layer)
        if not layers:
            raise ValueError(f"{self.form['model']!r} finds no columns in {source.name!r}")
        return layers

    def _learn(self, image: str, points: list[str]) -> None:
        form, model = self.training.form, self.form["model"]
        form["source"] = ANNOTATED
        form["pairs"] = (*form["pairs"], (image, tuple(points)))
        if model in own_models():
            form["initial"] = model
            form["name"] = next_name(model)

    def _show(self, ranked: Any) -> Any:
        self.suggestions = list(ranked)
        for source, suggestion in ranked:
            count, bits = len(suggestion.columns), suggestion.uncertainty
            self.list.addItem(f"{source.name}: {count} columns, uncertainty {bits:.3f}")
        self.list.setCurrentRow(0)
        self.mark_button.setEnabled(True)
        return ranked

    def _try_to_mark(self) -> None:
        self.attempt(lambda: self.mark(self.list.currentRow()))

    def _offer_models(self) -> None:
        self.form.inputs["model"].offer(_models())


def next_name(name: str) -> str:
    """Return a name that no model has yet: with the next number at its end."""
    match = re.fullmatch(r"(.*?)(?: (\d+))?", name)
    stem, number = (match[1], int(match[2] or 1)) if match else (name, 1)
    taken = own_models()
    while (candidate := f"{stem} {number + 1}") in taken:
        number += 1
    return candidate


def _models() -> dict[str, str]:
    preferences()
    return {name: name for name in weights.models_for(())}


def _ranked(
    sources: list[Source], model: str, progress: Progress, cancel: CancelToken
) -> list[tuple[Source, Suggestion]]:
    """Return the columns that a model finds in images, the least certain image first."""
    from napari_atomseg.localization.suggest import suggest

    path = fetch_model(model, progress, cancel)
    chosen = preferences()
    found = []
    for number, source in enumerate(sources):
        report(progress, cancel, number, len(sources), source.name)
        suggestion = suggest(
            source.data,
            path,
            sampling=source.sampling,
            device=chosen.device,
            precision=chosen.precision,
            tile_size=chosen.tile_size,
            cancel=cancel,
        )
        found.append((source, suggestion))
    return sorted(found, key=lambda each: -each[1].uncertainty)
