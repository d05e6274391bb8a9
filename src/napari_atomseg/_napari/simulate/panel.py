"""The Simulate panel: an image of a crystal, or a sample of a recipe, with its ground truth."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from qtpy.QtWidgets import QLabel

from napari_atomseg._napari.forms.choices import CRYSTAL_FILES, NameOrFile
from napari_atomseg._napari.forms.form import Inputs
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.message import with_notes
from napari_atomseg._napari.panel import Panel
from napari_atomseg._napari.preview import SIDE, Preview
from napari_atomseg._napari.simulate.distortions import DistortionList
from napari_atomseg._napari.simulate.layers import area, simulation_layers, specimen_name, title
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import Settings, setting
from napari_atomseg.simulation.settings import SimulationSettings

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

LAYERS = "Layers"
_LAYERS = ("add_ideal", "add_masks", "add_columns")
_ALWAYS = ("recipe", "shape", "seed", "preview")
_OF_RECIPES = ("index",)
_OF_CRYSTALS = ("crystal", "zone_axis", "sampling", "dose", "microscope")
_LARGEST_SAMPLE = 512
"""A sample of a recipe up to this side is previewed whole: cut smaller it would be another."""
_FAST = {"multislice-adf": "linear", "multislice-hrtem": "hrtem"}
"""Quick imaging in place of multislice, for the preview."""


class SourceSettings(Settings):
    """The source of the image: one crystal, or a sample of a recipe."""

    recipe: str = setting(
        "", "Simulate", "One crystal with the settings below, or a sample that a recipe draws."
    )
    index: int = setting(0, "Sample", "Number of the recipe's sample.", limits=(0, 2**31 - 1))


class LayerSettings(Settings):
    """The preview and the layers that are added to the viewer."""

    microscope: str = setting(
        "", "Microscope", "Sets the numbers in the sections Optics and Aberrations."
    )
    preview: bool = setting(True, "Live preview", "Draw a small image whenever a setting changes.")
    add_ideal: bool = setting(
        True,
        "Ideal image",
        "Also add the image without noise and distortion, below it.",
        section=LAYERS,
    )
    add_masks: bool = setting(
        True, "Masks", "Also add a label for every true column.", section=LAYERS
    )
    add_columns: bool = setting(
        True, "Columns", "Also add the true positions as points.", section=LAYERS
    )
    device: Literal["cpu", "cuda", "mps"] = setting(
        "cpu",
        "Compute on",
        "Where the image is computed.",
        choices={"cpu": "CPU", "cuda": "GPU (CUDA)", "mps": "GPU (Apple)"},
        section=LAYERS,
    )


class SimulateSettings(LayerSettings, SimulationSettings, SourceSettings):
    """Settings of the Simulate panel: the arguments of `simulate`, or a recipe and a number."""


class Simulate(Panel):
    """Simulates an image and its truth as new layers; a preview follows the settings."""

    Settings = SimulateSettings
    title = "Simulate"
    width_of_form = 350

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        inputs: Inputs = {
            "recipe": lambda: NameOrFile(
                {"": "one crystal", **{name: f"recipe {name}" for name in _recipes()}},
                "Recipes (*.yaml *.yml)",
            ),
            "crystal": lambda: NameOrFile({name: name for name in _crystals()}, CRYSTAL_FILES),
            "microscope": lambda: NameOrFile(
                {"": "own numbers", **{name: _short(name) for name in _microscopes()}}
            ),
            "distortions": DistortionList,
        }
        super().__init__(viewer, inputs)
        self._presets = _microscopes()
        self._microscope = ""
        self._setting = False
        self._notes: tuple[str, ...] = ()
        self.preview_picture = Preview()
        self._field_of_view = QLabel()
        self.add_header(self.preview_picture)
        self._add_field_of_view()
        self.form.changed.connect(self._follow)
        self._follow()

    def prepare(self) -> tuple[str, Work, Show]:
        settings = self.form.values()
        wanted = {name: getattr(settings, name) for name in _LAYERS}
        work = partial(_simulate, settings)
        return f"Simulate {title(dict(settings))}", work, partial(self._show, wanted)

    def summary(self, result: list[Layer]) -> str:
        added = "Added " + ", ".join(repr(layer.name) for layer in result)
        return with_notes(added, self._notes)

    def closed(self) -> None:
        """Draw no preview when the dock that holds the panel is closed."""
        super().closed()
        self.preview_picture.stop()

    def showEvent(self, event: Any) -> None:
        """Catch up with what changed while the panel was out of sight."""
        super().showEvent(event)
        self._refresh()

    def _add_field_of_view(self) -> None:
        rows, sampling = self.form.rows, self.form.inputs["sampling"].native
        self._field_of_view.setToolTip("Size of the image times size of a pixel")
        rows.insertRow(rows.indexOf(sampling) // 2 + 1, "Field of view", self._field_of_view)

    def _follow(self) -> None:
        """Do what a change of the form asks for."""
        if self._setting:
            return
        self._setting = True
        try:
            self._follow_microscope()
        finally:
            self._setting = False
        self._show_rows()
        self._refresh()

    def _follow_microscope(self) -> None:
        """Set the numbers of a newly chosen microscope; drop it when one of them is changed."""
        chosen = self.form["microscope"]
        preset = self._presets.get(chosen, {})
        if chosen != self._microscope:
            for name, value in preset.items():
                self.form[name] = value
        elif any(self.form[name] != value for name, value in preset.items()):
            chosen = self.form["microscope"] = ""
        self._microscope = chosen

    def _show_rows(self) -> None:
        recipe = bool(self.form["recipe"])
        for name in _OF_RECIPES:
            self.form.show_row(name, recipe)
        for name in _OF_CRYSTALS:
            self.form.show_row(name, not recipe)
        for name, section in self.form.sections.items():
            section.setVisible(name == LAYERS or not recipe)
        self.form.rows.labelForField(self._field_of_view).setVisible(not recipe)
        self._field_of_view.setVisible(not recipe)
        height, width = (side * self.form["sampling"] for side in self.form["shape"])
        self._field_of_view.setText(area(height, width))

    def _refresh(self) -> None:
        """Ask for a preview of the settings as they are."""
        shown = bool(self.form["preview"])
        self.preview_picture.setVisible(shown)
        if not shown or not self.isVisible():
            self.preview_picture.stop()
            return
        try:
            settings = self.form.values()
        except (ValueError, TypeError) as error:
            self.preview_picture.show_error(error)
            return
        self.preview_picture.ask(partial(_preview, settings))

    def _show(self, wanted: dict[str, bool], simulation: Any) -> list[Layer]:
        self._notes = simulation.notes
        layers = simulation_layers(simulation, **wanted)
        for layer in layers:
            self.viewer.add_layer(layer)
        return layers


def _simulate(settings: SimulateSettings, progress: Progress, cancel: CancelToken) -> Any:
    """Do what the settings ask for, in another thread."""
    from napari_atomseg import simulation

    progress(0, 0, "preparing")
    if settings.recipe:
        return simulation.sample(
            settings.recipe, settings.index, settings.seed, settings.shape, settings.device
        )
    return simulation.simulate(
        **settings.arguments(), device=settings.device, progress=progress, cancel=cancel
    )


def _preview(settings: SimulateSettings, cancel: CancelToken) -> tuple[Any, str]:
    """Return a small image of the settings and a line about it, in another thread."""
    side = _LARGEST_SAMPLE if settings.recipe else SIDE
    height, width = settings.shape
    if max(height, width) > side:
        height, width = min(height, SIDE), min(width, SIDE)
    fast = _FAST.get(settings.imaging, settings.imaging)
    small = settings.updated(shape=(height, width), imaging=fast)
    simulated = _simulate(small, lambda done, total, message: None, cancel)
    return simulated.image, _caption(simulated, settings)


def _caption(simulated: Any, settings: SimulateSettings) -> str:
    height, width = (length * simulated.sampling for length in simulated.image.shape)
    words = [area(height, width), f"SNR {simulated.snr:.1f} dB"]
    if settings.recipe:
        words.insert(0, specimen_name(simulated.facts))
    if settings.imaging in _FAST:
        words.append("without multislice")
    return " · ".join(filter(None, words))


def _crystals() -> list[str]:
    from napari_atomseg.specimen import crystals

    return crystals()


def _recipes() -> list[str]:
    from napari_atomseg.simulation import recipes

    return recipes()


def _short(microscope: str) -> str:
    """Return a name without "probe-" or "image-", which STEM or HRTEM at its end implies."""
    return microscope.removeprefix("probe-").removeprefix("image-")


def _microscopes() -> dict[str, dict[str, Any]]:
    from napari_atomseg.imaging import microscopes

    return microscopes()
