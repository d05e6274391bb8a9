"""The Start panel: open an image, see what it is, and give the size of its pixels."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from magicgui.widgets import ComboBox
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_atomseg._napari.calibrate import Calibrate
from napari_atomseg._napari.columns.layers import image_layers
from napari_atomseg._napari.dock import Docked
from napari_atomseg._napari.forms.form import make_narrow
from napari_atomseg._napari.jobs import attempt
from napari_atomseg._napari.layers import PROVENANCE, layer_sampling, raw_of, unwrapped
from napari_atomseg._napari.panel import Scroll
from napari_atomseg._napari.step_row import PLUGIN, NextButton, StepRow
from napari_atomseg._shared.units import pixel_size
from napari_atomseg.networks.tasks import Modality

if TYPE_CHECKING:
    import napari.viewer

_WIDTH = 300


class Start(Docked):
    """Opens images, says what the chosen one is, and sets the size of its pixels.

    Parameters
    ----------
    viewer : the viewer that images are opened in.
    """

    title = "Start"

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.viewer = unwrapped(viewer)
        self._followed: Image | None = None
        self.step_row = StepRow(self.viewer, "Start")
        self.open_button = QPushButton("Open a file …")
        self.open_button.setToolTip("Open microscope files, pictures and tables of columns")
        self.open_button.clicked.connect(lambda _on: self.ask_for_file())
        self.sample_button = QPushButton("Sample data")
        self.sample_button.setToolTip("Open an image to try the steps on")
        self.sample_button.setMenu(QMenu(self.sample_button))
        self._offer_samples()
        self.tour_button = QPushButton("Tour")
        self.tour_button.setToolTip("From sample data to a map in five steps")
        self.tour_button.clicked.connect(lambda _on: self.take_tour())
        self._image = ComboBox(
            name="image", choices=lambda _widget: [(each.name, each) for each in self.images()]
        )
        make_narrow(self._image.native)
        self._image.native.setToolTip("The image layer that is described and calibrated")
        self.about, self.message = QLabel(), QLabel()
        for label in (self.about, self.message):
            label.setWordWrap(True)
            label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.calibration = Calibrate(self.viewer, lambda: self.image)
        self.calibration.expand(animate=False)
        self.next_button = NextButton(self.viewer, "Start")
        self._arrange()
        self._image.changed.connect(self._follow)
        self.viewer.layers.selection.events.active.connect(self._follow_active)
        self.take_newest()

    @property
    def image(self) -> Image | None:
        """The image layer that is described; set it to a layer of the viewer or to its name."""
        return self._image.value

    @image.setter
    def image(self, layer: Image | str) -> None:
        layer = self.viewer.layers[layer] if isinstance(layer, str) else unwrapped(layer)
        self.reset_choices()
        if layer not in self.images():
            raise ValueError(f"{layer.name!r} is no image of this viewer: choose an image layer")
        self._image.value = layer

    def images(self) -> list[Image]:
        """Return the layers that can be chosen."""
        return [layer for layer in image_layers(self.viewer.layers) if layer.ndim >= 2]

    def take_newest(self) -> None:
        """Choose the image that is selected in the layer list, or else the newest."""
        self.reset_choices()
        images = self.images()
        active = self.viewer.layers.selection.active
        if images:
            self._image.value = active if active in images else images[-1]
        self._follow()

    def reset_choices(self, event: Any = None) -> None:
        """Offer the images that the viewer holds now; napari calls this when they change."""
        self._image.reset_choices()
        self.calibration.reset_choices()
        self._follow()

    def ask_for_file(self) -> None:
        """Open napari's dialog for files, and the files that are chosen in it."""
        attempt(self.title, self.viewer.window._qt_viewer._open_files_dialog, self.message)

    def open_sample(self, key: str) -> None:
        """Open sample data of this plugin, by its key in the manifest."""
        attempt(self.title, lambda: self.viewer.open_sample(PLUGIN, key), self.message)

    def take_tour(self) -> None:
        """Open the tour below the image."""
        self.viewer.window.add_plugin_dock_widget(PLUGIN, "Tour")

    def closed(self) -> None:
        """Stop what is being measured."""
        if self.calibration.job is not None:
            self.calibration.job.cancel()

    def showEvent(self, event: QShowEvent) -> None:
        super().showEvent(event)
        self.reset_choices()

    def _offer_samples(self) -> None:
        from npe2 import PluginManager

        manifest = PluginManager.instance().get_manifest(PLUGIN)
        menu = self.sample_button.menu()
        for sample in manifest.contributions.sample_data or ():
            menu.addAction(sample.display_name, partial(self.open_sample, sample.key))

    def _arrange(self) -> None:
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)
        content, frame = QWidget(), QVBoxLayout(self)
        rows, buttons = QVBoxLayout(content), QHBoxLayout()
        for layout in (frame, rows):
            layout.setSpacing(4)
        frame.setContentsMargins(6, 6, 6, 6)
        rows.setContentsMargins(0, 0, 0, 0)
        buttons.addWidget(self.open_button)
        buttons.addWidget(self.sample_button)
        buttons.addWidget(self.tour_button)
        choice = QFormLayout()
        choice.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        choice.addRow("Image", self._image.native)
        rows.addLayout(buttons)
        rows.addLayout(choice)
        rows.addWidget(self.about)
        rows.addWidget(self.calibration)
        rows.addStretch()
        frame.addWidget(self.step_row)
        frame.addWidget(Scroll(content, _WIDTH), 1)
        frame.addWidget(self.message)
        frame.addWidget(self.next_button)

    def _follow_active(self, event: Any = None) -> None:
        active = self.viewer.layers.selection.active
        if active is not None and active in self.images():
            self._image.reset_choices()
            self._image.value = active
            self._follow()

    def _follow(self, event: Any = None) -> None:
        layer = self.image
        if layer is not self._followed:
            for each, connect in ((self._followed, False), (layer, True)):
                for emitter in () if each is None else (each.events.scale, each.events.units):
                    (emitter.connect if connect else emitter.disconnect)(self._describe)
            self._followed = layer
        self._describe()

    def _describe(self, event: Any = None) -> None:
        """Say what the image is."""
        layer = self.image
        self.about.setText(
            "No image yet: open a file, drop one on the window, or take sample data."
            if layer is None
            else image_in_words(layer)
        )
        self.calibration.setVisible(layer is not None)
        self.next_button.offer(layer is not None)
        self.step_row.refresh()


def image_in_words(layer: Image) -> str:
    """Return a sentence or two about an image: size, kind, scale, and where it comes from.

    Examples
    --------
    "512 × 512 pixels of 0.1 Å: a field of 5.12 × 5.12 nm."
    """
    shape = tuple((layer.data[0] if layer.multiscale else layer.data).shape)
    if layer.rgb:
        shape = shape[:-1]
    height, width = shape[-2:]
    frames = 1
    for length in shape[:-2]:
        frames *= length
    size = f"{height} × {width} pixels"
    what = f"{frames} frames of {size}" if len(shape) > 2 else size
    origin = layer.metadata.get(PROVENANCE, {})
    kind = origin.get("settings", {}).get("kind", "image") if origin.get("action") == "read" else ""
    sampling = pixel_size(layer_sampling(layer))
    if sampling is None:
        scale = "no scale known: give it below, and columns are measured in pm rather than pixels"
        told = f"{what}, {scale}."
    else:
        dy, dx = sampling
        unit, factor = ("Å", 1.0) if max(sampling) < 100.0 else ("nm", 0.1)
        square = abs(dy - dx) <= 1e-3 * dx
        pixel = f"{dx * factor:.4g} {unit}"
        pixel = pixel if square else f"{dy * factor:.4g} × {pixel}"
        told = f"{what} of {pixel}: a field of {_field(height * dy, width * dx)}."
    if raw_of(layer) != layer.name:
        told += f" Restored from {raw_of(layer)!r}."
    if layer.rgb:
        told += " A picture in colours, whose luminance is used."
    if kind not in ("", "image"):
        told += f" The file calls it {kind}."
    modality = _modality(layer)
    return f"{told} Recorded by {modality}." if modality else told


def _modality(layer: Image) -> str:
    """Kind of the microscope, as the file of a layer names it; empty where it does not."""
    known = layer.metadata.get("file", {}).get("metadata", {}).get("Acquisition_instrument", {})
    if "SEM" in known:
        return "SEM"
    mode = str(known.get("TEM", {}).get("acquisition_mode", ""))
    return mode if mode in get_args(Modality) else ""


def _field(height: float, width: float) -> str:
    """A field of view (Å) in a unit that suits it."""
    unit, factor = ("nm", 0.1) if max(height, width) < 1e5 else ("µm", 1e-4)
    return f"{height * factor:.3g} × {width * factor:.3g} {unit}"
