"""Forms: settings become inputs that show and return the values of their fields."""

from __future__ import annotations

from math import inf
from typing import Any, Literal

import pytest
from qtpy.QtWidgets import QApplication

from napari_atomseg._napari.forms.form import Form
from napari_atomseg._napari.forms.inputs import WordInput
from napari_atomseg._napari.forms.numbers import Numbers
from napari_atomseg.settings import Setting, Settings, fields_of, setting
from napari_atomseg.specimen.crystals.axis import read_axis


class Bonds(Settings):
    """One field of each kind that has an input."""

    longest_bond: float = setting(
        1.8, "Longest bond", "Length.", unit="Å", limits=(0.1, 5.0), usual=(1.0, 3.0)
    )
    window: tuple[int, int] = setting((5, 7), "Window (y, x)", "Size.", limits=(1, 99))
    classes: int | None = setting(None, "Classes", "Number.", limits=(0, 20), none="automatic")
    origin: tuple[float, float] | None = setting(None, "Origin", "Place.", none="the centre")
    cell: Literal["conventional", "primitive"] = setting("conventional", "Cell", "Kind of cell.")
    fold: int | None = setting(
        None, "Symmetry", "Fold.", choices={4: "4-fold", 6: "6-fold"}, none="automatic"
    )
    element: str | None = setting(None, "Element", "Symbol.", none="unknown", section="Advanced")
    name: str = setting("crystal", "Name", "Of the result.", section="Advanced")
    scale: bool = setting(False, "Scale", "Whether to scale.", section="Advanced")


OTHERS = Bonds(
    longest_bond=2.5,
    window=(3, 4),
    classes=0,
    origin=(1.5, -2.0),
    cell="primitive",
    fold=6,
    element="Pt",
    name="grain",
    scale=True,
)


@pytest.fixture(autouse=True)
def _application(qapp: QApplication) -> None:
    """Widgets need an application."""


def test_a_form_returns_the_settings_that_it_shows() -> None:
    form = Form(Bonds)
    assert form.values() == Bonds()
    for name, value in OTHERS:
        form[name] = value
        assert form[name] == value
    assert form.values() == OTHERS
    for name, value in Bonds():
        form[name] = value
    assert form.values() == Bonds()


def test_a_form_tells_of_every_change() -> None:
    form, told = Form(Bonds), []
    form.changed.connect(lambda: told.append(form.values()))
    for name, value in OTHERS:
        form[name] = value
    assert told[-1] == OTHERS
    assert len(told) == len(fields_of(Bonds))


def test_sections_are_folded_and_tooltips_are_the_help() -> None:
    form = Form(Bonds)
    assert list(form.sections) == ["Advanced"]
    for name, known in fields_of(Bonds).items():
        assert form.inputs[name].native.toolTip() == known.help


def test_own_inputs_replace_those_of_the_kind() -> None:
    form = Form(Bonds, {"element": lambda: WordInput("any element", optional=True)})
    assert form.inputs["element"].native.placeholderText() == "any element"
    assert form.values() == Bonds()


def test_kinds_without_an_input_are_refused() -> None:
    class Files(Settings):
        names: tuple[str, ...] = setting((), "Names", "Some names.")

    with pytest.raises(TypeError, match="names needs an input of its own"):
        Form(Files)


def test_a_text_is_read_as_the_command_line_reads_it() -> None:
    class Seen(Settings):
        axis: tuple[int, ...] = setting((0, 0, 1), "Axis", "Indices.", read=read_axis)

    form, told = Form(Seen), []
    form.changed.connect(lambda: told.append(form["axis"]))
    line = form.inputs["axis"]
    assert (line.text(), line.value) == ("0 0 1", (0, 0, 1))
    line.setText("[10-10]")
    line.editingFinished.emit()
    assert form.values().axis == (1, 0, -1, 0)
    form["axis"] = (1, 1, 0)
    assert (line.text(), told) == ("1 1 0", [(1, 0, -1, 0), (1, 1, 0)])
    line.setText("1 1")
    with pytest.raises(ValueError, match="zone_axis='1 1' must be three integers"):
        form.values()


def test_an_empty_text_means_none_where_that_is_accepted() -> None:
    class Seen(Settings):
        axis: tuple[int, ...] | None = setting(
            None, "Axis", "Indices.", none="found", read=read_axis
        )

    form = Form(Seen)
    line = form.inputs["axis"]
    assert (line.text(), line.placeholderText(), form.values().axis) == ("", "found", None)
    form["axis"] = (1, 0, -1, 0)
    assert (line.text(), form.values().axis) == ("1 0 -1 0", (1, 0, -1, 0))
    form["axis"] = None
    assert (line.text(), form.values().axis) == ("", None)


def test_none_lies_below_the_lowest_number() -> None:
    numbers = Numbers(fields_of(Bonds)["classes"])
    (box,) = numbers.boxes
    assert (numbers.value, box.text()) == (None, "automatic")
    box.stepBy(1)
    assert (numbers.value, box.text()) == (0, "0")
    box.stepBy(-1)
    assert numbers.value is None
    numbers.value = 7
    box.lineEdit().setText("")
    box.interpretText()
    assert numbers.value is None


def test_sliders_move_through_the_usual_range() -> None:
    factors = _numbers(1.0, limits=(0, inf), usual=(1.0, 1e4), logarithmic=True)
    factors.slider.setValue(factors.slider.maximum() // 2)
    assert factors.value == pytest.approx(100.0)
    factors.value = 1e7
    assert (factors.value, factors.slider.value()) == (1e7, factors.slider.maximum())
    nullable = _numbers(1.7, limits=(0, 3), usual=(1, 2), none="tables")
    assert nullable.slider.number == pytest.approx(1.7)
    nullable.slider.setValue(0)
    assert nullable.value is None
    nullable.slider.setValue(1)
    assert nullable.value == 1.0


@pytest.mark.parametrize(
    ("value", "text"),
    [(20000.0, "20000 e⁻"), (0.0977, "0.0977 e⁻"), (100, "100 e⁻"), (inf, "∞ e⁻")],
)
def test_numbers_are_written_without_needless_zeros(value: float, text: str) -> None:
    numbers = _numbers(value, unit="e⁻", limits=(0.0, inf))
    assert numbers.boxes[0].text() == text
    assert numbers.value == value


def _numbers(default: float, **about: Any) -> Numbers:
    return Numbers(Setting(default, "", "", kind=type(default), **about))
