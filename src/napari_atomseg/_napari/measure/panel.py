"""The Measure panel: from columns to lattices, strain, defects, atom counts and tracks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image, Layer, Points
from napari.utils.theme import get_theme
from qtpy.QtWidgets import QLabel

from napari_atomseg._napari.columns.base import ColumnsPanel
from napari_atomseg._napari.columns.colours import colour_points
from napari_atomseg._napari.columns.layers import ACTION, aligned
from napari_atomseg._napari.forms.choices import CRYSTAL_FILES, NameOrFile
from napari_atomseg._napari.forms.form import Inputs
from napari_atomseg._napari.image_panel import chosen_sampling, shown_sampling
from napari_atomseg._napari.jobs import Show, Work
from napari_atomseg._napari.layers import layer_sampling
from napari_atomseg._napari.measure.settings import (
    ALWAYS,
    AUTOMATIC,
    COMPONENTS,
    INTEGRAL,
    MEASUREMENTS,
    MeasureSettings,
)
from napari_atomseg._napari.measure.show import Measured, Place, show
from napari_atomseg._napari.measure.source import (
    ALL,
    Columns,
    frame_of,
    groups,
    numeric_features,
    sublattices,
)
from napari_atomseg._napari.measure.task import Outcome, Task
from napari_atomseg._napari.measure.view import Results
from napari_atomseg._napari.measure.work import work
from napari_atomseg._napari.measure.zone import crystals_to_choose
from napari_atomseg.figures.tables import label
from napari_atomseg.io import provenance

if TYPE_CHECKING:
    import napari.viewer

_NEXT = "Colour, plot, export and draw the columns' new features in Columns."


class Measure(ColumnsPanel):
    """Measures a points layer of columns, and its image where that is needed."""

    title = "Measure"
    Settings = MeasureSettings

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        automatic = {AUTOMATIC: AUTOMATIC}
        inputs: Inputs = {
            "which": lambda: NameOrFile({ALL: "all columns"}),
            "crystal": lambda: NameOrFile(crystals_to_choose(), CRYSTAL_FILES),
            "displaced": lambda: NameOrFile(automatic),
            "against": lambda: NameOrFile({AUTOMATIC: "all others"}),
            "value": lambda: NameOrFile({"volume": "volume", INTEGRAL: "integral of the image"}),
            "library": lambda: NameOrFile({"": "none yet"}, "Tables (*.csv)"),
        }
        super().__init__(viewer, inputs)
        self.results, self.hint = Results(), QLabel()
        self.hint.setWordWrap(True)
        self.measured: Measured | None = None
        self.add_body(self.hint)
        self.add_footer(self.results)
        self.form.inputs["measure"].changed.connect(self._show_fields)
        self.form.inputs["method"].changed.connect(self._show_fields)
        self.form.inputs["component"].changed.connect(self._show_component)
        self.results.renamed.connect(self.rename)
        self.results.saving.connect(self._save)
        self.viewer.events.theme.connect(self._wear)
        self._follow()
        self._show_fields()
        self._wear()

    def prepare(self) -> tuple[str, Work, Show]:
        settings: MeasureSettings = self.form.values()
        kind = settings.measure
        stack = kind == "tracks"
        point = self.viewer.dims.point
        columns = Columns.of(self.columns, settings.which, point, stack=stack)
        picture, frame, placement = frame_of(self.image, point)
        sampling = chosen_sampling(settings.sampling, columns.sampling)
        task = Task(
            columns.table,
            sampling,
            settings,
            columns.selected,
            picture,
            aligned(columns.layer, self.image),
            columns.lattice(sampling),
        )
        names = ("which", *MEASUREMENTS[kind].fields)
        options = {name: getattr(settings, name) for name in names}
        options |= {"measure": kind, "sampling": sampling}
        if self.image is not None:
            options["image"] = self.image.name
        record = provenance(ACTION, columns.name, options)
        places = {"columns": Place(columns.placement, columns.leading)}
        if placement is not None:
            places["image"] = Place(placement, frame)
        return (
            f"{MEASUREMENTS[kind].label} of {columns.name}",
            partial(work, task, columns.name, record, places),
            partial(self._show, columns, record),
        )

    def summary(self, result: Measured) -> str:
        names = [each.name for each in result.outcome.drawings if each.looks.get("visible", True)]
        text = f"New: {', '.join(names)}. " if names else ""
        return text + (_NEXT if result.outcome.features is not None else "")

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
        members = features["sublattice"] == sublattice
        if not members.any():
            raise ValueError(f"sublattice={sublattice!r} has no columns")
        names = features["species"].astype(object)
        names[members] = name
        layer.features = features.assign(species=names)
        self.results.legend.show_key(colour_points(layer, "species"))
        self._offer()

    def save_table(self, path: str | Path, table: str = "") -> None:
        """Write a table of the last measurement as CSV; by default the one that is listed."""
        name = table or self.results.which.value
        if name not in self.results.tables:
            raise ValueError(f"there is no table {name!r}: {', '.join(self.results.tables)}")
        self.results.tables[name].to_csv(path, index=False)
        self.message.setText(f"{name} saved as {Path(path).name}")

    def save_model(self, path: str | Path) -> None:
        """Write the start model of the last atom count as CIF, XYZ or what else ASE writes."""
        atoms = None if self.measured is None else self.measured.outcome.atoms
        if atoms is None:
            raise ValueError("there is no 3-D model: count atoms with an element and a spacing")
        from ase.io import write

        write(path, atoms)
        self.message.setText(f"{len(atoms)} atoms saved as {Path(path).name}")

    def _show(
        self, columns: Columns, record: dict[str, Any], result: tuple[Outcome, list[Layer]]
    ) -> Measured:
        for layer in self.measured.layers if self.measured is not None else ():
            layer.visible = False
        self.measured = show(self.viewer, columns, record, *result)
        measured = self.measured
        self.results.show_outcome(measured.outcome, measured.note, measured.key)
        self._show_component()
        shown = [layer for layer in self.measured.layers if layer.visible]
        self.viewer.layers.selection.active = shown[-1] if shown else self.measured.columns
        self._offer()
        return self.measured

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

    def _offer(self, event: Any = None) -> None:
        """Offer the kinds and features that the columns have now."""
        layer = self._followed
        inputs = self.form.inputs
        inputs["which"].offer(groups(layer))
        names = {name: label(name) for name in numeric_features(layer)}
        first = [name for name in ("volume", "amplitude", "intensity") if name in names]
        values = {n: names[n] for n in [*first, *names]} or {"volume": "volume"}
        inputs["value"].offer(values | {INTEGRAL: "integral of the image"})
        kinds = sublattices(layer)
        inputs["displaced"].offer({AUTOMATIC: AUTOMATIC} | kinds)
        inputs["against"].offer({AUTOMATIC: "all others"} | kinds)

    def _show_fields(self, event: Any = None) -> None:
        chosen = MEASUREMENTS[self.form["measure"]]
        hidden = {"counts": {"mixture": ("library", "scale"), "library": ("components", "first")}}
        without = hidden.get(self.form["measure"], {}).get(self.form["method"], ())
        for name in self.form.inputs:
            shown = name in ALWAYS or (name in chosen.fields and name not in without)
            self.form.show_row(name, shown)
        self.hint.setText(chosen.hint)

    def _show_component(self, event: Any = None) -> None:
        """Bring the chosen image of the last strain into sight."""
        layers = [] if self.measured is None else self.measured.layers
        images = [layer for layer in layers if isinstance(layer, Image)]
        for place, layer in enumerate(reversed(images)):
            layer.visible = list(COMPONENTS)[place] == self.form["component"]

    def _save(self, what: str, path: str) -> None:
        save = self.save_table if what == "table" else self.save_model
        self.attempt(lambda: save(path))

    def _wear(self, event: Any = None) -> None:
        theme = get_theme(self.viewer.theme)
        self.results.wear(theme.text.as_hex(), theme.background.as_hex())
