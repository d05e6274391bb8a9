"""The Measure panel: from columns to lattices, strain, defects, atom counts and tracks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer, Points
from napari.utils.theme import get_theme
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QLabel, QWidget

from napari_atomseg._napari.calibrate import UseScale
from napari_atomseg._napari.columns.base import ColumnsLayerPanel
from napari_atomseg._napari.columns.colours import colour_points
from napari_atomseg._napari.columns.layers import ACTION, aligned
from napari_atomseg._napari.forms.form import Form, make_input
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import (
    Source,
    chosen_sampling,
    layer_sampling,
    shown_sampling,
)
from napari_atomseg._napari.measure.cover import Cover
from napari_atomseg._napari.measure.layers import Measured, Place, make_layers, show
from napari_atomseg._napari.measure.page import Page, align, inputs_of, offer
from napari_atomseg._napari.measure.results import Headline, Results
from napari_atomseg._napari.measure.source import ChosenColumns, frame_of
from napari_atomseg._napari.replace import hide
from napari_atomseg.io import provenance
from napari_atomseg.io.columns.csv_table import write_csv
from napari_atomseg.measurements import MEASUREMENTS, Measurement, Observation, Report
from napari_atomseg.measurements.registry import (
    CommonSettings,
    MeasurementSettings,
    finished,
)
from napari_atomseg.progress import CancelToken, Progress
from napari_atomseg.settings import about, fields_of, setting

if TYPE_CHECKING:
    import napari.viewer

_NEXT = "Colour, plot, export and draw the columns' new features in Columns."


class MeasureSettings(CommonSettings):
    """Settings of the Measure panel beside those of the measurement."""

    measure: str = setting(
        next(iter(MEASUREMENTS)),
        "Measure",
        "What is measured; the settings below follow.",
        choices={name: known.title for name, known in MEASUREMENTS.items()},
    )


@dataclass(frozen=True)
class _PreparedMeasurement:
    """A measurement that is about to run beside the window."""

    known: Measurement
    settings: MeasurementSettings
    observation: Observation
    name: str
    record: dict[str, Any]
    columns: Place
    image: Place | None

    def __call__(self, progress: Progress, cancel: CancelToken) -> tuple[Report, list[Layer]]:
        """Measure, and make the layers that show it."""
        found = self.known.run(self.observation, self.settings, progress, cancel)
        report = finished(found, self.observation)
        layers = make_layers(report, self.name, self.record, self.columns, self.image, cancel)
        return report, layers


class Measure(ColumnsLayerPanel):
    """Measures a points layer of columns, and its image where that is needed.

    ``panel.settings`` has those of the chosen measurement too: ``panel.settings.measure =
    "strain"``, then ``panel.settings.radius = 20.0``. Where Qt has no other use for their names
    they are attributes of the panel as well.
    """

    title = "Measure"
    Settings = MeasureSettings
    width_of_form = 350

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__(viewer, inputs_of(MeasureSettings, None) | {"measure": _titles})
        self.results, self.hint, self.page = Results(), QLabel(), Page()
        self.headline, self._cover = Headline(), Cover(self.viewer)
        self.hint.setWordWrap(True)
        self.measured: Measured | None = None
        self.form.layout().insertWidget(1, self.page)
        self.use_scale = UseScale(self.viewer, self.form, lambda: self.columns)
        self.add_body(self.hint)
        self.add_footer(self.headline, stretch=0)
        self.add_footer(self.results)
        self.form.inputs["measure"].changed.connect(self._turn_page)
        self.results.renamed.connect(self.rename)
        self.results.saving.connect(self._save)
        self.results.images.changed.connect(self._show_image)
        self.viewer.events.theme.connect(self._follow_theme)
        self._turn_page()
        self._follow()
        self._follow_theme()

    def prepare(self) -> tuple[str, Work, Show]:
        common: MeasureSettings = self.form.values()
        settings: MeasurementSettings = self.page.form.values()
        known = MEASUREMENTS[common.measure]
        point = self.viewer.dims.point
        columns = ChosenColumns.of(self.columns, common.use, point, stack=known.stack)
        picture, frame, placement = frame_of(self.image, point)
        sampling = chosen_sampling(common.sampling, columns.sampling)
        observation = Observation(
            columns.table,
            sampling,
            picture,
            aligned(columns.layer, self.image),
            columns.lattice(sampling),
        )
        options = dict(common) | dict(settings) | {"sampling": sampling}
        if self.image is not None:
            options["image"] = self.image.name
        inputs = {"of": columns.described}
        if self.image is not None:
            inputs["on"] = Source.of(self.image).described()
        record = provenance(ACTION, columns.name, options, inputs=inputs)
        shown = columns.leading or frame
        if shown and not known.stack:
            record["frame"] = list(shown)
        if self.image is not None and not observation.aligned:
            record["aligned"] = False
        task = _PreparedMeasurement(
            known,
            settings,
            observation,
            columns.name,
            record,
            Place(columns.placement, columns.leading),
            None if placement is None else Place(placement, frame),
        )
        return f"{known.title} of {columns.name}", task, partial(self._show, columns, record)

    def settle(self) -> None:
        """Give a typed scale to a layer without one."""
        self.use_scale.settle()

    def summary(self, result: Measured) -> str:
        names = [layer.name for layer in result.layers if layer.visible]
        text = f"New: {', '.join(names)}. " if names else ""
        if result.report.sublattices is not None:
            text += "Name the species in the tab Species. "
        return text + (_NEXT if result.report.features else "")

    def forms(self) -> tuple[Form, ...]:
        """Return the common form and that of the chosen measurement."""
        return (self.form, self.page.form)

    @property
    def component(self) -> str:
        """Name of the image that is shown, of those that the last measurement made."""
        return str(self.results.images.value)

    @component.setter
    def component(self, name: str) -> None:
        self.results.images.value = name

    def rename(self, sublattice: int, name: str) -> None:
        """Give the columns of a sublattice the name of a species.

        Raises
        ------
        ValueError
            The columns have no sublattices yet, or none of that number.
        """
        layer = self.columns if self.measured is None else self.measured.columns
        if layer is None or "sublattice" not in layer.features:
            raise ValueError("the columns have no sublattices: measure the lattice first")
        features = layer.features.copy()
        chosen = features["sublattice"] == sublattice
        if not chosen.any():
            raise ValueError(f"sublattice={sublattice!r} has no columns")
        names = features["species"].astype(object)
        names[chosen] = name
        layer.features = features.assign(species=names)
        colour_points(layer, "species")
        self._offer()

    def save_table(self, path: str | Path, table: str = "") -> None:
        """Write a table of the last measurement as CSV; by default the one that is listed."""
        name = table or self.results.which.value
        if name not in self.results.tables:
            raise ValueError(f"there is no table {name!r}: {', '.join(self.results.tables)}")
        write_csv(path, self.results.tables[name])
        self.message.setText(f"{name} saved as {Path(path).name}")

    def save_model(self, path: str | Path) -> None:
        """Write the start model of the last atom count as CIF, XYZ or what else ASE writes."""
        atoms = None if self.measured is None else self.measured.report.atoms
        if atoms is None:
            raise ValueError("there is no 3-D model: count atoms with an element and a spacing")
        from napari_atomseg.io.columns.atoms import write_atoms

        write_atoms(path, atoms)
        self.message.setText(f"{len(atoms)} atoms saved as {Path(path).name}")

    def showEvent(self, event: QShowEvent) -> None:
        """Give the labels one width once they have their style."""
        super().showEvent(event)
        align(self.form, self.page.form)

    def _show(
        self, columns: ChosenColumns, record: dict[str, Any], result: tuple[Report, list[Layer]]
    ) -> Measured:
        if self.measured is not None:
            hide(self.measured.layers)
        self.measured = show(self.viewer, columns, record, *result, put=self.put)
        measured = self.measured
        self.headline.show_report(measured.report)
        self.results.show_report(measured.report, measured.note)
        self._show_image()
        self._cover.follow(measured.columns, measured.maps)
        shown = [layer for layer in measured.layers if layer.visible]
        self.viewer.layers.selection.active = shown[-1] if shown else measured.columns
        self._offer()
        return measured

    def layer_changed(self, before: Points | None) -> None:
        """Watch the layer that was chosen, and take its sampling."""
        for each, connect in ((before, False), (self._followed, True)):
            if each is not None:
                for emitter in (each.events.scale, each.events.units):
                    (emitter.connect if connect else emitter.disconnect)(self._show_sampling)
                changed = each.events.features
                (changed.connect if connect else changed.disconnect)(self._offer)
        self._show_sampling()
        self._offer()

    def _show_sampling(self, event: Any = None) -> None:
        sampling = None if self._followed is None else layer_sampling(self._followed)
        self.form["sampling"] = None if sampling is None else shown_sampling(sampling)
        self.use_scale.offer()
        if self.step_row is not None:
            self.step_row.refresh()

    def _offer(self, event: Any = None) -> None:
        """Offer the groups, features and sublattices that the columns have now."""
        offer(self.form, MeasureSettings, self._followed)
        self.page.offer(self._followed)

    def _turn_page(self, event: Any = None) -> None:
        name = self.form["measure"]
        if self.job is None or self.job.done:
            # What the last measurement said, such as why it failed, is not of this page.
            self.message.setText("")
        self.page.turn_to(name)
        align(self.form, self.page.form)
        self.hint.setText(MEASUREMENTS[name].summary)

    def _show_image(self, event: Any = None) -> None:
        """Show the chosen image of the last measurement, and hide its others."""
        for name, layer in {} if self.measured is None else self.measured.images.items():
            layer.visible = name == self.component

    def _save(self, what: str, path: str) -> None:
        save = self.save_table if what == "table" else self.save_model
        self.attempt(lambda: save(path))

    def _follow_theme(self, event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        self.results.set_colours(theme.text.as_hex(), theme.background.as_hex())


def _titles() -> Any:
    """The choice of a measurement, as wide as the panel: the longest titles are read as a whole."""
    widget = make_input(about(MeasureSettings, "measure"))
    widget.whole_row = True
    return widget


def _attribute(name: str) -> property:
    def get(panel: Measure) -> Any:
        return _form(panel)[name]

    def set_(panel: Measure, value: Any) -> None:
        _form(panel)[name] = value

    def _form(panel: Measure) -> Any:
        form = panel.page.form
        if name not in form.inputs:
            raise AttributeError(f"{panel.page.name} has no setting {name!r}")
        return form

    return property(get, set_, doc=f"{name} of the chosen measurement")


for _measurement in MEASUREMENTS.values():
    for _name in fields_of(_measurement.settings):
        if not hasattr(QWidget, _name) and not hasattr(Measure, _name):
            setattr(Measure, _name, _attribute(_name))
