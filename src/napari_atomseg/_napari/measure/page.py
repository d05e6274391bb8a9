"""The pages of the Measure panel: the form of each measurement, with choices from the columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.layers import Points
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QFormLayout, QVBoxLayout, QWidget

from napari_atomseg._napari.forms.choices import CRYSTAL_FILES, NameOrFile
from napari_atomseg._napari.forms.form import Form, make_narrow
from napari_atomseg._napari.measure.source import groups, numeric_features, sublattices
from napari_atomseg.analysis.counting.evidence import other_than_section
from napari_atomseg.figures.tables import label
from napari_atomseg.measurements import MEASUREMENTS
from napari_atomseg.measurements.registry import Role, role_of
from napari_atomseg.settings import Setting, Settings, fields_of
from napari_atomseg.specimen import crystals

Choices = dict[Any, str]


class CrystalInput(NameOrFile):
    """A crystal of the book, or a structure file, where one or several are accepted."""

    def __init__(self) -> None:
        named = [name for name in crystals() if not name.startswith("amorphous")]
        super().__init__({"": "none", **{name: name for name in named}}, CRYSTAL_FILES)

    @property
    def value(self) -> Any:
        """Name or path of the crystal."""
        return super().value

    @value.setter
    def value(self, value: Any) -> None:
        one = (*value, "")[0] if isinstance(value, tuple) else value
        NameOrFile.value.fset(self, one)  # type: ignore[attr-defined]


class AxisInput(QComboBox):
    """A direction: x of the image, a or b of the lattice, or degrees that are typed."""

    changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.native = self
        self.setEditable(True)
        self.addItems(["image", "a", "b"])
        make_narrow(self)
        self.currentTextChanged.connect(self.changed)

    @property
    def value(self) -> str:
        """The direction as text."""
        return str(self.currentText().strip())

    @value.setter
    def value(self, value: Any) -> None:
        self.setCurrentText(str(value))


def inputs_of(settings: type[Settings], layer: Points | None) -> dict[str, Callable[[], Any]]:
    """Return what makes the inputs of settings whose texts have a role."""
    made: dict[str, Callable[[], Any]] = {}
    for name, known in fields_of(settings).items():
        role = role_of(settings, name)
        if role is Role.CRYSTAL:
            made[name] = CrystalInput
        elif role is Role.AXIS:
            made[name] = AxisInput
        elif role is Role.TABLE:
            made[name] = lambda: NameOrFile({"": "none"}, "Tables (*.csv)")
        elif role is Role.IMAGE:
            made[name] = lambda: NameOrFile({"": "none"}, "Images (*)")
        elif role is not None:
            made[name] = _chooser(choices_of(role, known, layer))
    return made


def choices_of(role: Role, known: Setting, layer: Points | None) -> Choices:
    """Return what a layer offers for a setting whose value is a name of that role."""
    default: Choices = {known.default: known.none or str(known.default)}
    if role is Role.GROUP:
        return {**groups(layer)}
    if role is Role.SUBLATTICE:
        kinds = sublattices(layer)
        return default | {k if known.kind is int else str(k): text for k, text in kinds.items()}
    names: Choices = {name: label(name) for name in numeric_features(layer)}
    if role is Role.CROSS_SECTION:
        names = {name: text for name, text in names.items() if not other_than_section(str(name))}
        names |= {"integral": "integral of the image"}
    return names if known.default in names else default | names


class Page(QWidget):
    """The form of the chosen measurement; those of others are kept as they were left."""

    def __init__(self) -> None:
        super().__init__()
        self.name = ""
        self.forms: dict[str, Form] = {}
        self._layer: Points | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)

    @property
    def form(self) -> Form:
        """The form of the chosen measurement."""
        return self.forms[self.name]

    def turn_to(self, name: str) -> None:
        """Show the form of a measurement."""
        self.name = name
        if name not in self.forms:
            settings = MEASUREMENTS[name].settings
            form = self.forms[name] = Form(settings, inputs_of(settings, self._layer))
            form.changed.connect(self._show_rows)
            self.layout().addWidget(form)
        for other, form in self.forms.items():
            form.setVisible(other == name)
        self._show_rows()

    def offer(self, layer: Points | None) -> None:
        """Offer the groups, features and sublattices that a layer of columns has now."""
        self._layer = layer
        for name, form in self.forms.items():
            offer(form, MEASUREMENTS[name].settings, layer)

    def _show_rows(self) -> None:
        """Hide what makes no difference, as long as the settings are ones that can be used."""
        form = self.form
        try:
            hidden = form.values().without_effect()
        except (ValueError, TypeError):
            return
        for name in form.inputs:
            form.show_row(name, name not in hidden)


def align(*forms: Form) -> None:
    """Give the labels of forms one width, so that all inputs stand in one column."""
    labels = []
    for form in forms:
        for rows in (form.rows, *(section.rows for section in form.sections.values())):
            places = range(rows.rowCount())
            items = (rows.itemAt(place, QFormLayout.ItemRole.LabelRole) for place in places)
            labels += [item.widget() for item in items if item is not None]
    for each in labels:
        each.ensurePolished()
        each.setMinimumWidth(0)
    width = max(each.sizeHint().width() for each in labels)
    for each in labels:
        each.setMinimumWidth(width)


def offer(form: Form, settings: type[Settings], layer: Points | None) -> None:
    """Offer what a layer of columns has now in the inputs of a form."""
    for name, known in fields_of(settings).items():
        role = role_of(settings, name)
        if role in (Role.GROUP, Role.FEATURE, Role.CROSS_SECTION, Role.SUBLATTICE):
            form.inputs[name].offer(choices_of(role, known, layer))


def _chooser(choices: Choices) -> Callable[[], NameOrFile]:
    return lambda: NameOrFile(choices)
