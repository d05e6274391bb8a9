"""Browsing a library: open it, search it, show its samples as layers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QPushButton

from napari_atomseg._napari.forms.form import Inputs
from napari_atomseg._napari.forms.inputs import (
    NO_FOLDER,
    Bounds,
    BoundsInput,
    WordInput,
    chosen_folder,
)
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import image_layer, labels_layer, points_layer, sampled
from napari_atomseg._napari.library.gallery import Gallery
from napari_atomseg._napari.panel import Panel
from napari_atomseg.io import provenance
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, setting

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_atomseg.simulation.library.read import LibrarySample


_MAPS = "element_maps"
_MASKS = ("circular_mask", "small_circular_mask")
_COLOURS = ("cyan", "magenta", "yellow", "green", "red", "blue")


def sample_layers(
    sample: LibrarySample, source: str, *, targets: bool = True, columns: bool = True
) -> list[Layer]:
    """Return the layers of a sample, the image first, the columns last.

    Parameters
    ----------
    source : name of the library, for the record.
    targets : whether the targets come too, hidden: masks as labels with a number a column.
    columns : whether the true positions come too, as points.
    """
    place = _place(sample.sampling)
    made = provenance("library", source, sample.settings)
    layers: list[Layer] = [image_layer(sample.image, sample.name, place, made)]
    if targets:
        layers += list(_target_layers(sample, place, made))
    if columns and len(sample.columns):
        known = "elements" if "elements" in sample.columns else "radius"
        name = f"{sample.name} true columns"
        layers.append(points_layer(sample.columns, name, place, made, colour_by=known))
    return layers


def _target_layers(
    sample: LibrarySample, place: dict[str, Any], made: dict[str, Any]
) -> Iterator[Layer]:
    from napari_atomseg.simulation.result import label_columns

    positions = sample.columns[["y", "x"]].to_numpy(dtype=float)
    for target, data in sample.targets.items():
        short = target.removesuffix("upinterpolation_2x") + "2x" * target.endswith("2x")
        name = f"{sample.name} {short.replace('_', ' ')}"
        if target in _MASKS and len(positions):
            yield labels_layer(label_columns(data, positions), name, place, made)
        elif target == _MAPS:
            yield from _map_layers(sample, data, place, made)
        elif isinstance(data, np.ndarray) and data.ndim == 2:
            finer = _finer(place, data.shape[0] / sample.image.shape[0])
            yield image_layer(data, name, finer, made)


def _map_layers(
    sample: LibrarySample, maps: Any, place: dict[str, Any], made: dict[str, Any]
) -> Iterator[Layer]:
    elements = sample.settings.get("elements", range(len(maps)))
    for number, (element, data) in enumerate(zip(elements, maps, strict=False)):
        colour = _COLOURS[number % len(_COLOURS)]
        name = f"{sample.name} map of {element}"
        yield image_layer(data, name, place, made, colormap=colour, blending="additive")


def _place(sampling: float | None) -> dict[str, Any]:
    return sampled(sampling) or {"scale": (1.0, 1.0)}


def _finer(place: dict[str, Any], factor: float) -> dict[str, Any]:
    """Return the place of an image with `factor` times the pixels on the same area."""
    scale = np.asarray(place["scale"])
    return place | {"scale": scale / factor, "translate": 0.5 * scale * (1.0 / factor - 1.0)}


_SEARCH, _SHOW = "Search", "Show"
_FILTERS = ("material", "zone_axis", "field_of_view", "dose", "psnr")


class BrowseSettings(Settings):
    """Where a library is and which of its samples are shown."""

    folder: Path | None = setting(
        None, "Library", "Folder of a library, or of TEM ImageNet v1.3.", none=NO_FOLDER
    )
    verify: bool = setting(
        False, "Verify", "Compare every file with its checksum when the library is opened."
    )
    material: str = setting("", "Material", "Part of its name, such as SrTiO3.", section=_SEARCH)
    zone_axis: str = setting("", "Zone axis", "Indices, such as 1 1 0.", section=_SEARCH)
    field_of_view: Bounds = setting(
        (None, None), "Field of view", "Width of the image.", unit="Å", section=_SEARCH
    )
    dose: Bounds = setting(
        (None, None), "Dose", "Electrons per pixel where the signal is full.", section=_SEARCH
    )
    psnr: Bounds = setting(
        (None, None), "PSNR", "Peak signal-to-noise ratio.", unit="dB", section=_SEARCH
    )
    targets: bool = setting(
        True, "Targets", "Also add masks and restored images, hidden at first.", section=_SHOW
    )
    columns: bool = setting(
        True, "Columns", "Also add the true positions as points.", section=_SHOW
    )
    replace: bool = setting(
        True, "Replace", "Remove the layers of the sample that was shown before.", section=_SHOW
    )


class Browse(Panel):
    """Opens a library, searches it, and shows its samples."""

    title = "Open library"
    Settings = BrowseSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        inputs: Inputs = {
            "material": partial(WordInput, "any"),
            "zone_axis": partial(WordInput, "any"),
            "field_of_view": partial(BoundsInput, 0.0, 1e5, "Å"),
            "dose": partial(BoundsInput, 0.0, 1e9, ""),
            "psnr": partial(BoundsInput, -100.0, 200.0, "dB"),
        }
        super().__init__(viewer, inputs)
        self.library: Any = None
        self._layers: list[Layer] = []
        self.run_button.setText("Open library")
        self.gallery = Gallery()
        self.gallery.chosen.connect(self._try_to_show)
        self.show_button = QPushButton("Show sample")
        self.show_button.setToolTip("Add the selected sample to the viewer, as a double click does")
        self.show_button.clicked.connect(lambda _checked: self._try_to_show(self.gallery.selected))
        self.add_footer(self.gallery)
        self.add_footer(self.show_button, stretch=0)
        self.show_button.setEnabled(False)
        for name in _FILTERS:
            self.form.inputs[name].changed.connect(lambda _value: self.search())

    def prepare(self) -> tuple[str, Work, Show]:
        folder = chosen_folder(self.form["folder"])
        work = partial(_open, folder, self.form["verify"])
        return f"Open {folder.name}", work, self._show_library

    def summary(self, result: Any) -> str:
        return f"{len(result)} samples in {result.folder.name}"

    def search(self) -> None:
        """Show the samples that the search finds, from the first page on."""
        if self.library is None:
            return
        from napari_atomseg.simulation.library.read import select_samples

        wanted = {name: self.form[name] for name in _FILTERS}
        numbers = select_samples(self.library.table, **wanted)
        self.gallery.show_samples(self.library, numbers.tolist())
        self.show_button.setEnabled(bool(len(numbers)))

    def show_sample(self, number: int | None) -> list[Layer]:
        """Add a sample of the library to the viewer and return its layers.

        Raises
        ------
        ValueError
            No library is open, or no sample is selected.
        LibraryError
            A file of the sample is missing or damaged.
        """
        if self.library is None or number is None:
            raise ValueError("open a library and select a sample first")
        sample = self.library.sample(number)
        layers = sample_layers(
            sample,
            self.library.folder.name,
            targets=self.form["targets"],
            columns=self.form["columns"],
        )
        if self.form["replace"]:
            for layer in self._layers:
                if layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)
        for layer in layers:
            layer.visible = layer in (layers[0], layers[-1])
            self.viewer.add_layer(layer)
        self._layers = layers
        if len(self.viewer.layers) == len(layers):  # fields of view differ
            self.viewer.reset_view()
        self.message.setText(f"Added {sample.name} with {len(layers) - 1} layers of truth")
        return layers

    def cancel(self) -> None:
        """Ask the running work to stop, and the gallery too."""
        super().cancel()
        self.gallery.cancel()

    def _try_to_show(self, number: int | None) -> None:
        self.attempt(lambda: self.show_sample(number))

    def _show_library(self, library: Any) -> Any:
        self.library = library
        self.search()
        return library


def _open(folder: Path, verify: bool, progress: Progress, cancel: CancelToken) -> Any:
    from napari_atomseg.simulation.library.read import open_library

    progress(0, 0, f"opening {folder.name}")
    return open_library(folder, verify=verify, progress=progress, cancel=cancel)
