"""Training pairs from layers: an image, and its points, labels or clean image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QHBoxLayout,
    QListWidget,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.large import require_memory
from napari_atomseg._napari.layers import Source, grey_data

if TYPE_CHECKING:
    import napari.viewer

Pair = tuple[str, tuple[str, ...]]
"""Name of an image layer, and names of the layers of its truth."""
_HEIGHT = 72
_BYTES = 16
"""Memory that training takes for each pixel of its images."""


@dataclass(frozen=True)
class Taken:
    """An image and its truth, taken from layers: they may change while a training runs.

    Attributes
    ----------
    data, labels, target : (..., H, W).
    points : (P, 2) in pixels of the image or, of a stack, (P, 3) with the number of the frame,
        which counts over the leading axes in C order.
    species : a name a point.
    """

    name: str
    data: Any
    points: NDArray[np.float64] | None
    species: tuple[str, ...]
    labels: Any
    target: Any


class LayerPairs(QWidget):
    """Pairs that are made of the layers that are selected in the viewer."""

    changed = Signal(object)
    whole_row = True
    """Takes the room of its label too."""

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.native = self
        self._viewer = viewer
        self._pairs: tuple[Pair, ...] = ()
        self.list = QListWidget()
        self.list.setMaximumHeight(_HEIGHT)
        self.add_button, self.drop_button = QPushButton("Add selected layers"), QPushButton("−")
        self.add_button.setToolTip(
            "Select an image in the layer list together with its points (a layer or a feature a\n"
            "species), its labels, or a clean image of the same size above it"
        )
        self.drop_button.setToolTip("Take the chosen line away")
        self.drop_button.setMaximumWidth(28)
        self.add_button.clicked.connect(self._add)
        self.drop_button.clicked.connect(self._drop)
        buttons = QHBoxLayout()
        buttons.addWidget(self.add_button, 1)
        buttons.addWidget(self.drop_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.list)
        layout.addLayout(buttons)

    @property
    def value(self) -> tuple[Pair, ...]:
        """Names of the image and of the layers of its truth, for each pair."""
        return self._pairs

    @value.setter
    def value(self, pairs: Iterable[tuple[str, Sequence[str]]]) -> None:
        self._pairs = tuple((image, tuple(truth)) for image, truth in pairs)
        self.list.clear()
        for image, truth in self._pairs:
            self.list.addItem(f"{image} ← {', '.join(truth)}" if truth else image)
        self.changed.emit(self._pairs)

    def _add(self) -> None:
        selected = [
            layer for layer in self._viewer.layers if layer in self._viewer.layers.selection
        ]
        images = [layer for layer in selected if isinstance(layer, Image)]
        truth = [layer for layer in selected if isinstance(layer, Points | Labels)]
        if not images:
            show_error("Train: select an image layer and its points, labels or clean image")
            return
        if truth or len(images) == 2:
            known = [*truth, *images[1:]]
            self.value = (*self._pairs, (images[0].name, tuple(layer.name for layer in known)))
        else:
            self.value = (*self._pairs, *((image.name, ()) for image in images))

    def _drop(self) -> None:
        row = self.list.currentRow()
        if row >= 0:
            self.value = self._pairs[:row] + self._pairs[row + 1 :]


def take_pairs(
    viewer: napari.viewer.Viewer, pairs: Sequence[Pair], feature: str, *, truth: bool
) -> list[Taken]:
    """Copy images and their truth from the layers of some pairs.

    Parameters
    ----------
    feature : of the points, that names their species; empty if each layer holds one species.
    truth : whether each image needs points, labels or a clean image.

    Raises
    ------
    ValueError
        There are no pairs, a layer is gone, empty, or does not fit its image; a sentence for the
        user.
    """
    if not pairs:
        raise ValueError("select the layers of an image in the layer list and add them here first")
    return [_taken(viewer, image, known, feature, truth) for image, known in pairs]


def _taken(
    viewer: napari.viewer.Viewer, image: str, known: tuple[str, ...], feature: str, truth: bool
) -> Taken:
    layer = _layer(viewer, image)
    source = Source.of(layer)
    require_memory(source.data, _BYTES, "training on a stack")
    layers = [_layer(viewer, name) for name in known]
    if truth and not layers:
        raise ValueError(f"nothing is known about {image!r}: add it with its points or labels")
    points = [each for each in layers if isinstance(each, Points)]
    labels = [_alike(each, source) for each in layers if isinstance(each, Labels)]
    targets = [_alike(each, source) for each in layers if isinstance(each, Image)]
    for kind, several in (("label images", labels), ("clean images", targets)):
        if len(several) > 1:
            raise ValueError(f"{image!r} has {len(several)} {kind}: one is enough")
    marks = [_marks(each, layer) for each in points]
    return Taken(
        source.name,
        source.data,
        np.concatenate(marks) if marks else None,
        tuple(name for each in points for name in _species(each, image, feature)),
        labels[0] if labels else None,
        targets[0] if targets else None,
    )


def _layer(viewer: napari.viewer.Viewer, name: str) -> Layer:
    if name not in viewer.layers:
        raise ValueError(f"there is no layer {name!r} any more: take its line away")
    return viewer.layers[name]


def _alike(layer: Labels | Image, source: Source) -> Any:
    """Return the data of a layer that must be as large as its image."""
    data = grey_data(layer)
    if tuple(data.shape) != tuple(source.data.shape):
        raise ValueError(
            f"{layer.name!r} has {_size(data.shape)} pixels, its image {source.name!r} "
            f"{_size(source.data.shape)}: they must be of one size"
        )
    return data


def _marks(points: Points, image: Image) -> NDArray[np.float64]:
    """Return points in the pixels of an image, before them the frame of a stack."""
    if not len(points.data):
        raise ValueError(f"points layer {points.name!r} is empty: add points, or leave it out")
    if points.ndim != image.ndim:
        raise ValueError(
            f"points layer {points.name!r} has {points.ndim} axes, its image {image.name!r} "
            f"{image.ndim}: they must have as many"
        )
    places = _in_pixels(points, image)
    if image.ndim == 2:
        return places
    top = np.array(grey_data(image).shape[:-2])
    leading = np.rint(places[:, :-2]).astype(int).clip(0, top - 1)
    frames = np.ravel_multi_index(tuple(leading.T), tuple(top))
    return np.column_stack([frames, places[:, -2:]])


def _species(points: Points, image: str, feature: str) -> list[str]:
    """Return the name of each point's species: a feature of it, or the layer's name.

    Several images have points of the same species: what napari adds to make layers' names differ,
    as " [1]", and the name of the image in front do not belong to the species.
    """
    if not feature:
        name = re.sub(r" \[\d+\]$", "", points.name).removeprefix(f"{image} ")
        return [name] * len(points.data)
    if feature not in points.features:
        known = ", ".join(map(str, points.features)) or "none"
        raise ValueError(f"points layer {points.name!r} has no feature {feature!r}; it has {known}")
    return [str(value) for value in points.features[feature]]


def _in_pixels(points: Points, image: Image) -> NDArray[np.float64]:
    """Return the positions of points in pixels of an image: layers may be scaled and turned."""

    def moved(position: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(image.world_to_data(points.data_to_world(position)), dtype=float)

    origin = moved(np.zeros(points.ndim))
    directions = np.array([moved(axis) - origin for axis in np.eye(points.ndim)])
    return np.asarray(points.data, dtype=float) @ directions + origin


def _size(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape))
