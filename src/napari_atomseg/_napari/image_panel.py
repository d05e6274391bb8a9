"""Panels that work on an image layer: its choice, its sampling, and the model."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from magicgui.widgets import ComboBox
from napari.layers import Image, Layer

from napari_atomseg import weights
from napari_atomseg._napari.calibrate import Calibrate, UseScale
from napari_atomseg._napari.forms.form import Inputs, make_narrow
from napari_atomseg._napari.layers import (
    PASSING,
    SAMPLING_DECIMALS,
    Source,
    chosen_sampling,
    layer_sampling,
    shown_sampling,
    unwrapped,
)
from napari_atomseg._napari.models.choice import ModelChooser, model_changes, model_choices
from napari_atomseg._napari.origin import Origin
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.preferences import preferences
from napari_atomseg._napari.replace import replacements
from napari_atomseg._napari.stack import SHOWN, StackSettings, at_frame_shown, frames_of
from napari_atomseg._napari.steps import recorded_image
from napari_atomseg._shared.types import Sampling
from napari_atomseg.inference.settings import ADVANCED, ModelSettings
from napari_atomseg.settings import Settings, about, setting

if TYPE_CHECKING:
    import napari.viewer

AS_PREFERRED = "preferences"
_QUALITY = about(ModelSettings, "quality")


class SamplingSettings(Settings):
    """The sampling of an image layer."""

    sampling: float | None = setting(
        None,
        "Sampling",
        "Size of a pixel, taken from the layer's scale and units where it has any. "
        "If unknown, the scale of the columns is estimated from the image.",
        unit="Å/px",
        limits=(10**-SAMPLING_DECIMALS, 100.0),
        step=0.01,
        decimals=SAMPLING_DECIMALS,
        none="unknown",
    )


class DeviceSettings(Settings):
    """Where to compute."""

    device: str = setting(
        AS_PREFERRED,
        "Device",
        "Where to compute. Preferences has the default, and the precision and tile size.",
        choices={
            AS_PREFERRED: "as in Preferences",
            "auto": "automatic",
            "cpu": "CPU",
            "cuda": "GPU (CUDA)",
            "mps": "GPU (Apple)",
        },
        section=ADVANCED,
    )


class LayerSettings(SamplingSettings, StackSettings, DeviceSettings):
    """Settings of everything that applies a network to an image layer."""


class PreferredSettings(ModelSettings):
    """Settings of models, whose defaults are those of Preferences."""

    quality: str = setting(  # type: ignore[assignment]
        AS_PREFERRED,
        _QUALITY.label,
        f"{_QUALITY.help} Preferences has the default.",
        choices={AS_PREFERRED: "as in Preferences", **(_QUALITY.choices or {})},
        section=ADVANCED,
    )


class ImageSettings(LayerSettings, PreferredSettings):
    """Settings of everything that applies a model to the columns of an image layer."""


class LayerPanel(Panel):
    """A panel with an image to work on, whose sampling follows the layer."""

    def __init__(self, viewer: napari.viewer.Viewer, inputs: Inputs | None = None) -> None:
        super().__init__(viewer, inputs)
        self._followed: Layer | None = None
        self._image = ComboBox(
            name="image", choices=lambda _widget: [(layer.name, layer) for layer in self.images()]
        )
        make_narrow(self._image.native)
        self._image.native.setToolTip("The image layer to work on")
        self.form.rows.insertRow(0, "Image", self._image.native)
        self.calibration = Calibrate(self.viewer, lambda: self.image)
        self.form.rows.insertRow(1, self.calibration)
        # Sampling and frames belong to the image, wherever the settings of a panel put them.
        for row, name in ((2, "sampling"), (3, "stack")):
            if name in self.form.inputs:
                taken = self.form.rows.takeRow(self.form.inputs[name].native)
                label, choice = taken.labelItem.widget(), taken.fieldItem.widget()
                self.form.rows.insertRow(row, label, choice)
        self.use_scale = UseScale(self.viewer, self.form, lambda: self.image)
        self._image.changed.connect(self._follow_image)
        self._seen: WeakSet[Layer] = WeakSet()
        self.take_newest()
        self._image.changed.connect(self._saw)
        replacements.happened.connect(self._follow_replaced)
        self._follow_image()

    @property
    def image(self) -> Image | None:
        """The image layer to work on; set it to a layer of the viewer or to its name."""
        return self._image.value

    @image.setter
    def image(self, layer: Layer | str) -> None:
        layer = self.viewer.layers[layer] if isinstance(layer, str) else unwrapped(layer)
        Source.of(layer)
        if layer not in self.viewer.layers:
            raise ValueError(f"{layer.name!r} is not a layer of this viewer: add it first")
        self.reset_choices()
        self._image.value = layer
        self._saw()

    def take_newest(self) -> None:
        """Choose the recorded image behind what is selected or was added last.

        Only layers that came after the last choice count: what the user chose stays.
        """
        layers = self.viewer.layers
        fresh = [layer for layer in layers if layer not in self._seen]
        active = layers.selection.active
        candidates = [active] if active in fresh else []
        for layer in (*candidates, *reversed(fresh)):
            image = recorded_image(layer, layers)
            if image in self.images():
                self._image.reset_choices()
                self._image.value = image
                break
        self._saw()

    def _saw(self, _layer: object = None) -> None:
        self._seen.update(self.viewer.layers)

    def warn_of_restored(self) -> None:
        """Say below the image when it is a restored one, and offer the recorded one instead."""
        self.origin = Origin()
        self.form.rows.insertRow(1, self.origin)
        self.origin.asked.connect(lambda name: setattr(self, "image", name))
        self._image.changed.connect(self._follow_origin)
        self._follow_origin()

    def _follow_origin(self, _layer: object = None) -> None:
        self.origin.follow(self.image, self.viewer.layers)

    def images(self) -> list[Image]:
        """Return the layers that can be chosen."""
        return [
            layer
            for layer in self.viewer.layers
            if isinstance(layer, Image) and PASSING not in layer.metadata
        ]

    def reset_choices(self, event: Any = None) -> None:
        """Offer the layers that the viewer holds now; napari calls this when they change."""
        self._image.reset_choices()
        self._follow_image()
        self.calibration.reset_choices()

    def source(self) -> Source:
        """Return the data of the chosen layer, of a stack all frames or the one that is shown.

        A ValueError is a sentence for the user.
        """
        layer = self.image
        source = Source.of(layer)
        if layer is None or not self._offers_frames() or self.form["stack"] != SHOWN:
            return source
        return at_frame_shown(source, layer, self.viewer.dims)

    def _offers_frames(self) -> bool:
        """Whether there are frames to choose from, and the panel can work on one of them."""
        return "stack" in self.form.inputs and frames_of(self.image) > 1

    def settle(self) -> None:
        """Give a typed scale to a layer without one."""
        self.use_scale.settle()

    def sampling_of(self, source: Source) -> Sampling | None:
        """Return the sampling that the panel shows, or the layer's own pair that it stands for."""
        return chosen_sampling(self.form["sampling"], source.sampling)

    def _follow_image(self, event: Any = None) -> None:
        layer = self.image
        if layer is self._followed:
            return
        if self._followed is not None:
            for emitter in (self._followed.events.scale, self._followed.events.units):
                emitter.disconnect(self._show_sampling)
        self._followed = layer
        if layer is not None:
            for emitter in (layer.events.scale, layer.events.units):
                emitter.connect(self._show_sampling)
        if "stack" in self.form.inputs:
            self.form.show_row("stack", self._offers_frames())
        self._show_sampling()

    def _follow_replaced(self, old: Layer, new: Layer) -> None:
        """Choose the image that came in place of the chosen one."""
        if old is not new and old is self._followed and new in self.images():
            self.image = new

    def _show_sampling(self, event: Any = None) -> None:
        sampling = None if self.image is None else layer_sampling(self.image)
        self.form["sampling"] = None if sampling is None else shown_sampling(sampling)
        self.use_scale.offer()
        if self.step_row is not None:
            self.step_row.refresh()


class ImagePanel(LayerPanel):
    """A panel that applies a model to an image."""

    def __init__(self, viewer: napari.viewer.Viewer, inputs: Inputs | None = None) -> None:
        super().__init__(viewer, {**(inputs or {}), "model": _model_box})
        self._models = ModelChooser(self.form.inputs["model"], self, self._tasks)
        self._models.refresh()
        model_changes.happened.connect(self._offer_models)

    @property
    def model(self) -> str:
        """Name of the model or path of its weights file; None sets the default."""
        return self._models.value

    @model.setter
    def model(self, model: str | Path | None) -> None:
        self._models.value = model

    def _tasks(self) -> tuple[str, ...]:
        return self.tasks(self.form.values())

    def _offer_models(self, _setting: object = None) -> None:
        self._models.refresh()

    @staticmethod
    @abstractmethod
    def tasks(settings: Any) -> tuple[str, ...]:
        """Return the tasks that a model needs for the settings of the panel."""

    def options(self, source: Source) -> dict[str, Any]:
        """Return the keyword arguments of the core that all panels of columns share."""
        set_by_user, quality = preferences(), self.form["quality"]
        return self.layer_options(source) | {
            "contrast": self.form["contrast"],
            "quality": set_by_user.quality if quality == AS_PREFERRED else quality,
            "precision": set_by_user.precision,
            "tile_size": set_by_user.tile_size,
        }

    def layer_options(self, source: Source) -> dict[str, Any]:
        """Return those of them that any model has."""
        if not self.model and self._tasks():
            raise ValueError(weights.choice(self._tasks()))
        device = self.form["device"]
        return {
            "model": self.model,
            "sampling": self.sampling_of(source),
            "device": preferences().device if device == AS_PREFERRED else device,
        }


def _model_box() -> ComboBox:
    box = ComboBox(name="model", choices=lambda _widget: model_choices())
    make_narrow(box.native)
    return box
